/* json.c: the grammar, as a machine whose state is what may come next. */
#include "base/json.h"

#include "base/json_token.h"

void mu_json_begin(mu_json *s, uint32_t max_depth, mu_alloc alloc, void *data) {
  *s = (mu_json){.max_depth = max_depth, .state = MU_JSON_AT_START};
  s->levels = s->text = s->scratch = MU_BUFFER(alloc, data);
}

void mu_json_free(mu_json *s) {
  mu_buffer_free(&s->levels);
  mu_buffer_free(&s->text);
  mu_buffer_free(&s->scratch);
}

void mu_json_restart(mu_json *s, uint32_t max_depth) {
  mu_buffer levels = s->levels, text = s->text, scratch = s->scratch;
  levels.size = text.size = scratch.size = 0;
  *s = (mu_json){
      .max_depth = max_depth, .state = MU_JSON_AT_START, .levels = levels, .text = text, .scratch = scratch};
}

void mu_json_feed(mu_json *s, const char *chunk, size_t size) {
  s->before = mu_json_offset(s);
  s->at = s->begin = chunk;
  s->end = chunk + size;
}

bool mu_json_open_string(const mu_json *s) { return s->inside == MU_JSON_IN_STRING; }

/* ---- failures ---- */

mu_json_event mu_json_fail(mu_json *s, mu_json_error error, uint64_t offset, int got) {
  s->error = error;
  s->offset = offset;
  s->got = got;
  return MU_JSON_FAILED;
}

mu_json_event mu_json_unexpected(mu_json *s) {
  return mu_json_fail(s, MU_JSON_UNEXPECTED, mu_json_offset(s), (unsigned char)*s->at);
}

mu_json_event mu_json_no_memory(mu_json *s) {
  return mu_json_fail(s, MU_JSON_OUT_OF_MEMORY, mu_json_offset(s), -1);
}

static bool in_array(const mu_json *s) { return s->levels.at[s->depth - 1] == '['; }

const char *mu_json_expected(const mu_json *s) {
  static const char *const inside[] = {[MU_JSON_IN_STRING] = "the end of the string",
                                       [MU_JSON_IN_KEY] = "the end of the string",
                                       [MU_JSON_IN_NUMBER] = "a digit",
                                       [MU_JSON_IN_NULL] = "null",
                                       [MU_JSON_IN_TRUE] = "true",
                                       [MU_JSON_IN_FALSE] = "false"};
  static const char *const between[] = {[MU_JSON_AT_START] = "a value",
                                        [MU_JSON_AT_VALUE] = "a value",
                                        [MU_JSON_AT_FIRST] = "a value or ']'",
                                        [MU_JSON_AT_KEY] = "a key in quotes",
                                        [MU_JSON_AT_COLON] = "':'",
                                        [MU_JSON_AT_FIRST_KEY] = "a key in quotes or '}'",
                                        [MU_JSON_AT_END] = "nothing more"};
  bool whole = s->depth && s->inside == MU_JSON_IN_NUMBER && mu_json_number_may_end(s);
  if (s->inside && !whole) return inside[s->inside];
  if (!whole && s->state != MU_JSON_AT_COMMA) return between[s->state];
  return in_array(s) ? "',' or ']'" : "',' or '}'";
}

/* ---- literals ---- */

static const char *const literals[] = {
    [MU_JSON_IN_NULL] = "null", [MU_JSON_IN_TRUE] = "true", [MU_JSON_IN_FALSE] = "false"};

static mu_json_event in_literal(mu_json *s) {
  const char *rest = literals[s->inside] + s->step;
  for (; *rest; rest++, s->at++, s->step++) {
    if (s->at == s->end) return MU_JSON_MORE;
    if (*s->at != *rest) return mu_json_unexpected(s);
  }
  return mu_json_ended(s, (mu_json_event)(MU_JSON_NULL + (s->inside - MU_JSON_IN_NULL)));
}

static mu_json_event begin_literal(mu_json *s, int inside) {
  s->inside = (uint8_t)inside;
  s->step = 0;
  return in_literal(s);
}

/* ---- between tokens ---- */

