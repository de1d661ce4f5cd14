/* How runtimes end while tasks wait inside C functions; two runtimes; and the limit of such tasks. */
#include "../support/script.h"

#include <lualib.h>
#include <pthread.h>

static const char prelude[] =
    "async = require 'muster'\n"
    "log = {}\n"
    "function note(...) log[#log + 1] = table.concat({...}, ' ') end\n"
    "function closing(...)\n"
    "  local words = {...}\n"
    "  return setmetatable({}, {__close = function() note(table.unpack(words)) end})\n"
    "end\n"
    "function pin(fn, ...)\n"
    "  local arguments, results = table.pack(...), nil\n"
    "  string.gsub('x', 'x', function()\n"
    "    results = table.pack(fn(table.unpack(arguments, 1, arguments.n)))\n"
    "  end)\n"
    "  return table.unpack(results, 1, results.n)\n"
    "end\n";

static void prepare(muster *m) {
  lua_State *L = muster_state(m);
  if (luaL_dostring(L, prelude) == LUA_OK) return;
  printf("not ok: %s\n", lua_tostring(L, -1));
  exit(1);
}

static muster *open_with(const muster_config *config) {
  muster *m = muster_new(config);
  CHECK(m != NULL);
  prepare(m);
  return m;
}

/* On a state that is looked at after the runtime has been closed. */
static muster *open_on(lua_State **L) {
  *L = luaL_newstate();
  luaL_openlibs(*L);
  return open_with(&(muster_config){.state = *L, .virtual_time = true});
}

/* Spawns a script, and runs it for a step. */
static void begin(muster *m, const char *code) {
  muster_task_release(spawn_script(m, code));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
}

static void check_log(lua_State *L, const char *expected) {
  CHECK(luaL_dostring(L, "return table.concat(log, ', ')") == LUA_OK);
  if (strcmp(lua_tostring(L, -1), expected) != 0) printf("the log is: %s\n", lua_tostring(L, -1));
  CHECK(strcmp(lua_tostring(L, -1), expected) == 0);
  lua_pop(L, 1);
}

/* ---- ends ---- */

/* Closes while the script waits; what was noted by then is left in the state. */
static void close_amid(const char *code, const char *expected) {
  lua_State *L;
  muster *m = open_on(&L);
  begin(m, code);
  muster_close(m);
  check_log(L, expected);
  CHECK(luaL_dostring(L, "collectgarbage()") == LUA_OK);
  lua_close(L);
}

static void closes(void) {
  close_amid("local _ <close> = closing 'outer'\n"
             "pin(function()\n"
             "  local _ <close> = closing 'inner'\n"
             "  async.sleep(1)\n"
             "  note 'not reached'\n"
             "end)\n"
             "note 'not reached'",
             "inner, outer");
}

static void closes_ready_ones(void) {
  close_amid(
      "local event = async.event()\n"
      "for i = 1, 3 do\n"
      "  async.spawn(function()\n"
      "    local _ <close> = closing('task', i)\n"
      "    pin(event.wait, event)\n"
      "  end)\n"
      "end\n"
      "async.spawn(function() for i = 1, 5000 do async.yield() if i == 3 then event:set() end end end)\n"
      "local _ <close> = closing 'main'\n"
      "pin(function() while true do async.yield() if event:is_set() then async.sleep(1) end end end)",
      "task 1, task 2, task 3, main");
}

static void closes_coroutines(void) {
  close_amid("pin(coroutine.wrap(function()\n"
             "  local _ <close> = closing 'first'\n"
             "  pin(coroutine.wrap(function()\n"
             "    local _ <close> = closing 'second'\n"
             "    async.sleep(1)\n"
             "  end))\n"
             "end))",
             "second, first");
}

/* A __close may wait no more, and may fail. */
static void closes_roughly(void) {
  close_amid("local _ <close> = setmetatable({}, {__close = function()\n"
             "  note('sleeps', tostring(pcall(pin, async.sleep, 1)))\n"
             "  note('sleeps', tostring(pcall(async.sleep, 1)))\n"
             "  error 'at the end'\n"
             "end})\n"
             "table.sort({3, 2, 1}, function() async.sleep(1) end)",
             "sleeps false, sleeps false");
}

static void closes_many(void) {
  lua_State *L;
  muster *m = open_on(&L);
  begin(
      m,
      "n = 0\n"
      "for i = 1, 200 do\n"
      "  async.spawn(function()\n"
      "    local _ <close> = setmetatable({}, {__close = function() n = n + 1 end})\n"
      "    if i % 3 == 0 then tostring(setmetatable({}, {__tostring = function() async.sleep(i) end})) end\n"
      "    if i % 3 == 1 then table.sort({1, 2, 3}, function() pin(async.yield) async.sleep(i) end) end\n"
      "    load(function() async.sleep(i) end)\n"
      "  end)\n"
      "end\n"
      "async.sleep(100)");
  muster_close(m);
  CHECK(luaL_dostring(L, "assert(n == 200)") == LUA_OK);
  lua_close(L);
}

