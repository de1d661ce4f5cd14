-- Waiting, waking and interrupting, for every call that suspends: whatever a task waits for, cancelling it ends the
-- wait at once, gives back what it had been given, and leaves nothing that could wake it later.
local async = require "muster"
local luv = require "luv"
local virtual = require "muster.test".virtual

local await, spawn, sleep = async.await, async.spawn, async.sleep

local function nothing() end

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function long() sleep(100) end

--- Ways to wait. Each makes what it waits for, and returns a function that waits, one that wakes it (if anything
-- could), and one that says at the end whether everything was given back.
local waits = {
  ["sleep"] = function() return long end,
  ["yield"] = function() return async.yield, nothing end,
  ["gather"] = function() return function() async.gather {long, long} end end,
  ["gather with a limit"] = function() return function() async.gather({long, long, long}, {limit = 1}) end end,
  ["gather_settled"] = function() return function() async.gather_settled {long, long} end end,
  ["map"] = function() return function() async.map({1, 2}, long, {limit = 1}) end end,
  ["first"] = function() return function() async.first {long, long} end end,
  ["await of a new task"] = function() return function() await(long) end end,
  ["timeout"] = function() return function() async.timeout(100, long) end end,
  ["move_on_after"] = function() return function() async.move_on_after(100, long) end end,
}

for _, name in ipairs {"await", "pawait"} do
  waits[name] = function()
    local gate = async.event()
    local shared = spawn(gate.wait, gate)
    local other = spawn(shared.await, shared)
    return function() shared[name](shared) end, function() gate:set() end, function()
      gate:set()
      return (other:pawait())
    end
  end
end

waits["as_completed"] = function()
  return function()
    for _ in async.as_completed {long, long} do error "nothing completes" end
  end
end

waits["stream"] = function()
  return function()
    for _ in async.stream({1, 2}, long) do error "nothing completes" end
  end
end

waits["stream over a slow source"] = function()
  local source = async.channel()
  return function()
    for _ in async.stream(source:iter(), nothing) do error "nothing comes" end
  end
end

waits["group"] = function()
  return function()
    local g <close> = async.group()
    g:spawn(long)
  end
end

waits["group:wait"] = function()
  return function()
    local g <close> = async.group()
    g:spawn(long)
    g:wait()
  end
end

waits["semaphore"] = function()
  local sem = async.semaphore(2)
  local held = sem:acquire(2)
  return function() local _ <close> = sem:acquire() end,
    function() held:release() end,
    function() return sem:available() == 2 or (held:release() or sem:available() == 2) end
end

waits["semaphore, for two"] = function()
  local sem = async.semaphore(2)
  local held = sem:acquire()
  return function() local _ <close> = sem:acquire(2) end,
    function() held:release() end,
    function() return sem:available() == 2 or (held:release() or sem:available() == 2) end
end

waits["semaphore:with"] = function()
  local sem = async.semaphore(1)
  local held = sem:acquire()
  return function() sem:with(nothing) end,
    function() held:release() end,
    function() return sem:available() == 1 or (held:release() or sem:available() == 1) end
end

waits["lock"] = function()
  local lock = async.lock()
  local held = await(lock.acquire, lock) -- by another task
  return function() local _ <close> = lock:acquire() end,
    function() held:release() end,
    function() return not lock:locked() or (held:release() or not lock:locked()) end
end

waits["event"] = function()
  local event = async.event()
  return function() event:wait() end, function() event:set() end
end

waits["condition"] = function()
  local lock = async.lock()
  local condition = async.condition(lock)
  return function()
    local _ <close> = lock:acquire()
    condition:wait()
  end, function() lock:with(function() condition:notify() end) end, function() return not lock:locked() end
end

waits["barrier"] = function()
  local barrier = async.barrier(2)
  return function() barrier:wait() end, function() spawn(async.move_on_after, 1, barrier.wait, barrier) end,
    function() return barrier:waiting() == 0 or (sleep(2) or barrier:waiting() == 0) end
end

waits["channel:send"] = function()
  local channel = async.channel(1)
  channel:send("old")
  return function() channel:send("new") end, function() channel:recv() end, function() return #channel <= 1 end
end

waits["channel:recv"] = function()
  local channel = async.channel()
  return function() channel:recv() end, function() channel:try_send(1) end
end

waits["channel:iter"] = function()
  local channel = async.channel(1)
  return function() channel:iter()() end, function() channel:try_send(1) end
end

waits["channel, closed"] = function()
  local channel = async.channel()
  return function() channel:recv() end, function() channel:close() end
end

waits["select"] = function()
  local empty, full = async.channel(), async.channel(1)
  full:send("old")
  return function() async.select {empty, {send = full, value = "new"}} end, function() empty:try_send(1) end,
    function() return #full == 1 and full:recv() == "old" end
end

waits["select, with a time limit"] = function()
  local channel = async.channel()
  return function() async.select {channel, timeout = 100} end
end

