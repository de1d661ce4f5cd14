/* Out of memory, at every point where it can happen: an allocator of the host that fails the n-th time,
** for each n until nothing fails any more. Every failure is an error code, NULL, or a Lua error inside a
** task. None is a crash, an unprotected error (the panic function), or a leak. */
#include "../support/script.h"

#include <lualib.h>

/* ---- an allocator that fails ---- */

typedef struct {
  long n;       /* allocations until one fails; negative: none does */
  bool goes_on; /* and all after it */
  bool failed;
  size_t used;
} ration;

static bool fails(ration *r) {
  if (r->n < 0) return false;
  if (r->n > 0) return --r->n, false;
  r->failed = true;
  if (!r->goes_on) r->n = -1;
  return true;
}

/* Shrinking never fails: Lua relies on it. */
static void *allocate(void *data, void *block, size_t old_size, size_t new_size) {
  ration *r = data;
  if (!block) old_size = 0;
  if (new_size > old_size && fails(r)) return NULL;
  r->used += new_size - old_size;
  if (new_size > 0) return realloc(block, new_size);
  free(block);
  return NULL;
}

static long attempt; /* which n is tried, to be named if it goes wrong */

static int panicked(lua_State *L) {
  printf("not ok: an unprotected error when allocation %ld fails: %s\n", attempt, lua_tostring(L, -1));
  exit(1);
}

static int open_libraries(lua_State *L) {
  luaL_openlibs(L);
  return 0;
}

static lua_State *new_state(ration *r) {
  *r = (ration){.n = -1};
  lua_State *L = lua_newstate(allocate, r);
  CHECK(L != NULL);
  lua_atpanic(L, panicked);
  lua_pushcfunction(L, open_libraries);
  CHECK(lua_pcall(L, 0, 0, 0) == LUA_OK);
  return L;
}

static void end_state(lua_State *L, ration *r) {
  r->n = -1;
  lua_close(L);
  if (r->used) printf("%zu bytes are left when allocation %ld fails\n", r->used, attempt);
  CHECK(r->used == 0);
}

static void hush(void *data, const char *text, size_t length) { (void)data, (void)text, (void)length; }

static muster *new_runtime(lua_State *L) {
  return muster_new(&(muster_config){.state = L, .virtual_time = true, .report = hush});
}

/* Calls try(n) for every n until nothing failed. try returns whether something did. */
static void every_n(bool (*try)(long n, bool goes_on)) {
  for (int goes_on = 0; goes_on <= 1; goes_on++) {
    attempt = 0;
    while (try(attempt, goes_on)) attempt++;
    CHECK(attempt > 0);
  }
}

/* ---- opening ---- */

static bool try_open(long n, bool goes_on) {
  ration r;
  lua_State *L = new_state(&r);
  int top = lua_gettop(L);
  r.goes_on = goes_on;
  r.n = n;
  muster *m = new_runtime(L);
  bool failed = r.failed;
  CHECK(m || failed);
  CHECK(lua_gettop(L) == top);
  muster_close(m); /* memory has not come back */
  r.n = -1;
  CHECK(muster_of(L) == NULL);
  m = new_runtime(L); /* nothing is in the way of another try */
  CHECK(m != NULL);
  run_script(m, "require('muster').sleep(1)");
  muster_close(m);
  end_state(L, &r);
  return failed;
}

static void opens(void) { every_n(try_open); }

/* ---- working ---- */

static muster_op *pending;

static void forget(muster_op *op, void *data) {
  (void)data;
  CHECK(op == pending);
  pending = NULL;
}

static int native(lua_State *L) {
  muster_op *op = muster_suspend(L, forget, NULL);
  pending = op;
  return muster_await(L, op);
}

/* A runtime before memory becomes short. */
static muster *prepare(ration *r, lua_State **L) {
  *L = new_state(r);
  muster *m = new_runtime(*L);
  CHECK(m != NULL);
  pending = NULL;
  lua_register(*L, "native", native);
  return m;
}

/* Looks at what a task has come to in every way, and lets it go. */
static void look_at(muster_task *t, lua_State *L) {
  int top = lua_gettop(L), n = muster_task_results(t, L);
  CHECK(lua_gettop(L) - top == (n < 0 ? 0 : n));
  lua_settop(L, top);
  n = muster_task_error(t, L);
  CHECK(n == lua_gettop(L) - top);
  lua_settop(L, top);
  muster_task_release(t);
}

