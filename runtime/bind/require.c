/* require, for modules that await while they load. All else is as in the require that it replaces.
**
** Only one task at a time loads a module; another that requires it meanwhile waits in the queue of the load. When the
** module has been loaded all who wait go on; when the load ends otherwise the first of them loads it in turn. A task
** that requires what it is loading itself loads it again, as ever, and so does code outside of tasks; where the C stack
** would overflow in the end, a limit takes its place, as modules that await do not use the C stack. */
#include "bind/bind.h"
#include "sched/inspect.h"

#include <lualib.h>

/* Who loads a module. Held by the stacks of those who load or wait; the table of loads, name -> load, is weak. User
** value 1: the owner, which may have ended when a coroutine that it left behind still loads. */
typedef struct {
  mu_task *owner; /* or who was chosen to be it, or NULL */
  uint64_t turn;  /* counts the owners */
  int again;      /* loads of the owner's inside its first */
  mu_link waiters;
} load;

/* A to-be-closed variable of each require in a task. User value 1: the load. */
typedef struct {
  load *load;    /* NULL once it is closed */
  uint64_t turn; /* as owner, or 0 */
  bool loaded, again;
} claim;

enum { NAME = 1, LOADED, LOAD, CLAIM }; /* the stack of require; the last two are nil outside of tasks */
enum { UP_ORIGINAL = 2, UP_PACKAGE, UP_LOADS, UP_CLAIM };

/* ---- claims ---- */

static bool owns(const claim *c) { return c->load->owner && !c->again && c->turn == c->load->turn; }

static void own(claim *c, mu_task *t) {
  c->load->owner = t;
  c->turn = ++c->load->turn;
}

typedef struct {
  mu_queued queued;
  claim *claim;
  const char *name; /* held by the stack of who waits */
} wait_op;

static bool waits_for_owner(const mu_op *op, const mu_task *self, int *steps) {
  const mu_task *owner = ((const wait_op *)op)->claim->load->owner;
  return owner && mu_waits_for(owner, self, steps);
}

static const char *module_name(const mu_op *op) { return ((const wait_op *)op)->name; }

static void describe(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_task *owner = ((const wait_op *)op)->claim->load->owner;
  (void)s;
  if (owner) mu_describe_task(L, "loaders", owner->id);
}

static const mu_opclass wait_class = {.name = "the module",
                                      .size = sizeof(wait_op),
                                      .cancel = mu_queued_cancel,
                                      .waits_for = waits_for_owner,
                                      .which = module_name,
                                      .describe = describe};

static wait_op *first_waiter(load *l) { return (wait_op *)(void *)mu_queue_first(&l->waiters); }

static void wake_first(mu_sched *s, load *l) {
  wait_op *op = first_waiter(l);
  mu_list_remove(&op->queued.link);
  mu_fire(s, &op->queued.op);
}

/* The load of an owner has ended. A task that is chosen but cancelled before it runs closes its claim, too. */
static void disown(mu_sched *s, claim *c) {
  load *l = c->load;
  l->owner = NULL;
  l->again = 0;
  if (s->closed || mu_list_empty(&l->waiters)) return;
  if (c->loaded) {
    while (!mu_list_empty(&l->waiters)) wake_first(s, l);
  } else {
    wait_op *next = first_waiter(l);
    own(next->claim, next->queued.op.task);
    wake_first(s, l);
  }
}

/* Also a finalizer: of a coroutine that was dropped while it loaded. */
static int close_claim(lua_State *L) {
  claim *c = lua_touserdata(L, 1);
  if (!c->load) return 0;
  if (owns(c)) disown(mu_self(L), c);
  else if (c->again && c->load->again > 0 && c->turn == c->load->turn) c->load->again--;
  c->load = NULL;
  return 0;
}

/* Pushes the load of the module, and a claim to it, to be closed. */
static void push_claim(lua_State *L) {
  if (lua_getfield(L, lua_upvalueindex(UP_LOADS), lua_tostring(L, NAME)) == LUA_TNIL) {
    lua_pop(L, 1);
    load *l = lua_newuserdatauv(L, sizeof *l, 1);
    *l = (load){0};
    mu_list_init(&l->waiters);
    lua_pushvalue(L, -1);
    lua_setfield(L, lua_upvalueindex(UP_LOADS), lua_tostring(L, NAME));
  }
  claim *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (claim){.load = lua_touserdata(L, LOAD)};
  lua_pushvalue(L, LOAD);
  lua_setiuservalue(L, CLAIM, 1);
  lua_pushvalue(L, lua_upvalueindex(UP_CLAIM));
  lua_setmetatable(L, CLAIM);
  lua_toclose(L, CLAIM);
}

/* ---- loading, as in loadlib.c of Lua 5.4 ---- */

/* Pushes the loader and its data. */
static void find_loader(lua_State *L, const char *name) {
  luaL_Buffer message;
  if (lua_getfield(L, lua_upvalueindex(UP_PACKAGE), "searchers") != LUA_TTABLE)
    luaL_error(L, "'package.searchers' must be a table");
  int searchers = lua_gettop(L);
  luaL_buffinit(L, &message);
  for (lua_Integer i = 1;; i++) {
    luaL_addstring(&message, "\n\t");
    if (lua_rawgeti(L, searchers, i) == LUA_TNIL) {
      lua_pop(L, 1);
      luaL_buffsub(&message, 2);
      luaL_pushresult(&message);
      luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -1));
    }
    lua_pushstring(L, name);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2)) return;
    if (lua_isstring(L, -2)) {
      lua_pop(L, 1);
      luaL_addvalue(&message);
    } else {
      lua_pop(L, 2);
      luaL_buffsub(&message, 2);
    }
  }
}

