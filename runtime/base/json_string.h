/* json_string.h: the parts of a string of JSON, for the scanner. */
#ifndef MU_JSON_STRING_H
#define MU_JSON_STRING_H

#include "base/json.h"

/* How many of the bytes from p are plain ASCII: no quote, no backslash, no control character. */
size_t mu_json_plain(const char *p, const char *end);

/* What a unit, an escape or a UTF-8 sequence, is. */
typedef struct {
  int taken; /* bytes of it; 0: more are needed; -1: it is wrong, as error says */
  int size;  /* of bytes, what it stands for */
  char bytes[4];
  mu_json_error error;
} mu_json_unit;

/* Reads the unit at p, of which n > 0 bytes are there. Wrong ones are refused at the first byte that makes them so. */
mu_json_unit mu_json_read_unit(const char *p, size_t n);

#endif
