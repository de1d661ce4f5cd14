/* repl.c: chunks of Lua run as tasks, to their end or to an interrupt; and the interactive mode, as the standard
** interpreter has it without a line editor.
**
** In the interactive mode a line is tried as an expression, whose values are printed, then as a statement; one that is
** not complete asks for more lines. Other tasks run while a chunk runs, not while a line is typed. */
#include "repl.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- signals ---- */

/* What the handlers need to see; a program has one of each signal, hence static. */
static struct {
  muster *m;
  muster_task *volatile chunk;          /* the one that runs: the first interrupt cancels it */
  volatile sig_atomic_t looping, count; /* tasks may run; interrupts since the chunk began */
} interrupts;

/* The first: the chunk is cancelled, or the wait for the last tasks ends. The second, or while no task runs: out. */
static void on_interrupt(int signal_number) {
  (void)signal_number;
  if (!interrupts.looping || interrupts.count++) _exit(MU_INTERRUPTED);
  muster_interrupt(interrupts.m, interrupts.chunk);
  if (!interrupts.chunk) muster_stop(interrupts.m);
}

/* Who writes to a stdout that nobody reads any more dies as usual, and quietly. A socket or a child that hung up is an
** error of that write, not the end of the program. */
static void on_broken_pipe(int signal_number) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  int saved = errno;
  if (poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP)) {
    signal(signal_number, SIG_DFL);
    raise(signal_number);
  }
  errno = saved;
}

void mu_handle_signals(muster *m) {
  struct sigaction interrupt = {.sa_handler = on_interrupt}, broken_pipe = {.sa_handler = on_broken_pipe};
  interrupts.m = m;
  sigaction(SIGINT, &interrupt, NULL);
  sigaction(SIGPIPE, &broken_pipe, NULL);
}

/* ---- chunks as tasks ---- */

/* Its address names, in the registry, what there is to say about the chunk that failed. */
static const char message_key;

static void push_trace(lua_State *L, const char *message) {
  static const char bottom[] = "\n\t[C]: in ?"; /* the runtime's own frame, below ours */
  luaL_traceback(L, L, message, 1);
  size_t n, cut = sizeof bottom - 1;
  const char *text = lua_tolstring(L, -1, &n);
  if (n > cut && strcmp(text + n - cut, bottom) == 0) lua_pushlstring(L, text, n - cut);
}

/* A message handler, error -> error: keeps the message, as the standard interpreter words it, while the frames that
** failed are still there. */
static int keep_message(lua_State *L) {
  lua_pushvalue(L, 1);
  const char *text = lua_tostring(L, -1);
  if (text) push_trace(L, text);
  else if (!luaL_callmeta(L, 1, "__tostring") || lua_type(L, -1) != LUA_TSTRING)
    push_trace(L, lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1)));
  lua_rawsetp(L, LUA_REGISTRYINDEX, &message_key);
  lua_settop(L, 1);
  return 1;
}

/* Stack: handler, results or error. */
static int guarded_ended(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) - 1 : lua_error(L);
}

/* What a task calls: function, list, its length -> the results of function(list...) */
static int guarded(lua_State *L) {
  int n = (int)lua_tointeger(L, 3);
  luaL_checkstack(L, n + LUA_MINSTACK, "too many arguments to script");
  lua_pop(L, 1);
  lua_pushcfunction(L, keep_message);
  lua_insert(L, 1); /* handler, function, list */
  for (int i = 1; i <= n; i++) lua_rawgeti(L, 3, i);
  lua_remove(L, 3);
  return guarded_ended(L, lua_pcallk(L, n, LUA_MULTRET, 1, 0, guarded_ended), 0);
}

/* Stack: function, arguments -> . */
static muster_task *spawn_guarded(lua_State *L, int nargs) {
  lua_createtable(L, nargs, 0);
  lua_insert(L, -(nargs + 1));
  for (int i = nargs; i >= 1; i--) lua_rawseti(L, -(i + 1), i);
  lua_pushinteger(L, nargs);
  lua_pushcfunction(L, guarded);
  lua_insert(L, -4);
  return muster_spawn(L, 3);
}