/* Stack: ..., loader data, result of the loader -> ..., module, loader data. */
static int loaded(lua_State *L, int status, lua_KContext ctx) {
  const char *name = lua_tostring(L, NAME);
  claim *c = lua_touserdata(L, CLAIM);
  (void)status, (void)ctx;
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_setfield(L, LOADED, name);
  if (lua_getfield(L, LOADED, name) == LUA_TNIL) {
    lua_pushboolean(L, 1);
    lua_copy(L, -1, -2);
    lua_setfield(L, LOADED, name);
  }
  lua_rotate(L, -2, 1);
  if (c) c->loaded = true;
  return 2;
}

static int run_loader(lua_State *L) {
  find_loader(L, lua_tostring(L, NAME));
  lua_rotate(L, -2, 1); /* loader data, loader */
  lua_pushvalue(L, NAME);
  lua_pushvalue(L, -3);
  lua_callk(L, 2, 1, 0, loaded);
  return loaded(L, LUA_OK, 0);
}

/* ---- who loads ---- */

enum { CIRCLE_STEPS = 1000, MAX_AGAIN = 200 };

/* The running task loads the module already. */
static void load_again(lua_State *L, claim *c) {
  if (c->load->again == MAX_AGAIN)
    luaL_error(L, "circular require: module '%s' requires itself", lua_tostring(L, NAME));
  c->load->again++;
  c->turn = c->load->turn;
  c->again = true;
}

static int circle(lua_State *L, mu_sched *s, const mu_task *owner) {
  mu_task_push(L, s, owner);
  mu_task_push_name(L, s, -1);
  mu_op_push_what(L, owner->ops);
  return luaL_error(
      L, "circular require: module '%s' is being loaded by %s, which waits for %s and so for this task",
      lua_tostring(L, NAME), lua_tostring(L, -2), lua_tostring(L, -1));
}

static int woken(lua_State *L, int status, lua_KContext ctx);

static int wait_for_load(lua_State *L, mu_sched *s, claim *c) {
  int steps = CIRCLE_STEPS;
  mu_task *t = mu_enter(L, s, "require");
  if (mu_waits_for(c->load->owner, t, &steps)) return circle(L, s, c->load->owner);
  wait_op *op = mu_op_new(L, s, t, &wait_class);
  op->claim = c;
  op->name = lua_tostring(L, NAME);
  mu_list_push(&c->load->waiters, &op->queued.link);
  return mu_park(L, s, 0, woken);
}

/* Stack: name, loaded modules, load, claim. */
static int load_or_wait(lua_State *L, mu_sched *s) {
  claim *c = lua_touserdata(L, CLAIM);
  load *l = c->load;
  mu_task *t = s->current;
  if (l->owner && l->owner != t && !mu_task_ended(l->owner)) return wait_for_load(L, s, c);
  if (l->owner != t) own(c, t);
  else if (!owns(c)) load_again(L, c);
  mu_task_push(L, s, t);
  lua_setiuservalue(L, LOAD, 1);
  return run_loader(L);
}

/* The load that this one waited for has ended. */
static int woken(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  (void)status, (void)ctx;
  mu_unpark(L, s);
  lua_settop(L, CLAIM);
  lua_getfield(L, LOADED, lua_tostring(L, NAME));
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    return load_or_wait(L, s);
  }
  ((claim *)lua_touserdata(L, CLAIM))->loaded = true;
  return 1;
}

/* require(name) -> module, and what its searcher said of where it is; or only the module if it was loaded before */
static int require(lua_State *L) {
  mu_sched *s = mu_self(L);
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, NAME);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, LOADED, name);
  if (lua_toboolean(L, -1)) return 1;
  lua_settop(L, LOADED);
  if (s->current && !s->closed) {
    push_claim(L);
    return load_or_wait(L, s);
  }
  lua_settop(L, CLAIM);
  return run_loader(L);
}

/* ---- set-up ---- */

/* Pushes the global require and the library's table if it is the function of the package library; nothing otherwise. */
static bool push_stock(lua_State *L) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getglobal(L, "require") == LUA_TFUNCTION && lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1)) {
    lua_getfield(L, top + 1, LUA_LOADLIBNAME);
    if (lua_istable(L, -1) && lua_rawequal(L, -1, -2)) {
      lua_pop(L, 1);
      lua_remove(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  return false;
}

static void push_weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void mu_bind_require(lua_State *L, int s) {
  static const luaL_Reg claims[] = {{"__close", close_claim}, {"__gc", close_claim}, {NULL, NULL}};
  lua_pushvalue(L, s);
  if (push_stock(L)) {
    push_weak_table(L);
    mu_class(L, s, "muster.load", claims);
    lua_pushcclosure(L, require, UP_CLAIM);
    lua_setglobal(L, "require");
  } else {
    lua_pop(L, 1);
  }
}

void mu_unbind_require(lua_State *L) {
  lua_getglobal(L, "require");
  if (lua_tocfunction(L, -1) == require && lua_getupvalue(L, -1, UP_ORIGINAL)) lua_setglobal(L, "require");
  lua_pop(L, 1);
}
