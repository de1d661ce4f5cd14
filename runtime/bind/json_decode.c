/* json_decode.c: builders, and the module's functions that have the whole text. */
#include "bind/json.h"

/* ---- builders ---- */

mu_json_builder *mu_json_new_builder(lua_State *L, uint32_t steps, int user_values, int metatable) {
  mu_json_builder *b = lua_newuserdatauv(L, sizeof *b + steps * sizeof *b->path, user_values);
  void *data;
  lua_Alloc alloc = lua_getallocf(L, &data);
  *b = (mu_json_builder){.steps = steps, .max_bytes = UINT64_MAX, .frames = MU_BUFFER(alloc, data)};
  mu_json_begin(&b->scan, MU_JSON_DEPTH, alloc, data);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, -2);
  return b;
}

void mu_json_release(mu_json_builder *b) {
  mu_json_free(&b->scan);
  mu_buffer_free(&b->frames);
}

int mu_json_collect(lua_State *L) {
  mu_json_release(mu_check_object(L, 1));
  return 0;
}

bool mu_json_take_spare(lua_State *L, const void *key) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TUSERDATA) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return false;
  }
  lua_pushboolean(L, false); /* its place stays */
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  return true;
}

void mu_json_keep_spare(lua_State *L, int index, const void *key) {
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static void push_marked(lua_State *L, const void *key, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static const char arrays = 'a', objects = 'o';
void mu_json_push_arrays(lua_State *L) { push_marked(L, &arrays, "json.array"); }
void mu_json_push_objects(lua_State *L) { push_marked(L, &objects, "json.object"); }

/* ---- options ---- */

lua_Integer mu_json_integer_option(lua_State *L, int index, const char *name, lua_Integer most,
                                   lua_Integer otherwise) {
  if (!lua_istable(L, index)) return otherwise;
  if (lua_getfield(L, index, name) != LUA_TNIL) {
    int ok;
    otherwise = lua_tointegerx(L, -1, &ok);
    if (!ok || lua_type(L, -1) != LUA_TNUMBER || otherwise < 1 || otherwise > most)
      luaL_argerror(
          L, index,
          lua_pushfstring(L, "option '%s' must be an integer from 1 to %I", name, (LUAI_UACINT)most));
  }
  lua_pop(L, 1);
  return otherwise;
}

bool mu_json_flag_option(lua_State *L, int index, const char *name, bool otherwise) {
  if (!lua_istable(L, index)) return otherwise;
  int type = lua_getfield(L, index, name);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    luaL_argerror(L, index, lua_pushfstring(L, "option '%s' must be a boolean", name));
  if (type == LUA_TBOOLEAN) otherwise = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return otherwise;
}

void mu_json_push_null_option(lua_State *L, int index) {
  if (lua_istable(L, index)) {
    if (lua_getfield(L, index, "null") != LUA_TNIL) return;
    lua_pop(L, 1);
  }
  lua_pushlightuserdata(L, NULL);
}

/* ---- whole texts ---- */

static const char spare = 's';

/* Pushes a builder for a whole text: that of the last call, if it has left it. */
static mu_json_builder *push_builder(lua_State *L) {
  if (!mu_json_take_spare(L, &spare)) {
    lua_pop(L, 1);
    return mu_json_new_builder(L, 0, 0, lua_upvalueindex(2));
  }
  mu_json_builder *b = lua_touserdata(L, -1);
  mu_json_restart(&b->scan, MU_JSON_DEPTH);
  b->frames.size = 0;
  return b;
}

/* Sets the slots of the stack for a text at 1 with options at 2; pushes a builder onto them for a moment: it stays in
** the slot of what was closed, since nothing is closed here. */
static mu_json_builder *prepare(lua_State *L) {
  static const char *const names[] = {"max_depth", "null", NULL};
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  mu_check_options(L, 2, names);
  lua_settop(L, 2);
  mu_json_push_arrays(L);
  mu_json_push_null_option(L, 2);
  lua_Integer max_depth = mu_json_integer_option(L, 2, "max_depth", MU_JSON_DEPTH_MOST, MU_JSON_DEPTH);
  mu_json_builder *b = push_builder(L);
  b->scan.max_depth = (uint32_t)max_depth;
  mu_json_feed(&b->scan, text, size);
  return b;
}

/* The value is on top of L. The builder stays for the next call, without what is large. */
static void finished(lua_State *L, mu_json_builder *b) {
  const mu_json *s = &b->scan;
  if (b->frames.room + s->levels.room + s->text.room + s->scratch.room > MU_JSON_SPARE_ROOM)
    mu_json_release(b);
  mu_json_keep_spare(L, MU_JSON_CLOSED, &spare);
}

static int failed(lua_State *L, mu_json_builder *b) {
  mu_json_push_error(L, b);
  finished(L, b);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* text [, options] -> value; or nil, error */
int mu_json_decode(lua_State *L) {
  mu_json_builder *b = prepare(L);
  if (mu_json_build(L, b, false) == MU_JSON_FAILED) return failed(L, b);
  if (mu_json_build_end(L, b) == MU_JSON_FAILED) return failed(L, b);
  finished(L, b);
  return 1;
}

/* The lines before the place where the scanner is to begin. */
static void count_lines(mu_json *s) {
  for (const char *p = s->begin; p < s->at; p++) {
    if (*p != '\n') continue;
    s->line++;
    s->line_begin = (uint64_t)(p - s->begin) + 1;
  }
}

/* text, position [, count lines?] -> the value that begins there, and the position after it; or nil, error: whose
** offset is that in the text, and whose line is, if lines are to be counted */
int mu_json_prefix(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2);
  bool counts = lua_toboolean(L, 3);
  lua_settop(L, 1);
  mu_json_builder *b = prepare(L);
  luaL_argcheck(L, from >= 1 && from <= b->scan.end - b->scan.begin, 2, "is not in the text");
  b->scan.at = b->scan.begin + (from - 1);
  if (counts) count_lines(&b->scan);
  mu_json_event event = mu_json_build(L, b, true);
  bool whole = !b->frames.size && lua_gettop(L) == MU_JSON_BOTTOM;
  if (event == MU_JSON_MORE && !whole) event = mu_json_build_end(L, b);
  if (event == MU_JSON_FAILED) return failed(L, b);
  lua_pushinteger(L, b->scan.at - b->scan.begin + 1);
  finished(L, b);
  return 2;
}
