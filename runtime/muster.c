/* muster.c: the runtime and its tasks, as muster.h describes them. */
#include "runtime.h"

#include "bind/bind.h"
#include "sched/site.h"

#include <errno.h>
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

/* What is left of a closed runtime on a state that lives on: the loop, for the sake of luv's handles. Collected last, as
** it was made before any of them. */
static int collect_loop(lua_State *L) {
  muster **rest = lua_touserdata(L, 1);
  if (!*rest) return 0;
  mu_loop_close(&(*rest)->loop);
  free(*rest);
  return 0;
}

static void make_rest(lua_State *L, muster *m) {
  m->rest = lua_newuserdatauv(L, sizeof *m->rest, 0);
  *m->rest = NULL;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_loop);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, m->rest);
}

/* light userdata m -> */
static int set_up(lua_State *L) {
  muster *m = lua_touserdata(L, 1);
  if (!m->owns_state) make_rest(L, m);
  mu_sched *s = lua_newuserdatauv(L, sizeof *s, 1);
  memset(s, 0, sizeof *s);
  s->slab = m->slab;
  if (!mu_sched_init(s, m->L, &(mu_hooks){hook_now, hook_report, m}))
    return luaL_error(L, "not enough memory");
  m->s = s;
  m->http.s = s;
  m->http.loop = &m->loop;
  m->store.s = s;
  m->store.loop = &m->loop;
  m->httpd.s = s;
  m->httpd.loop = &m->loop.uv;
  mu_list_init(&m->httpd.servers);
  lua_rawgetp(L, LUA_REGISTRYINDEX, s->root);
  lua_setiuservalue(L, -2, 1); /* what anchors the thread once the scheduler has been freed */
  s->seed = m->config.seed;
  s->cleanup_limit = m->config.cleanup_limit;
  if (m->config.pinned_limit) s->fiber_limit = m->config.pinned_limit;
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
  const char *message = lua_tostring(m->L, -1);
  if (message) hook_report(m, message, strlen(message));
  hook_report(m, "\n", 1);
  lua_pop(m->L, 1);
  return false;
}

static void close_state(muster *m) {
  if (m->s) mu_stop_watching(m, m->L);
  if (m->s) mu_loop_run_posts(&m->loop); /* they may complete what waits */
  mu_httpd_close(&m->httpd);
  mu_http_close(&m->http);
  mu_store_close(&m->store);
  if (m->s) mu_sched_free(m->s);
  if (m->L) mu_loop_drain(&m->loop);
  if (!m->L) return;
  lua_pushnil(m->L);
  lua_rawsetp(m->L, LUA_REGISTRYINDEX, &registry_key);
  if (m->s) {
    lua_pushnil(m->L);
    lua_rawsetp(m->L, LUA_REGISTRYINDEX, m->s);
  }
  if (m->owns_state) {
    lua_close(m->L);
  } else {
    lua_pushcfunction(m->L, mu_close_libraries);
    if (lua_pcall(m->L, 0, 0, 0) != LUA_OK) lua_pop(m->L, 1);
  }
}

/* 0, or a negative error of the system. */
static int watch(muster *m) {
  const muster_config *c = &m->config;
  if ((c->trace || c->stats) && !(m->observe = mu_observe_start(m->s, c->trace, c->stats))) return -errno;
  if (c->stats && m->owns_state) lua_gc(m->L, LUA_GCSTEP, 0); /* is the collector measured? */
  mu_watch_slow(m);
  return 0;
}

muster *muster_new(const muster_config *config) {
  if (config && config->state && muster_of(config->state)) return NULL; /* one at a time */
  muster *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  int rc = UV_ENOMEM;
  if (config) m->config = *config;
  m->thread = pthread_self();
  m->slab = mu_slab_new();
  if (!m->slab) goto no_slab;
  mu_slab_set_user(m->slab, m);
  if ((rc = mu_loop_init(&m->loop, m, has_ready_tasks))) goto no_loop;
  mu_loop_set_virtual(&m->loop, m->config.virtual_time);
  if ((rc = make_state(m) ? watch(m) : UV_ENOMEM) == 0) return m;
  close_state(m);
  mu_loop_close(&m->loop);
no_loop:
  mu_slab_free(m->slab);
no_slab:
  mu_observe_free(m->observe);
  free(m);
  errno = -rc;
  return NULL;
}