/* Pushes what to say of a chunk that failed. */
static void push_message(lua_State *L, muster_task *t) {
  muster_task_error(t, L); /* error, traceback; who asks answers for it */
  bool kept = lua_rawgetp(L, LUA_REGISTRYINDEX, &message_key) == LUA_TSTRING;
  if (!kept) luaL_tolstring(L, -3, NULL); /* no handler ran: out of memory, or cancelled before it began */
  lua_replace(L, kept ? -3 : -4);
  lua_pop(L, kept ? 1 : 2);
}

static int outcome(lua_State *L, muster_task *t, int rc) {
  if (rc == MUSTER_EDEADLOCK) return lua_pushnil(L), MU_DEADLOCK;
  if (rc < 0) return lua_pushstring(L, muster_error_string(rc)), MU_FAILED;
  bool failed = muster_task_state(t) == MUSTER_FAILED;
  if (interrupts.count && !failed) return lua_pushliteral(L, "interrupted"), MU_INTERRUPTED;
  if (muster_task_results(t, L) >= 0) return MU_WELL;
  push_message(L, t);
  return interrupts.count ? MU_INTERRUPTED : MU_FAILED;
}

static int run_to_end(muster *m, muster_task *t) {
  int rc;
  interrupts.count = 0;
  interrupts.chunk = t;
  interrupts.looping = 1;
  do rc = muster_run_task(m, t);
  while (rc >= 0 && muster_task_state(t) < MUSTER_DONE); /* a stop that was not meant for it */
  if (rc == MUSTER_EDEADLOCK && muster_task_cancel(t, NULL)) muster_run_task(m, t);
  interrupts.looping = 0;
  interrupts.chunk = NULL;
  if (interrupts.count) muster_interrupt(m, NULL); /* so that t is forgotten */
  return rc;
}

int mu_run_function(muster *m, int nargs) {
  lua_State *L = muster_state(m);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &message_key);
  muster_task *t = spawn_guarded(L, nargs);
  if (!t) return lua_pushliteral(L, "not enough memory"), MU_FAILED;
  int status = outcome(L, t, run_to_end(m, t));
  muster_task_release(t);
  return status;
}

/* ---- the end of all tasks ---- */

static size_t alive(muster *m) {
  muster_stats_t stats;
  muster_stats(m, &stats);
  return stats.alive;
}

static int wait_for_tasks(muster *m) {
  int rc;
  do rc = muster_run(m, MUSTER_RUN_ALL);
  while (rc == 1 && !interrupts.count);
  if (rc == MUSTER_EDEADLOCK) return MU_DEADLOCK;
  return interrupts.count ? MU_INTERRUPTED : MU_WELL;
}

/* An interrupt ends a turn early, and begins another cancellation: tasks may have started others meanwhile. */
static int shut_down(muster *m, int status) {
  int rc;
  do rc = muster_shutdown(m);
  while (rc == 0 && alive(m) > 0);
  if (status != MU_WELL || rc == 0) return status;
  return rc == MUSTER_EDEADLOCK ? MU_DEADLOCK : MU_FAILED;
}

int mu_end_tasks(muster *m, int status) {
  if (status == MU_WELL) interrupts.count = 0;
  interrupts.looping = 1;
  if (status == MU_WELL) status = wait_for_tasks(m);
  status = shut_down(m, status);
  interrupts.looping = 0;
  return status;
}

/* ---- interactive mode ---- */

static const char chunk_name[] = "=stdin";

/* The names that a session starts with, unless the script has given them a meaning. */
static const char prelude[] =
    "local async = require 'muster'\n"
    "for name, value in pairs {async = async, await = async.await, gather = async.gather,\n"
    "    as_completed = async.as_completed, sleep = async.sleep} do\n"
    "  if rawget(_G, name) == nil then rawset(_G, name, value) end\n"
    "end";

