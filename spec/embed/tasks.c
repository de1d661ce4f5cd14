/* Tasks as a host sees them: spawning, states, results, errors, cancelling, releasing. */
#include "../support/script.h"

#include <lualib.h>
#include <unistd.h>

static muster *open_runtime(void) {
  muster *m = muster_new(NULL);
  CHECK(m != NULL);
  return m;
}

static void close_runtime(muster *m) {
  check_idle(m);
  muster_close(m);
}

static void run_to(muster *m, muster_task *t, muster_state_of_task state) {
  CHECK(muster_run_task(m, t) == 0);
  CHECK(muster_task_state(t) == state);
}

/* ---- spawning ---- */

static int add(lua_State *L) {
  lua_pushinteger(L, luaL_checkinteger(L, 1) + luaL_checkinteger(L, 2));
  return 1;
}

static void spawns_function(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  lua_pushliteral(L, "below");
  lua_pushcfunction(L, add);
  lua_pushinteger(L, 40);
  lua_pushinteger(L, 2);
  muster_task *t = muster_spawn(L, 2);
  CHECK(t != NULL && lua_gettop(L) == 1);
  CHECK(muster_task_state(t) == MUSTER_READY); /* it never runs inside the call */
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, L) == 1 && lua_tointeger(L, -1) == 42);
  lua_settop(L, 0);
  muster_task_release(t);
  close_runtime(m);
}

static void spawns_nothing_else(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  lua_pushliteral(L, "not a function");
  lua_pushinteger(L, 1);
  CHECK(muster_spawn(L, 1) == NULL && lua_gettop(L) == 0);
  luaL_checkstack(L, 1000, NULL);
  lua_pushcfunction(L, add);
  for (int i = 0; i < 900; i++) lua_pushinteger(L, i);
  CHECK(muster_spawn(L, 900) == NULL && lua_gettop(L) == 0); /* more arguments than a task takes */
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  close_runtime(m);
}

static void spawns_string(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  static const char code[] = "local a, b = ... return b, a, nil --[[beyond the end]] error()";
  muster_task *t;
  lua_pushinteger(L, 1);
  lua_pushinteger(L, 2);
  CHECK(muster_spawn_string(m, code, strlen("local a, b = ... return b, a, nil"), "=swap", 2, &t) ==
        MUSTER_OK);
  CHECK(lua_gettop(L) == 0);
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, L) == 3);
  CHECK(lua_tointeger(L, 1) == 2 && lua_tointeger(L, 2) == 1 && lua_isnil(L, 3));
  lua_settop(L, 0);
  muster_task_release(t);
  close_runtime(m);
}

/* One message is on top, in the place of the arguments. */
static void check_message(lua_State *L, const muster_task *t, const char *text) {
  CHECK(t == NULL && lua_gettop(L) == 1);
  CHECK(lua_type(L, 1) == LUA_TSTRING && strstr(lua_tostring(L, 1), text));
  lua_settop(L, 0);
}

static void refuses_syntax(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  muster_task *t = (muster_task *)m; /* must be overwritten */
  lua_pushinteger(L, 1);
  CHECK(muster_spawn_string(m, "return +", 8, "=chunk", 1, &t) == MUSTER_ESYNTAX);
  check_message(L, t, "chunk:1:");
  CHECK(muster_spawn_string(m, "\x1bLua", 4, "=binary", 0, &t) == MUSTER_ESYNTAX);
  check_message(L, t, "binary");
  close_runtime(m);
}

/* ---- files ---- */

/* path gets the name of a new file. */
static void write_file(char *path, const char *text) {
  strcpy(path, P_tmpdir "/muster-spec-XXXXXX");
  int fd = mkstemp(path);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void spawns_file(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  char path[64];
  muster_task *t;
  write_file(path, "#!/usr/bin/env muster\nlocal async = require 'muster' async.yield() return ...");
  lua_pushliteral(L, "argument");
  CHECK(muster_spawn_file(m, path, 1, &t) == MUSTER_OK && lua_gettop(L) == 0);
  unlink(path);
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, L) == 1 && strcmp(lua_tostring(L, 1), "argument") == 0);
  lua_settop(L, 0);
  muster_task_release(t);
  close_runtime(m);
}