static void shuts_down(void) {
  muster *m = open_with(&(muster_config){.virtual_time = true});
  begin(m, "for i = 1, 3 do\n"
           "  async.spawn(pin, function()\n"
           "    local _ <close> = setmetatable({}, {__close = function()\n"
           "      async.shield(pin, async.sleep, 4 - i)\n"
           "      note('task', i)\n"
           "    end})\n"
           "    async.sleep(100)\n"
           "  end)\n"
           "end\n"
           "pin(async.sleep, 100)");
  CHECK(muster_shutdown(m) == 0);
  check_log(muster_state(m), "task 3, task 2, task 1");
  check_idle(m);
  muster_close(m);
}

static void hush(void *data, const char *text, size_t length) { (void)data, (void)text, (void)length; }

static void deadlocked(void) {
  muster *m = open_with(&(muster_config){.virtual_time = true, .report = hush});
  muster_task *t = spawn_script(m, "local channel = async.channel() pin(channel.recv, channel)");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == MUSTER_EDEADLOCK);
  CHECK(muster_task_cancel(t, NULL));
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  muster_task_release(t);
  check_idle(m);
  muster_close(m);
}

/* ---- two runtimes ---- */

/* inner(levels): a runtime inside a task of another, inside a task of another, … */
static int inner(lua_State *L) {
  lua_Integer levels = luaL_checkinteger(L, 1);
  if (levels == 0) return 0;
  muster *m = open_with(&(muster_config){.virtual_time = true});
  lua_register(muster_state(m), "inner", inner);
  lua_pushinteger(muster_state(m), levels - 1);
  lua_setglobal(muster_state(m), "levels");
  run_script(m, "async.gather {\n"
                "  function() pin(async.sleep, 1) pin(inner, levels) pin(async.sleep, 2) end,\n"
                "  function() pin(async.sleep, 2) pin(async.sleep, 1) end,\n"
                "}");
  check_idle(m);
  muster_close(m);
  return 0;
}

static void one_inside_the_other(void) {
  muster *m = open_with(&(muster_config){.virtual_time = true});
  lua_register(muster_state(m), "inner", inner);
  run_script(m, "async.gather {function() pin(inner, 5) end, function() pin(async.sleep, 1) end}");
  check_idle(m);
  muster_close(m);
}

static void in_turns(void) {
  static const char code[] =
      "async.spawn(function() for i = 1, 20 do pin(async.yield) async.yield() end end)\n"
      "for i = 1, 20 do pin(pin, async.yield) end";
  muster *m[2] = {open_with(NULL), open_with(NULL)};
  for (int i = 0; i < 2; i++) muster_task_release(spawn_script(m[i], code));
  while (muster_run(m[0], MUSTER_RUN_NOWAIT) + muster_run(m[1], MUSTER_RUN_NOWAIT) > 0) continue;
  for (int i = 0; i < 2; i++) {
    check_idle(m[i]);
    muster_close(m[i]);
  }
}

static void *on_a_thread(void *data) {
  (void)data;
  muster *m = open_with(NULL);
  run_script(m, "async.gather(async.map({1, 2, 3, 4, 5}, function(i)\n"
                "  for k = 1, 200 do pin(async.yield) table.sort({3, 2, 1}, function(a, b) async.yield() "
                "return a < b end) end\n"
                "  return async(math.abs)(i)\n"
                "end))");
  check_idle(m);
  muster_close(m);
  return NULL;
}

static void on_threads(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, on_a_thread, NULL) == 0);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

/* ---- the limit ---- */

