#include "base/heap.h"

#include <stdlib.h>

enum { ARITY = 4, FIRST_CAPACITY = 64 };

static bool before(mu_heap_node a, mu_heap_node b) {
  if (a.key != b.key) return a.key < b.key;
  return (int32_t)(a.item->sequence - b.item->sequence) < 0;
}

static void put(mu_heap *h, uint32_t at, mu_heap_node n) {
  h->nodes[at] = n;
  n.item->position = at;
}

static uint32_t up(mu_heap *h, uint32_t at, mu_heap_node n) {
  while (at > 0) {
    uint32_t parent = (at - 1) / ARITY;
    if (!before(n, h->nodes[parent])) break;
    put(h, at, h->nodes[parent]);
    at = parent;
  }
  return at;
}

static uint32_t least_child(const mu_heap *h, uint32_t first) {
  uint32_t end = first + ARITY < h->count ? first + ARITY : h->count;
  uint32_t least = first;
  for (uint32_t c = first + 1; c < end; c++)
    if (before(h->nodes[c], h->nodes[least])) least = c;
  return least;
}

static uint32_t down(mu_heap *h, uint32_t at, mu_heap_node n) {
  for (uint32_t first; (first = at * ARITY + 1) < h->count;) {
    uint32_t child = least_child(h, first);
    if (!before(h->nodes[child], n)) break;
    put(h, at, h->nodes[child]);
    at = child;
  }
  return at;
}

static bool grow(mu_heap *h) {
  uint32_t capacity = h->capacity ? 2 * h->capacity : FIRST_CAPACITY;
  if (capacity < h->capacity) return false;
  mu_heap_node *nodes = realloc(h->nodes, capacity * sizeof *nodes);
  if (!nodes) return false;
  h->nodes = nodes;
  h->capacity = capacity;
  return true;
}

bool mu_heap_insert(mu_heap *h, mu_heap_item *i, double key) {
  if (h->count == h->capacity && !grow(h)) return false;
  i->sequence = h->sequence++;
  mu_heap_node n = {key, i};
  put(h, up(h, h->count++, n), n);
  return true;
}

void mu_heap_remove(mu_heap *h, mu_heap_item *i) {
  uint32_t at = i->position;
  if (at == MU_HEAP_OUT) return;
  i->position = MU_HEAP_OUT;
  mu_heap_node last = h->nodes[--h->count];
  if (at == h->count) return;
  uint32_t higher = up(h, at, last);
  put(h, higher == at ? down(h, at, last) : higher, last);
}

void mu_heap_free(mu_heap *h) {
  free(h->nodes);
  mu_heap_init(h);
}
