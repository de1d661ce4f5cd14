/* json_encode.h: what the files that write JSON share. The stack while writing: 1 the value, 2 options, 3 the encoder;
** then, for each open table (a frame), the table, and a key or a list of keys; on top the value to be written. */
#ifndef MU_BIND_JSON_ENCODE_H
#define MU_BIND_JSON_ENCODE_H

#include "bind/json.h"

typedef enum {
  MU_JSON_LIST_NEXT, /* by lua_next, as long as that gives 1, 2, 3 and so on; the key is above the table */
  MU_JSON_LIST_GET,  /* by position */
  MU_JSON_MAP_NEXT,  /* by lua_next */
  MU_JSON_MAP_KEYS,  /* in the order of the list of keys above the table */
  MU_JSON_WRITTEN    /* as a text that was prepared: it is no frame */
} mu_json_way;

typedef struct {
  int base; /* stack index of the table */
  mu_json_way way;
  lua_Integer i, n; /* elements written; those there are, if that is known */
} mu_json_open;

typedef struct {
  mu_buffer out, frames;
  uint32_t depth, max_depth;
  bool canonical, pretty, replaces; /* what is not UTF-8 */
} mu_json_encoder;

enum { MU_JSON_KEY_SLOT = 1, MU_JSON_VALUE_SLOT = 2 }; /* above the base */

static inline mu_json_open *mu_json_frame_of(const mu_json_encoder *e, uint32_t i) {
  return (mu_json_open *)e->frames.at + i;
}

/* Raises, naming the place in the value. */
int mu_json_refuse(lua_State *L, const mu_json_encoder *e, const char *problem);

/* The same for a table that is nested too deeply: is it because of a cycle? */
int mu_json_refuse_depth(lua_State *L, const mu_json_encoder *e);

/* Pushes a sorted list of the keys of the table at index, strings all of them; or that which `__keys` of its metatable
** (at index + 1, a list) begins with, and the others after it. Returns its length. */
lua_Integer mu_json_push_sorted(lua_State *L, const mu_json_encoder *e, int index);
lua_Integer mu_json_push_ordered(lua_State *L, const mu_json_encoder *e, int index);

#endif
