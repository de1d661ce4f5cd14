/* sched.h: the scheduler. Lua coroutines become tasks; everything that waits is an op.
**
** A task parks on one or more ops. The first op that fires wakes the task, and the others are cancelled; a cancelled
** task has all its ops cancelled. Waking only puts the task into the ready queue: nothing is ever resumed from inside
** a callback. A turn runs what was ready when it began, first in, first out.
**
** How a C function suspends (every one of them has this form):
**
**   static int f(lua_State *L) {
**     mu_sched *s = mu_self(L);
**     mu_task *t = mu_enter(L, s, "f");          raises: outside a task, or cancelled
**     ...check arguments; return at once if nothing is to wait for...
**     my_op *op = mu_op_new(L, s, t, &my_class);  raises: cannot suspend here, or out of memory
**     ...put op where it will be fired from...
**     return mu_park(L, s, base, f_resumed);      suspends
**   }
**   static int f_resumed(lua_State *L, int status, lua_KContext base) {
**     mu_unpark(L, mu_self(L));                  frees the ops; raises if the task was cancelled
**     return lua_gettop(L) - (int)base;          what the waker pushed
**   }
**
** There is no I/O and no clock here: the host passes the time in. Memory of ops comes from the slab. */
#ifndef MU_SCHED_H
#define MU_SCHED_H

#include "base/heap.h"
#include "base/list.h"
#include "base/slab.h"
#include "base/stack.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mu_sched mu_sched;
typedef struct mu_task mu_task;
typedef struct mu_op mu_op;
typedef struct mu_scope mu_scope;
typedef struct mu_maker mu_maker;
typedef struct mu_fiber mu_fiber;
typedef struct mu_site mu_site;

/* ---- ops ------------------------------------------------------------------------------------------------------ */

/* What a kind of op does. Static and constant. */
typedef struct {
  const char *name; /* what the task waits for, as a person reads it */
  size_t size;      /* of the op's struct, which begins with a mu_op */
  bool commits;     /* once fired its effect stands: a cancellation waits for the next suspending call */
  bool firm;        /* cancelling the task does not end the wait; only killing it does */
  bool cascades;    /* its cancel cancels other tasks */
  /* Unlinks a pending op. False: it cannot stop at once, and will fire by itself (gather first cancels its tasks).
  ** Each op that lies in a queue has one. */
  bool (*cancel)(mu_sched *s, mu_op *op);
  /* Undoes an op that fired, but whose task was cancelled before it ran: passes a permit or a value on. */
  void (*revoke)(mu_sched *s, mu_op *op);
  /* What happens when it fires. NULL: its task wakes. */
  void (*fire)(mu_sched *s, mu_op *op);
  /* Can it fire only after self has ended? Each task looked at costs a step. NULL: no. */
  bool (*waits_for)(const mu_op *op, const mu_task *self, int *steps);
  /* Called after the cancel if the coroutine that waits is closed, so that its continuation will not run: pushes on L a
  ** function to call instead, and returns 1; or returns 0. At most 4 slots of the stack. NULL: nothing to call. */
  int (*abandoned)(lua_State *L, mu_op *op);
  /* Which one of those that name means, in quotes after it. NULL: the name says all. Calls no Lua. */
  const char *(*which)(const mu_op *op);
  /* Sets fields of the table on top of L, which tells a person of the wait (see inspect.h). NULL: its name says all. */
  void (*describe)(lua_State *L, mu_sched *s, const mu_op *op);
} mu_opclass;

struct mu_op {
  const mu_opclass *cls;
  mu_op *next;   /* of the ops that task waits for */
  mu_task *task; /* who waits */
  lua_State *L;  /* where: the task's coroutine, or one inside it. What it waits for is pushed here */
  double since;  /* when the turn began in which it was made */
};

/* An op in a first-in, first-out queue of waiters. */
typedef struct {
  mu_op op;
  mu_link link;
} mu_queued;

