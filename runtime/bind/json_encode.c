/* json_encode.c: text from Lua values. No recursion, and no code of the script's is called: tables are read raw. */
#include "bind/json_encode.h"

#include "base/json_number.h"
#include "base/json_string.h"
#include "base/utf8.h"

#include <math.h>

static int no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

static void write(lua_State *L, mu_json_encoder *e, const char *text, size_t n) {
  if (!mu_buffer_add(&e->out, text, n)) no_memory(L);
}

static void write_byte(lua_State *L, mu_json_encoder *e, char c) { write(L, e, &c, 1); }

/* ---- scalars ---- */

static void write_control(lua_State *L, mu_json_encoder *e, unsigned char c) {
  static const char names[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
  const char *name = memchr(names, c, sizeof names - 1);
  char text[] = "\\u00XX";
  if (name) text[1] = escapes[name - names];
  text[4] = hex[c >> 4];
  text[5] = hex[c & 15];
  write(L, e, text, name ? 2 : 6);
}

/* A sequence of UTF-8 at p, or what takes the place of a byte that is none. Returns the bytes read. */
static size_t write_sequence(lua_State *L, mu_json_encoder *e, const char *p, size_t n) {
  int length = mu_utf8_length(p, n);
  if (length > 0) return write(L, e, p, (size_t)length), (size_t)length;
  if (!e->replaces) mu_json_refuse(L, e, "the string is not valid UTF-8");
  write(L, e, "\xEF\xBF\xBD", 3);
  return 1;
}

static void write_string(lua_State *L, mu_json_encoder *e, int index) {
  size_t size;
  const char *p = lua_tolstring(L, index, &size), *end = p + size;
  if (!mu_buffer_reserve(&e->out, size + 2)) no_memory(L);
  write_byte(L, e, '"');
  while (p < end) {
    size_t n = mu_json_plain(p, end);
    write(L, e, p, n);
    p += n;
    if (p == end) break;
    if ((signed char)*p >= 0) write_control(L, e, (unsigned char)*p++);
    else p += write_sequence(L, e, p, (size_t)(end - p));
  }
  write_byte(L, e, '"');
}

static void write_number(lua_State *L, mu_json_encoder *e) {
  if (!mu_buffer_reserve(&e->out, MU_JSON_NUMBER_ROOM)) no_memory(L);
  char *to = e->out.at + e->out.size;
  if (lua_isinteger(L, -1)) e->out.size += mu_json_write_integer(to, lua_tointeger(L, -1));
  else {
    double number = lua_tonumber(L, -1);
    if (isnan(number)) mu_json_refuse(L, e, "NaN is not a number of JSON");
    if (isinf(number)) mu_json_refuse(L, e, "infinity is not a number of JSON");
    e->out.size += mu_json_write_float(to, number);
  }
}

/* The value on top of L, no table. */
static void write_scalar(lua_State *L, mu_json_encoder *e) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL: return write(L, e, "null", 4);
    case LUA_TBOOLEAN: return lua_toboolean(L, -1) ? write(L, e, "true", 4) : write(L, e, "false", 5);
    case LUA_TNUMBER: return write_number(L, e);
    case LUA_TSTRING: return write_string(L, e, -1);
    case LUA_TLIGHTUSERDATA:
      if (!lua_touserdata(L, -1)) return write(L, e, "null", 4);
      break;
    default: break;
  }
  mu_json_refuse(L, e, lua_pushfstring(L, "a %s cannot be written", luaL_typename(L, -1)));
}

/* ---- lists and objects ---- */

static void write_break(lua_State *L, mu_json_encoder *e, uint32_t depth) {
  if (!e->pretty) return;
  write_byte(L, e, '\n');
  while (depth-- > 0) write(L, e, "  ", 2);
}

static bool is_list(const mu_json_open *f) { return f->way <= MU_JSON_LIST_GET; }

/* Writes the text that the metatable on top of L has for its table, if it has one. A text is of one form only. */
static bool write_prepared(lua_State *L, mu_json_encoder *e) {
  if (e->canonical || e->pretty) return false;
  lua_pushliteral(L, "__json");
  bool has = lua_rawget(L, -2) == LUA_TSTRING;
  size_t size;
  const char *text = has ? lua_tolstring(L, -1, &size) : NULL;
  if (has) write(L, e, text, size);
  lua_pop(L, 1);
  return has;
}

