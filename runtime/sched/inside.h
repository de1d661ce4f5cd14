/* inside.h: what the files of the runtime know of each other, beyond what sched.h says. */
#ifndef MU_INSIDE_H
#define MU_INSIDE_H

#include "sched/sched.h"

/* ---- the ready queue (op.c, sched.c) ---- */

/* Puts r at the end. */
void mu_ready(mu_sched *s, mu_runnable *r);

/* What a fiber does: runs turns until nothing is ready, or the budget is spent. */
void mu_turns(mu_sched *s, lua_State *L);

/* ---- the life of a task (task.c) ---- */

void mu_set_state(mu_task *t, mu_state state);

/* A created task becomes ready. */
void mu_task_count_start(mu_sched *s, mu_task *t);

/* First run of the task on top of L, which it pops. Raises before any change. */
void mu_task_begin(mu_sched *s, mu_task *t, lua_State *L);

/* Resumes a task that has begun. */
void mu_task_run(mu_sched *s, mu_task *t);

/* Ends a task that memory does not let begin. */
void mu_task_fail(mu_sched *s, mu_task *t);

/* Ends a task, whatever it does: runs its __close without suspending. */
void mu_task_kill(mu_sched *s, mu_task *t);

void mu_task_push_body(lua_State *L, mu_sched *s);

/* Resumes a coroutine of the script's from L. As lua_resume, which is called in task.c only. */
int mu_resume_inner(lua_State *L, mu_sched *s, lua_State *co, int nargs, int *nresults);

/* ---- waiting (op.c, scope.c) ---- */

void mu_ops_free(mu_sched *s, mu_task *t);

/* The scopes of t have changed. */
void mu_task_recheck(mu_sched *s, mu_task *t);

/* MU_RAISE has just been set. */
void mu_task_interrupt(mu_sched *s, mu_task *t);

/* Ends the wait of a parked task, a coroutine in which is to be closed, and keeps the task from running until
** mu_task_unhold. Pushes functions to call, which cancel what it waited for; returns their number. Raises, before any
** change, if the wait cannot end. */
int mu_task_hold(lua_State *L, mu_sched *s, mu_task *t, mu_op **hold);
void mu_task_unhold(mu_sched *s, mu_op *hold);

/* Makes sure that the running task can wait where L runs. Raises in a finalizer, and if the task must be pinned, but no
** stack can be had. For calls that have an effect before they wait; mu_op_new does it by itself. */
void mu_check_wait(lua_State *L, mu_sched *s, const char *what);

/* Where L runs, in the running task: can a wait yield to the scheduler, from coroutine to coroutine? Else it is pinned:
** it keeps its C stack, and the scheduler goes on on another. */
static inline bool mu_can_yield(lua_State *L, const mu_sched *s) {
  return lua_isyieldable(L) && !s->blocked && L == (s->inner ? s->inner : s->current->u.co);
}

/* ---- joins (join.c) ---- */

/* Starts what it may; returns how many. */
int mu_join_run(mu_sched *s, mu_runnable *r, lua_State *L, int budget);

/* Cancels what is left of the joins whose tasks have failed. */
void mu_joins_cancel_failed(mu_sched *s);

/* The fiber that is starting tasks is being left. */
void mu_join_hand_over(mu_sched *s);

/* ---- the script's coroutines inside tasks (coroutine.c) ---- */

/* The one that co resumes, or waits for, in a call of the coroutine library; or NULL. */
lua_State *mu_inner(lua_State *co);

/* The task in which co awaits, or NULL. */
mu_task *mu_awaiting_task(mu_sched *s, lua_State *co);

/* Stack: coroutine, arguments -> as coroutine.resume. wrap: arguments -> as a wrapped function, whose upvalue 2 is the
** coroutine. The operand of return. */
int mu_coroutine_resume(lua_State *L, mu_sched *s, lua_State *co, bool wrap);

/* Closes one that awaits. -> as coroutine.close */
int mu_coroutine_close(lua_State *L, mu_sched *s, lua_State *co);

