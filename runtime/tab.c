/* tab.c: completion. A session says what may stand before the cursor; what that changes in the line, and on the screen. */
#define _GNU_SOURCE /* wcswidth */
#include "tab.h"

#include "wide.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

/* How many bytes the candidates, strings in the table at index, have in common: whole characters. */
static size_t common_length(lua_State *L, int index, size_t n) {
  size_t common;
  lua_rawgeti(L, index, 1);
  const char *first = luaL_checklstring(L, -1, &common); /* the table keeps it */
  for (size_t i = 2; i <= n; i++) {
    size_t length, same = 0;
    lua_rawgeti(L, index, (lua_Integer)i);
    const char *other = luaL_checklstring(L, -1, &length);
    while (same < common && same < length && first[same] == other[same]) same++;
    common = same;
    lua_pop(L, 1);
  }
  while (common > 0 && (first[common] & 0xc0) == 0x80) common--;
  lua_pop(L, 1);
  return common;
}

static size_t count_characters(const char *text, size_t n) {
  size_t count = 0;
  while (n-- > 0) count += (*text++ & 0xc0) != 0x80;
  return count;
}

static void replace(lua_State *L, EditLine *el, size_t characters, const char *text, size_t n) {
  wchar_t *wide = mu_to_wide(text, n);
  if (!wide) luaL_error(L, "not enough memory");
  if (characters > 0) el_wdeletestr(el, (int)characters);
  el_winsertstr(el, wide);
  free(wide);
}

static int width_of(const char *text, size_t n) {
  wchar_t *wide = mu_to_wide(text, n);
  int width = wide ? wcswidth(wide, n) : -1;
  free(wide);
  return width < 0 ? (int)n : width;
}

static int widest(lua_State *L, int index, int n) {
  int most = 1;
  for (int i = 1; i <= n; i++) {
    size_t length;
    lua_rawgeti(L, index, i);
    const char *text = luaL_checklstring(L, -1, &length);
    int width = width_of(text, length);
    if (width > most) most = width;
    lua_pop(L, 1);
  }
  return most;
}

/* Appends the string on top, and blanks up to width; pops it. */
static void add_cell(luaL_Buffer *b, int width) {
  size_t n;
  const char *text = lua_tolstring(b->L, -1, &n);
  for (width -= width_of(text, n); width > 0; width--) {
    lua_pushliteral(b->L, " ");
    lua_concat(b->L, 2);
  }
  luaL_addvalue(b);
}

/* Pushes the candidates in columns, sorted downwards, cut to the window. */
static void push_columns(lua_State *L, int index, int n) {
  int cell = widest(L, index, n) + 2, columns = mu_screen_width() / cell, room = mu_screen_height() - 3;
  if (columns < 1) columns = 1;
  if (room < 1) room = 1;
  int rows = (n + columns - 1) / columns, shown = rows < room ? rows : room, left = n;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int row = 0; row < shown; row++) {
    for (int i = row; i < n; i += rows, left--) {
      lua_rawgeti(L, index, i + 1);
      add_cell(&b, i + rows < n ? cell : 0);
    }
    luaL_addlstring(&b, "\r\n", 2);
  }
  if (left > 0) {
    lua_pushfstring(L, "… %d more\r\n", left);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* Stack: candidates, what of the line they replace. -> what libedit is to do */
static int use_candidates(lua_State *L, mu_screen *s, int candidates, int typed) {
  size_t n = lua_rawlen(L, candidates), length, common;
  if (n == 0) return CC_REFRESH_BEEP;
  const char *before = lua_tolstring(L, typed, &length);
  common = common_length(L, candidates, n);
  lua_rawgeti(L, candidates, 1);
  const char *first = lua_tostring(L, -1);
  if (n == 1 || common > length) {
    replace(L, s->el, count_characters(before, length), first, common);
    return CC_REFRESH;
  }
  push_columns(L, candidates, n < INT_MAX / 2 ? (int)n : INT_MAX / 2);
  const char *text = lua_tolstring(L, -1, &length);
  mu_screen_show_below(s, text, length);
  return CC_NORM;
}

int mu_complete(lua_State *L) {
  mu_screen *s = lua_touserdata(L, 2);
  const LineInfoW *line = el_wline(s->el);
  lua_settop(L, 1);
  mu_push_wide(L, line->buffer, line->cursor); /* 2 */
  lua_Integer cursor = (lua_Integer)lua_rawlen(L, 2);
  lua_getfield(L, 1, "complete");
  lua_pushvalue(L, 1);
  mu_push_wide(L, line->buffer, line->lastchar);
  lua_pushinteger(L, cursor);
  lua_call(L, 3, 2); /* 3: first, 4: candidates */
  lua_Integer first = luaL_checkinteger(L, 3);
  luaL_checktype(L, 4, LUA_TTABLE);
  if (first < 1 || first > cursor + 1) luaL_error(L, "complete: bad position");
  lua_pushlstring(L, lua_tostring(L, 2) + first - 1, (size_t)(cursor - first + 1)); /* 5 */
  lua_pushinteger(L, use_candidates(L, s, 4, 5));
  return 1;
}
