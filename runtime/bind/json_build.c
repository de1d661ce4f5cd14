/* json_build.c: Lua values from the events of the scanner. */
#include "bind/json.h"

enum {
  BATCH = 64,    /* elements that wait on the stack, at most */
  LITTLE = 2,    /* the same, */
  FULL = 100000, /* where that much of the stack is used: a Lua stack has a million slots */
  ROOM = 2 * BATCH + 8
};

static size_t depth_of(const mu_json_builder *b) { return b->frames.size / sizeof(mu_json_frame); }
static mu_json_frame *frame_at(const mu_json_builder *b, size_t i) {
  return (mu_json_frame *)b->frames.at + i;
}
static mu_json_frame *top_of(const mu_json_builder *b) { return frame_at(b, depth_of(b) - 1); }

static int no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

/* ---- tables ---- */

/* Pushes nothing: the table takes the slot of the frame. */
static void make_table(lua_State *L, mu_json_frame *f) {
  int n = (int)f->waits;
  f->has_table = true;
  if (!f->is_array) lua_createtable(L, 0, n);
  else {
    lua_createtable(L, n, 0);
    lua_pushvalue(L, MU_JSON_ARRAYS);
    lua_setmetatable(L, -2);
  }
  lua_replace(L, f->base);
}

/* Copies what waits into the table, in order: of equal keys the last one wins. */
static void fill(lua_State *L, mu_json_frame *f) {
  if (!f->has_table) make_table(L, f);
  int at = f->base + 1;
  for (uint32_t i = 0; i < f->waits; i++) {
    lua_pushvalue(L, at++);
    if (f->is_array) lua_rawseti(L, f->base, ++f->count);
    else lua_pushvalue(L, at++), lua_rawset(L, f->base);
  }
  f->waits = 0;
}

/* A list that is closed, and has no table yet. */
static void fill_new_list(lua_State *L, mu_json_frame *f) {
  make_table(L, f);
  for (lua_Integer i = f->waits; i > 0; i--) lua_rawseti(L, f->base, i);
}

void mu_json_settle(lua_State *L, mu_json_builder *b) {
  size_t n = depth_of(b);
  int to = MU_JSON_BOTTOM;
  if (!n) return;
  luaL_checkstack(L, ROOM, NULL);
  for (size_t i = 0; i < n; i++) {
    mu_json_frame *f = frame_at(b, i);
    int next = i + 1 < n ? frame_at(b, i + 1)->base : lua_gettop(L) + 1;
    bool has_key = !f->is_array && (next - f->base) % 2 == 0;
    fill(L, f);
    lua_copy(L, f->base, to);
    f->base = to++;
    if (has_key) lua_copy(L, next - 1, to++);
  }
  lua_settop(L, to - 1);
}

/* ---- the path ---- */

static bool matches(const mu_json_builder *b, const mu_json_frame *f, size_t depth) {
  if (!f->is_array) return b->key_matches;
  const mu_json_step *step = &b->path[depth - 1];
  return !step->key && step->index == f->count + f->waits + 1;
}

/* Is what is opened now, inside so many frames, on the path? */
static bool is_on_path(const mu_json_builder *b, size_t depth) {
  if (!b->has_path || depth != b->on_path || depth > b->steps) return false;
  return depth == 0 || matches(b, top_of(b), depth);
}

static void compare_key(mu_json_builder *b) {
  size_t depth = depth_of(b);
  if (depth != b->on_path || depth > b->steps) return;
  const mu_json_step *step = &b->path[depth - 1];
  b->key_matches =
      step->key && step->size == b->scan.size && memcmp(step->key, b->scan.token, step->size) == 0;
}

/* The element on top of L, of the list at the path, goes to those that are given. */
static void give(lua_State *L, mu_json_builder *b, mu_json_frame *f) {
  if (lua_isnil(L, MU_JSON_CLOSED)) {
    lua_newtable(L);
    lua_replace(L, MU_JSON_CLOSED);
  }
  if (!b->drops) lua_pushvalue(L, -1);
  lua_rawseti(L, MU_JSON_CLOSED, ++b->closed);
  if (!b->drops) return;
  f->waits--;
  f->count++;
  if (!f->has_table) return;
  lua_pushnil(L); /* what a partial value showed */
  lua_rawseti(L, f->base, 1);
}

/* ---- events ---- */

