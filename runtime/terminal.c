/* terminal.c: lines from a terminal, edited with libedit in the terminal's raw mode.
**
** libedit asks for one key after the other, amid el_wgets. Our answer (get_key) calls a Lua function that suspends the
** task until there is one; the C stack stays with the task meanwhile, and other tasks run. Nothing may be thrown through
** libedit: an error of that function is kept, libedit is told that there are no more keys, and read_line, which called
** it, raises the error. The Lua half is muster.terminal: what to wait for, and the file of the history. */
#define _GNU_SOURCE /* memrchr */
#include "terminal.h"

#include "repl.h"
#include "screen.h"
#include "tab.h"
#include "wide.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { HISTORY = 1000, BURST = 64, FAILURES = 3, CTRL_D = 4 };

/* What the registry keeps for us, in a table. */
enum { WAIT = 1, ERROR, SESSION, REMEMBER, CLOSE, KEPT = CLOSE };

struct mu_terminal {
  mu_screen screen;
  EditLine *el;
  HistoryW *history;
  lua_State *L;              /* of the task that reads a line; NULL: none does */
  wchar_t *prompt, *visible; /* with escape sequences marked for libedit, and without */
  int fd;                    /* the terminal once more: for the loop, and for libedit */
  int keys, failures;        /* since the task last waited; lines in a row that could not be read */
  bool open, failed, gave_up, color;
  bool ahead; /* what comes now was typed before the line began */
};

/* A process has one terminal, and the handlers of signals and of the exit need it: hence static. */
static mu_terminal terminal;

/* ---- what the system does to the terminal ---- */

static struct {
  volatile sig_atomic_t raw_known;
  struct termios before, raw; /* as it was found; while a line is edited */
} tty;

void mu_terminal_restore(void) {
  if (terminal.open) tcsetattr(STDIN_FILENO, TCSADRAIN, &tty.before);
}

static void set_raw(void) {
  if (terminal.screen.editing && tty.raw_known) tcsetattr(STDIN_FILENO, TCSADRAIN, &tty.raw);
}

/* The line that is being edited stays; what comes next comes below. For signal handlers, too. */
static void leave_line(const char *mark, size_t n) {
  mu_terminal_restore();
  if (terminal.screen.editing && write(STDOUT_FILENO, mark, n) < 0)
    return; /* there is no terminal any more */
}

static void on_end(int signal_number) {
  leave_line("\r\n", 2);
  raise(signal_number); /* with its default action, as this handler was for one time */
}

/* Ctrl-Z: who gets the terminal now shall find it in order. */
static void on_stop(int signal_number) {
  struct sigaction ours, usual = {.sa_handler = SIG_DFL};
  sigset_t this_one, before;
  int saved = errno;
  leave_line("^Z\r\n", 4);
  sigaction(signal_number, &usual, &ours);
  raise(signal_number);
  sigemptyset(&this_one);
  sigaddset(&this_one, signal_number);
  sigprocmask(SIG_UNBLOCK, &this_one, &before); /* the process stops here */
  sigprocmask(SIG_SETMASK, &before, NULL);
  sigaction(signal_number, &ours, NULL);
  set_raw();
  errno = saved;
}

static const int ends[] = {SIGHUP, SIGTERM, SIGQUIT};
enum { ENDS = sizeof ends / sizeof *ends };

/* Those that the parent has made ignore stay ignored. */
static void handle(int signal_number, const struct sigaction *action) {
  struct sigaction before;
  if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
    sigaction(signal_number, action, NULL);
}

static void handle_signals(void) {
  struct sigaction end = {.sa_handler = on_end, .sa_flags = SA_RESETHAND};
  struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
  for (int i = 0; i < ENDS; i++) handle(ends[i], &end);
  handle(SIGTSTP, &stop);
}

static void on_exit_amid_line(void) {
  leave_line("\r\n", 2);
  terminal.screen.editing = false; /* the streams have yet to be flushed */
}

/* Another task may exit while a line is edited. */
static void handle_exit(void) {
  static bool handled;
  if (!handled) handled = atexit(on_exit_amid_line) == 0;
}

/* ---- keys ---- */

static void push_kept(lua_State *L, int which) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &terminal);
  lua_rawgeti(L, -1, which);
  lua_remove(L, -2);
}

/* Pops the value. Raises nothing, as the table has room for it. */
static void keep(lua_State *L, int which) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &terminal);
  lua_insert(L, -2);
  lua_rawseti(L, -2, which);
  lua_pop(L, 1);
}

