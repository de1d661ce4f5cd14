#include "base/json_token.h"

#include "base/json_number.h"
#include "base/json_string.h"

/* ---- strings ---- */

static mu_json_event end_string(mu_json *s) {
  if (s->inside == MU_JSON_IN_STRING) return mu_json_ended(s, MU_JSON_STRING);
  s->inside = MU_JSON_IN_NOTHING;
  s->state = MU_JSON_AT_COLON;
  return MU_JSON_KEY;
}

/* The byte at the scanner's place is wrong, or begins what is wrong. What came before, from `from` on, goes to the text:
** then there is as much of it as if it had come in a chunk of its own. */
static mu_json_event bad_string(mu_json *s, mu_json_error error, const char *from) {
  if (!mu_buffer_add(&s->text, from, (size_t)(s->at - from))) return mu_json_no_memory(s);
  return mu_json_fail(s, error, mu_json_offset(s), (unsigned char)*s->at);
}

/* Goes on with a unit that the end of the last chunk cut. The byte that shows that there is no more to a unit is not
** part of it, and is looked at again. */
static bool finish_unit(mu_json *s) {
  while (s->carried && s->at < s->end) {
    s->carry[s->carried] = *s->at;
    mu_json_unit u = mu_json_read_unit(s->carry, s->carried + 1u);
    if (u.taken < 0) {
      mu_json_fail(s, u.error, mu_json_offset(s) - s->carried, (unsigned char)s->carry[0]);
      return false;
    }
    if (!mu_buffer_add(&s->text, u.bytes, (size_t)u.size)) return mu_json_no_memory(s), false;
    if (u.taken == 0) s->carried++;
    else if (u.taken > s->carried) s->carried = 0;
    else {
      s->carried -= (uint8_t)u.taken;
      memmove(s->carry, s->carry + u.taken, s->carried);
      continue;
    }
    s->at++;
  }
  return true;
}

/* Adds what there is from `from` to the text; the rest of the chunk, half a unit, is carried over. */
static mu_json_event cut_string(mu_json *s, const char *from) {
  if (!mu_buffer_add(&s->text, from, (size_t)(s->at - from))) return mu_json_no_memory(s);
  s->carried = (uint8_t)(s->end - s->at);
  memcpy(s->carry, s->at, s->carried);
  s->at = s->end;
  return MU_JSON_MORE;
}

static mu_json_event close_string(mu_json *s, const char *from) {
  size_t size = (size_t)(s->at - from);
  s->at++;
  s->token = from;
  s->size = size;
  if (s->text.size) {
    if (!mu_buffer_add(&s->text, from, size)) return mu_json_no_memory(s);
    s->token = s->text.at;
    s->size = s->text.size;
  }
  return end_string(s);
}

/* An escape or a sequence. What needs no change stays where it is, in the chunk, from `from` on. */
static bool read_unit(mu_json *s, const char **from) {
  mu_json_unit u = mu_json_read_unit(s->at, (size_t)(s->end - s->at));
  if (u.taken < 0) return bad_string(s, u.error, *from), false;
  if (*s->at == '\\' && u.taken) {
    bool ok = mu_buffer_add(&s->text, *from, (size_t)(s->at - *from)) &&
              mu_buffer_add(&s->text, u.bytes, (size_t)u.size);
    if (!ok) return mu_json_no_memory(s), false;
    *from = s->at + u.taken;
  }
  s->at += u.taken;
  if (!u.taken) cut_string(s, *from);
  return !s->error;
}

mu_json_event mu_json_in_string(mu_json *s) {
  if (!finish_unit(s)) return MU_JSON_FAILED;
  for (const char *from = s->at; s->at < s->end;) {
    s->at += mu_json_plain(s->at, s->end);
    if (s->at == s->end) return cut_string(s, from);
    if (*s->at == '"') return close_string(s, from);
    if ((unsigned char)*s->at < 0x20) return bad_string(s, MU_JSON_BAD_CONTROL, from);
    if (!read_unit(s, &from)) return MU_JSON_FAILED;
    if (s->at == s->end && s->carried == 0) return cut_string(s, from);
  }
  return MU_JSON_MORE;
}