static void spawns_stdin(void) {
  muster *m = open_runtime();
  muster_task *t;
  CHECK(freopen("/dev/null", "r", stdin) != NULL);
  CHECK(muster_spawn_file(m, NULL, 0, &t) == MUSTER_OK);
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, muster_state(m)) == 0);
  muster_task_release(t);
  close_runtime(m);
}

static void refuses_files(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  char path[64];
  muster_task *t;
  lua_pushinteger(L, 1);
  lua_pushinteger(L, 2);
  CHECK(muster_spawn_file(m, "no/such/file.lua", 2, &t) == MUSTER_EFILE);
  check_message(L, t, "no/such/file.lua");
  CHECK(muster_spawn_file(m, ".", 0, &t) == MUSTER_EFILE);
  check_message(L, t, ".");
  write_file(path, "x = = 1");
  CHECK(muster_spawn_file(m, path, 0, &t) == MUSTER_ESYNTAX);
  unlink(path);
  check_message(L, t, ":1:");
  close_runtime(m);
}

/* ---- states ---- */

/* state() of the task whose hold is upvalue 1 */
static int state_of(lua_State *L) {
  muster_task **t = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushinteger(L, muster_task_state(*t));
  return 1;
}

static void states(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  muster_task *t;
  lua_pushlightuserdata(L, &t);
  lua_pushcclosure(L, state_of, 1);
  lua_setglobal(L, "state");
  t = spawn_script(m, "running = state() require('muster').sleep(0.001) return running");
  CHECK(muster_task_state(t) == MUSTER_READY);
  CHECK(muster_task_results(t, L) == -1 && muster_task_error(t, L) == 0 && lua_gettop(L) == 0);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_task_results(t, L) == -1 && muster_task_error(t, L) == 0 && lua_gettop(L) == 0);
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_error(t, L) == 0);
  for (int i = 1; i <= 2; i++) { /* as often as one likes */
    CHECK(muster_task_results(t, L) == 1 && lua_gettop(L) == i);
    CHECK(lua_tointeger(L, -1) == MUSTER_RUNNING);
  }
  lua_settop(L, 0);
  CHECK(muster_run_task(m, t) == 0); /* over already */
  muster_task_release(t);
  close_runtime(m);
}

/* ---- results and errors ---- */

static void results(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m), *co = lua_newthread(L);
  muster_task *none = spawn_script(m, ""), *one = spawn_script(m, "return nil");
  muster_task *many = spawn_script(m, "return table.unpack({}, 1, 150)");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_task_results(none, co) == 0 && lua_gettop(co) == 0);
  CHECK(muster_task_results(one, co) == 1 && lua_gettop(co) == 1 && lua_isnil(co, 1));
  CHECK(muster_task_results(many, co) == 150 && lua_gettop(co) == 151);
  muster_task_release(none);
  muster_task_release(one);
  muster_task_release(many);
  lua_settop(L, 0);
  close_runtime(m);
}

static void names(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  char name[] = "a worker";
  muster_task *t = spawn_script(m, "return require('muster').current().name");
  muster_task_set_name(t, "not for long");
  muster_task_set_name(t, name);
  name[0] = 'x';
  muster_task_set_name(t, NULL);
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, L) == 1 && strcmp(lua_tostring(L, -1), "a worker") == 0);
  muster_task_set_name(t, "of one that has ended");
  muster_task_release(t);
  t = spawn_script(m, "return require('muster').current().name");
  run_to(m, t, MUSTER_DONE);
  CHECK(muster_task_results(t, L) == 1 && strcmp(lua_tostring(L, -1), "task 2") == 0);
  muster_task_release(t);
  lua_settop(L, 0);
  close_runtime(m);
}

static int guard_ended(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) - 1 : lua_error(L);
}

/* function -> its results. What a task calls. */
static int guard(lua_State *L) {
  lua_pushcfunction(L, muster_traceback);
  lua_insert(L, 1);
  return guard_ended(L, lua_pcallk(L, 0, LUA_MULTRET, 1, 0, guard_ended), 0);
}

