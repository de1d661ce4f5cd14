/* cases.h: the cases of each file here, which main.c runs. All of it is linked from base, sched and Lua
** alone: there is no libuv, and no clock but the one that a case sets. */
#ifndef SPEC_CASES_H
#define SPEC_CASES_H

#include "../support/check.h"

#include <stdint.h>

extern const spec_case base_cases[], clock_cases[], stack_cases[], wait_cases[];

/* Random numbers that repeat: xorshift64. */
static inline uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
  return *state;
}

#endif
