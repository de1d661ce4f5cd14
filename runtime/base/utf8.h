/* utf8.h: UTF-8, to the letter of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef MU_UTF8_H
#define MU_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length of the sequence at p, of which n > 0 bytes are there. 0: it is good so far, but more bytes are needed;
** -1: it is invalid. */
int mu_utf8_length(const char *p, size_t n);

/* Writes a code point, at most 4 bytes; returns how many. */
int mu_utf8_put(char *out, uint32_t code);

#endif
