/* Driving the loop: how far each mode goes, what it returns, and how to stop, interrupt and shut down. */
#include "../support/script.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static muster *open_runtime(void) {
  muster *m = muster_new(NULL);
  CHECK(m != NULL);
  return m;
}

static void close_runtime(muster *m) {
  check_idle(m);
  muster_close(m);
}

static void release_as(muster_task *t, muster_state_of_task state) {
  CHECK(muster_task_state(t) == state);
  muster_task_release(t);
}

static void doze(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* ---- modes ---- */

static void empty(void) {
  muster *m = open_runtime();
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_run(m, MUSTER_RUN_ONCE) == 0);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(muster_shutdown(m) == 0);
  close_runtime(m);
}

static void runs_all(void) {
  muster *m = open_runtime();
  muster_task *a =
      spawn_script(m, "local async = require 'muster' async.spawn(function() async.sleep(0.01) n = 1 end)");
  muster_task *b = spawn_script(m, "require('muster').sleep(0.001)");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  release_as(a, MUSTER_DONE);
  release_as(b, MUSTER_DONE);
  CHECK(run_for_integer(m, "return n") == 1);
  close_runtime(m);
}

/* Daemons keep nobody waiting. */
static void spares_daemons(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "local async = require 'muster'\n"
                                   "async.current():daemon()\n"
                                   "async.spawn(function() async.sleep(0.005) end)\n"
                                   "while true do async.sleep(0.001) end");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_task_state(t) == MUSTER_WAITING || muster_task_state(t) == MUSTER_READY);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(muster_shutdown(m) == 0);
  release_as(t, MUSTER_CANCELLED);
  close_runtime(m);
}

static void runs_one_task(void) {
  muster *m = open_runtime();
  muster_task *slow = spawn_script(m, "require('muster').sleep(3600)"), *fast = spawn_script(m, "return 1");
  CHECK(muster_run_task(m, fast) == 0);
  release_as(fast, MUSTER_DONE);
  CHECK(muster_task_state(slow) == MUSTER_WAITING);
  CHECK(muster_shutdown(m) == 0);
  release_as(slow, MUSTER_CANCELLED);
  close_runtime(m);
}

static void runs_in_steps(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "n = 1 require('muster').sleep(0.02) n = 2");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  int rounds = 0;
  for (; muster_run(m, MUSTER_RUN_ONCE) == 1; rounds++) continue;
  CHECK(rounds <= 4); /* it waits, and does not spin */
  release_as(t, MUSTER_DONE);
  close_runtime(m);
}

/* A timer of libuv that is due at once wakes a task like any other, also when nothing else happens. */
static void due_timers(void) {
  muster *m = open_runtime();
  run_script(m, "local async, uv = require 'muster', require 'luv'\n"
                "for ms = 0, 3 do\n"
                "  local timer = uv.new_timer()\n"
                "  async.suspend(function(resume) timer:start(ms, 0, resume) end)\n"
                "  timer:close()\n"
                "end");
  close_runtime(m);
}

/* ---- refusals ---- */

static int busy(lua_State *L) {
  muster *m = muster_of(L);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == MUSTER_EBUSY);
  CHECK(muster_run(m, MUSTER_RUN_ONCE) == MUSTER_EBUSY);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == MUSTER_EBUSY);
  CHECK(muster_shutdown(m) == MUSTER_EBUSY);
  lua_pushcfunction(L, busy);
  muster_task *t = muster_spawn(L, 0);
  CHECK(muster_run_task(m, t) == MUSTER_EBUSY);
  CHECK(muster_task_cancel(t, NULL));
  muster_task_release(t);
  return 0;
}

static void busy_post(muster *m, void *done) {
  busy(muster_state(m));
  *(bool *)done = true;
}

static void refuses_nesting(void) {
  muster *m = open_runtime();
  bool done = false;
  lua_register(muster_state(m), "busy", busy);
  run_script(m, "busy() require('muster').yield() busy()");
  CHECK(muster_post(m, busy_post, &done) == MUSTER_OK);
  while (!done) CHECK(muster_run(m, MUSTER_RUN_ONCE) >= 0);
  close_runtime(m);
}

