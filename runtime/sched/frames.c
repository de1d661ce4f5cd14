/* frames.c: tracebacks as luaL_traceback makes them, but of the script only: frames of the runtime are left out, and
** those of the coroutines that a coroutine resumes come first. */
#include "sched/frames.h"
#include "sched/inside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 10, LAST = 11 }; /* levels shown of a deep stack */
enum { MAX_PATH = 4096 };

/* ---- whose frame? ---- */

/* Every C function of the runtime has the scheduler as its first upvalue, but the one that raises again. */
static bool has_scheduler(lua_State *co, const mu_sched *s, lua_Debug *ar) {
  bool has = false;
  if (!lua_checkstack(co, 2)) return false;
  lua_getinfo(co, "f", ar);
  if (lua_tocfunction(co, -1) == mu_raise_caught) {
    has = true;
  } else if (lua_getupvalue(co, -1, 1)) {
    has = lua_touserdata(co, -1) == s;
    lua_pop(co, 1);
  }
  lua_pop(co, 1);
  return has;
}

bool mu_frame_is_own(lua_State *co, const mu_sched *s, lua_Debug *ar) {
  lua_getinfo(co, "S", ar);
  return ar->what[0] == 'C' ? has_scheduler(co, s, ar) : mu_is_library(ar);
}

/* ---- places ---- */

