/* muster.c: the runtime and its tasks, as muster.h describes them. */
#include "runtime.h"

#include "bind/bind.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char registry_key; /* its address names the runtime in the registry */

const char *muster_error_string(int code) {
  switch (code) {
    case MUSTER_ENOMEM: return "out of memory";
    case MUSTER_ESYNTAX: return "the chunk does not compile";
    case MUSTER_EFILE: return "the file cannot be read";
    case MUSTER_EBUSY: return "called from inside a task or the running loop";
    case MUSTER_EDEADLOCK: return "deadlock: tasks wait, and nothing can wake them";
    case MUSTER_ESYSTEM: return "the system refused an event loop";
    default: return code >= 0 ? "no error" : "unknown error";
  }
}

/* ---- the runtime ---- */

static double hook_now(void *data) { return mu_loop_now(&((muster *)data)->loop); }

static void hook_report(void *data, const char *text, size_t length) {
  muster *m = data;
  if (m->config.report) {
    m->config.report(m->config.data, text, length);
  } else {
    fflush(stdout); /* in the order in which things happened */
    fwrite(text, 1, length, stderr);
  }
}

static bool has_ready_tasks(void *owner) {
  mu_sched *s = ((muster *)owner)->s;
  return s && mu_sched_ready(s);
}

/* light userdata m -> */
static int set_up(lua_State *L) {
  muster *m = lua_touserdata(L, 1);
  mu_sched *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  s->slab = m->slab;
  if (!mu_sched_init(s, m->L, &(mu_hooks){hook_now, hook_report, m}))
    return luaL_error(L, "not enough memory");
  m->s = s;
  s->seed = m->config.seed;
  s->cleanup_limit = m->config.cleanup_limit;
  s->tunes_collector = m->owns_state;
  lua_pushvalue(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, s); /* anchors it */
  lua_pushlightuserdata(L, m);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
  mu_open_libraries(L, m, 2);
  return 0;
}

static bool make_state(muster *m) {
  m->owns_state = !m->config.state;
  m->L = m->owns_state ? lua_newstate(mu_slab_lua_alloc, m->slab) : m->config.state;
  if (!m->L) return false;
  if (m->owns_state) mu_set_panic_and_warnings(m->L);
  if (!lua_checkstack(m->L, 4)) return false;
  lua_pushcfunction(m->L, set_up);
  lua_pushlightuserdata(m->L, m);
  if (lua_pcall(m->L, 1, 0, 0) == LUA_OK) return true;
  fprintf(stderr, "muster: %s\n", lua_tostring(m->L, -1));
  lua_pop(m->L, 1);
  return false;
}

static void close_state(muster *m) {
  if (m->s) mu_sched_free(m->s);
  if (m->L) mu_loop_drain(&m->loop);
  if (!m->L) return;
  lua_pushnil(m->L);
  lua_rawsetp(m->L, LUA_REGISTRYINDEX, &registry_key);
  if (m->s) {
    lua_pushnil(m->L);
    lua_rawsetp(m->L, LUA_REGISTRYINDEX, m->s);
  }
  if (m->owns_state) lua_close(m->L);
}

muster *muster_new(const muster_config *config) {
  muster *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  if (config) m->config = *config;
  m->thread = pthread_self();
  m->slab = mu_slab_new();
  if (!m->slab) goto no_slab;
  if (mu_loop_init(&m->loop, m, has_ready_tasks)) goto no_loop;
  mu_loop_set_virtual(&m->loop, m->config.virtual_time);
  if (make_state(m)) return m;
  close_state(m);
  mu_loop_close(&m->loop);
no_loop:
  mu_slab_free(m->slab);
no_slab:
  free(m);
  return NULL;
}

void muster_close(muster *m) {
  if (!m) return;
  close_state(m);
  mu_loop_close(&m->loop);
  mu_slab_free(m->slab);
  free(m);
}

lua_State *muster_state(muster *m) { return m->L; }

muster *muster_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
  muster *m = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return m;
}

void *muster_loop(muster *m) { return &m->loop.uv; }

/* ---- tasks ---- */

/* Stack: light userdata hold, function, arguments -> . Anchors the new task's userdata for the hold. */
static int spawn(lua_State *L) {
  muster_task *hold = lua_touserdata(L, 1);
  mu_sched *s = hold->m->s;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  hold->t = mu_make_task(L, s, lua_gettop(L) - 2);
  lua_pushvalue(L, 2);
  hold->anchor = mu_anchor(s, L);
  hold->t->run.flags |= MU_OBSERVED; /* the holder answers for its errors */
  mu_task_start(L, s, hold->t, 2);
  return 0;
}

