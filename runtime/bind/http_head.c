/* http_head.c: the headers of a response, as a list of names and values. */
#include "bind/http.h"

#include <string.h>

typedef struct {
  const char *from, *to;
} part;

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static part trimmed(const char *from, const char *to) {
  while (from < to && is_blank(*from)) from++;
  while (from < to && is_blank(to[-1])) to--;
  return (part){from, to};
}

static void push(lua_State *L, part p) { lua_pushlstring(L, p.from, (size_t)(p.to - p.from)); }

/* Adds what goes on from the line before to the last value of the list on top, which has n elements. */
static void unfold(lua_State *L, lua_Integer n, part more) {
  if (more.from == more.to) return;
  lua_rawgeti(L, -1, n);
  lua_pushliteral(L, " ");
  push(L, more);
  lua_concat(L, 3);
  lua_rawseti(L, -2, n);
}

/* Adds a line to the list on top, which has n elements; returns how many it has then. What has no name is left out. */
static lua_Integer add(lua_State *L, lua_Integer n, part line) {
  const char *colon = memchr(line.from, ':', (size_t)(line.to - line.from));
  if (line.from == line.to || colon == line.from) return n;
  if (is_blank(*line.from)) {
    if (n > 0 && (*line.from == ' ' || *line.from == '\t')) unfold(L, n, trimmed(line.from, line.to));
    return n;
  }
  if (!colon) return n;
  push(L, trimmed(line.from, colon));
  lua_rawseti(L, -2, n + 1);
  push(L, trimmed(colon + 1, line.to));
  lua_rawseti(L, -2, n + 2);
  return n + 2;
}

void mu_http_push_head(lua_State *L, const char *head, size_t size) {
  enum { USUAL = 16 }; /* eight headers */
  const char *end = head + size, *at = memchr(head, '\n', size);
  lua_Integer n = 0;
  lua_createtable(L, USUAL, 0);
  while (at && ++at < end) {
    const char *next = memchr(at, '\n', (size_t)(end - at));
    n = add(L, n, (part){at, next ? next : end});
    at = next;
  }
}
