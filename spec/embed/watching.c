/* Hosts that watch: config.slow, config.trace, config.stats, muster_dump. */
#include "../support/script.h"

#include <errno.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- reports ---- */

typedef struct {
  atomic_int slow, dumps, broken;
} heard;

static void listen(void *data, const char *text, size_t length) {
  heard *h = data;
  CHECK(length > 0 && text[length - 1] == '\n');
  if (strstr(text, "has run for")) h->slow++;
  if (strstr(text, "sleepy")) h->dumps++;
  if (strstr(text, "the trace ends here")) h->broken++;
}

/* Calls heard_slow and heard_dumps tell the script. */
static int count_slow(lua_State *L) {
  lua_pushinteger(L, ((heard *)lua_touserdata(L, lua_upvalueindex(1)))->slow);
  return 1;
}

static int count_dumps(lua_State *L) {
  lua_pushinteger(L, ((heard *)lua_touserdata(L, lua_upvalueindex(1)))->dumps);
  return 1;
}

static void define(muster *m, const char *name, lua_CFunction f, heard *h) {
  lua_State *L = muster_state(m);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, f, 1);
  lua_setglobal(L, name);
}

static muster *watched(muster_config config, heard *h) {
  config.report = listen;
  config.data = h;
  muster *m = muster_new(&config);
  CHECK(m);
  define(m, "slow", count_slow, h);
  define(m, "dumps", count_dumps, h);
  return m;
}

static void finish(muster *m) {
  check_idle(m);
  muster_close(m);
}

static const char busy[] = "local n = slow() repeat for i = 1, 1000 do end until slow() > n";

/* ---- slow tasks ---- */

static void tells_slow(void) {
  heard h = {0};
  muster *m = watched((muster_config){.slow = 0.01}, &h);
  run_script(m, busy);
  CHECK(h.slow == 1);
  run_script(m, busy);
  CHECK(h.slow == 2);
  finish(m);
}

static void on_urgent(int number) { (void)number; }

/* Its handler stays, and nothing is watched. */
static void leaves_handler(void) {
  heard h = {0};
  struct sigaction mine = {.sa_handler = on_urgent}, before, after;
  CHECK(sigaction(SIGURG, &mine, &before) == 0);
  muster *m = watched((muster_config){.slow = 0.01}, &h);
  run_script(m, "local start = os.clock() repeat until os.clock() - start > 0.05");
  CHECK(h.slow == 0);
  finish(m);
  CHECK(sigaction(SIGURG, &before, &after) == 0 && after.sa_handler == on_urgent);
}

/* A signal of the same number that others send does nothing, whatever it carries. */
static void ignores_others(void) {
  heard h = {0};
  muster *m = watched((muster_config){.slow = 0.01}, &h);
  CHECK(raise(SIGURG) == 0);
  CHECK(kill(getpid(), SIGURG) == 0);
  run_script(m, busy);
  CHECK(raise(SIGURG) == 0);
  finish(m);
  CHECK(raise(SIGURG) == 0);
}

static void *run_busy(void *data) {
  (void)data;
  tells_slow();
  return NULL;
}

static void on_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, run_busy, NULL) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* One that blocks the signal never learns of it; closing must not wait for that. */
static void *run_blocked(void *data) {
  sigset_t urgent;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  CHECK(pthread_sigmask(SIG_BLOCK, &urgent, NULL) == 0);
  heard h = {0};
  muster *m = watched((muster_config){.slow = 0.004}, &h);
  run_script(m, "local start = os.clock() repeat until os.clock() - start > 0.05");
  CHECK(h.slow == 0);
  finish(m);
  return data;
}

static void blocked(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_blocked, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

/* The host's own loop: short calls, between which nothing is watched. */
static void in_steps(void) {
  heard h = {0};
  muster *m = watched((muster_config){.slow = 0.01}, &h);
  muster_task *t = spawn_script(m, busy);
  while (muster_run(m, MUSTER_RUN_NOWAIT) == 1) usleep(1000);
  check_done(t, muster_state(m));
  muster_task_release(t);
  CHECK(h.slow == 1);
  finish(m);
}

static void opens_and_closes(void) {
  for (int i = 0; i < 200; i++) {
    heard h = {0};
    muster *m = watched((muster_config){.slow = 0.002}, &h);
    if (i % 2) run_script(m, "for i = 1, 1000 do end");
    finish(m);
  }
}

/* ---- dumps ---- */

static const char sleepy[] = "local async = require 'muster'\n"
                             "local event = async.event()\n"
                             "local t = async.spawn(event.wait, event)\n"
                             "t.name = 'sleepy'\n"
                             "async.yield()\n";

static void *dump_soon(void *m) {
  usleep(10000);
  muster_dump(m);
  return NULL;
}

static void dumped_from_thread(muster *m, const char *code) {
  char script[512];
  pthread_t thread;
  snprintf(script, sizeof script, "%s %s t:cancel()", sleepy, code);
  CHECK(pthread_create(&thread, NULL, dump_soon, m) == 0);
  run_script(m, script);
  CHECK(pthread_join(thread, NULL) == 0);
}

static void dumps_waiting(void) {
  heard h = {0};
  muster *m = watched((muster_config){0}, &h);
  dumped_from_thread(m, "repeat async.sleep(0.005) until dumps() > 0");
  finish(m);
}

/* The watchdog reaches a busy task from any thread. */
static void dumps_busy(void) {
  heard h = {0};
  muster *m = watched((muster_config){.slow = 100}, &h);
  dumped_from_thread(m, "repeat for i = 1, 1000 do end until dumps() > 0");
  CHECK(h.slow == 0);
  finish(m);
}

static int dump(lua_State *L) {
  muster_dump(muster_of(L));
  return 0;
}

static void dumps_inside(void) {
  heard h = {0};
  muster *m = watched((muster_config){0}, &h);
  lua_register(muster_state(m), "dump", dump);
  char script[512];
  snprintf(script, sizeof script, "%s dump() for i = 1, 10 do end assert(dumps() == 1) t:cancel()", sleepy);
  run_script(m, script);
  muster_dump(m);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 0);
  finish(m);
}

