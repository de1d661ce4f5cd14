/* wide.h: text as libedit has it, in wide characters. */
#ifndef MU_WIDE_H
#define MU_WIDE_H

#include <lua.h>
#include <wchar.h>

/* A copy for the caller to free, with room for one more character. Bytes that make no character become '?'. NULL: out of
** memory. */
wchar_t *mu_to_wide(const char *text, size_t n);

/* Pushes the characters from text to end as a string. Raises if memory is short. */
void mu_push_wide(lua_State *L, const wchar_t *text, const wchar_t *end);

enum { MU_PROMPT_MARK = 1 }; /* to libedit: what is between two of these takes no room on the screen */

/* Marks the escape sequences of a prompt: copies all of it to prompt (room for 3 times its length and 4), and what shows
** of it to visible (its length and 2). text, which has room for one more character, may be changed. */
void mu_mark_prompt(wchar_t *text, wchar_t *prompt, wchar_t *visible);

#endif
