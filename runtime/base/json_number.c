#include "base/json_number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

enum { EXACT_POWER = 22 }; /* powers of ten up to this one are doubles */

static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A number taken apart: digits × 10^exponent, if there are not too many digits. */
typedef struct {
  bool negative, is_float, fits; /* fits: digits holds all of them */
  uint64_t digits;
  int64_t exponent; /* of the digits as an integer */
  const char *mantissa, *mantissa_end;
} parts;

enum {
  FAR = 1000000000
}; /* an exponent that is zero or too large, however many digits there are before it */

static int64_t read_exponent(const char *p, const char *end) {
  bool negative = *p == '-';
  int64_t value = 0;
  if (*p == '-' || *p == '+') p++;
  for (; p < end; p++)
    if (value < (int64_t)FAR * FAR / 10) value = value * 10 + (*p - '0');
  return negative ? -value : value;
}

static void add_digit(parts *n, unsigned digit) {
  if (n->digits > (UINT64_MAX - digit) / 10) n->fits = false;
  else n->digits = n->digits * 10 + digit;
}

static parts take_apart(const char *p, const char *end) {
  parts n = {.negative = *p == '-', .fits = true};
  bool fraction = false;
  p += n.negative;
  for (n.mantissa = p; p < end; p++) {
    if (*p == '.') fraction = n.is_float = true;
    else if ((*p | 0x20) == 'e') break;
    else add_digit(&n, (unsigned)(*p - '0')), n.exponent -= fraction;
  }
  n.mantissa_end = p;
  if (p < end) n.is_float = true, n.exponent += read_exponent(p + 1, end);
  return n;
}

static bool is_exact(const parts *n) {
  return n->fits && n->digits <= (uint64_t)1 << 53 && n->exponent >= -EXACT_POWER &&
         n->exponent <= EXACT_POWER;
}

static bool as_integer(const parts *n, int64_t *integer) {
  if (n->is_float || !n->fits || n->digits > (uint64_t)INT64_MAX + n->negative) return false;
  *integer = (int64_t)(n->negative ? 0 - n->digits : n->digits);
  return true;
}

/* For strtod, digits and an exponent, no point: what a point is depends on the locale. False: out of memory. */
static bool read_long(const parts *n, mu_buffer *scratch, double *number) {
  scratch->size = 0;
  if (!mu_buffer_reserve(scratch, (size_t)(n->mantissa_end - n->mantissa) + MU_JSON_NUMBER_ROOM))
    return false;
  for (const char *p = n->mantissa; p < n->mantissa_end; p++)
    if (*p != '.') scratch->at[scratch->size++] = *p;
  sprintf(scratch->at + scratch->size, "e%" PRId64, n->exponent);
  *number = strtod(scratch->at, NULL);
  return true;
}

mu_json_number_kind mu_json_read_number(const char *text, size_t size, mu_buffer *scratch, int64_t *integer,
                                        double *number) {
  parts n = take_apart(text, text + size);
  if (as_integer(&n, integer)) return MU_JSON_IS_INTEGER;
  if (is_exact(&n))
    *number = n.exponent < 0 ? (double)n.digits / powers[-n.exponent] : (double)n.digits * powers[n.exponent];
  else if (!read_long(&n, scratch, number)) return MU_JSON_NO_MEMORY;
  if (n.negative) *number = -*number;
  return isinf(*number) ? MU_JSON_TOO_LARGE : MU_JSON_IS_FLOAT;
}

/* ---- writing ---- */

enum { LAST_DIGITS = 15 }; /* a decimal of so many digits is always read back the same */
static const double short_limit = 1e15;

static size_t write_digits(char *out, uint64_t n) {
  char digits[20];
  size_t size = 0;
  do digits[size++] = (char)('0' + n % 10);
  while (n /= 10);
  for (size_t i = 0; i < size; i++) out[i] = digits[size - 1 - i];
  return size;
}

size_t mu_json_write_integer(char *out, int64_t integer) {
  if (integer >= 0) return write_digits(out, (uint64_t)integer);
  *out = '-';
  return 1 + write_digits(out + 1, 0 - (uint64_t)integer);
}

/* digits / 10^places, as decimals. */
static size_t write_places(char *out, uint64_t digits, int places) {
  uint64_t unit = (uint64_t)powers[places];
  size_t size = write_digits(out, digits / unit);
  out[size++] = '.';
  uint64_t fraction = digits % unit;
  for (int i = places; i > 0; i--, fraction /= 10) out[size + (size_t)i - 1] = (char)('0' + fraction % 10);
  return size + (size_t)places;
}

/* Most numbers are short decimals: then an integer over a power of ten, both of them exact, is the number. 0: not so. */
static size_t write_short(char *out, double number) {
  for (int places = 1; places <= LAST_DIGITS; places++) {
    double scaled = nearbyint(number * powers[places]);
    if (!(scaled < short_limit)) return 0;
    if (scaled / powers[places] == number) return write_places(out, (uint64_t)scaled, places);
  }
  return 0;
}

/* What printf wrote, with the locale's point (any bytes) made one of ours; adds ".0" to what looks like an integer. */
static size_t tidy(char *out, const char *text) {
  size_t size = 0;
  bool is_float = false, point = false;
  for (; *text; text++) {
    bool plain = strchr("0123456789+-e", *text) != NULL;
    if (*text == 'e') is_float = true;
    if (plain) out[size++] = *text;
    else if (!point) out[size++] = '.', point = is_float = true;
  }
  if (!is_float) out[size++] = '.', out[size++] = '0';
  return size;
}

static size_t write_long(char *out, double number) {
  size_t size = 0;
  for (int digits = LAST_DIGITS; digits <= 17; digits++) {
    char text[64];
    snprintf(text, sizeof text, "%.*g", digits, number);
    if (digits == 17 || strtod(text, NULL) == number) return tidy(out, text);
  }
  return size;
}

size_t mu_json_write_float(char *out, double number) {
  size_t sign = signbit(number) ? 1 : 0;
  if (sign) *out++ = '-', number = -number;
  size_t size = number == 0 || number >= 1e-4 ? write_short(out, number) : 0;
  return sign + (size ? size : write_long(out, number));
}
