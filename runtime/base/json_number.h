/* json_number.h: numbers of JSON, from text and to text. No locale has a say. */
#ifndef MU_JSON_NUMBER_H
#define MU_JSON_NUMBER_H

#include "base/buffer.h"

#include <stdint.h>

enum { MU_JSON_NUMBER_ROOM = 40 }; /* bytes; enough for any number written */

typedef enum {
  MU_JSON_IS_INTEGER,
  MU_JSON_IS_FLOAT,
  MU_JSON_TOO_LARGE,
  MU_JSON_NO_MEMORY
} mu_json_number_kind;

/* Reads n bytes that are a number by the grammar. Without fraction and exponent, and within 64 bits, it is an integer;
** otherwise the nearest double. scratch is for long ones. */
mu_json_number_kind mu_json_read_number(const char *text, size_t n, mu_buffer *scratch, int64_t *integer,
                                        double *number);

/* Write to a buffer of MU_JSON_NUMBER_ROOM bytes; return how many. A float, finite, gets the fewest digits, of 15, 16
** or 17 at most, that are read back as the same double, and always a point or an exponent. */
size_t mu_json_write_integer(char *out, int64_t integer);
size_t mu_json_write_float(char *out, double number);

#endif
