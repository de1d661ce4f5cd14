/* json_keys.c: in which order the keys of an object are written; and the path to a value, for errors. */
#include "bind/json_encode.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- order ---- */

typedef struct {
  const char *text;
  size_t size;
} key;

static int compare(const void *a, const void *b) {
  const key *x = a, *y = b;
  size_t least = x->size < y->size ? x->size : y->size;
  int order = memcmp(x->text, y->text, least);
  return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* The keys of the table at index that are not in the table at seen (0: none is). Pushes a userdata that holds them. */
static key *push_keys(lua_State *L, const mu_json_encoder *e, int index, int seen, lua_Integer *count) {
  size_t n = 0, room = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) room++;
  key *keys = lua_newuserdatauv(L, (room + 1) * sizeof *keys, 0);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) mu_json_refuse(L, e, "a key of an object must be a string");
    lua_pushvalue(L, -2);
    if (seen && lua_rawget(L, seen) != LUA_TNIL) lua_pop(L, 1);
    else if (n < room) {
      lua_pop(L, 1);
      keys[n].text = lua_tolstring(L, -2, &keys[n].size);
      n++;
    }
  }
  *count = (lua_Integer)n;
  return keys;
}

lua_Integer mu_json_push_sorted(lua_State *L, const mu_json_encoder *e, int index) {
  lua_Integer n;
  key *keys = push_keys(L, e, index, 0, &n);
  qsort(keys, (size_t)n, sizeof *keys, compare);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_pushlstring(L, keys[i].text, keys[i].size);
    lua_rawseti(L, -2, i + 1);
  }
  lua_remove(L, -2);
  return n;
}

/* Moves the keys that the list at `order` names, and the table has, to the list at `list`, and marks them as seen. */
static lua_Integer take_named(lua_State *L, int index, int order, int list, int seen) {
  lua_Integer count = 0, n = (lua_Integer)lua_rawlen(L, order);
  for (lua_Integer i = 1; i <= n; i++, lua_settop(L, seen)) {
    if (lua_rawgeti(L, order, i) != LUA_TSTRING) continue;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, index) == LUA_TNIL) continue;
    lua_pushvalue(L, -2);
    if (lua_rawget(L, seen) != LUA_TNIL) continue;
    lua_pushvalue(L, seen + 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    lua_pushvalue(L, seen + 1);
    lua_rawseti(L, list, ++count);
  }
  return count;
}

lua_Integer mu_json_push_ordered(lua_State *L, const mu_json_encoder *e, int index) {
  int order = index + 1, list = lua_gettop(L) + 1, seen = list + 1;
  lua_newtable(L);
  lua_newtable(L);
  lua_Integer rest, count = take_named(L, index, order, list, seen);
  key *keys = push_keys(L, e, index, seen, &rest);
  qsort(keys, (size_t)rest, sizeof *keys, compare);
  for (lua_Integer i = 0; i < rest; i++) {
    lua_pushlstring(L, keys[i].text, keys[i].size);
    lua_rawseti(L, list, ++count);
  }
  lua_settop(L, list);
  return count;
}

/* ---- where a value is ---- */

static bool is_name(const char *s, size_t n) {
  if (!n || n > 60 || isdigit((unsigned char)*s)) return false;
  for (size_t i = 0; i < n; i++)
    if (s[i] != '_' && !isalnum((unsigned char)s[i])) return false;
  return true;
}

static void push_key(lua_State *L, const mu_json_open *f) {
  if (f->way == MU_JSON_MAP_KEYS) lua_rawgeti(L, f->base + MU_JSON_KEY_SLOT, f->i);
  else lua_pushvalue(L, f->base + MU_JSON_KEY_SLOT);
}

static void add_step(lua_State *L, luaL_Buffer *path, const mu_json_open *f) {
  bool is_list = f->way == MU_JSON_LIST_NEXT || f->way == MU_JSON_LIST_GET;
  if (is_list) {
    lua_pushfstring(L, "[%I]", (LUAI_UACINT)f->i);
    return luaL_addvalue(path);
  }
  push_key(L, f);
  size_t n;
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
  if (!name) lua_pushfstring(L, "[%s]", luaL_typename(L, -1));
  else if (is_name(name, n)) lua_pushfstring(L, ".%s", name);
  else lua_pushfstring(L, "[\"%s\"]", name);
  lua_remove(L, -2);
  luaL_addvalue(path);
}

enum { SHOWN = 20 }; /* steps of a path */

/* Pushes the path to what is open up to `depth`, ending in ": ", or nothing for the value itself. */
static const char *push_path(lua_State *L, const mu_json_encoder *e, uint32_t depth) {
  luaL_Buffer path;
  luaL_buffinit(L, &path);
  for (uint32_t i = 0; i < depth; i++) {
    if (i < SHOWN) add_step(L, &path, mu_json_frame_of(e, i));
    else if (i == SHOWN) luaL_addstring(&path, "...");
  }
  if (depth) luaL_addstring(&path, ": ");
  luaL_pushresult(&path);
  const char *text = lua_tostring(L, -1);
  return *text == '.' ? text + 1 : text;
}

static int refuse(lua_State *L, const mu_json_encoder *e, uint32_t depth, const char *problem) {
  luaL_checkstack(L, 12, NULL);
  return luaL_error(L, "json.encode: %s%s", push_path(L, e, depth), problem);
}

int mu_json_refuse(lua_State *L, const mu_json_encoder *e, const char *problem) {
  return refuse(L, e, e->depth, problem);
}

static bool same(lua_State *L, const mu_json_encoder *e, uint32_t i, uint32_t j) {
  return lua_rawequal(L, mu_json_frame_of(e, i)->base, mu_json_frame_of(e, j)->base);
}

int mu_json_refuse_depth(lua_State *L, const mu_json_encoder *e) {
  uint32_t last = e->depth - 1, length = 1;
  while (length <= last && !same(L, e, last - length, last)) length++;
  luaL_checkstack(L, 12, NULL);
  if (length > last)
    return refuse(L, e, e->depth, lua_pushfstring(L, "nested deeper than %d", (int)e->max_depth));
  uint32_t first = 0;
  while (!same(L, e, first, first + length)) first++;
  return refuse(L, e, first + length, "the table contains itself");
}