static void note(void *said, const char *text, size_t length) {
  CHECK(length > 0 && text[length - 1] == '\n');
  if (strstr(text, "deadlock")) ++*(int *)said;
}

static void sees_deadlock(void) {
  int said = 0;
  muster *m = muster_new(&(muster_config){.report = note, .data = &said});
  muster_task *t =
      spawn_script(m, "local async = require 'muster' async.spawn(async.sleep, 0.01) async.event():wait()");
  CHECK(muster_run_task(m, t) == MUSTER_EDEADLOCK);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == MUSTER_EDEADLOCK);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  muster_task *other = spawn_script(m, "require('muster').sleep(0.001)"); /* the loop is still usable */
  CHECK(muster_run_task(m, other) == 0);
  release_as(other, MUSTER_DONE);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == MUSTER_EDEADLOCK);
  CHECK(said == 3);
  CHECK(muster_task_cancel(t, NULL));
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  release_as(t, MUSTER_CANCELLED);
  close_runtime(m);
}

static void names_errors(void) {
  for (int code = MUSTER_ESYSTEM; code <= MUSTER_OK; code++) CHECK(strlen(muster_error_string(code)) > 3);
  CHECK(strstr(muster_error_string(MUSTER_EDEADLOCK), "deadlock"));
  CHECK(strcmp(muster_error_string(-99), muster_error_string(MUSTER_ENOMEM)) != 0);
}

/* ---- stopping ---- */

static void *stop_soon(void *m) {
  doze(0.01);
  muster_stop(m);
  return NULL;
}

static void stops_from_thread(const char *code) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, code);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, stop_soon, m) == 0);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 1);
  pthread_join(thread, NULL);
  CHECK(muster_task_state(t) < MUSTER_DONE);
  CHECK(muster_shutdown(m) == 0);
  release_as(t, MUSTER_CANCELLED);
  close_runtime(m);
}

static void stops_waiting(void) { stops_from_thread("require('muster').sleep(3600)"); }
static void stops_running(void) { stops_from_thread("while true do require('muster').yield() end"); }

/* Before the call it counts for one turn of the next one, and no longer. */
static void stops_next(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "n = 1 require('muster').sleep(0.005) n = 2");
  muster_stop(m);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  release_as(t, MUSTER_DONE);
  close_runtime(m);
}

static int stop(lua_State *L) {
  muster_stop(muster_of(L));
  return 0;
}

static void stops_inside(void) {
  muster *m = open_runtime();
  lua_register(muster_state(m), "stop", stop);
  muster_task *t =
      spawn_script(m, "stop() require('muster').sleep(0.001) stop() require('muster').sleep(0.001)");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 1);
  CHECK(muster_run_task(m, t) >= 0);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_run_task(m, t) == 0);
  release_as(t, MUSTER_DONE);
  close_runtime(m);
}

/* ---- shutting down ---- */

static void shuts_down(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "local async = require 'muster'\n"
                                   "cleaned, daemon = 0, nil\n"
                                   "local function cleanup()\n"
                                   "  async.shield(function() async.sleep(0.002) cleaned = cleaned + 1 end)\n"
                                   "end\n"
                                   "local function work()\n"
                                   "  local _ <close> = setmetatable({}, {__close = cleanup})\n"
                                   "  async.sleep(3600)\n"
                                   "end\n"
                                   "async.spawn(work):daemon()\n"
                                   "async.spawn(function() pcall(work) pcall(work) work() end)\n"
                                   "work()");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_shutdown(m) == 0);
  release_as(t, MUSTER_CANCELLED);
  CHECK(run_for_integer(m, "return cleaned") == 5);
  run_script(m, "require('muster').sleep(0.001)"); /* the runtime goes on */
  close_runtime(m);
}

/* What a cancelled task starts while it cleans up is ended too. */
static void shuts_down_late_tasks(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "local async = require 'muster'\n"
                                   "pcall(async.sleep, 3600)\n"
                                   "async.spawn(async.sleep, 0.01)");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_shutdown(m) == 0);
  release_as(t, MUSTER_DONE);
  close_runtime(m);
}

/* ---- interrupting ---- */

typedef struct {
  muster *m;
  muster_task *t;
} target;

