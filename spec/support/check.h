/* check.h: what the C specs share. A spec is a list of cases; each prints "ok NAME", or says what does not
** hold and ends the program with status 1. */
#ifndef SPEC_CHECK_H
#define SPEC_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *name;
  void (*run)(void);
} spec_case;

#define CHECK(holds) check((holds), #holds, __FILE__, __LINE__)

static inline void check(bool holds, const char *what, const char *file, int line) {
  if (holds) return;
  printf("not ok %s:%d: %s\n", file, line, what);
  exit(1);
}

/* Runs all of a table that ends with an entry without a name. Returns the exit status of the program. */
static inline int run_cases(const spec_case *cases) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (; cases->name; cases++) {
    cases->run();
    printf("ok %s\n", cases->name);
  }
  return 0;
}

#endif
