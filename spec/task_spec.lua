-- Tasks: making, starting, inspecting and ending them.
local async = require "muster"
local host = require "muster.host"
local virtual = require "muster.test".virtual

local await, spawn, sleep = async.await, async.spawn, async.sleep

local function nothing() end

--- The error that a call must raise.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function assert_refused(pattern, fn, ...)
  assert.matches(pattern, tostring(failure(fn, ...)))
end

--- Lets every task that can run do so.
local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

local function count_and_pack(...) return select("#", ...), ... end

describe("async(fn)", function()
  it("makes a function whose calls make tasks that have not started", function()
    local ran = false
    local task = async(function() ran = true end)()
    settle()
    assert.is_false(ran)
    assert.equal("created", task:status())
    task:cancel()
  end)

  it("makes a new task at each call", function()
    local double = async(function(x) return 2 * x end)
    local a, b = double(1), double(2)
    assert.not_equal(a, b)
    assert.same({2, 4}, {await(a), await(b)})
  end)

  it("hands over all arguments, nils too", function()
    local count = async(count_and_pack)
    assert.same({0}, {await(count())})
    assert.same({1, nil}, {await(count(nil))})
    assert.same({n = 4, 3, nil, false, nil}, table.pack(await(count(nil, false, nil))))
  end)

  it("takes as many arguments as a task may have, and refuses more", function()
    local many = {}
    for i = 1, 250 do many[i] = i end
    assert.equal(250, (await(async(count_and_pack)(table.unpack(many)))))
    assert.equal(250, (await(count_and_pack, table.unpack(many))))
    many[251] = 251
    assert_refused("250 arguments", async(count_and_pack), table.unpack(many))
    assert_refused("250 arguments", spawn, count_and_pack, table.unpack(many))
    assert_refused("250 arguments", await, count_and_pack, table.unpack(many))
  end)

  it("refuses what is no function", function()
    for _, value in ipairs {1, "f", true, {}, async(nothing)()} do
      assert_refused("function expected", async, value)
      if async.is_task(value) then value:cancel() end
    end
    assert_refused("function expected", async)
  end)
end)

describe("spawn", function()
  it("starts a task, which runs at the next turn and never inside spawn", function()
    local ran = false
    local task = spawn(function() ran = true end)
    assert.is_false(ran)
    assert.equal("ready", task:status())
    async.yield()
    assert.is_true(ran)
  end)

  it("hands over arguments", function()
    assert.same({n = 4, 3, nil, 2, nil}, table.pack(spawn(count_and_pack, nil, 2, nil):await()))
  end)

  it("returns the task that it was given, and starts it once", function()
    local runs = 0
    local task = async(function() runs = runs + 1 end)()
    assert.equal(task, spawn(task))
    assert.equal(task, spawn(task))
    settle()
    assert.equal(task, spawn(task))
    settle()
    assert.equal(1, runs)
  end)

  it("leaves a cancelled task alone", function()
    local task = async(function() error "must not run" end)()
    task:cancel()
    assert.equal(task, spawn(task))
    settle()
    assert.equal("cancelled", task:status())
  end)

  it("starts an async function with its arguments", function()
    local double = async(function(x) return 2 * x end)
    assert.equal(8, spawn(double, 4):await())
    assert.equal(8, await(double, 4))
  end)

  it("starts tasks in the order of the calls", function()
    local order = {}
    for i = 1, 100 do spawn(function() table.insert(order, i) end) end
    async.yield()
    for i = 1, 100 do assert.equal(i, order[i]) end
  end)

  it("puts a task behind those that are ready already", function()
    local order = {}
    spawn(function()
      spawn(function() table.insert(order, "child") end)
      table.insert(order, "first")
    end)
    spawn(function() table.insert(order, "second") end)
    settle()
    assert.same({"first", "second", "child"}, order)
  end)

  it("refuses what is neither a task nor a function, and arguments for a task", function()
    assert_refused("spawn'.*task or function expected, got no value", spawn)
    for _, value in ipairs {1, "f", true, {}, coroutine.create(nothing)} do
      assert_refused("#1 to '.*spawn'.*task or function expected", spawn, value)
    end
    local task = async(nothing)()
    assert_refused("#2 to '.*spawn'", spawn, task, 1)
    assert.equal("created", task:status())
    task:cancel()
  end)

  it("runs a hundred thousand tasks", function()
    local n, ran = 100000, 0
    for _ = 1, n do spawn(function() ran = ran + 1 end) end
    while ran < n do async.yield() end
    assert.equal(n, ran)
  end)

  it("can go on for ever, each task spawning the next", function()
    local left, finished = 20000, async.event()
    local function next_one()
      left = left - 1
      if left > 0 then spawn(next_one) else finished:set() end
    end
    spawn(next_one)
    finished:wait()
    assert.equal(0, left)
  end)
end)

