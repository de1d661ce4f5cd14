/* json_parser.c: the incremental parser, and the module. */
#include "bind/json.h"

enum {            /* user values of a parser */
       STORE = 1, /* the coroutine on whose stack the values lie between calls */
       FAILURE,   /* the error of the text */
       PATH,      /* a copy, for its strings */
       USER_VALUES = PATH
};

enum { STORED_MOST = 32 }; /* slots that are moved to and fro at each call, unless more are needed */

/* ---- between calls the slots from MU_JSON_ARRAYS on, and the values, are in the store ---- */

static void make_store(lua_State *L, mu_json_builder *b, int parser) {
  b->store = lua_newthread(L);
  lua_setiuservalue(L, parser, STORE);
  mu_json_push_arrays(L);
  mu_json_push_null_option(L, 1);
  lua_pushnil(L);
  lua_xmove(L, b->store, MU_JSON_BOTTOM - MU_JSON_ARRAYS);
}

/* Arguments above 2 go, and the rest is brought. An error raised from here on breaks the parser: values are lost. */
static mu_json_builder *enter(lua_State *L) {
  mu_json_builder *b = mu_check_object(L, 1);
  if (b->broken) luaL_error(L, "json.parser: a call of it failed, or has not ended");
  lua_settop(L, 2);
  int n = lua_gettop(b->store);
  luaL_checkstack(L, n, NULL);
  b->broken = true;
  lua_xmove(b->store, L, n);
  return b;
}

/* Takes all back but the value at MU_JSON_CLOSED, which is then on top. */
static void leave(lua_State *L, mu_json_builder *b) {
  if (lua_gettop(L) > STORED_MOST) mu_json_settle(L, b);
  int n = lua_gettop(L) - 2;
  if (!lua_checkstack(b->store, n)) luaL_error(L, "not enough memory");
  lua_copy(L, MU_JSON_CLOSED, 2);
  lua_pushnil(L);
  lua_replace(L, MU_JSON_CLOSED);
  lua_xmove(L, b->store, n);
  b->broken = false;
}

/* ---- making one ---- */

static void read_step(lua_State *L, mu_json_builder *b, uint32_t i) {
  mu_json_step *step = &b->path[i];
  *step = (mu_json_step){0};
  if (lua_isinteger(L, -1)) step->index = lua_tointeger(L, -1);
  else if (lua_type(L, -1) == LUA_TSTRING) step->key = lua_tolstring(L, -1, &step->size);
  else luaL_argerror(L, 1, "option 'path' must be a list of keys and positions");
}

/* Pushes a copy of the option, a list; returns its length. */
static uint32_t push_path(lua_State *L) {
  lua_newtable(L);
  if (!lua_istable(L, 1)) return 0;
  int type = lua_getfield(L, 1, "path");
  if (type != LUA_TNIL && type != LUA_TTABLE) luaL_argerror(L, 1, "option 'path' must be a list");
  lua_Unsigned n = type == LUA_TTABLE ? lua_rawlen(L, -1) : 0;
  luaL_argcheck(L, n <= MU_JSON_DEPTH_MOST, 1, "option 'path' is too long");
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i);
    lua_rawseti(L, -3, (lua_Integer)i);
  }
  lua_pop(L, 1);
  return (uint32_t)n;
}

/* [options] -> parser */
int mu_json_parser(lua_State *L) {
  static const char *const names[] = {"path", "max_depth", "max_bytes", "keep", "null", NULL};
  mu_check_options(L, 1, names);
  lua_settop(L, 1);
  uint32_t steps = push_path(L);
  mu_json_builder *b = mu_json_new_builder(L, steps, USER_VALUES, lua_upvalueindex(2));
  b->has_path = true;
  b->drops = !mu_json_flag_option(L, 1, "keep", true);
  b->scan.max_depth = (uint32_t)mu_json_integer_option(L, 1, "max_depth", MU_JSON_DEPTH_MOST, MU_JSON_DEPTH);
  b->max_bytes = (uint64_t)mu_json_integer_option(L, 1, "max_bytes", LUA_MAXINTEGER, LUA_MAXINTEGER);
  for (uint32_t i = 0; i < steps; i++, lua_pop(L, 1)) lua_rawgeti(L, 2, i + 1), read_step(L, b, i);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, PATH);
  make_store(L, b, 3);
  return 1;
}

/* ---- methods ---- */

static int push_failure(lua_State *L) {
  lua_pushnil(L);
  lua_getiuservalue(L, 1, FAILURE);
  return 2;
}

/* The error of the scanner becomes that of the parser. */
static void fail(lua_State *L, mu_json_builder *b) {
  mu_json_push_error(L, b);
  lua_setiuservalue(L, 1, FAILURE);
}

static bool too_long(const mu_json_builder *b, size_t size) {
  uint64_t before = b->scan.before + (uint64_t)(b->scan.end - b->scan.begin);
  return size > b->max_bytes || before > b->max_bytes - size;
}

static mu_json_event parse(lua_State *L, mu_json_builder *b, const char *chunk, size_t size) {
  bool fits = !too_long(b, size);
  mu_json_feed(&b->scan, chunk, size);
  b->closed = 0;
  if (fits) return mu_json_build(L, b, false);
  b->scan.error = MU_JSON_TOO_LONG;
  b->scan.offset = b->max_bytes;
  return MU_JSON_FAILED;
}

/* parser:feed(chunk) -> a list of the elements that it closed; or nil, error. Elements that come before an error in the
** same chunk are given first, and the error by the next call. */
static int feed(lua_State *L) {
  size_t size;
  const char *chunk = luaL_checklstring(L, 2, &size);
  mu_json_builder *b = enter(L);
  if (b->scan.error) return leave(L, b), push_failure(L);
  if (parse(L, b, chunk, size) == MU_JSON_FAILED) fail(L, b);
  leave(L, b);
  mu_json_feed(&b->scan, "", 0); /* the chunk may go */
  if (b->scan.error && !b->closed) return push_failure(L);
  if (!b->closed) lua_newtable(L);
  return 1;
}

/* parser:partial() -> the value so far */
static int partial(lua_State *L) {
  lua_settop(L, 1);
  mu_json_builder *b = enter(L);
  mu_json_push_partial(L, b);
  lua_replace(L, MU_JSON_CLOSED);
  leave(L, b);
  return 1;
}

/* parser:finish() -> the whole value; or nil, error */
static int finish(lua_State *L) {
  lua_settop(L, 1);
  mu_json_builder *b = enter(L);
  bool known = b->scan.error;
  if (!known && mu_json_build_end(L, b) == MU_JSON_FAILED) fail(L, b);
  if (!b->scan.error) {
    lua_pushvalue(L, MU_JSON_BOTTOM);
    lua_replace(L, MU_JSON_CLOSED);
    mu_json_free(&b->scan); /* only white space may follow */
  }
  leave(L, b);
  return b->scan.error ? push_failure(L) : 1;
}

/* ---- the module ---- */

void mu_open_json(lua_State *L, int s) {
  static const luaL_Reg methods[] = {
      {"feed", feed}, {"partial", partial}, {"finish", finish}, {"__gc", mu_json_collect}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"decode", mu_json_decode}, {"prefix", mu_json_prefix}, {"parser", mu_json_parser}, {NULL, NULL}};
  lua_newtable(L);
  mu_class(L, s, "json.parser", methods);
  mu_constructors(L, s, functions);
  mu_json_add_encode(L, s);
  mu_json_push_arrays(L);
  lua_setfield(L, -2, "arrays");
  mu_json_push_objects(L);
  lua_setfield(L, -2, "objects");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
