/* site.h: the places of a script where tasks are spawned. Each is kept once, under a number that fits into a task.
**
** Finding the number of the calling line costs no memory but the first time. Sites are freed with the scheduler; a
** program that makes up new chunks for ever stops adding to them at some point. */
#ifndef MU_SITE_H
#define MU_SITE_H

#include "sched/sched.h"

enum {
  MU_SITE_NONE,
  MU_SITE_HOST,
  MU_SITE_FIRST
}; /* whoever awaits it started it; C code did; the first of a script */

/* The number of the script's innermost line that runs: the C function that runs L calls this. MU_SITE_HOST if there is
** none, MU_SITE_NONE if it cannot be kept. */
uint32_t mu_site_here(lua_State *L, mu_sched *s);

/* Pushes "source:line", "the host", or nil. */
void mu_site_push(lua_State *L, const mu_sched *s, uint32_t site);

/* Pushes "\n\tspawned at source:line", to follow frames; "" unless that is a line of a script. */
void mu_site_push_line(lua_State *L, const mu_sched *s, uint32_t site);

void mu_sites_free(mu_sched *s);

#endif
