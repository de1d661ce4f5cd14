/* repl.c: chunks of Lua run as tasks, to their end or to an interrupt; and the interactive mode, as the standard
** interpreter has it without a line editor.
**
** What a session does is in Lua (muster.repl): it reads chunks, and shows their values. Reading, running and showing are
** each one task, so that an interrupt cancels that, and not the session. On a terminal other tasks run all the time; else
** while a chunk runs, not while a line is read. */
#include "repl.h"

#include "terminal.h"

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
  volatile sig_atomic_t session,
      typing; /* interrupts are for the chunk; a line is read that cannot be cancelled */
} interrupts;

static void leave_at_once(void) {
  mu_terminal_restore();
  _exit(MU_INTERRUPTED);
}

/* The first: the chunk is cancelled, or the wait for the last tasks ends. The second, or while no task runs: out. In a
** session on a terminal only the third of a chunk, which must be stuck, is the way out. */
static void on_interrupt(int signal_number) {
  (void)signal_number;
  if (interrupts.session && !interrupts.looping) return;
  if (!interrupts.looping || interrupts.typing) leave_at_once();
  if (++interrupts.count > (interrupts.session ? 2 : 1)) leave_at_once();
  muster_interrupt(interrupts.m, interrupts.chunk);
  if (!interrupts.chunk) muster_stop(interrupts.m);
}

bool mu_interrupted(void) { return interrupts.count > 0; }

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

/* Its address names, in the registry, what the error object that ended the chunk says of itself; or nil. */
static const char described_key;

/* A message handler, error -> error: asks an object for its text while the frames that failed are still there, as the
** standard interpreter does. */
static int describe(lua_State *L) {
  if (lua_isstring(L, 1) || !luaL_callmeta(L, 1, "__tostring") || lua_type(L, -1) != LUA_TSTRING)
    lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &described_key);
  lua_settop(L, 1);
  return muster_traceback(L);
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
  lua_pushcfunction(L, describe);
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

/* Pushes what to say of a chunk that failed: what the error is, and where it comes from. */
static void push_message(lua_State *L, muster_task *t) {
  int top = lua_gettop(L);
  muster_task_error(t, L); /* error, traceback; who asks answers for it */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &described_key);
  const char *what = lua_tostring(L, -3), *trace = lua_tostring(L, -2);
  if (!what) what = lua_tostring(L, -1);
  if (!what) what = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, -3));
  if (trace && !strchr(trace, '\n')) trace = NULL; /* no frame is the script's */
  lua_pushfstring(L, "%s%s%s", what, trace ? "\n" : "", trace ? trace : "");
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
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
  lua_rawsetp(L, LUA_REGISTRYINDEX, &described_key);
  muster_task *t = spawn_guarded(L, nargs);
  if (!t) return lua_pushliteral(L, "not enough memory"), MU_FAILED;
  muster_task_set_name(t, "main");
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

/* A session: its phases are tasks, one after the other. Stack of m: ..., session at index. */
typedef struct {
  muster *m;
  lua_State *L;
  mu_terminal *terminal; /* NULL: a pipe */
  int index;
} session;

static void report(session *s) {
  const char *message = lua_tostring(s->L, -1);
  if (message && s->terminal) mu_terminal_complain(s->terminal, message);
  else if (message) fprintf(stderr, "%s\n", message);
  lua_pop(s->L, 1);
}

/* Calls session:name(...) as a task, with what is on the stack above. Leaves results or a message there. */
static int run_method(session *s, const char *name) {
  int nargs = lua_gettop(s->L) - s->index;
  luaL_checkstack(s->L, LUA_MINSTACK, "too many results to print");
  lua_getfield(s->L, s->index, name);
  lua_insert(s->L, s->index + 1);
  lua_pushvalue(s->L, s->index);
  lua_insert(s->L, s->index + 2);
  return mu_run_function(s->m, nargs + 1);
}

/* Pushes the next chunk as a function, or nil at the end of the input. False: there is none yet, and it has been said. */
static bool next_chunk(session *s) {
  interrupts.typing = !s->terminal;
  int status = run_method(s, "next");
  interrupts.typing = 0;
  if (status == MU_WELL) return true;
  bool abandoned = s->terminal && mu_terminal_gave_up(s->terminal) && status == MU_INTERRUPTED;
  if (abandoned) puts("^C");
  else report(s);
  return false;
}

/* Pops the chunk. */
static void run_chunk(session *s) {
  mu_terminal_restore();
  if (mu_run_function(s->m, 0) != MU_WELL || run_method(s, "finish") != MU_WELL) report(s);
}

static void run_session(session *s) {
  interrupts.session = s->terminal != NULL;
  for (bool ends = false; !ends; lua_settop(s->L, s->index)) {
    if (!next_chunk(s)) continue;
    ends = lua_isnil(s->L, -1);
    if (!ends) run_chunk(s);
  }
  interrupts.session = 0;
  mu_terminal_restore();
  printf("\n");
  fflush(stdout);
}

/* light userdata session -> the session; opens the terminal, if there is one */
static int make_session(lua_State *L) {
  session *s = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "muster.repl");
  lua_call(L, 1, 1);
  if (mu_is_terminal()) s->terminal = mu_terminal_open(L, s->m);
  if (!s->terminal) {
    lua_getfield(L, 2, "plain");
    lua_call(L, 0, 1);
  }
  lua_getfield(L, 2, "session");
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  return 1;
}

/* Pushes the session, or a message. */
static bool open_session(session *s) {
  lua_pushcfunction(s->L, make_session);
  lua_pushlightuserdata(s->L, s);
  if (mu_run_function(s->m, 1) != MU_WELL) return false;
  s->index = lua_gettop(s->L);
  if (s->terminal) {
    puts("muster " MUSTER_VERSION ": await works here; .help says what else");
    lua_pushvalue(s->L, s->index);
    mu_terminal_serve(s->terminal, s->L);
  }
  return true;
}

void mu_repl(muster *m) {
  session s = {.m = m, .L = muster_state(m)};
  if (open_session(&s)) run_session(&s);
  else report(&s);
  if (s.terminal) {
    interrupts.count = 0;
    mu_end_tasks(m, MU_INTERRUPTED); /* waits for none */
    mu_terminal_close(s.terminal, s.L);
  }
}
