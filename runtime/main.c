/* main.c: the program `muster [options] [script [args]]`, in the place of the standard interpreter. A client of
** muster.h, and of nothing else of the library.
**
** Every chunk (LUA_INIT, -e, -l, the script, a line of -i) runs as a task, one after the other. When the last has
** ended the program waits for the tasks that they have started, cancels the daemons, and reports what nobody looked
** at. A chunk that fails ends the program: the other tasks are cancelled, and clean up. */
#include "muster.h"
#include "repl.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: %s [options] [script [args]]\n"
    "  -e STAT                  run the string STAT\n"
    "  -l MOD                   global MOD = require MOD; -l G=MOD: global G\n"
    "  -i                       interactive mode, after the script\n"
    "  -v                       show the version of Lua\n"
    "  -E                       ignore LUA_INIT, LUA_PATH, LUA_CPATH and MUSTER_PATH\n"
    "  -W                       turn warnings on\n"
    "  --                       end of the options\n"
    "  -                        end of the options; the script is stdin\n"
    "  --virtual-time           no waiting: time jumps to the next deadline\n"
    "  --seed N                 run what is ready in an order that N decides (0: first in, first out)\n"
    "  --cleanup-limit SECONDS  how long a cancelled task may clean up (0: no limit)\n"
    "  --slow MS                report a task that runs for so long without suspending (200; 0: never)\n"
    "  --stats                  print counters and times at the end, on stderr\n"
    "  --trace FILE             write when tasks run and wait, for Perfetto or chrome://tracing\n"
    "  --help, --version        print this; print the versions\n"
    "Ctrl-\\, or the signal USR1, shows what each task waits for.\n"
    "MUSTER_PATH in the environment is a directory whose Lua files replace the library in this binary.\n"
    "Exit status: 0; 1 after an error; 2 for a bad command line; 13 deadlock; 130 interrupted.\n";

/* ---- the command line ---- */

typedef struct {
  char **argv;
  int argc;
  int script; /* its index in argv, or argc */
  bool interactive, version, no_environment, chunk;
  muster_config config;
} settings;

enum {
  SCRIPT = 0,
  UNKNOWN = 256,
  NO_VALUE,
  HELP,
  VERSION,
  VIRTUAL_TIME,
  SEED,
  CLEANUP_LIMIT,
  SLOW,
  STATS,
  TRACE
};

typedef struct {
  int key;           /* the letter, or one of the above */
  const char *text;  /* as it was typed */
  const char *value; /* if it takes one */
  int next;          /* index of the argument after it; for SCRIPT, of the script */
} option;

static const struct {
  const char *name;
  int key;
  bool value;
} long_options[] = {{"--help", HELP, false},   {"--version", VERSION, false},
                    {"--seed", SEED, true},    {"--virtual-time", VIRTUAL_TIME, false},
                    {"--stats", STATS, false}, {"--cleanup-limit", CLEANUP_LIMIT, true},
                    {"--slow", SLOW, true},    {"--trace", TRACE, true}};

/* "--name", "--name VALUE" or "--name=VALUE". */
static option read_long(char **argv, int i) {
  size_t n = strcspn(argv[i], "=");
  bool joined = argv[i][n];
  for (size_t k = 0; k < sizeof long_options / sizeof *long_options; k++) {
    const char *name = long_options[k].name;
    if (strlen(name) != n || strncmp(name, argv[i], n) != 0) continue;
    if (!long_options[k].value) return (option){joined ? UNKNOWN : long_options[k].key, argv[i], NULL, i + 1};
    const char *value = joined ? argv[i] + n + 1 : argv[i + 1];
    return (option){value ? long_options[k].key : NO_VALUE, name, value, joined ? i + 1 : i + 2};
  }
  return (option){UNKNOWN, argv[i], NULL, i + 1};
}

/* -e and -l take what follows the letter, or the next argument unless that looks like an option. */
static option read_short_value(char **argv, int i) {
  option o = {argv[i][1], argv[i], argv[i] + 2, i + 1};
  if (*o.value) return o;
  o.value = argv[o.next++];
  if (!o.value || *o.value == '-') o.key = NO_VALUE;
  return o;
}

