/* A runtime on a lua_State that the host made, and that lives on after the runtime has been closed. */
#include "../support/script.h"

#include <lualib.h>

/* ---- states of the host ---- */

/* With some of the standard libraries, named as by luaL_requiref; NULL ends the list. */
static lua_State *new_state(const luaL_Reg *libraries) {
  lua_State *L = luaL_newstate();
  CHECK(L != NULL);
  for (; libraries->func; libraries++) {
    luaL_requiref(L, libraries->name, libraries->func, 1);
    lua_pop(L, 1);
  }
  return L;
}

static lua_State *full_state(void) {
  lua_State *L = luaL_newstate();
  CHECK(L != NULL);
  luaL_openlibs(L);
  return L;
}

static muster *open_on(lua_State *L) {
  int top = lua_gettop(L);
  muster *m = muster_new(&(muster_config){.state = L});
  CHECK(m != NULL);
  CHECK(muster_state(m) == L && muster_of(L) == m);
  CHECK(lua_gettop(L) == top);
  return m;
}

/* The state and what lies on its stack stay. */
static void close_on(muster *m) {
  lua_State *L = muster_state(m);
  int top = lua_gettop(L);
  muster_close(m);
  CHECK(lua_gettop(L) == top);
  CHECK(muster_of(L) == NULL);
}

static void run_plainly(lua_State *L, const char *code) {
  if (luaL_dostring(L, code) == LUA_OK) return;
  printf("not ok: %s\n", lua_tostring(L, -1));
  exit(1);
}

/* ---- with every library, with some, with none ---- */

static void lives_on(void) {
  lua_State *L = full_state();
  run_plainly(L, "before = 'kept' t = setmetatable({}, {__gc = function() collected = true end})");
  muster *m = open_on(L);
  run_script(m, "local async = require 'muster' async.sleep(0.001) assert(before == 'kept') during = 'made'");
  close_on(m);
  run_plainly(L, "assert(before == 'kept' and during == 'made')\n"
                 "t = nil collectgarbage() assert(collected)\n"
                 "local co = coroutine.wrap(function(a) return coroutine.yield(a + 1) end)\n"
                 "assert(co(1) == 2 and co('end') == 'end')\n"
                 "assert(coroutine.running())");
  lua_close(L);
}

/* nap(name): a native async function that anybody can write on top of a posted function. */
static void wake(muster *m, void *op) {
  (void)m;
  muster_wake(op, 0);
}

static int nap(lua_State *L) {
  muster_op *op = muster_suspend(L, NULL, NULL);
  CHECK(muster_post(muster_of(L), wake, op) == MUSTER_OK);
  return muster_await(L, op);
}

static int napped(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_pushliteral(L, "woken");
  return 1;
}

/* A task need not be Lua at all. */
static int c_task(lua_State *L) {
  lua_pushcfunction(L, nap);
  lua_callk(L, 0, 0, 0, napped);
  return napped(L, LUA_OK, 0);
}

static void bare(void) {
  lua_State *L = new_state((luaL_Reg[]){{NULL, NULL}});
  muster *m = open_on(L);
  lua_pushcfunction(L, c_task);
  muster_task *t = muster_spawn(L, 0);
  CHECK(t != NULL && lua_gettop(L) == 0);
  CHECK(muster_run_task(m, t) == 0);
  CHECK(muster_task_results(t, L) == 1);
  CHECK(strcmp(lua_tostring(L, -1), "woken") == 0);
  muster_task_release(t);
  close_on(m);
  lua_close(L);
}

static void without_package(void) {
  lua_State *L = new_state((luaL_Reg[]){{"_G", luaopen_base}, {"string", luaopen_string}, {NULL, NULL}});
  muster *m = open_on(L);
  lua_register(L, "nap", nap);
  run_script(m, "assert(require == nil and coroutine == nil)\n"
                "for i = 1, 3 do nap() end\n"
                "assert(pcall(nap))\n"
                "assert(('x'):rep(3) == 'xxx')");
  close_on(m);
  lua_close(L);
}

