/* site.c: a hash table of places, open addressing, and a list of them by number. */
#include "sched/site.h"
#include "sched/frames.h"
#include "sched/inside.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SITES = 1 << 16, FIRST_BUCKETS = 64 };

struct mu_site {
  uint32_t hash;
  int line;
  char source[LUA_IDSIZE]; /* short_src: with line, the key */
  char place[MU_PLACE_SIZE];
};

/* FNV-1a. */
static uint32_t hash_of(const char *source, int line) {
  uint32_t h = 2166136261u ^ (uint32_t)line;
  for (; *source; source++) h = (h ^ (unsigned char)*source) * 16777619u;
  return h;
}

static bool is(const mu_site *site, const lua_Debug *ar) {
  return site->line == ar->currentline && strcmp(site->source, ar->short_src) == 0;
}

/* Where the site is in the table, or the empty bucket for it. A bucket holds the index in the list, plus 1. */
static uint32_t *find(mu_sites *t, const lua_Debug *ar, uint32_t hash) {
  uint32_t i = hash & (t->nbuckets - 1);
  while (t->buckets[i] && !(t->list[t->buckets[i] - 1].hash == hash && is(&t->list[t->buckets[i] - 1], ar)))
    i = (i + 1) & (t->nbuckets - 1);
  return &t->buckets[i];
}

/* Twice as many buckets, half of them empty. False: no memory. */
static bool grow(mu_sites *t) {
  uint32_t n = t->nbuckets ? 2 * t->nbuckets : FIRST_BUCKETS;
  uint32_t *buckets = calloc(n, sizeof *buckets);
  mu_site *list = buckets ? realloc(t->list, n / 2 * sizeof *list) : NULL;
  if (!list) {
    free(buckets);
    return false;
  }
  free(t->buckets);
  t->list = list;
  t->buckets = buckets;
  t->nbuckets = n;
  for (uint32_t number = 0; number < t->count; number++) {
    uint32_t i = list[number].hash & (n - 1);
    while (buckets[i]) i = (i + 1) & (n - 1);
    buckets[i] = number + 1;
  }
  return true;
}

/* The index of a place in the list, plus 1; 0 if it cannot be added. */
static uint32_t number_of(mu_sites *t, const lua_Debug *ar) {
  uint32_t hash = hash_of(ar->short_src, ar->currentline);
  uint32_t *bucket = t->nbuckets ? find(t, ar, hash) : NULL;
  if (bucket && *bucket) return *bucket;
  if (t->count == MAX_SITES) return 0;
  if (2 * t->count == t->nbuckets) {
    if (!grow(t)) return 0;
    bucket = find(t, ar, hash);
  }
  mu_site *site = &t->list[t->count];
  site->hash = hash;
  site->line = ar->currentline;
  strcpy(site->source, ar->short_src);
  mu_frame_place(ar, site->place);
  return *bucket = ++t->count;
}

/* The innermost line of the script. L runs a C function; mostly, a line of the script calls it. */
static bool find_line(lua_State *L, mu_sched *s, lua_Debug *ar) {
  for (int level = 1; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0 && !mu_is_library(ar)) return true;
  }
  return s->current && s->current->u.co && mu_frame_of_script(s->current->u.co, s, ar);
}

uint32_t mu_site_here(lua_State *L, mu_sched *s) {
  lua_Debug ar;
  mu_sites *t = &s->sites;
  if (s->closed || !find_line(L, s, &ar)) return MU_SITE_HOST;
  if (t->last && is(&t->list[t->last - 1], &ar)) return MU_SITE_FIRST - 1 + t->last; /* a loop spawns them */
  uint32_t number = number_of(t, &ar);
  if (number) t->last = number;
  return number ? MU_SITE_FIRST - 1 + number : MU_SITE_NONE;
}

void mu_site_push(lua_State *L, const mu_sched *s, uint32_t site) {
  uint32_t index = site - MU_SITE_FIRST;
  if (site == MU_SITE_HOST) lua_pushliteral(L, "the host");
  else if (site >= MU_SITE_FIRST && index < s->sites.count) lua_pushstring(L, s->sites.list[index].place);
  else lua_pushnil(L);
}

void mu_site_push_line(lua_State *L, const mu_sched *s, uint32_t site) {
  if (site < MU_SITE_FIRST) {
    lua_pushliteral(L, "");
    return;
  }
  lua_pushliteral(L, "\n\tspawned at ");
  mu_site_push(L, s, site);
  lua_concat(L, 2);
}

void mu_sites_free(mu_sched *s) {
  free(s->sites.list);
  free(s->sites.buckets);
  s->sites = (mu_sites){0};
}
