/* slab.h: an allocator for many small blocks of few sizes, such as coroutines and what waits in them.
**
** Blocks of up to MU_SLAB_LIMIT bytes come from free lists, one for each multiple of 8 bytes; a free list that is empty
** cuts from a chunk. There is no header in front of a block: Lua, like the scheduler, knows the size of what it frees.
** Larger blocks come from libc. Cost: a few instructions either way. Memory of small blocks is kept for reuse, and goes
** back to the system when the slab is freed.
** Blocks are aligned to 8 bytes, which is all that Lua promises (LUAI_MAXALIGN). Not thread-safe. */
#ifndef MU_SLAB_H
#define MU_SLAB_H

#include "base/platform.h"

#include <stddef.h>

typedef struct mu_slab mu_slab;

/* A new slab, or NULL. The caller owns it. */
mu_slab *mu_slab_new(void);

/* Frees the slab and every small block cut from it. */
void mu_slab_free(mu_slab *s);

/* A pointer that the slab keeps for its owner: all that a Lua state has to do with it is its allocator. */
void mu_slab_set_user(mu_slab *s, void *user);
void *mu_slab_user(const mu_slab *s);

/* A block of size > 0 bytes, or NULL. */
void *mu_slab_get(mu_slab *s, size_t size);

/* Gives back a block got with that size. */
void mu_slab_put(mu_slab *s, void *block, size_t size);

/* The same as a lua_Alloc; ud is the slab. */
void *mu_slab_lua_alloc(void *ud, void *block, size_t old_size, size_t new_size);

#endif
