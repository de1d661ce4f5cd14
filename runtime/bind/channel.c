#include "sched/channel.h"
#include "bind/bind.h"
#include "sched/inspect.h"

#include <string.h>

enum { MAX_CASES = 64 };

static mu_channel *check(lua_State *L) {
  mu_channel *c = mu_tochannel(L, 1);
  if (mu_unlikely(!c)) luaL_typeerror(L, 1, "channel");
  return c;
}

static lua_Integer check_capacity(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return 0;
  bool unbounded = lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) >= 0x1p63;
  return unbounded ? LUA_MAXINTEGER : mu_check_count(L, 1, 0, "capacity");
}

static int channel(lua_State *L) {
  mu_channel_new(L, mu_self(L), check_capacity(L));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

/* ---- sending ---- */

static int sent(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  bool closed = false;
  (void)status, (void)ctx;
  mu_op *op = mu_fired(s->current);
  if (op) mu_channel_done(L, op, &closed);
  mu_unpark(L, s);
  return closed ? mu_channel_raise_closed(L) : 0;
}

static void check_value(lua_State *L, int index) {
  luaL_argcheck(L, lua_type(L, index) > LUA_TNIL, index,
                "nil cannot be sent: it says that a channel is closed");
}

static int channel_send(lua_State *L) {
  mu_case c = {check(L), 1, true};
  mu_sched *s = c.channel->s;
  check_value(L, 2);
  mu_task *t = mu_enter(L, s, "channel:send");
  mu_tried tried = mu_channel_try(L, s, &c);
  if (tried == MU_DID) return 0;
  if (tried == MU_CLOSED) return mu_channel_raise_closed(L);
  mu_channel_wait(L, s, t, &c, 1);
  return mu_park(L, s, 0, sent);
}

/* -> whether it was sent */
static int channel_try_send(lua_State *L) {
  mu_case c = {check(L), 1, true};
  check_value(L, 2);
  lua_settop(L, 2);
  mu_tried tried = mu_channel_try(L, mu_self(L), &c);
  if (tried == MU_CLOSED) return mu_channel_raise_closed(L);
  lua_pushboolean(L, tried == MU_DID);
  return 1;
}

/* ---- receiving ---- */

static int received(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  bool closed;
  (void)status, (void)ctx;
  mu_op *op = mu_fired(s->current);
  if (op) mu_channel_done(L, op, &closed);
  mu_unpark(L, s);
  return 1;
}

static int channel_recv(lua_State *L) {
  mu_case c = {check(L), 1, false};
  mu_sched *s = c.channel->s;
  mu_task *t = mu_enter(L, s, "channel:recv");
  if (mu_channel_try(L, s, &c) == MU_DID) return 1;
  mu_channel_wait(L, s, t, &c, 1);
  return mu_park(L, s, 0, received);
}

/* -> true and a value (nil if the channel is closed and drained), or false */
static int channel_try_recv(lua_State *L) {
  mu_case c = {check(L), 1, false};
  lua_settop(L, 1);
  bool did = mu_channel_try(L, mu_self(L), &c) == MU_DID;
  lua_pushboolean(L, did);
  if (!did) return 1;
  lua_insert(L, -2);
  return 2;
}

/* upvalue 3: the channel */
static int iterate(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(3));
  return channel_recv(L);
}

static int channel_iter(lua_State *L) {
  check(L);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, iterate, 3);
  return 1;
}

static int channel_close(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (!s->closed) mu_channel_close(s, check(L));
  return 0;
}

static int channel_is_closed(lua_State *L) {
  lua_pushboolean(L, check(L)->closed);
  return 1;
}

static int channel_length(lua_State *L) {
  mu_channel *c = check(L);
  lua_pushinteger(L, c->count + c->returned);
  return 1;
}

/* ---- select ---- */
/* Stack: cases, and then two values for each: channel, value to send or nil. */

static mu_channel *check_case_channel(lua_State *L, int index, lua_Integer i) {
  mu_channel *c = mu_tochannel(L, index);
  if (!c) luaL_error(L, "select: case %I is no channel and no {send=channel, value=…}", (LUAI_UACINT)i);
  return c;
}

