#include "host/trace.h"

#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  PAGE = 4096,
  BUFFER = 16 * PAGE,
  LONGEST_TEXT = 400,   /* bytes of a name in the file, about */
  LONGEST_EVENT = 1024, /* with a name */
  END = 3               /* bytes of the end */
};

static const double flush_interval = 1; /* seconds */

struct mu_trace {
  int fd, pid;
  bool broken;
  bool empty; /* no event was written */
  double start, flushed;
  size_t place; /* of the buffer, in its page of the file */
  size_t used;
  void (*failed)(void *data, int error);
  void *data;
  char buffer[BUFFER];
};

/* ---- the file ---- */

/* What was written in part is cut off, if the file can be cut. */
static void give_up(mu_trace *t, int error, size_t part) {
  t->broken = true;
  off_t at = part ? lseek(t->fd, 0, SEEK_CUR) : -1;
  if (at >= 0 && ftruncate(t->fd, at - (off_t)part)) at = -1; /* then it stays */
  t->failed(t->data, error);
}

void mu_trace_flush(mu_trace *t) {
  for (size_t done = 0; done < t->used && !t->broken;) {
    ssize_t n = write(t->fd, t->buffer + done, t->used - done);
    if (n > 0) done += (size_t)n;
    else if (n < 0 && errno != EINTR) give_up(t, errno, done);
  }
  t->place = (t->place + t->used) % PAGE;
  t->used = 0;
}

/* ---- events ---- */

static void put(mu_trace *t, const char *text, size_t n) {
  memcpy(t->buffer + t->used, text, n);
  t->used += n;
}

/* Blanks up to the next page, if the event does not fit on this one. */
static void pad(mu_trace *t, size_t n) {
  size_t left = PAGE - (t->place + t->used) % PAGE;
  if (n <= left) return;
  memset(t->buffer + t->used, ' ', left);
  t->used += left;
}

/* Adds an event, on a line of its own. */
static void add(mu_trace *t, const char *event, int length, double at) {
  size_t n = (size_t)length + 2;
  if (mu_unlikely(t->broken)) return;
  if (t->used + n + PAGE + END > BUFFER) mu_trace_flush(t);
  pad(t, n);
  put(t, t->empty ? "[\n" : ",\n", 2);
  put(t, event, (size_t)length);
  t->empty = false;
  if (at - t->flushed < flush_interval) return;
  mu_trace_flush(t);
  t->flushed = at;
}

/* Nanoseconds since the trace began. */
static uint64_t time_of(const mu_trace *t, double at) {
  return at > t->start ? (uint64_t)((at - t->start) * 1e9 + 0.5) : 0;
}

/* In the format time is in microseconds; these are the parts of a number with three decimals. */
#define WHOLE(ns) (unsigned long long)((ns) / 1000)
#define PART(ns)  (unsigned)((ns) % 1000)
#define NUMBER    "%llu.%03u"
#define ID(track) (unsigned long long)(track)

void mu_trace_ran(mu_trace *t, uint64_t track, double from, double until) {
  char event[LONGEST_EVENT];
  uint64_t begin = time_of(t, from), end = time_of(t, until);
  int n = snprintf(event, sizeof event,
                   "{\"name\":\"running\",\"ph\":\"X\",\"ts\":" NUMBER ",\"dur\":" NUMBER
                   ",\"pid\":%d,\"tid\":%llu}",
                   WHOLE(begin), PART(begin), WHOLE(end - begin), PART(end - begin), t->pid, ID(track));
  add(t, event, n, until);
}

void mu_trace_waited(mu_trace *t, uint64_t track, double at) {
  char event[LONGEST_EVENT];
  uint64_t ns = time_of(t, at);
  int n = snprintf(event, sizeof event, "{\"ph\":\"E\",\"ts\":" NUMBER ",\"pid\":%d,\"tid\":%llu}", WHOLE(ns),
                   PART(ns), t->pid, ID(track));
  add(t, event, n, at);
}