mu_json_event mu_json_begin_string(mu_json *s, int inside) {
  s->at++;
  s->text.size = s->carried = 0;
  s->inside = (uint8_t)inside;
  return mu_json_in_string(s);
}

/* ---- numbers ---- */

enum { BEGIN, MINUS, ZERO, WHOLE, POINT, PLACES, EXPONENT, SIGN, POWER, STOP }; /* what has been read */
enum { OTHER, IS_ZERO, IS_DIGIT, IS_POINT, IS_E, IS_PLUS, IS_MINUS, KINDS };    /* what comes */

static const uint8_t kinds[256] = {
    ['0'] = IS_ZERO,  ['1'] = IS_DIGIT, ['2'] = IS_DIGIT, ['3'] = IS_DIGIT, ['4'] = IS_DIGIT,
    ['5'] = IS_DIGIT, ['6'] = IS_DIGIT, ['7'] = IS_DIGIT, ['8'] = IS_DIGIT, ['9'] = IS_DIGIT,
    ['.'] = IS_POINT, ['e'] = IS_E,     ['E'] = IS_E,     ['+'] = IS_PLUS,  ['-'] = IS_MINUS};

static const uint8_t steps[STOP][KINDS] = {
    /*            other zero    digit   point  e         plus  minus */
    [BEGIN] = {STOP, ZERO, WHOLE, STOP, STOP, STOP, MINUS},
    [MINUS] = {STOP, ZERO, WHOLE, STOP, STOP, STOP, STOP},
    [ZERO] = {STOP, STOP, STOP, POINT, EXPONENT, STOP, STOP},
    [WHOLE] = {STOP, WHOLE, WHOLE, POINT, EXPONENT, STOP, STOP},
    [POINT] = {STOP, PLACES, PLACES, STOP, STOP, STOP, STOP},
    [PLACES] = {STOP, PLACES, PLACES, STOP, EXPONENT, STOP, STOP},
    [EXPONENT] = {STOP, POWER, POWER, STOP, STOP, SIGN, SIGN},
    [SIGN] = {STOP, POWER, POWER, STOP, STOP, STOP, STOP},
    [POWER] = {STOP, POWER, POWER, STOP, STOP, STOP, STOP},
};

static bool may_end(int step) { return step == ZERO || step == WHOLE || step == PLACES || step == POWER; }

static mu_json_event convert(mu_json *s) {
  switch (mu_json_read_number(s->token, s->size, &s->scratch, &s->integer, &s->number)) {
    case MU_JSON_IS_INTEGER: return mu_json_ended(s, MU_JSON_INTEGER);
    case MU_JSON_IS_FLOAT: return mu_json_ended(s, MU_JSON_FLOAT);
    case MU_JSON_TOO_LARGE:
      return mu_json_fail(s, MU_JSON_BAD_NUMBER, mu_json_offset(s) - s->size, *s->token);
    default: return mu_json_no_memory(s);
  }
}

mu_json_event mu_json_in_number(mu_json *s) {
  const char *from = s->at;
  int step = s->step, next = step;
  for (; s->at < s->end; s->at++, step = next) {
    next = steps[step][kinds[(unsigned char)*s->at]];
    if (next == STOP) break;
  }
  s->step = (uint8_t)step;
  size_t size = (size_t)(s->at - from);
  bool cut = s->at == s->end;
  if ((cut || s->text.size) && !mu_buffer_add(&s->text, from, size)) return mu_json_no_memory(s);
  if (cut) return MU_JSON_MORE;
  if (!may_end(step)) return mu_json_unexpected(s);
  s->token = s->text.size ? s->text.at : from;
  s->size = s->text.size ? s->text.size : size;
  return convert(s);
}

bool mu_json_number_may_end(const mu_json *s) { return may_end(s->step); }

/* All of it is in the scanner's text. */
mu_json_event mu_json_end_number(mu_json *s) {
  s->token = s->text.at;
  s->size = s->text.size;
  return convert(s);
}

mu_json_event mu_json_begin_number(mu_json *s) {
  s->inside = MU_JSON_IN_NUMBER;
  s->text.size = 0;
  s->step = BEGIN;
  return mu_json_in_number(s);
}
