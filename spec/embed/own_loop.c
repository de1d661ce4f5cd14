/* A host that owns the loop: it waits in poll(2), for the runtime and for a descriptor of its own, and
** calls muster_run only when there is something to run. No thread, and no busy waiting: every wake-up is
** counted. */
#include "../support/script.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* ---- the host ---- */

typedef struct {
  muster *m;
  int pipe[2];        /* what this host watches beside the runtime */
  muster_op *reading; /* the task that waits for input, if any */
  int wakeups;
} host;

static void on_input(host *h) {
  char text[64];
  ssize_t n = read(h->pipe[0], text, sizeof text);
  if (n <= 0 || !h->reading) return;
  lua_pushlstring(muster_op_stack(h->reading), text, (size_t)n);
  muster_wake(h->reading, 1);
  h->reading = NULL;
}

/* Milliseconds for poll(2), rounded up: to wake early is to wake in vain. */
static int milliseconds(double seconds) { return seconds < 0 ? -1 : (int)ceil(seconds * 1000); }

/* Waits until there is something to do, for the runtime or for the host itself. */
static void block(host *h) {
  struct pollfd fds[] = {{.fd = muster_poll_fd(h->m), .events = POLLIN},
                         {.fd = h->pipe[0], .events = POLLIN}};
  CHECK(poll(fds, 2, milliseconds(muster_next_deadline(h->m))) >= 0);
  h->wakeups++;
  if (fds[1].revents) on_input(h);
}

static void run(host *h) {
  while (muster_run(h->m, MUSTER_RUN_NOWAIT) == 1) block(h);
}

/* ---- what scripts of this host can call ---- */

static host *host_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static void stop_reading(muster_op *op, void *data) {
  host *h = data;
  CHECK(h->reading == op);
  h->reading = NULL;
}

/* input() -> what comes through the pipe */
static int input(lua_State *L) {
  host *h = host_of(L);
  h->reading = muster_suspend(L, stop_reading, h);
  return muster_await(L, h->reading);
}

/* output(text) */
static int output(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  CHECK(write(host_of(L)->pipe[1], text, n) == (ssize_t)n);
  return 0;
}

static void define(host *h, const char *name, lua_CFunction f) {
  lua_State *L = muster_state(h->m);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, f, 1);
  lua_setglobal(L, name);
}

static host open_host(const muster_config *config) {
  host h = {.m = muster_new(config)};
  CHECK(h.m != NULL);
  CHECK(pipe(h.pipe) == 0);
  return h;
}

static void close_host(host *h) {
  check_idle(h->m);
  muster_close(h->m);
  close(h->pipe[0]);
  close(h->pipe[1]);
}

/* Runs one script on this loop; it must end well, with at most that many wake-ups. */
static void run_on(host *h, const char *code, int wakeups) {
  muster_task *t = spawn_script(h->m, code);
  run(h);
  check_done(t, muster_state(h->m));
  muster_task_release(t);
  if (h->wakeups > wakeups) printf("%d wake-ups, at most %d expected\n", h->wakeups, wakeups);
  CHECK(h->wakeups <= wakeups);
  h->wakeups = 0;
}

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Is the descriptor of the runtime readable within so many milliseconds? */
static bool readable(muster *m, int ms) {
  return poll(&(struct pollfd){.fd = muster_poll_fd(m), .events = POLLIN}, 1, ms) == 1;
}

/* ---- what holds ---- */

static void idle(void) {
  host h = open_host(NULL);
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(muster_next_deadline(h.m) < 0);
  CHECK(!readable(h.m, 10));
  close_host(&h);
}

static void due(void) {
  host h = open_host(NULL);
  muster_task *t = spawn_script(h.m, "local async = require 'muster' async.yield() async.sleep(3600)");
  CHECK(muster_next_deadline(h.m) == 0);
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  while (muster_next_deadline(h.m) == 0) CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_next_deadline(h.m) > 3590 && muster_next_deadline(h.m) <= 3600);
  CHECK(!readable(h.m, 10));
  CHECK(muster_task_cancel(t, NULL));
  CHECK(muster_next_deadline(h.m) == 0);
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(muster_next_deadline(h.m) < 0);
  muster_task_release(t);
  close_host(&h);
}

