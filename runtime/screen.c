/* screen.c: where the cursor is, and output above the line that is being edited. */
#define _GNU_SOURCE /* fopencookie, memrchr */
#include "screen.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wctype.h>

/* ---- the window ---- */

static struct winsize window(void) {
  struct winsize w = {0};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0) w.ws_col = w.ws_row = 0;
  if (w.ws_col < 2) w.ws_col = 80; /* as libedit has it */
  if (w.ws_row < 1) w.ws_row = 24;
  return w;
}

int mu_screen_width(void) { return window().ws_col; }
int mu_screen_height(void) { return window().ws_row; }

/* ---- writing ---- */

/* Returns what has been written: less than n only if the terminal is gone. */
static size_t write_all(int fd, const char *text, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t k = write(fd, text + done, n - done);
    if (k >= 0) {
      done += (size_t)k;
    } else if (errno == EAGAIN) { /* someone has made the terminal non-blocking */
      struct pollfd out = {.fd = fd, .events = POLLOUT};
      poll(&out, 1, -1);
    } else if (errno != EINTR) {
      break;
    }
  }
  return done;
}

static void send(const char *text, int n) {
  if (n > 0) write_all(STDOUT_FILENO, text, (size_t)n);
}

/* Moves the cursor by n, if that is at all. direction: A up, B down, C right */
static void move(int n, char direction) {
  char text[32];
  if (n > 0) send(text, snprintf(text, sizeof text, "\033[%d%c", n, direction));
}

/* ---- where the line is, as libedit lays it out ---- */

typedef struct {
  int row, column;
} place;

static void put_cells(place *p, int width, int columns) {
  if (p->column + width > columns) *p = (place){p->row + 1, 0};
  p->column += width;
  if (p->column >= columns) *p = (place){p->row + 1, 0};
}

static int printed_width(wchar_t c) {
  int width = wcwidth(c);
  return width < 0 ? 0 : width;
}

/* Of a character in the line: ^X, or \U+1234, if it does not print. */
static int width_in_line(wchar_t c) {
  if (iswcntrl((wint_t)c)) return 2;
  if (iswprint((wint_t)c)) return printed_width(c);
  return c > 0xffff ? 8 : 7;
}

static void put(place *p, wchar_t c, int columns) {
  if (c == L'\n') {
    *p = (place){p->row + 1, 0};
  } else if (c == L'\t') {
    do put_cells(p, 1, columns);
    while (p->column & 7);
  } else {
    put_cells(p, width_in_line(c), columns);
  }
}

/* Of a character of the line, counted from where the prompt begins. */
static place place_of(const mu_screen *s, const wchar_t *end) {
  int columns = mu_screen_width();
  place p = {0, 0};
  for (const wchar_t *c = s->prompt; *c; c++) put_cells(&p, printed_width(*c), columns);
  for (const wchar_t *c = el_wline(s->el)->buffer; c < end; c++) put(&p, *c, columns);
  return p;
}

/* What is longer than the window has scrolled out of it. */
static int in_window(int row) {
  int last = mu_screen_height() - 1;
  return row < last ? row : last;
}

static int cursor_row(const mu_screen *s) { return in_window(place_of(s, el_wline(s->el)->cursor).row); }

/* ---- where output has ended ---- */

enum { TEXT, ESCAPED, CONTROL, STRING, STRING_ESCAPED }; /* kinds of sequences */

static int next_in_sequence(int sequence, unsigned char c) {
  switch (sequence) {
    case ESCAPED: return c == '[' ? CONTROL : strchr("]PX^_", c) && c ? STRING : c < 0x30 ? ESCAPED : TEXT;
    case CONTROL: return c >= 0x40 && c <= 0x7e ? TEXT : CONTROL;
    case STRING: return c == '\a' ? TEXT : c == '\033' ? STRING_ESCAPED : STRING;
    default: return c == '\\' ? TEXT : STRING;
  }
}

