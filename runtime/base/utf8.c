#include "base/utf8.h"

/* How many bytes begin with this one; the bounds of the second byte keep out overlong forms, surrogates, and what is
** above U+10FFFF. */
static int lead(unsigned char c, unsigned char *low, unsigned char *high) {
  *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (c < 0x80) return 1;
  if (c < 0xC2 || c > 0xF4) return -1;
  return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

int mu_utf8_length(const char *p, size_t n) {
  const unsigned char *u = (const unsigned char *)p;
  unsigned char low, high;
  int length = lead(u[0], &low, &high);
  for (int i = 1; i < length; i++) {
    if ((size_t)i == n) return 0;
    if (u[i] < low || u[i] > high) return -1;
    low = 0x80, high = 0xBF;
  }
  return length;
}

int mu_utf8_put(char *out, uint32_t code) {
  if (code < 0x80) return out[0] = (char)code, 1;
  int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
  for (int i = more; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)(marks[more] | code);
  return more + 1;
}