void mu_trace_count(mu_trace *t, double at, uint64_t ready, uint64_t waiting, uint64_t permits) {
  char event[LONGEST_EVENT];
  uint64_t ns = time_of(t, at);
  int n = snprintf(event, sizeof event,
                   "{\"name\":\"tasks\",\"ph\":\"C\",\"ts\":" NUMBER
                   ",\"pid\":%d,\"args\":{\"ready\":%llu,\"waiting\":%llu}}",
                   WHOLE(ns), PART(ns), t->pid, ID(ready), ID(waiting));
  add(t, event, n, at);
  n = snprintf(event, sizeof event,
               "{\"name\":\"permits\",\"ph\":\"C\",\"ts\":" NUMBER ",\"pid\":%d,\"args\":{\"in use\":%llu}}",
               WHOLE(ns), PART(ns), t->pid, ID(permits));
  add(t, event, n, at);
}

/* ---- names in JSON ---- */

/* How many bytes the UTF-8 character at text takes; 0 if there is none. */
static size_t character(const unsigned char *text, size_t length) {
  static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = *text < 0x80 ? 1 : *text < 0xC2 ? 0 : *text < 0xE0 ? 2 : *text < 0xF0 ? 3 : *text < 0xF5 ? 4 : 0;
  if (n < 2) return n;
  if (n > length) return 0;
  unsigned code = *text & (0x7Fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (text[i] & 0x3Fu);
  }
  return code < least[n] || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF ? 0 : n;
}

/* Writes text as the inside of a JSON string; what is not UTF-8 becomes U+FFFD. to has room for LONGEST_TEXT + 12. */
static void escape(char *to, const char *text, size_t length) {
  const unsigned char *at = (const unsigned char *)text, *end = at + length;
  const char *limit = to + LONGEST_TEXT;
  while (at < end && to < limit) {
    size_t n = character(at, (size_t)(end - at));
    if (n == 0) to += sprintf(to, "\\ufffd");
    else if (*at < 0x20 || *at == 0x7F) to += sprintf(to, "\\u%04x", *at);
    else if (*at == '"' || *at == '\\') to += sprintf(to, "\\%c", *at);
    else memcpy(to, at, n), to += n;
    at += n ? n : 1;
  }
  strcpy(to, at < end ? "\\u2026" : "");
}

void mu_trace_name(mu_trace *t, uint64_t track, const char *name, size_t length) {
  char event[LONGEST_EVENT], text[LONGEST_TEXT + 16];
  escape(text, name, length);
  int n =
      snprintf(event, sizeof event,
               "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%llu,\"args\":{\"name\":\"%s\"}}",
               t->pid, ID(track), text);
  add(t, event, n, t->flushed);
}

void mu_trace_waits(mu_trace *t, uint64_t track, double at, const char *what) {
  char event[LONGEST_EVENT], text[LONGEST_TEXT + 16];
  uint64_t ns = time_of(t, at);
  escape(text, what, strlen(what));
  int n = snprintf(event, sizeof event,
                   "{\"name\":\"%s\",\"ph\":\"B\",\"ts\":" NUMBER ",\"pid\":%d,\"tid\":%llu}", text,
                   WHOLE(ns), PART(ns), t->pid, ID(track));
  add(t, event, n, at);
}

/* ---- begin and end ---- */

mu_trace *mu_trace_open(const char *path, double now, void (*failed)(void *data, int error), void *data) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return NULL;
  mu_trace *t = calloc(1, sizeof *t);
  if (!t) {
    close(fd);
    errno = ENOMEM;
    return NULL;
  }
  t->fd = fd;
  t->pid = getpid();
  t->empty = true;
  t->start = t->flushed = now;
  t->failed = failed;
  t->data = data;
  char event[LONGEST_EVENT];
  add(t, event,
      snprintf(event, sizeof event,
               "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"name\":\"muster\"}}", t->pid),
      now);
  return t;
}

void mu_trace_close(mu_trace *t) {
  if (!t) return;
  if (!t->broken) put(t, "\n]\n", END); /* add leaves room for it */
  mu_trace_flush(t);
  close(t->fd);
  free(t);
}
