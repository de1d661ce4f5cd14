/* json_error.c: why a text is not JSON, for a person, a model, and a script. */
#include "bind/json.h"

/* Pushes the byte that was found, in words. */
static const char *push_got(lua_State *L, int got) {
  if (got < 0) return lua_pushliteral(L, "the end of the text");
  if (got > ' ' && got < 0x7F) return lua_pushfstring(L, "'%c'", got);
  static const char hex[] = "0123456789ABCDEF";
  return lua_pushfstring(L, "byte 0x%c%c", hex[got >> 4], hex[got & 15]);
}

/* Pushes what is wrong. */
static const char *push_problem(lua_State *L, const mu_json_builder *b) {
  const mu_json *s = &b->scan;
  switch (s->error) {
    case MU_JSON_BAD_CONTROL:
      return lua_pushfstring(L, "%s in a string must be escaped", push_got(L, s->got));
    case MU_JSON_BAD_ESCAPE: return lua_pushliteral(L, "invalid escape in a string");
    case MU_JSON_BAD_UTF8: return lua_pushliteral(L, "invalid UTF-8 in a string");
    case MU_JSON_BAD_NUMBER: return lua_pushliteral(L, "number too large");
    case MU_JSON_TOO_DEEP: return lua_pushfstring(L, "nested deeper than %d", (int)s->max_depth);
    case MU_JSON_TOO_LONG: return lua_pushfstring(L, "longer than %I bytes", (LUAI_UACINT)b->max_bytes);
    default: return lua_pushfstring(L, "expected %s, got %s", mu_json_expected(s), push_got(L, s->got));
  }
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

void mu_json_push_error(lua_State *L, mu_json_builder *b) {
  const mu_json *s = &b->scan;
  uint64_t line = s->line + 1, column = s->offset - s->line_begin + 1;
  luaL_checkstack(L, 12, NULL);
  mu_json_push_partial(L, b);
  int partial = lua_gettop(L);
  const char *problem = push_problem(L, b);
  mu_push_error(L, "json", "line %I, column %I: %s", (LUAI_UACINT)line, (LUAI_UACINT)column, problem);
  set_integer(L, "offset", s->offset + 1);
  set_integer(L, "line", line);
  set_integer(L, "column", column);
  lua_pushboolean(L, s->error == MU_JSON_TRUNCATED);
  lua_setfield(L, -2, "truncated");
  lua_pushvalue(L, partial);
  lua_setfield(L, -2, "partial");
  lua_replace(L, partial);
  lua_settop(L, partial);
}
