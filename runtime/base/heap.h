/* heap.h: a 4-ary min-heap of items with handles.
**
** Items are embedded in what they time; the heap holds pointers to them beside their keys, and each item knows its
** position, so that any item can be removed in O(log n). Equal keys leave in the order they came. Four children a node
** halve the depth of a binary heap, and lie in one cache line.
** Legal order: init, any of insert/remove/pop, free. The heap owns only its array. */
#ifndef MU_HEAP_H
#define MU_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_HEAP_OUT UINT32_MAX /* the position of an item that is in no heap */

typedef struct {
  uint32_t position; /* in the array, or MU_HEAP_OUT */
  uint32_t sequence; /* breaks ties; wraps */
} mu_heap_item;

typedef struct {
  double key;
  mu_heap_item *item;
} mu_heap_node;

typedef struct {
  mu_heap_node *nodes;
  uint32_t count, capacity;
  uint32_t sequence; /* of the next item */
} mu_heap;

static inline void mu_heap_init(mu_heap *h) { *h = (mu_heap){0}; }
void mu_heap_free(mu_heap *h);

static inline bool mu_heap_has(const mu_heap_item *i) { return i->position != MU_HEAP_OUT; }

/* Inserts i, which must be out of any heap. False: out of memory, and nothing changed. */
bool mu_heap_insert(mu_heap *h, mu_heap_item *i, double key);

/* Removes i; does nothing if it is out. */
void mu_heap_remove(mu_heap *h, mu_heap_item *i);

/* The first item, or NULL; its key is h->nodes[0].key. */
static inline mu_heap_item *mu_heap_first(const mu_heap *h) { return h->count ? h->nodes[0].item : NULL; }

#endif
