/* muster.h: embed the muster runtime, a Lua 5.4 whose coroutines are tasks on a C scheduler.
**
** A program makes a runtime, spawns tasks (Lua functions, files or strings), and either lets muster_run drive the
** loop or drives it itself from muster_poll_fd and muster_next_deadline. C functions can be awaited too: see
** "Native async functions".
**
** Threads: a runtime belongs to the thread that uses it. Only muster_post, muster_stop, muster_interrupt and
** muster_dump may be called from another thread, and the last three also from a signal handler. Two runtimes never share anything.
** Errors: a function that returns int returns 0 (or a count) on success, and a negative muster_error otherwise. */
#ifndef MUSTER_H
#define MUSTER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUSTER_VERSION "0.1.0"

#if defined(__GNUC__)
#define MUSTER_API __attribute__((visibility("default")))
#else
#define MUSTER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster muster;           /* a runtime */
typedef struct muster_task muster_task; /* a hold on a task; keeps its results until muster_task_release */
typedef struct muster_op muster_op;     /* one wait of a native async function */

typedef enum {
  MUSTER_OK = 0,
  MUSTER_ENOMEM = -1,    /* out of memory */
  MUSTER_ESYNTAX = -2,   /* a chunk does not compile; the message is on top of the stack of muster_state */
  MUSTER_EFILE = -3,     /* a file cannot be read; message likewise */
  MUSTER_EBUSY = -4,     /* called from inside a task, or while the loop runs */
  MUSTER_EDEADLOCK = -5, /* tasks wait, and nothing is left that could wake one of them */
  MUSTER_ESYSTEM = -6    /* the system refused (event loop, descriptors) */
} muster_error;

/* The sentence for an error code. Static memory. */
MUSTER_API const char *muster_error_string(int code);

/* ---- the runtime ---------------------------------------------------------------------------------------------- */

/* How to make a runtime. Zero everywhere, or a NULL config, is the default. */
typedef struct {
  /* An existing state to live on: it keeps its allocator, libraries and panic function, and must outlive the runtime.
  ** NULL: the runtime makes a state, and closes it. */
  lua_State *state;
  bool virtual_time;    /* time stands still while a task can run, and jumps when only timers are left */
  uint64_t seed;        /* shuffle the ready queue reproducibly; 0: first in, first out */
  double cleanup_limit; /* seconds a cancelled task may stay in async.shield; 0: for ever */
  /* Tasks that may wait at once inside C functions that Lua cannot yield across: each keeps a C stack of 8 MB (address
  ** space; memory as far as it is used). 0: 10,000. */
  uint32_t pinned_limit;
  const char *module_path; /* a directory whose Lua files replace the embedded library (for its developers) */
  /* Seconds: a task that runs longer without suspending is reported once, with a traceback of where it is. Takes a
  ** thread, and SIGURG (which must have no handler yet). 0: not watched. */
  double slow;
  /* A file to write: when each task ran, and what it waited for, as Trace Event JSON, which Perfetto and
  ** chrome://tracing open. Complete after muster_close, and valid before. NULL: none. */
  const char *trace;
  bool stats; /* measure what muster_stats_t says is measured on request */
  /* Receives reports (unhandled errors, tasks never started): one or more whole lines. NULL: stderr. */
  void (*report)(void *data, const char *text, size_t length);
  void *data; /* handed to report */
} muster_config;

/* Makes a runtime. NULL: out of memory or descriptors, or the trace cannot be written; errno tells. The caller owns it,
** and ends it with muster_close. */
MUSTER_API muster *muster_new(const muster_config *config);

/* Ends a runtime: runs the pending __close of every task (they cannot suspend any more), closes what it opened, and
** the Lua state if the runtime made it. Call muster_shutdown first to let tasks clean up with awaits.
** A C function inside which a task still waits never returns: what it has allocated itself is lost.
** Not from inside a task. Every muster_task must have been released. NULL is ignored. */
MUSTER_API void muster_close(muster *m);

/* The main Lua state: to load code, register functions and exchange values. Never yields. */
MUSTER_API lua_State *muster_state(muster *m);

