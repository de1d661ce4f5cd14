/* buffer.h: a growable array of bytes, from an allocator of the caller's (such as that of a Lua state).
**
** It doubles as it grows: appending n bytes costs O(n). Its owner frees it, also after a failure. Not thread-safe. */
#ifndef MU_BUFFER_H
#define MU_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* As a lua_Alloc: frees if new_size is 0, and may fail (NULL) otherwise; block is NULL if old_size is 0. */
typedef void *(*mu_alloc)(void *data, void *block, size_t old_size, size_t new_size);

typedef struct {
  char *at;
  size_t size, room;
  mu_alloc alloc;
  void *data;
} mu_buffer;

#define MU_BUFFER(alloc_, data_) ((mu_buffer){.alloc = (alloc_), .data = (data_)})

/* Makes room for more bytes behind the last. False, and all is as it was: out of memory. */
bool mu_buffer_grow(mu_buffer *b, size_t more);

/* Frees what it holds; it may be used again. */
void mu_buffer_free(mu_buffer *b);

static inline bool mu_buffer_reserve(mu_buffer *b, size_t more) {
  return b->room - b->size >= more || mu_buffer_grow(b, more);
}

static inline bool mu_buffer_add(mu_buffer *b, const char *bytes, size_t n) {
  if (!mu_buffer_reserve(b, n)) return false;
  if (n) memcpy(b->at + b->size, bytes, n);
  b->size += n;
  return true;
}

#endif
