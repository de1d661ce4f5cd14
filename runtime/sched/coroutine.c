/* coroutine.c: the script's own coroutines inside a task.
**
** An await inside such a coroutine must not look like a yield to whoever resumed it. It suspends outward: the coroutine
** yields, and the call of resume that finds its task parked yields in turn, up to the scheduler. When the task is
** resumed, each of these calls resumes its coroutine again, down to the await, and so goes on waiting for the
** coroutine's own next yield.
** While such a call runs its frame holds, from index 1: the coroutine, and a mark that tells how it was called. */
#include "sched/frames.h"
#include "sched/inside.h"

static const char resume_mark, wrap_mark;

enum { FRAME_CO = 1, FRAME_MARK, FRAME_VALUES };

static bool is_mark(const void *p) { return p == &resume_mark || p == &wrap_mark; }

lua_State *mu_inner(lua_State *co) {
  return lua_gettop(co) >= FRAME_MARK && is_mark(lua_touserdata(co, FRAME_MARK)) ? lua_tothread(co, FRAME_CO)
                                                                                 : NULL;
}

/* ---- which coroutines await? ---- */
/* Those in the middle of a task have the frame of a resume on top. The innermost one is listed; all are, while some of
** them are being closed. */

/* Makes room in the list, so that nothing is allocated later. Raises. */
static void reserve(lua_State *L, mu_sched *s, lua_State *co) {
  luaL_checkstack(L, 3, NULL);
  mu_push_root(s, L, MU_ROOT_AWAITING);
  if (lua_rawgetp(L, -1, co) == LUA_TNIL) {
    lua_pushboolean(L, false);
    lua_rawsetp(L, -3, co);
  }
  lua_pop(L, 2);
}

void mu_await_prepare(lua_State *L, mu_sched *s, mu_task *t) {
  reserve(L, s, L);
  t->run.flags |= MU_NESTED;
}

void mu_await_begins(mu_sched *s, lua_State *co, mu_task *t) {
  lua_pushlightuserdata(s->root, t);
  lua_rawsetp(s->root, MU_ROOT_AWAITING, co);
  s->awaiting++;
}

/* The task in which co awaits, if co is listed, or NULL. */
static mu_task *listed(mu_sched *s, lua_State *co) {
  lua_rawgetp(s->root, MU_ROOT_AWAITING, co);
  mu_task *t = lua_touserdata(s->root, -1);
  lua_pop(s->root, 1);
  return t;
}

void mu_await_ended(mu_sched *s, lua_State *co) {
  if (!s->awaiting || !listed(s, co)) return;
  lua_pushnil(s->root);
  lua_rawsetp(s->root, MU_ROOT_AWAITING, co);
  s->awaiting--;
}

mu_task *mu_awaiting_task(mu_sched *s, lua_State *co) {
  mu_task *t = NULL;
  if (!s->awaiting || lua_status(co) != LUA_YIELD) return NULL;
  for (; co && !t; co = mu_inner(co)) t = listed(s, co);
  return t;
}

/* ---- resuming ---- */

static bool task_parked(const mu_sched *s) { return s->current && s->current->run.state != MU_RUNNING; }

/* Has co died of an error? One that merely could not be resumed has not. */
static bool died(lua_State *co) { return lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD; }

/* A coroutine that died may have left scopes open. */
static void abandon_scopes(mu_sched *s, lua_State *co) {
  if (s->current) mu_scopes_abandon_in(s, s->current, co);
}

/* Adds to a message on top where the function was called, as the standard wrap does; unless the library called it. */
static void add_where(lua_State *L, const mu_sched *s) {
  lua_Debug ar;
  if (lua_type(L, -1) != LUA_TSTRING || !lua_getstack(L, 1, &ar) || mu_frame_is_own(L, s, &ar)) return;
  luaL_where(L, 1);
  lua_insert(L, -2);
  lua_concat(L, 2);
}

/* Stack: frame, error. Raises it; closes the coroutine, if it has died. */
static int raise_from(lua_State *L, mu_sched *s, lua_State *co) {
  if (mu_inner(L)) {
    lua_pushnil(L);
    lua_replace(L, FRAME_MARK); /* it waits for nobody */
  }
  if (!died(co)) return add_where(L, s), lua_error(L);
  mu_trace_push(L, s, co);
  lua_replace(L, FRAME_CO); /* the traceback */
  int status = mu_kill_coroutine(co, L);
  lua_xmove(co, L, 1);
  if (!lua_rawequal(L, -1, -2)) { /* raised by what was closed */
    mu_trace_push_none(L);
    lua_replace(L, FRAME_CO);
  }
  abandon_scopes(s, co);
  if (status != LUA_ERRMEM) add_where(L, s);
  lua_pushvalue(L, FRAME_CO);
  return mu_raise_traced(L, s);
}

