#include "host/observe.h"

#include "host/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { MOST_NAMES = 3, LEVELS = 50 };

static const double count_interval = 0.001; /* seconds, at least, from one count of tasks to the next */

struct mu_observe {
  mu_observer observer;
  mu_sched *s;
  mu_trace *trace;  /* or NULL */
  double began;     /* the slice that runs, by the clock of the scheduler */
  uint64_t started; /* the same by the system's, in nanoseconds */

  bool naming; /* the default name of a task may be made meanwhile */

  double turn, counted, ended; /* times: this turn began; last count; the last slice ended */
  size_t ran, alive;           /* in this turn; when the last slice had ended */

  bool measures;
  uint64_t longest; /* nanoseconds */
  char whose[256];
};

static double now(const mu_observe *o) { return o->s->hooks.now(o->s->hooks.data); }

/* ---- which task, in words ---- */

/* Has its coroutine not been resumed yet? */
static bool is_new(const mu_task *t) {
  lua_Debug ar;
  return lua_status(t->u.co) == LUA_OK && !lua_getstack(t->u.co, 0, &ar);
}

/* Pushes the userdata of a task that is about to run or has just run. Once its function has returned, nothing but that
** and the results is on its stack. */
static void push_task(lua_State *L, mu_sched *s, mu_task *t) {
  lua_State *co = t->u.co;
  luaL_checkstack(co, 2, NULL);
  if (lua_status(co) == LUA_OK && lua_gettop(co) >= 2 && mu_totask(co, s, 2) == t) {
    lua_pushvalue(co, 2);
    lua_xmove(co, L, 1);
  } else {
    mu_task_push(L, s, t);
  }
}

/* light userdata o, task -> */
static int name_track(lua_State *L) {
  mu_observe *o = lua_touserdata(L, 1);
  mu_task *t = lua_touserdata(L, 2);
  push_task(L, o->s, t);
  mu_task_push_name(L, o->s, 3);
  size_t n;
  const char *name = luaL_tolstring(L, -1, &n);
  mu_trace_name(o->trace, t->id, name, n);
  return 0;
}

static void named(void *data, mu_task *t, const char *name, size_t length) {
  mu_observe *o = data;
  if (o->trace && t->id && t->u.co && !o->naming) mu_trace_name(o->trace, t->id, name, length);
}

/* Where the function of the task at index 3 was written; for a C function, the outermost of Lua that it has called, if
** that is not too far out. */
static bool find_origin(lua_State *L, lua_State *co, lua_Debug *ar) {
  if (lua_getiuservalue(L, 3, 1) == LUA_TFUNCTION && !lua_iscfunction(L, -1)) return lua_getinfo(L, ">S", ar);
  int level = 0;
  while (level < LEVELS && lua_getstack(co, level, ar)) level++;
  if (level == LEVELS) return false;
  while (level-- > 0) {
    lua_getstack(co, level, ar);
    lua_getinfo(co, "S", ar);
    if (*ar->what != 'C') return true;
  }
  return false;
}

/* light userdata o, task -> */
static int note_whose(lua_State *L) {
  mu_observe *o = lua_touserdata(L, 1);
  mu_task *t = lua_touserdata(L, 2);
  lua_Debug ar;
  push_task(L, o->s, t);
  mu_task_push_name(L, o->s, 3);
  const char *name = luaL_tolstring(L, -1, NULL);
  if (!find_origin(L, t->u.co, &ar)) snprintf(o->whose, sizeof o->whose, "%s", name);
  else if (ar.linedefined <= 0) snprintf(o->whose, sizeof o->whose, "%s, %s", name, ar.short_src);
  else snprintf(o->whose, sizeof o->whose, "%s, %s:%d", name, ar.short_src, ar.linedefined);
  return 0;
}

/* Calls f(o, t), as far as memory allows. */
static void call(mu_observe *o, lua_State *L, lua_CFunction f, mu_task *t) {
  if (!lua_checkstack(L, 8)) return;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, o);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void name_new(mu_observe *o, mu_task *t) {
  o->naming = true;
  call(o, o->s->from, name_track, t);
  o->naming = false;
}

/* ---- slices ---- */

static void resumed(void *data, mu_task *t) {
  mu_observe *o = data;
  if (o->trace) {
    o->began = now(o);
    o->ran++;
    if (t->ops) mu_trace_waited(o->trace, t->id, o->began);
    else if (is_new(t)) name_new(o, t);
  }
  if (o->measures) o->started = uv_hrtime();
}

static void measure(mu_observe *o, lua_State *L, mu_task *t) {
  uint64_t lasted = uv_hrtime() - o->started;
  if (lasted <= o->longest) return;
  o->longest = lasted;
  call(o, L, note_whose, t);
}

