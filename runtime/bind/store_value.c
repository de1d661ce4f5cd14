/* store_value.c: Lua values as parameters, and rows as Lua tables. */
#include "bind/store.h"

#include <stdarg.h>
#include <string.h>

const char MU_STORE_BLOB[] = "store.blob";

/* ---- misuse ---- */

static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline < 0 || strncmp(ar.source, "=muster/", 8) == 0) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

int mu_store_refuse(lua_State *L, const char *fmt, ...) {
  va_list arguments;
  push_where(L);
  va_start(arguments, fmt);
  lua_pushvfstring(L, fmt, arguments);
  va_end(arguments);
  lua_concat(L, 2);
  return lua_error(L);
}

/* ---- parameters ---- */

static void add(lua_State *L, mu_buffer *b, const void *bytes, size_t n) {
  if (!mu_buffer_add(b, bytes, n)) luaL_error(L, "not enough memory");
}

static void add_tag(lua_State *L, mu_buffer *b, char tag) { add(L, b, &tag, 1); }

static void add_eight(lua_State *L, mu_buffer *b, char tag, const void *eight) {
  add_tag(L, b, tag);
  add(L, b, eight, 8);
}

static void add_string(lua_State *L, mu_buffer *b, char tag, int index) {
  size_t size;
  const char *bytes = lua_tolstring(L, index, &size);
  add_eight(L, b, tag, &(int64_t){(int64_t)size});
  add(L, b, bytes, size);
}

static bool is_blob(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool same = luaL_getmetatable(L, MU_STORE_BLOB) == LUA_TTABLE && lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static bool add_blob(lua_State *L, mu_buffer *b, int index) {
  if (!is_blob(L, index)) return false;
  bool is_string = lua_rawgeti(L, index, 1) == LUA_TSTRING;
  if (is_string) add_string(L, b, MU_BLOB, -1);
  lua_pop(L, 1);
  return is_string;
}

static void add_number(lua_State *L, mu_buffer *b, int index) {
  if (lua_isinteger(L, index)) add_eight(L, b, MU_INTEGER, &(int64_t){lua_tointeger(L, index)});
  else add_eight(L, b, MU_FLOAT, &(double){lua_tonumber(L, index)});
}

/* False: it is nothing that SQLite knows. */
static bool add_value(lua_State *L, mu_buffer *b, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNIL: add_tag(L, b, MU_NULL); return true;
    case LUA_TNUMBER: add_number(L, b, index); return true;
    case LUA_TSTRING: add_string(L, b, MU_TEXT, index); return true;
    case LUA_TBOOLEAN: add_eight(L, b, MU_INTEGER, &(int64_t){lua_toboolean(L, index)}); return true;
    case LUA_TTABLE: return add_blob(L, b, index);
    case LUA_TLIGHTUSERDATA: add_tag(L, b, MU_NULL); return !lua_touserdata(L, index); /* null */
    default: return false;
  }
}

static const char values[] = "a string, a number, a boolean, nil, store.null or store.blob(s)";

static void refuse_value(lua_State *L, int index, const char *name, const char *what) {
  mu_store_refuse(L, "store.%s: parameter %s must be %s, got %s", what, name, values,
                  luaL_typename(L, index));
}

static void add_place(lua_State *L, mu_buffer *b, int key, const char *what) {
  if (lua_isinteger(L, key)) {
    lua_Integer n = lua_tointeger(L, key);
    int32_t place = n >= 1 && n <= INT32_MAX ? (int32_t)n : 0;
    add_tag(L, b, MU_AT);
    return add(L, b, &place, sizeof place);
  }
  if (lua_type(L, key) != LUA_TSTRING)
    mu_store_refuse(L, "store.%s: parameters are named by strings, or numbered, got a key that is a %s", what,
                    luaL_typename(L, key));
  size_t size;
  const char *name = lua_tolstring(L, key, &size);
  if (strlen(name) != size) mu_store_refuse(L, "store.%s: the name of a parameter has a zero byte", what);
  add_tag(L, b, MU_NAMED);
  add(L, b, name, size + 1);
}

void mu_store_put_row(lua_State *L, mu_store_job *job, int row, const char *what) {
  mu_buffer *b = &job->request;
  lua_Integer n = (lua_Integer)lua_rawlen(L, row);
  int value = lua_gettop(L) + 1;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, row, i);
    add_tag(L, b, MU_NEXT);
    if (!add_value(L, b, value)) refuse_value(L, value, lua_pushfstring(L, "%I", (LUAI_UACINT)i), what);
    lua_pop(L, 1);
  }
  for (lua_pushnil(L), value++; lua_next(L, row); lua_pop(L, 1)) {
    if (n && lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n) continue;
    add_place(L, b, value - 1, what);
    if (add_value(L, b, value)) continue;
    refuse_value(L, value, lua_pushfstring(L, "'%s'", luaL_tolstring(L, value - 1, NULL)), what);
  }
  add_tag(L, b, MU_SET);
}

void mu_store_put_arguments(lua_State *L, mu_store_job *job, int first, const char *what) {
  mu_buffer *b = &job->request;
  int last = lua_gettop(L);
  if (first == last && lua_istable(L, first) && !is_blob(L, first))
    return mu_store_put_row(L, job, first, what);
  job->exact = true;
  for (int i = first; i <= last; i++) {
    add_tag(L, b, MU_NEXT);
    if (!add_value(L, b, i)) refuse_value(L, i, lua_pushfstring(L, "%d", i - first + 1), what);
  }
  add_tag(L, b, MU_SET);
}

void mu_store_put_sql(lua_State *L, mu_store_job *job, int sql, const char *what) {
  size_t size;
  if (lua_type(L, sql) != LUA_TSTRING)
    mu_store_refuse(L, "store.%s: the SQL must be a string, got %s", what, luaL_typename(L, sql));
  const char *text = lua_tolstring(L, sql, &size);
  if (strlen(text) != size) mu_store_refuse(L, "store.%s: the SQL has a zero byte", what);
  if (size > INT32_MAX) mu_store_refuse(L, "store.%s: the SQL is too long", what);
  add(L, &job->request, text, size + 1);
  job->sql_size = size;
}

/* ---- rows ---- */

const char *mu_store_push_names(lua_State *L, const mu_store_job *job) {
  const char *at = job->reply.at;
  lua_createtable(L, job->columns, 0);
  for (int i = 1; i <= job->columns; i++) {
    lua_pushstring(L, at);
    lua_rawseti(L, -2, i);
    at += strlen(at) + 1;
  }
  return at;
}

/* Pushes a value that is not NULL. */
static const char *push_value(lua_State *L, char tag, const char *at) {
  int64_t number;
  double real;
  memcpy(&number, at, sizeof number);
  memcpy(&real, at, sizeof real);
  at += sizeof number;
  if (tag == MU_INTEGER) {
    lua_pushinteger(L, number);
  } else if (tag == MU_FLOAT) {
    lua_pushnumber(L, real);
  } else {
    lua_pushlstring(L, at, (size_t)number);
    at += number;
  }
  return at;
}

const char *mu_store_push_row(lua_State *L, const char *at, int columns, int names) {
  lua_createtable(L, 0, columns);
  for (int i = 1; i <= columns; i++) {
    char tag = *at++;
    if (tag == MU_NULL) continue;
    lua_rawgeti(L, names, i);
    at = push_value(L, tag, at);
    lua_rawset(L, -3);
  }
  return at;
}