/* Stack: frame, error. */
static int fail(lua_State *L, mu_sched *s, lua_State *co, bool wrap) {
  if (wrap) return raise_from(L, s, co);
  if (died(co)) abandon_scopes(s, co);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

/* Hands over what co yielded, returned or failed with: the top n values of its stack. */
static int deliver(lua_State *L, mu_sched *s, lua_State *co, bool wrap, int status, int n) {
  if (mu_unlikely(status != LUA_OK && status != LUA_YIELD)) {
    lua_xmove(co, L, 1);
    return fail(L, s, co, wrap);
  }
  if (mu_unlikely(!lua_checkstack(L, n + 1))) {
    lua_pop(co, n);
    lua_pushliteral(L, "too many results to resume");
    return fail(L, s, co, wrap);
  }
  if (!wrap) lua_pushboolean(L, true);
  lua_xmove(co, L, n);
  return n + !wrap;
}

static int resumed(lua_State *L, int status, lua_KContext sched);

/* Resumes co, the coroutine of the frame, with the top nargs values of its stack. */
static int go_on(lua_State *L, mu_sched *s, lua_State *co, bool wrap, int nargs) {
  int n;
  int status = mu_resume_inner(L, s, co, nargs, &n);
  if (status == LUA_YIELD && mu_unlikely(task_parked(s))) return lua_yieldk(L, 0, (lua_KContext)s, resumed);
  return deliver(L, s, co, wrap, status, n);
}

/* The task was resumed, so that the await inside the coroutine is over. */
static int resumed(lua_State *L, int status, lua_KContext sched) {
  mu_sched *s = (mu_sched *)sched;
  lua_State *co = lua_tothread(L, FRAME_CO);
  (void)status;
  mu_await_ended(s, co);
  return go_on(L, s, co, lua_touserdata(L, FRAME_MARK) == &wrap_mark, 0);
}

/* The arguments go first, which leaves room for the frame: a generator's step is to be fast. */
int mu_coroutine_resume(lua_State *L, mu_sched *s, lua_State *co, bool wrap) {
  int nargs = lua_gettop(L) - !wrap;
  if (mu_unlikely(s->awaiting) && mu_awaiting_task(s, co)) {
    lua_pushliteral(L, "cannot resume a coroutine that awaits");
    return fail(L, s, co, wrap);
  }
  if (mu_unlikely(!lua_checkstack(co, nargs))) {
    lua_pushliteral(L, "too many arguments to resume");
    return fail(L, s, co, wrap);
  }
  lua_xmove(L, co, nargs);
  if (wrap) lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushlightuserdata(L, (void *)(wrap ? &wrap_mark : &resume_mark));
  return go_on(L, s, co, wrap, nargs);
}

/* ---- closing one that awaits ---- */

enum { MOST_NESTED = 200 }; /* coroutines: Lua's limit of C calls */

/* Closes co and those inside it, innermost first. If not LUA_OK, the last error is on top of co. */
static int kill(lua_State *L, mu_sched *s, mu_task *t, lua_State *co) {
  lua_State *inner = mu_inner(co);
  int before = LUA_OK;
  if (inner) {
    lua_pushvalue(co, FRAME_CO); /* nothing else may hold it when co is gone */
    lua_xmove(co, L, 1);
    before = kill(L, s, t, inner);
  }
  int status = mu_kill_coroutine(co, L);
  mu_await_ended(s, co);
  mu_scopes_abandon_in(s, t, co);
  if (status == LUA_OK && before != LUA_OK) lua_xmove(inner, co, 1);
  if (inner) lua_pop(L, 1);
  return status != LUA_OK ? status : before;
}

/* Stack: ..., the functions that cancel what it waited for. Calls them all; false: one has raised, its error is on top. */
static bool call_all(lua_State *L, int n) {
  bool good = true;
  for (; n > 0; n--) {
    if (lua_pcall(L, 0, 0, 0) == LUA_OK) continue;
    lua_insert(L, -n);
    good = false;
  }
  return good;
}

/* The coroutine that resumes co in the task t, if it is not the task's own; or co. */
static lua_State *resumer(const mu_task *t, lua_State *co) {
  lua_State *outer = t->u.co;
  while (mu_inner(outer) != co) outer = mu_inner(outer);
  return outer == t->u.co ? co : outer;
}

/* While co is being closed nobody else may resume it, nor what is around it, which waits for it until the task runs. */
static void list_all(mu_sched *s, lua_State *co, mu_task *t) {
  for (co = resumer(t, co); co; co = mu_inner(co))
    if (!listed(s, co)) mu_await_begins(s, co, t);
}

int mu_coroutine_close(lua_State *L, mu_sched *s, lua_State *co) {
  luaL_checkstack(L, MOST_NESTED, NULL);
  mu_op *hold;
  mu_task *t = mu_awaiting_task(s, co);
  for (lua_State *each = resumer(t, co); each; each = mu_inner(each)) reserve(L, s, each);
  int n = mu_task_hold(L, s, t, &hold);
  list_all(s, co, t);
  bool good = call_all(L, n);
  if (kill(L, s, t, co) != LUA_OK) {
    lua_xmove(co, L, 1);
    good = false;
  }
  mu_task_unhold(s, hold); /* its call of resume will find that the coroutine is dead */
  lua_pushboolean(L, good);
  if (good) return 1;
  lua_insert(L, -2);
  return 2;
}
