#include "sched/channel.h"
#include "sched/inspect.h"
#include "sched/inside.h"

enum { BUFFER = 1, RETURNED };

typedef struct {
  mu_queued queued;
  mu_channel *channel;
  lua_State *L; /* where the channel, and the value to send, lie */
  int at;
  int tag;
  bool got, closed;
} channel_op;

const char mu_channel_mark = 0;

mu_channel *mu_channel_new(lua_State *L, mu_sched *s, lua_Integer capacity) {
  mu_channel *c = lua_newuserdatauv(L, sizeof *c, 2);
  *c = (mu_channel){.mark = &mu_channel_mark, .s = s, .capacity = capacity};
  mu_list_init(&c->receivers);
  mu_list_init(&c->senders);
  mu_list_init(&c->handed);
  lua_createtable(L, capacity < 1024 ? (int)capacity : 0, 0);
  lua_setiuservalue(L, -2, BUFFER);
  lua_createtable(L, 4, 0);
  lua_setiuservalue(L, -2, RETURNED);
  return c;
}

int mu_channel_raise_closed(lua_State *L) {
  mu_push_error(L, "closed", "channel:send: the channel is closed");
  return lua_error(L);
}

/* ---- the buffer ---- */

/* Puts the value at index value into the buffer of the channel at index. Leaves the buffer on the stack. */
static void buffer_push(lua_State *L, mu_channel *c, int index, int value) {
  lua_getiuservalue(L, index, BUFFER);
  lua_pushvalue(L, value);
  lua_rawseti(L, -2, 1 + (c->head + c->count) % c->capacity);
  c->count++;
}

/* Pushes the buffer and the oldest value in it. */
static void buffer_pop(lua_State *L, mu_channel *c, int index) {
  lua_Integer at = 1 + c->head;
  lua_getiuservalue(L, index, BUFFER);
  if (lua_rawgeti(L, -1, at) >= LUA_TSTRING) { /* takes memory: let it go */
    lua_pushnil(L);
    lua_rawseti(L, -3, at);
  }
  c->head = at == c->capacity ? 0 : at;
  c->count--;
}

static void take_returned(lua_State *L, mu_channel *c, int index) {
  lua_getiuservalue(L, index, RETURNED);
  lua_rawgeti(L, -1, c->returned);
  lua_pushnil(L);
  lua_rawseti(L, -3, c->returned--);
  lua_remove(L, -2);
}

/* ---- handing over ---- */

/* Pops the value on top of L, and hands it to the receiver that waits first. */
static void hand_over(mu_sched *s, mu_channel *c, lua_State *L) {
  channel_op *op = (channel_op *)mu_queue_first(&c->receivers);
  mu_list_remove(&op->queued.link);
  mu_list_push(&c->handed, &op->queued.link);
  op->got = true;
  lua_State *to = mu_landing(&op->queued.op, 1);
  if (to != L) lua_xmove(L, to, 1);
  mu_fire(s, &op->queued.op);
}

/* Pushes on L the value of the sender that waits first, who may then go on. */
static void take_from_sender(mu_sched *s, mu_channel *c, lua_State *L) {
  channel_op *op = (channel_op *)mu_queue_first(&c->senders);
  mu_list_remove(&op->queued.link);
  lua_pushvalue(op->L, op->at + 1);
  if (op->L != L) lua_xmove(op->L, L, 1);
  mu_fire(s, &op->queued.op);
}

static mu_tried try_send(lua_State *L, mu_sched *s, mu_channel *c, int at) {
  if (c->closed) return MU_CLOSED;
  bool direct = !mu_list_empty(&c->receivers);
  if (!direct && c->count >= c->capacity) return MU_WOULD_WAIT;
  if (direct) {
    lua_pushvalue(L, at + 1);
    hand_over(s, c, L);
  } else {
    buffer_push(L, c, at, at + 1);
  }
  return MU_DID;
}