static void guards(void) {
  static const char code[] =
      "local await = require('muster').await\n"
      "local function away() error('boom', 0) end\n"
      "local _ <close> = setmetatable({}, {__close = function() pcall(await, error, 'boom') end})\n"
      "await(away)";
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  lua_pushcfunction(L, guard);
  CHECK(luaL_loadbuffer(L, code, sizeof code - 1, "=script") == LUA_OK);
  muster_task *t = muster_spawn(L, 1);
  run_to(m, t, MUSTER_FAILED);
  CHECK(muster_task_error(t, L) == 2 && error_says(L, 1, "boom"));
  const char *trace = lua_tostring(L, 2);
  CHECK(strstr(trace, "script:2: in ") && strstr(trace, "\nawaited by ") &&
        strstr(trace, "script:4: in main"));
  muster_task_release(t);
  lua_settop(L, 0);
  lua_pushcfunction(L, muster_traceback); /* outside of tasks it changes nothing */
  lua_pushliteral(L, "as it is");
  CHECK(lua_pcall(L, 1, 1, 0) == LUA_OK && error_says(L, 1, "as it is"));
  lua_settop(L, 0);
  close_runtime(m);
}

/* Pushes the error and the traceback of a script that fails. */
static void fail(muster *m, const char *code) {
  muster_task *t = spawn_script(m, code);
  run_to(m, t, MUSTER_FAILED);
  CHECK(muster_task_results(t, muster_state(m)) == -1);
  CHECK(muster_task_error(t, muster_state(m)) == 2);
  muster_task_release(t);
}

static void errors(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  fail(m, "local function inner() error 'oops' end local _ = inner() return _");
  CHECK(error_says(L, 1, "script:1: oops"));
  CHECK(strstr(lua_tostring(L, 2), "stack traceback") && strstr(lua_tostring(L, 2), "inner"));
  lua_settop(L, 0);
  fail(m, "error {code = 7}");
  CHECK(lua_getfield(L, 1, "code") == LUA_TNUMBER && lua_isstring(L, 2));
  lua_settop(L, 0);
  fail(m, "error(nil)");
  CHECK(lua_isnil(L, 1));
  lua_settop(L, 0);
  fail(m, "require('muster').await(function() error 'deep' end)");
  CHECK(error_says(L, 1, "deep"));
  lua_settop(L, 0);
  fail(m, "local function f() return f() + 1 end f()");
  CHECK(error_says(L, 1, "stack overflow"));
  lua_settop(L, 0);
  close_runtime(m);
}

/* ---- cancelling ---- */

static void check_cancelled(muster *m, muster_task *t, const char *text) {
  lua_State *L = muster_state(m);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  CHECK(muster_task_results(t, L) == -1 && muster_task_error(t, L) == 2);
  CHECK(error_says(L, 1, text));
  lua_getfield(L, 1, "kind");
  CHECK(strcmp(lua_tostring(L, -1), "cancelled") == 0);
  lua_settop(L, 0);
}

static void cancels_ready(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "ran = true");
  CHECK(muster_task_cancel(t, NULL));
  CHECK(!muster_task_cancel(t, "again"));
  check_cancelled(m, t, "cancelled");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  lua_getglobal(muster_state(m), "ran");
  CHECK(lua_isnil(muster_state(m), -1));
  lua_settop(muster_state(m), 0);
  muster_task_release(t);
  close_runtime(m);
}

static void cancels_waiting(void) {
  muster *m = open_runtime();
  muster_task *t = spawn_script(m, "require('muster').sleep(3600)");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_cancel(t, "for a reason"));
  CHECK(!muster_task_cancel(t, NULL));
  CHECK(muster_task_state(t) == MUSTER_READY);
  run_to(m, t, MUSTER_CANCELLED);
  check_cancelled(m, t, "for a reason");
  CHECK(!muster_task_cancel(t, NULL));
  muster_task_release(t);
  close_runtime(m);
}

/* cancel_self() -> whether that had an effect */
static int cancel_self(lua_State *L) {
  muster_task **t = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushboolean(L, muster_task_cancel(*t, "by itself"));
  return 1;
}

