#include "base/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
  STEP = 8,
  CLASSES = 1024 / STEP + 1,
  FIRST_CHUNK = 64 * 1024,       /* a small script needs no more */
  LARGE_CHUNK = 4 * 1024 * 1024, /* from this size on, ask for huge pages */
  HUGE_PAGE = 2 * 1024 * 1024,
  LAST_CHUNK = 32 * 1024 * 1024,
};

typedef struct block {
  struct block *next;
} block;

typedef struct chunk {
  struct chunk *next;
  size_t size; /* this header included */
} chunk;

struct mu_slab {
  block *spare[CLASSES]; /* free lists, by size / STEP */
  char *at, *end;        /* the rest of the newest chunk */
  chunk *chunks;
  size_t next_size;
  void *user;
};

static size_t class_of(size_t size) { return (size + STEP - 1) / STEP; }

mu_slab *mu_slab_new(void) {
  mu_slab *s = calloc(1, sizeof *s);
  if (s) s->next_size = FIRST_CHUNK;
  return s;
}

void mu_slab_free(mu_slab *s) {
  for (chunk *c = s->chunks, *next; c; c = next) {
    next = c->next;
    munmap(c, c->size);
  }
  free(s);
}

void mu_slab_set_user(mu_slab *s, void *user) { s->user = user; }

void *mu_slab_user(const mu_slab *s) { return s->user; }

static void *map(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* Maps size bytes aligned to a huge page: one more page than needed, the margins given back. */
static void *map_huge(size_t size) {
  char *p = map(size + HUGE_PAGE);
  if (!p) return NULL;
  size_t lead = (HUGE_PAGE - (size_t)p % HUGE_PAGE) % HUGE_PAGE;
  if (lead) munmap(p, lead);
  if (lead < HUGE_PAGE) munmap(p + lead + size, HUGE_PAGE - lead);
  madvise(p + lead, size, MADV_HUGEPAGE); /* advice: fewer page faults where the system follows it */
  return p + lead;
}

/* The rest of the old chunk becomes one free block, so that nothing is lost. */
static void keep_rest(mu_slab *s) {
  size_t rest = (size_t)(s->end - s->at) / STEP;
  if (rest == 0 || rest >= CLASSES) return;
  block *b = (block *)(void *)s->at;
  b->next = s->spare[rest];
  s->spare[rest] = b;
}

static bool add_chunk(mu_slab *s) {
  size_t size = s->next_size;
  chunk *c = size < LARGE_CHUNK ? map(size) : map_huge(size);
  if (!c) return false;
  keep_rest(s);
  *c = (chunk){s->chunks, size};
  s->chunks = c;
  s->at = (char *)(c + 1);
  s->end = (char *)c + size;
  if (size < LAST_CHUNK) s->next_size = size * 2;
  return true;
}

static void *cut(mu_slab *s, size_t size) {
  if ((size_t)(s->end - s->at) < size && !add_chunk(s)) return NULL;
  void *p = s->at;
  s->at += size;
  return p;
}

void *mu_slab_get(mu_slab *s, size_t size) {
  if (mu_unlikely(size > MU_SLAB_LIMIT)) return malloc(size);
  size_t class = class_of(size);
  block *b = s->spare[class];
  if (mu_unlikely(!b)) return cut(s, class * STEP);
  s->spare[class] = b->next;
  __builtin_prefetch(b->next, 1); /* it was freed long ago, and will be read when the next one is wanted */
  return b;
}

void mu_slab_put(mu_slab *s, void *p, size_t size) {
  if (mu_unlikely(size > MU_SLAB_LIMIT)) {
    free(p);
    return;
  }
  block *b = p;
  size_t class = class_of(size);
  b->next = s->spare[class];
  s->spare[class] = b;
}

static void *resize(mu_slab *s, void *p, size_t old_size, size_t new_size) {
  if (old_size > MU_SLAB_LIMIT && new_size > MU_SLAB_LIMIT) return realloc(p, new_size);
  if (old_size <= MU_SLAB_LIMIT && class_of(old_size) == class_of(new_size)) return p;
  void *q = mu_slab_get(s, new_size);
  if (!q) return new_size < old_size ? p : NULL; /* a block may serve as a smaller one */
  memcpy(q, p, old_size < new_size ? old_size : new_size);
  mu_slab_put(s, p, old_size);
  return q;
}

void *mu_slab_lua_alloc(void *ud, void *p, size_t old_size, size_t new_size) {
  mu_slab *s = ud;
  if (!p) return new_size ? mu_slab_get(s, new_size) : NULL; /* old_size is then a type, not a size */
  if (new_size) return resize(s, p, old_size, new_size);
  mu_slab_put(s, p, old_size);
  return NULL;
}