/* The runtime that a state (or any coroutine of it) belongs to; NULL if none. */
MUSTER_API muster *muster_of(lua_State *L);

/* The uv_loop_t of the runtime, as void * so that this header needs no libuv. Valid until muster_close. */
MUSTER_API void *muster_loop(muster *m);

/* ---- tasks ---------------------------------------------------------------------------------------------------- */

typedef enum {
  MUSTER_CREATED,
  MUSTER_READY,
  MUSTER_RUNNING,
  MUSTER_WAITING,
  MUSTER_DONE,
  MUSTER_FAILED,
  MUSTER_CANCELLED
} muster_state_of_task;

/* Starts a task that calls the function below its nargs arguments on top of the stack of L (muster_state, or the
** state that a C function was given); pops them. It runs at the next turn of the loop, never inside this call.
** Returns a hold that the caller must release, or NULL (not a function; out of memory). */
MUSTER_API muster_task *muster_spawn(lua_State *L, int nargs);

/* Compiles a file (NULL: stdin), or size bytes of code, and spawns it with the nargs arguments on top of the stack of
** muster_state(m), which are popped. On an error *task is NULL, and the message is pushed instead. */
MUSTER_API int muster_spawn_file(muster *m, const char *path, int nargs, muster_task **task);
MUSTER_API int muster_spawn_string(muster *m, const char *code, size_t size, const char *name, int nargs,
                                   muster_task **task);

MUSTER_API muster_state_of_task muster_task_state(const muster_task *t);

/* Pushes the results of a done task on L, and returns how many; -1, nothing pushed, if it is not done. Whoever asks
** for the results or the error has observed the task: it will not be reported as unhandled. */
MUSTER_API int muster_task_results(muster_task *t, lua_State *L);

/* Pushes the error value of a failed or cancelled task and its traceback (a string, or nil); returns 2.
** Returns 0, nothing pushed, for a task in another state. */
MUSTER_API int muster_task_error(muster_task *t, lua_State *L);

/* A message handler, for a host that calls functions of the script by lua_pcall(k) inside a task: error -> error. It keeps
** where the error comes from, through coroutines and tasks; if the C function that the task calls first raises the error
** again, by lua_error, that is the task's traceback. */
MUSTER_API int muster_traceback(lua_State *L);

/* Names the task (a copy is kept), for reports and tracebacks. Ignored when memory runs out. */
MUSTER_API void muster_task_set_name(muster_task *t, const char *name);

/* Requests cancellation: every suspending call of the task raises from now on. reason may be NULL.
** True if that had any effect (the task had not finished, nor been cancelled before). */
MUSTER_API bool muster_task_cancel(muster_task *t, const char *reason);

/* Gives up the hold. The task itself goes on. NULL is ignored. If it has failed, or fails later, and nobody asked for
** the error, that is reported. */
MUSTER_API void muster_task_release(muster_task *t);

/* ---- the loop ------------------------------------------------------------------------------------------------- */

typedef enum {
  MUSTER_RUN_ALL,   /* until every task that is not a daemon has ended */
  MUSTER_RUN_ONCE,  /* wait for at least one event (if none is due), and run what it woke */
  MUSTER_RUN_NOWAIT /* run what is due now */
} muster_run_mode;

/* Drives the loop. Returns 1 if tasks (other than daemons) are left, 0 if none, MUSTER_EBUSY, or, unless it is
** MUSTER_RUN_NOWAIT, MUSTER_EDEADLOCK after reporting which tasks wait for what. Any mode returns early after
** muster_stop. */
MUSTER_API int muster_run(muster *m, muster_run_mode mode);

/* Drives the loop until t has ended. Returns 0; 1 if muster_stop came first; or an error as muster_run. */
MUSTER_API int muster_run_task(muster *m, muster_task *t);

/* Cancels every task, daemons too, and runs the loop until all have ended. Returns as muster_run. */
MUSTER_API int muster_shutdown(muster *m);

/* Makes the present or next call of muster_run return at the end of its turn. Any thread, and signal handlers. */
MUSTER_API void muster_stop(muster *m);

