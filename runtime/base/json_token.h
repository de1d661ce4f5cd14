/* json_token.h: the tokens of JSON, for the scanner: each may be cut by the end of a chunk, and goes on in the next. */
#ifndef MU_JSON_TOKEN_H
#define MU_JSON_TOKEN_H

#include "base/json.h"

/* What may come: mu_json.state. */
enum {
  MU_JSON_AT_START,
  MU_JSON_AT_VALUE,
  MU_JSON_AT_FIRST, /* value of a list, or its end */
  MU_JSON_AT_KEY,
  MU_JSON_AT_FIRST_KEY, /* or the end of the object */
  MU_JSON_AT_COLON,
  MU_JSON_AT_COMMA, /* or the end of the list or object */
  MU_JSON_AT_END
};

/* Of which token there is a part: mu_json.inside. */
enum {
  MU_JSON_IN_NOTHING,
  MU_JSON_IN_STRING,
  MU_JSON_IN_KEY,
  MU_JSON_IN_NUMBER,
  MU_JSON_IN_NULL,
  MU_JSON_IN_TRUE,
  MU_JSON_IN_FALSE
};

/* Each begins with the byte at the scanner's place, or goes on with it. They return MU_JSON_MORE, MU_JSON_FAILED, or
** the event of the token, which has ended then. */
mu_json_event mu_json_begin_string(mu_json *s, int inside);
mu_json_event mu_json_begin_number(mu_json *s);
mu_json_event mu_json_in_string(mu_json *s);
mu_json_event mu_json_in_number(mu_json *s);
mu_json_event mu_json_end_number(mu_json *s); /* the text ends here, and so may the number */
bool mu_json_number_may_end(const mu_json *s);

/* A value has ended: what may come now? Returns the event. */
static inline mu_json_event mu_json_ended(mu_json *s, mu_json_event event) {
  s->inside = MU_JSON_IN_NOTHING;
  s->state = s->depth ? MU_JSON_AT_COMMA : MU_JSON_AT_END;
  return event;
}

static inline uint64_t mu_json_offset(const mu_json *s) { return s->before + (uint64_t)(s->at - s->begin); }

/* Keep what went wrong, and where; state and inside stay as they are. Return MU_JSON_FAILED. */
mu_json_event mu_json_fail(mu_json *s, mu_json_error error, uint64_t offset, int got);
mu_json_event mu_json_unexpected(mu_json *s); /* the byte at its place */
mu_json_event mu_json_no_memory(mu_json *s);

#endif