static void run_short(muster *m, ration *r, const char *code) {
  lua_State *L = muster_state(m);
  muster_task *t;
  int rc = muster_spawn_string(m, code, strlen(code), "=script", 0, &t);
  CHECK(rc == MUSTER_OK || (r->failed && rc == MUSTER_ENOMEM && !t && lua_gettop(L) == 1));
  lua_settop(L, 0);
  if (rc != MUSTER_OK) return;
  rc = muster_run_task(m, t);
  CHECK(rc == MUSTER_OK || (r->failed && rc == MUSTER_EDEADLOCK));
  CHECK(r->failed || muster_task_state(t) == MUSTER_DONE);
  look_at(t, L);
}

/* Cancels with a reason, and fails a native operation, which make error values. */
static void end_natives(muster *m, ration *r) {
  lua_State *L = muster_state(m);
  for (int i = 0; i < 2; i++) {
    lua_pushcfunction(L, native);
    muster_task *t = muster_spawn(L, 0);
    CHECK((t || r->failed) && lua_gettop(L) == 0);
    if (!t) continue;
    CHECK(muster_run(m, MUSTER_RUN_NOWAIT) >= 0);
    if (i == 0 && pending) muster_fail(pending, "kind", "message");
    if (i == 1) muster_task_cancel(t, "reason");
    pending = NULL;
    CHECK(muster_run(m, MUSTER_RUN_NOWAIT) >= 0);
    look_at(t, L);
  }
}

static bool try_working(const char *code, long n, bool goes_on) {
  ration r;
  lua_State *L;
  muster *m = prepare(&r, &L);
  if (strstr(code, "async")) run_script(m, "async = require 'muster'");
  if (strstr(code, "json")) run_script(m, "json = require 'muster.json'");
  if (strstr(code, "store")) run_script(m, "store = require 'muster.store'");
  r.goes_on = goes_on;
  r.n = n;
  run_short(m, &r, code);
  if (!*code) end_natives(m, &r);
  muster_report(m);
  bool failed = r.failed;
  if (n % 2) r.n = -1; /* memory comes back before the end, or it does not */
  if (n % 3) CHECK(muster_shutdown(m) >= MUSTER_EDEADLOCK);
  lua_settop(L, 0);
  muster_close(m);
  end_state(L, &r);
  return failed;
}

static bool try_natives(long n, bool goes_on) { return try_working("", n, goes_on); }

static bool try_loading(long n, bool goes_on) {
  return try_working("assert(require 'muster'.now()) assert(require 'cjson' and require 'luv')", n, goes_on);
}

static bool try_tasks(long n, bool goes_on) {
  return try_working(
      "local t = async.spawn(function(...) async.sleep(1) return ... end, 1, 2, 3)\n"
      "t.name = 'a name'\n"
      "assert(select('#', t:await()) == 3)\n"
      "local list = async.gather {function() async.yield() return 1 end, async(math.abs)(-2)}\n"
      "assert(list[1] == 1 and list[2] == 2)\n"
      "local ok, err = async.spawn(error, {code = 1}):pawait()\n"
      "assert(not ok and err.code == 1)\n"
      "local victim = async.spawn(async.sleep, 60)\n"
      "async.yield()\n"
      "victim:cancel('because')\n"
      "ok, err = victim:pawait()\n"
      "assert(not ok and async.is_cancelled(err))\n"
      "assert(async.move_on_after(1, async.sleep, 2) == false)\n"
      "assert(not pcall(async.timeout, 1, async.gather, {function() async.sleep(2) end}))",
      n, goes_on);
}

static bool try_synchronisation(long n, bool goes_on) {
  return try_working(
      "local ch, sem, lock, event = async.channel(1), async.semaphore(1), async.lock(), async.event()\n"
      "do\n"
      "  local g <close> = async.group()\n"
      "  g:spawn(function() for i = 1, 4 do ch:send(i) end ch:close() end)\n"
      "  g:spawn(function() event:wait() lock:with(async.yield) end)\n"
      "  g:spawn(function() sem:with(async.yield) event:set() end)\n"
      "  sem:with(async.sleep, 1)\n"
      "  local sum = 0\n"
      "  for v in ch:iter() do sum = sum + v end\n"
      "  assert(sum == 10)\n"
      "end\n"
      "assert(async.select {async.channel(), timeout = 1} == nil)",
      n, goes_on);
}