/* t is about to wait in L, which is inside it. Raises. Then, when it parks: */
void mu_await_prepare(lua_State *L, mu_sched *s, mu_task *t);
void mu_await_begins(mu_sched *s, lua_State *co, mu_task *t);
void mu_await_ended(mu_sched *s, lua_State *co);

/* ---- fibers and pinned tasks (pin.c) ---- */

void mu_fibers_init(mu_sched *s, lua_State *L); /* raises */
void mu_fibers_free(mu_sched *s);               /* but the one we are on */
void mu_fibers_trim(mu_sched *s);

/* Runs turns, from the host's stack. */
void mu_fibers_run(mu_sched *s, int budget);

/* t is about to be pinned; after mu_check_wait. Raises. And it is not after all, or not any more. */
void mu_pin_prepare(lua_State *L, mu_sched *s, mu_task *t);
void mu_pin_forget(mu_sched *s, mu_task *t);

/* Leaves this stack until the running task is resumed. */
void mu_pin(mu_sched *s);

/* Goes on with t on its own stack. */
void mu_unpin(mu_sched *s, mu_task *t);

/* Of a task that is killed: takes the fiber that it keeps, or NULL; and frees that, without any clean-up. */
mu_fiber *mu_pin_take(mu_sched *s, mu_task *t);
void mu_pin_drop(mu_sched *s, mu_fiber *f);

/* ---- anchors and coroutines (anchor.c) ---- */

/* Pops a value into the anchor table. Raises. */
uint32_t mu_anchor(mu_sched *s, lua_State *L);
void mu_unanchor(mu_sched *s, uint32_t slot);
void mu_push_anchored(mu_sched *s, lua_State *L, uint32_t slot);

/* Pushes what MU_ROOT_… names. */
void mu_push_root(mu_sched *s, lua_State *L, int index);

/* Makes sure that there is a coroutine to take; raises. One that is not used has `body` at index 1 of its stack. */
void mu_coroutine_reserve(mu_sched *s, lua_State *L);
lua_State *mu_coroutine_take(mu_sched *s, uint32_t *slot);
void mu_coroutine_release(mu_sched *s, lua_State *co, uint32_t slot);
void mu_coroutine_drop(mu_sched *s, uint32_t slot);
void mu_coroutines_trim(mu_sched *s, double now);

/* ---- errors on their way (traceback.c) ---- */

/* The message handler of tasks: error -> error. */
int mu_traceback(lua_State *L);

/* Pushes the traceback so far of the error on top of L, of which co has died. */
void mu_trace_push(lua_State *L, mu_sched *s, lua_State *co);

/* The same of an error of which nothing is known. */
void mu_trace_push_none(lua_State *L);

/* A call in a scope has ended; if it failed, by the error on top of L, which the runtime may raise again now. */
void mu_trace_end_scope(lua_State *L, mu_sched *s, const void *scope, bool failed);
void mu_trace_forget_scope(mu_sched *s, const mu_task *t, const mu_scope *sc);

/* Raises the error below the traceback so far, which is on top. */
int mu_raise_traced(lua_State *L, mu_sched *s);

/* Adds to the text on top that of the failed task at index. */
void mu_trace_add_task(lua_State *L, mu_sched *s, int index);

/* The C function of the runtime that raises again what was caught. */
int mu_raise_caught(lua_State *L);

/* The error on top, of which the running `body` has died, becomes {error, traceback, …}. */
void mu_pack_error(lua_State *L, mu_sched *s, mu_task *t);
void mu_trace_forget(mu_sched *s, mu_task *t);

/* ---- reports (report.c) ---- */

/* Of the failed task whose userdata is at index task. */
void mu_report_failed(lua_State *L, mu_sched *s, mu_task *t, int task);

/* Of one more task, or one less (started or cancelled; may free m), that is not started. */
void mu_maker_created(mu_maker *m);
void mu_maker_started(mu_maker *m);
void mu_makers_free(mu_sched *s);

#endif
