#include "base/json_string.h"

#include "base/utf8.h"

/* ---- plain bytes, a word at a time ---- */

#define EACH(byte) ((uint64_t)(byte)*0x0101010101010101u)

/* Is any of the eight bytes not plain? A byte less than n borrows when n is taken off: that shows in its highest bit,
** which non-ASCII bytes have set anyway. */
static bool any_special(uint64_t w) {
  uint64_t quote = w ^ EACH('"'), backslash = w ^ EACH('\\');
  return ((w - EACH(0x20)) | (quote - EACH(1)) | (backslash - EACH(1)) | w) & EACH(0x80);
}

static bool is_plain(char c) {
  return (unsigned char)c >= 0x20 && (signed char)c >= 0 && c != '"' && c != '\\';
}

size_t mu_json_plain(const char *p, const char *end) {
  const char *begin = p;
  for (uint64_t w; end - p >= (ptrdiff_t)sizeof w; p += sizeof w) {
    memcpy(&w, p, sizeof w);
    if (any_special(w)) break;
  }
  while (p < end && is_plain(*p)) p++;
  return (size_t)(p - begin);
}

/* ---- units ---- */

static mu_json_unit wrong(mu_json_error error) { return (mu_json_unit){.taken = -1, .error = error}; }
static const mu_json_unit more;

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum {
  ESCAPE = 6,
  NOT_HEX = -1,
  SHORT = -2,
  HIGH = 0xD800,
  LOW = 0xDC00,
  AFTER = 0xE000,
  REPLACEMENT = 0xFFFD
};

/* The value of "\uXXXX" at p: NOT_HEX if it is something else, SHORT if it may yet become one. */
static int read_hex(const char *p, size_t n) {
  int value = 0;
  for (size_t i = 0; i < ESCAPE; i++) {
    if (i == n) return SHORT;
    int digit = i == 0 ? -(p[0] != '\\') : i == 1 ? -(p[1] != 'u') : hex_digit(p[i]);
    if (digit < 0) return NOT_HEX;
    value = value * 16 + digit;
  }
  return value;
}

static mu_json_unit code_point(uint32_t code, int taken) {
  mu_json_unit u = {.taken = taken};
  u.size = mu_utf8_put(u.bytes, code);
  return u;
}

static mu_json_unit read_u(const char *p, size_t n) {
  int code = read_hex(p, n);
  if (code == SHORT) return more;
  if (code == NOT_HEX) return wrong(MU_JSON_BAD_ESCAPE);
  if (code < HIGH || code >= AFTER) return code_point((uint32_t)code, ESCAPE);
  if (code >= LOW) return code_point(REPLACEMENT, ESCAPE);
  int low = read_hex(p + ESCAPE, n - ESCAPE);
  if (low == SHORT) return more;
  if (low < LOW || low >= AFTER) return code_point(REPLACEMENT, ESCAPE);
  return code_point(0x10000 + ((uint32_t)(code - HIGH) << 10) + (uint32_t)(low - LOW), 2 * ESCAPE);
}

static mu_json_unit read_escape(const char *p, size_t n) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (n < 2) return more;
  if (p[1] == 'u') return read_u(p, n);
  const char *name = memchr(names, p[1], sizeof names - 1);
  if (!name) return wrong(MU_JSON_BAD_ESCAPE);
  return (mu_json_unit){.taken = 2, .size = 1, .bytes = {values[name - names]}};
}

mu_json_unit mu_json_read_unit(const char *p, size_t n) {
  if (*p == '\\') return read_escape(p, n);
  int length = mu_utf8_length(p, n);
  if (length < 0) return wrong(MU_JSON_BAD_UTF8);
  mu_json_unit u = {.taken = length, .size = length};
  memcpy(u.bytes, p, (size_t)length);
  return u;
}
