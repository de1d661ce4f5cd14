/* What a runtime tells its host: reports of what nobody looked at, and counters. */
#include "../support/script.h"

typedef struct {
  char text[4096];
  size_t length;
} said;

/* Receives whole lines. */
static void listen(void *data, const char *text, size_t length) {
  said *to = data;
  CHECK(length > 0 && text[length - 1] == '\n');
  CHECK(to->length + length < sizeof to->text);
  memcpy(to->text + to->length, text, length);
  to->text[to->length += length] = '\0';
}

static muster *open_runtime(said *to) {
  *to = (said){.length = 0};
  muster *m = muster_new(&(muster_config){.report = listen, .data = to});
  CHECK(m != NULL);
  return m;
}

static void close_runtime(muster *m) {
  check_idle(m);
  muster_close(m);
}

static int times(const said *in, const char *text) {
  int n = 0;
  for (const char *at = in->text; (at = strstr(at, text)); at++) n++;
  return n;
}

static void collect(muster *m) {
  lua_gc(muster_state(m), LUA_GCCOLLECT);
  lua_gc(muster_state(m), LUA_GCCOLLECT);
}

/* ---- failures ---- */

static void nothing(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "local async = require 'muster'\n"
                "local t = async.spawn(error, 'x')\n"
                "t:pawait()\n"
                "async.gather {async(function() end)(), function() end}");
  CHECK(muster_report(m) == 0 && to.length == 0);
  collect(m);
  CHECK(to.length == 0);
  close_runtime(m);
}

static void unobserved(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "local async = require 'muster'\n"
                "kept = async.spawn(function() error 'first' end)\n"
                "kept.name = 'the kept one'\n"
                "async.spawn(function() error {} end)\n"
                "async.spawn(function() error(setmetatable({}, {__tostring = error})) end)\n"
                "async.sleep(0)");
  CHECK(muster_report(m) == 3);
  CHECK(times(&to, "unhandled") == 3);
  CHECK(times(&to, "the kept one") == 1 && times(&to, "script:2: first") == 1);
  CHECK(times(&to, "stack traceback") == 3);
  size_t length = to.length;
  CHECK(muster_report(m) == 3 && to.length == length); /* once each */
  collect(m);
  CHECK(to.length == length);
  close_runtime(m);
}

/* Without waiting for the end of the program: when the task is collected. */
static void collected(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "require('muster').spawn(error, 'lost')");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  collect(m);
  CHECK(times(&to, "lost") == 1);
  CHECK(muster_report(m) == 1 && times(&to, "lost") == 1);
  close_runtime(m);
}

/* A task that the host has asked about, or cancelled, needs no report. */
static void held(void) {
  said to;
  muster *m = open_runtime(&to);
  muster_task *failed = spawn_script(m, "error 'asked for'"),
              *cancelled = spawn_script(m, "error 'never ran'");
  CHECK(muster_task_cancel(cancelled, NULL));
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_task_error(failed, muster_state(m)) == 2);
  lua_settop(muster_state(m), 0);
  muster_task_release(failed);
  muster_task_release(cancelled);
  collect(m);
  CHECK(muster_report(m) == 0 && to.length == 0);
  close_runtime(m);
}

/* ---- tasks never started ---- */

static void never_started(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "local async = require 'muster'\n"
                "fn = async(function(x) return x end)\n"
                "fn() fn() first = fn(1)\n"
                "fn():cancel()\n"
                "async.await(fn())");
  CHECK(muster_report(m) == 0);
  CHECK(times(&to, "never started") == 1 && times(&to, "3 tasks") == 1 && times(&to, "script:2") == 1);
  size_t length = to.length;
  muster_report(m);
  CHECK(to.length == length);
  run_script(m, "fn()");
  muster_report(m);
  CHECK(times(&to, "1 task ") == 1);
  close_runtime(m);
}

/* The report is not the last word: what it named may start after all, and its function be gone by then. */
static void started_late(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "task = require('muster')(function() return 7 end)()");
  muster_report(m);
  CHECK(times(&to, "1 task ") == 1);
  collect(m);
  CHECK(run_for_integer(m, "return task:await()") == 7);
  size_t length = to.length;
  collect(m);
  muster_report(m);
  CHECK(to.length == length);
  close_runtime(m);
}

/* ---- other reports, and counters ---- */

static void group_left_open(void) {
  said to;
  muster *m = open_runtime(&to);
  run_script(m, "local async = require 'muster'\n"
                "async.await(function() async.group():spawn(async.sleep, 60) end)\n"
                "async.sleep(0)");
  CHECK(times(&to, "group") > 0);
  close_runtime(m);
}

static void counters(void) {
  said to;
  muster *m = open_runtime(&to);
  muster_stats_t st;
  muster_stats(m, &st);
  CHECK(st.tasks == 0 && st.alive == 0 && st.peak == 0 && st.ops == 0 && st.timers == 0 && st.resumes == 0);
  muster_task *t = spawn_script(m, "local async = require 'muster'\n"
                                   "for i = 1, 9 do async.spawn(async.sleep, 60) end\n"
                                   "async.event():wait()");
  muster_stats(m, &st);
  CHECK(st.tasks == 1 && st.alive == 1 && st.coroutines == 0); /* not one before the first run */
  for (int i = 0; i < 3; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_stats(m, &st);
  CHECK(st.tasks == 10 && st.alive == 10 && st.peak == 10 && st.coroutines == 10);
  CHECK(st.ops == 10 && st.timers == 9 && st.resumes == 10 && st.turns >= 2);
  CHECK(muster_shutdown(m) == 0);
  muster_task_release(t);
  muster_stats(m, &st);
  CHECK(st.tasks == 10 && st.alive == 0 && st.peak == 10 && st.ops == 0 && st.timers == 0 &&
        st.unhandled == 0);
  close_runtime(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"reports: nothing to report", nothing},
      {"reports: failures that nobody observed", unobserved},
      {"reports: a failed task that is collected", collected},
      {"reports: tasks that the host held", held},
      {"reports: tasks never started", never_started},
      {"reports: a reported task may start late", started_late},
      {"reports: a group left open", group_left_open},
      {"reports: counters", counters},
      {NULL, NULL},
  };
  return run_cases(cases);
}
