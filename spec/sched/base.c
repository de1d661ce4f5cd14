/* Lists, heaps and slabs, against models. */
#include "cases.h"

#include "base/heap.h"
#include "base/list.h"
#include "base/slab.h"

/* ---- lists ---- */

typedef struct {
  int id;
  mu_link link;
} node;

/* The ids of a list, both ways, as text. */
static const char *order(mu_link *list) {
  static char text[64];
  int n = 0, back = 0;
  text[0] = '\0';
  for (mu_link *l = list->next; l != list; l = l->next)
    n += snprintf(text + n, sizeof text - (size_t)n, "%d", mu_container(l, node, link)->id);
  for (mu_link *l = list->prev; l != list; l = l->prev)
    CHECK(text[n - ++back] == '0' + mu_container(l, node, link)->id);
  CHECK(back == n);
  return text;
}

static void lists(void) {
  mu_link list, other;
  node nodes[6];
  mu_list_init(&list);
  mu_list_init(&other);
  CHECK(mu_list_empty(&list) && strcmp(order(&list), "") == 0);
  for (int i = 0; i < 6; i++) {
    nodes[i].id = i;
    mu_list_init(&nodes[i].link);
  }
  mu_list_push(&list, &nodes[1].link);
  mu_list_push(&list, &nodes[2].link);
  mu_list_push_front(&list, &nodes[0].link);
  mu_list_insert(&nodes[2].link, &nodes[3].link);
  CHECK(strcmp(order(&list), "0132") == 0);
  mu_list_remove(&nodes[1].link);
  mu_list_remove(&nodes[1].link); /* harmless */
  CHECK(strcmp(order(&list), "032") == 0 && mu_list_empty(&nodes[1].link));
  mu_list_remove(&nodes[4].link); /* was never in one */
  mu_list_push(&other, &nodes[4].link);
  mu_list_push(&other, &nodes[5].link);
  mu_list_splice(&list, &other);
  CHECK(strcmp(order(&list), "03245") == 0 && mu_list_empty(&other));
  mu_list_splice(&list, &other);
  CHECK(strcmp(order(&list), "03245") == 0);
  mu_list_splice(&other, &list);
  CHECK(strcmp(order(&other), "03245") == 0 && mu_list_empty(&list));
}

/* ---- heaps ---- */

enum { ITEMS = 300, STEPS = 30000 };

typedef struct {
  mu_heap_item item;
  double key;
  uint64_t birth; /* when it went in; 0: it is out */
} entry;

static bool earlier(const entry *a, const entry *b) {
  return a->key < b->key || (a->key == b->key && a->birth < b->birth);
}

static entry *model_first(entry *all) {
  entry *first = NULL;
  for (int i = 0; i < ITEMS; i++)
    if (all[i].birth && (!first || earlier(&all[i], first))) first = &all[i];
  return first;
}

static void insert(mu_heap *h, entry *e, double key, uint64_t birth) {
  e->key = key;
  e->birth = birth;
  CHECK(mu_heap_insert(h, &e->item, key));
}

static void take_out(mu_heap *h, entry *e) {
  mu_heap_remove(h, &e->item);
  CHECK(!mu_heap_has(&e->item));
  e->birth = 0;
}

static void check_first(mu_heap *h, entry *all) {
  entry *first = model_first(all);
  if (!first) {
    CHECK(mu_heap_first(h) == NULL && h->count == 0);
    return;
  }
  CHECK(mu_heap_first(h) == &first->item);
  CHECK(h->nodes[0].key == first->key);
}

/* Random inserts and removals, with many equal keys; now and then it grows full, or runs empty. */
static void random_heap(uint32_t sequence) {
  static entry all[ITEMS];
  uint64_t seed = 42;
  mu_heap h;
  mu_heap_init(&h);
  h.sequence = sequence;
  for (int i = 0; i < ITEMS; i++) all[i] = (entry){.item = {.position = MU_HEAP_OUT}};
  for (uint64_t step = 1; step <= STEPS; step++) {
    entry *e = &all[next_random(&seed) % ITEMS];
    bool growing = step / 3000 % 2 == 0;
    if (e->birth && (!growing || next_random(&seed) % 4 == 0)) take_out(&h, e);
    else if (!e->birth && growing) insert(&h, e, (double)(next_random(&seed) % 50), step);
    else if (mu_heap_first(&h)) take_out(&h, model_first(all));
    check_first(&h, all);
  }
  while (mu_heap_first(&h)) {
    take_out(&h, model_first(all));
    check_first(&h, all);
  }
  mu_heap_free(&h);
}

static void heaps(void) { random_heap(0); }

