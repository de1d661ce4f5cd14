/* channel.h: values from senders to receivers, each to exactly one, first in, first out.
**
** A value goes straight to the first receiver that waits, else into the buffer, else its sender waits and keeps it on
** its own stack. A receiver that is cancelled after a value was handed to it passes the value on: to the next receiver,
** or back in front of the buffer. A channel lives in a userdata: user value 1 is the buffer, a ring; 2 holds values
** that came back. */
#ifndef MU_CHANNEL_H
#define MU_CHANNEL_H

#include "sched/sched.h"

typedef struct {
  const void *mark; /* mu_channel_mark: tells a channel from other userdata faster than its metatable */
  mu_sched *s;
  lua_Integer capacity, count, head; /* of the buffer */
  lua_Integer returned; /* values that came back, a stack: the last is the first to be received again */
  bool closed;
  mu_link receivers, senders;
  mu_link handed; /* receivers that have a value, and have not run yet */
} mu_channel;

/* One alternative of a select. channel is at the stack index at; value, if it sends, at the next index. */
typedef struct {
  mu_channel *channel;
  int at;
  bool sends;
} mu_case;

extern const char mu_channel_mark;

/* The channel at index, or NULL. */
static inline mu_channel *mu_tochannel(lua_State *L, int index) {
  mu_channel *c = lua_touserdata(L, index);
  return c && lua_rawlen(L, index) == sizeof *c && c->mark == &mu_channel_mark ? c : NULL;
}

/* Pushes a new channel userdata without a metatable. Raises. */
mu_channel *mu_channel_new(lua_State *L, mu_sched *s, lua_Integer capacity);

/* Sends the value that follows the channel on the stack, or receives and pushes a value (nil: closed) above others that
** do not count, if that needs no waiting. MU_CLOSED: sending to a closed channel. */
typedef enum { MU_DID, MU_WOULD_WAIT, MU_CLOSED } mu_tried;
mu_tried mu_channel_try(lua_State *L, mu_sched *s, const mu_case *c);

/* Raises the error of kind "closed". */
int mu_channel_raise_closed(lua_State *L);

/* Adds the waits for a case to those of the running task t. tag tells them apart. */
void mu_channel_wait(lua_State *L, mu_sched *s, mu_task *t, const mu_case *c, int tag);

/* What the fired op of mu_channel_wait did: its tag; pushes the received value, which is on top if there was one.
** *closed: it was a send, and the channel was closed. Returns 0 if op is not of a channel. */
int mu_channel_done(lua_State *L, mu_op *op, bool *closed);

/* No more values: receivers get what is buffered, then nil; senders that wait fail. */
void mu_channel_close(mu_sched *s, mu_channel *c);

#endif