static option read_option(char **argv, int i) {
  const char *text = argv[i];
  if (!text || text[0] != '-' || text[1] == '\0') return (option){SCRIPT, text, NULL, i};
  if (text[1] == '-') return text[2] ? read_long(argv, i) : (option){SCRIPT, text, NULL, i + 1};
  if (text[1] == 'e' || text[1] == 'l') return read_short_value(argv, i);
  bool known = strchr("ivEW", text[1]) && text[2] == '\0';
  return (option){known ? text[1] : UNKNOWN, text, NULL, i + 1};
}

static bool read_seed(const char *text, uint64_t *seed) {
  char *end;
  errno = 0;
  *seed = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool read_seconds(const char *text, double *seconds) {
  char *end;
  *seconds = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*seconds) && *seconds >= 0;
}

static bool read_milliseconds(const char *text, double *seconds) {
  bool well = read_seconds(text, seconds);
  *seconds *= 1e-3;
  return well;
}

/* Notes what an option says, if it says so before any code runs. False: a bad value. */
static bool apply(settings *s, const option *o) {
  switch (o->key) {
    case 'e': s->chunk = true; break;
    case 'i': s->interactive = s->version = true; break;
    case 'v': s->version = true; break;
    case 'E': s->no_environment = true; break;
    case STATS: s->config.stats = true; break;
    case TRACE: s->config.trace = o->value; break;
    case SLOW: return read_milliseconds(o->value, &s->config.slow);
    case VIRTUAL_TIME: s->config.virtual_time = true; break;
    case SEED: return read_seed(o->value, &s->config.seed);
    case CLEANUP_LIMIT: return read_seconds(o->value, &s->config.cleanup_limit);
  }
  return true;
}

static const char *program(const settings *s) { return s->argc && *s->argv[0] ? s->argv[0] : "muster"; }

static int refuse(const settings *s, const char *format, const char *text, const char *value) {
  fprintf(stderr, "%s: ", program(s));
  fprintf(stderr, format, text, value);
  fprintf(stderr, " (try '%s --help')\n", program(s));
  return MU_USAGE;
}

/* Reads all options; a status, or -1 to go on. */
static int read_settings(settings *s) {
  for (int i = s->argc ? 1 : 0;; i = s->script) {
    option o = read_option(s->argv, i);
    s->script = o.next;
    switch (o.key) {
      case SCRIPT: return -1;
      case UNKNOWN: return refuse(s, "unrecognized option '%s'", o.text, NULL);
      case NO_VALUE: return refuse(s, "'%s' needs argument", o.text, NULL);
      case HELP: return printf(help, program(s)), MU_WELL;
      case VERSION: return puts("muster " MUSTER_VERSION ", " LUA_RELEASE), MU_WELL;
    }
    if (!apply(s, &o)) return refuse(s, "bad value for '%s': '%s'", o.text, o.value);
  }
}

/* ---- what to run ---- */

/* Says what is on top of the stack of a chunk that did not end well. */
static int report(const settings *s, lua_State *L, int status) {
  const char *message = status == MU_WELL ? NULL : lua_tostring(L, -1);
  if (message) fprintf(stderr, "%s: %s\n", program(s), message);
  return status;
}

/* Stack: the function, or the message if it could not be loaded. */
static int run_loaded(const settings *s, muster *m, int loaded) {
  lua_State *L = muster_state(m);
  int status = report(s, L, loaded == LUA_OK ? mu_run_function(m, 0) : MU_FAILED);
  lua_settop(L, 1);
  return status;
}

static int run_file(const settings *s, muster *m, const char *path) {
  return run_loaded(s, m, luaL_loadfile(muster_state(m), path));
}

static int run_string(const settings *s, muster *m, const char *code, const char *name) {
  return run_loaded(s, m, luaL_loadbuffer(muster_state(m), code, strlen(code), name));
}

static int run_init(const settings *s, muster *m) {
  const char *name = "=LUA_INIT" LUA_VERSUFFIX, *code = getenv(name + 1);
  if (!code) code = getenv((name = "=LUA_INIT") + 1);
  if (!code) return MU_WELL;
  return code[0] == '@' ? run_file(s, m, code + 1) : run_string(s, m, code, name);
}