static bool try_streams(long n, bool goes_on) {
  return try_working(
      "local sum = 0\n"
      "local function fn(x) async.sleep(x) return x end\n"
      "for v in async.stream({1, 2, 3, 4}, fn, {limit = 2}) do sum = sum + v end\n"
      "for task, i in async.as_completed {async(fn)(2), async(fn)(1)} do sum = sum + task:await() end\n"
      "for v in async.stream({1, 2, 3}, fn, {limit = 2, ordered = true}) do sum = sum + v break end\n"
      "assert(sum == 14)\n"
      "assert(#async.map({1, 2, 3}, fn) == 3)\n"
      "assert(async.first {function() return fn(2) end, function() return fn(1) end} == 1)",
      n, goes_on);
}

static bool try_pinned(long n, bool goes_on) {
  return try_working(
      "local function pin(fn, ...)\n"
      "  local a, r = table.pack(...), nil\n"
      "  string.gsub('x', 'x', function() r = fn(table.unpack(a)) end)\n"
      "  return r\n"
      "end\n"
      "local ch, event = async.channel(), async.event()\n"
      "async.spawn(pin, ch.send, ch, 'value')\n"
      "assert(pin(ch.recv, ch) == 'value')\n"
      "local list = pin(async.gather, {function() return pin(async.sleep, 2) or 1 end, function()\n"
      "  return coroutine.wrap(function() pin(async.yield) async.sleep(1) return 2 end)()\n"
      "end})\n"
      "assert(list[1] == 1 and list[2] == 2)\n"
      "local victim = async.spawn(pin, event.wait, event)\n"
      "async.yield()\n"
      "victim:cancel('because')\n"
      "assert(not victim:pawait())\n"
      "assert(load(function() async.yield() end))\n"
      "assert(pin(async.move_on_after, 1, event.wait, event) == false)",
      n, goes_on);
}

static bool try_coroutines(long n, bool goes_on) {
  return try_working("local function closing(f) return setmetatable({}, {__close = f}) end\n"
                     "local co, inner\n"
                     "local event = async.event()\n"
                     "local t = async.spawn(function()\n"
                     "  co = coroutine.create(function()\n"
                     "    inner = coroutine.create(function() local x <close> = closing(function() "
                     "async.sleep(1) end) event:wait() end)\n"
                     "    coroutine.resume(inner)\n"
                     "  end)\n"
                     "  coroutine.resume(co)\n"
                     "  return 7\n"
                     "end)\n"
                     "async.sleep(1)\n"
                     "if inner then local c = async.spawn(coroutine.close, inner) c:pawait() end\n"
                     "if co and coroutine.status(co) ~= 'dead' then pcall(coroutine.close, co) end\n"
                     "t:pawait()\n"
                     "local g = coroutine.wrap(function() for i = 1, 3 do async.sleep(1) coroutine.yield(i) "
                     "end error({}) end)\n"
                     "for i = 1, 3 do assert(g() == i) end\n"
                     "local ok, e = pcall(g)\n"
                     "assert(not ok)\n"
                     "local s = async.spawn(function() return coroutine.wrap(function() return "
                     "async.suspend(function(r) return function() async.sleep(1) end end) end)() end)\n"
                     "async.yield() s:cancel() s:pawait()",
                     n, goes_on);
}

static bool try_errors(long n, bool goes_on) {
  return try_working(
      "local function fail() async.sleep(1) error({}) end\n"
      "local function text() async.sleep(1) error('text') end\n"
      "local t = async.spawn(function() async.await(fail) end)\n"
      "t:pawait() t:traceback()\n"
      "t = async.spawn(function() coroutine.wrap(function() async.await(text) end)() end)\n"
      "t:pawait() t:traceback()\n"
      "pcall(async.gather, {fail, text})\n"
      "pcall(function() local g <close> = async.group() g:spawn(text) g:spawn(fail) end)\n"
      "pcall(function() for v in async.stream({1,2}, fail) do end end)\n"
      "pcall(async.timeout, 1, function() coroutine.wrap(function() async.sleep(5) end)() end)\n"
      "local d = async.spawn(text) async.sleep(2) d = nil collectgarbage()",
      n, goes_on);
}

static bool try_require(long n, bool goes_on) {
  return try_working(
      "package.preload.m = function() async.sleep(1) return {1} end\n"
      "package.preload.bad = function() async.sleep(1) error('bad') end\n"
      "local a, b = async.spawn(require, 'm'), async.spawn(require, 'm')\n"
      "local c, d = async.spawn(pcall, require, 'bad'), async.spawn(pcall, require, 'bad')\n"
      "async.yield() c:cancel()\n"
      "assert(a:await() == b:await())\n"
      "c:pawait() d:pawait()\n"
      "package.loaded.m = nil package.preload.m = nil package.preload.bad = nil package.loaded.bad = nil",
      n, goes_on);
}

