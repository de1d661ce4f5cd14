/* list.h: an intrusive, circular, doubly linked list.
**
** A link lives in the struct that is listed; the list is itself a link, so insertion and removal have no special
** cases. Every operation is O(1) and allocates nothing. A link that is in no list points to itself, once initialised:
** removing it twice is harmless. The list owns nothing. */
#ifndef MU_LIST_H
#define MU_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mu_link {
  struct mu_link *next, *prev;
} mu_link;

/* The struct of the given type whose member is at link. */
#define mu_container(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void mu_list_init(mu_link *l) { l->next = l->prev = l; }
static inline bool mu_list_empty(const mu_link *l) { return l->next == l; }

/* Puts link right before pos; before the list itself means last. */
static inline void mu_list_insert(mu_link *pos, mu_link *link) {
  link->next = pos;
  link->prev = pos->prev;
  pos->prev->next = link;
  pos->prev = link;
}

static inline void mu_list_push(mu_link *list, mu_link *link) { mu_list_insert(list, link); }
static inline void mu_list_push_front(mu_link *list, mu_link *link) { mu_list_insert(list->next, link); }

static inline void mu_list_remove(mu_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  mu_list_init(link);
}

/* Moves everything in from to the end of to. */
static inline void mu_list_splice(mu_link *to, mu_link *from) {
  if (mu_list_empty(from)) return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  mu_list_init(from);
}

#endif