/* Skips white space. Returns whether there is something else in the chunk. */
static bool skip_space(mu_json *s) {
  for (; s->at < s->end; s->at++) {
    if ((unsigned char)*s->at > ' ') return true;
    if (*s->at == '\n') {
      s->line++;
      s->line_begin = mu_json_offset(s) + 1;
    } else if (*s->at != ' ' && *s->at != '\t' && *s->at != '\r') return true;
  }
  return false;
}

/* A byte order mark may come first; step counts what has come of it. */
static mu_json_event at_start(mu_json *s) {
  static const char mark[] = "\xEF\xBB\xBF";
  for (; mark[s->step]; s->at++, s->step++) {
    if (s->at == s->end) return MU_JSON_MORE;
    if (*s->at == mark[s->step]) continue;
    if (s->step) return mu_json_unexpected(s);
    break;
  }
  s->state = MU_JSON_AT_VALUE;
  return mu_json_next(s);
}

static mu_json_event begin_container(mu_json *s) {
  if (s->depth == s->max_depth) return mu_json_fail(s, MU_JSON_TOO_DEEP, mu_json_offset(s), -1);
  s->levels.size = s->depth;
  if (!mu_buffer_add(&s->levels, s->at, 1)) return mu_json_no_memory(s);
  s->depth++;
  bool array = *s->at++ == '[';
  s->state = array ? MU_JSON_AT_FIRST : MU_JSON_AT_FIRST_KEY;
  return array ? MU_JSON_ARRAY : MU_JSON_OBJECT;
}

static mu_json_event end_container(mu_json *s) {
  s->at++;
  s->depth--;
  return mu_json_ended(s, MU_JSON_CLOSE);
}

static mu_json_event at_value(mu_json *s) {
  switch (*s->at) {
    case '"': return mu_json_begin_string(s, MU_JSON_IN_STRING);
    case '[':
    case '{': return begin_container(s);
    case 'n': return begin_literal(s, MU_JSON_IN_NULL);
    case 't': return begin_literal(s, MU_JSON_IN_TRUE);
    case 'f': return begin_literal(s, MU_JSON_IN_FALSE);
    default:
      if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9')) return mu_json_begin_number(s);
      return mu_json_unexpected(s);
  }
}

static mu_json_event at_key(mu_json *s) {
  return *s->at == '"' ? mu_json_begin_string(s, MU_JSON_IN_KEY) : mu_json_unexpected(s);
}

static mu_json_event within(mu_json *s) {
  if (s->inside <= MU_JSON_IN_KEY) return mu_json_in_string(s);
  return s->inside == MU_JSON_IN_NUMBER ? mu_json_in_number(s) : in_literal(s);
}

mu_json_event mu_json_next(mu_json *s) {
  if (s->error) return MU_JSON_FAILED;
  if (s->inside) return within(s);
  if (s->state == MU_JSON_AT_START) return at_start(s);
  while (skip_space(s)) {
    char c = *s->at;
    switch (s->state) {
      case MU_JSON_AT_FIRST:
        if (c == ']') return end_container(s);
        return at_value(s);
      case MU_JSON_AT_VALUE: return at_value(s);
      case MU_JSON_AT_FIRST_KEY:
        if (c == '}') return end_container(s);
        return at_key(s);
      case MU_JSON_AT_KEY: return at_key(s);
      case MU_JSON_AT_COLON:
        if (c != ':') return mu_json_unexpected(s);
        s->state = MU_JSON_AT_VALUE;
        break;
      case MU_JSON_AT_COMMA:
        if (c == (in_array(s) ? ']' : '}')) return end_container(s);
        if (c != ',') return mu_json_unexpected(s);
        s->state = in_array(s) ? MU_JSON_AT_VALUE : MU_JSON_AT_KEY;
        break;
      default: return mu_json_unexpected(s);
    }
    s->at++;
  }
  return MU_JSON_MORE;
}

mu_json_event mu_json_end(mu_json *s) {
  if (s->error) return MU_JSON_FAILED;
  if (s->inside == MU_JSON_IN_NUMBER && s->depth == 0 && mu_json_number_may_end(s))
    return mu_json_end_number(s);
  if (s->state == MU_JSON_AT_END) return MU_JSON_MORE;
  return mu_json_fail(s, MU_JSON_TRUNCATED, mu_json_offset(s), -1);
}