describe("task:status", function()
  it("names each state", function()
    local event, seen = async.event(), nil
    local task = async(function()
      seen = async.current():status()
      event:wait()
    end)()
    assert.equal("created", task:status())
    spawn(task)
    assert.equal("ready", task:status())
    async.yield()
    assert.equal("running", seen)
    assert.equal("waiting", task:status())
    event:set()
    assert.equal("ready", task:status())
    async.yield()
    assert.equal("done", task:status())
  end)

  it("tells failed from cancelled", function()
    local failed = spawn(error, "no")
    local cancelled = spawn(sleep, 100)
    async.yield()
    cancelled:cancel()
    failed:pawait()
    cancelled:pawait()
    assert.equal("failed", failed:status())
    assert.equal("cancelled", cancelled:status())
  end)

  it("is failed for a task that only passes on another one's cancellation", function()
    local other = spawn(sleep, 100)
    local task = spawn(function()
      local _, err = other:pawait()
      error(err, 0)
    end)
    local witness = spawn(function() return other:pawait() end)
    settle()
    other:cancel()
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(async.is_cancelled(err))
    assert.equal("failed", task:status())
    witness:await()
  end)

  it("belongs to tasks", function()
    local status = spawn(nothing).status
    assert_refused("task expected", status, {})
    assert_refused("task expected", status, io.stdout)
    assert_refused("task expected", status)
    settle()
  end)
end)

