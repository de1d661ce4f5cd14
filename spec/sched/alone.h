/* alone.h: a scheduler on a plain Lua state, with time as a case sets it. Lua reaches it through a few
** globals: sleep yield spawn await cancel gather timeout note now. */
#ifndef SPEC_ALONE_H
#define SPEC_ALONE_H

#include "sched/sched.h"

typedef struct {
  mu_sched s;
  lua_State *L;
  double now;     /* what the scheduler takes for the time */
  char said[512]; /* what scripts noted, each followed by a space */
} alone;

void alone_open(alone *a);
void alone_close(alone *a);

/* Starts a chunk as a task, which is pushed on a->L. */
mu_task *alone_spawn(alone *a, const char *code);

/* Steps at that time until nothing is ready; returns how many steps that took. */
int alone_step(alone *a, double now);

/* The same at the deadlines of the timers, one after the other, until there are none. */
void alone_run(alone *a);

/* What was noted since the last call; is it that? */
const char *alone_said(alone *a);
bool alone_says(alone *a, const char *expected);

#endif