/* Ties keep their order while the counter that breaks them wraps. */
static void heaps_wrap(void) { random_heap(UINT32_MAX - 2000); }

static void heap_edges(void) {
  mu_heap h;
  entry e = {.item = {.position = MU_HEAP_OUT}};
  mu_heap_init(&h);
  CHECK(mu_heap_first(&h) == NULL);
  mu_heap_remove(&h, &e.item); /* it is out: nothing happens */
  insert(&h, &e, -1e300, 1);
  CHECK(mu_heap_first(&h) == &e.item && h.count == 1);
  take_out(&h, &e);
  mu_heap_remove(&h, &e.item);
  CHECK(h.count == 0);
  mu_heap_free(&h);
  mu_heap_free(&h);
}

/* ---- slabs ---- */

enum { BLOCKS = 500 };

typedef struct {
  unsigned char *at;
  size_t size;
} block;

static void fill(block *b) { memset(b->at, (int)(b->size % 251), b->size); }

static void check_filled(const block *b, size_t n) {
  for (size_t i = 0; i < n; i++) CHECK(b->at[i] == b->size % 251);
}

/* Mostly as small as what the scheduler and Lua ask for. */
static size_t random_size(uint64_t *seed) {
  uint64_t r = next_random(seed);
  return 1 + (r % 8 == 0 ? r / 8 % 5000 : r / 8 % 200);
}

static void slabs(void) {
  static block blocks[BLOCKS];
  uint64_t seed = 7;
  mu_slab *s = mu_slab_new();
  CHECK(s != NULL);
  memset(blocks, 0, sizeof blocks);
  for (int step = 0; step < 50000; step++) {
    block *b = &blocks[next_random(&seed) % BLOCKS];
    if (b->at) {
      check_filled(b, b->size);
      mu_slab_put(s, b->at, b->size);
      b->at = NULL;
      continue;
    }
    b->size = random_size(&seed);
    b->at = mu_slab_get(s, b->size);
    CHECK(b->at != NULL && (uintptr_t)b->at % 8 == 0);
    fill(b);
  }
  for (int i = 0; i < BLOCKS; i++)
    if (blocks[i].at) mu_slab_put(s, blocks[i].at, blocks[i].size);
  mu_slab_free(s);
}

/* As an allocator of Lua: blocks keep their contents as they grow and shrink. */
static void slab_resizes(void) {
  static block blocks[BLOCKS];
  uint64_t seed = 11;
  mu_slab *s = mu_slab_new();
  CHECK(s != NULL && mu_slab_lua_alloc(s, NULL, 5, 0) == NULL);
  memset(blocks, 0, sizeof blocks);
  for (int step = 0; step < 50000; step++) {
    block *b = &blocks[next_random(&seed) % BLOCKS];
    size_t size = next_random(&seed) % 5 == 0 ? 0 : random_size(&seed);
    size_t kept = size < b->size ? size : b->size;
    b->at = mu_slab_lua_alloc(s, b->at, b->at ? b->size : 6 /* a type */, size);
    CHECK((b->at != NULL) == (size > 0));
    check_filled(b, kept);
    b->size = size;
    if (size) fill(b);
  }
  for (int i = 0; i < BLOCKS; i++) CHECK(mu_slab_lua_alloc(s, blocks[i].at, blocks[i].size, 0) == NULL);
  mu_slab_free(s);
}

/* What is given back is used again: the slab grows no further. */
static void slab_reuses(void) {
  static void *first[BLOCKS], *again[BLOCKS];
  mu_slab *s = mu_slab_new();
  for (int i = 0; i < BLOCKS; i++) CHECK((first[i] = mu_slab_get(s, 56)) != NULL);
  for (int i = 0; i < BLOCKS; i++) mu_slab_put(s, first[i], 56);
  for (int i = 0; i < BLOCKS; i++) CHECK((again[i] = mu_slab_get(s, 56)) != NULL);
  if (MU_SLAB_LIMIT > 0)
    for (int i = 0; i < BLOCKS; i++) CHECK(again[i] == first[BLOCKS - 1 - i]);
  for (int i = 0; i < BLOCKS; i++) mu_slab_put(s, again[i], 56);
  mu_slab_free(s);
}

const spec_case base_cases[] = {
    {"base: lists", lists},
    {"base: heaps against a model", heaps},
    {"base: heaps when the sequence wraps", heaps_wrap},
    {"base: heap edges", heap_edges},
    {"base: slabs of random sizes", slabs},
    {"base: slabs as Lua's allocator", slab_resizes},
    {"base: slabs reuse", slab_reuses},
    {NULL, NULL},
};