static bool try_json(long n, bool goes_on) {
  return try_working(
      "local text = '{\"a\":[1,2.5,\"h\\\\u00e9\",{\"b\":null}],\"c\":1.2345678901234567890123}'\n"
      "local value = json.decode(text)\n"
      "assert(json.decode(json.encode(value, {canonical = true})).a[4].b == json.null)\n"
      "local p = json.parser {path = {'a'}}\n"
      "for c in text:gmatch '..?.?' do assert(p:feed(c)) p:partial() end\n"
      "assert(#p:finish().a == 4)\n"
      "assert(not json.decode(('['):rep(400)))\n"
      "assert(not pcall(json.encode, {a = setmetatable({x = print}, {__keys = {'x'}})}))",
      n, goes_on);
}

static bool try_stores(long n, bool goes_on) {
  return try_working(
      "local db <close> = assert(store.open ':memory:')\n"
      "assert(db:exec 'CREATE TABLE t (x UNIQUE, y)')\n"
      "assert(db:run_many('INSERT INTO t VALUES (?, :y)', {{1, 'a'}, {[1] = 2, y = store.blob 'b'}}))\n"
      "for row in db:query 'SELECT * FROM t' do assert(row.x) end\n"
      "local tx <close> = assert(db:transaction())\n"
      "local ok, err = tx:exec('INSERT INTO t VALUES (1, ?)', 0.5)\n"
      "assert(ok == nil and (err.table == 't' or err == 'not enough memory'), err)\n"
      "assert(tx:one('SELECT count(*) AS n FROM t').n == 2 and tx:commit())",
      n, goes_on);
}

static bool try_reports(long n, bool goes_on) {
  return try_working(
      "local lock, sem, ch = async.lock(), async.semaphore(2), async.channel()\n"
      "local list = {}\n"
      "local function add(f) local t = async.spawn(f) list[#list+1] = t end\n"
      "local p <close> = lock:acquire()\n"
      "add(function() lock:acquire() end) add(function() sem:acquire() sem:acquire() sem:acquire() end)\n"
      "add(function() ch:recv() end) add(function() async.gather{function() async.sleep(9) end} end)\n"
      "async.yield()\n"
      "async.dump()\n"
      "for _, t in ipairs(list) do t:traceback() t:cancel() end\n"
      "for _, t in ipairs(list) do t:pawait() end",
      n, goes_on);
}

static void natives(void) { every_n(try_natives); }
static void pinned(void) { every_n(try_pinned); }
static void coroutines(void) { every_n(try_coroutines); }
static void errors(void) { every_n(try_errors); }
static void modules(void) { every_n(try_require); }
static void texts(void) { every_n(try_json); }
static void stores(void) { every_n(try_stores); }
static void live_tasks(void) { every_n(try_reports); }
static void loading(void) { every_n(try_loading); }
static void tasks(void) { every_n(try_tasks); }
static void synchronisation(void) { every_n(try_synchronisation); }
static void streams(void) { every_n(try_streams); }

/* ---- scripts without bound ---- */

/* A task that needs more than there is fails; the others go on. */
static void greedy(void) {
  muster *m = muster_new(&(muster_config){.report = hush});
  CHECK(m != NULL);
  lua_State *L = muster_state(m);
  muster_task *bad = spawn_script(m, "local async = require 'muster' async.yield()\n"
                                     "return ('x'):rep(1 << 62)");
  muster_task *good = spawn_script(m, "require('muster').sleep(0.001) return 1");
  CHECK(muster_run(m, MUSTER_RUN_ALL) == 0);
  CHECK(muster_task_state(bad) == MUSTER_FAILED && muster_task_state(good) == MUSTER_DONE);
  look_at(bad, L);
  look_at(good, L);
  check_idle(m);
  muster_close(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"memory: a greedy task fails alone", greedy},
      {"memory: opening a runtime", opens},
      {"memory: native operations, cancelling, failing", natives},
      {"memory: loading the library", loading},
      {"memory: tasks", tasks},
      {"memory: synchronisation", synchronisation},
      {"memory: streams", streams},
      {"memory: tasks that wait inside C functions", pinned},
      {"memory: coroutines that await, and are closed", coroutines},
      {"memory: errors and their tracebacks", errors},
      {"memory: modules that await", modules},
      {"memory: JSON", texts},
      {"memory: stores", stores},
      {"memory: reports of live tasks", live_tasks},
      {NULL, NULL},
  };
  return run_cases(cases);
}