/* The first op was made last. */
static void list_ops(const mu_op *op, char *to, size_t size) {
  if (op->next) list_ops(op->next, to, size);
  size_t used = strlen(to);
  const char *which = op->cls->which ? op->cls->which(op) : NULL;
  snprintf(to + used, size - used, "%s%s%s%s%s", used ? " or " : "", op->cls->name, which ? " '" : "",
           which ? which : "", which ? "'" : "");
}

static void trace_wait(mu_observe *o, const mu_task *t, double at) {
  char what[256] = "";
  int n = 0;
  for (const mu_op *op = t->ops; op && n <= MOST_NAMES; op = op->next) n++;
  if (n <= MOST_NAMES) list_ops(t->ops, what, sizeof what);
  mu_trace_waits(o->trace, t->id, at, n <= MOST_NAMES ? what : "one of several things");
}

static void suspended(void *data, mu_task *t) {
  mu_observe *o = data;
  bool over = t->run.state == MU_RUNNING;
  if (o->measures) measure(o, o->s->from, t);
  if (!o->trace) return;
  o->ended = now(o);
  o->alive = o->s->alive - over;
  mu_trace_ran(o->trace, t->id, o->began, o->ended);
  if (t->ops && !over) trace_wait(o, t, o->ended);
}

static void waits(void *data, mu_task *t) {
  mu_observe *o = data;
  if (o->trace) trace_wait(o, t, now(o));
}

static void waited(void *data, mu_task *t) {
  mu_observe *o = data;
  if (o->trace) mu_trace_waited(o->trace, t->id, now(o));
}

/* ---- turns ---- */

static void count(mu_observe *o, double at, size_t ready, size_t waiting) {
  mu_trace_count(o->trace, at, ready, waiting, o->s->permits);
  o->counted = at;
}

/* What a turn found ready is known once it is over. */
static void turned(void *data, mu_sched *s) {
  mu_observe *o = data;
  if (!o->trace) return;
  double begins = now(o);
  if (begins - o->counted >= count_interval)
    count(o, o->turn, o->ran, o->alive > o->ran ? o->alive - o->ran : 0);
  if (begins - o->ended >= count_interval) count(o, o->ended, 0, o->alive); /* the loop was idle */
  o->turn = begins;
  o->ran = 0;
  (void)s;
}

/* ---- begin and end ---- */

static void failed(void *data, int error) {
  mu_observe *o = data;
  char text[128];
  int n = snprintf(text, sizeof text, "muster: the trace ends here: cannot write it: %s\n", strerror(error));
  o->s->hooks.report(o->s->hooks.data, text, (size_t)n);
}

mu_observe *mu_observe_start(mu_sched *s, const char *trace, bool longest) {
  mu_observe *o = calloc(1, sizeof *o);
  if (!o) return NULL;
  o->s = s;
  o->measures = longest;
  o->turn = o->ended = now(o);
  if (trace && !(o->trace = mu_trace_open(trace, o->turn, failed, o))) {
    int error = errno;
    free(o);
    errno = error;
    return NULL;
  }
  o->observer = (mu_observer){resumed, suspended, waits, waited, turned, named, o};
  s->observer = &o->observer;
  return o;
}

void mu_observe_idle(mu_observe *o) {
  if (o && o->trace) mu_trace_flush(o->trace);
}

static void end_wait(lua_State *L, mu_task *t, void *data) {
  mu_observe *o = data;
  (void)L;
  if (t->ops && t != o->s->current) mu_trace_waited(o->trace, t->id, o->ended);
}

/* light userdata o, current task -> */
static int end_all(lua_State *L) {
  mu_observe *o = lua_touserdata(L, 1);
  mu_task *running = lua_touserdata(L, 2);
  o->ended = now(o);
  if (running) mu_trace_ran(o->trace, running->id, o->began, o->ended);
  mu_each_task(L, o->s, end_wait, o);
  count(o, o->turn, o->ran, o->alive > o->ran ? o->alive - o->ran : 0);
  return 0;
}

void mu_observe_end(mu_observe *o, lua_State *L) {
  if (!o || !o->s->observer) return;
  o->s->observer = NULL;
  if (o->measures && o->s->current) measure(o, L, o->s->current);
  if (o->trace) call(o, L, end_all, o->s->current);
  mu_trace_close(o->trace);
  o->trace = NULL;
}

void mu_observe_free(mu_observe *o) { free(o); }

double mu_observe_longest(const mu_observe *o, const char **whose) {
  *whose = o && o->measures ? o->whose : NULL;
  return o && o->measures ? (double)o->longest * 1e-9 : -1;
}