waits["suspend"] = function()
  local resume
  return function() async.suspend(function(r) resume = r end) end, function() resume() end
end

local names = {}
for name in pairs(waits) do table.insert(names, name) end
table.sort(names)

--- Runs body(wait, wake) for each way to wait, on a virtual clock; everything held must be given back in the end.
local function for_each_wait(body)
  for _, name in ipairs(names) do
    it(name, virtual(function()
      local wait, wake, given_back = waits[name]()
      settle()
      body(wait, wake)
      settle()
      assert.is_true(given_back == nil or given_back())
    end))
  end
end

describe("cancelling a task while it waits:", function()
  for_each_wait(function(wait)
    local reached = false
    local task = spawn(function()
      wait()
      reached = true
    end)
    async.yield()
    local start = async.now()
    assert.is_true(task:cancel "enough")
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.equal("enough", err.reason)
    assert.is_false(reached)
    assert.equal("cancelled", task:status())
    assert.equal(start, async.now())
  end)
end)

describe("cancelling a task after its wake-up, in the same turn:", function()
  for_each_wait(function(wait, wake)
    if not wake then return end
    local reached = 0
    local task = spawn(function()
      wait()
      reached = 1
      async.yield()
      reached = 2
    end)
    settle(1)
    wake()
    task:cancel()
    task:pawait()
    assert.not_equal(2, reached)
    assert.equal("cancelled", task:status())
  end)
end)

describe("waking a task after its cancellation, in the same turn:", function()
  for_each_wait(function(wait, wake)
    if not wake then return end
    local task = spawn(function()
      pcall(wait)
      async.shield(sleep, 1) -- nothing that comes late may end this
      return async.now()
    end)
    settle(1)
    local start = async.now()
    task:cancel()
    wake()
    assert.equal(start + 1, task:await())
  end)
end)

describe("a deadline while a task waits:", function()
  for_each_wait(function(wait)
    local start = async.now()
    local ok, err = pcall(async.timeout, 1, wait)
    if not ok then assert.equal("timeout", err.kind) end
    assert.is_true(ok == (async.now() == start))
    assert.is_true(async.now() - start < 2) -- a callback might come from outside, so that one waits in real time
  end)
end)

describe("task:cancel", function()
  it("ends a task that has not started, whose function then never runs", function()
    local task = async(function() error "must not run" end)()
    assert.is_true(task:cancel())
    assert.equal("cancelled", task:status())
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(async.is_cancelled(err))
  end)

  it("ends a task that is queued for its first run", function()
    local task = spawn(function() error "must not run" end)
    assert.is_true(task:cancel())
    assert.equal("cancelled", task:status())
    assert.is_true(async.is_cancelled(failure(await, task)))
    settle()
    assert.equal("cancelled", task:status())
  end)

  it("reaches a task that is queued to go on", function()
    local task = spawn(function()
      async.yield()
      error "must not come here"
    end)
    async.yield()
    assert.equal("ready", task:status())
    assert.is_true(task:cancel())
    task:pawait()
    assert.equal("cancelled", task:status())
  end)

  it("has an effect once", function()
    local task = spawn(sleep, 100)
    async.yield()
    assert.is_true(task:cancel())
    assert.is_false(task:cancel())
    assert.is_false(task:cancel("again"))
    task:pawait()
    assert.is_false(task:cancel())
    assert.is_nil(select(2, task:pawait()).reason)
  end)

  it("has no effect on a task that has ended", function()
    local done, failed = spawn(function() return 1, 2 end), spawn(error, "no")
    done:await()
    failed:pawait()
    assert.is_false(done:cancel())
    assert.is_false(failed:cancel("why"))
    assert.same({1, 2}, {done:await()})
    assert.equal("no", failure(await, failed))
  end)

  it("takes a reason of any type", function()
    for _, reason in ipairs {"enough", 42, true, {"a table"}} do
      local task = spawn(sleep, 100)
      async.yield()
      task:cancel(reason)
      local _, err = task:pawait()
      assert.equal(reason, err.reason)
      assert.equal("cancelled", err.kind)
    end
    local task = async(nothing)()
    task:cancel("enough")
    assert.matches("enough", tostring(failure(await, task)))
    assert.matches("enough", failure(await, task).message)
  end)

  it("takes false as a reason, and nil as none", function()
    local with, without = async(nothing)(), async(nothing)()
    with:cancel(false)
    without:cancel(nil)
    assert.is_false(failure(await, with).reason)
    assert.is_nil(failure(await, without).reason)
  end)

  it("raises what the reason's __tostring raises, and changes nothing", function()
    local task = spawn(nothing)
    local bad = setmetatable({}, {__tostring = function() error "no text" end})
    assert.matches("no text", failure(task.cancel, task, bad))
    assert.equal("ready", task:status())
    task:await()
  end)

  it("gives one error value to all who ask", function()
    local task = spawn(sleep, 100)
    local inside
    local other = spawn(function()
      local _, err = task:pawait()
      inside = err
    end)
    settle()
    task:cancel()
    local err = failure(await, task)
    other:await()
    assert.equal(err, inside)
    assert.equal(err, failure(await, task))
  end)

  it("of the running task shows at its next suspending call", function()
    local reached = {}
    local task = spawn(function()
      assert(async.current():cancel("myself"))
      table.insert(reached, "before")
      async.yield()
      table.insert(reached, "after")
    end)
    local _, err = task:pawait()
    assert.same({"before"}, reached)
    assert.equal("myself", err.reason)
    assert.equal("cancelled", task:status())
  end)

  it("is too late when no suspending call follows", function()
    local task = spawn(function()
      async.current():cancel()
      return "result"
    end)
    assert.equal("result", task:await())
    assert.equal("done", task:status())
  end)

  it("lets a real error win", function()
    local task = spawn(function()
      local ok = pcall(sleep, 100)
      error({real = not ok})
    end)
    async.yield()
    task:cancel()
    assert.is_true(failure(await, task).real)
    assert.equal("failed", task:status())
  end)

  it("does not take somebody else's cancel error for the task's own", function()
    local other = spawn(sleep, 100)
    local foreign
    local task = spawn(function()
      local _, err = other:pawait()
      foreign = err
      async.current():cancel()
      error(err, 0)
    end)
    async.yield()
    other:cancel()
    local err = failure(await, task)
    assert.equal(foreign, err)
    assert.equal("failed", task:status())
  end)

  it("may be called by anyone, also by the task's own child", function()
    local parent
    parent = spawn(function()
      spawn(function() parent:cancel("by my child") end)
      sleep(100)
    end)
    local _, err = parent:pawait()
    assert.equal("by my child", err.reason)
  end)
end)