/* All ways to wait, and what tells whether one of them has had an effect. Only async.wait has: it starts its tasks. */
static const char ways[] =
    "local lock, channel, semaphore = async.lock(), async.channel(), async.semaphore(1)\n"
    "local condition, barrier, permit = async.condition(lock), async.barrier(2), semaphore:acquire()\n"
    "local ran = false\n"
    "local function task() ran = true end\n"
    "local made = async(task)()\n"
    "local function drain(next, ...) for _ in next, ... do end end\n"
    "return {\n"
    "  sleep = function() async.sleep(1) end, yield = async.yield,\n"
    "  await = function() async.await(made) end, call = function() async.await(task) end,\n"
    "  gather = function() async.gather {task, task} end, settled = function() async.gather_settled {task} "
    "end,\n"
    "  first = function() async.first {task} end, wait = function() async.wait {function() end} end,\n"
    "  completed = function() for _ in async.as_completed {task, task} do ran = true end end,\n"
    "  map = function() async.map({1, 2}, task) end,\n"
    "  stream = function() for _ in async.stream({1, 2}, task) do ran = true end end,\n"
    "  acquire = function() semaphore:acquire() end, send = function() channel:send(1) end,\n"
    "  recv = function() channel:recv() end, select = function() async.select {channel, timeout = 1} end,\n"
    "  condition = function() lock:with(condition.wait, condition) end,\n"
    "  barrier = function() barrier:wait() end, suspend = function() async.suspend(function() ran = true "
    "end) end,\n"
    "  event = function() async.event():wait() end, shield = function() async.shield(async.sleep, 1) end,\n"
    "  timeout = function() async.timeout(1, async.sleep, 2) end,\n"
    "  coroutine = coroutine.wrap(function() async.sleep(1) end),\n"
    "}, function()\n"
    "  assert(not lock:locked() and semaphore:available() == 0 and barrier:waiting() == 0)\n"
    "  assert(not channel:try_send(1) and not channel:try_recv())\n"
    "  made:cancel()\n"
    "  return ran\n"
    "end";

static void limited(void) {
  muster *m = open_with(&(muster_config){.virtual_time = true, .pinned_limit = 3});
  muster_stats_t stats;
  CHECK(luaL_loadbuffer(muster_state(m), ways, strlen(ways), "=ways") == LUA_OK);
  lua_setglobal(muster_state(m), "ways");
  run_script(
      m, "local order = {}\n"
         "local function waiter(i) pin(async.sleep, 10 - i) order[#order + 1] = i end\n"
         "local list = {}\n"
         "for i = 1, 3 do list[i] = async.spawn(waiter, i) end\n"
         "async.yield()\n"
         "local all, check = ways()\n"
         "local tasks = #async.tasks()\n"
         "for name, way in pairs(all) do\n"
         "  local ok, err = pcall(pin, way)\n"
         "  assert(not ok, name)\n"
         "  assert(tostring(err):find('cannot wait for .* here: 3 tasks wait inside C functions already, '\n"
         "    .. 'which is the limit'), name .. ': ' .. tostring(err))\n"
         "  assert(#async.tasks() == tasks or name == 'wait', name)\n"
         "  tasks = #async.tasks()\n"
         "end\n"
         "async.sleep(1)\n"
         "assert(not check(), 'something ran')\n"
         "async.gather {waiter = nil, function() async.sleep(1) end, function() "
         "coroutine.wrap(async.sleep)(1) end}\n"
         "async.gather(list)\n"
         "assert(table.concat(order) == '321')\n"
         "for i = 1, 3 do list[i] = async.spawn(waiter, i) end\n"
         "async.gather(list)\n"
         "pin(async.sleep, 1)");
  muster_stats(m, &stats);
  CHECK(stats.stacks == 4);
  check_idle(m);
  muster_close(m);
}

/* A join whose tasks meet the limit fails as by any error, and its other tasks end. */
static void limited_join(void) {
  muster *m = open_with(&(muster_config){.virtual_time = true, .pinned_limit = 5});
  run_script(m, "local list, closed = {}, 0\n"
                "for i = 1, 20 do\n"
                "  list[i] = function()\n"
                "    local _ <close> = setmetatable({}, {__close = function() closed = closed + 1 end})\n"
                "    pin(async.sleep, i)\n"
                "  end\n"
                "end\n"
                "local ok, err = pcall(async.gather, list)\n"
                "assert(not ok and err:find 'which is the limit')\n"
                "local settled = async.gather_settled(list)\n"
                "local good = 0\n"
                "for i = 1, 20 do if settled[i].ok then good = good + 1 end end\n"
                "assert(good == 5)\n"
                "async.gather(list, {limit = 5})");
  check_idle(m);
  muster_close(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"pinned: closing runs each __close", closes},
      {"pinned: closing while some are ready", closes_ready_ones},
      {"pinned: closing amid coroutines", closes_coroutines},
      {"pinned: closing when a __close waits and fails", closes_roughly},
      {"pinned: closing with two hundred", closes_many},
      {"pinned: shutting down", shuts_down},
      {"pinned: a deadlock", deadlocked},
      {"pinned: runtimes inside tasks of others", one_inside_the_other},
      {"pinned: two runtimes in turns", in_turns},
      {"pinned: runtimes on threads", on_threads},
      {"pinned: the limit, from which nothing is left", limited},
      {"pinned: the limit in a join", limited_join},
      {NULL, NULL},
  };
  return run_cases(cases);
}
