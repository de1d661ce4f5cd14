-- Waiting inside C functions that call back: each of spec/support/contexts.lua, with each end that a wait can have, and
-- each thing that can be waited for.
local async = require "muster"
local contexts = require "spec.support.contexts"
local luv = require "luv"
local virtual = require "muster.test".virtual

local await, spawn, sleep = async.await, async.spawn, async.sleep

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function closing(fn) return setmetatable({}, {__close = fn}) end

--- Things to wait for. Each is called inside a context, waits, and returns "waited".
local waits = {
  ["sleep"] = function()
    sleep(1)
    return "waited"
  end,
  ["yield"] = function()
    async.yield()
    return "waited"
  end,
  ["a task"] = function()
    return await(function()
      sleep(1)
      return "waited"
    end)
  end,
  ["a task that others await"] = function()
    local task = spawn(sleep, 1)
    local other = spawn(await, task)
    await(task)
    other:await()
    return "waited"
  end,
  ["pawait of one that fails"] = function()
    local ok, err = spawn(function()
      sleep(1)
      error("waited", 0)
    end):pawait()
    return not ok and err
  end,
  ["gather"] = function()
    local function one(i)
      return function()
        sleep(i)
        return i
      end
    end
    assert.same({n = 3, 3, 1, 2}, async.gather {one(3), one(1), one(2)})
    return "waited"
  end,
  ["gather with a limit"] = function()
    assert.same({n = 2, 1, 2}, async.gather({function() return 1 end, function()
      sleep(1)
      return 2
    end}, {limit = 1}))
    return "waited"
  end,
  ["as_completed, left early"] = function()
    local first
    for task, i in async.as_completed {function() sleep(9) end, function() sleep(1) end} do
      first = {task:status(), i}
      if i == 2 then break end
    end
    assert.same({"done", 2}, first)
    return "waited"
  end,
  ["map"] = function()
    return async.map({"x", "waited"}, function(s)
      sleep(1)
      return s
    end, {limit = 1})[2]
  end,
  ["stream"] = function()
    local last
    for value in async.stream({"x", "waited"}, function(s)
      sleep(1)
      return s
    end, {ordered = true}) do
      last = value
    end
    return last
  end,
  ["first"] = function()
    return (async.first {function() sleep(9) end, function()
      sleep(1)
      return "waited"
    end})
  end,
  ["wait"] = function()
    local done = async.wait({function() sleep(1) end}, {timeout = 5})
    return #done == 1 and "waited"
  end,
  ["a group"] = function()
    local result
    do
      local group <close> = async.group()
      group:spawn(function()
        sleep(1)
        result = "waited"
      end)
    end
    return result
  end,
  ["a semaphore"] = function()
    local semaphore = async.semaphore(1)
    local permit = semaphore:acquire()
    spawn(function()
      sleep(1)
      permit:release()
    end)
    return semaphore:with(function() return "waited" end)
  end,
  ["a lock"] = function()
    local lock = async.lock()
    spawn(lock.with, lock, sleep, 1)
    async.yield()
    local _ <close> = lock:acquire()
    return "waited"
  end,
  ["an event"] = function()
    local event = async.event()
    spawn(function()
      sleep(1)
      event:set()
    end)
    event:wait()
    return "waited"
  end,
  ["a condition"] = function()
    local lock = async.lock()
    local condition, result = async.condition(lock), nil
    spawn(function()
      sleep(1)
      local _ <close> = lock:acquire()
      result = "waited"
      condition:notify()
    end)
    local _ <close> = lock:acquire()
    while not result do condition:wait() end
    return result
  end,
  ["a barrier"] = function()
    local barrier = async.barrier(2)
    spawn(barrier.wait, barrier)
    barrier:wait()
    return "waited"
  end,
  ["a channel to receive from"] = function()
    local channel = async.channel()
    spawn(channel.send, channel, "waited")
    return channel:recv()
  end,
  ["a channel to send to"] = function()
    local channel = async.channel()
    local receiver = spawn(channel.recv, channel)
    channel:send "waited"
    return receiver:await()
  end,
  ["a channel to iterate over"] = function()
    local channel, last = async.channel(1), nil
    spawn(function()
      for i = 1, 5 do channel:send(i) end
      channel:send "waited"
      channel:close()
    end)
    for value in channel:iter() do last = value end
    return last
  end,
  ["select"] = function()
    local a, b = async.channel(), async.channel()
    spawn(function()
      sleep(1)
      b:send "waited"
    end)
    local i, value = async.select {a, b, timeout = 5}
    return i == 2 and value
  end,
  ["suspend"] = function()
    return async.suspend(function(resume)
      spawn(function()
        sleep(1)
        resume "waited"
      end)
    end)
  end,
  ["something outside"] = function()
    return async.suspend(function(resume)
      local timer = luv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        resume "waited"
      end)
    end)
  end,
  ["a coroutine that awaits between its yields"] = function()
    local all = {}
    for word in coroutine.wrap(function()
      for _, word in ipairs {"wai", "ted"} do
        sleep(1)
        coroutine.yield(word)
      end
    end) do
      table.insert(all, word)
    end
    return table.concat(all)
  end,
  ["a shield"] = function() return async.shield(function() return sleep(1) or "waited" end) end,
  ["a timeout"] = function() return async.timeout(5, function() return sleep(1) or "waited" end) end,
  ["a timeout that passes"] = function()
    return async.move_on_after(1, sleep, 5) == false and "waited"
  end,
}

