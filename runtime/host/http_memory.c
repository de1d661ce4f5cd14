/* http_memory.c: memory for libcurl. It takes and gives back some sixty blocks a request, one of them of 16 KB, which is
** costly in libc. Here blocks are kept in lists by size, and taken from there.
**
** libcurl asks for functions without any argument of ours, and calls them from threads of its own too (it looks up names
** there). So the lists belong to the thread, which needs no lock; they are the one state of the runtime that is not below
** a runtime. Only a thread on which a runtime has loaded libcurl keeps blocks; any thread may free what another has taken.
** They are given back when the last such runtime closes, or at the end of the thread if it is closed on another. */
#include "host/http_memory.h"

#include "base/platform.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
  union {
    struct block *next; /* while it is kept */
    size_t size;        /* while it is in use: of the bytes */
  } u;
  size_t unused; /* so that the bytes are aligned */
  char bytes[];
} block;
_Static_assert(sizeof(block) % 16 == 0, "libcurl's structs need aligned memory");

enum {
  STEP = 64,             /* between the sizes of small blocks */
  SMALL = 1024,          /* the largest of them */
  BUFFER = 16384 + STEP, /* libcurl's buffer for what it receives */
  LISTS = SMALL / STEP + 1,
  MOST = 1024 /* blocks in a list */
};

static _Thread_local struct {
  int users; /* runtimes that have loaded libcurl on this thread; none counts under a sanitizer */
  struct {
    block *first;
    int n;
  } lists[LISTS];
} kept;

/* The list of blocks that hold so much, or -1; *size becomes theirs. */
static int list_for(size_t *size) {
  if (*size <= SMALL) {
    int list = *size ? (int)((*size - 1) / STEP) : 0;
    *size = (size_t)(list + 1) * STEP;
    return list;
  }
  if (*size > BUFFER || *size <= BUFFER - 2 * STEP) return -1;
  *size = BUFFER;
  return LISTS - 1;
}

void *mu_http_malloc(size_t size) {
  int list = list_for(&size);
  block *b = list >= 0 ? kept.lists[list].first : NULL;
  if (b) {
    kept.lists[list].first = b->u.next;
    kept.lists[list].n--;
  } else if (size > SIZE_MAX - sizeof *b || !(b = malloc(sizeof *b + size))) {
    return NULL;
  }
  b->u.size = size;
  return b->bytes;
}

static block *block_of(void *bytes) { return (block *)(void *)((char *)bytes - offsetof(block, bytes)); }

void mu_http_free(void *bytes) {
  if (!bytes) return;
  block *b = block_of(bytes);
  size_t size = b->u.size;
  int list = kept.users ? list_for(&size) : -1;
  if (list < 0 || kept.lists[list].n >= MOST) return free(b);
  b->u.next = kept.lists[list].first;
  kept.lists[list].first = b;
  kept.lists[list].n++;
}

void *mu_http_realloc(void *bytes, size_t size) {
  if (!bytes) return mu_http_malloc(size);
  size_t before = block_of(bytes)->u.size;
  if (size <= before && size > before / 2) return bytes;
  void *grown = mu_http_malloc(size);
  if (!grown) return NULL;
  memcpy(grown, bytes, size < before ? size : before);
  mu_http_free(bytes);
  return grown;
}

void *mu_http_calloc(size_t n, size_t size) {
  if (size && n > SIZE_MAX / size) return NULL;
  void *bytes = mu_http_malloc(n * size);
  return bytes ? memset(bytes, 0, n * size) : NULL;
}

char *mu_http_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = mu_http_malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- from the first runtime of a thread to its last ---- */

static pthread_key_t at_end; /* of a thread that keeps blocks */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_end;

static void give_back(void *unused) {
  (void)unused;
  for (int i = 0; i < LISTS; i++)
    while (kept.lists[i].first) {
      block *b = kept.lists[i].first;
      kept.lists[i].first = b->u.next;
      free(b);
    }
  memset(&kept, 0, sizeof kept);
}

static void make_end(void) { has_end = pthread_key_create(&at_end, give_back) == 0; }

void mu_http_memory_begin(void) {
  if (MU_SLAB_LIMIT == 0 || pthread_once(&once, make_end) || !has_end) return;
  if (pthread_setspecific(at_end, &kept) == 0) kept.users++;
}

void mu_http_memory_end(void) {
  if (kept.users == 0 || --kept.users) return;
  give_back(NULL);
  pthread_setspecific(at_end, NULL);
}