/* "mod" or "global=mod" */
static int run_require(const settings *s, muster *m, const char *text) {
  lua_State *L = muster_state(m);
  const char *equals = strchr(text, '=');
  if (equals) lua_pushlstring(L, text, (size_t)(equals - text));
  else lua_pushstring(L, text);
  const char *global = lua_tostring(L, -1);
  lua_getglobal(L, "require");
  lua_pushstring(L, equals ? equals + 1 : text);
  int status = report(s, L, mu_run_function(m, 1));
  if (status == MU_WELL) {
    lua_settop(L, 3); /* settings, global, module */
    lua_setglobal(L, global);
  }
  lua_settop(L, 1);
  return status;
}

/* -e, -l and -W in their order. */
static int run_options(const settings *s, muster *m) {
  int status = MU_WELL;
  for (int i = 1; status == MU_WELL && i < s->script;) {
    option o = read_option(s->argv, i);
    if (o.key == 'e') status = run_string(s, m, o.value, "=(command line)");
    if (o.key == 'l') status = run_require(s, m, o.value);
    if (o.key == 'W') lua_warning(muster_state(m), "@on", 0);
    i = o.next;
  }
  return status;
}

/* Pushes the script's arguments as they are now in the global `arg`. */
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) luaL_error(L, "'arg' is not a table");
  int table = lua_gettop(L), n = (int)luaL_len(L, table);
  luaL_checkstack(L, n + LUA_MINSTACK, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return n;
}

static int run_script(const settings *s, muster *m) {
  lua_State *L = muster_state(m);
  char **name = s->argv + s->script;
  bool is_stdin = strcmp(name[0], "-") == 0 && strcmp(name[-1], "--") != 0;
  bool loaded = luaL_loadfile(L, is_stdin ? NULL : name[0]) == LUA_OK;
  return report(s, L, loaded ? mu_run_function(m, push_arguments(L)) : MU_FAILED);
}

static void show_version(void) {
  puts(LUA_COPYRIGHT);
  fflush(stdout);
}

static int run_stdin(const settings *s, muster *m) {
  if (!isatty(STDIN_FILENO)) return run_file(s, m, NULL);
  show_version();
  mu_repl(m);
  return MU_WELL;
}