/* Does the metatable of the table at index say how it is written? It stays in force for the choice below. */
static mu_json_way choose(lua_State *L, mu_json_encoder *e, int index) {
  mu_json_way map = e->canonical ? MU_JSON_MAP_KEYS : MU_JSON_MAP_NEXT;
  if (lua_getmetatable(L, index)) {
    mu_json_push_arrays(L);
    mu_json_push_objects(L);
    bool list = lua_rawequal(L, -3, -2), object = lua_rawequal(L, -3, -1);
    lua_pop(L, 2);
    bool written = !list && !object && write_prepared(L, e);
    lua_pushliteral(L, "__keys");
    bool keys = lua_rawget(L, -2) == LUA_TTABLE;
    lua_settop(L, index);
    if (written) return MU_JSON_WRITTEN;
    if (list) return MU_JSON_LIST_NEXT;
    if (keys) return MU_JSON_MAP_KEYS;
    if (object) return map;
  }
  lua_pushnil(L);
  bool list = lua_next(L, index) && lua_isinteger(L, index + 1);
  lua_settop(L, index);
  return list ? MU_JSON_LIST_NEXT : map;
}

/* Pushes the list of keys of the table on top of L. */
static lua_Integer push_keys(lua_State *L, mu_json_encoder *e) {
  int index = lua_gettop(L);
  if (e->canonical || !luaL_getmetafield(L, index, "__keys")) return mu_json_push_sorted(L, e, index);
  lua_Integer n = mu_json_push_ordered(L, e, index);
  lua_remove(L, index + 1);
  return n;
}

/* The table on top of L is opened; above it goes what comes before its first key. */
static void open(lua_State *L, mu_json_encoder *e) {
  luaL_checkstack(L, 16, NULL);
  mu_json_open f = {.base = lua_gettop(L)};
  if (!mu_buffer_add(&e->frames, (const char *)&f, sizeof f)) no_memory(L);
  if (e->depth++ == e->max_depth) mu_json_refuse_depth(L, e);
  f.way = choose(L, e, f.base);
  e->depth--;
  if (f.way == MU_JSON_WRITTEN) {
    e->frames.size -= sizeof f;
    return lua_pop(L, 1);
  }
  if (f.way == MU_JSON_MAP_KEYS) f.n = push_keys(L, e);
  else lua_pushnil(L);
  *mu_json_frame_of(e, e->depth++) = f;
  write_byte(L, e, is_list(&f) ? '[' : '{');
}

static void close(lua_State *L, mu_json_encoder *e, const mu_json_open *f) {
  char end = is_list(f) ? ']' : '}';
  lua_settop(L, f->base - 1);
  e->depth--;
  if (f->i) write_break(L, e, e->depth);
  e->frames.size -= sizeof *f;
  write_byte(L, e, end);
}

/* A list whose keys do not come in order: how many are there, if they are 1 to n and nothing else? */
static lua_Integer count_list(lua_State *L, mu_json_encoder *e, int index) {
  lua_Integer n = 0, most = 0;
  e->depth--; /* it is the table that is wrong, none of its elements */
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), n++) {
    if (!lua_isinteger(L, -2)) mu_json_refuse(L, e, "the table has positions, and keys that are none");
    lua_Integer key = lua_tointeger(L, -2);
    if (key < 1) mu_json_refuse(L, e, "a position in a list is below 1");
    if (key > most) most = key;
  }
  if (most != n) mu_json_refuse(L, e, "the list has holes");
  e->depth++;
  return n;
}

/* Each pushes the next value of the table, onto its slot; false at the end. */

static bool next_in_list(lua_State *L, mu_json_encoder *e, mu_json_open *f) {
  if (f->way == MU_JSON_LIST_NEXT) {
    if (!lua_next(L, f->base)) return false;
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == f->i + 1) return true;
    lua_pop(L, 1);
    f->n = count_list(L, e, f->base);
    f->way = MU_JSON_LIST_GET;
  }
  if (f->i == f->n) return false;
  lua_rawgeti(L, f->base, f->i + 1);
  return true;
}