/* Keeps the error on top. The system has thrown away what Ctrl-C found on its way to the screen. */
static void give_up(mu_terminal *t, bool cancelled) {
  keep(t->L, ERROR);
  t->failed = true;
  t->failures = cancelled ? 0 : t->failures + 1;
  mu_screen_refit(&t->screen, false);
  mu_screen_leave(&t->screen);
}

/* Lets other tasks run until there is a key. False: an interrupt, or another error, which has been kept. */
static bool wait_for_key(mu_terminal *t) {
  lua_State *L = t->L;
  t->keys = 0;
  t->ahead = false;
  push_kept(L, WAIT);
  int status = lua_pcall(L, 0, 2, 0); /* error, is it a cancellation? or just an error */
  if (status == LUA_OK && lua_isnil(L, -2)) return lua_pop(L, 2), true;
  bool cancelled = status == LUA_OK && lua_toboolean(L, -1);
  if (status == LUA_OK) lua_pop(L, 1);
  give_up(t, cancelled);
  return false;
}

static bool has_key(void) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&in, 1, 0) == 1;
}

/* In raw mode nothing to read is no end yet: another process may have taken it. */
static bool at_end(void) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  return tty.raw.c_lflag & ICANON || (poll(&in, 1, 0) == 1 && in.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* 1; 0 at the end of the input; -1 when the task is to give up. One byte at a time: what follows the line is for others
** who may read. */
static int get_byte(mu_terminal *t, char *byte) {
  for (;;) {
    if ((++t->keys > BURST || !has_key() || mu_interrupted()) && !wait_for_key(t)) return -1;
    if (!has_key() || mu_interrupted()) continue; /* what was typed after Ctrl-C is for the next line */
    ssize_t n = read(STDIN_FILENO, byte, 1);
    if (n > 0 || (n == 0 && at_end())) return (int)n;
    if (n < 0 && errno != EINTR && errno != EAGAIN) return 0; /* the terminal is gone */
  }
}

/* What libedit calls. Bytes that make no character are left out. */
static int get_key(EditLine *el, wchar_t *key) {
  mu_terminal *t = &terminal;
  mbstate_t state = {0};
  (void)el;
  if (!tty.raw_known) tty.raw_known = tcgetattr(STDIN_FILENO, &tty.raw) == 0;
  for (;;) {
    char byte;
    int got = t->failed ? -1 : get_byte(t, &byte);
    if (got <= 0) return got;
    if (byte == '\0' && t->ahead) byte = CTRL_D; /* the system's mark for it, while a chunk ran */
    size_t rc = mbrtowc(key, &byte, 1, &state);
    if (rc == (size_t)-1) memset(&state, 0, sizeof state);
    if (rc <= 1) break;
  }
  mu_screen_redraw(&t->screen);
  return 1;
}

/* ---- reading a line ---- */

static void forget_prompt(mu_terminal *t) {
  free(t->prompt);
  free(t->visible);
  t->prompt = t->visible = NULL;
}

/* Lines above the last are just written: libedit would draw them again and again. */
static bool set_prompt(mu_terminal *t, const char *text, size_t n) {
  const char *last = memrchr(text, '\n', n), *line = last ? last + 1 : text;
  if (last) {
    mu_screen_fresh_line(&t->screen);
    fwrite(text, 1, (size_t)(line - text), stdout);
  }
  wchar_t *wide = mu_to_wide(line, n -= (size_t)(line - text));
  forget_prompt(t);
  t->prompt = malloc((3 * n + 4) * sizeof *t->prompt);
  t->visible = malloc((n + 2) * sizeof *t->visible);
  bool ok = wide && t->prompt && t->visible;
  if (ok) mu_mark_prompt(wide, t->prompt, t->visible);
  free(wide);
  return ok;
}

static wchar_t *get_prompt(EditLine *el) {
  (void)el;
  return terminal.prompt;
}

/* Raises what has ended the line; nil, the end of the input, if that happens again and again. */
static int cannot_read(lua_State *L, mu_terminal *t) {
  push_kept(L, ERROR);
  lua_pushnil(L);
  keep(L, ERROR);
  t->gave_up = true;
  if (t->failures <= FAILURES) return lua_error(L);
  lua_pushnil(L);
  return 1;
}

/* Stack: . -> line or nil */
static int edit_line(lua_State *L, mu_terminal *t) {
  int n;
  t->L = L;
  t->failed = t->gave_up = false;
  t->ahead = true;
  t->keys = 0;
  tty.raw_known = 0;
  mu_screen_begin(&t->screen, t->visible);
  const wchar_t *line = el_wgets(t->el, &n);
  mu_screen_end(&t->screen, line != NULL);
  t->L = NULL;
  if (t->failed) return cannot_read(L, t);
  t->failures = 0;
  if (!line) return 0;
  while (n > 0 && (line[n - 1] == L'\n' || line[n - 1] == L'\r')) n--;
  mu_push_wide(L, line, line + n);
  return 1;
}

/* read(prompt) -> line without its end, or nil at the end of the input */
static int read_line(lua_State *L) {
  size_t n;
  const char *prompt = luaL_checklstring(L, 1, &n);
  mu_terminal *t = &terminal;
  if (!t->open) return luaL_error(L, "read: the terminal is closed");
  if (t->L) return luaL_error(L, "read: another task reads a line");
  luaL_checkstack(L, LUA_MINSTACK, "read");
  if (!set_prompt(t, prompt, n)) return luaL_error(L, "not enough memory");
  return edit_line(L, t);
}

/* ---- completion ---- */

static bool is_blank(const wchar_t *from, const wchar_t *to) {
  while (from < to && (*from == L' ' || *from == L'\t')) from++;
  return from == to;
}

/* The Tab key: indents at the beginning of a line, completes elsewhere. */
static unsigned char on_tab(EditLine *el, int key) {
  mu_terminal *t = &terminal;
  const LineInfoW *line = el_wline(el);
  (void)key;
  if (is_blank(line->buffer, line->cursor)) return el_winsertstr(el, L"  ") ? CC_ERROR : CC_REFRESH;
  lua_pushcfunction(t->L, mu_complete);
  push_kept(t->L, SESSION);
  lua_pushlightuserdata(t->L, &t->screen);
  int result = lua_pcall(t->L, 2, 1, 0) == LUA_OK ? (int)lua_tointeger(t->L, -1) : CC_REFRESH_BEEP;
  lua_pop(t->L, 1);
  return (unsigned char)result;
}

/* ---- what a session is given ---- */

/* enter(line): the history of this session, which the arrow keys walk */
static int enter_history(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  HistEventW event;
  wchar_t *wide = terminal.history ? mu_to_wide(text, n) : NULL;
  if (wide) history_w(terminal.history, &event, H_ENTER, wide);
  free(wide);
  return 0;
}

/* remember(line) */
static int remember(lua_State *L) {
  luaL_checkstring(L, 1);
  enter_history(L);
  push_kept(L, REMEMBER);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static int write_text(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  fwrite(text, 1, n, stdout);
  fflush(stdout);
  return 0;
}

static int width(lua_State *L) { return lua_pushinteger(L, mu_screen_width()), 1; }
static int height(lua_State *L) { return lua_pushinteger(L, mu_screen_height()), 1; }

/* refit(lost): the window has another size; or the terminal is ours again after others had it */
static int refit(lua_State *L) {
  bool lost = lua_toboolean(L, 1);
  if (lost) set_raw();
  mu_screen_refit(&terminal.screen, lost);
  return 0;
}

static void push_io(lua_State *L, const mu_terminal *t) {
  static const luaL_Reg functions[] = {{"read", read_line}, {"write", write_text}, {"remember", remember},
                                       {"width", width},    {"height", height},    {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "terminal");
  lua_pushboolean(L, t->color);
  lua_setfield(L, -2, "color");
}

/* ---- set-up ---- */

bool mu_is_terminal(void) { return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO); }

static bool wants_color(void) {
  const char *no_color = getenv("NO_COLOR"), *name = getenv("TERM");
  return !(no_color && *no_color) && name && *name && strcmp(name, "dumb") != 0;
}

/* Text is UTF-8 unless the user's locale says otherwise. */
static void set_characters(void) {
  setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *el) {
  static const struct {
    const wchar_t *keys, *command;
  } more[] = {
      {L"\t", L"muster-complete"},     {L"\033[1~", L"ed-move-to-beg"},      {L"\033[4~", L"ed-move-to-end"},
      {L"\033[H", L"ed-move-to-beg"},  {L"\033[F", L"ed-move-to-end"},       {L"\033OH", L"ed-move-to-beg"},
      {L"\033OF", L"ed-move-to-end"},  {L"\033[3~", L"ed-delete-next-char"}, {L"\033[1;5C", L"em-next-word"},
      {L"\033[1;5D", L"ed-prev-word"}, {L"\033[1;3C", L"em-next-word"},      {L"\033[1;3D", L"ed-prev-word"},
      {L"\022", L"em-inc-search-prev"}};
  el_wset(el, EL_ADDFN, L"muster-complete", L"Complete the name before the cursor", on_tab);
  for (size_t i = 0; i < sizeof more / sizeof *more; i++)
    el_wset(el, EL_BIND, more[i].keys, more[i].command, NULL);
}

/* What is typed or pasted between two lines shows with the next; unless the system is to show it, in an Emacs. */
static void quieten(EditLine *el) {
  int edits = 1;
  el_wget(el, EL_EDITMODE, &edits);
  if (edits) el_wset(el, EL_SETTY, L"-x", L"-echo", NULL);
}

static bool open_editor(mu_terminal *t) {
  HistEventW event;
  t->el = el_init_fd("muster", stdin, t->screen.out.real, t->screen.err.real ? t->screen.err.real : stderr,
                     t->fd, STDOUT_FILENO, STDERR_FILENO);
  t->history = history_winit();
  if (!t->el || !t->history) return false;
  history_w(t->history, &event, H_SETSIZE, HISTORY);
  history_w(t->history, &event, H_SETUNIQUE, 1);
  el_wset(t->el, EL_EDITOR, L"emacs");
  quieten(t->el);
  el_wset(t->el, EL_HIST, history_w, t->history);
  el_wset(t->el, EL_GETCFN, get_key);
  el_wset(t->el, EL_PROMPT_ESC, get_prompt, MU_PROMPT_MARK);
  bind_keys(t->el);
  el_source(t->el, NULL);
  mu_screen_use(&t->screen, t->el);
  return true;
}

/* The loop's handle makes the terminal non-blocking, for all who have it open: undone. */
static void open_lua_half(lua_State *L, mu_terminal *t) {
  int flags = fcntl(t->fd, F_GETFL);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "muster.terminal");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "open");
  lua_pushinteger(L, t->fd);
  lua_pushcfunction(L, refit);
  lua_pushcfunction(L, enter_history);
  lua_call(L, 3, 3);
  fcntl(t->fd, F_SETFL, flags);
  keep(L, CLOSE);
  keep(L, REMEMBER);
  keep(L, WAIT);
  lua_pop(L, 1);
}