static void report(lua_State *L) {
  if (!lua_isnil(L, -1)) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* ---- reading lines ---- */

static void show_prompt(lua_State *L, bool first) {
  int top = lua_gettop(L);
  const char *text = first ? "> " : ">> ";
  if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") != LUA_TNIL) text = luaL_tolstring(L, -1, NULL);
  fputs(text, stdout);
  fflush(stdout);
  lua_settop(L, top);
}

/* Shows a line that nobody typed, so that the output reads like a session. */
static void echo(const char *line, size_t n) {
  if (isatty(STDIN_FILENO)) return;
  fwrite(line, 1, n, stdout);
  printf("\n");
  fflush(stdout);
}

/* Pushes a line without its end; false, nothing pushed, at the end of the input. */
static bool push_line(lua_State *L, bool first) {
  char *line = NULL;
  size_t size = 0;
  show_prompt(L, first);
  ssize_t n = getline(&line, &size, stdin);
  if (n > 0 && line[n - 1] == '\n') n--;
  if (n >= 0) {
    echo(line, (size_t)n);
    lua_pushlstring(L, line, (size_t)n);
  }
  free(line);
  return n >= 0;
}

/* Pushes the line on top as a function; false, nothing pushed, if it is not an expression. */
static bool load_expression(lua_State *L) {
  const char *code = lua_pushfstring(L, "return %s;", lua_tostring(L, -1));
  bool is = luaL_loadbuffer(L, code, strlen(code), chunk_name) == LUA_OK;
  lua_remove(L, -2);
  if (!is) lua_pop(L, 1);
  return is;
}

/* Is the message on top that of a chunk that breaks off? */
static bool incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  if (status != LUA_ERRSYNTAX) return false;
  size_t n;
  const char *message = lua_tolstring(L, -1, &n);
  return n >= sizeof mark - 1 && strcmp(message + n - (sizeof mark - 1), mark) == 0;
}

/* Pushes the code on top as a function, or a message, after adding lines to it as long as it is incomplete. */
static int load_statement(lua_State *L) {
  for (;;) {
    size_t n;
    const char *code = lua_tolstring(L, -1, &n);
    int status = luaL_loadbuffer(L, code, n, chunk_name);
    if (!incomplete(L, status) || !push_line(L, false)) return status;
    lua_remove(L, -2); /* the message */
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
}

/* "=x" is an old way to write "return x". */
static void allow_equals(lua_State *L) {
  const char *line = lua_tostring(L, -1);
  if (line[0] != '=') return;
  lua_pushfstring(L, "return %s", line + 1);
  lua_remove(L, -2);
}

/* Pushes the next chunk as a function, or a message; false at the end of the input. */
static bool read_chunk(lua_State *L, int *status) {
  if (!push_line(L, true)) return false;
  allow_equals(L);
  *status = load_expression(L) ? LUA_OK : load_statement(L);
  lua_remove(L, -2); /* the code */
  return true;
}

/* ---- the session ---- */

static void report_print(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  if (message) fprintf(stderr, "error calling 'print' (%.*s)\n", (int)strcspn(message, "\n"), message);
}

/* Prints what is on the stack above base. */
static void print_results(muster *m, lua_State *L, int base) {
  int n = lua_gettop(L) - base;
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, base + 1);
  if (mu_run_function(m, n) != MU_WELL) report_print(L);
}

static void run_chunk(muster *m, lua_State *L, int base) {
  if (mu_run_function(m, 0) == MU_WELL) print_results(m, L, base);
  else report(L);
}

static void load_prelude(muster *m, lua_State *L) {
  if (luaL_loadstring(L, prelude) != LUA_OK || mu_run_function(m, 0) != MU_WELL) report(L);
}

void mu_repl(muster *m) {
  lua_State *L = muster_state(m);
  int base = lua_gettop(L), status;
  for (load_prelude(m, L); read_chunk(L, &status); lua_settop(L, base)) {
    if (status == LUA_OK) run_chunk(m, L, base);
    else report(L);
  }
  printf("\n");
  fflush(stdout);
}
