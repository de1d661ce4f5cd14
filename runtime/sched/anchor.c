/* anchor.c: what keeps tasks and coroutines from being collected, and the pool of coroutines.
**
** The anchor table is an array with a stack of its free slots. A task that is ready to run for the first time takes a
** slot; from its first run on it lies at the bottom of its coroutine's stack, and the coroutine has the slot.
** A coroutine that finished cleanly is kept for the next task. */
#include "sched/inside.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64, SPARE_MINIMUM = 1024, TRIM_SECONDS = 1 };

/* While coroutines are this many, the collector waits longer between its cycles. */
enum { MANY = 200, TOO_MANY = 256 * 1024, USUAL_PAUSE = 200, LONG_PAUSE = 300 };

static void no_memory(lua_State *L) { luaL_error(L, "not enough memory"); }

static void *grow(lua_State *L, void *array, uint32_t *capacity, size_t size) {
  uint32_t n = *capacity ? *capacity * 2 : FIRST_CAPACITY;
  void *p = n > *capacity ? realloc(array, n * size) : NULL;
  if (!p) no_memory(L);
  *capacity = n;
  return p;
}

/* Room for every slot to become free is made when the slot is made, so that giving back cannot fail. */
static uint32_t take_slot(mu_sched *s, lua_State *L) {
  if (mu_unlikely(s->closed)) luaL_error(L, "the runtime is closed");
  if (s->nfree) return s->free_slots[--s->nfree];
  if (s->slots == s->free_capacity)
    s->free_slots = grow(L, s->free_slots, &s->free_capacity, sizeof *s->free_slots);
  return ++s->slots;
}

void mu_push_root(mu_sched *s, lua_State *L, int index) {
  lua_pushvalue(s->root, index);
  if (L != s->root) lua_xmove(s->root, L, 1);
}

uint32_t mu_anchor(mu_sched *s, lua_State *L) {
  luaL_checkstack(L, 2, NULL);
  uint32_t slot = take_slot(s, L);
  mu_push_root(s, L, MU_ROOT_ANCHORS);
  lua_insert(L, -2); /* anchors, value */
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
  return slot;
}

void mu_unanchor(mu_sched *s, uint32_t slot) {
  if (mu_unlikely(!s->free_slots)) return; /* the scheduler is closed */
  lua_pushnil(s->root);
  lua_rawseti(s->root, MU_ROOT_ANCHORS, slot);
  s->free_slots[s->nfree++] = slot;
}

void mu_push_anchored(mu_sched *s, lua_State *L, uint32_t slot) {
  lua_rawgeti(s->root, MU_ROOT_ANCHORS, slot);
  if (L != s->root) lua_xmove(s->root, L, 1);
}

/* The collector walks every suspended coroutine in each cycle, and while their number grows finds nothing to free: with
** its usual pause it would do so at each doubling of the heap. A pause that the script has set itself stays. */
static void tune_collector(mu_sched *s, lua_State *L, bool many) {
  if (!s->tunes_collector) return;
  int usual = many ? USUAL_PAUSE : LONG_PAUSE;
  int before = lua_gc(L, LUA_GCSETPAUSE, many ? LONG_PAUSE : USUAL_PAUSE);
  if (before != usual) lua_gc(L, LUA_GCSETPAUSE, before);
}

static void count_coroutine(mu_sched *s, lua_State *L) {
  s->coroutines++;
  if (s->coroutines == MANY || s->coroutines == TOO_MANY) tune_collector(s, L, s->coroutines == MANY);
}

static void discount_coroutine(mu_sched *s) {
  s->coroutines--;
  if (s->coroutines == MANY - 1 || s->coroutines == TOO_MANY - 1)
    tune_collector(s, s->L, s->coroutines == TOO_MANY - 1);
}

/* Room for every coroutine to become spare is made when the coroutine is made. */
void mu_coroutine_reserve(mu_sched *s, lua_State *L) {
  if (s->nspare) return;
  if (s->coroutines >= s->spare_capacity) s->spare = grow(L, s->spare, &s->spare_capacity, sizeof *s->spare);
  lua_State *co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0); /* a new thread inherits the hook of its maker */
  mu_push_root(s, co, MU_ROOT_BODY);
  uint32_t slot = mu_anchor(s, L);
  count_coroutine(s, L);
  s->spare[s->nspare++] = (mu_spare){co, slot};
}

lua_State *mu_coroutine_take(mu_sched *s, uint32_t *slot) {
  mu_spare *spare = &s->spare[--s->nspare];
  if (s->nspare < s->least_spare) s->least_spare = s->nspare;
  *slot = spare->slot;
  return spare->co;
}

void mu_coroutine_drop(mu_sched *s, uint32_t slot) {
  mu_unanchor(s, slot);
  discount_coroutine(s);
}

void mu_coroutine_release(mu_sched *s, lua_State *co, uint32_t slot) {
  lua_settop(co, 1);
  if (mu_unlikely(lua_gethook(co) != NULL)) lua_sethook(co, NULL, 0, 0);
  s->spare[s->nspare++] = (mu_spare){co, slot};
}

/* Spare coroutines hold memory, and the collector walks them: once in a while, half of those go that were not needed
** since the last time. */
void mu_coroutines_trim(mu_sched *s, double now) {
  uint32_t unneeded = s->least_spare > SPARE_MINIMUM ? s->least_spare / 2 : 0;
  while (unneeded-- > 0) mu_coroutine_drop(s, s->spare[--s->nspare].slot);
  s->least_spare = s->nspare;
  s->trim_at = now + TRIM_SECONDS;
}