static mu_case push_case(lua_State *L, lua_Integer i) {
  mu_case c = {.at = lua_gettop(L) + 1};
  lua_geti(L, 1, i);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "send");
    c.sends = !lua_isnil(L, -1);
    if (!c.sends) {
      lua_pop(L, 1);
      lua_getfield(L, -1, "recv");
    }
    lua_getfield(L, -2, "value");
    lua_remove(L, c.at);
  } else {
    lua_pushnil(L);
  }
  c.channel = check_case_channel(L, c.at, i);
  if (c.sends && lua_isnil(L, c.at + 1)) luaL_error(L, "select: case %I sends nil", (LUAI_UACINT)i);
  return c;
}

static void check_keys(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    bool known = lua_isinteger(L, -2) ||
                 (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "timeout") == 0);
    if (!known) luaL_error(L, "select: unknown option '%s'", luaL_tolstring(L, -2, NULL));
  }
}

/* Reads the cases, their number and the time limit (negative: none) from the table at index 1. */
static int read_cases(lua_State *L, mu_case *cases, double *seconds) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  check_keys(L);
  *seconds = lua_getfield(L, 1, "timeout") == LUA_TNIL ? -1 : mu_check_seconds(L, 2);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n <= MAX_CASES, 1, "more than 64 cases");
  luaL_argcheck(L, n > 0 || *seconds >= 0, 1, "neither a case nor a timeout");
  luaL_checkstack(L, 2 * MAX_CASES + 10, NULL);
  for (int i = 0; i < n; i++) cases[i] = push_case(L, i + 1);
  return (int)n;
}

static int timed_out(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 2;
}

/* Stack on top: a received value, if the case received. */
static int chosen(lua_State *L, int i, bool sends) {
  lua_pushinteger(L, i);
  if (sends) return 1;
  lua_insert(L, -2);
  return 2;
}

static int selected(lua_State *L, int status, lua_KContext top) {
  mu_sched *s = mu_self(L);
  bool closed = false;
  (void)status;
  mu_op *op = mu_fired(s->current);
  int tag = op ? mu_channel_done(L, op, &closed) : 0;
  mu_unpark(L, s);
  if (closed) return mu_channel_raise_closed(L);
  return tag ? chosen(L, tag, lua_gettop(L) == (int)top) : timed_out(L);
}

static const mu_opclass limit_class = {.name = "a time limit",
                                       .size = sizeof(mu_timer),
                                       .cancel = mu_timer_cancel,
                                       .describe = mu_timer_describe};

/* {channel | {send=, value=} …, timeout=} -> index, value; nil, "timeout" */
static int select_case(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_case cases[MAX_CASES];
  double seconds;
  mu_task *t = mu_enter(L, s, "select");
  int n = read_cases(L, cases, &seconds);
  for (int i = 0; i < n; i++) {
    mu_tried tried = mu_channel_try(L, s, &cases[i]);
    if (tried == MU_CLOSED) return mu_channel_raise_closed(L);
    if (tried == MU_DID) return chosen(L, i + 1, cases[i].sends);
  }
  if (seconds == 0) return timed_out(L);
  for (int i = 0; i < n; i++) mu_channel_wait(L, s, t, &cases[i], i + 1);
  if (seconds > 0) mu_timer_op(L, s, t, &limit_class, seconds);
  return mu_park(L, s, (lua_KContext)lua_gettop(L), selected);
}

void mu_bind_channel(lua_State *L, int s) {
  static const luaL_Reg methods[] = {
      {"send", channel_send},           {"try_send", channel_try_send}, {"recv", channel_recv},
      {"try_recv", channel_try_recv},   {"iter", channel_iter},         {"close", channel_close},
      {"is_closed", channel_is_closed}, {"__len", channel_length},      {NULL, NULL}};
  static const luaL_Reg functions[] = {{"channel", channel}, {"select", select_case}, {NULL, NULL}};
  mu_class(L, s, "channel", methods);
  mu_constructors(L, s, functions);
}
