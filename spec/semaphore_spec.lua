-- Semaphores, locks and their permits: direct hand-off, first come, first served, whoever is cancelled meanwhile.
local async = require "muster"
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

--- A task that acquires k, logs its name, and keeps the permits.
local function acquirer(sem, log, name, k)
  return start(function()
    local permit = sem:acquire(k)
    log[#log + 1] = name
    return permit
  end)
end

--- Tasks named as the string's characters, in this order in the queue.
local function queue(sem, log, names)
  local tasks = {}
  for name in names:gmatch "." do tasks[#tasks + 1] = acquirer(sem, log, name) end
  return table.unpack(tasks)
end

describe("semaphore", function()
  it("hands out what it has without suspending", virtual(function()
    local sem, log = async.semaphore(3), {}
    async.spawn(function() log[1] = "another ran" end)
    local a, b = sem:acquire(), sem:acquire(2)
    assert.same({}, log)
    assert.equal(0, sem:available())
    a:release()
    assert.equal(1, sem:available())
    b:release()
    assert.equal(3, sem:available())
    turns(2)
  end))

  it("serves in the order of coming, one release at a time", virtual(function()
    local sem, log = async.semaphore(1), {}
    sem:acquire()
    queue(sem, log, "abcde")
    for i = 1, 5 do
      sem:release()
      turns(3)
      assert.equal(("abcde"):sub(1, i), table.concat(log))
    end
    sem:release()
    assert.equal(1, sem:available())
  end))

  it("passes a permit directly: nobody takes it before the waiter runs", virtual(function()
    local sem, log = async.semaphore(1), {}
    local permit = sem:acquire()
    local waiter = acquirer(sem, log, "waiter")
    permit:release()
    assert.equal(0, sem:available())
    assert.is_nil(sem:try_acquire())
    local newcomer = async.spawn(function() sem:acquire():release(); log[#log + 1] = "newcomer" end)
    turns(3)
    assert.same({"waiter"}, log)
    waiter:await():release()
    newcomer:await()
    assert.same({"waiter", "newcomer"}, log)
  end))

  it("lets nobody past a big request in front, though permits are free", virtual(function()
    local sem, log = async.semaphore(4), {}
    sem:acquire(3)
    acquirer(sem, log, "big", 3)
    acquirer(sem, log, "small", 1)
    assert.equal(1, sem:available())
    assert.is_nil(sem:try_acquire())
    sem:release()
    turns(3)
    assert.same({}, log)
    assert.is_nil(sem:try_acquire(2))
    sem:release()
    turns(3)
    assert.same({"big"}, log)
    sem:release()
    turns(3)
    assert.same({"big", "small"}, log)
    sem:release(4)
  end))

  it("tries: a permit or nil, and takes all or nothing", virtual(function()
    local sem = async.semaphore(2)
    local permit = sem:try_acquire()
    assert.is_nil(sem:try_acquire(2))
    assert.equal(1, sem:available())
    permit:release()
    local both <close> = sem:try_acquire(2)
    assert.is_not_nil(both)
    assert.is_nil(sem:try_acquire())
  end))

end)

describe("semaphore: cancelled waiters", function()
  local sem, log

  before_each(function() sem, log = async.semaphore(1), {} end)

  it("leave the middle of the queue", virtual(function()
    sem:acquire()
    local _, b = queue(sem, log, "abc")
    assert.is_true(b:cancel())
    assert_cancelled(b)
    for _ = 1, 3 do sem:release(); turns(3) end
    assert.equal("ac", table.concat(log))
    assert.equal(1, sem:available())
  end))

  it("in front let small requests through, as many as fit, in order", virtual(function()
    sem = async.semaphore(4)
    sem:acquire()
    local big = acquirer(sem, log, "big", 4)
    queue(sem, log, "abcd")
    big:cancel()
    assert.equal(0, sem:available())
    turns(3)
    assert.equal("abc", table.concat(log))
    assert_cancelled(big)
    sem:release(2)
    turns(3)
    assert.equal("abcd", table.concat(log))
    sem:release(3)
    assert.equal(4, sem:available())
  end))

  it("in front, timed out, let small requests through", virtual(function()
    sem = async.semaphore(2)
    sem:acquire()
    local big = start(async.move_on_after, 5, sem.acquire, sem, 2)
    acquirer(sem, log, "small"):await():release()
    assert.is_false(big:await())
    sem:release()
    assert.equal(2, sem:available())
  end))

  it("pass a permit, handed to them in the same turn, to the next that stays", virtual(function()
    for _, order in ipairs {{1}, {1, 2, 3}, {3, 2, 1}, {2, 1, 3}} do
      sem, log = async.semaphore(1), {}
      sem:acquire()
      local tasks = {queue(sem, log, "abcd")}
      sem:release()
      for _, i in ipairs(order) do assert.is_true(tasks[i]:cancel()) end
      assert.equal(0, sem:available())
      turns(3)
      assert.equal(order[2] and "d" or "b", table.concat(log))
      for _ = #order, 3 do sem:release(); turns(3) end
      for _, i in ipairs(order) do assert_cancelled(tasks[i]) end
    end
  end))

  it("share out what a big one was handed", virtual(function()
    sem = async.semaphore(3)
    sem:acquire(3)
    local big = acquirer(sem, log, "big", 3)
    queue(sem, log, "ab")
    sem:release(3)
    big:cancel()
    assert.equal(1, sem:available())
    turns(3)
    assert.equal("ab", table.concat(log))
    assert_cancelled(big)
    sem:release(2)
  end))

  it("whose time runs out at the instant of the release lose nothing", virtual(function()
    sem:acquire()
    local holder = start(function() async.sleep(1); sem:release() end)
    local late = start(async.move_on_after, 1, sem.acquire, sem)
    holder:await()
    local permit = late:await()
    if permit then permit:release() end
    assert.equal(1, sem:available())
  end))

  it("raise on entry, though a permit is free, and take none", virtual(function()
    assert_cancelled(start(function() async.current():cancel(); sem:acquire() end))
    assert_cancelled(start(function() async.current():cancel(); sem:with(error, "ran") end))
    assert.equal(1, sem:available())
  end))

  it("may still acquire inside a shield", virtual(function()
    start(function() async.current():cancel(); return async.shield(sem.acquire, sem) end):await():release()
  end))
end)

-- A gather, a group or a timeout cancels several tasks at one stroke: what one of them lets go must not end up with
-- another that is about to leave.
describe("semaphore: waiters cancelled together", function()
  local sem

  local function acquire(k)
    return function() sem:acquire(k) end
  end

  before_each(function() sem = async.semaphore(3) end)

  it("a big one in front of a small one", virtual(function()
    local held = sem:acquire(2)
    local parent = start(async.gather, acquire(3), acquire(1))
    turns(2)
    parent:cancel()
    assert_cancelled(parent)
    assert.equal(1, sem:available())
    held:release()
    assert.equal(3, sem:available())
  end))

  it("one that waits, and then one that was just handed its permits", virtual(function()
    local held = sem:acquire(3)
    local first = async.spawn(acquire(3))
    local second = start(acquire(2))
    local parent = start(async.gather, {second, first})
    held:release()
    parent:cancel()
    assert_cancelled(parent)
    assert.equal(3, sem:available())
  end))

  it("a survivor behind them is served", virtual(function()
    local held = sem:acquire(2)
    local parent = start(async.gather, acquire(3), acquire(1), acquire(2))
    turns(2)
    local survivor = start(sem.acquire, sem, 1)
    parent:cancel()
    assert.equal(0, sem:available())
    assert_cancelled(parent)
    survivor:await():release()
    held:release()
    assert.equal(3, sem:available())
  end))

  it("by a timeout around a gather", virtual(function()
    local held = sem:acquire(2)
    assert.is_false(async.move_on_after(1, async.gather, acquire(3), acquire(1)))
    held:release()
    assert.equal(3, sem:available())
  end))

end)

describe("semaphore: misuse", function()
  it("more released than acquired raises, and changes nothing", virtual(function()
    local sem = async.semaphore(2)
    raises("semaphore:release: more released", sem.release, sem)
    sem:acquire()
    raises("more released", sem.release, sem, 2)
    assert.equal(1, sem:available())
    sem:release()
    assert.equal(2, sem:available())
  end))

  it("counts must be integers of at least one", virtual(function()
    local sem = async.semaphore(2)
    for _, n in ipairs {-1, 1.5, "x", {}} do
      raises("#1 to 'semaphore'", function() async.semaphore(n) end)
      raises("#1 to 'acquire'", function() sem:acquire(n) end)
      raises("#1 to 'try_acquire'", function() sem:try_acquire(n) end)
      raises("#1 to 'release'", function() sem:release(n) end)
    end
    raises("#1 to 'semaphore'", function() async.semaphore() end)
    raises("#1 to 'acquire'", function() sem:acquire(0) end)
    assert.equal(2, sem:available())
  end))

  it("more than there will ever be, or of another object, raises", virtual(function()
    local sem = async.semaphore(2)
    raises("#1 to 'acquire' .*2 permits", function() sem:acquire(3) end)
    raises("#1 to 'try_acquire' .*2 permits", function() sem:try_acquire(3) end)
    raises("semaphore expected", sem.acquire, async.lock())
    raises("semaphore expected", sem.acquire)
    raises("lock expected", async.lock().acquire, sem)
  end))
end)

describe("permit", function()
  local sem

  before_each(function() sem = async.semaphore(3) end)

  it("gives back what it is for, once, and may be closed after that", virtual(function()
    do
      local permit <close> = sem:acquire(2)
      permit:release()
      assert.equal(3, sem:available())
      sem:acquire()
      raises("released before", permit.release, permit)
      assert.equal(2, sem:available())
    end
    assert.equal(2, sem:available())
    sem:release()
  end))

  it("closes with its scope, and is not released after that", virtual(function()
    local kept
    for _, how in ipairs {"return", "error"} do
      pcall(function()
        local permit <close> = sem:acquire(2)
        kept = permit
        assert.equal(1, sem:available())
        if how == "error" then error "left" end
        return how
      end)
      assert.equal(3, sem:available())
      raises("released before", kept.release, kept)
    end
  end))

  it("closes when its task is cancelled or fails while it waits", virtual(function()
    local function hold()
      local _ <close> = sem:acquire(2)
      async.sleep(1)
      error "failed"
    end
    local cancelled = start(hold)
    cancelled:cancel()
    assert_cancelled(cancelled)
    assert.equal(3, sem:available())
    raises("failed", async.await, hold)
    assert.equal(3, sem:available())
  end))

end)

describe("with", function()
  local sem

  before_each(function() sem = async.semaphore(1) end)

  it("passes arguments, returns all results, nils too", virtual(function()
    local function count(...) return select("#", ...), ... end
    assert.same({3, nil, 2, nil, n = 4}, table.pack(sem:with(count, nil, 2, nil)))
    assert.equal(0, select("#", sem:with(function() end)))
    assert.same({1, nil, nil, n = 3}, table.pack(sem:with(function() return 1, nil, nil end)))
    assert.equal(1, sem:available())
  end))

  it("holds the permit while fn awaits", virtual(function()
    local function work(x)
      async.sleep(1)
      assert.equal(0, sem:available())
      return x, nil, x
    end
    local a, b = start(sem.with, sem, work, "a"), start(sem.with, sem, work, "b")
    assert.same({"a", nil, "a", n = 3}, table.pack(a:await()))
    assert.same({"b", nil, "b", n = 3}, table.pack(b:await()))
    assert.equal(1, sem:available())
  end))

  it("releases when fn raises, and leaves the error alone", virtual(function()
    local err = {}
    local ok, got = pcall(sem.with, sem, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
    ok, got = pcall(sem.with, sem, function() async.yield(); error(nil) end)
    assert.is_false(ok)
    assert.is_nil(got)
    assert.equal(1, sem:available())
  end))

  it("releases when cancelled inside fn, and never calls fn when cancelled before", virtual(function()
    local called = 0
    local function work() called = called + 1; async.sleep(10) end
    local a, b, c = start(sem.with, sem, work), start(sem.with, sem, work), start(sem.with, sem, work)
    b:cancel()
    a:cancel()
    assert_cancelled(b, a)
    c:cancel() -- perhaps with the permit in its hands
    assert_cancelled(c)
    assert.equal(1, sem:available())
    assert.is_true(called < 3)
  end))

  it("wants a function, before it waits for anything", virtual(function()
    sem:acquire()
    raises("#1 to 'with' .*function expected", function() sem:with() end)
    raises("#1 to 'with' .*function expected", function() sem:with(1) end)
    sem:release()
  end))
end)

describe("lock", function()
  local lock

  before_each(function() lock = async.lock() end)

  it("has one holder at a time, in the order of coming", virtual(function()
    local log, inside = {}, 0
    local function enter(name)
      local _ <close> = lock:acquire()
      inside = inside + 1
      assert.equal(1, inside)
      async.yield()
      log[#log + 1] = name
      inside = inside - 1
    end
    for name in ("abcd"):gmatch "." do async.spawn(enter, name) end
    turns(2)
    assert.is_true(lock:locked())
    assert.is_nil(lock:try_acquire())
    lock:with(table.insert, log, "e")
    assert.equal("abcde", table.concat(log))
    assert.is_false(lock:locked())
  end))

  it("raises when its holder takes it again, and stays held", virtual(function()
    local permit = lock:acquire()
    raises("lock:acquire: .*holds it already", lock.acquire, lock)
    raises("lock:with: .*holds it already", lock.with, lock, print)
    assert.is_nil(lock:try_acquire())
    permit:release()
    lock:acquire():release()
    lock:acquire()
    lock:release()
    assert.is_false(lock:locked())
  end))

  it("is released by its holder only", virtual(function()
    raises("lock:release: .*not hold", lock.release, lock)
    local holder = start(function() lock:acquire(); async.sleep(1); lock:release() end)
    raises("lock:release: .*not hold", lock.release, lock)
    assert.is_true(lock:locked())
    holder:await()
    lock:acquire()
    local waiter = start(function() lock:acquire(); lock:release() end)
    lock:release()
    assert.is_true(lock:locked(), "handed to the waiter, which has not run yet")
    raises("not hold", lock.release, lock)
    waiter:await()
    assert.is_false(lock:locked())
  end))

  it("handed to a cancelled task goes to the next, who can release it", virtual(function()
    lock:acquire()
    local function enter() lock:acquire(); async.yield(); lock:release() end
    local a, b = start(enter), start(enter)
    lock:release()
    a:cancel()
    assert_cancelled(a)
    b:await()
    assert.is_false(lock:locked())
  end))

  it("is not taken from its new holder by the old one's permit", virtual(function()
    local inside = async.event()
    local second
    local function broken()
      local _ <close> = lock:acquire()
      lock:release()
      second = start(function() lock:with(inside.wait, inside) end)
    end
    pcall(broken) -- closes a permit whose lock was released already: it may raise
    assert.is_true(lock:locked())
    inside:set()
    second:await()
    assert.is_false(lock:locked())
  end))

  it("of a task that ended is not inherited by another", virtual(function()
    start(function() lock:acquire() end):await()
    for _ = 1, 3 do
      collectgarbage()
      local tasks = {}
      for i = 1, 50 do tasks[i] = function() return (pcall(lock.release, lock)) end end
      local released = async.gather(tasks)
      for i = 1, 50 do assert.is_false(released[i], "released by a task that never held it") end
    end
  end))
end)