static void make_kept(lua_State *L) {
  lua_createtable(L, KEPT, 0);
  for (int i = 1; i <= KEPT; i++) {
    lua_pushboolean(L, false);
    lua_rawseti(L, -2, i);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &terminal);
}

mu_terminal *mu_terminal_open(lua_State *L, muster *m) {
  mu_terminal *t = &terminal;
  if (t->open || tcgetattr(STDIN_FILENO, &tty.before) != 0) return NULL;
  *t = (mu_terminal){.screen = {.m = m}, .color = wants_color(), .open = true};
  t->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  set_characters();
  make_kept(L);
  if (t->fd < 0 || !mu_screen_open(&t->screen, L) || !open_editor(t)) {
    mu_terminal_close(t, L);
    return NULL;
  }
  open_lua_half(L, t);
  handle_signals();
  handle_exit();
  push_io(L, t);
  return t;
}

void mu_terminal_serve(mu_terminal *t, lua_State *L) {
  (void)t;
  keep(L, SESSION);
}

/* libedit would throw away what has been typed since: so it loses its descriptor first. */
void mu_terminal_close(mu_terminal *t, lua_State *L) {
  mu_terminal_restore();
  push_kept(L, CLOSE);
  if (lua_isfunction(L, -1)) lua_pcall(L, 0, 0, 0);
  else lua_pop(L, 1);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, t);
  mu_screen_close(&t->screen, L);
  if (t->fd >= 0) close(t->fd);
  if (t->el) el_end(t->el);
  if (t->history) history_wend(t->history);
  forget_prompt(t);
  t->el = NULL;
  t->history = NULL;
  t->open = false;
}

/* ---- for the session's loop ---- */

bool mu_terminal_gave_up(mu_terminal *t) {
  bool gave_up = t->gave_up;
  t->gave_up = false;
  return gave_up;
}

void mu_terminal_complain(mu_terminal *t, const char *text) {
  const char *begin = t->color ? "\033[31m" : "", *end = t->color ? "\033[0m" : "";
  mu_screen_fresh_line(&t->screen);
  fprintf(stderr, "%s%s%s\n", begin, text, end);
}