/* An op that fires at a time. */
typedef struct {
  mu_op op;
  mu_heap_item item;
} mu_timer;

/* Allocates an op of class cls, and adds it to those that t, the running task, is about to wait for. Raises. */
void *mu_op_new(lua_State *L, mu_sched *s, mu_task *t, const mu_opclass *cls);

/* The op happened. Call at most once for each op, and never after its cancel. */
void mu_fire(mu_sched *s, mu_op *op);

/* Gives up the ops of a task that will not park after all, cancelling each. */
void mu_ops_abandon(mu_sched *s, mu_task *t);

/* Is t self, or does it wait, through other tasks, for the end of self? Looks at so many tasks at most. */
bool mu_waits_for(const mu_task *t, const mu_task *self, int *steps);

/* Pushes what the task of op waits for, as a person reads it. NULL: "nothing". */
void mu_op_push_what(lua_State *L, const mu_op *op);

/* The usual cancel of a mu_queued: leaves its queue. */
bool mu_queued_cancel(mu_sched *s, mu_op *op);

/* The first waiter of a queue, or NULL; it stays in the queue. */
static inline mu_queued *mu_queue_first(mu_link *queue) {
  return mu_list_empty(queue) ? NULL : mu_container(queue->next, mu_queued, link);
}

/* ---- tasks ---------------------------------------------------------------------------------------------------- */

typedef enum { MU_CREATED, MU_READY, MU_RUNNING, MU_WAITING, MU_DONE, MU_FAILED, MU_CANCELLED } mu_state;

enum {                   /* flags of a runnable */
       MU_JOIN = 1,      /* it is a join, not a task */
       MU_DAEMON = 2,    /* the program does not wait for it */
       MU_OBSERVED = 4,  /* somebody awaited it, or looked at its end */
       MU_CANCEL = 8,    /* cancel() was called on it */
       MU_RAISE = 16,    /* the next suspending call raises: a cancelled scope is in force */
       MU_WOKEN = 32,    /* the first of its ops has fired */
       MU_ERROR = 64,    /* its function raised */
       MU_HELD = 128,    /* the script has seen its coroutine, which is therefore not reused */
       MU_PACKED = 256,  /* its end is a table: several results, or an error with its traceback */
       MU_NOERROR = 512, /* cancelled; the error is made when somebody wants it */
       MU_TRACED = 1024, /* a traceback of an error in it is kept */
       MU_PIN = 2048,    /* it is about to wait, or waits, on a C stack of its own */
       MU_NESTED = 4096, /* it is about to wait inside a coroutine of the script's */
       MU_SLOW = 8192    /* it ran for too long at a time, and that has been told */
};

/* What the ready queue holds: a task, or a join that is to start its next tasks. */
typedef struct {
  mu_link link;
  uint16_t flags;
  uint8_t state; /* a mu_state */
  uint8_t nargs; /* of a task not yet run; then 1 if it has a result */
  uint32_t slot; /* in the anchor table, or 0 */
} mu_runnable;

/* A task lives in a Lua full userdata. Its user values: 1 is the function, then (while it runs) the cancel error if it
** has one, in the end its result, its table of results, or its error; 2 and on are the arguments until it runs.
** A started task is anchored: by its slot, and from its first run by its coroutine, whose stack begins with it. */
struct mu_task {
  mu_runnable run;
  union {
    lua_State *co;   /* from its first run to its end */
    mu_maker *maker; /* before: who counts it as not yet started, or NULL */
  } u;
  mu_op *ops;         /* what it waits for; if woken, the fired one first */
  mu_link waiters;    /* ops that wait for its end */
  mu_scope *scope;    /* innermost cancel scope */
  uint64_t id : 40;   /* 1, 2, … as they start; 0 before */
  uint64_t site : 24; /* where it was spawned: of mu_site_here, or 0 */
};
_Static_assert(sizeof(mu_task) <= 72, "a million suspended tasks must fit in 1.4 GB");

