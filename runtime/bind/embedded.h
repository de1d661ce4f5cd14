/* embedded.h: the Lua library as the build made it part of the binary. */
#ifndef MU_EMBEDDED_H
#define MU_EMBEDDED_H

#include <stddef.h>

typedef struct {
  const char *name; /* for require, unless it is only text: "muster.group" */
  const char *path; /* below lua/: "muster/group.lua" */
  const unsigned char *code;
  size_t size;
  int is_text; /* to be read, not run: the stubs */
} mu_embedded_module;

/* All modules; the last has no name. Generated. */
extern const mu_embedded_module mu_embedded[];

#endif