void muster_close(muster *m) {
  if (!m) return;
  close_state(m);
  if (m->owns_state) mu_loop_close(&m->loop);
  mu_slab_free(m->slab);
  mu_observe_free(m->observe);
  if (m->owns_state) free(m);
  else *m->rest = m;
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
  if (mu_task_state(hold->t) == MU_CREATED) hold->t->site = mu_site_here(L, s);
  mu_task_start(L, s, hold->t, 2);
  return 0;
}

/* Spawns what is on top of L with its arguments, in their place an error if it returns NULL. */
static muster_task *try_spawn(lua_State *L, muster *m, int nargs) {
  muster_task *hold = m ? calloc(1, sizeof *hold) : NULL;
  if (!hold || !lua_checkstack(L, 2)) {
    lua_pop(L, nargs + 1);
    lua_pushnil(L);
    free(hold);
    return NULL;
  }
  hold->m = m;
  lua_pushcfunction(L, spawn);
  lua_insert(L, -(nargs + 2));
  lua_pushlightuserdata(L, hold);
  lua_insert(L, -(nargs + 2));
  if (lua_pcall(L, nargs + 2, 0, 0) == LUA_OK) return hold;
  if (hold->anchor) mu_unanchor(m->s, hold->anchor);
  free(hold);
  return NULL;
}

muster_task *muster_spawn(lua_State *L, int nargs) {
  muster_task *hold = try_spawn(L, muster_of(L), nargs);
  if (!hold) lua_pop(L, 1);
  return hold;
}

typedef struct {
  const char *path, *code, *name;
  size_t size;
} source;

/* light userdata source -> chunk or message, status */
static int load(lua_State *L) {
  const source *from = lua_touserdata(L, 1);
  int rc = from->code ? luaL_loadbuffer(L, from->code, from->size, from->name) : luaL_loadfile(L, from->path);
  lua_pushinteger(L, rc);
  return 2;
}

/* Pushes a chunk, or a message; returns the status of the compiler. */
static int protected_load(lua_State *L, source *from) {
  lua_pushcfunction(L, load);
  lua_pushlightuserdata(L, from);
  int rc = lua_pcall(L, 1, 2, 0);
  if (rc != LUA_OK) return rc;
  rc = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return rc;
}

/* Stack: arguments. */
static int spawn_source(muster *m, source *from, int nargs, muster_task **task) {
  lua_State *L = m->L;
  *task = NULL;
  int rc = LUA_ERRMEM;
  if (lua_checkstack(L, 4)) rc = protected_load(L, from);
  else lua_pushnil(L);
  lua_insert(L, -(nargs + 1));
  if (rc == LUA_OK) {
    *task = try_spawn(L, m, nargs);
    return *task ? MUSTER_OK : MUSTER_ENOMEM;
  }
  lua_pop(L, nargs);
  return rc == LUA_ERRSYNTAX ? MUSTER_ESYNTAX : rc == LUA_ERRMEM ? MUSTER_ENOMEM : MUSTER_EFILE;
}

int muster_spawn_file(muster *m, const char *path, int nargs, muster_task **task) {
  return spawn_source(m, &(source){.path = path}, nargs, task);
}

int muster_spawn_string(muster *m, const char *code, size_t size, const char *name, int nargs,
                        muster_task **task) {
  return spawn_source(m, &(source){.code = code, .size = size, .name = name}, nargs, task);
}

muster_state_of_task muster_task_state(const muster_task *t) {
  return (muster_state_of_task)mu_task_state(t->t);
}

/* light userdata hold -> its results, or error and traceback */
static int push_end(lua_State *L) {
  muster_task *t = lua_touserdata(L, 1);
  mu_push_anchored(t->m->s, L, t->anchor);
  int n = mu_task_push_results(L, t->t, 2);
  if (n >= 0) return n;
  mu_task_push_traceback(L, 2);
  return 2;
}

/* Pushes what the task ended with; returns how many, or -1 and pushes "not enough memory". */
static int protected_end(muster_task *t, lua_State *L) {
  int top = lua_gettop(L);
  t->asked = true;
  lua_pushcfunction(L, push_end);
  lua_pushlightuserdata(L, t);
  return lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK ? lua_gettop(L) - top : -1;
}