static void cancels_running(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  muster_task *t;
  lua_pushlightuserdata(L, &t);
  lua_pushcclosure(L, cancel_self, 1);
  lua_setglobal(L, "cancel_self");
  t = spawn_script(
      m, "assert(cancel_self()) assert(not cancel_self()) require('muster').yield() error 'went on'");
  run_to(m, t, MUSTER_CANCELLED);
  check_cancelled(m, t, "by itself");
  muster_task_release(t);
  t = spawn_script(m, "cancel_self() return 'did not wait'"); /* nothing raised: it is done */
  run_to(m, t, MUSTER_DONE);
  muster_task_release(t);
  t = spawn_script(m, "cancel_self() error 'a real one'");
  run_to(m, t, MUSTER_FAILED);
  muster_task_release(t);
  close_runtime(m);
}

static void cancels_ended(void) {
  muster *m = open_runtime();
  muster_task *done = spawn_script(m, "return 1"), *failed = spawn_script(m, "error 'x'");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(!muster_task_cancel(done, NULL) && !muster_task_cancel(done, "late"));
  CHECK(!muster_task_cancel(failed, NULL) && !muster_task_cancel(failed, "late"));
  CHECK(muster_task_state(done) == MUSTER_DONE && muster_task_state(failed) == MUSTER_FAILED);
  muster_task_error(failed, muster_state(m));
  lua_settop(muster_state(m), 0);
  muster_task_release(done);
  muster_task_release(failed);
  close_runtime(m);
}

/* ---- releasing ---- */

static int release_self(lua_State *L) {
  muster_task **t = lua_touserdata(L, lua_upvalueindex(1));
  muster_task_release(*t);
  *t = NULL;
  return 0;
}

/* The task goes on without its hold, whatever state it was in. */
static void releases(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  muster_task *t;
  muster_task_release(NULL);
  lua_pushlightuserdata(L, &t);
  lua_pushcclosure(L, release_self, 1);
  lua_setglobal(L, "release_self");
  run_script(m, "n = 0 function work() collectgarbage() require('muster').sleep(0.001) n = n + 1 end");
  muster_task_release(spawn_script(m, "work()")); /* ready */
  t = spawn_script(m, "work()");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_task_release(t);                       /* waiting */
  t = spawn_script(m, "release_self() work()"); /* running */
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(t == NULL);
  t = spawn_script(m, "work()");
  CHECK(muster_task_cancel(t, "gone"));
  muster_task_release(t); /* cancelled, and still queued */
  lua_gc(L, LUA_GCCOLLECT);
  CHECK(run_for_integer(m, "return n") == 3);
  close_runtime(m);
}

/* A hold keeps the results alive, and nothing else does. */
static void holds(void) {
  muster *m = open_runtime();
  lua_State *L = muster_state(m);
  run_script(m, "weak = setmetatable({}, {__mode = 'v'})");
  muster_task *t = spawn_script(m, "weak[1] = {} return weak[1]");
  run_to(m, t, MUSTER_DONE);
  lua_gc(L, LUA_GCCOLLECT);
  CHECK(run_for_integer(m, "return #weak") == 1);
  muster_task_release(t);
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);
  CHECK(run_for_integer(m, "return #weak") == 0);
  close_runtime(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"tasks: a function with arguments", spawns_function},
      {"tasks: not a function, too many arguments", spawns_nothing_else},
      {"tasks: a string", spawns_string},
      {"tasks: a string that does not compile", refuses_syntax},
      {"tasks: a file", spawns_file},
      {"tasks: stdin", spawns_stdin},
      {"tasks: a file that is missing, or does not compile", refuses_files},
      {"tasks: states", states},
      {"tasks: results", results},
      {"tasks: names", names},
      {"tasks: errors", errors},
      {"tasks: a host's own message handler", guards},
      {"tasks: cancelled before it runs", cancels_ready},
      {"tasks: cancelled while it waits", cancels_waiting},
      {"tasks: cancelled while it runs", cancels_running},
      {"tasks: cancelled after its end", cancels_ended},
      {"tasks: released in every state", releases},
      {"tasks: a hold keeps the results", holds},
      {NULL, NULL},
  };
  return run_cases(cases);
}
