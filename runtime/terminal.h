/* terminal.h: a session's terminal: lines are edited with libedit while tasks run. A process has one at most. */
#ifndef MU_TERMINAL_H
#define MU_TERMINAL_H

#include "muster.h"

typedef struct mu_terminal mu_terminal;

/* Are stdin and stdout a terminal? */
bool mu_is_terminal(void);

/* Pushes what a session reads from and writes to, a table: terminal (true), color, and the functions read(prompt), write(text),
** width(), height() and remember(line). The terminal belongs to the table; stdout and stderr are the terminal's until
** mu_terminal_close. May raise. NULL, nothing pushed, if there is no line editor for this terminal. */
mu_terminal *mu_terminal_open(lua_State *L, muster *m);
void mu_terminal_close(mu_terminal *t, lua_State *L);

/* Has Tab ask the session on top of L, session:complete(line, cursor). Pops it. */
void mu_terminal_serve(mu_terminal *t, lua_State *L);

/* Did the last line end with an interrupt? Forgets it. */
bool mu_terminal_gave_up(mu_terminal *t);

/* Begins a line of its own if the cursor is not at one; says text there, in red if there are colours. */
void mu_terminal_complain(mu_terminal *t, const char *text);

/* Puts the terminal in the mode in which it was found, for a chunk to run, or to end; until the next line is read. Does
** nothing if none is open. For signal handlers, too. */
void mu_terminal_restore(void);

#endif
