/* wide.c: between bytes and wide characters, in the encoding of the locale; and prompts. */
#include "wide.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void add_wide(luaL_Buffer *b, const wchar_t *text, const wchar_t *end) {
  char bytes[MB_LEN_MAX];
  mbstate_t state = {0};
  for (; text < end; text++) {
    size_t n = wcrtomb(bytes, *text, &state);
    if (n == (size_t)-1) memset(&state, 0, sizeof state);
    else luaL_addlstring(b, bytes, n);
  }
}

void mu_push_wide(lua_State *L, const wchar_t *text, const wchar_t *end) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  add_wide(&b, text, end);
  luaL_pushresult(&b);
}

wchar_t *mu_to_wide(const char *text, size_t n) {
  wchar_t *wide = malloc((n + 2) * sizeof *wide), *to = wide;
  mbstate_t state = {0};
  if (!wide) return NULL;
  for (size_t i = 0; i < n;) {
    size_t rc = mbrtowc(to, text + i, n - i, &state);
    if (rc >= (size_t)-2) {
      memset(&state, 0, sizeof state);
      *to = L'?';
      rc = 1;
    }
    i += rc ? rc : 1;
    to++;
  }
  *to = L'\0';
  return wide;
}

/* ---- the prompt ---- */

/* The end of the escape sequence that begins at text. */
static const wchar_t *end_of_escape(const wchar_t *text) {
  const wchar_t *end = text + 1;
  if (*end == L'[') {
    do end++;
    while (*end && !(*end >= 0x40 && *end <= 0x7e));
  }
  return *end ? end + 1 : end;
}

/* libedit wants a visible character after each sequence: the last blank, or one more, for which text has room. */
static void end_visibly(wchar_t *text) {
  wchar_t *end = text; /* of the last visible character */
  for (wchar_t *at = text; *at;) {
    if (*at == L'\033') at += end_of_escape(at) - at;
    else end = ++at;
  }
  size_t n = wcslen(end);
  if (n == 0) return;
  if (end > text && end[-1] == L' ') {
    wmemmove(end - 1, end, n);
    end[n - 1] = L' ';
  } else {
    end[n] = L' ';
    end[n + 1] = L'\0';
  }
}

void mu_mark_prompt(wchar_t *text, wchar_t *prompt, wchar_t *visible) {
  end_visibly(text);
  while (*text) {
    const wchar_t *end = text;
    while (*end == L'\033') end = end_of_escape(end);
    if (end > text) {
      *prompt++ = MU_PROMPT_MARK;
      while (text < end) *prompt++ = *text++;
      *prompt++ = MU_PROMPT_MARK;
    }
    if (*text) *prompt++ = *visible++ = *text < L' ' ? L' ' : *text;
    if (*text) text++;
  }
  *prompt = *visible = L'\0';
}