muster_task *muster_spawn(lua_State *L, int nargs) {
  muster *m = muster_of(L);
  muster_task *hold = m ? calloc(1, sizeof *hold) : NULL;
  if (!hold || !lua_checkstack(L, 2)) {
    lua_pop(L, nargs + 1);
    free(hold);
    return NULL;
  }
  hold->m = m;
  lua_pushcfunction(L, spawn);
  lua_insert(L, -(nargs + 2));
  lua_pushlightuserdata(L, hold);
  lua_insert(L, -(nargs + 2));
  if (lua_pcall(L, nargs + 2, 0, 0) == LUA_OK) return hold;
  lua_pop(L, 1);
  if (hold->anchor) mu_unanchor(m->s, hold->anchor);
  free(hold);
  return NULL;
}

/* Stack: arguments, chunk or message. */
static int spawn_chunk(muster *m, int loaded, int nargs, muster_task **task) {
  *task = NULL;
  if (loaded != LUA_OK) {
    lua_insert(m->L, -(nargs + 1));
    lua_pop(m->L, nargs);
    return loaded == LUA_ERRSYNTAX ? MUSTER_ESYNTAX : loaded == LUA_ERRMEM ? MUSTER_ENOMEM : MUSTER_EFILE;
  }
  lua_insert(m->L, -(nargs + 1));
  *task = muster_spawn(m->L, nargs);
  if (*task) return MUSTER_OK;
  lua_pushliteral(m->L, "not enough memory");
  return MUSTER_ENOMEM;
}

int muster_spawn_file(muster *m, const char *path, int nargs, muster_task **task) {
  return spawn_chunk(m, luaL_loadfile(m->L, path), nargs, task);
}

int muster_spawn_string(muster *m, const char *code, size_t size, const char *name, int nargs,
                        muster_task **task) {
  return spawn_chunk(m, luaL_loadbuffer(m->L, code, size, name), nargs, task);
}

muster_state_of_task muster_task_state(const muster_task *t) {
  return (muster_state_of_task)mu_task_state(t->t);
}

/* Pushes what the task ended with; n as of mu_task_push_results. */
static int push_results(muster_task *t, lua_State *L) {
  lua_checkstack(L, 4);
  mu_push_anchored(t->m->s, L, t->anchor);
  int at = lua_gettop(L);
  int n = mu_task_push_results(L, t->t, at);
  lua_remove(L, at);
  return n;
}

int muster_task_results(muster_task *t, lua_State *L) {
  return mu_task_state(t->t) == MU_DONE ? push_results(t, L) : -1;
}

int muster_task_error(muster_task *t, lua_State *L) {
  if (mu_task_state(t->t) != MU_FAILED && mu_task_state(t->t) != MU_CANCELLED) return 0;
  push_results(t, L);
  mu_push_anchored(t->m->s, L, t->anchor);
  mu_task_push_traceback(L, lua_gettop(L));
  lua_remove(L, -2);
  return 2;
}

/* light userdata hold, reason -> whether it had an effect */
static int cancel_for(lua_State *L) {
  muster_task *t = lua_touserdata(L, 1);
  mu_push_anchored(t->m->s, L, t->anchor);
  lua_pushboolean(L, mu_task_cancel_because(L, t->m->s, t->t, 3, 2));
  return 1;
}

bool muster_task_cancel(muster_task *t, const char *reason) {
  lua_State *L = t->m->L;
  if (!reason || !lua_checkstack(L, 4)) return mu_task_cancel(t->m->s, t->t);
  lua_pushcfunction(L, cancel_for);
  lua_pushlightuserdata(L, t);
  lua_pushstring(L, reason);
  bool did = lua_pcall(L, 2, 1, 0) == LUA_OK ? lua_toboolean(L, -1) : mu_task_cancel(t->m->s, t->t);
  lua_pop(L, 1);
  return did;
}

void muster_task_release(muster_task *t) {
  if (!t) return;
  mu_unanchor(t->m->s, t->anchor);
  free(t);
}

/* ---- inspection ---- */

void muster_stats(muster *m, muster_stats_t *stats) {
  const mu_sched *s = m->s;
  *stats = (muster_stats_t){.turns = s->turns,
                            .resumes = s->resumes,
                            .tasks = s->tasks,
                            .alive = s->alive,
                            .peak = s->peak,
                            .coroutines = s->coroutines,
                            .timers = s->timers.count,
                            .ops = s->ops,
                            .unhandled = s->unhandled};
}

uint64_t muster_report(muster *m) {
  mu_sched_report(m->s);
  return m->s->unhandled;
}
