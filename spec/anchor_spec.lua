-- What tasks keep from the collector and what they leave to it; their coroutines, which are used again.
local async = require "muster"
local host = require "muster.host"
local virtual = require "muster.test".virtual

local await, spawn, sleep = async.await, async.spawn, async.sleep

local function nothing() end

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

describe("coroutines in a task", function()
  it("are generators as ever", function()
    local function numbers(n)
      return coroutine.wrap(function()
        for i = 1, n do coroutine.yield(i, nil) end
      end)
    end
    local sum = 0
    for i in numbers(100) do
      async.yield()
      sum = sum + i
    end
    assert.equal(5050, sum)
  end)

  it("may be passed from task to task", function()
    local co = coroutine.create(function(...)
      local n = select("#", ...)
      while true do n = n + select("#", coroutine.yield(n)) end
    end)
    local function feed(...)
      async.yield()
      return select(2, assert(coroutine.resume(co, ...)))
    end
    assert.same({1, 3, 3}, {await(feed, nil), await(feed, nil, nil), await(feed)})
    assert.is_true(coroutine.close(co))
  end)

  it("do not let the task itself yield to nobody", function()
    assert.has_error(coroutine.yield, "attempt to yield from outside a coroutine")
    assert.has_error(function() await(coroutine.yield, 1) end, "attempt to yield from outside a coroutine")
  end)

  it("know the one of the task, also when its task has ended", function()
    local co
    local task = spawn(function()
      co = coroutine.running()
      async.yield()
      assert.equal(co, coroutine.running())
      assert.equal("running", coroutine.status(co))
      return "result"
    end)
    async.yield()
    assert.equal("suspended", coroutine.status(co))
    assert.equal("result", task:await())
    for _ = 1, 10 do assert.not_equal(co, await(coroutine.running)) end
  end)

  it("keep a hook to themselves", function()
    spawn(function() debug.sethook(function() error "another task's hook" end, "", 1000000) end):await()
    for _ = 1, 10 do assert.is_nil((await(debug.gethook))) end
  end)
end)

describe("the collector", function()
  local modes = {
    incremental = function() collectgarbage "incremental" end,
    generational = function() collectgarbage "generational" end,
    eager = function() collectgarbage("incremental", 10, 400) end,
  }

  local function back_to_normal() collectgarbage("incremental", 200, 100) end

  for name, set in pairs(modes) do
    it("takes nothing that a task needs: " .. name, virtual(function()
      finally(back_to_normal)
      set()
      local results, channel, n = {}, async.channel(1), 200
      for i = 1, n do
        spawn(function(text)
          sleep(i % 5)
          if i % 50 == 0 then collectgarbage() else collectgarbage("step", 1) end
          local _, again = await(function(t) return {}, t .. "!" end, text)
          channel:send(again)
        end, "task " .. i)
      end
      for _ = 1, n do
        results[channel:recv()] = true
        collectgarbage "step"
      end
      for i = 1, n do assert.is_true(results["task " .. i .. "!"]) end
    end))
  end

  it("leaves a suspended task that nobody holds", virtual(function()
    local finished = false
    spawn(function()
      sleep(10)
      finished = true
    end)
    settle()
    for _ = 1, 3 do collectgarbage() end
    sleep(20)
    assert.is_true(finished)
  end))

  it("takes a task that has ended, with its results, arguments and upvalues", function()
    local seen = setmetatable({}, {__mode = "k"})
    local function mark()
      local object = {}
      seen[object] = true
      return object
    end
    do
      local kept = mark()
      local done = spawn(function(...) return kept, mark(), ... end, mark())
      local failed, cancelled, unstarted = spawn(error, mark()), spawn(sleep, 100, mark()), async(nothing)(mark())
      failed.name = "failed"
      settle()
      cancelled:cancel(mark())
      unstarted:cancel(mark())
      for _, task in ipairs {done, failed, cancelled, unstarted} do
        seen[task] = true
        task:pawait()
      end
    end
    await(nothing) -- what the last one left in a reused coroutine
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("may cancel, by a finalizer, the task that is about to begin", function()
    local tasks, ran, cancelled, alive = {}, {}, {}, host.stats().alive
    for i = 1, 3000 do
      tasks[i] = spawn(function()
        ran[i] = true
        sleep(0)
      end)
    end
    local function cancel_next()
      for i, task in ipairs(tasks) do
        if task:status() == "ready" and not ran[i] then
          cancelled[i] = task:cancel()
          return
        end
      end
    end
    local function arm(n)
      setmetatable({}, {__gc = function()
        cancel_next()
        if n > 0 then arm(n - 1) end
      end})
    end
    arm(20)
    for i, task in ipairs(tasks) do
      task:pawait()
      assert.is_true(not (cancelled[i] and ran[i]), "task " .. i .. " was cancelled and ran")
      assert.equal(cancelled[i] and "cancelled" or "done", task:status())
    end
    assert.equal(alive, host.stats().alive)
  end)

  it("keeps memory flat while a million tasks pass", function()
    local n = 1000000
    local function memory()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local i = 0
    local function items()
      i = i + 1
      return i <= n / 2 and i or nil
    end
    for _ in async.stream({1, 2, 3}, tostring) do async.yield() end
    local before, sum = memory(), 0
    for value in async.stream(items, function(x) return x end) do sum = sum + value end
    for _ = 1, n / 2 do sum = sum + spawn(function() return 1 end):await() end
    assert.equal(n / 4 * (n / 2 + 1) + n / 2, sum)
    assert.is_true(memory() < before + 1000)
  end)
end)