describe("a call that suspends", function()
  it("checks for cancellation on entry, also where it could complete at once", function()
    local event, finished, sem, lock = async.event(), spawn(nothing), async.semaphore(5), async.lock()
    local channel = async.channel(5)
    event:set()
    finished:await()
    channel:send(1)
    local calls = {
      yield = async.yield, sleep = function() sleep(0) end, await = function() finished:await() end,
      pawait = function() finished:pawait() end, gather = function() async.gather {} end,
      run = function() async.run(nothing) end, timeout = function() async.timeout(1, nothing) end,
      move_on_after = function() async.move_on_after(1, nothing) end, event = function() event:wait() end,
      settled = function() async.gather_settled {} end, wait = function() async.wait({finished}) end,
      first = function() async.first {finished} end, map = function() async.map({}, nothing) end,
      as_completed = function() for _ in async.as_completed {finished} do error "completed" end end,
      stream = function() for _ in async.stream({1}, nothing) do error "completed" end end,
      acquire = function() sem:acquire() end, lock = function() lock:acquire() end,
      with = function() sem:with(nothing) end,
      barrier = function() async.barrier(1):wait() end, send = function() channel:send(1) end,
      recv = function() channel:recv() end, iter = function() channel:iter()() end,
      select = function() async.select {channel, timeout = 0} end,
      suspend = function() async.suspend(function(resume) resume() end) end,
      group = function()
        local g <close> = async.group()
        g:spawn(nothing)
      end,
    }
    local wrong = {}
    for name, call in pairs(calls) do
      local completed, err
      spawn(function()
        async.current():cancel()
        completed, err = pcall(call)
      end):pawait()
      if completed or not async.is_cancelled(err) then table.insert(wrong, name) end
    end
    assert.same({}, wrong)
    assert.equal(5, sem:available())
    assert.is_false(lock:locked())
    assert.equal(1, #channel)
  end)

  it("raises outside a task, and names itself", function()
    local errors, calls = {}, {
      sleep = function() sleep(1) end, yield = async.yield, await = function() await(nothing) end,
      gather = function() async.gather {nothing} end, timeout = function() async.timeout(1, nothing) end,
      shield = function() async.shield(nothing) end, suspend = function() async.suspend(nothing) end,
    }
    local timer = luv.new_timer()
    async.suspend(function(resume)
      timer:start(0, 0, function()
        timer:close()
        for name, call in pairs(calls) do errors[name] = select(2, pcall(call)) end
        resume()
      end)
    end)
    for name in pairs(calls) do
      assert.matches(name .. ": must be called from inside a task", tostring(errors[name]))
    end
  end)

  it("is refused in a finalizer, which may start tasks", function()
    local errors, ran = {}, false
    local calls = {function() sleep(0) end, async.yield, function() await(nothing) end,
      function() async.gather {nothing} end}
    setmetatable({}, {__gc = function()
      for i, call in ipairs(calls) do errors[i] = select(2, pcall(call)) end
      spawn(function() ran = true end)
    end})
    collectgarbage()
    settle()
    assert.is_true(ran)
    for i in ipairs(calls) do assert.is_string(errors[i]) end
  end)
end)
