/* traceback.c: where an error comes from, through coroutines and tasks.
**
** A record is about an error that was raised: the error, the text so far, the coroutine that the error is in, and whether
** the frames of that one are still to be added. A message handler adds them; where there is none, resume does when it
** finds the coroutine dead. Who awaits a failed task goes on with the text of that task.
** That of an object is found by the object, which may be raised again at any time; then what there was the first time
** comes before what there is now. Equal texts may be of different
** errors, so that of a text lies under the running task, and is good only for a raise by the runtime just now.
** A handler also notes its record under the call that it belongs to: the task's function, or that of a scope. What is
** raised and caught while variables are closed, before the call ends, does not touch it.
** In the end the record becomes the end of the failed task. Its sentinel's finalizer reports the error if the task is
** collected unobserved; mu_sched_report does so at the end of the program. */
#include "sched/frames.h"
#include "sched/inside.h"
#include "sched/site.h"

#include <string.h>

enum { END_ERROR = 1, END_TRACEBACK, END_SENTINEL, TRACE_COROUTINE, TRACE_TASK, TRACE_PENDING, TRACE_FIRST };

/* ---- raising again ---- */

/* error -> ; raises an error that was caught, whose traceback is kept already */
int mu_raise_caught(lua_State *L) { return lua_error(L); }

int mu_raise_again(lua_State *L) {
  lua_pushcfunction(L, mu_raise_caught);
  lua_insert(L, -2);
  lua_call(L, 1, 0);
  return 0;
}

/* Is the function at this level of co the one that raises again? */
static bool is_raised_again(lua_State *co, int level) {
  lua_Debug ar;
  if (!lua_getstack(co, level, &ar)) return false;
  lua_getinfo(co, "f", &ar);
  bool again = lua_tocfunction(co, -1) == mu_raise_caught;
  lua_pop(co, 1);
  return again;
}

/* ---- records ---- */

enum { MOST = 1 << 14, BEGINNING = 1 << 13, END = 1 << 12 }; /* bytes of a text */

static bool is_object(lua_State *L, int index) {
  return lua_istable(L, index) || lua_type(L, index) == LUA_TUSERDATA;
}

/* Pops what is no record of the error at index. */
static bool check_record(lua_State *L, int index) {
  bool is = lua_istable(L, -1);
  if (is) {
    lua_rawgeti(L, -1, END_ERROR);
    is = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
  }
  if (!is) lua_pop(L, 1);
  return is;
}

/* Pushes the record under a key if it is of the error at index. */
static bool push_record_at(lua_State *L, mu_sched *s, const void *key, int index) {
  index = lua_absindex(L, index);
  mu_push_root(s, L, MU_ROOT_TRACES);
  lua_rawgetp(L, -1, key);
  lua_remove(L, -2);
  return check_record(L, index);
}

/* Pushes the record of the error at index, if there is one: of a text only if it is raised again. */
static bool push_record(lua_State *L, mu_sched *s, int index, bool again) {
  if (!is_object(L, index)) return again && push_record_at(L, s, s->current, index);
  index = lua_absindex(L, index);
  mu_push_root(s, L, MU_ROOT_TRACED);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  return check_record(L, index);
}

/* Pops a record into the table of traces. */
static void set_record(lua_State *L, mu_sched *s, const void *key) {
  mu_push_root(s, L, MU_ROOT_TRACES);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
  s->current->run.flags |= MU_TRACED;
}

/* Cuts the middle out of the text on top, if that is long: who awaits whom can be a chain of any length. */
static void shorten(lua_State *L) {
  size_t n, begin = BEGINNING;
  const char *text = lua_tolstring(L, -1, &n), *end = text + n - END;
  if (n <= MOST) return;
  while (begin > 0 && text[begin] != '\n') begin--;
  const char *line = memchr(end, '\n', END);
  lua_pushlstring(L, text, begin > 0 ? begin : BEGINNING);
  lua_pushliteral(L, "\n\t...");
  lua_pushstring(L, line ? line : end);
  lua_concat(L, 3);
  lua_remove(L, -2);
}

/* Stack: ..., error, text -> ..., error, record. The error is in co, whose frames are pending or not. */
static void push_new_record(lua_State *L, const mu_sched *s, const lua_State *co, bool pending) {
  shorten(L);
  lua_createtable(L, TRACE_PENDING, 0);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, END_ERROR);
  lua_insert(L, -2);
  lua_rawseti(L, -2, END_TRACEBACK);
  lua_pushlightuserdata(L, (void *)co);
  lua_rawseti(L, -2, TRACE_COROUTINE);
  lua_pushinteger(L, (lua_Integer)s->current->id);
  lua_rawseti(L, -2, TRACE_TASK);
  lua_pushboolean(L, pending);
  lua_rawseti(L, -2, TRACE_PENDING);
}