/* Cancels t (when it next suspends, or now if it waits). Any thread, and signal handlers. From a signal handler on the
** thread that runs the loop it also interrupts the task that runs, even in a busy loop. t must stay held until the runtime has handled it; NULL: only wakes the loop. */
MUSTER_API void muster_interrupt(muster *m, muster_task *t);

/* For a host that owns the loop: a descriptor that turns readable when there is something for muster_run to do, ... */
MUSTER_API int muster_poll_fd(muster *m);
/* ... and the seconds until muster_run must be called at the latest: 0 now, negative when only the descriptor counts. */
MUSTER_API double muster_next_deadline(muster *m);

/* Calls fn(m, data) on the loop's thread, soon, in order. Any thread. Returns MUSTER_ENOMEM when out of memory. fn runs
** outside any task; it may call muster_wake, muster_fail and muster_spawn. What is still queued at muster_close is
** called then. */
MUSTER_API int muster_post(muster *m, void (*fn)(muster *m, void *data), void *data);

/* ---- native async functions ----------------------------------------------------------------------------------- */
/* A lua_CFunction becomes awaitable in three steps:
**
**   static int lookup(lua_State *L) {
**     job *j = ...;                                  // 1. check the arguments, prepare
**     j->op = muster_suspend(L, forget, j);          // 2. may raise: outside a task, cancelled, out of memory
**     start(j);                                      //    whoever completes it holds j->op
**     return muster_await(L, j->op);                 // 3. suspends; returns what muster_wake was given
**   }
**
** On completion, on the loop's thread: push values on muster_op_stack(op), and muster_wake(op, how_many), once; or
** muster_fail(op, ...). After either, and after the cancel callback, op is gone and must not be touched. */

/* Begins a wait in the task that runs L. cancel (may be NULL: the wait cannot be cancelled) is called on the loop's
** thread if the task is cancelled first: it must make sure that op is not used any more. */
MUSTER_API muster_op *muster_suspend(lua_State *L, void (*cancel)(muster_op *op, void *data), void *data);

/* Suspends the running task until op completes. Use as the operand of return. */
MUSTER_API int muster_await(lua_State *L, muster_op *op);

/* The state on which to push the results, directly before muster_wake. */
MUSTER_API lua_State *muster_op_stack(muster_op *op);

/* Completes op with the n values on top of its stack. */
MUSTER_API void muster_wake(muster_op *op, int n);

/* Completes op by raising an error table {kind=, message=} in its task. Both strings are copied. */
MUSTER_API void muster_fail(muster_op *op, const char *kind, const char *message);

/* ---- inspection ----------------------------------------------------------------------------------------------- */

typedef struct {
  uint64_t turns, resumes;  /* of the loop; of coroutines */
  uint64_t tasks;           /* ever started */
  size_t alive, peak;       /* tasks started and not ended: now, and at most */
  size_t coroutines;        /* made, and kept for reuse */
  size_t timers;            /* pending now */
  size_t ops;               /* waits pending now */
  size_t stacks;            /* C stacks, in use and kept for reuse: one, and one for each pinned task */
  uint64_t unhandled;       /* failed tasks that nobody observed, as far as reported */
  uint64_t polls, waits;    /* looks at I/O; of these, waits for it */
  uint64_t wakeups;         /* of the loop, by other threads and signal handlers */
  size_t handles, requests; /* of libuv, active now */
  /* Measured on request (config.stats); negative, or NULL, if not. */
  double slice; /* seconds of the longest time that a task ran without suspending */
  /* Which task that was, and where it is from. Valid until the loop runs, or muster_close. */
  const char *slice_of;
  double collecting; /* seconds in the garbage collector. Measured in the program muster only */
} muster_stats_t;

MUSTER_API void muster_stats(muster *m, muster_stats_t *stats);

/* Reports each task: what it waits for, and where it is. At the loop's next turn, or, if called from a signal handler on
** the loop's thread or if config.slow is set, at the next instruction of a task that is busy. Any thread, and signal
** handlers. */
MUSTER_API void muster_dump(muster *m);

/* Reports what nobody looked at: failed tasks, tasks never started. Returns the number of the former since the
** runtime began. Call it when the program ends. */
MUSTER_API uint64_t muster_report(muster *m);

#ifdef __cplusplus
}
#endif
#endif
