/* inspect.h: facts of a task that goes on, as a Lua table. Nothing here changes a task, suspends, or calls a script.
**
** task       its userdata                   status     as task:status()
** id         1, 2, … as they start          name       if it was given one
** daemon     true, or absent                cancelled  true, or absent
** main       true for the first task, if a main chunk is below all that it runs
** line       "source:line" of its innermost line of the script, or absent
** spawned    "source:line", "the host", or absent
** timeout    seconds until the first of its deadlines, or absent
** awaited_by the ids of the tasks that wait for its end, or whose group it is in; of many, the first
** waits      what it waits for, a list of tables:
**   what     in words, without what changes from moment to moment
**   seconds  how long it has waited
**   on       the id of the task that it awaits
**   detail   more words
**   left     seconds until it fires, of a timer
**   holders  ids of tasks that hold what it waits for
**   others   how many permits are held by nobody knows whom
**   loaders  of a module: the id of the task that loads it */
#ifndef MU_INSPECT_H
#define MU_INSPECT_H

#include "sched/inside.h"

/* Pushes the table of the task at index, which is started and has not ended; otherwise nil. */
void mu_facts_push(lua_State *L, mu_sched *s, int index);

/* For the describe of a class: sets a field of the table on top of L to a text. As lua_pushfstring. */
void mu_describe(lua_State *L, const char *field, const char *fmt, ...);

/* Adds an id to the list `field` of the table on top of L. */
void mu_describe_task(lua_State *L, const char *field, uint64_t id);

/* The describe of a class of timers. */
void mu_timer_describe(lua_State *L, mu_sched *s, const mu_op *op);

#endif