static void *interrupt_soon(void *data) {
  target *of = data;
  doze(0.01);
  muster_interrupt(of->m, of->t);
  return NULL;
}

static void interrupts_from_thread(const char *code) {
  muster *m = open_runtime();
  target of = {m, spawn_script(m, code)};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, interrupt_soon, &of) == 0);
  CHECK(muster_run_task(m, of.t) == 0);
  pthread_join(thread, NULL);
  release_as(of.t, MUSTER_CANCELLED);
  close_runtime(m);
}

static void interrupts_waiting(void) { interrupts_from_thread("require('muster').sleep(3600)"); }

static target alarmed;

static void on_alarm(int number) {
  (void)number;
  muster_interrupt(alarmed.m, alarmed.t);
}

/* A busy task is reached by a signal, in the thread that runs it. */
static void interrupts_from_signal(const char *code) {
  muster *m = open_runtime();
  alarmed = (target){m, spawn_script(m, code)};
  CHECK(signal(SIGALRM, on_alarm) != SIG_ERR);
  setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 20000}}, NULL);
  CHECK(muster_run_task(m, alarmed.t) == 0);
  release_as(alarmed.t, MUSTER_CANCELLED);
  run_script(m,
             "local n = 0 for i = 1, 1000 do n = n + i end require('muster').yield()"); /* nothing lingers */
  close_runtime(m);
}

static void interrupts_busy(void) { interrupts_from_signal("while true do end"); }

/* The first error is caught; the second busy loop is not entered, since a suspending call raises again. */
static void interrupts_pcall(void) {
  interrupts_from_signal("local async = require 'muster'\n"
                         "local ok, err = pcall(function() while true do end end)\n"
                         "assert(not ok and async.is_cancelled(err))\n"
                         "async.yield() while true do end");
}

/* It waits, and so does not notice the signal itself. */
static void interrupts_asleep(void) { interrupts_from_signal("require('muster').sleep(3600)"); }

static void interrupts_nobody(void) {
  muster *m = open_runtime();
  muster_interrupt(m, NULL); /* only wakes the loop */
  muster_task *t = spawn_script(m, "require('muster').sleep(0.001) return 1");
  CHECK(muster_run_task(m, t) == 0);
  release_as(t, MUSTER_DONE);
  close_runtime(m);
}

/* ---- posts ---- */

static void append(muster *m, void *digit) {
  lua_State *L = muster_state(m);
  lua_getglobal(L, "order");
  lua_pushstring(L, digit);
  lua_concat(L, 2);
  lua_setglobal(L, "order");
}

static void post_more(muster *m, void *digit) {
  append(m, digit);
  CHECK(muster_post(m, append, "3") == MUSTER_OK);
}

static void posts_in_order(void) {
  muster *m = open_runtime();
  run_script(m, "order = ''");
  CHECK(muster_post(m, append, "1") == MUSTER_OK);
  CHECK(muster_post(m, post_more, "2") == MUSTER_OK);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(run_for_integer(m, "return math.tointeger(order)") == 123);
  close_runtime(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"running: without tasks", empty},
      {"running: all", runs_all},
      {"running: daemons do not count", spares_daemons},
      {"running: one task", runs_one_task},
      {"running: in steps", runs_in_steps},
      {"running: libuv's timers that are due at once", due_timers},
      {"running: busy inside tasks and posts", refuses_nesting},
      {"running: deadlock", sees_deadlock},
      {"running: errors have names", names_errors},
      {"running: posts, in order", posts_in_order},
      {"running: stopped from a thread while it waits", stops_waiting},
      {"running: stopped from a thread while tasks run", stops_running},
      {"running: stopped before it began", stops_next},
      {"running: stopped from inside", stops_inside},
      {"running: shutdown cleans up", shuts_down},
      {"running: shutdown ends what clean-up starts", shuts_down_late_tasks},
      {"running: interrupt of nobody", interrupts_nobody},
      {"running: interrupt of a waiting task, from a thread", interrupts_waiting},
      {"running: interrupt of a waiting task, by a signal", interrupts_asleep},
      {"running: interrupt of a busy task", interrupts_busy},
      {"running: interrupt of a busy task inside pcall", interrupts_pcall},
      {NULL, NULL},
  };
  return run_cases(cases);
}