/* The key is then in its slot, or below the value. */
static bool next_in_map(lua_State *L, mu_json_encoder *e, mu_json_open *f) {
  if (f->way == MU_JSON_MAP_NEXT) {
    if (!lua_next(L, f->base)) return false;
    if (lua_type(L, -2) == LUA_TSTRING) return true;
    e->depth--;
    mu_json_refuse(L, e, "a key of an object must be a string");
  }
  if (f->i == f->n) return false;
  lua_rawgeti(L, f->base + MU_JSON_KEY_SLOT, f->i + 1);
  lua_pushvalue(L, -1);
  lua_rawget(L, f->base);
  return true;
}

static void write_key(lua_State *L, mu_json_encoder *e, const mu_json_open *f) {
  write_string(L, e, -2);
  write(L, e, ": ", e->pretty ? 2 : 1);
  if (f->way == MU_JSON_MAP_KEYS) lua_remove(L, -2);
}

/* Writes what is before the next value of the innermost table, and pushes it; or ends the table. */
static bool step(lua_State *L, mu_json_encoder *e) {
  mu_json_open *f = mu_json_frame_of(e, e->depth - 1);
  bool list = is_list(f);
  if (!(list ? next_in_list(L, e, f) : next_in_map(L, e, f))) return close(L, e, f), false;
  if (f->i++) write_byte(L, e, ',');
  write_break(L, e, e->depth);
  if (!list) write_key(L, e, f);
  return true;
}

static void write_value(lua_State *L, mu_json_encoder *e) {
  if (lua_istable(L, -1)) return open(L, e);
  write_scalar(L, e);
  lua_pop(L, 1);
}

/* ---- the function ---- */

static void release(mu_json_encoder *e) {
  mu_buffer_free(&e->out);
  mu_buffer_free(&e->frames);
}

static int collect(lua_State *L) {
  release(mu_check_object(L, 1));
  return 0;
}

static bool replaces(lua_State *L) {
  static const char *const names[] = {"error", "replace", NULL};
  if (!lua_istable(L, 2)) return false;
  lua_getfield(L, 2, "invalid_utf8");
  int choice = luaL_checkoption(L, -1, "error", names);
  lua_pop(L, 1);
  return choice == 1;
}

static const char spare = 's';

/* That of the last call, if it has left it. */
static mu_json_encoder *push_empty_encoder(lua_State *L) {
  if (mu_json_take_spare(L, &spare)) return lua_touserdata(L, -1);
  void *data;
  lua_Alloc alloc = lua_getallocf(L, &data);
  lua_pop(L, 1);
  mu_json_encoder *e = lua_newuserdatauv(L, sizeof *e, 0);
  *e = (mu_json_encoder){.out = MU_BUFFER(alloc, data), .frames = MU_BUFFER(alloc, data)};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return e;
}

static void keep(lua_State *L, mu_json_encoder *e) {
  if (e->out.room + e->frames.room > MU_JSON_SPARE_ROOM) release(e);
  e->out.size = e->frames.size = 0;
  mu_json_keep_spare(L, 3, &spare);
}

static mu_json_encoder *push_encoder(lua_State *L) {
  static const char *const names[] = {"canonical", "pretty", "max_depth", "invalid_utf8", NULL};
  mu_check_options(L, 2, names);
  mu_json_encoder *e = push_empty_encoder(L);
  e->canonical = mu_json_flag_option(L, 2, "canonical", false);
  e->pretty = mu_json_flag_option(L, 2, "pretty", false);
  e->max_depth = (uint32_t)mu_json_integer_option(L, 2, "max_depth", MU_JSON_DEPTH_MOST, MU_JSON_DEPTH);
  e->replaces = replaces(L);
  return e;
}

/* value [, options] -> text */
static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  mu_json_encoder *e = push_encoder(L);
  lua_pushvalue(L, 1);
  write_value(L, e);
  while (e->depth)
    if (step(L, e)) write_value(L, e);
  lua_pushlstring(L, e->out.at, e->out.size);
  keep(L, e);
  return 1;
}

void mu_json_add_encode(lua_State *L, int s) {
  static const luaL_Reg methods[] = {{"__gc", collect}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"encode", encode}, {NULL, NULL}};
  mu_class(L, s, "json.encoder", methods);
  mu_constructors(L, s, functions);
}
