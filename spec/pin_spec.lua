-- Pinned tasks and the scheduler: order, joins, many at once, stacks that go back, the collector, depth.
-- What can be waited for where is in pin_contexts_spec.lua; how programs end, in pin_program_spec.lua.
local async = require "muster"
local host = require "muster.host"
local test = require "muster.test"
local virtual = test.virtual

local spawn, sleep = async.spawn, async.sleep

--- Calls fn inside a C function that Lua cannot yield across.
local function pin(fn, ...)
  local results, arguments = nil, table.pack(...)
  string.gsub("x", "x", function() results = table.pack(fn(table.unpack(arguments, 1, arguments.n))) end)
  return table.unpack(results, 1, results.n)
end

local function pinned(fn)
  return function(...) return pin(fn, ...) end
end

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function range(n, fn)
  local list = {}
  for i = 1, n do list[i] = fn(i) end
  return list
end

--- A sorted copy, by a comparator that waits now and then.
local function slow_sort(list, every)
  local copy, calls = table.move(list, 1, #list, 1, {}), 0
  table.sort(copy, function(a, b)
    calls = calls + 1
    if calls % every == 0 then sleep(calls % 5) end
    return a < b
  end)
  return copy
end

describe("pinned tasks", function()
  it("are woken first in, first out, among those that are not pinned", function()
    local event, order = async.event(), {}
    local tasks = range(100, function(i)
      local wait = i % 3 == 0 and event.wait or pinned(event.wait)
      return spawn(function()
        wait(event)
        table.insert(order, i)
      end)
    end)
    settle()
    event:set()
    async.gather(tasks)
    for i = 1, 100 do assert.equal(i, order[i]) end
  end)

  it("take turns by yield, as all others do", function()
    local order = {}
    async.gather(range(6, function(i)
      local yield = i % 2 == 0 and async.yield or pinned(async.yield)
      return function()
        for _ = 1, 20 do
          table.insert(order, i)
          yield()
        end
      end
    end))
    for k, i in ipairs(order) do assert.equal((k - 1) % 6 + 1, i) end
  end)

  it("end in any order, whatever the order in which they began to wait", virtual(function()
    local random, order = 7, {}
    local tasks = range(200, function(i)
      random = random * 16807 % 2147483647
      local at = random % 1000 + i / 1000
      return function()
        pin(sleep, at)
        table.insert(order, at)
      end
    end)
    async.gather(tasks)
    assert.equal(200, #order)
    for i = 2, 200 do assert.is_true(order[i - 1] <= order[i]) end
  end))

  it("can be a thousand at once", virtual(function()
    local waiting, most, stacks = 0, 0, 0
    local list = async.gather(range(1000, function(i)
      return function()
        return pin(function()
          waiting = waiting + 1
          most, stacks = math.max(most, waiting), math.max(stacks, host.stats().stacks)
          sleep(i % 10)
          waiting = waiting - 1
          return i
        end)
      end
    end))
    assert.equal(1000, most)
    assert.is_true(stacks >= 1000)
    for i = 1, 1000 do assert.equal(i, list[i]) end
  end))

  it("give their stacks back after a burst", virtual(function()
    async.gather(range(100, function() return pinned(function() sleep(1) end) end))
    assert.is_true(host.stats().stacks > 100)
    for _ = 1, 100 do sleep(60) end
    assert.is_true(host.stats().stacks < 10, host.stats().stacks .. " stacks")
  end))

  it("are only those that must be: all others wait without a stack", virtual(function()
    for _ = 1, 100 do sleep(60) end -- until few stacks are left of what was before
    local places = {
      function(fn) fn() end,
      function(fn) coroutine.wrap(fn)() end,
      function(fn) coroutine.wrap(function() coroutine.wrap(fn)() end)() end,
    }
    local blocker = spawn(coroutine.wrap(function() pin(coroutine.wrap(function() pin(sleep, 1000) end)) end))
    for i = 1, 100 do
      spawn(function()
        sleep(i)
        places[i % 3 + 1](function()
          pin(async.yield)
          sleep(500)
        end)
      end)
    end
    sleep(200)
    assert.equal("waiting", blocker:status())
    assert.is_true(host.stats().stacks <= 5, host.stats().stacks .. " stacks")
    sleep(1000)
  end))

  it("sort by a comparator that waits, a hundred tasks at once", virtual(function()
    local lists = range(100, function(k)
      return range(50, function(i) return (i * 7919 + k * 104729) % 1009 end)
    end)
    for k, sorted in ipairs(async.map(lists, function(list) return slow_sort(list, 3) end)) do
      table.sort(lists[k])
      assert.same(lists[k], sorted)
    end
  end))

  it("wait thousands of times, in a few stacks", virtual(function()
    local before = host.stats().stacks
    async.gather(range(3, function()
      return function()
        for _ = 1, 5000 do pin(async.yield) end
      end
    end))
    assert.is_true(host.stats().stacks <= math.max(before, 5))
  end))

  it("nest in coroutines, deep: each level goes on where it was", virtual(function()
    local function level(n)
      if n == 0 then
        sleep(1)
        return "bottom"
      end
      return n % 3 == 0 and pin(level, n - 1)
        or n % 3 == 1 and coroutine.wrap(level)(n - 1)
        or select(2, pcall(level, n - 1))
    end
    for _, result in ipairs(async.gather(range(20, function(i) return function() return level(i) end end))) do
      assert.equal("bottom", result)
    end
  end))

  it("feed a consumer from generators that are pinned between their yields", virtual(function()
    local function generator(n)
      return coroutine.wrap(function()
        for i = 1, n do
          pin(sleep, 1)
          coroutine.yield(i)
        end
      end)
    end
    local sums = async.map(range(10, function(i) return i end), function(n)
      local sum = 0
      for i in generator(n) do sum = sum + i end
      return sum
    end)
    for i = 1, 10 do assert.equal(i * (i + 1) / 2, sums[i]) end
  end))

  it("refuse a coroutine that is on the stack of one of them to all others", function()
    local event, co = async.event(), nil
    local task = spawn(function()
      co = coroutine.create(pinned(function() event:wait() end))
      assert(coroutine.resume(co))
    end)
    settle()
    assert.equal("normal", coroutine.status(co))
    assert.same({false, "cannot resume non-suspended coroutine"}, {coroutine.resume(co)})
    assert.matches("cannot close a normal coroutine", failure(coroutine.close, co))
    event:set()
    task:await()
    assert.equal("dead", coroutine.status(co))
  end)

  it("refuse their own coroutine to all others", function()
    local event, co = async.event(), nil
    local task = spawn(pinned(function()
      co = coroutine.running()
      event:wait()
    end))
    settle()
    assert.is_false((coroutine.resume(co)))
    assert.is_false((pcall(coroutine.close, co)))
    assert.matches("wait", debug.traceback(co))
    event:set()
    task:await()
    assert.equal("dead", coroutine.status(co))
  end)

  it("show where they wait", function()
    local event = async.event()
    local task = spawn(function()
      table.sort({1, 2}, function() event:wait() end)
    end)
    settle()
    assert.matches("pin_spec.lua:%d+:.-'table.sort'\n.-pin_spec.lua:%d+:", task:traceback())
    assert.equal("waiting", task:status())
    task:cancel()
    task:pawait()
  end)

  it("come in every order of a shuffled queue", virtual(function()
    test.explore(virtual(function()
      local results = async.gather(range(10, function(i)
        return function()
          pin(async.yield)
          return pin(function()
            sleep(i % 3)
            return i
          end)
        end
      end))
      for i = 1, 10 do assert.equal(i, results[i]) end
    end), {runs = 50})
  end))
end)

describe("a task that is pinned in its first slice", function()
  --- Functions that are pinned at once until `gate` opens, then return their index.
  local function waiters(n, gate, begun)
    return range(n, function(i)
      return pinned(function()
        begun[i] = true
        gate:wait()
        return i
      end)
    end)
  end

  local joins = {
    gather = function(list) return async.gather(list) end,
    gather_settled = function(list)
      local settled = async.gather_settled(list)
      return range(#list, function(i) return settled[i].value end)
    end,
    as_completed = function(list)
      local results = {}
      for task, i in async.as_completed(list) do results[i] = task:await() end
      return results
    end,
    wait = function(list)
      local results = {}
      for i, task in ipairs((async.wait(list))) do results[i] = task:await() end
      return results
    end,
    map = function(list) return async.map(list, function(fn) return fn() end) end,
    ["map of an iterator"] = function(list)
      local i = 0
      return async.map(function()
        i = i + 1
        return list[i]
      end, function(fn) return fn() end)
    end,
    stream = function(list)
      local results = {}
      for value, i in async.stream(list, function(fn) return fn() end) do results[i] = value end
      return results
    end,
    group = function(list)
      local results = {}
      local group <close> = async.group()
      for i, fn in ipairs(list) do group:spawn(function() results[i] = fn() end) end
      group:wait()
      return results
    end,
  }

  for name, join in pairs(joins) do
    it("does not keep the others of a " .. name .. " from starting", virtual(function()
      local gate, begun = async.event(), {}
      local joined = spawn(join, waiters(30, gate, begun))
      settle(20)
      if name == "map" or name == "stream" or name == "map of an iterator" then
        assert.is_true(#begun > 1)
      else
        assert.equal(30, #begun)
      end
      gate:set()
      local results = joined:await()
      for i = 1, 30 do assert.equal(i, results[i]) end
    end))

    it("leaves nothing when the " .. name .. " is cancelled", virtual(function()
      local joined = spawn(join, waiters(30, async.event(), {}))
      settle(3)
      joined:cancel()
      joined:pawait()
      assert.equal("cancelled", joined:status())
      if name == "wait" then -- which cancels nothing
        for _, task in ipairs(async.tasks()) do
          if task ~= async.current() then task:cancel() end
        end
      end
    end))
  end

  it("counts for the limit of its join", virtual(function()
    local gate, begun = async.event(), {}
    local joined = spawn(async.gather, waiters(30, gate, begun), {limit = 4})
    settle(20)
    assert.equal(4, #begun)
    gate:set()
    assert.equal(30, #joined:await())
  end))

  it("fails its join, of which some have not started", virtual(function()
    local started = 0
    local err = failure(async.gather, range(20, function(i)
      return pinned(function()
        started = started + 1
        sleep(i)
        error("task " .. i, 0)
      end)
    end), {limit = 3})
    assert.equal("task 1", err)
    assert.equal(3, started)
  end))

  it("may end while the join is in another's hands, with hundreds on the way", virtual(function()
    local results = async.gather(range(3000, function(i)
      return function()
        if i % 3 == 0 then pin(async.yield) end
        if i % 5 == 0 then sleep(0.1) end
        if i % 7 == 0 then pin(sleep, 0.1) end
        return i
      end
    end))
    for i = 1, 3000 do assert.equal(i, results[i]) end
  end))

  it("may start joins of its own", virtual(function()
    local function tree(depth)
      if depth == 0 then
        pin(sleep, 1)
        return 1
      end
      local counts = pin(async.gather, range(3, function() return function() return tree(depth - 1) end end))
      return counts[1] + counts[2] + counts[3]
    end
    assert.equal(243, tree(5))
  end))
end)