/* The path relative to the working directory, if it is below that. */
static const char *relative(const char *path) {
  char directory[MAX_PATH];
  if (path[0] != '/' || !getcwd(directory, sizeof directory)) return path;
  size_t n = strlen(directory);
  return strncmp(path, directory, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

void mu_frame_place(const lua_Debug *ar, char place[MU_PLACE_SIZE]) {
  const char *source = ar->source[0] == '@' ? relative(ar->source + 1) : ar->short_src;
  size_t n = strlen(source);
  const char *dots = n < LUA_IDSIZE ? "" : "...";
  if (*dots) source += n - (LUA_IDSIZE - 4);
  if (ar->currentline > 0) snprintf(place, MU_PLACE_SIZE, "%s%s:%d", dots, source, ar->currentline);
  else snprintf(place, MU_PLACE_SIZE, "%s%s", dots, source);
}

/* The innermost of the coroutines that co resumes. */
static lua_State *innermost(lua_State *co) {
  for (lua_State *inner; (inner = mu_inner(co)); co = inner) continue;
  return co;
}

/* The coroutine between outer and inner that resumes inner. */
static lua_State *resumer_of(lua_State *outer, const lua_State *inner) {
  while (mu_inner(outer) != inner) outer = mu_inner(outer);
  return outer;
}

bool mu_frame_of_script(lua_State *outer, const mu_sched *s, lua_Debug *ar) {
  for (lua_State *co = innermost(outer);; co = resumer_of(outer, co)) {
    for (int level = 0; lua_getstack(co, level, ar); level++) {
      if (mu_frame_is_own(co, s, ar) || ar->what[0] == 'C') continue;
      return lua_getinfo(co, "l", ar);
    }
    if (co == outer) return false;
  }
}

/* ---- names, as lauxlib.c finds them ---- */

/* Stack on top: a table, and below the function. Pushes the name under which a table of tables, levels deep, has it. */
static bool push_field(lua_State *L, int function, int levels) {
  if (levels == 0 || !lua_istable(L, -1)) return false;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    if (lua_rawequal(L, function, -1)) {
      lua_pop(L, 1);
      return true;
    }
    if (!push_field(L, function, levels - 1)) continue;
    lua_pushfstring(L, "%s.%s", lua_tostring(L, -3), lua_tostring(L, -1));
    lua_insert(L, -4);
    lua_pop(L, 3);
    return true;
  }
  return false;
}

/* Replaces the function on top of L by the name under which a loaded module has it, or pops it. */
static bool to_global_name(lua_State *L) {
  int function = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool found = push_field(L, function, 2);
  if (found) {
    const char *name = lua_tostring(L, -1);
    lua_pushstring(L, strncmp(name, LUA_GNAME ".", 3) == 0 ? name + 3 : name);
    lua_replace(L, function);
  }
  lua_settop(L, found ? function : function - 1);
  return found;
}

/* Pushes on L what the function of a frame with the fields of "Snt" is called. */
static void push_function(lua_State *L, lua_State *co, lua_Debug *ar) {
  char place[MU_PLACE_SIZE];
  lua_getinfo(co, "f", ar);
  if (co != L) lua_xmove(co, L, 1);
  if (to_global_name(L)) {
    lua_pushfstring(L, "function '%s'", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else if (*ar->namewhat != '\0') {
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  } else if (ar->what[0] == 'm') {
    lua_pushliteral(L, "main chunk");
  } else if (ar->what[0] == 'C') {
    lua_pushliteral(L, "?");
  } else {
    ar->currentline = ar->linedefined;
    mu_frame_place(ar, place);
    lua_pushfstring(L, "function <%s>", place);
  }
}

/* ---- frames ---- */

static int deepest_level(lua_State *co) {
  lua_Debug ar;
  int low = -1, high = 1;
  while (lua_getstack(co, high, &ar)) low = high, high *= 2;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (lua_getstack(co, middle, &ar)) low = middle;
    else high = middle;
  }
  return low;
}

/* Below a main chunk are the first function of a task, and maybe one of the host's. */
bool mu_frames_have_main(lua_State *co) {
  lua_Debug ar;
  int deepest = deepest_level(co);
  for (int level = deepest - 1; level >= 0 && level >= deepest - 2; level--)
    if (lua_getstack(co, level, &ar) && lua_getinfo(co, "S", &ar) && ar.what[0] == 'm') return true;
  return false;
}

/* Replaces the text on top of L by the same with a frame of co, which has the field of "S". */
static void append_frame(lua_State *L, lua_State *co, lua_Debug *ar) {
  char place[MU_PLACE_SIZE];
  lua_getinfo(co, "nlt", ar);
  mu_frame_place(ar, place);
  push_function(L, co, ar);
  lua_pushfstring(L, "\n\t%s: in %s%s", place, lua_tostring(L, -1),
                  ar->istailcall ? "\n\t(...tail calls...)" : "");
  lua_remove(L, -2);
  lua_concat(L, 2);
}

/* Is this C function, which the first function of a task calls, one of the host's that no script can name? */
static bool is_host(lua_State *L, lua_State *co, lua_Debug *ar) {
  if (ar->what[0] != 'C') return false;
  lua_getinfo(co, "f", ar);
  if (co != L) lua_xmove(co, L, 1);
  if (!to_global_name(L)) return true;
  lua_pop(L, 1);
  return false;
}

/* Is the frame at this level one of a C function that the embedded library calls, such as error? */
static bool is_of_library(lua_State *co, const mu_sched *s, const lua_Debug *ar, int level) {
  lua_Debug caller;
  return ar->what[0] == 'C' && lua_getstack(co, level + 1, &caller) && mu_frame_is_own(co, s, &caller) &&
         caller.what[0] != 'C';
}

/* Replaces the text on top of L by the same with the frames of one coroutine from level on. */
static void append_frames(lua_State *L, lua_State *co, const mu_sched *s, int level) {
  lua_Debug ar;
  int shown = 0, deepest = deepest_level(co);
  for (; lua_getstack(co, level, &ar); level++) {
    if (mu_frame_is_own(co, s, &ar) || is_of_library(co, s, &ar, level) ||
        (level == deepest - 1 && is_host(L, co, &ar)))
      continue;
    if (shown++ == FIRST && deepest - level > LAST) {
      lua_pushfstring(L, "\n\t...\t(skipping %d levels)", deepest - level - LAST);
      lua_concat(L, 2);
      level = deepest - LAST - 1;
    } else {
      append_frame(L, co, &ar);
    }
  }
}

void mu_push_frames(lua_State *L, lua_State *outer, int level) {
  const mu_sched *s = mu_sched_of(L);
  luaL_checkstack(L, 8, NULL);
  lua_pushliteral(L, "");
  for (lua_State *co = innermost(outer);; co = resumer_of(outer, co), level = 0) {
    if (lua_checkstack(co, 4)) append_frames(L, co, s, level);
    if (co == outer) return;
  }
}