static void sleeps(void) {
  host h = open_host(NULL);
  double before = seconds_now();
  run_on(&h,
         "local async, order = require 'muster', {}\n"
         "local function nap(s) async.sleep(s) order[#order + 1] = s end\n"
         "async.gather {async(nap)(0.03), async(nap)(0.01), async(nap)(0.02), async(nap)(0)}\n"
         "assert(table.concat(order, ' ') == '0 0.01 0.02 0.03')",
         12);
  CHECK(seconds_now() - before >= 0.03);
  close_host(&h);
}

/* However much is ready, the host gets its turn in between. */
static void shares(void) {
  host h = open_host(NULL);
  muster_task *t = spawn_script(h.m, "local async = require 'muster' for i = 1, 20000 do async.yield() end");
  int turns = 0;
  while (muster_run(h.m, MUSTER_RUN_NOWAIT) == 1) turns++;
  CHECK(turns > 2 && turns < 20000);
  check_done(t, muster_state(h.m));
  muster_task_release(t);
  close_host(&h);
}

static void watches(void) {
  host h = open_host(NULL);
  define(&h, "input", input);
  define(&h, "output", output);
  run_on(&h,
         "local async = require 'muster'\n"
         "async.spawn(function() async.sleep(0.01) output 'hello' end)\n"
         "assert(input() == 'hello')\n"
         "assert(async.move_on_after(0.01, input) == false)\n" /* cancelled: nobody reads now */
         "async.spawn(output, 'again')\n"
         "assert(input() == 'again')",
         16);
  CHECK(h.reading == NULL);
  close_host(&h);
}

static void libuv_timers(void) {
  host h = open_host(NULL);
  run_on(&h,
         "local async, uv = require 'muster', require 'luv'\n"
         "local timer, n = uv.new_timer(), 0\n"
         "async.suspend(function(resume)\n"
         "  timer:start(10, 5, function() n = n + 1 if n == 3 then resume() end end)\n"
         "end)\n"
         "timer:close()\n"
         "assert(n == 3)",
         16);
  close_host(&h);
}

/* The deadline counts from now, not from when the loop last ran. */
static void late(void) {
  host h = open_host(NULL);
  muster_task *t = spawn_script(h.m, "local async, uv = require 'muster', require 'luv'\n"
                                     "local timer = uv.new_timer()\n"
                                     "async.suspend(function(resume) timer:start(30, 0, resume) end)\n"
                                     "timer:close()");
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  nanosleep(&(struct timespec){0, 35000000}, NULL);
  CHECK(muster_next_deadline(h.m) == 0);
  run(&h);
  check_done(t, muster_state(h.m));
  muster_task_release(t);
  CHECK(h.wakeups <= 3);
  close_host(&h);
}

/* Its results come from libuv's own threads. */
static void libuv_work(void) {
  host h = open_host(NULL);
  run_on(&h,
         "local async, uv = require 'muster', require 'luv'\n"
         "for i = 1, 5 do\n"
         "  local err, stat = async.suspend(function(resume) uv.fs_stat('/', resume) end)\n"
         "  assert(not err and stat.type == 'directory')\n"
         "end",
         25);
  close_host(&h);
}

/* ---- posts ---- */

enum { POSTS = 20 };

static int received;

static void receive(muster *m, void *data) {
  int *value = data;
  CHECK(*value == received++); /* in order */
  lua_State *L = muster_state(m);
  lua_getglobal(L, "print_nothing");
  lua_pushinteger(L, *value);
  muster_task_release(muster_spawn(L, 1));
}

