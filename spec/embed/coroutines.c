/* muster_close while the script's own coroutines await inside tasks; and what is left of them in a state that goes on.
*/
#include "../support/script.h"

#include <lualib.h>

static void hush(void *data, const char *text, size_t length) { (void)data, (void)text, (void)length; }

enum { ORDER = 256 };

static void check_order(const char *order, const char *expected, const char *code) {
  if (strcmp(order, expected) != 0) printf("'%s', not '%s': %s\n", order, expected, code);
  CHECK(strcmp(order, expected) == 0);
}

/* Upvalue 1: a char[ORDER], which outlives the state; 2: what to append. */
static int append(lua_State *L) {
  char *order = lua_touserdata(L, lua_upvalueindex(1));
  size_t used = strlen(order);
  snprintf(order + used, ORDER - used, "%s ", lua_tostring(L, lua_upvalueindex(2)));
  return 0;
}

/* guard(name) -> a value that notes its closing */
static int guard(lua_State *L) {
  lua_settop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, append, 2);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  return 1;
}

static void open_guard(lua_State *L, char *order) {
  *order = '\0';
  lua_pushlightuserdata(L, order);
  lua_pushcclosure(L, guard, 1);
  lua_setglobal(L, "guard");
}

#define PRELUDE "local async = require 'muster' local wrap, create = coroutine.wrap, coroutine.create "

/* Runs a script for some turns, and closes. */
static void close_amid(const char *code, const char *expected) {
  char order[ORDER];
  muster *m = muster_new(&(muster_config){.report = hush});
  open_guard(muster_state(m), order);
  muster_task_release(spawn_script(m, code));
  for (int i = 0; i < 8; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) >= 0);
  check_order(order, "", code);
  muster_close(m);
  check_order(order, expected, code);
}

static void innermost_first(void) {
  close_amid(PRELUDE "local _ <close> = guard '1' "
                     "wrap(function() local _ <close> = guard '2' "
                     "  wrap(function() local _ <close> = guard '3' async.sleep(60) end)() end)()",
             "3 2 1 ");
  close_amid(PRELUDE "local function level(n) local _ <close> = guard(tostring(n)) "
                     "  if n == 9 then async.event():wait() end "
                     "  coroutine.resume(create(level), n + 1) end level(1)",
             "9 8 7 6 5 4 3 2 1 ");
}

static void in_every_wait(void) {
  static const char *const waits[] = {
      "async.sleep(60)",
      "while true do async.yield() end",
      "async.await(async.sleep, 60)",
      "async.gather {async.yield, function() async.sleep(60) end}",
      "for _ in async.as_completed {function() async.sleep(60) end} do end",
      "for _ in async.stream({1, 2}, function() async.sleep(60) end) do end",
      "local g <close> = async.group() g:spawn(async.sleep, 60)",
      "local s = async.semaphore(1) s:acquire() s:acquire()",
      "local l = async.lock() local c = async.condition(l) l:with(function() c:wait() end)",
      "async.channel():recv()",
      "async.select {async.channel(), timeout = 60}",
      "async.suspend(function() end)",
      "async.timeout(60, async.shield, async.sleep, 60)",
      "table.sort({1, 2}, function() async.sleep(60) end)",
      "coroutine.wrap(table.sort)({1, 2}, function() coroutine.wrap(async.sleep)(60) end)",
  };
  char code[512];
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    snprintf(code, sizeof code,
             PRELUDE "local _ <close> = guard 'out' wrap(function() local _ <close> = guard 'in' %s end)()",
             waits[i]);
    close_amid(code, "in out ");
  }
}

