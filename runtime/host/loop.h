/* loop.h: the event loop and the clocks. The one place that calls uv_run.
**
** The scheduler's timers stay in its own heap: only the nearest deadline becomes a libuv timer, and only while the loop
** waits. With a virtual clock, time stands still while anything can run, and jumps to the next deadline when nothing
** can and no I/O is pending. While I/O is waited for, a deadline comes when as much real time has passed. */
#ifndef MU_LOOP_H
#define MU_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

typedef struct mu_post {
  struct mu_post *next;
  void (*fn)(void *owner, void *data);
  void *data;
} mu_post;

typedef struct {
  uv_loop_t uv;
  uv_timer_t timer;     /* the nearest deadline, while waiting */
  uv_async_t wakeup;    /* from other threads and signal handlers */
  uv_prepare_t prepare; /* before libuv waits */
  uv_mutex_t lock;      /* of posts */
  mu_post *posts, **last_post;
  void *owner; /* given to posted functions */
  bool (*ready)(void *owner);
  bool is_virtual;
  double offset;                  /* of the clock, from the system's */
  double virtual_now;             /* while is_virtual */
  double waited;                  /* for I/O, by the system's clock, since virtual_now last moved */
  uint64_t polls, waits, wakeups; /* so far; waits: polls that might sleep */
} mu_loop;

/* 0, or a negative libuv error. ready: has a callback made something ready, so that the loop must not wait for more? The
** caller owns the loop, and ends it with mu_loop_close. */
int mu_loop_init(mu_loop *l, void *owner, bool (*ready)(void *owner));

/* Is the handle one of the runtime's own? Theirs have the loop as their data. */
bool mu_loop_owns(const mu_loop *l, const uv_handle_t *handle);

/* Calls what is posted now, on the loop's thread, without looking at anything else. */
void mu_loop_run_posts(mu_loop *l);

/* Closes every handle, whoever made it, and lets pending requests and posts finish. */
void mu_loop_drain(mu_loop *l);
void mu_loop_close(mu_loop *l);

/* Monotonic seconds, or virtual ones. */
double mu_loop_now(const mu_loop *l);

/* Turns the virtual clock on or off. The time goes on from where it is. */
void mu_loop_set_virtual(mu_loop *l, bool on);

/* Looks after I/O. wait: until something happens, or until the deadline (negative: none); false: only what is due.
** external: something outside of libuv will post. With a virtual clock, jumps instead of waiting where it may. */
void mu_loop_poll(mu_loop *l, bool wait, double deadline, bool external);

/* May the virtual clock, if it is on, go to that deadline at once? And then do so. */
bool mu_loop_may_jump(mu_loop *l, double deadline, bool external);
void mu_loop_jump(mu_loop *l, double deadline);

/* Is any I/O pending, that is, a libuv handle or request active? */
bool mu_loop_busy(mu_loop *l);

/* How many handles are active, not counting those of the runtime that wait for nothing? */
size_t mu_loop_handles(mu_loop *l);

/* Calls fn(owner, data) on the loop's thread. Any thread. False: out of memory. */
bool mu_loop_post(mu_loop *l, void (*fn)(void *owner, void *data), void *data);

/* Makes a waiting mu_loop_poll return. Any thread, and signal handlers. */
void mu_loop_wake(mu_loop *l);

#endif
