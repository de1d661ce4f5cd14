/* async.suspend: any API with callbacks becomes one that awaits. */
#include "bind/bind.h"

/* What `resume`, a closure, has as upvalue 2: a userdata. User value 1 is the function that cancels, 2 a table of the
** arguments if resume was called before the task suspended. */
typedef struct {
  struct suspend_op *op; /* while the task waits */
  bool called;
} handle;

enum { CANCEL = 1, EARLY };

typedef struct suspend_op {
  mu_op op;
  handle *handle;
} suspend_op;

static void detach(suspend_op *op) { op->handle->op = NULL; }

/* The script's cancel function runs when the task resumes: a hook runs no Lua. */
static bool cancel(mu_sched *s, mu_op *op) {
  (void)s;
  ((suspend_op *)op)->handle->called = true;
  detach((suspend_op *)op);
  return true;
}

/* The coroutine that waits has been closed: what its function returned is to be called. */
static int abandoned(lua_State *L, mu_op *op) {
  lua_pushvalue(op->L, 1);
  lua_xmove(op->L, L, 1);
  bool any = lua_getiuservalue(L, -1, CANCEL) != LUA_TNIL;
  lua_remove(L, -2);
  if (!any) lua_pop(L, 1);
  return any;
}

/* A result, such as an open file, is not thrown away because a cancellation came in the same turn. */
static const mu_opclass suspend_class = {.name = "a callback",
                                         .size = sizeof(suspend_op),
                                         .commits = true,
                                         .cancel = cancel,
                                         .abandoned = abandoned};

/* Stack: values. */
static void wake(lua_State *L, mu_sched *s, suspend_op *op, int n) {
  lua_State *to = mu_landing(&op->op, n);
  if (!to) luaL_error(L, "resume: too many values");
  if (to != L) lua_xmove(L, to, n);
  detach(op);
  mu_fire(s, &op->op);
}

/* The values on the stack are kept for the task, which has not suspended yet. */
static void keep_early(lua_State *L) {
  int n = lua_gettop(L);
  lua_createtable(L, n, 1);
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 1, "n");
  lua_setiuservalue(L, lua_upvalueindex(2), EARLY);
}

/* resume(...): wakes the task with the arguments. A second call, or one after a cancellation, does nothing.
** -> whether it woke the task */
static int resume(lua_State *L) {
  handle *h = lua_touserdata(L, lua_upvalueindex(2));
  bool first = !h->called;
  h->called = true;
  if (first && h->op) wake(L, mu_self(L), h->op, lua_gettop(L));
  else if (first) keep_early(L);
  lua_pushboolean(L, first);
  return 1;
}

/* Stack: handle, values. */
static int resumed(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_task *t = s->current;
  (void)status, (void)ctx;
  bool fired = mu_fired(t);
  mu_unpark_quietly(s, t);
  if (fired) return lua_gettop(L) - 1;
  if (lua_getiuservalue(L, 1, CANCEL) != LUA_TNIL) lua_call(L, 0, 0);
  mu_task_raise(L, s, t);
  return 0;
}

static int push_early(lua_State *L) {
  lua_getiuservalue(L, 1, EARLY);
  lua_getfield(L, -1, "n");
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many values");
  int table = lua_gettop(L);
  for (int i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  return n;
}

/* Stack: handle, fn. */
static void call_starter(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, resume, 2);
  lua_call(L, 1, 1);
  if (((handle *)lua_touserdata(L, 1))->called) return; /* whatever it returned: nothing is left to cancel */
  if (!lua_isnil(L, 2) && !lua_isfunction(L, 2))
    luaL_argerror(
        L, 1,
        lua_pushfstring(L, "it returned a %s, expected a cancel function or nothing", luaL_typename(L, 2)));
  lua_setiuservalue(L, 1, CANCEL);
}

/* suspend(fn): calls fn(resume), and suspends the task until resume(...) is called; returns its arguments. What fn
** returns is called if the task is cancelled meanwhile. */
static int suspend(lua_State *L) {
  mu_sched *s = mu_self(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  mu_task *t = mu_enter(L, s, "suspend");
  mu_check_wait(L, s, "suspend");
  lua_settop(L, 1);
  handle *h = lua_newuserdatauv(L, sizeof *h, 2);
  *h = (handle){0};
  lua_insert(L, 1);
  call_starter(L);
  if (h->called) return push_early(L);
  h->op = mu_op_new(L, s, t, &suspend_class);
  h->op->handle = h;
  return mu_park(L, s, 0, resumed);
}

void mu_bind_suspend(lua_State *L, int s) {
  static const luaL_Reg functions[] = {{"suspend", suspend}, {NULL, NULL}};
  lua_pushvalue(L, s);
  luaL_setfuncs(L, functions, 1);
}