/* The script at index 0, its arguments at 1 and on, what came before it at negative indices. */
static void set_arg(lua_State *L, const settings *s) {
  int script = s->script < s->argc ? s->script : 0;
  lua_createtable(L, s->argc - script, script + 1);
  for (int i = 0; i < s->argc; i++) {
    lua_pushstring(L, s->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int run_all(const settings *s, muster *m) {
  int status = s->no_environment ? MU_WELL : run_init(s, m);
  if (status == MU_WELL) status = run_options(s, m);
  if (status != MU_WELL) return status;
  if (s->script < s->argc) status = run_script(s, m);
  else if (!s->chunk && !s->version) status = run_stdin(s, m);
  if (status == MU_WELL && s->interactive) mu_repl(m);
  return status;
}

/* settings -> status. Called protected: for lack of memory, and a __tostring of the prompt that fails. */
static int protected_run(lua_State *L) {
  const settings *s = lua_touserdata(L, 1);
  if (s->version) show_version();
  set_arg(L, s);
  lua_pushinteger(L, run_all(s, muster_of(L)));
  return 1;
}

static int run(const settings *s, muster *m) {
  lua_State *L = muster_state(m);
  lua_pushcfunction(L, protected_run);
  lua_pushlightuserdata(L, (void *)s);
  bool ok = lua_pcall(L, 1, 1, 0) == LUA_OK;
  int status = ok ? (int)lua_tointeger(L, -1) : report(s, L, MU_FAILED);
  lua_pop(L, 1);
  return status;
}

/* ---- counters ---- */

#define N(count) (unsigned long long)(count)

static void print_measured(const char *what, double seconds, const char *whose) {
  fprintf(stderr, "  %-10s ", what);
  if (seconds < 0) fputs("unknown", stderr);
  else fprintf(stderr, "%.6f s", seconds);
  fprintf(stderr, "%s%s\n", whose && *whose ? ": " : "", whose ? whose : "");
}

static void print_stats(muster *m) {
  muster_stats_t n;
  muster_stats(m, &n);
  fflush(stdout);
  fputs("muster: statistics\n", stderr);
  fprintf(stderr, "  tasks      %llu, at most %llu at once, in %llu coroutines; %llu unhandled\n", N(n.tasks),
          N(n.peak), N(n.coroutines), N(n.unhandled));
  fprintf(stderr, "  turns      %llu, of %llu resumes\n", N(n.turns), N(n.resumes));
  print_measured("longest", n.slice, n.slice_of);
  print_measured("collector", n.collecting, NULL);
  fprintf(
      stderr,
      "  loop       %llu polls, of these %llu waits; %llu wake-ups; %llu handles and %llu requests left\n",
      N(n.polls), N(n.waits), N(n.wakeups), N(n.handles), N(n.requests));
}

/* ---- what calls from outside ---- */

/* What the handlers of signals and of exit need to see. */
static struct {
  muster *volatile m;
  bool stats;
} ending;

static void on_dump(int number) {
  (void)number;
  if (ending.m) muster_dump(ending.m);
}

/* Scripts may call os.exit. */
static void on_exit_of_program(void) {
  if (ending.m && ending.stats) print_stats(ending.m);
}

static void prepare_ending(const settings *s, muster *m) {
  struct sigaction dump = {.sa_handler = on_dump, .sa_flags = SA_RESTART};
  sigfillset(&dump.sa_mask);
  ending.m = m;
  ending.stats = s->config.stats;
  sigaction(SIGUSR1, &dump, NULL);
  sigaction(SIGQUIT, &dump, NULL);
  atexit(on_exit_of_program);
}

/* ---- begin and end ---- */

static const char *const path_variables[] = {"LUA_PATH", "LUA_PATH" LUA_VERSUFFIX, "LUA_CPATH",
                                             "LUA_CPATH" LUA_VERSUFFIX};
enum { PATH_VARIABLES = sizeof path_variables / sizeof *path_variables };

/* With -E the libraries do not see the paths of the environment when they open; the script may still ask for them. */
static muster *new_without_environment(const muster_config *config) {
  char *values[PATH_VARIABLES] = {NULL};
  for (int i = 0; i < PATH_VARIABLES; i++) {
    const char *value = getenv(path_variables[i]);
    if (value && !(values[i] = strdup(value))) return NULL;
    unsetenv(path_variables[i]);
  }
  muster *m = muster_new(config);
  for (int i = 0; i < PATH_VARIABLES; free(values[i++]))
    if (values[i]) setenv(path_variables[i], values[i], 1);
  if (!m) return NULL;
  lua_pushboolean(muster_state(m), true);
  lua_setfield(muster_state(m), LUA_REGISTRYINDEX, "LUA_NOENV"); /* for other libraries that care */
  return m;
}

static muster *new_runtime(settings *s) {
  const char *path = getenv("MUSTER_PATH");
  if (s->no_environment) return new_without_environment(&s->config);
  if (path && *path) s->config.module_path = path;
  return muster_new(&s->config);
}

static int finish(const settings *s, muster *m, int before) {
  int status = mu_end_tasks(m, before);
  if (status == MU_INTERRUPTED && before == MU_WELL) fprintf(stderr, "%s: interrupted\n", program(s));
  if (muster_report(m) > 0 && status == MU_WELL) status = MU_FAILED;
  if (s->config.stats) print_stats(m);
  ending.m = NULL;
  muster_close(m);
  return status;
}

static int refuse_runtime(const settings *s) {
  int error = errno;
  if (s->config.trace && error != ENOMEM)
    return refuse(s, "cannot write '%s': %s", s->config.trace, strerror(error));
  fprintf(stderr, "%s: no runtime: out of memory or of descriptors\n", program(s));
  return MU_FAILED;
}

int main(int argc, char **argv) {
  settings s = {.argv = argv, .argc = argc, .config.slow = 0.2};
  int status = read_settings(&s);
  if (status >= 0) return status;
  muster *m = new_runtime(&s);
  if (!m) return refuse_runtime(&s);
  mu_handle_signals(m);
  prepare_ending(&s, m);
  return finish(&s, m, run(&s, m));
}