/* Woken or cancelled in the last turn. */
static void before_it_resumed(void) {
  char order[ORDER];
  muster *m = muster_new(&(muster_config){.report = hush});
  open_guard(muster_state(m), order);
  run_script(
      m, PRELUDE
      "event = async.event() "
      "async.spawn(wrap(function() local _ <close> = guard 'woken' event:wait() guard 'bad' end)) "
      "local t = async.spawn(wrap(function() local _ <close> = guard 'cancelled' async.sleep(60) end)) "
      "async.yield() event:set() t:cancel()");
  muster_close(m);
  CHECK(strcmp(order, "woken cancelled ") == 0 || strcmp(order, "cancelled woken ") == 0);
}

/* A task is closing a coroutine in which another awaits, and awaits itself in doing so. */
static void amid_a_close(void) {
  char order[ORDER];
  muster *m = muster_new(&(muster_config){.report = hush});
  open_guard(muster_state(m), order);
  static const char code[] =
      PRELUDE "local co = create(function() "
              "  local _ <close> = guard 'outer' "
              "  wrap(function() "
              "    local _ <close> = setmetatable({}, {__close = function() async.sleep(60) end}) "
              "    local _ <close> = guard 'inner' "
              "    async.sleep(60) end)() end) "
              "async.spawn(function() local _ <close> = guard 'task' coroutine.resume(co) end) "
              "async.yield() local _ <close> = guard 'closer' coroutine.close(co)";
  muster_task_release(spawn_script(m, code));
  for (int i = 0; i < 8; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) >= 0);
  check_order(order, "inner ", code);
  muster_close(m);
  CHECK(strstr(order, "task ") && strstr(order, "closer "));
}

/* Coroutines that awaited when the runtime ended are dead in a state that goes on; new ones are plain. */
static void lives_on(void) {
  char order[ORDER];
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  open_guard(L, order);
  muster *m = muster_new(&(muster_config){.state = L, .report = hush});
  run_script(m, PRELUDE
             "resume, status, close, make, await = coroutine.resume, coroutine.status, coroutine.close, wrap,"
             "  async.await "
             "kept = {} for i = 1, 50 do "
             "  kept[i] = create(function() local _ <close> = guard 'x' async.sleep(60) end) "
             "  async.spawn(coroutine.resume, kept[i]) end "
             "plain = create(function() return coroutine.yield(1) end) resume(plain) "
             "step = wrap(function() while true do coroutine.yield() async.sleep(60) end end) step() "
             "async.yield()");
  muster_close(m);
  CHECK(strlen(order) == 100);
  static const char after[] =
      "for _, co in ipairs(kept) do assert(status(co) == 'dead' and not resume(co) and close(co)) end\n"
      "assert(coroutine.status(plain) == 'suspended' and select(2, resume(plain, 7)) == 7)\n"
      "kept = nil collectgarbage()\n"
      "for i = 1, 200 do\n" /* at the addresses of the old */
      "  local co = coroutine.create(function() coroutine.yield() end)\n"
      "  assert(resume(co) and status(co) == 'suspended' and resume(co) and status(co) == 'dead' and "
      "close(co))\n"
      "  co = coroutine.create(coroutine.yield) resume(co) assert(close(co))\n"
      "  assert(make(function(x) return x end)(5) == 5)\n"
      "end\n"
      "local ok, err = pcall(step) assert(not ok and tostring(err):find 'closed', err)\n"
      "ok, err = pcall(make(function() await(print) end)) assert(not ok and tostring(err):find 'closed', "
      "err)\n"
      "assert(coroutine.resume ~= resume and coroutine.wrap(function() return 1 end)() == 1)";
  if (luaL_dostring(L, after) != LUA_OK) {
    printf("not ok: %s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_close(L);
}

int main(void) {
  static const spec_case cases[] = {
      {"coroutines: closed innermost first", innermost_first},
      {"coroutines: closed in every wait", in_every_wait},
      {"coroutines: closed before they resumed", before_it_resumed},
      {"coroutines: closed amid a close", amid_a_close},
      {"coroutines: what is left of them", lives_on},
      {NULL, NULL},
  };
  return run_cases(cases);
}