/* Stack: ..., error, record -> ..., error. */
static void keep_record(lua_State *L, mu_sched *s) {
  if (!is_object(L, -2)) {
    set_record(L, s, s->current);
    return;
  }
  mu_push_root(s, L, MU_ROOT_TRACED);
  lua_pushvalue(L, -3);
  lua_rotate(L, -3, -1); /* table, error, record */
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Stack: ..., error, text -> ..., error. */
static void keep(lua_State *L, mu_sched *s, const lua_State *co, bool pending) {
  push_new_record(L, s, co, pending);
  keep_record(L, s);
}

/* The call that a handler in L works for: a scope, or the task's function; NULL for another. */
static const void *key_of_call(lua_State *L, const mu_task *t) {
  for (const mu_scope *sc = t->scope; sc; sc = sc->outer)
    if (sc->in_slab && sc->L == L) return sc;
  return L == t->u.co ? &t->run.flags : NULL;
}

/* Is the record on top of an error in co? Coroutines of tasks are used again. */
static bool is_in(lua_State *L, const mu_sched *s, const lua_State *co) {
  lua_rawgeti(L, -1, TRACE_COROUTINE);
  lua_rawgeti(L, -2, TRACE_TASK);
  bool is = lua_touserdata(L, -2) == co && lua_tointeger(L, -1) == (lua_Integer)s->current->id;
  lua_pop(L, 2);
  return is;
}

static bool is_pending(lua_State *L) {
  lua_rawgeti(L, -1, TRACE_PENDING);
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

static void push_beginning(lua_State *L) { lua_pushliteral(L, "stack traceback:"); }

/* Replaces the record on top by one of its fields. */
static void to_field(lua_State *L, int field) {
  lua_rawgeti(L, -1, field);
  lua_remove(L, -2);
}

/* Record of an object that was caught -> its text up to there, and the text to go on from. */
static void to_first_text(lua_State *L) {
  lua_rawgeti(L, -1, TRACE_FIRST);
  if (lua_isnil(L, -1)) lua_rawgeti(L, -2, END_TRACEBACK), lua_remove(L, -2);
  lua_remove(L, -2);
  lua_pushfstring(L, "%s\nraised again:", lua_tostring(L, -1));
}

/* Pushes the text that an object was caught with and raised again in co, or nil; and the text so far of the error at
** index. Are the frames of co to be added? */
static bool push_text(lua_State *L, mu_sched *s, const lua_State *co, int index, bool again) {
  if (!s->current || !push_record(L, s, index, again)) {
    lua_pushnil(L);
    push_beginning(L);
    return true;
  }
  bool same = is_in(L, s, co), pending = is_pending(L);
  if (same && !pending && !again) {
    to_first_text(L);
    return true;
  }
  if (same) to_field(L, END_TRACEBACK);
  else lua_pop(L, 1), push_beginning(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return !same || pending;
}

/* Text -> text with the frames of co from its level on. */
static void add_frames(lua_State *L, lua_State *co, int level) {
  mu_push_frames(L, co, level);
  lua_concat(L, 2);
}

/* Has a C function of the host, which the task calls first, raised an error again after its own handler had kept it? */
static bool is_of_host(lua_State *L, mu_sched *s, const void *call) {
  lua_Debug ar;
  if (lua_getstack(L, 3, &ar) || !call || !push_record_at(L, s, call, 1)) return false;
  lua_pop(L, 1);
  return true;
}

/* Stack: error. Keeps it, which is in L now with its frames, also as that of the call. */
static int keep_of_call(lua_State *L, mu_sched *s, const void *call, bool again) {
  bool add = push_text(L, s, L, 1, again);
  if (add) add_frames(L, L, 1 + again);
  lua_pushvalue(L, 1);
  lua_insert(L, -2); /* error, first text, error, text */
  push_new_record(L, s, L, false);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, TRACE_FIRST);
  if (call) lua_pushvalue(L, -1), set_record(L, s, call);
  keep_record(L, s);
  lua_settop(L, 1);
  return 1;
}

int mu_traceback(lua_State *L) {
  mu_sched *s = mu_sched_of(L);
  lua_settop(L, 1);
  if (!s || !s->current || mu_is_error(L, 1, "cancelled")) return 1;
  luaL_checkstack(L, 10, NULL);
  const void *call = key_of_call(L, s->current);
  return is_of_host(L, s, call) ? 1 : keep_of_call(L, s, call, is_raised_again(L, 1));
}

void mu_trace_push(lua_State *L, mu_sched *s, lua_State *co) {
  luaL_checkstack(L, 10, NULL);
  bool add = push_text(L, s, co, -1, is_raised_again(co, 0));
  lua_remove(L, -2);
  if (add) add_frames(L, co, 0);
}

void mu_trace_push_none(lua_State *L) { push_beginning(L); }

int mu_raise_traced(lua_State *L, mu_sched *s) {
  if (s->current && !mu_is_error(L, -2, "cancelled")) keep(L, s, L, true);
  else lua_pop(L, 1);
  return mu_raise_again(L);
}

static void forget(mu_sched *s, const void *key) {
  lua_pushnil(s->root);
  lua_rawsetp(s->root, MU_ROOT_TRACES, key);
}

void mu_trace_forget_scope(mu_sched *s, const mu_task *t, const mu_scope *sc) {
  if (t->run.flags & MU_TRACED) forget(s, sc);
}

void mu_trace_end_scope(lua_State *L, mu_sched *s, const void *scope, bool failed) {
  if (!s->current || !(s->current->run.flags & MU_TRACED)) return;
  luaL_checkstack(L, 10, NULL);
  if (failed && push_record_at(L, s, scope, -1)) keep_record(L, s);
  else if (failed) forget(s, s->current);
  forget(s, scope);
}

/* ---- from task to task ---- */

int mu_raise_of_task(lua_State *L, mu_sched *s, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 8, NULL);
  mu_task_push_results(L, lua_touserdata(L, index), index);
  mu_task_push_traceback(L, index);
  if (!lua_isstring(L, -1) || !s->current) {
    lua_pop(L, 1);
    if (s->current) forget(s, s->current);
    return mu_raise_again(L);
  }
  mu_task_push(L, s, s->current);
  mu_task_push_name(L, s, -1);
  mu_site_push_line(L, s, ((mu_task *)lua_touserdata(L, index))->site);
  lua_pushfstring(L, "%s%s\nawaited by %s:", lua_tostring(L, -4), lua_tostring(L, -1), lua_tostring(L, -2));
  lua_replace(L, -5);
  lua_pop(L, 3);
  return mu_raise_traced(L, s);
}

void mu_trace_add_task(lua_State *L, mu_sched *s, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 8, NULL);
  mu_task_push_name(L, s, index);
  mu_task_push_results(L, lua_touserdata(L, index), index);
  mu_error_text(L);
  mu_task_push_traceback(L, index);
  const char *frames = lua_isstring(L, -1) ? strchr(lua_tostring(L, -1), '\n') : NULL;
  mu_site_push_line(L, s, ((mu_task *)lua_touserdata(L, index))->site);
  lua_pushfstring(L, "%s\nerror in %s: %s%s%s", lua_tostring(L, -5), lua_tostring(L, -4), lua_tostring(L, -3),
                  frames ? frames : "", lua_tostring(L, -1));
  lua_replace(L, -6);
  lua_pop(L, 4);
}

