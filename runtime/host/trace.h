/* trace.h: writes a file in the Trace Event format: a JSON array of events, which Perfetto and chrome://tracing open.
**
** Each task has a track, on which it either runs or waits. The end of the array may be missing: the format allows that.
** Memory is bounded: events gather in a buffer, and go to the file when that is full, a second after the last time, and
** when asked. The file ends with a whole event at any moment, also when the process is killed amid a write: no event
** crosses the border of a page, where the kernel can break off. Times are seconds, and must not
** decrease on a track. */
#ifndef MU_TRACE_H
#define MU_TRACE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mu_trace mu_trace;

/* Creates the file. NULL, and errno: it cannot. failed is called once, if writing fails later; nothing is written from
** then on. The caller owns the trace. */
mu_trace *mu_trace_open(const char *path, double now, void (*failed)(void *data, int error), void *data);

/* Writes the end of the file, and closes it. NULL is ignored. */
void mu_trace_close(mu_trace *t);

/* Writes what is in the buffer. */
void mu_trace_flush(mu_trace *t);

/* Names a track. A long name is cut. */
void mu_trace_name(mu_trace *t, uint64_t track, const char *name, size_t length);

/* It ran from then until then. */
void mu_trace_ran(mu_trace *t, uint64_t track, double from, double until);

/* It begins to wait for what; it does so no longer. */
void mu_trace_waits(mu_trace *t, uint64_t track, double at, const char *what);
void mu_trace_waited(mu_trace *t, uint64_t track, double at);

/* How many tasks there are of either kind, and how many permits are in use. */
void mu_trace_count(mu_trace *t, double at, uint64_t ready, uint64_t waiting, uint64_t permits);

#endif