int muster_task_results(muster_task *t, lua_State *L) {
  if (mu_task_state(t->t) != MU_DONE || !lua_checkstack(L, 4)) return -1;
  int n = protected_end(t, L);
  if (n < 0) lua_pop(L, 1);
  return n;
}

int muster_task_error(muster_task *t, lua_State *L) {
  if (mu_task_state(t->t) != MU_FAILED && mu_task_state(t->t) != MU_CANCELLED) return 0;
  if (!lua_checkstack(L, 4)) return 0;
  if (protected_end(t, L) < 0) lua_pushnil(L); /* the error is that there is no memory for it */
  return 2;
}

/* light userdata hold, reason -> whether it had an effect */
static int cancel_for(lua_State *L) {
  muster_task *t = lua_touserdata(L, 1);
  lua_pushstring(L, lua_touserdata(L, 2));
  mu_push_anchored(t->m->s, L, t->anchor);
  lua_pushboolean(L, mu_task_cancel_because(L, t->m->s, t->t, 4, 3));
  return 1;
}

bool muster_task_cancel(muster_task *t, const char *reason) {
  lua_State *L = t->m->L;
  if (!reason || !lua_checkstack(L, 4)) return mu_task_cancel(t->m->s, t->t);
  lua_pushcfunction(L, cancel_for);
  lua_pushlightuserdata(L, t);
  lua_pushlightuserdata(L, (void *)reason);
  bool did = lua_pcall(L, 2, 1, 0) == LUA_OK ? lua_toboolean(L, -1) : mu_task_cancel(t->m->s, t->t);
  lua_pop(L, 1);
  return did;
}

int muster_traceback(lua_State *L) { return mu_traceback(L); }

/* light userdata hold, name -> */
static int name_it(lua_State *L) {
  muster_task *t = lua_touserdata(L, 1);
  lua_pushstring(L, lua_touserdata(L, 2));
  mu_push_anchored(t->m->s, L, t->anchor);
  mu_task_set_name(L, t->m->s, 4, 3);
  return 0;
}

void muster_task_set_name(muster_task *t, const char *name) {
  lua_State *L = t->m->L;
  if (!name || !lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, name_it);
  lua_pushlightuserdata(L, t);
  lua_pushlightuserdata(L, (void *)name);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* light userdata hold -> */
static int report_unasked(lua_State *L) {
  muster_task *t = lua_touserdata(L, 1);
  mu_push_anchored(t->m->s, L, t->anchor);
  mu_report_failed(L, t->m->s, t->t, 2);
  return 0;
}

/* Nobody answers for its errors any more. */
static void let_report(muster_task *t) {
  lua_State *L = t->m->L;
  if (!mu_task_ended(t->t)) t->t->run.flags &= (uint16_t)~MU_OBSERVED;
  if (mu_task_state(t->t) != MU_FAILED || !lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, report_unasked);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void muster_task_release(muster_task *t) {
  if (!t) return;
  if (!t->asked) let_report(t);
  mu_unanchor(t->m->s, t->anchor);
  free(t);
}

/* ---- inspection ---- */

void muster_stats(muster *m, muster_stats_t *stats) {
  const mu_sched *s = m->s;
  if (!s) { /* os.exit has closed it */
    *stats = m->last;
    return;
  }
  *stats = (muster_stats_t){.turns = s->turns,
                            .resumes = s->resumes,
                            .tasks = s->tasks,
                            .alive = s->alive,
                            .peak = s->peak,
                            .coroutines = s->coroutines,
                            .timers = s->timers.count,
                            .ops = s->ops,
                            .stacks = s->fibers,
                            .unhandled = s->unhandled,
                            .polls = m->loop.polls,
                            .waits = m->loop.waits,
                            .wakeups = m->loop.wakeups,
                            .handles = mu_loop_handles(&m->loop),
                            .requests = m->loop.uv.active_reqs.count,
                            .collecting = m->collector_measured ? (double)m->collected * 1e-9 : -1};
  stats->slice = mu_observe_longest(m->observe, &stats->slice_of);
}

uint64_t muster_report(muster *m) {
  mu_sched_report(m->s);
  return m->s->unhandled;
}