/* Replaces the function and nargs arguments on top of the stack by a new task for them. Raises. */
mu_task *mu_task_new(lua_State *L, mu_sched *s, int nargs);

/* Pushes a new task whose user values, the function and nargs arguments, are still to be set. metatable: the index of
** MU_ROOT_TASK_META's value. maker: who counts it, or NULL. Raises. */
mu_task *mu_task_push_new(lua_State *L, int nargs, int metatable, mu_maker *maker);

/* The task at index, or NULL. */
mu_task *mu_totask(lua_State *L, mu_sched *s, int index);

/* Starts a created task whose userdata is at index: it becomes ready. Raises only before any change. */
void mu_task_start(lua_State *L, mu_sched *s, mu_task *t, int index);

/* Cancels t. False, and no effect, if it had ended or had been cancelled. Allocates nothing. */
bool mu_task_cancel(mu_sched *s, mu_task *t);

/* The same with the reason at index of L, for t at index task. Raises on no memory, before any change. */
bool mu_task_cancel_because(lua_State *L, mu_sched *s, mu_task *t, int task, int reason);

static inline mu_state mu_task_state(const mu_task *t) { return (mu_state)t->run.state; }
static inline bool mu_task_ended(const mu_task *t) { return t->run.state >= MU_DONE; }
const char *mu_state_name(mu_state state);

/* Pushes the results of the ended task whose userdata is at index, and returns their number; for a failed one its
** error, and returns -1. Either observes it. */
int mu_task_push_results(lua_State *L, mu_task *t, int index);

/* Pushes the userdata of a task that is started and has not ended. */
void mu_task_push(lua_State *L, mu_sched *s, const mu_task *t);

/* Pushes the traceback that was taken when the task at index failed, or nil. */
void mu_task_push_traceback(lua_State *L, int index);

/* Pushes its name: as given, or "task N", the Nth that was started; or "task" if it never was. */
void mu_task_push_name(lua_State *L, mu_sched *s, int index);
void mu_task_set_name(lua_State *L, mu_sched *s, int index, int name);

/* Daemon or not: the program does not wait for daemons. */
void mu_task_daemon(mu_sched *s, mu_task *t);

/* Calls fn for every started task that has not ended, its userdata on top of L. */
void mu_each_task(lua_State *L, mu_sched *s, void (*fn)(lua_State *L, mu_task *t, void *data), void *data);

/* Who made tasks that were never started? One record for each async function, the one at index function; NULL once the
** scheduler is closed. */
mu_maker *mu_maker_new(lua_State *L, mu_sched *s, int function);
void mu_maker_close(mu_maker *m); /* the async function was collected */

/* ---- suspending ----------------------------------------------------------------------------------------------- */