static void track_control(mu_screen *s, char c, int columns) {
  if (c == '\033') s->sequence = ESCAPED;
  if (c == '\n' || c == '\r') s->column = 0;
  if (c == '\b' && s->column > 0) s->column--;
  if (c == '\t') s->column = (s->column | 7) + 1 < columns ? (s->column | 7) + 1 : columns - 1;
}

static void track_byte(mu_screen *s, char c, int columns) {
  wchar_t wide;
  if (s->sequence != TEXT) {
    s->sequence = next_in_sequence(s->sequence, (unsigned char)c);
    return;
  }
  if ((unsigned char)c < ' ') {
    track_control(s, c, columns);
    return;
  }
  size_t rc = mbrtowc(&wide, &c, 1, &s->partial);
  if (rc == (size_t)-1) memset(&s->partial, 0, sizeof s->partial);
  if (rc == (size_t)-1 || rc == (size_t)-2) return;
  int width = printed_width(wide);
  s->column = s->column + width > columns ? width : s->column + width;
}

/* Only the last line matters. */
static void track(mu_screen *s, const char *text, size_t n) {
  const char *line = memrchr(text, '\n', n);
  int columns = mu_screen_width();
  if (line) {
    s->sequence = TEXT;
    memset(&s->partial, 0, sizeof s->partial);
    n -= (size_t)(line - text);
  }
  for (const char *c = line ? line : text; n > 0; n--) track_byte(s, *c++, columns);
}

/* ---- output above the line ---- */

/* Puts the cursor where output goes on: at the end of what it has left unfinished, on the row above the line. */
static void go_back_to_output(mu_screen *s) {
  if (!s->capable || s->column >= mu_screen_width()) s->column = 0;
  if (s->column == 0) return;
  move(1, 'A');
  move(s->column, 'C');
}

/* row: of the cursor in the line. */
static void erase(mu_screen *s, int row) {
  if (s->capable) {
    move(row, 'A');
    send("\r\033[J", 4);
  } else {
    send("\r\n", 2);
  }
}

void mu_screen_redraw(mu_screen *s) {
  if (!s->editing || !s->erased) return;
  s->erased = false;
  if (s->column > 0) send("\r\n", 2);
  el_wset(s->el, EL_REFRESH);
}

static void redraw_soon(muster *m, void *data) {
  mu_screen *s = data;
  (void)m;
  s->posted = false;
  mu_screen_redraw(s);
}

/* One redraw a turn of the loop, however much is written in it. */
static void write_above(mu_screen *s, int fd, const char *text, size_t n, size_t *done) {
  if (!s->erased) {
    erase(s, cursor_row(s));
    go_back_to_output(s);
    s->erased = true;
  }
  *done = write_all(fd, text, n);
  track(s, text, n);
  if (!s->posted) s->posted = muster_post(s->m, redraw_soon, s) == MUSTER_OK;
  if (!s->posted) mu_screen_redraw(s);
}

/* What the streams call. */
static ssize_t write_stream(void *cookie, const char *text, size_t n) {
  mu_stream *stream = cookie;
  mu_screen *s = stream->screen;
  size_t done;
  bool ours = pthread_equal(pthread_self(), s->thread);
  if (ours && s->editing) {
    write_above(s, stream->fd, text, n, &done);
  } else {
    done = write_all(stream->fd, text, n);
    if (ours) track(s, text, n);
  }
  return (ssize_t)done;
}

/* ---- the line ---- */

/* Children and echoed input move the cursor unseen. So, if all seems well: a row of blanks ends on the next row if it
** began amid one, and vanishes if it did not. */
void mu_screen_fresh_line(mu_screen *s) {
  fflush(stdout);
  if (s->column > 0) {
    send("\r\n", 2);
  } else if (s->capable) {
    char blanks[64];
    memset(blanks, ' ', sizeof blanks);
    for (int left = mu_screen_width(); left > 0; left -= (int)sizeof blanks)
      send(blanks, left < (int)sizeof blanks ? left : (int)sizeof blanks);
    send("\r\033[K", 4);
  }
  s->column = 0;
}

void mu_screen_begin(mu_screen *s, const wchar_t *prompt) {
  fflush(stdout);
  int column = s->column;
  mu_screen_fresh_line(s);
  s->column = column; /* of the row above, then */
  s->prompt = prompt;
  s->columns = mu_screen_width();
  s->erased = false;
  s->editing = true;
}