static void without_coroutine(void) {
  lua_State *L = new_state((luaL_Reg[]){{"_G", luaopen_base},
                                        {"package", luaopen_package},
                                        {"table", luaopen_table},
                                        {"string", luaopen_string},
                                        {"math", luaopen_math},
                                        {NULL, NULL}});
  muster *m = open_on(L);
  run_script(
      m, "local async = require 'muster'\n"
         "local list = async.gather {function() async.sleep(0.001) return 1 end, function() return 2 end}\n"
         "assert(coroutine == nil and list[1] == 1 and list[2] == 2)\n"
         "assert(require 'lpeg' and require 'cjson' and require 'luv')");
  close_on(m);
  lua_close(L);
}

/* A state has its require back, and one that a script kept goes on as stock, also when it was amid loads. */
static void require_is_put_back(void) {
  lua_State *L = full_state();
  run_plainly(L, "stock = require");
  muster *m = open_on(L);
  run_script(m, "local async = require 'muster' ours = require assert(ours ~= stock)\n"
                "package.preload.slow = function() async.sleep(1000) end\n"
                "for i = 1, 3 do async.spawn(require, 'slow'):daemon() end\n"
                "async.yield() async.yield()");
  close_on(m);
  run_plainly(L, "assert(require == stock and not package.loaded.slow)\n"
                 "package.preload.slow = function(name) return name end\n"
                 "assert(ours 'slow' == 'slow' and ours 'slow' == require 'slow')\n"
                 "package.preload.m = function(name) return name .. ' loaded' end\n"
                 "assert(coroutine.wrap(ours)('m') == 'm loaded')\n"
                 "assert(not pcall(ours, 'none') and not pcall(ours))\n"
                 "collectgarbage()");
  close_on(open_on(L));
  run_plainly(L, "assert(require == stock)");
  run_plainly(L, "function require(name) return name end mine = require");
  m = open_on(L); /* a function of the host's own stays */
  run_script(m, "assert(require == mine)");
  close_on(m);
  run_plainly(L, "assert(require == mine)");
  lua_close(L);
}

/* ---- after the end ---- */

/* What a script may still hold when its runtime is gone. */
static const char collect[] =
    "async, uv, host, test = require 'muster', require 'luv', require 'muster.host', require 'muster.test'\n"
    "sem, lock, event, barrier, ch = async.semaphore(1), async.lock(), async.event(), async.barrier(2), "
    "async.channel(1)\n"
    "cond, iter = async.condition(lock), ch:iter()\n"
    "permit, taken = sem:acquire(), lock:acquire()\n"
    "done, failed = async.spawn(function() return 1 end), async.spawn(function() error 'x' end)\n"
    "done:await() failed:pawait()\n"
    "fn = async(function() async.sleep(1) end)\n"
    "fresh, asleep, waiting = fn(), async.spawn(async.sleep, 3600), async.spawn(function() ch:recv() end)\n"
    "asked, resume = async.spawn(async.suspend, function(r) resume = r end), nil\n"
    "queued = async.spawn(function() sem:acquire() end)\n"
    "inner = async.spawn(function() local g <close> = async.group() group = g g:spawn(async.sleep, 60) end)\n"
    "stream, state, _, closer = async.stream({1, 2, 3}, function(x) async.sleep(60) return x end)\n"
    "next_one, join, _, join_closer = async.as_completed {asleep}\n"
    "timer = uv.new_timer() timer:start(1000, 0, function() end)\n"
    "async.yield() async.yield()\n";

