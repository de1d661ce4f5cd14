/* native.c: async functions written in C. */
#include "runtime.h"

struct muster_op {
  mu_op op;
  mu_sched *s;
  void (*cancel)(muster_op *op, void *data);
  void *data;
  bool failed; /* the value on top is an error */
};

static bool cancel(mu_sched *s, mu_op *op) {
  muster_op *o = (muster_op *)op;
  s->external--;
  if (o->cancel) o->cancel(o, o->data);
  return true;
}

/* A result is not thrown away because a cancellation came in the same turn. */
static const mu_opclass native_class = {
    .name = "a native operation", .size = sizeof(muster_op), .commits = true, .cancel = cancel};
static const mu_opclass firm_class = {
    .name = "a native operation", .size = sizeof(muster_op), .firm = true, .commits = true, .cancel = cancel};

muster_op *muster_suspend(lua_State *L, void (*cancel_op)(muster_op *op, void *data), void *data) {
  mu_sched *s = mu_sched_of(L);
  if (!s) luaL_error(L, "muster_suspend: no runtime in this state");
  mu_task *t = mu_enter(L, s, "native operation");
  luaL_checkstack(L, 2 * LUA_MINSTACK, NULL); /* so that muster_op_stack has room */
  muster_op *o = mu_op_new(L, s, t, cancel_op ? &native_class : &firm_class);
  o->s = s;
  o->cancel = cancel_op;
  o->data = data;
  o->failed = false;
  s->external++;
  return o;
}

static int completed(lua_State *L, int status, lua_KContext base) {
  mu_sched *s = mu_sched_of(L);
  (void)status;
  muster_op *fired = (muster_op *)mu_fired(s->current);
  bool failed = fired && fired->failed;
  mu_unpark(L, s);
  return failed ? lua_error(L) : lua_gettop(L) - (int)base;
}

int muster_await(lua_State *L, muster_op *op) {
  (void)op;
  mu_sched *s = mu_sched_of(L);
  mu_op *fired = mu_fired(s->current); /* its results are on the stack already */
  return mu_park(L, s, fired ? (lua_KContext)op->data : lua_gettop(L), completed);
}

lua_State *muster_op_stack(muster_op *op) { return mu_landing(&op->op, LUA_MINSTACK); }

void muster_wake(muster_op *op, int n) {
  mu_sched *s = op->s;
  s->external--;
  if (op->op.task->run.state !=
      MU_WAITING) /* before muster_await, which needs to know where the results begin */
    op->data = (void *)(lua_KContext)(lua_gettop(op->op.L) - n);
  mu_fire(s, &op->op);
}

/* light userdata kind, message -> error */
static int make_error(lua_State *L) {
  mu_push_error(L, lua_touserdata(L, 1), "%s", (const char *)lua_touserdata(L, 2));
  return 1;
}

void muster_fail(muster_op *op, const char *kind, const char *message) {
  lua_State *L = op->s->L;
  lua_State *to = muster_op_stack(op);
  lua_pushcfunction(L, make_error);
  lua_pushlightuserdata(L, (void *)kind);
  lua_pushlightuserdata(L, (void *)message);
  lua_pcall(L, 2, 1, 0); /* if memory runs out, that is the error */
  if (to != L) lua_xmove(L, to, 1);
  op->failed = true;
  muster_wake(op, 1);
}
