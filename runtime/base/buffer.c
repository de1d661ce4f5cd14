#include "base/buffer.h"

#include <stdint.h>

enum { LEAST = 256 };

bool mu_buffer_grow(mu_buffer *b, size_t more) {
  if (more > SIZE_MAX / 2 - b->size) return false;
  size_t room = b->room < LEAST ? LEAST : b->room;
  while (room - b->size < more) room *= 2;
  char *at = b->alloc(b->data, b->at, b->room, room);
  if (!at) return false;
  b->at = at;
  b->room = room;
  return true;
}

void mu_buffer_free(mu_buffer *b) {
  if (b->room) b->alloc(b->data, b->at, b->room, 0);
  b->at = NULL;
  b->size = b->room = 0;
}