describe("inspection", function()
  it("has the running task as async.current, also inside a coroutine", function()
    local inside
    local task = spawn(function()
      inside = coroutine.wrap(function() return async.current() end)()
      return async.current()
    end)
    assert.equal(task, task:await())
    assert.equal(task, inside)
    assert.not_equal(task, async.current())
  end)

  it("lists each task that is started and has not ended once, in async.tasks", function()
    local created = async(nothing)()
    local ready, waiting = spawn(nothing), spawn(sleep, 100)
    local times = {}
    for _, task in ipairs(async.tasks()) do times[task] = (times[task] or 0) + 1 end
    assert.equal(1, times[async.current()])
    assert.equal(1, times[ready])
    assert.equal(1, times[waiting])
    assert.is_nil(times[created])
    created:cancel()
    waiting:cancel()
    settle()
    for _, task in ipairs(async.tasks()) do assert.is_true(task ~= ready and task ~= waiting) end
  end)

  it("counts as many tasks in async.tasks as are alive", function()
    assert.equal(host.stats().alive, #async.tasks())
  end)

  it("knows tasks, and cancel errors", function()
    local task = spawn(nothing)
    assert.is_true(async.is_task(task))
    for _, value in ipairs {1, "task", {}, nothing, io.stdout, async.event()} do
      assert.is_false(async.is_task(value))
      assert.is_false(async.is_cancelled(value))
    end
    assert.is_false(async.is_task(nil))
    assert.is_false(async.is_cancelled(nil))
    assert.is_false(async.is_cancelled {kind = "cancelled"})
    task:await()
  end)

  it("gives every task a name, which can be set", function()
    local a, b = spawn(nothing), spawn(nothing)
    assert.is_string(a.name)
    assert.not_equal(a.name, b.name)
    assert.equal(a.name, a.name)
    a.name = "fetch page 1"
    assert.equal("fetch page 1", a.name)
    assert.matches("fetch page 1", tostring(a))
    assert.matches("ready", tostring(a))
    settle()
    assert.equal("fetch page 1", a.name)
    assert.matches("done", tostring(a))
  end)

  it("numbers the names that were not given by the order in which tasks start", function()
    local before, after = spawn(nothing), spawn(nothing)
    local created = async(nothing)()
    assert.equal("task", created.name)
    assert.equal("task (created)", tostring(created))
    local first, second = before.name:match "^task (%d+)$", after.name:match "^task (%d+)$"
    assert.equal(first + 1, tonumber(second))
    spawn(created)
    assert.equal("task " .. math.tointeger(second + 1), created.name)
    created:await()
    assert.equal(("task %d (done)"):format(second + 1), tostring(created))
    local never = async(nothing)()
    never:cancel()
    assert.equal("task (cancelled)", tostring(never))
  end)

  it("refuses other fields, and other names than strings", function()
    local task = spawn(nothing)
    assert.is_nil(task.colour)
    assert_refused("colour", function() task.colour = "red" end)
    assert_refused("string expected", function() task.name = 5 end)
    assert_refused("string expected", function() task.name = nil end)
    assert.is_nil(task[1])
    assert_refused("", function() task[1] = 1 end)
    task:await()
  end)

  it("gives a traceback of where a task waits", function()
    local function waiting_here() sleep(100) end
    local task = spawn(function() waiting_here() end)
    async.yield()
    assert.matches("waiting_here", task:traceback())
    assert.matches("task_spec.lua", task:traceback())
    task:cancel()
    task:pawait()
  end)

  it("gives the traceback of the failure, and none of a task that has not run or did not fail", function()
    local function failing_here() error "no" end
    local failed, done = spawn(function() failing_here() end), spawn(nothing)
    local created = async(nothing)()
    assert.is_nil(failed:traceback())
    failed:pawait()
    done:await()
    assert.matches("failing_here", failed:traceback())
    assert.is_nil(done:traceback())
    assert.is_nil(created:traceback())
    created:cancel()
    assert.is_nil(created:traceback())
  end)

  it("keeps the traceback of the error that ended the task, not of an equal one before", function()
    local function first() error("same", 0) end
    local function second() error("same", 0) end
    local task = spawn(function()
      pcall(async.timeout, 100, first)
      second()
    end)
    task:pawait()
    assert.matches("second", task:traceback())
    assert.not_matches("first", task:traceback())
  end)

  it("makes a daemon with task:daemon, which returns the task", function()
    local task = spawn(sleep, 100)
    assert.equal(task, task:daemon())
    assert.equal(task, task:daemon())
    async.yield()
    task:cancel()
    task:pawait()
    assert.equal(task, task:daemon())
    local created = async(nothing)():daemon()
    created:await()
  end)
end)

describe("a task's end", function()
  it("keeps every result in its place", function()
    local cases = {table.pack(), table.pack(nil), table.pack(false), table.pack(nil, nil), table.pack(nil, 2, nil)}
    for _, case in ipairs(cases) do
      local task = spawn(function() return table.unpack(case, 1, case.n) end)
      assert.same(case, table.pack(task:await()))
      assert.same(case, table.pack(task:await()), "at the second time too")
    end
  end)

  it("keeps thousands of results", function()
    local many = {}
    for i = 1, 10000 do many[i] = i end
    assert.equal(10000, select("#", await(function() return table.unpack(many) end)))
  end)

  it("keeps the error value, whatever it is", function()
    local object = setmetatable({}, {__tostring = function() error "must not be called" end})
    for _, value in ipairs {object, "text", 42, 1.5, true, false, nothing, async.event()} do
      local task = spawn(error, value, 0)
      local ok, err = pcall(await, task)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
      assert.is_true(rawequal(value, select(2, task:pawait())))
    end
  end)

  it("keeps an error that is nil", function()
    local task = spawn(error, nil)
    assert.same({n = 2, false, nil}, table.pack(pcall(await, task)))
    assert.same({n = 2, false, nil}, table.pack(task:pawait()))
    assert.equal("failed", task:status())
  end)

  it("is a failure when the stack overflows, of Lua or of C", function()
    local function deeper() return 1 + deeper() end
    local function through_c(s) return s:gsub(".", through_c) end
    assert.matches("stack overflow", failure(await, deeper))
    assert.matches("stack overflow", failure(await, through_c, "x"))
    assert.equal("fine", await(function() return "fine" end))
  end)

  it("closes variables first, in reverse order, and takes over their error", function()
    local order = {}
    local function closing(name)
      return setmetatable({}, {__close = function() table.insert(order, name) end})
    end
    spawn(function()
      local _ <close> = closing "outer"
      local _ <close> = closing "inner"
    end):await()
    assert.same({"inner", "outer"}, order)
    local raising = setmetatable({}, {__close = function() error("from close", 0) end})
    assert.equal("from close", failure(await, function()
      local _ <close> = raising
      error("from body", 0)
    end))
  end)
end)

describe("recursion", function()
  it("goes through tasks", function()
    local fib
    fib = async(function(n)
      if n < 2 then return n end
      return await(fib(n - 1)) + await(fib(n - 2))
    end)
    assert.equal(610, await(fib(15)))
  end)

  it("goes deep", virtual(function()
    local function down(n)
      if n == 0 then
        sleep(1)
        return 0
      end
      return 1 + await(down, n - 1)
    end
    assert.equal(10000, await(down, 10000))
  end))
end)