/* ---- traces ---- */

static char path[64];

static size_t read_trace(char *text, size_t size) {
  FILE *file = fopen(path, "rb");
  CHECK(file);
  size_t n = fread(text, 1, size - 1, file);
  text[n] = '\0';
  fclose(file);
  return n;
}

static void traces(void) {
  static char text[65536];
  snprintf(path, sizeof path, "/tmp/muster-trace-%d", (int)getpid());
  muster *m = muster_new(&(muster_config){.trace = path});
  CHECK(m);
  muster_task *t = spawn_script(m, "require 'muster'.sleep(3600)");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_stats_t stats;
  muster_stats(m, &stats);
  CHECK(stats.slice < 0 && !stats.slice_of && stats.collecting < 0); /* not asked for */
  muster_task_release(t);
  muster_close(m);
  size_t n = read_trace(text, sizeof text);
  CHECK(n > 10 && strcmp(text + n - 3, "\n]\n") == 0);
  CHECK(strstr(text, "\"sleep\",\"ph\":\"B\"") && strstr(text, "\"ph\":\"E\""));
  CHECK(unlink(path) == 0);
}

static void refuses_path(void) {
  errno = 0;
  CHECK(!muster_new(&(muster_config){.trace = "/nowhere/trace"}));
  CHECK(errno == ENOENT);
  errno = 0;
  CHECK(!muster_new(&(muster_config){.trace = "/", .slow = 1, .stats = true}));
  CHECK(errno == EISDIR);
}

static void says_broken(void) {
  heard h = {0};
  muster *m = watched((muster_config){.trace = "/dev/full"}, &h);
  run_script(m, "for i = 1, 5000 do require 'muster'.yield() end");
  CHECK(h.broken == 1);
  finish(m);
  CHECK(h.broken == 1);
}

/* A state that lives on has nothing left of it. */
static void foreign_state(void) {
  heard h = {0};
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  CHECK(!muster_new(&(muster_config){.state = L, .trace = "/nowhere/trace"}));
  for (int i = 0; i < 2; i++) {
    muster *m = watched((muster_config){.state = L, .trace = "/dev/null", .slow = 0.01, .stats = true}, &h);
    run_script(m, busy);
    muster_stats_t stats;
    muster_stats(m, &stats);
    CHECK(stats.slice > 0.01 && stats.collecting < 0);
    finish(m);
  }
  CHECK(h.slow == 2);
  CHECK(luaL_dostring(L, "collectgarbage() for i = 1, 10 do local t = {} end") == LUA_OK);
  lua_close(L);
}

/* ---- statistics ---- */

static void measures(void) {
  muster *m = muster_new(&(muster_config){.stats = true});
  CHECK(m);
  muster_stats_t stats;
  muster_stats(m, &stats);
  CHECK(stats.slice == 0 && stats.slice_of && !*stats.slice_of);
  run_script(m, "require 'muster'.current().name = 'hog' for i = 1, 1e5 do local t = {} end");
  muster_stats(m, &stats);
  CHECK(stats.slice > 0 && strstr(stats.slice_of, "hog") && strstr(stats.slice_of, "script"));
  CHECK(stats.collecting < 0); /* not measured in this program */
  CHECK(stats.polls > 0 && stats.handles == 0 && stats.requests == 0);
  run_script(m, "require 'muster'.sleep(0.001)");
  uint64_t before = stats.waits;
  muster_stats(m, &stats);
  CHECK(stats.waits > before && stats.polls > stats.waits);
  finish(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"watching: a task that is slow", tells_slow},
      {"watching: SIGURG is the program's", leaves_handler},
      {"watching: SIGURG from others", ignores_others},
      {"watching: several threads", on_threads},
      {"watching: a thread that blocks the signal", blocked},
      {"watching: the host's own loop", in_steps},
      {"watching: opened and closed", opens_and_closes},
      {"watching: a dump, asked for by a thread, while the loop waits", dumps_waiting},
      {"watching: a dump, asked for by a thread, while a task is busy", dumps_busy},
      {"watching: a dump, asked for by a task and by the host", dumps_inside},
      {"watching: a trace", traces},
      {"watching: a trace that cannot be created", refuses_path},
      {"watching: a trace that cannot be written", says_broken},
      {"watching: a foreign state", foreign_state},
      {"watching: statistics", measures},
      {NULL, NULL},
  };
  return run_cases(cases);
}
