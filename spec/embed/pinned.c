/* A host with a C module as others write them: it calls back into Lua by lua_call, lua_pcall and coroutines of its own,
** and has never heard of tasks. What it calls may wait, and comes back to it when the wait is over. */
#include "../support/script.h"

#include <lualib.h>
#include <pthread.h>

/* ---- the module ---- */

/* call(fn, ...) -> what fn returns; each call notes where it is on the C stack. */
static int module_call(lua_State *L) {
  volatile char note[256];
  memset((char *)note, lua_gettop(L), sizeof note);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  for (size_t i = 1; i < sizeof note; i++) CHECK(note[i] == note[0]);
  return lua_gettop(L);
}

/* try(fn, ...) -> as pcall, but Lua cannot yield across it */
static int module_try(lua_State *L) {
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* collect(fn) -> the list of what fn yields, run as a coroutine of the module's own, and returns */
static int module_collect(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_newtable(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  for (;;) {
    int n, status = lua_resume(co, L, 0, &n);
    if (status != LUA_OK && status != LUA_YIELD) {
      lua_xmove(co, L, 1);
      return lua_error(L);
    }
    lua_Integer length = (lua_Integer)lua_rawlen(L, 3);
    for (lua_xmove(co, L, n); n > 0; n--) lua_rawseti(L, 3, length + n);
    if (status == LUA_OK) return 1;
  }
}

/* deep(levels, fn) -> what fn returns, called so many C functions down */
static int module_deep(lua_State *L) {
  lua_Integer levels = luaL_checkinteger(L, 1);
  if (levels <= 0) {
    lua_call(L, 0, 1);
    return 1;
  }
  lua_pushcfunction(L, module_deep);
  lua_pushinteger(L, levels - 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  return 1;
}

/* operate(a, b) -> a == b, a < b, #a, -a, a.key, a as text: all through their metamethods. Not a .. b: Lua 5.4.4 loses
** its place if the Lua stack grows in a __concat, whether it waits or not. */
static int module_operate(lua_State *L) {
  lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPEQ));
  lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
  lua_len(L, 1);
  lua_pushvalue(L, 1);
  lua_arith(L, LUA_OPUNM);
  lua_getfield(L, 1, "key");
  luaL_tolstring(L, 1, NULL);
  return 6;
}

/* in_main(fn): what a careless module does: it calls back in the main state */
static int module_in_main(lua_State *L) {
  lua_State *main = muster_state(muster_of(L));
  lua_xmove(L, main, 1);
  int status = lua_pcall(main, 0, 0, 0);
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(main, L, 1);
  return 2;
}

static const luaL_Reg module[] = {
    {"call", module_call}, {"try", module_try},         {"collect", module_collect},
    {"deep", module_deep}, {"operate", module_operate}, {"in_main", module_in_main},
    {NULL, NULL}};

static void add_module(muster *m) {
  lua_State *L = muster_state(m);
  luaL_newlib(L, module);
  lua_setglobal(L, "module");
  CHECK(luaL_dostring(L, "async = require 'muster'") == LUA_OK);
  lua_settop(L, 0);
}

static muster *open_with(const muster_config *config) {
  muster *m = muster_new(config);
  CHECK(m != NULL);
  add_module(m);
  return m;
}

static muster *open_virtual(void) { return open_with(&(muster_config){.virtual_time = true}); }

static void end(muster *m) {
  check_idle(m);
  muster_close(m);
}

static void run_and_end(const char *code) {
  muster *m = open_virtual();
  run_script(m, code);
  end(m);
}

/* ---- calling back ---- */

static void calls(void) {
  run_and_end("local function wait(...) async.sleep(1) return ... end\n"
              "assert(select('#', module.call(wait, nil, 2, nil)) == 3)\n"
              "assert(module.call(module.call, module.call, wait, 'deep') == 'deep')\n"
              "assert(module.deep(150, wait) == nil)\n"
              "local list = async.gather {function() return module.call(wait, 1) end,\n"
              "  function() return module.deep(50, function() return module.call(wait, 2) end) end}\n"
              "assert(list[1] == 1 and list[2] == 2)");
}

static void errors(void) {
  run_and_end("local object = {}\n"
              "local function fail() async.sleep(1) error(object) end\n"
              "for _, fn in ipairs {module.call, module.collect, function(f) module.deep(20, f) end} do\n"
              "  local ok, err = pcall(fn, fail)\n"
              "  assert(not ok and err == object)\n"
              "  ok, err = module.try(fn, fail)\n"
              "  assert(not ok and err == object)\n"
              "  ok, err = async.spawn(fn, fail):pawait()\n"
              "  assert(not ok and err == object)\n"
              "end\n"
              "async.sleep(1)");
}

/* The module catches a cancellation like any error, and so meets it again at the next wait. */
static void cancellation(void) {
  run_and_end("local log = {}\n"
              "local function note(x) log[#log + 1] = x end\n"
              "local t = async.spawn(function()\n"
              "  local _ <close> = setmetatable({}, {__close = function() note 'closed' end})\n"
              "  local ok, err = module.try(module.deep, 9, function() async.sleep(100) end)\n"
              "  note(ok) note(async.is_cancelled(err))\n"
              "  module.call(async.sleep, 100)\n"
              "  note 'not reached'\n"
              "end)\n"
              "async.sleep(1)\n"
              "t:cancel()\n"
              "assert(not t:pawait() and t:status() == 'cancelled')\n"
              "assert(log[1] == false and log[2] == true and log[3] == 'closed' and #log == 3)\n"
              "assert(async.move_on_after(2, module.call, async.sleep, 100) == false)\n"
              "assert(module.call(async.move_on_after, 2, async.sleep, 100) == false)");
}

static void own_coroutines(void) {
  run_and_end("local function generate()\n"
              "  for i = 1, 3 do\n"
              "    async.sleep(1)\n"
              "    coroutine.yield(i)\n"
              "    string.gsub('x', 'x', function() async.sleep(1) end)\n"
              "  end\n"
              "  for i in coroutine.wrap(function() async.sleep(1) coroutine.yield(4) end) do "
              "coroutine.yield(i) end\n"
              "  return 5\n"
              "end\n"
              "local function check(list)\n"
              "  assert(#list == 5)\n"
              "  for i = 1, 5 do assert(list[i] == i) end\n"
              "end\n"
              "check(module.collect(generate))\n"
              "for _, list in ipairs(async.map({1, 2, 3}, function() return module.collect(generate) end)) "
              "do check(list) end\n"
              "check(module.collect(function() return table.unpack(module.collect(generate)) end))");
}

static void operations(void) {
  run_and_end(
      "local function later(x) return function() async.sleep(1) return x end end\n"
      "local meta = {__eq = later(true), __lt = later(true), __len = later(7), __concat = later('ab'),\n"
      "  __unm = later(-1), __index = later('value'), __tostring = later('text')}\n"
      "local function object() return setmetatable({}, meta) end\n"
      "local eq, lt, len, neg, key, text = module.operate(object(), object())\n"
      "assert(eq == true and lt == true and len == 7 and neg == -1)\n"
      "assert(key == 'value' and text == 'text')");
}

static void main_state(void) {
  run_and_end(
      "local ok, err = module.in_main(function() async.sleep(1) end)\n"
      "assert(not ok and err:find 'cannot wait for sleep in a callback that runs in the main state', err)\n"
      "assert(module.in_main(function() async.spawn(async.sleep, 1) end))\n"
      "async.sleep(2)");
}

/* ---- driving the loop ---- */

static const char three[] =
    "done = 0\n"
    "for i = 1, 3 do\n"
    "  async.spawn(module.call, function() async.sleep(i * 0.001) done = done + 1 end)\n"
    "end";

static lua_Integer global_integer(muster *m, const char *name) {
  lua_State *L = muster_state(m);
  lua_getglobal(L, name);
  lua_Integer value = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

static void step_by_step(void) {
  muster *m = open_with(NULL);
  muster_task_release(spawn_script(m, three));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_stats_t stats;
  muster_stats(m, &stats);
  CHECK(stats.alive == 3 && stats.stacks == 4);
  while (muster_run(m, MUSTER_RUN_ONCE) == 1) CHECK(global_integer(m, "done") < 3);
  CHECK(global_integer(m, "done") == 3);
  end(m);
}

/* The host uses the state as it likes while tasks are pinned. */
static void state_in_between(void) {
  muster *m = open_with(NULL);
  lua_State *L = muster_state(m);
  muster_task_release(spawn_script(m, three));
  int left;
  do {
    left = muster_run(m, MUSTER_RUN_NOWAIT);
    CHECK(lua_gettop(L) == 0);
    CHECK(luaL_dostring(L, "local t = {} for i = 1, 1000 do t[i] = {tostring(i)} end\n"
                           "assert(not pcall(async.sleep, 1))\n"
                           "assert(not pcall(string.gsub, 'x', 'x', function() async.sleep(1) end))\n"
                           "collectgarbage() return 42") == LUA_OK);
    CHECK(lua_tointeger(L, -1) == 42);
    lua_settop(L, 0);
  } while (left == 1);
  end(m);
}

static int drive(lua_State *L) {
  muster *m = muster_of(L);
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  return 0;
}

/* From a coroutine of the host's, deep in Lua and C; and the next time from elsewhere. */
static void from_a_coroutine(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  muster *m = open_with(&(muster_config){.state = L});
  lua_register(L, "drive", drive);
  muster_task_release(spawn_script(m, three));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(luaL_dostring(L, "coroutine.wrap(function()\n"
                         "  local function down(n) if n == 0 then drive() else pcall(down, n - 1) end end\n"
                         "  table.sort({1, 2}, function() down(150) end)\n"
                         "end)()") == LUA_OK);
  CHECK(global_integer(m, "done") == 3);
  muster_task_release(spawn_script(m, three));
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(global_integer(m, "done") == 3);
  end(m);
  lua_close(L);
}

/* ---- from within ---- */

static int spawn_here(lua_State *L) {
  muster_task *t = muster_spawn(L, lua_gettop(L) - 1);
  CHECK(t != NULL);
  muster_task_release(t);
  CHECK(muster_run(muster_of(L), MUSTER_RUN_NOWAIT) == MUSTER_EBUSY);
  CHECK(muster_shutdown(muster_of(L)) == MUSTER_EBUSY);
  return 0;
}

static void wake_posted(muster *m, void *op) {
  lua_pushliteral(muster_op_stack(op), "posted");
  (void)m;
  muster_wake(op, 1);
}

static int post_here(lua_State *L) {
  muster_op *op = muster_suspend(L, NULL, NULL);
  CHECK(muster_post(muster_of(L), wake_posted, op) == MUSTER_OK);
  return muster_await(L, op);
}

static void fail_posted(muster *m, void *op) {
  (void)m;
  muster_fail(op, "kind", "failed outside");
}

static int fail_here(lua_State *L) {
  muster_op *op = muster_suspend(L, NULL, NULL);
  CHECK(muster_post(muster_of(L), fail_posted, op) == MUSTER_OK);
  return muster_await(L, op);
}

static void within(void) {
  muster *m = open_with(NULL);
  lua_register(muster_state(m), "spawn_here", spawn_here);
  lua_register(muster_state(m), "post_here", post_here);
  lua_register(muster_state(m), "fail_here", fail_here);
  run_script(m,
             "local seen\n"
             "module.call(function()\n"
             "  async.yield()\n"
             "  spawn_here(function(x) module.call(async.yield) seen = x end, 'argument')\n"
             "  assert(post_here() == 'posted')\n"
             "  assert(select('#', post_here()) == 1)\n"
             "  local ok, err = module.try(fail_here)\n"
             "  assert(not ok and err.kind == 'kind' and err.message == 'failed outside')\n"
             "end)\n"
             "while not seen do async.yield() end\n"
             "assert(seen == 'argument')\n"
             "for _, s in ipairs(async.map({1, 2, 3}, function() return (module.call(post_here)) end)) do\n"
             "  assert(s == 'posted')\n"
             "end");
  end(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"pinned: calls back", calls},
      {"pinned: errors pass through", errors},
      {"pinned: cancellation passes through", cancellation},
      {"pinned: coroutines of the module's own", own_coroutines},
      {"pinned: metamethods called from C", operations},
      {"pinned: a callback in the main state is refused", main_state},
      {"pinned: step by step", step_by_step},
      {"pinned: the host uses the state in between", state_in_between},
      {"pinned: run from a coroutine", from_a_coroutine},
      {"pinned: spawning, posting and native operations from within", within},
      {NULL, NULL},
  };
  return run_cases(cases);
}