void mu_screen_end(mu_screen *s, bool at_new_line) {
  s->editing = s->erased = false;
  s->column = at_new_line ? 0 : 1;
}

void mu_screen_leave(mu_screen *s) {
  mu_screen_redraw(s);
  place end = place_of(s, el_wline(s->el)->lastchar);
  int below = end.row - cursor_row(s), last = mu_screen_height() - 1;
  if (!s->capable) return;
  move(below < last ? below : last, 'B');
  send("\r", 1);
  move(end.column, 'C');
}

void mu_screen_show_below(mu_screen *s, const char *text, size_t n) {
  mu_screen_leave(s);
  send("\r\n", 2);
  write_all(STDOUT_FILENO, text, n);
  el_wset(s->el, EL_REFRESH);
}

/* A window that changes its width breaks rows anew, and keeps the cursor at its character: if that is the first of a row,
** then perhaps at the end of the row before. Rather a row too many stays than that output goes. */
static void erase_broken_anew(mu_screen *s) {
  place cursor = place_of(s, el_wline(s->el)->cursor);
  if (cursor.row > 0 && cursor.column == 0) cursor.row--;
  erase(s, in_window(cursor.row));
}

void mu_screen_refit(mu_screen *s, bool lost) {
  int before = s->columns;
  if (!s->editing) return;
  s->columns = mu_screen_width();
  if (lost) send("\r", 1);
  else if (!s->erased && s->columns != before) erase_broken_anew(s);
  else if (!s->erased) erase(s, cursor_row(s));
  el_resize(s->el);
  if (!s->erased) el_wset(s->el, EL_REFRESH);
}

/* ---- the streams ---- */

/* Has io.stdout, or another file of the io library, use the stream `to` if it uses `from`. */
static void exchange(lua_State *L, const char *name, FILE *from, FILE *to) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_IOLIBNAME) == LUA_TTABLE) {
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (file && file->closef && file->f == from) file->f = to;
  }
  lua_settop(L, top);
}

static FILE *open_stream(mu_stream *stream, mu_screen *s, int fd, FILE *real, int buffering) {
  stream->screen = s;
  stream->fd = fd;
  stream->real = real;
  fflush(real);
  stream->ours = fopencookie(stream, "w", (cookie_io_functions_t){.write = write_stream});
  if (stream->ours) setvbuf(stream->ours, NULL, buffering, BUFSIZ);
  return stream->ours ? stream->ours : real;
}

static void close_stream(mu_stream *stream) {
  if (stream->ours) fclose(stream->ours);
  stream->ours = NULL;
}

bool mu_screen_open(mu_screen *s, lua_State *L) {
  s->thread = pthread_self();
  stdout = open_stream(&s->out, s, STDOUT_FILENO, stdout, _IOLBF);
  exchange(L, "stdout", s->out.real, stdout);
  if (isatty(STDERR_FILENO)) {
    stderr = open_stream(&s->err, s, STDERR_FILENO, stderr, _IONBF);
    exchange(L, "stderr", s->err.real, stderr);
  }
  return s->out.ours;
}

static bool has(EditLine *el, const char *name, const char *like) {
  char *value = NULL;
  return el_get(el, EL_GETTC, name, &value) == 0 && value && strncmp(value, like, strlen(like)) == 0;
}

void mu_screen_use(mu_screen *s, EditLine *el) {
  s->el = el;
  s->capable =
      has(el, "up", "\033") && has(el, "cd", "\033[") && has(el, "am", "yes") && has(el, "xn", "yes");
}

void mu_screen_close(mu_screen *s, lua_State *L) {
  s->editing = false;
  if (s->out.ours) {
    exchange(L, "stdout", stdout, s->out.real);
    stdout = s->out.real;
  }
  if (s->err.ours) {
    exchange(L, "stderr", stderr, s->err.real);
    stderr = s->err.real;
  }
  close_stream(&s->out);
  close_stream(&s->err);
}