local function ticker()
  local ticks = {n = 0}
  local task = spawn(function()
    while true do
      ticks.n = ticks.n + 1
      async.yield()
    end
  end)
  finally(function() task:cancel() end)
  return ticks
end

for name, context in pairs(contexts) do
  describe(name, function()
    for what, wait in pairs(waits) do
      it("waits for " .. what, virtual(function()
        assert.equal("waited", context(wait))
        assert.equal("waited", await(context, wait))
      end))
    end

    it("lets others run meanwhile", virtual(function()
      local ticks = ticker()
      context(function() settle(10) end)
      assert.is_true(ticks.n >= 10)
    end))

    it("raises an error unchanged, also after a wait", virtual(function()
      local object = {}
      assert.equal(object, failure(context, function()
        sleep(1)
        error(object)
      end))
      assert.equal(object, failure(context, function() error(object) end))
      assert.equal("text", failure(await, context, function()
        sleep(1)
        error("text", 0)
      end))
    end))

    it("raises the error of what it awaits", virtual(function()
      local object = {}
      assert.equal(object, failure(context, function()
        await(function()
          sleep(1)
          error(object)
        end)
      end))
    end))

    it("is cancelled with its task, whose variables are closed", virtual(function()
      local closed, reached = {}, false
      local task = spawn(function()
        local _ <close> = closing(function() table.insert(closed, "outer") end)
        context(function()
          local _ <close> = closing(function() table.insert(closed, "inner") end)
          sleep(100)
          reached = true
        end)
        reached = true
      end)
      sleep(1)
      assert.equal("waiting", task:status())
      assert.is_true(task:cancel "enough")
      assert.equal("enough", select(2, task:pawait()).reason)
      assert.equal("cancelled", task:status())
      assert.same({"inner", "outer"}, closed)
      assert.is_false(reached)
    end))

    it("is cancelled in the turn in which its wait is over", virtual(function()
      local event, reached = async.event(), false
      local task = spawn(context, function()
        event:wait()
        reached = true
      end)
      settle()
      event:set()
      task:cancel()
      task:pawait()
      assert.equal("cancelled", task:status())
      assert.is_false(reached)
    end))

    it("is cancelled level by level: each later wait raises, also here", virtual(function()
      local raised = 0
      local task = spawn(function()
        for _ = 1, 3 do
          pcall(context, function()
            raised = raised + (pcall(sleep, 100) and 0 or 1)
            raised = raised + (pcall(sleep, 100) and 0 or 1)
          end)
        end
      end)
      settle()
      task:cancel()
      task:pawait()
      assert.equal(6, raised)
    end))

    it("cleans up in a shield after a cancellation", virtual(function()
      local cleaned
      local task = spawn(context, function()
        local _ <close> = closing(function() cleaned = async.shield(function() return sleep(3) or async.now() end) end)
        sleep(100)
      end)
      settle()
      local started = async.now()
      task:cancel()
      task:pawait()
      assert.equal(3, cleaned - started)
    end))

    it("runs out of time, inside and outside", virtual(function()
      local started = async.now()
      assert.equal("timeout", failure(async.timeout, 2, context, function() sleep(100) end).kind)
      assert.equal("timeout", failure(context, function() async.timeout(2, sleep, 100) end).kind)
      assert.is_false(async.move_on_after(2, context, function() sleep(100) end))
      assert.equal(6, async.now() - started)
    end))

    it("ends with its group", virtual(function()
      local reached = false
      local err = failure(function()
        local group <close> = async.group()
        group:spawn(context, function()
          sleep(100)
          reached = true
        end)
        settle()
        group:spawn(error, "sibling", 0)
        sleep(100)
      end)
      assert.equal("group", err.kind)
      assert.equal("sibling", err.errors[1])
      assert.is_false(reached)
    end))

    it("ends with its gather", virtual(function()
      local closed = false
      assert.equal("sibling", failure(async.gather, {
        function()
          context(function()
            local _ <close> = closing(function() closed = true end)
            sleep(100)
          end)
        end, function()
          sleep(1)
          error("sibling", 0)
        end,
      }))
      assert.is_true(closed)
    end))

    it("works inside itself, and inside each other, and leaves the task as it was", virtual(function()
      for inner, other in pairs(contexts) do
        local result = context(function()
          return other(coroutine.wrap(function() return context(function() return sleep(1) or "deep" end) end))
        end)
        if inner ~= "a hook" or name ~= inner then assert.equal("deep", result) end -- Lua runs none in another
      end
      async.yield()
      assert.equal("running", async.current():status())
    end))

    it("works in many tasks at once, which go on in the order of their deadlines", virtual(function()
      local order = {}
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = function()
          context(function() sleep(i * 7 % 50) end)
          table.insert(order, i * 7 % 50)
        end
      end
      async.gather(tasks)
      for i = 1, 50 do assert.equal(i - 1, order[i]) end
    end))
  end)
end