/* Every suspending call says that the runtime is closed. */
static const char probe_suspending[] =
    "local calls = {\n"
    "  sleep = function() async.sleep(0) end, yield = async.yield,\n"
    "  await = function() async.await(fresh) end, await_fn = function() async.await(print) end,\n"
    "  method = function() asleep:await() end, pawait = function() asleep:pawait() end,\n"
    "  spawn = function() async.spawn(print) end, start = function() async.spawn(fresh) end,\n"
    "  run = function() async.run(print) end, gather = function() async.gather {fresh} end,\n"
    "  as_completed = function() async.as_completed {fresh} end, next = function() next_one(join) end,\n"
    "  group = async.group, group_spawn = function() group:spawn(print) end,\n"
    "  map = function() async.map({1}, print) end, stream = function() async.stream({1}, print) end,\n"
    "  item = function() stream(state) end, first = function() async.first {print} end,\n"
    "  wait = function() async.wait {print} end, settled = function() async.gather_settled {print} end,\n"
    "  timeout = function() async.timeout(1, print) end, move_on = function() async.move_on_after(1, print) "
    "end,\n"
    "  shield = function() async.shield(print) end, suspend = function() async.suspend(print) end,\n"
    "  acquire = function() sem:acquire() end, with = function() sem:with(print) end,\n"
    "  lock = function() lock:acquire() end, event = function() event:wait() end,\n"
    "  cond = function() cond:wait() end, barrier = function() barrier:wait() end,\n"
    "  send = function() ch:send(1) end, recv = function() ch:recv() end, iter = iter,\n"
    "  select = function() async.select {ch, timeout = 1} end,\n"
    "}\n"
    "for name, call in pairs(calls) do\n"
    "  local ok, err = pcall(call)\n"
    "  if ok or not tostring(err):find('closed', 1, true) then error(name .. ': ' .. tostring(err)) end\n"
    "end";

/* The others may work or raise, but must not crash. */
static const char probe_rest[] =
    "local calls = {\n"
    "  function() assert(done:status() == 'done' and failed:status() == 'failed') end,\n"
    "  function() assert(asleep:status() == 'cancelled' and fresh:status() == 'created') end,\n"
    "  function() assert(asleep:cancel() == false and fresh:cancel() == false) end,\n"
    "  function() return asleep:traceback(), failed:traceback() end,\n"
    "  function() asleep.name = 'x' return tostring(asleep) .. tostring(fresh) end,\n"
    "  function() assert(async.current() == nil and #async.tasks() == 0) end,\n"
    "  function() permit:release() end, function() taken:release() end,\n"
    "  function() return sem:try_acquire(), sem:available() end,\n"
    "  function() sem:release() end, function() lock:try_acquire() end,\n"
    "  function() event:set() event:clear() return event:is_set() end, function() cond:notify_all() end,\n"
    "  function() return barrier:waiting() end,\n"
    "  function() return ch:try_send(1), ch:try_recv(), #ch end, function() ch:close() end,\n"
    "  function() resume(1) end, function() group:cancel() end, function() group:close() end,\n"
    "  function() getmetatable(closer).__close(closer) end, function() join_closer:close() end,\n"
    "  function() return fn() end, function() return async(print) end, function() return async.now() end,\n"
    "  function() async.semaphore(1) async.channel() async.event() async.lock() end,\n"
    "  function() return host.stats() end, function() return host.report() end,\n"
    "  function() return test.virtual(print)() end, function() return test.seeded(1, print)() end,\n"
    "  function() return async.is_cancelled(1), async.is_task(asleep) end,\n"
    "}\n"
    "for i = 1, #calls do pcall(calls[i]) collectgarbage() end\n"
    "calls[1]() calls[2]() calls[3]() calls[6]()";

/* libuv has lost its loop, and may say so. */
static const char probe_luv[] =
    "local calls = {\n"
    "  function() timer:stop() end, function() timer:close() end,\n"
    "  function() return uv.now(), uv.hrtime() end,\n"
    "  function() local t = uv.new_timer() t:start(1, 0, function() end) end,\n"
    "  function() return uv.fs_stat '/' end, function() uv.fs_stat('/', function() end) end,\n"
    "  function() uv.walk(function() end) end, function() return uv.loop_alive() end,\n"
    "  function() uv.run 'nowait' end,\n"
    "}\n"
    "for i = 1, #calls do pcall(calls[i]) collectgarbage() end";