void mu_trace_forget(mu_sched *s, mu_task *t) {
  forget(s, t);
  forget(s, &t->run.flags);
  t->run.flags &= (uint16_t)~MU_TRACED;
}

/* ---- the end of a failed task ---- */

static int unseen(lua_State *L) {
  mu_sched *s = mu_sched_of(L);
  lua_getiuservalue(L, 1, 1);
  mu_task *t = lua_touserdata(L, -1);
  if (s && !s->closed && t && !(t->run.flags & MU_OBSERVED)) mu_report_failed(L, s, t, lua_gettop(L));
  return 0;
}

/* Pushes a value that, when collected together with the running task, reports it. Its index 1 in `body` is the task. */
static void push_sentinel(lua_State *L) {
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (luaL_newmetatable(L, "muster.sentinel")) {
    lua_pushcfunction(L, unseen);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
}

/* Is the error on top the one that this task, at index 1 in `body`, raised because it was cancelled? */
static bool own_cancel_error(lua_State *L, const mu_task *t) {
  if (!(t->run.flags & MU_CANCEL) || t->run.flags & MU_NOERROR) return false;
  lua_getiuservalue(L, 1, 1);
  bool own = lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return own;
}

/* Stack: record or anything, error. */
static bool is_record_of(lua_State *L) {
  if (!lua_istable(L, -2)) return false;
  lua_rawgeti(L, -2, END_ERROR);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return same;
}

void mu_pack_error(lua_State *L, mu_sched *s, mu_task *t) {
  if (own_cancel_error(L, t)) return;
  mu_push_root(s, L, MU_ROOT_TRACES);
  lua_rawgetp(L, -1, &t->run.flags);
  lua_remove(L, -2);
  lua_insert(L, -2);      /* kept, error */
  if (!is_record_of(L)) { /* no handler ran: out of memory, or someone else's cancellation */
    lua_createtable(L, END_SENTINEL, 0);
    lua_replace(L, -3);
  }
  lua_rawseti(L, -2, END_ERROR);
  if (!(t->run.flags & MU_OBSERVED)) {
    push_sentinel(L);
    lua_rawseti(L, -2, END_SENTINEL);
    mu_push_root(s, L, MU_ROOT_UNSEEN);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)++s->failures);
    lua_pop(L, 1);
  }
  t->run.flags |= MU_PACKED;
}

void mu_task_push_traceback(lua_State *L, int index) {
  mu_task *t = lua_touserdata(L, index);
  if (!t || t->run.state != MU_FAILED || !(t->run.flags & MU_PACKED)) {
    lua_pushnil(L);
    return;
  }
  lua_getiuservalue(L, index, 1);
  lua_rawgeti(L, -1, END_TRACEBACK);
  lua_remove(L, -2);
}
