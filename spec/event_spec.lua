-- Events, conditions and barriers: who is woken, in which order, and what a cancelled waiter leaves to the others.
local async = require "muster"
local program = require "spec.support.program"
local test = require "muster.test"

--- On a virtual clock, first in, first out, also under --seed; what would hang for ever fails after a virtual day.
local function virtual(fn)
  return test.virtual(test.seeded(0, function() return async.timeout(86400, fn) end))
end

--- Starts fn, and lets it run until it waits or ends.
local function start(fn, ...)
  local task = async.spawn(fn, ...)
  repeat async.yield() until task:status() ~= "ready"
  return task
end

local function turns(n)
  for _ = 1, n do async.yield() end
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error, but expected: " .. pattern)
  assert.matches(pattern, tostring(err))
end

local function assert_cancelled(...)
  for _, task in ipairs {...} do
    local ok, err = task:pawait()
    assert.is_false(ok, "not cancelled")
    assert.is_true(async.is_cancelled(err), tostring(err))
  end
end

describe("event", function()
  local event, log

  before_each(function() event, log = async.event(), {} end)

  local function waiter(name)
    return start(function() event:wait(); log[#log + 1] = name end)
  end

  it("wakes all who wait, in the order of coming", virtual(function()
    for name in ("abcde"):gmatch "." do waiter(name) end
    assert.is_false(event:is_set())
    assert.same({}, log)
    event:set()
    assert.is_true(event:is_set())
    assert.same({}, log, "nobody runs inside set")
    turns(3)
    assert.equal("abcde", table.concat(log))
  end))

  it("that is set does not suspend, however often", virtual(function()
    event:set()
    event:set()
    async.spawn(function() log[1] = "another ran" end)
    event:wait()
    event:wait()
    assert.same({}, log)
    turns(2)
  end))

  it("cleared makes newcomers wait, but not those already woken", virtual(function()
    waiter "a"
    event:set()
    event:clear()
    local b = waiter "b"
    assert.is_false(event:is_set())
    assert.equal("a", table.concat(log))
    assert.equal("waiting", b:status())
    event:clear()
    event:set()
    b:await()
    assert.equal("ab", table.concat(log))
  end))

  it("wakes each once, also who waits again at once", virtual(function()
    local woken = 0
    local task = start(function()
      for _ = 1, 2 do event:wait(); event:clear(); woken = woken + 1 end
    end)
    event:set()
    turns(4)
    assert.equal(1, woken)
    event:set()
    task:await()
    assert.equal(2, woken)
  end))

  it("goes on without a cancelled waiter", virtual(function()
    waiter "a"
    local b, c = waiter "b", waiter "c"
    assert.is_true(b:cancel())
    event:set()
    c:await()
    assert_cancelled(b)
    assert.equal("ac", table.concat(log))
  end))

  it("set and cancelled in the same turn: cancelled, whichever came first", virtual(function()
    local a, b, c = waiter "a", waiter "b", waiter "c"
    event:set()
    a:cancel()
    event:clear()
    c:cancel()
    event:set()
    b:await()
    assert_cancelled(a)
    assert.is_false(c:cancel())
  end))

  it("raises in a cancelled task though it is set", virtual(function()
    event:set()
    assert_cancelled(start(function() async.current():cancel(); event:wait() end))
    assert.is_true(start(function()
      async.current():cancel()
      async.shield(event.wait, event)
      return true
    end):await())
  end))

  it("waits as long as a timeout lets it", virtual(function()
    assert.is_false(async.move_on_after(1, event.wait, event))
    event:set()
    assert.is_true(async.move_on_after(1, function() event:wait(); return true end))
  end))

  it("wakes a thousand, and refuses what is no event", virtual(function()
    local n, tasks = 0, {}
    for i = 1, 1000 do tasks[i] = async.spawn(function() event:wait(); n = n + 1 end) end
    turns(2)
    event:set()
    async.gather(tasks)
    assert.equal(1000, n)
    raises("event expected", event.wait, async.lock())
    raises("event expected", event.set)
  end))
end)

describe("condition", function()
  local lock, cond, log

  before_each(function()
    lock = async.lock()
    cond = async.condition(lock)
    log = {}
  end)

  --- Waits with the lock in hand, logs its name if it was notified, and lets go.
  local function wait(name)
    local _ <close> = lock:acquire()
    cond:wait()
    log[#log + 1] = name
  end

  --- Only the holder of the lock may notify: this raises for all others.
  local function assert_holding()
    assert.is_true(lock:locked())
    cond:notify(0)
  end

  local function notify(n)
    lock:with(cond.notify, cond, n)
    turns(6)
  end

  it("releases the lock while it waits, and has it again after", virtual(function()
    local waiter = start(function()
      local _ <close> = lock:acquire()
      cond:wait()
      assert_holding()
      async.yield()
      assert_holding()
    end)
    assert.is_false(lock:locked())
    local permit = lock:acquire()
    cond:notify()
    turns(4)
    assert.equal("waiting", waiter:status(), "the lock is not free yet")
    assert_holding()
    permit:release()
    waiter:await()
    assert.is_false(lock:locked())
  end))

  it("notifies as many as asked for, in the order of coming", virtual(function()
    for name in ("abcdefg"):gmatch "." do start(wait, name) end
    notify()
    assert.equal("a", table.concat(log))
    notify(0)
    assert.equal("a", table.concat(log))
    notify(2)
    assert.equal("abc", table.concat(log))
    lock:with(cond.notify_all, cond)
    turns(10)
    assert.equal("abcdefg", table.concat(log))
    notify(3)
    assert.is_false(lock:locked())
  end))

  it("does not keep a notification for later", virtual(function()
    notify(5)
    lock:with(cond.notify_all, cond)
    local late = start(wait, "late")
    turns(4)
    assert.equal("waiting", late:status())
    notify()
    late:await()
  end))

  it("has the lock again when it raises that it was cancelled", virtual(function()
    local held
    local task = start(function()
      local _ <close> = lock:acquire()
      local ok, err = pcall(cond.wait, cond)
      held = pcall(assert_holding)
      error(not ok and err or "not cancelled", 0)
    end)
    task:cancel()
    assert_cancelled(task)
    assert.is_true(held)
    assert.is_false(lock:locked())
  end))

  it("waits for the lock before it raises that it was cancelled", virtual(function()
    local waiter = start(wait)
    local permit = lock:acquire()
    waiter:cancel()
    turns(4)
    assert.equal("waiting", waiter:status())
    assert.is_false(waiter:cancel())
    permit:release()
    assert_cancelled(waiter)
    assert.is_false(lock:locked())
  end))

  it("has the lock again after a timeout", virtual(function()
    local _ <close> = lock:acquire()
    assert.is_false(async.move_on_after(2, cond.wait, cond))
    assert_holding()
    raises("timeout", async.timeout, 2, cond.wait, cond)
    assert_holding()
  end))

  it("passes a notification on from a waiter cancelled in the same turn", virtual(function()
    local a, b = start(wait, "a"), start(wait, "b")
    notify(0)
    lock:with(function()
      cond:notify()
      a:cancel()
    end)
    assert_cancelled(a)
    b:await()
    assert.same({"b"}, log)
  end))

  it("passes it on from one cancelled while it waited for the lock", virtual(function()
    local a, b = start(wait, "a"), start(wait, "b")
    local permit = lock:acquire()
    cond:notify()
    turns(4)
    a:cancel()
    permit:release()
    assert_cancelled(a)
    b:await()
    assert.same({"b"}, log)
    assert.is_false(lock:locked())
  end))

  it("passes it on past several that are cancelled together", virtual(function()
    for _, swap in ipairs {false, true} do
      log = {}
      local a, b, c = start(wait, "a"), start(wait, "b"), start(wait, "c")
      local parent = start(async.gather, swap and {b, a} or {a, b})
      lock:with(function()
        cond:notify()
        parent:cancel()
      end)
      assert_cancelled(parent, a, b)
      c:await()
      assert.same({"c"}, log)
    end
  end))

  it("does not spend two notifications on cancelled waiters", virtual(function()
    local a, b = start(wait, "a"), start(wait, "b")
    local c, d = start(wait, "c"), start(wait, "d")
    lock:with(function()
      cond:notify(2)
      a:cancel()
      b:cancel()
    end)
    async.gather(c, d)
    assert_cancelled(a, b)
    assert.equal("cd", table.concat(log))
  end))

  it("goes down with the program in the middle of it all", function()
    local output, errors, code = program.run {"-e", [[
      local async = require "muster"
      local lock = async.lock()
      local cond = async.condition(lock)
      async.spawn(function() lock:acquire(); cond:wait() end)
      async.yield()
      lock:acquire()
      cond:notify()
      async.yield()
      async.spawn(lock.acquire, lock) -- behind the waiter, which is about to take its lock back
      for _ = 1, 3 do async.yield() end
      os.exit(0, true)]]}
    program.remove_files()
    assert.same({"", "", 0}, {output, errors, code})
  end)

  it("raises without the lock, or with somebody else's", virtual(function()
    for _, method in ipairs {"wait", "notify", "notify_all"} do
      raises("condition:" .. method .. ": .*not hold the lock", cond[method], cond)
    end
    local holder = start(lock.with, lock, async.sleep, 1)
    assert.is_true(lock:locked())
    for _, method in ipairs {"wait", "notify", "notify_all"} do
      raises("condition:" .. method .. ": .*not hold the lock", cond[method], cond)
    end
    holder:await()
    raises("not hold the lock", cond.notify, cond)
  end))

  it("raises on entry in a cancelled task, and keeps the lock", virtual(function()
    local held
    assert_cancelled(start(function()
      local _ <close> = lock:acquire()
      async.current():cancel()
      local ok, err = pcall(cond.wait, cond)
      held = pcall(assert_holding)
      error(not ok and err or "not cancelled", 0)
    end))
    assert.is_true(held)
    assert.is_false(lock:locked())
  end))

  it("is of a lock, and of nothing else", virtual(function()
    for _, other in ipairs {1, "lock", {}, async.semaphore(1), async.event(), cond} do
      raises("#1 to 'condition' %(lock expected", function() async.condition(other) end)
    end
    raises("lock expected", async.condition)
    raises("#1 to 'notify'", function() lock:with(function() cond:notify(-1) end) end)
    assert.is_false(lock:locked())
  end))

  it("two of one lock make a bounded buffer", virtual(function()
    local not_empty, not_full = async.condition(lock), async.condition(lock)
    local buffer, got, most = {}, {}, 0
    local function put(x)
      local _ <close> = lock:acquire()
      while #buffer == 2 do not_full:wait() end
      buffer[#buffer + 1] = x
      most = math.max(most, #buffer)
      not_empty:notify()
    end
    local function take()
      local _ <close> = lock:acquire()
      while #buffer == 0 do not_empty:wait() end
      got[#got + 1] = table.remove(buffer, 1)
      not_full:notify()
    end
    local function repeated(fn)
      return function() for i = 1, 50 do fn(i); if i % 7 == 0 then async.sleep(0.1) end end end
    end
    async.gather(repeated(put), repeated(take), repeated(put), repeated(take))
    assert.equal(100, #got)
    assert.equal(2, most)
    assert.is_false(lock:locked())
  end))
end)

describe("barrier", function()
  local barrier

  before_each(function() barrier = async.barrier(3) end)

  local function party() return barrier:wait() end

  it("opens for the last to come, and gives each its place", virtual(function()
    local a = start(party)
    local b = start(party)
    assert.equal("waiting", a:status())
    assert.equal(2, barrier:waiting())
    assert.equal(3, barrier:wait())
    assert.equal(0, barrier:waiting())
    assert.same({1, 2, n = 2}, async.gather(a, b))
  end))

  it("of one lets everybody pass", virtual(function()
    barrier = async.barrier(1)
    for _ = 1, 3 do assert.equal(1, barrier:wait()) end
    assert.equal(0, barrier:waiting())
  end))

  it("starts anew each time: nobody is a round ahead", virtual(function()
    local round, ahead = {0, 0, 0}, 0
    local function run(i)
      for _ = 1, 20 do
        async.sleep(i)
        round[i] = round[i] + 1
        barrier:wait()
        for j = 1, 3 do ahead = math.max(ahead, round[j] - round[i]) end
      end
    end
    async.gather(function() run(1) end, function() run(2) end, function() run(3) end)
    assert.same({20, 20, 20}, round)
    assert.equal(0, ahead)
    assert.equal(0, barrier:waiting())
  end))

  it("is left at once by a party that is cancelled", virtual(function()
    local a, b = start(party), start(party)
    a:cancel()
    assert.equal(1, barrier:waiting())
    local c = start(party)
    turns(3)
    assert.equal("waiting", b:status())
    assert.equal("waiting", c:status())
    assert.equal(3, barrier:wait())
    assert_cancelled(a)
    b:await()
    c:await()
    assert.equal(0, barrier:waiting())
  end))

  it("does not open for a newcomer in the turn in which another leaves", virtual(function()
    local a, b = start(party), start(party)
    a:cancel()
    assert.is_false(async.move_on_after(1, barrier.wait, barrier))
    assert.equal(1, barrier:waiting())
    assert.equal("waiting", b:status())
    b:cancel()
    assert_cancelled(a, b)
    assert.equal(0, barrier:waiting())
  end))

  it("is left by parties that are cancelled together, or late", virtual(function()
    local parent = start(async.gather, party, party)
    turns(2)
    assert.equal(2, barrier:waiting())
    parent:cancel()
    assert.equal(0, barrier:waiting())
    assert_cancelled(parent)
    assert.is_false(async.move_on_after(1, barrier.wait, barrier))
    assert.equal(0, barrier:waiting())
  end))

  it("that has opened turns nobody back", virtual(function()
    local passed
    local a = start(function()
      barrier:wait()
      passed = true
      async.yield()
    end)
    local b = start(party)
    assert.equal(3, barrier:wait())
    a:cancel()
    assert_cancelled(a)
    assert.is_true(passed)
    b:await()
    assert.equal(0, barrier:waiting())
  end))

  it("raises on entry in a cancelled task, and does not count it", virtual(function()
    assert_cancelled(start(function() async.current():cancel(); barrier:wait() end))
    assert.equal(0, barrier:waiting())
  end))

  it("has a whole number of parties, at least one", virtual(function()
    for _, n in ipairs {0, -1, 1.5, "x"} do raises("#1 to 'barrier'", function() async.barrier(n) end) end
    raises("#1 to 'barrier'", function() async.barrier() end)
    raises("barrier expected", barrier.wait, async.event())
  end))
end)
