/* screen.h: a terminal on which a line is edited while tasks print. Their output goes above the line.
**
** stdout and stderr (C's, and those of Lua's io library) become streams that come by here: while a line is edited, what
** they write first takes the line off the screen; the line is drawn again, below, at the loop's next turn. Otherwise
** they write straight through. The descriptors 1 and 2 stay what they are.
** Owner: the terminal (terminal.c). One thread, that of the runtime; others may print, and are not kept apart. */
#ifndef MU_SCREEN_H
#define MU_SCREEN_H

#include "muster.h"

#include <histedit.h>
#include <pthread.h>
#include <stdio.h>
#include <wchar.h>

typedef struct mu_screen mu_screen;

/* One of the two streams. */
typedef struct {
  mu_screen *screen;
  FILE *real, *ours; /* ours: NULL while it is not replaced */
  int fd;
} mu_stream;

struct mu_screen {
  muster *m;
  EditLine *el;
  pthread_t thread;
  mu_stream out, err;
  const wchar_t *prompt;        /* what shows of it */
  int columns;                  /* of the window for which the line was drawn */
  bool capable;                 /* of moving up, clearing, and wrapping lines */
  bool editing, erased, posted; /* erased: output has taken the line's place, a redraw is due */
  int column;                   /* where output ended, counted in cells of its line; as many as there are: the
                                             next one begins a line */
  int sequence;                 /* inside which kind of escape sequence output ended */
  mbstate_t partial;            /* and inside which character */
};

/* Takes over stdout, and stderr if it is a terminal too. s is zeroed but for m. el_init comes between: it gets out.real.
** Returns false if memory is short. */
bool mu_screen_open(mu_screen *s, lua_State *L);
void mu_screen_use(mu_screen *s, EditLine *el);

/* Gives them back. */
void mu_screen_close(mu_screen *s, lua_State *L);

/* The window: as it is now. */
int mu_screen_width(void);
int mu_screen_height(void);

/* Begins a line of its own if the cursor is not at one. */
void mu_screen_fresh_line(mu_screen *s);

/* A line is edited from here, below what there is, which output may go on with; until here. */
void mu_screen_begin(mu_screen *s, const wchar_t *prompt);
void mu_screen_end(mu_screen *s, bool at_new_line);

/* While a line is edited. Draws it again if output has taken its place. */
void mu_screen_redraw(mu_screen *s);

/* Puts the cursor at the end of the line, which stays as it is. */
void mu_screen_leave(mu_screen *s);

/* Shows whole lines of text below it, and draws the line once more below them. */
void mu_screen_show_below(mu_screen *s, const char *text, size_t n);

/* Draws the line again after the window has changed its size, or, if lost, somebody else has drawn there. */
void mu_screen_refit(mu_screen *s, bool lost);

#endif
