/* json.h: what the files of the module "muster.json.core" share.
**
** A builder makes Lua values of what the scanner finds. It works on the stack of whoever calls, above MU_JSON_BOTTOM:
** for each open list or object (a frame) a table, or nil as long as there are few elements, then elements that are not
** in the table yet, and maybe a key. So most tables are made when their size is known. Between calls of an incremental
** parser these values lie on the stack of a coroutine that never runs. */
#ifndef MU_BIND_JSON_H
#define MU_BIND_JSON_H

#include "base/json.h"
#include "bind/bind.h"

enum {                     /* stack slots of every function that builds; 1 and 2 are its own arguments */
       MU_JSON_ARRAYS = 3, /* the metatable of lists */
       MU_JSON_NULLS,      /* what null becomes */
       MU_JSON_CLOSED,     /* list of the elements that were closed, or nil */
       MU_JSON_BOTTOM
};

enum { MU_JSON_DEPTH = 1000, MU_JSON_DEPTH_MOST = 100000 };

typedef struct {
  int base;          /* stack index of the table */
  uint32_t waits;    /* elements on the stack */
  lua_Integer count; /* elements before those */
  bool is_array, has_table, is_target;
} mu_json_frame;

typedef struct { /* one step of a path; the string is anchored elsewhere */
  const char *key;
  size_t size;
  lua_Integer index; /* if there is no key */
} mu_json_step;

typedef struct {
  mu_json scan;
  mu_buffer frames;
  lua_State *store; /* a parser's: see json_parser.c */
  uint64_t max_bytes;
  lua_Integer closed;  /* length of the list in MU_JSON_CLOSED */
  uint32_t steps;      /* of the path */
  uint32_t on_path;    /* frames, from the outermost */
  bool has_path;       /* are elements asked for? */
  bool key_matches;    /* the last key, of a frame on the path */
  bool drops;          /* elements of the list at the path, once they were given */
  bool broken;         /* an error was raised in the middle */
  mu_json_step path[]; /* to the list whose elements are asked for */
} mu_json_builder;

/* Pushes a builder, a userdata with that metatable (absolute index), whose __gc must be mu_json_collect. */
mu_json_builder *mu_json_new_builder(lua_State *L, uint32_t steps, int user_values, int metatable);
void mu_json_release(mu_json_builder *b);
int mu_json_collect(lua_State *L);

/* A userdata that one call leaves to the next: a new one for each would be the collector's work, twice with a finalizer.
** take: pushes it, and it is the caller's; or pushes nil, false. keep: the value at index; raises on no memory. */
bool mu_json_take_spare(lua_State *L, const void *key);
void mu_json_keep_spare(lua_State *L, int index, const void *key);

/* Bytes of memory that a spare one may hold. */
enum { MU_JSON_SPARE_ROOM = 64 * 1024 };

/* Pushes what is at MU_JSON_ARRAYS; the metatable of marked objects. */
void mu_json_push_arrays(lua_State *L);
void mu_json_push_objects(lua_State *L);

/* Builds from what was fed until there is no more, or the scanner fails, or, if just one is asked for, the value has
** ended. Raises on no memory. */
mu_json_event mu_json_build(lua_State *L, mu_json_builder *b, bool just_one);

/* The same at the end of the text. */
mu_json_event mu_json_build_end(lua_State *L, mu_json_builder *b);

/* Puts the elements that wait on the stack into tables: afterwards there are at most two slots a frame. */
void mu_json_settle(lua_State *L, mu_json_builder *b);

/* Pushes the value so far, nil if there is none. Its tables are those that go on growing. */
void mu_json_push_partial(lua_State *L, mu_json_builder *b);

/* Pushes the error of the scanner, with the value so far. */
void mu_json_push_error(lua_State *L, mu_json_builder *b);

/* Options of the table at index, if there is one. Raise. */
lua_Integer mu_json_integer_option(lua_State *L, int index, const char *name, lua_Integer most,
                                   lua_Integer otherwise);
bool mu_json_flag_option(lua_State *L, int index, const char *name, bool otherwise);
void mu_json_push_null_option(lua_State *L, int index);

/* Functions of the module. */
int mu_json_decode(lua_State *L);
int mu_json_prefix(lua_State *L);
int mu_json_parser(lua_State *L);

/* Adds the function that writes to the table on top of L. */
void mu_json_add_encode(lua_State *L, int s);

/* Pushes the module "muster.json.core". s: the index of the scheduler. */
void mu_open_json(lua_State *L, int s);

#endif