static void *post_slowly(void *data) {
  static int values[POSTS];
  for (int i = 0; i < POSTS; i++) {
    values[i] = i;
    CHECK(muster_post(data, receive, &values[i]) == MUSTER_OK);
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  return NULL;
}

/* Posts wake a host whose runtime has nothing to do at all. */
static void posts(void) {
  host h = open_host(NULL);
  pthread_t thread;
  run_script(h.m, "sum = 0 function print_nothing(i) require('muster').yield() sum = sum + i end");
  received = 0;
  CHECK(pthread_create(&thread, NULL, post_slowly, h.m) == 0);
  while (muster_run(h.m, MUSTER_RUN_NOWAIT) == 1 || received < POSTS) block(&h);
  pthread_join(thread, NULL);
  CHECK(h.wakeups <= 4 * POSTS);
  CHECK(muster_next_deadline(h.m) < 0 && !readable(h.m, 5));
  CHECK(run_for_integer(h.m, "return sum") == POSTS * (POSTS - 1) / 2);
  close_host(&h);
}

static void wakes(void) {
  host h = open_host(NULL);
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 0);
  muster_stop(h.m);
  CHECK(readable(h.m, 1000));
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 0);
  CHECK(!readable(h.m, 5));
  muster_task *t = spawn_script(h.m, "require('muster').event():wait()");
  CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  muster_interrupt(h.m, t);
  CHECK(readable(h.m, 1000) && muster_next_deadline(h.m) == 0);
  run(&h);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  CHECK(!readable(h.m, 5));
  muster_task_release(t);
  close_host(&h);
}

/* ---- inside another loop, and without time ---- */

/* The descriptor itself is one that epoll can watch. */
static void nested(void) {
  host h = open_host(NULL);
  int outer = epoll_create1(0);
  CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, muster_poll_fd(h.m), &(struct epoll_event){.events = EPOLLIN}) == 0);
  muster_task *t = spawn_script(h.m, "local async, uv = require 'muster', require 'luv'\n"
                                     "async.sleep(0.01)\n"
                                     "async.suspend(function(resume) uv.fs_stat('/', resume) end)");
  struct epoll_event event;
  int rounds = 0;
  do {
    epoll_wait(outer, &event, 1, milliseconds(muster_next_deadline(h.m)));
    CHECK(++rounds <= 12);
  } while (muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  check_done(t, muster_state(h.m));
  muster_task_release(t);
  close(outer);
  close_host(&h);
}

static void virtual_time(void) {
  host h = open_host(&(muster_config){.virtual_time = true});
  double before = seconds_now();
  run_on(&h,
         "local async = require 'muster'\n"
         "local start = async.now()\n"
         "for i = 1, 5 do async.sleep(3600) end\n"
         "assert(async.now() - start == 5 * 3600)",
         12);
  CHECK(seconds_now() - before < 60);
  close_host(&h);
}

/* No jump while something outside of the clock is awaited. */
static void virtual_input(void) {
  host h = open_host(&(muster_config){.virtual_time = true});
  define(&h, "input", input);
  define(&h, "output", output);
  muster_task *t = spawn_script(h.m, "local async = require 'muster'\n"
                                     "local nap, start = async.spawn(async.sleep, 3600), async.now()\n"
                                     "assert(input() == 'go')\n"
                                     "assert(async.now() == start)\n"
                                     "nap:await()\n"
                                     "assert(async.now() == start + 3600)");
  for (int i = 0; i < 3; i++) CHECK(muster_run(h.m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(write(h.pipe[1], "go", 2) == 2);
  run(&h);
  check_done(t, muster_state(h.m));
  muster_task_release(t);
  close_host(&h);
}

int main(void) {
  static const spec_case cases[] = {
      {"own loop: idle means no deadline and no wake-up", idle},
      {"own loop: the deadline says when to run", due},
      {"own loop: sleeps", sleeps},
      {"own loop: a busy runtime shares the thread", shares},
      {"own loop: a task awaits a descriptor of the host", watches},
      {"own loop: libuv's timers", libuv_timers},
      {"own loop: libuv's timers are late after a busy host", late},
      {"own loop: libuv's thread pool", libuv_work},
      {"own loop: posts from a thread", posts},
      {"own loop: stop and interrupt wake the host", wakes},
      {"own loop: the descriptor inside an epoll", nested},
      {"own loop: virtual time", virtual_time},
      {"own loop: virtual time waits for the host's input", virtual_input},
      {NULL, NULL},
  };
  return run_cases(cases);
}
