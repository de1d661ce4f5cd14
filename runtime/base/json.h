/* json.h: a scanner of JSON (RFC 8259) that is fed a text in chunks, cut anywhere.
**
**   mu_json_begin, then for each chunk: mu_json_feed, and mu_json_next until MU_JSON_MORE (the chunk is used up) or
**   MU_JSON_FAILED; at the end mu_json_end, as often as it gives an event; mu_json_free whenever.
**
** Cost: linear in the text, whatever the chunks; memory for the longest string or number, and a byte for each level.
** There is no recursion. Half of a string or number is kept between chunks, decoded. A byte order mark at the very
** beginning is skipped. Half of a surrogate pair, which the grammar allows, is read as U+FFFD. After a failure every
** call fails in the same way. */
#ifndef MU_JSON_H
#define MU_JSON_H

#include "base/buffer.h"

#include <stdint.h>

typedef enum {
  MU_JSON_MORE,
  MU_JSON_FAILED,
  MU_JSON_ARRAY,  /* begins */
  MU_JSON_OBJECT, /* begins */
  MU_JSON_CLOSE,  /* the innermost of those */
  MU_JSON_KEY,    /* token, size: valid until the next call */
  MU_JSON_STRING, /* likewise */
  MU_JSON_INTEGER,
  MU_JSON_FLOAT,
  MU_JSON_NULL,
  MU_JSON_TRUE,
  MU_JSON_FALSE
} mu_json_event;

typedef enum {
  MU_JSON_FINE,
  MU_JSON_UNEXPECTED, /* see mu_json_expected */
  MU_JSON_TRUNCATED,  /* the same, at the end of the text */
  MU_JSON_BAD_CONTROL,
  MU_JSON_BAD_ESCAPE,
  MU_JSON_BAD_UTF8,
  MU_JSON_BAD_NUMBER, /* larger than a double can be */
  MU_JSON_TOO_DEEP,
  MU_JSON_TOO_LONG, /* who feeds it says so */
  MU_JSON_OUT_OF_MEMORY
} mu_json_error;

enum { MU_JSON_CARRY = 12 }; /* bytes of the longest unit of a string, a pair of escapes */

typedef struct {
  const char *at, *begin, *end; /* the chunk, the caller's */
  uint64_t before;              /* bytes of the chunks before it */
  uint64_t line, line_begin;    /* lines passed, and the offset of the present one */
  uint8_t state;                /* what may come: see json_token.h */
  uint8_t inside;               /* of which token */
  uint8_t step;                 /* in that token */
  uint8_t carried;              /* of carry */
  char carry[MU_JSON_CARRY];    /* the beginning of a unit of a string */
  uint32_t depth, max_depth;
  mu_buffer levels;  /* '[' or '{' each */
  mu_buffer text;    /* of the token, if that does not lie in the chunk as it is */
  mu_buffer scratch; /* for numbers */
  const char *token;
  size_t size;
  int64_t integer;
  double number;
  mu_json_error error;
  uint64_t offset; /* of the byte that was wrong */
  int got;         /* that byte, or -1 */
} mu_json;

void mu_json_begin(mu_json *s, uint32_t max_depth, mu_alloc alloc, void *data);
void mu_json_free(mu_json *s);

/* Forgets the text, for another one: as free and begin, but the memory is kept. */
void mu_json_restart(mu_json *s, uint32_t max_depth);

/* The next chunk, which must stay until it is used up. */
void mu_json_feed(mu_json *s, const char *chunk, size_t size);
mu_json_event mu_json_next(mu_json *s);

/* There is no more: a number that the end closes, else MU_JSON_MORE if all is well, or MU_JSON_FAILED. */
mu_json_event mu_json_end(mu_json *s);

/* What would have been right where it failed, in words. */
const char *mu_json_expected(const mu_json *s);

/* Between chunks: is a string open that is a value? What there is of it is in text. */
bool mu_json_open_string(const mu_json *s);

#endif