static mu_tried try_receive(lua_State *L, mu_sched *s, mu_channel *c, int at) {
  if (c->returned > 0) {
    take_returned(L, c, at);
  } else if (c->count > 0) {
    buffer_pop(L, c, at);
    if (!mu_list_empty(&c->senders)) {
      take_from_sender(s, c, L);
      buffer_push(L, c, at, lua_gettop(L));
      lua_pop(L, 2); /* buffer, sent value: the received one is on top again */
    }
  } else if (!mu_list_empty(&c->senders)) {
    take_from_sender(s, c, L);
  } else if (c->closed) {
    lua_pushnil(L);
  } else {
    return MU_WOULD_WAIT;
  }
  return MU_DID;
}

mu_tried mu_channel_try(lua_State *L, mu_sched *s, const mu_case *c) {
  return c->sends ? try_send(L, s, c->channel, c->at) : try_receive(L, s, c->channel, c->at);
}

/* ---- waiting ---- */

/* Gives the value on top of L to a receiver that has one, and pushes that. */
static void swap_value(lua_State *L, channel_op *op) {
  if (op->L != L) lua_xmove(L, op->L, 1);
  lua_insert(op->L, -2);
  if (op->L != L) lua_xmove(op->L, L, 1);
}

/* Pops the value on top of L, and puts it in front of all that are in the channel, which is below. */
static void put_back(lua_State *L, mu_channel *c) {
  lua_getiuservalue(L, -2, RETURNED);
  lua_insert(L, -2);
  lua_rawseti(L, -2, ++c->returned);
  lua_pop(L, 1);
}

/* The receiver was cancelled with a value in its hands. It goes to the next who has one and has not run yet, and that
** one's to the one after it, so that the order is kept; the last goes to the first who waits, or back. */
static void return_value(mu_sched *s, mu_op *base) {
  channel_op *op = (channel_op *)base;
  mu_channel *c = op->channel;
  if (!op->got) return; /* woken by close */
  lua_State *root = s->root;
  lua_pushvalue(op->L, op->at);
  lua_insert(op->L, -2); /* channel, value */
  lua_xmove(op->L, root, 2);
  for (mu_link *l = op->queued.link.next; l != &c->handed; l = l->next)
    swap_value(root, (channel_op *)mu_container(l, mu_queued, link));
  mu_list_remove(&op->queued.link);
  if (mu_queue_first(&c->receivers)) hand_over(s, c, root);
  else put_back(root, c);
  lua_pop(root, 1);
}

static void describe_send(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_channel *c = ((const channel_op *)op)->channel;
  (void)s;
  if (c->capacity == 0) mu_describe(L, "what", "somebody to receive from a channel");
  else mu_describe(L, "detail", "%I of %I taken", (LUAI_UACINT)c->count, (LUAI_UACINT)c->capacity);
}

static const mu_opclass receive_class = {.name = "a value from a channel",
                                         .size = sizeof(channel_op),
                                         .cancel = mu_queued_cancel,
                                         .revoke = return_value};
static const mu_opclass send_class = {.name = "room in a channel",
                                      .size = sizeof(channel_op),
                                      .commits = true,
                                      .cancel = mu_queued_cancel,
                                      .describe = describe_send};

void mu_channel_wait(lua_State *L, mu_sched *s, mu_task *t, const mu_case *c, int tag) {
  channel_op *op = mu_op_new(L, s, t, c->sends ? &send_class : &receive_class);
  op->channel = c->channel;
  op->L = L;
  op->at = c->at;
  op->tag = tag;
  op->got = op->closed = false;
  mu_list_push(c->sends ? &c->channel->senders : &c->channel->receivers, &op->queued.link);
}

int mu_channel_done(lua_State *L, mu_op *base, bool *closed) {
  if (base->cls != &receive_class && base->cls != &send_class) return 0;
  channel_op *op = (channel_op *)base;
  mu_list_remove(&op->queued.link);
  *closed = op->closed && base->cls == &send_class;
  if (base->cls == &receive_class && !op->got) lua_pushnil(L);
  return op->tag;
}

static void close_all(mu_sched *s, mu_link *queue) {
  channel_op *op;
  while ((op = (channel_op *)mu_queue_first(queue))) {
    mu_list_remove(&op->queued.link);
    op->closed = true;
    mu_fire(s, &op->queued.op);
  }
}

void mu_channel_close(mu_sched *s, mu_channel *c) {
  if (c->closed) return;
  c->closed = true;
  close_all(s, &c->receivers);
  close_all(s, &c->senders);
}
