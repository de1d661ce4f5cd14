/* collector.c: measures the time that the garbage collector takes, for --stats. Linked into the program muster only,
** where the linker (--wrap) puts these functions between Lua and its collector. A step that takes no part in a
** measurement costs a test more. What L belongs to is known from its allocator: inside the collector nothing may touch
** its stack. */
#include "runtime.h"

#include <uv.h>

void __real_luaC_step(lua_State *L);
void __real_luaC_fullgc(lua_State *L, int emergency);
void __wrap_luaC_step(lua_State *L);
void __wrap_luaC_fullgc(lua_State *L, int emergency);

/* The runtime whose collector begins to work, or NULL: not to be measured, or a finalizer collects again. */
static muster *begin(lua_State *L, uint64_t *start) {
  void *slab;
  muster *m = lua_getallocf(L, &slab) == mu_slab_lua_alloc ? mu_slab_user(slab) : NULL;
  if (!m || !m->config.stats || m->collecting) return NULL;
  m->collecting = true;
  *start = uv_hrtime();
  return m;
}

static void end(muster *m, uint64_t start) {
  if (!m) return;
  m->collecting = false;
  m->collected += uv_hrtime() - start;
  m->collector_measured = true;
}

void __wrap_luaC_step(lua_State *L) {
  uint64_t start = 0;
  muster *m = begin(L, &start);
  __real_luaC_step(L);
  end(m, start);
}

void __wrap_luaC_fullgc(lua_State *L, int emergency) {
  uint64_t start = 0;
  muster *m = begin(L, &start);
  __real_luaC_fullgc(L, emergency);
  end(m, start);
}