static void after_close(const char *probe) {
  lua_State *L = full_state();
  muster *m = muster_new(&(muster_config){.state = L, .report = NULL});
  CHECK(m != NULL);
  muster_task *t = spawn_script(m, collect);
  CHECK(muster_run_task(m, t) == 0);
  check_done(t, L);
  muster_task_release(t);
  close_on(m);
  run_plainly(L, probe);
  run_plainly(L, "collectgarbage() collectgarbage()");
  lua_close(L);
}

static void suspending_calls_raise(void) { after_close(probe_suspending); }
static void other_calls_are_harmless(void) { after_close(probe_rest); }
static void luv_is_harmless(void) { after_close(probe_luv); }

static void native_calls_raise(void) {
  lua_State *L = full_state();
  close_on(open_on(L));
  lua_pushcfunction(L, nap);
  CHECK(lua_pcall(L, 0, 0, 0) == LUA_ERRRUN && error_says(L, -1, "no runtime"));
  lua_settop(L, 0);
  lua_pushcfunction(L, nap);
  CHECK(muster_spawn(L, 0) == NULL && lua_gettop(L) == 0);
  lua_close(L);
}

/* ---- another one ---- */

static void one_after_another(void) {
  lua_State *L = full_state();
  for (int i = 0; i < 3; i++) {
    muster *m = open_on(L);
    lua_pushinteger(L, i);
    lua_setglobal(L, "i");
    run_script(m, "local async = require 'muster'\n"
                  "local v = async.gather {function() async.sleep(0.001) return i end}\n"
                  "assert(v[1] == i)\n"
                  "local ok = old and pcall(old)\n"
                  "assert(not ok)\n" /* functions of a closed runtime stay closed */
                  "old = async.yield\n"
                  "local uv = require 'luv'\n"
                  "local timer = uv.new_timer()\n"
                  "async.suspend(function(resume) timer:start(1, 0, resume) end)\n"
                  "timer:close()");
    close_on(m);
  }
  lua_close(L);
}

static void only_one_at_a_time(void) {
  lua_State *L = full_state();
  muster *m = open_on(L);
  CHECK(muster_new(&(muster_config){.state = L}) == NULL);
  CHECK(muster_of(L) == m && lua_gettop(L) == 0);
  run_script(m, "require('muster').sleep(0)");
  close_on(m);
  lua_close(L);
}

/* Opening and closing again and again leaves nothing behind in the state. */
static void leaves_nothing(void) {
  lua_State *L = full_state();
  int first = 0, last = 0;
  for (int i = 0; i < 40; i++) {
    muster *m = open_on(L);
    run_script(m, "require('muster').sleep(0)");
    close_on(m);
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT);
    last = lua_gc(L, LUA_GCCOUNT);
    if (i == 9) first = last;
  }
  if (last > first + 8) printf("%d KB, and %d KB after 30 more\n", first, last);
  CHECK(last <= first + 8);
  lua_close(L);
}

int main(void) {
  static const spec_case cases[] = {
      {"foreign state: lives on after the runtime", lives_on},
      {"foreign state: without any library", bare},
      {"foreign state: without package", without_package},
      {"foreign state: without coroutine", without_coroutine},
      {"foreign state: require is put back", require_is_put_back},
      {"foreign state: suspending calls raise after the end", suspending_calls_raise},
      {"foreign state: other calls are harmless after the end", other_calls_are_harmless},
      {"foreign state: native async functions raise after the end", native_calls_raise},
      {"foreign state: one runtime after another", one_after_another},
      {"foreign state: one at a time", only_one_at_a_time},
      {"foreign state: luv is harmless after the end", luv_is_harmless},
      {"foreign state: leaves nothing behind", leaves_nothing},
      {NULL, NULL},
  };
  return run_cases(cases);
}
