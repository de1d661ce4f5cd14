-- await, task:await, task:pawait and async.run: results, errors, who waits for whom, and what cancelling does to both.
local async = require "muster"
local virtual = require "muster.test".virtual

local await, spawn = async.await, async.spawn

local function nothing() end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function assert_refused(pattern, fn, ...)
  assert.matches(pattern, tostring(failure(fn, ...)))
end

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

local ways = {
  ["await"] = await,
  ["task:await"] = function(task) return task:await() end,
  ["task:pawait"] = function(task) return select(2, task:pawait()) end,
  ["async.run"] = async.run,
}

for name, wait in pairs(ways) do
  describe(name, function()
    it("starts a task that has not started", function()
      assert.equal("result", wait(async(function() return "result" end)()))
    end)

    it("waits for a task that is on its way", virtual(function()
      local task = spawn(function()
        async.sleep(1)
        return "result"
      end)
      assert.equal("result", wait(task))
    end))

    it("returns all results, nils too", function()
      local function results() return nil, 2, nil end
      assert.same({n = 3, nil, 2, nil}, table.pack(wait(async(results)())))
      assert.same({n = 0}, table.pack(wait(async(nothing)())))
      assert.same({n = 1, nil}, table.pack(wait(async(function() return nil end)())))
    end)

    it("does not yield for a task that has finished", function()
      local task = spawn(function() return 1 end)
      task:await()
      local others_ran = false
      spawn(function() others_ran = true end)
      assert.equal(1, wait(task))
      assert.equal(1, wait(task))
      assert.is_false(others_ran)
      async.yield()
    end)

    it("raises in a cancelled task, also when the other one has finished", function()
      local finished = spawn(nothing)
      finished:await()
      local reached = false
      local task = spawn(function()
        async.current():cancel()
        wait(finished)
        reached = true
      end)
      task:pawait()
      assert.is_false(reached)
      assert.equal("cancelled", task:status())
    end)

    it("refuses a task that would await itself, at every stage", function()
      local messages = {}
      local task
      task = spawn(function()
        messages[1] = failure(wait, task)
        async.yield()
        messages[2] = failure(wait, task)
      end)
      task:await()
      assert.matches("await: a task cannot await itself", messages[1])
      assert.matches("await: a task cannot await itself", messages[2])
    end)

    it("serves many tasks that wait for one, in the order they came", function()
      local gate, order = async.event(), {}
      local one = spawn(function()
        gate:wait()
        return "shared"
      end)
      for i = 1, 100 do
        spawn(function() table.insert(order, wait(one) .. i) end)
      end
      settle()
      gate:set()
      settle()
      assert.equal(100, #order)
      for i = 1, 100 do assert.equal("shared" .. i, order[i]) end
    end)
  end)
end

describe("await", function()
  it("runs a plain function as a task of its own", function()
    local current = await(async.current)
    assert.not_equal(async.current(), current)
    assert.equal("done", current:status())
  end)

  it("hands arguments to a plain function, and refuses them for a task", function()
    assert.same({n = 3, nil, 2, nil}, table.pack(await(function(...) return ... end, nil, 2, nil)))
    local task = async(nothing)()
    assert_refused("#2 to '.*await'", await, task, nil)
    assert.equal("created", task:status())
    task:cancel()
  end)

  it("names itself and its argument when it is given something else", function()
    assert_refused("await' .task or function expected, got no value", await)
    for _, value in ipairs {1, "f", true, {}, coroutine.create(nothing)} do
      assert_refused("#1 to '.*await' .task or function expected", await, value)
    end
    assert_refused("#1 to '.*run' .task or function expected", async.run)
    local method = spawn(nothing)
    assert_refused("task expected", method.await)
    assert_refused("task expected", method.pawait, {})
    method:await()
  end)

  it("raises the error again unchanged, each time", function()
    local object = {}
    local task = spawn(error, object)
    settle()
    assert.equal(object, failure(await, task))
    assert.equal(object, failure(await, task))
    assert.equal(object, select(2, task:pawait()))
    local text = failure(await, function() error "where" end)
    assert.matches("^spec/await_spec.lua:%d+: where$", text)
  end)

  it("raises an error through many levels unchanged, and keeps the traceback of the first", function()
    local object = {}
    local function origin() error(object) end
    local inner = async(function() origin() end)()
    local middle = async(function() await(inner) end)()
    assert.equal(object, failure(await, middle))
    assert.matches("origin", inner:traceback())
  end)

  it("works in pcall, xpcall, metamethods, iterators and __close", virtual(function()
    local function later(value)
      async.sleep(1)
      return value
    end
    assert.same({true, 1}, {pcall(await, later, 1)})
    local handled = {xpcall(function()
      await(later)
      error("raised", 0)
    end, function(err) return err .. " and handled" end)}
    assert.same({false, "raised and handled"}, handled)
    local meta = setmetatable({}, {
      __index = function(_, key) return await(later, key) end,
      __add = function(_, n) return await(later, n) end,
      __call = function(_, n) return await(later, n) end,
      __lt = function() return await(later, true) end,
      __concat = function() return await(later, "joined") end,
    })
    assert.same({"field", 5, 6, true, "joined"}, {meta.field, meta + 5, meta(6), meta < meta, meta .. "x"})
    local seen, closed = {}, false
    for value in function(_, last) return last < 3 and await(later, last + 1) or nil end, nil, 0 do
      table.insert(seen, value)
    end
    assert.same({1, 2, 3}, seen)
    do
      local _ <close> = setmetatable({}, {__close = function() closed = await(later, true) end})
    end
    assert.is_true(closed)
  end))

  it("works in a module that is being required", function()
    package.preload["a module that awaits"] = function(name) return {name = await(function() return name end)} end
    finally(function()
      package.preload["a module that awaits"], package.loaded["a module that awaits"] = nil, nil
    end)
    assert.equal("a module that awaits", require "a module that awaits".name)
  end)

  it("says clearly where it cannot wait: in a finalizer", function()
    local task, message = spawn(async.yield), nil
    setmetatable({}, {__gc = function() message = select(2, pcall(await, task)) end})
    collectgarbage()
    assert.truthy(message:find "finalizer")
    task:await()
  end)

  it("runs when called in a row, ten thousand times", function()
    local sum = 0
    for i = 1, 10000 do sum = sum + await(function(x) return x end, i) end
    assert.equal(50005000, sum)
  end)
end)

describe("task:pawait", function()
  it("returns true and the results, or false and the error", function()
    local done, failed = spawn(function() return nil, 2 end), spawn(error, nil)
    assert.same({n = 3, true, nil, 2}, table.pack(done:pawait()))
    assert.same({n = 2, false, nil}, table.pack(failed:pawait()))
    assert.same({n = 1, true}, table.pack(spawn(nothing):pawait()))
  end)

  it("reports a cancelled task", function()
    local task = spawn(async.sleep, 100)
    settle()
    task:cancel "enough"
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.equal("enough", err.reason)
  end)

  it("raises when its own task is cancelled", function()
    local gate = async.event()
    local target, reached = spawn(gate.wait, gate), false
    local other = spawn(function() target:await() end)
    local task = spawn(function()
      target:pawait()
      reached = true
    end)
    settle()
    task:cancel()
    settle()
    assert.is_false(reached)
    assert.equal("cancelled", task:status())
    gate:set()
    other:await()
  end)
end)

describe("cancelling a task that awaits", function()
  it("takes along the one awaited if nobody else wants it, and waits for its end", virtual(function()
    local order = {}
    local inner = async(function()
      local _ <close> = setmetatable({}, {__close = function()
        async.shield(function() async.sleep(5) end)
        table.insert(order, "inner")
      end})
      async.sleep(100)
    end)()
    local outer = spawn(function()
      local _ <close> = setmetatable({}, {__close = function() table.insert(order, "outer") end})
      await(inner)
    end)
    settle()
    local started = async.now()
    outer:cancel()
    outer:pawait()
    assert.same({"inner", "outer"}, order)
    assert.equal(5, async.now() - started)
    assert.equal("cancelled", inner:status())
    assert.equal("cancelled", outer:status())
  end))

  it("spares one that others await too", function()
    local gate = async.event()
    local shared = spawn(function()
      gate:wait()
      return "result"
    end)
    local a, b = spawn(await, shared), spawn(await, shared)
    settle()
    a:cancel()
    a:pawait()
    assert.equal("waiting", shared:status())
    gate:set()
    assert.equal("result", b:await())
    assert.equal("cancelled", a:status())
  end)

  it("raises a real error of the one awaited", function()
    local inner = async(function()
      pcall(async.sleep, 100)
      error("real", 0)
    end)()
    local outer = spawn(await, inner)
    settle()
    outer:cancel()
    assert.equal("real", failure(await, outer))
    assert.equal("failed", outer:status())
  end)

  it("drops a result that comes too late", function()
    local inner = async(function()
      pcall(async.sleep, 100)
      return "late"
    end)()
    local outer = spawn(await, inner)
    settle()
    outer:cancel()
    assert.is_true(async.is_cancelled(failure(await, outer)))
    assert.equal("late", inner:await())
  end)

  it("in the turn in which the other finished is still a cancellation", function()
    local gate = async.event()
    local inner = spawn(function()
      gate:wait()
      return "result"
    end)
    local outer = spawn(await, inner)
    settle()
    gate:set()
    spawn(function() outer:cancel() end)
    outer:pawait()
    assert.equal("cancelled", outer:status())
    assert.equal("result", inner:await())
  end)

  it("raises the reason of its own cancellation, not of the other's", function()
    local outer = spawn(await, async(async.sleep)(100))
    settle()
    outer:cancel "mine"
    assert.equal("mine", failure(await, outer).reason)
  end)

  it("lets go of a task that awaits it in turn", virtual(function()
    local a, b
    a = spawn(function() b:await() end)
    b = spawn(function() a:await() end)
    settle()
    a:cancel()
    async.sleep(1)
    assert.equal("cancelled", a:status())
    assert.equal("cancelled", b:status())
  end))

  it("lets go of a task that gathers it in turn, whichever is cancelled", virtual(function()
    for first = 1, 2 do
      local tasks = {}
      tasks[1] = spawn(function() async.gather {tasks[2]} end)
      tasks[2] = spawn(function() tasks[1]:await() end)
      settle()
      tasks[first]:cancel()
      async.sleep(1)
      assert.equal("cancelled", tasks[1]:status())
      assert.equal("cancelled", tasks[2]:status())
    end
  end))

  it("through a circle with a loop over tasks, which a shield protects, ends the wait", virtual(function()
    local loop
    loop = async.spawn(function()
      return async.shield(function()
        local result
        local function work() return async.move_on_after(1, await, loop) end
        for task in async.as_completed {work} do result = task:await() end
        return result
      end)
    end)
    async.sleep(2)
    assert.equal("done", loop:status())
    assert.is_false(loop:await())
  end))

  it("through a circle of three ends them all", virtual(function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = spawn(function() async.timeout(i, await, tasks[i % 3 + 1]) end)
    end
    async.sleep(10)
    for i = 1, 3 do assert.not_equal("waiting", tasks[i]:status()) end
    for i = 1, 3 do tasks[i]:pawait() end
  end))

  it("ends a chain of ten thousand from its first", virtual(function()
    local started, last = async.now(), nil
    local function link(n)
      if n == 0 then
        last = async.current()
        async.sleep(100)
      end
      await(link, n - 1)
    end
    local first = spawn(link, 10000)
    while not last do async.yield() end
    async.yield()
    first:cancel()
    first:pawait()
    assert.equal("cancelled", first:status())
    assert.equal("cancelled", last:status())
    assert.is_true(async.now() - started < 100)
  end))

  it("ends a chain of ten thousand from its last", function()
    local last
    local function link(n)
      if n > 0 then return await(link, n - 1) end
      last = async.current()
      async.sleep(100)
    end
    local first = spawn(link, 10000)
    while not last do async.yield() end
    async.yield()
    last:cancel "the last"
    local _, err = first:pawait()
    assert.equal("the last", err.reason)
    assert.equal("failed", first:status())
  end)
end)

describe("awaiting a cancelled task", function()
  it("raises its cancel error, before and after its end", function()
    local task = spawn(async.sleep, 100)
    settle()
    local waiter = spawn(await, task)
    settle()
    task:cancel "why"
    assert.equal("why", failure(await, waiter).reason)
    assert.equal("why", failure(await, task).reason)
    assert.equal("failed", waiter:status())
  end)

  it("does not cancel the one who awaits", function()
    local task = spawn(async.sleep, 100)
    settle()
    task:cancel()
    assert.is_true(async.is_cancelled(failure(await, task)))
    async.yield()
    assert.equal("running", async.current():status())
  end)
end)