/* The value on top of L belongs to the innermost frame, if any. */
static void added(lua_State *L, mu_json_builder *b) {
  if (!b->frames.size) return;
  mu_json_frame *f = top_of(b);
  f->waits++;
  if (f->is_target) give(L, b, f);
  if (f->waits < (f->base < FULL ? BATCH : LITTLE)) return;
  fill(L, f);
  lua_settop(L, f->base);
}

static void open(lua_State *L, mu_json_builder *b, bool is_array) {
  size_t depth = depth_of(b);
  bool on_path = is_on_path(b, depth);
  luaL_checkstack(L, ROOM, NULL);
  lua_pushnil(L);
  mu_json_frame f = {.base = lua_gettop(L), .is_array = is_array};
  f.is_target = on_path && is_array && depth == b->steps;
  if (on_path) b->on_path++;
  if (!mu_buffer_add(&b->frames, (const char *)&f, sizeof f)) no_memory(L);
}

static void close(lua_State *L, mu_json_builder *b) {
  mu_json_frame *f = top_of(b);
  if (f->is_array && !f->has_table) fill_new_list(L, f);
  else fill(L, f), lua_settop(L, f->base);
  b->frames.size -= sizeof *f;
  if (b->on_path > depth_of(b)) b->on_path--;
  added(L, b);
}

static void add(lua_State *L, mu_json_builder *b, mu_json_event event) {
  switch (event) {
    case MU_JSON_STRING: lua_pushlstring(L, b->scan.token, b->scan.size); break;
    case MU_JSON_INTEGER: lua_pushinteger(L, b->scan.integer); break;
    case MU_JSON_FLOAT: lua_pushnumber(L, b->scan.number); break;
    case MU_JSON_NULL: lua_pushvalue(L, MU_JSON_NULLS); break;
    default: lua_pushboolean(L, event == MU_JSON_TRUE);
  }
  added(L, b);
}

static void take(lua_State *L, mu_json_builder *b, mu_json_event event) {
  switch (event) {
    case MU_JSON_ARRAY:
    case MU_JSON_OBJECT: open(L, b, event == MU_JSON_ARRAY); break;
    case MU_JSON_CLOSE: close(L, b); break;
    case MU_JSON_KEY:
      lua_pushlstring(L, b->scan.token, b->scan.size);
      if (b->has_path) compare_key(b);
      break;
    default: add(L, b, event);
  }
}

mu_json_event mu_json_build(lua_State *L, mu_json_builder *b, bool just_one) {
  luaL_checkstack(L, ROOM, NULL);
  for (;;) {
    mu_json_event event = mu_json_next(&b->scan);
    if (event == MU_JSON_FAILED && b->scan.error == MU_JSON_OUT_OF_MEMORY) no_memory(L);
    if (event <= MU_JSON_FAILED) return event;
    take(L, b, event);
    if (just_one && !b->frames.size) return MU_JSON_MORE;
  }
}

mu_json_event mu_json_build_end(lua_State *L, mu_json_builder *b) {
  mu_json_event event = mu_json_end(&b->scan);
  if (event == MU_JSON_FAILED && b->scan.error == MU_JSON_OUT_OF_MEMORY) no_memory(L);
  if (event <= MU_JSON_FAILED) return event;
  luaL_checkstack(L, ROOM, NULL);
  add(L, b, event);
  return MU_JSON_MORE;
}

/* ---- what there is so far ---- */

/* Puts the value on top of L where the next element of the frame will be, and pops it. */
static void attach(lua_State *L, mu_json_builder *b, size_t i) {
  mu_json_frame *f = frame_at(b, i);
  if (f->is_array) {
    lua_rawseti(L, f->base, f->is_target && b->drops ? 1 : f->count + 1);
    return;
  }
  lua_pushvalue(L, f->base + 1); /* the key */
  lua_insert(L, -2);
  lua_rawset(L, f->base);
}

void mu_json_push_partial(lua_State *L, mu_json_builder *b) {
  size_t n = depth_of(b);
  bool open_string = mu_json_open_string(&b->scan);
  luaL_checkstack(L, ROOM, NULL);
  mu_json_settle(L, b);
  for (size_t i = 1; i < n; i++) {
    lua_pushvalue(L, frame_at(b, i)->base);
    attach(L, b, i - 1);
  }
  if (open_string) lua_pushlstring(L, b->scan.text.at, b->scan.text.size);
  if (open_string && n) attach(L, b, n - 1);
  if (open_string && !n) return;
  if (lua_gettop(L) < MU_JSON_BOTTOM) lua_pushnil(L);
  else lua_pushvalue(L, MU_JSON_BOTTOM);
}