/* The scheduler that is upvalue 1 of the running C function. */
static inline mu_sched *mu_self(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* The scheduler of any state, from its registry; NULL if none. */
mu_sched *mu_sched_of(lua_State *L);

/* Suspends the running task until one of its ops fires; then k runs. Use as the operand of return. */
int mu_park(lua_State *L, mu_sched *s, lua_KContext ctx, lua_KFunction k);

/* The op that woke the running task, or NULL if it was cancelled. For a continuation, before mu_unpark. */
static inline mu_op *mu_fired(mu_task *t) { return t->run.flags & MU_WOKEN ? t->ops : NULL; }

/* mu_unpark, see below, without raising. */
void mu_unpark_quietly(mu_sched *s, mu_task *t);

/* Where a waker pushes results for the parked task of op. Room for n values is made, or false. */
lua_State *mu_landing(mu_op *op, int n);

/* ---- cancel scopes -------------------------------------------------------------------------------------------- */

/* Part of a task's run that can be cancelled by itself, or that cancellation from outside does not reach. Scopes of a
** task nest. The struct belongs to who opens it, and must live until it is closed. */
struct mu_scope {
  mu_timer deadline; /* its op.task is the task whose scope it is; NULL while it is closed */
  mu_scope *outer;
  lua_State *L;   /* opened here: the task's coroutine, or one inside it */
  double seconds; /* to live, or negative */
  bool cancelled;
  bool shield;     /* no cancellation from further out gets in */
  bool in_slab;    /* made by mu_scope_call */
  bool unwound;    /* abandoned by a coroutine that died or was closed: nobody forgot it */
  uint32_t error;  /* anchor of the error it raises, or 0 */
  uint32_t anchor; /* of the value that holds the struct, or 0; released when the scope is closed */
  /* Called when the scope is closed because its task, or a scope around it, has ended. May be NULL. */
  void (*abandoned)(mu_sched *s, mu_scope *sc);
};

/* Prepares a scope that is to be cancelled after seconds (< 0: never). */
void mu_scope_init(mu_scope *sc, double seconds, bool shield);

/* Opens it in the running task t, where L runs. False: out of memory, and nothing changed. */
bool mu_scope_open(lua_State *L, mu_sched *s, mu_scope *sc, mu_task *t);

/* Closes it, and what was left open inside it. Harmless if it is closed. */
void mu_scope_close(mu_sched *s, mu_scope *sc);

/* Closes all scopes that t has left open. */
void mu_scopes_abandon(mu_sched *s, mu_task *t);

/* Closes what t has left open in co, a coroutine inside it that is over. */
void mu_scopes_abandon_in(mu_sched *s, mu_task *t, const lua_State *co);

/* Cancels what runs inside. Harmless if it is closed. */
void mu_scope_cancel(mu_sched *s, mu_scope *sc);

/* Is the value at index the error with which sc cancelled what ran inside? */
bool mu_scope_owns(lua_State *L, mu_sched *s, const mu_scope *sc, int index);

/* Pushes the error that sc raises, made at first use. */
void mu_scope_push_error(lua_State *L, mu_sched *s, mu_scope *sc);

/* Runs the function and nargs arguments on top of L inside a new scope. The operand of return; k is called, as by
** lua_pcallk, with the scope as its context, and must close it by mu_scope_end. */
int mu_scope_call(lua_State *L, mu_sched *s, int nargs, double seconds, bool shield, lua_KFunction k);

/* Ends the scope of mu_scope_call, and frees it. True if the call failed (status) by the error that this scope raised. */
bool mu_scope_end(lua_State *L, mu_sched *s, mu_scope *sc, int status);

/* ---- timers --------------------------------------------------------------------------------------------------- */

/* Arms a timer for an absolute time. False: out of memory. */
bool mu_timer_start(mu_sched *s, mu_timer *t, double at);
void mu_timer_stop(mu_sched *s, mu_timer *t);

/* Parks the running task until now + seconds. The operand of return. */
int mu_sleep(lua_State *L, mu_sched *s, double seconds);

/* Adds to the waits of t a timer with class cls. Raises after abandoning the others. */
mu_timer *mu_timer_op(lua_State *L, mu_sched *s, mu_task *t, const mu_opclass *cls, double seconds);
void mu_timers_fire(mu_sched *s, double now); /* fires all that are due */
bool mu_timer_cancel(mu_sched *s, mu_op *op); /* the cancel of a class of timers */

/* Puts the running task at the end of the ready queue. The operand of return. */
int mu_yield(lua_State *L, mu_sched *s);

/* ---- errors --------------------------------------------------------------------------------------------------- */

/* Pushes a muster error: a table {kind=, message=, retryable=false} whose __tostring is the message. Raises on no
** memory. */
void mu_push_error(lua_State *L, const char *kind, const char *fmt, ...);

/* Is the value at index a muster error of that kind? */
bool mu_is_error(lua_State *L, int index, const char *kind);

/* Raises the error on top of L, which was caught; the traceback of its first raise stays the task's. */
int mu_raise_again(lua_State *L);

/* Raises the error of the failed or cancelled task at index; the traceback goes on from that of the task. */
int mu_raise_of_task(lua_State *L, mu_sched *s, int index);

/* Replaces the error value on top of L by a text for it, also if its __tostring fails. */
void mu_error_text(lua_State *L);

/* ---- the scheduler -------------------------------------------------------------------------------------------- */

/* Who watches tasks run, for a trace or for statistics. Called on the loop's thread. May use s->from, protected, with no
** more than a few values; no error may get out. */
typedef struct {
  void (*resumed)(void *data, mu_task *t); /* it is about to run; t->ops is what it waited for */
  void (*suspended)(void *data,
                    mu_task *t); /* it has run: MU_RUNNING if it ended, else t->ops tells what it waits for */
  void (*waits)(void *data,
                mu_task *t); /* parked, it waits for something else: t->ops. Another task may run */
  void (*waited)(void *data, mu_task *t);  /* it does so no more, or not for what it parked for */
  void (*turned)(void *data, mu_sched *s); /* a turn begins: s->batch is what it will run */
  void (*named)(void *data, mu_task *t, const char *name, size_t length); /* may be NULL */
  void *data;
} mu_observer;

/* What the scheduler asks of its host. */
typedef struct {
  double (*now)(void *data); /* monotonic seconds */
  void (*report)(void *data, const char *text, size_t length);
  void *data;
} mu_hooks;

typedef struct {
  lua_State *co;
  uint32_t slot;
} mu_spare;

typedef struct {
  mu_site *list;                  /* by number */
  uint32_t *buckets;              /* of the hash table: numbers */
  uint32_t count, nbuckets, last; /* the last that was asked for */
} mu_sites;

/* Where a task that has just ended keeps its result, on the stack of its coroutine. */
enum { MU_CO_RESULT = 4 };

enum { /* the stack of root */
       MU_ROOT_ANCHORS = 1,
       MU_ROOT_TASK_META,
       MU_ROOT_BODY,     /* what every coroutine runs */
       MU_ROOT_NAMES,    /* task -> name it was given; weak keys */
       MU_ROOT_TRACES,   /* light task, or call in it -> {error, traceback} */
       MU_ROOT_TRACED,   /* error object -> {error, traceback}; weak keys */
       MU_ROOT_UNSEEN,   /* 1, 2, … -> failed task that nobody had observed; weak values */
       MU_ROOT_HELD,     /* coroutine -> true: of tasks, seen by the script; weak keys */
       MU_ROOT_PINNED,   /* light task -> light fiber whose C stack it keeps */
       MU_ROOT_AWAITING, /* light coroutine of the script's, in a task -> true while it awaits */
       MU_ROOT_TEXTS,    /* what keeps a few texts alive */
       MU_ROOT_SIZE = MU_ROOT_TEXTS
};

struct mu_sched {
  lua_State *L;    /* the main state */
  lua_State *root; /* a thread that never runs; its stack holds what MU_ROOT_… names, the rest is scratch */
  mu_slab *slab;
  mu_hooks hooks;
  mu_link ready;       /* runnables, first in, first out */
  mu_link batch;       /* what is left of the present turn */
  mu_link interrupted; /* waiting tasks whose ops are to be cancelled */
  bool interrupting;
  mu_link failed_joins; /* to be cancelled as soon as the end of a task is told to all */
  bool cancelling_joins;
  mu_task *current;            /* the running task */
  const mu_observer *observer; /* or NULL */
  lua_State *inner; /* the coroutine inside it that runs, resumed by way of this library; or NULL */
  bool blocked;     /* something between the task and inner cannot yield */
  size_t awaiting;  /* coroutines inside tasks that await */
  lua_State *from;  /* whose function is the running turn */
  mu_heap timers;
  double now;            /* when the present turn began */
  double cleanup_limit;  /* seconds, or 0 */
  bool tunes_collector;  /* may change the pause of the state's collector */
  uint64_t seed;         /* state of the shuffle, or 0 */
  const void *task_meta; /* the metatable of tasks, to compare */
  mu_task *beginning;    /* fails if memory runs out meanwhile */
  const void *starting;  /* the join that is starting tasks, whose table is at index starting_at of from */
  int starting_at;
  bool any_held; /* has any coroutine of a task been seen by the script? */
  bool closed;

  mu_spare *spare; /* finished coroutines */
  uint32_t nspare, spare_capacity;
  uint32_t least_spare; /* of nspare, since the last trim */
  double trim_at;
  uint32_t *free_slots; /* of the anchor table */
  uint32_t nfree, free_capacity, slots;

  mu_sites sites; /* where tasks are spawned */
  mu_link makers;
  uint64_t failures, failures_reported; /* of tasks not observed when they failed */

  size_t alive, daemons; /* started and not ended; of these, daemons */
  size_t external;       /* parked ops that something outside will fire */

  mu_stack host;   /* the stack that mu_sched_step was called on */
  mu_fiber *fiber; /* whose stack we are on; NULL: the host's */
  mu_link idle;    /* fibers, most recent first */
  uint32_t fibers, idle_fibers, least_idle, fiber_limit;
  int budget; /* of resumes in this step */

  size_t ops; /* allocated */
  size_t peak, coroutines;
  uint64_t permits; /* of semaphores and locks, in use */
  uint64_t turns, resumes, tasks, unhandled;
};

/* Sets up *s (zeroed memory) in L, which must outlive it. False: out of memory. */
bool mu_sched_init(mu_sched *s, lua_State *L, const mu_hooks *hooks);

/* Kills what is left (without reports), and frees everything but s. */
void mu_sched_free(mu_sched *s);

/* Fires due timers, then runs turns until nothing is ready or the budget of resumes is spent. True: more is ready. */
bool mu_sched_step(mu_sched *s, double now, int budget);

/* When the next timer is due; negative if none. */
double mu_sched_next(const mu_sched *s);

/* Cancels every started task. */
void mu_sched_cancel_all(mu_sched *s);

/* Reports tasks that failed unobserved, and tasks that were never started, since the last call. */
void mu_sched_report(mu_sched *s);

/* Reports each task that still waits: for what, and where. */
void mu_sched_report_waiting(mu_sched *s);

static inline bool mu_sched_ready(const mu_sched *s) {
  return !mu_list_empty(&s->ready) || !mu_list_empty(&s->batch);
}

/* ---- suspending: the short ways, for every call ----------------------------------------------------------------- */

void mu_refuse(lua_State *L, mu_sched *s, const char *what); /* raises: no task runs */
void mu_end_wait(lua_State *L, mu_sched *s, mu_task *t);     /* mu_unpark, if there is anything to do */
void mu_task_raise(lua_State *L, mu_sched *s, mu_task *t);   /* raises the error of the scope in force */

/* The running task, for clean-up, which goes on in a cancelled task. Raises if there is none. */
static inline mu_task *mu_enter_shielded(lua_State *L, mu_sched *s, const char *what) {
  mu_task *t = s->current;
  if (mu_unlikely(!t)) mu_refuse(L, s, what);
  return t;
}

/* The running task. Raises if there is none, or if it is cancelled. Every suspending call begins with this. what is its
** name. */
static inline mu_task *mu_enter(lua_State *L, mu_sched *s, const char *what) {
  mu_task *t = mu_enter_shielded(L, s, what);
  if (mu_unlikely(t->run.flags & MU_RAISE)) mu_task_raise(L, s, t);
  return t;
}

/* Ends the wait: frees the ops of the running task, and raises if it is cancelled. */
static inline void mu_unpark(lua_State *L, mu_sched *s) {
  mu_task *t = s->current;
  if (t->ops || t->run.flags & MU_RAISE) mu_end_wait(L, s, t);
}

#endif
