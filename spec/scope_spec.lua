-- Cancel scopes: timeout, move_on_after, shield, how they nest, and that cancellation is level-triggered.
local async = require "muster"
local virtual = require "muster.test".virtual

local await, spawn, sleep, timeout, shield = async.await, async.spawn, async.sleep, async.timeout, async.shield
local move_on_after = async.move_on_after

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

--- An `it` on a virtual clock; the body gets a function that tells the seconds since its start.
local function timed(name, body)
  it(name, virtual(function()
    local start = async.now()
    body(function() return async.now() - start end)
  end))
end

local function closing(fn)
  return setmetatable({}, {__close = fn})
end

for name, scope in pairs {timeout = timeout, move_on_after = move_on_after} do
  describe(name, function()
    it("runs the function in the current task, with its arguments", function()
      local function body(...) return select("#", ...), async.current(), ... end
      assert.same({n = 5, 3, async.current(), nil, 2, nil}, table.pack(scope(1, body, nil, 2, nil)))
    end)

    it("returns all results", function()
      assert.same({n = 0}, table.pack(scope(1, nothing)))
      assert.same({n = 3, nil, 2, nil}, table.pack(scope(1, function() return nil, 2, nil end)))
      assert.same({n = 1, false}, table.pack(scope(1, function() return false end)))
    end)

    timed("returns results after waits too", function(elapsed)
      assert.same({n = 2, "a", nil}, table.pack(scope(2, function()
        sleep(1)
        return "a", nil
      end)))
      assert.equal(1, elapsed())
    end)

    it("passes an error on unchanged", function()
      local object = {}
      assert.equal(object, failure(scope, 1, error, object))
      assert.same({n = 2, false, nil}, table.pack(pcall(scope, 1, error, nil)))
      assert.equal(object, failure(scope, 1, function()
        async.yield()
        error(object)
      end))
    end)

    it("with zero seconds stops at the first suspending call, whatever it is", function()
      local finished = spawn(nothing)
      finished:await()
      local reached
      local calls = {
        async.yield, function() sleep(0) end, function() finished:await() end, function() async.gather {} end,
        function() async.semaphore(1):acquire() end, function() async.channel(1):send(1) end,
      }
      for i, call in ipairs(calls) do
        reached = {}
        pcall(scope, 0, function()
          table.insert(reached, "before")
          call()
          table.insert(reached, "after")
        end)
        assert.same({"before"}, reached, "call " .. i)
      end
    end)

    it("with zero seconds lets a function that never suspends finish", function()
      assert.equal("result", scope(0, function() return "result" end))
    end)

    it("is over when it is left", virtual(function()
      scope(1, nothing)
      pcall(scope, 1, error, "no")
      sleep(5)
    end))

    it("may be endless", virtual(function()
      assert.equal("result", scope(math.huge, function()
        sleep(1e9)
        return "result"
      end))
    end))

    it("refuses other seconds than numbers of at least 0, and other things than functions", function()
      assert_refused("#1 to '.*" .. name .. ".*number expected", scope)
      assert_refused("#1 to '.*" .. name .. ".*number expected", scope, nothing, 1)
      assert_refused("#1 to '.*" .. name, scope, -1, nothing)
      assert_refused("#1 to '.*" .. name, scope, 0 / 0, nothing)
      assert_refused("#1 to '.*" .. name, scope, -math.huge, nothing)
      assert_refused("#2 to '.*" .. name .. ".*function expected", scope, 1)
      assert_refused("#2 to '.*" .. name .. ".*function expected", scope, 1, {})
    end)

    it("raises in a cancelled task", function()
      local reached = false
      local task = spawn(function()
        async.current():cancel()
        scope(1, function() reached = true end)
      end)
      task:pawait()
      assert.is_false(reached)
    end)
  end)
end

describe("timeout", function()
  timed("raises an error of kind timeout at its deadline", function(elapsed)
    local err = failure(timeout, 1.5, sleep, 10)
    assert.equal(1.5, elapsed())
    assert.equal("timeout", err.kind)
    assert.equal(1.5, err.seconds)
    assert.is_string(err.message)
    assert.is_boolean(err.retryable)
    assert.matches("1.5", tostring(err))
    assert.is_false(async.is_cancelled(err))
  end)

  it("of zero seconds says so", function()
    local err = failure(timeout, 0, async.yield)
    assert.equal("timeout", err.kind)
    assert.equal(0, err.seconds)
  end)

  timed("raises at every suspending call until it is left, so that pcall cannot swallow it", function(elapsed)
    local errors = {}
    local err = failure(timeout, 1, function()
      for i = 1, 3 do
        local _, e = pcall(sleep, 100)
        errors[i] = e
      end
      async.yield()
    end)
    assert.equal("timeout", err.kind)
    assert.same({err, err, err}, errors)
    assert.is_true(errors[1] == err and errors[3] == err)
    assert.equal(1, elapsed())
  end)

  timed("does not touch a function that swallows it and suspends no more", function()
    assert.equal("swallowed", timeout(1, function()
      pcall(sleep, 100)
      return "swallowed"
    end))
    async.yield()
  end)

  timed("lets a real error of the function win", function()
    assert.equal("real", failure(timeout, 1, function()
      pcall(sleep, 100)
      error("real", 0)
    end))
  end)

  timed("cancels what it awaits, and only that", function(elapsed)
    local inner = async(sleep)(100)
    local err = failure(timeout, 1, await, inner)
    assert.equal("timeout", err.kind)
    assert.equal("cancelled", inner:status())
    assert.equal("running", async.current():status())
    sleep(1)
    assert.equal(2, elapsed())
  end)

  timed("spares a task that others await", function()
    local shared = spawn(function()
      sleep(5)
      return "result"
    end)
    local other = spawn(await, shared)
    settle()
    assert.equal("timeout", failure(timeout, 1, await, shared).kind)
    assert.equal("result", other:await())
  end)

  timed("of the inner scope is an ordinary error for the outer one", function(elapsed)
    local err = failure(timeout, 10, function()
      local inner = failure(timeout, 1, sleep, 100)
      assert.equal(1, inner.seconds)
      sleep(2)
      error("went on", 0)
    end)
    assert.equal("went on", err)
    assert.equal(3, elapsed())
  end)

  timed("of the outer scope passes through the inner one", function(elapsed)
    local inside
    local err = failure(timeout, 1, function()
      local ok, e = pcall(timeout, 10, sleep, 100)
      inside = not ok and e
      async.yield()
    end)
    assert.equal(1, err.seconds)
    assert.equal(err, inside)
    assert.equal(1, elapsed())
  end)

  timed("of the outer scope wins when both are due together", function()
    assert.equal("timeout", failure(timeout, 1, function()
      pcall(timeout, 1, sleep, 100)
      async.yield()
    end).kind)
    assert.is_false(move_on_after(1, timeout, 1, sleep, 100))
  end)

  timed("nests a hundred deep", function(elapsed)
    local function nest(n)
      if n == 0 then return sleep(1000) end
      timeout(n % 7 == 3 and 3 or 100 + n, nest, n - 1)
    end
    assert.equal(3, failure(nest, 100).seconds)
    assert.equal(3, elapsed())
  end)

  timed("in one task leaves another one alone", function(elapsed)
    local other = spawn(function()
      sleep(5)
      return "result"
    end)
    failure(timeout, 1, sleep, 100)
    assert.equal("result", other:await())
    assert.equal(5, elapsed())
  end)

  timed("raised by an awaited task is that task's failure, not the own deadline", function()
    local inner = async(timeout)(1, sleep, 100)
    local err = failure(timeout, 1.5, function()
      local e = failure(await, inner)
      sleep(0.25)
      error(e, 0)
    end)
    assert.equal(1, err.seconds)
    assert.equal("failed", inner:status())
    assert.is_false(pcall(move_on_after, 1, error, err))
  end)

  timed("of a scope that is over can be raised again without harm", function()
    local err = failure(timeout, 1, sleep, 100)
    assert.equal(err, failure(timeout, 1, error, err))
    assert.equal(err, failure(move_on_after, 1, error, err))
  end)

  timed("yields to the cancellation of the task", function(elapsed)
    local task = spawn(timeout, 10, sleep, 100)
    sleep(1)
    task:cancel "enough"
    local _, err = task:pawait()
    assert.equal("enough", err.reason)
    assert.equal("cancelled", task:status())
    assert.equal(1, elapsed())
  end)

  it("is not yielded out of by a coroutine of the script's own", function()
    assert_refused("does not yield out of", coroutine.wrap(function() timeout(1, coroutine.yield) end))
    assert_refused("does not yield out of", coroutine.wrap(function() shield(coroutine.yield) end))
    assert_refused("does not yield out of", coroutine.wrap(function()
      local _ <close> = async.group()
      coroutine.yield()
    end))
    assert.equal(1, coroutine.wrap(function() return timeout(1, function() return 1 end) end)())
  end)

  it("costs nothing that stays, a hundred thousand times", function()
    for _ = 1, 1000 do timeout(1, nothing) end
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 100000 do timeout(1, nothing) end
    collectgarbage()
    assert.is_true(collectgarbage "count" < before + 100)
  end)
end)

describe("move_on_after", function()
  timed("returns false at its deadline", function(elapsed)
    assert.same({n = 1, false}, table.pack(move_on_after(2, sleep, 10)))
    assert.equal(2, elapsed())
  end)

  timed("does not catch a timeout inside it, nor one around it", function(elapsed)
    assert.equal("timeout", failure(move_on_after, 5, timeout, 1, sleep, 100).kind)
    assert.equal("timeout", failure(timeout, 1, move_on_after, 5, sleep, 100).kind)
    assert.equal(2, elapsed())
  end)

  timed("does not catch the cancellation of the task", function()
    local task = spawn(move_on_after, 5, sleep, 100)
    settle()
    task:cancel()
    task:pawait()
    assert.equal("cancelled", task:status())
  end)
end)

describe("cancellation", function()
  it("is raised by every later suspending call, by the same error", function()
    local errors = {}
    local task = spawn(function()
      for i = 1, 5 do
        local _, err = pcall(i % 2 == 0 and async.yield or sleep, 100)
        errors[i] = err
      end
      return "survived"
    end)
    settle()
    task:cancel()
    assert.equal("survived", task:await())
    for i = 1, 5 do
      assert.is_true(async.is_cancelled(errors[i]))
      assert.is_true(rawequal(errors[1], errors[i]))
    end
  end)

  timed("runs to-be-closed variables, which may await in a shield", function(elapsed)
    local steps = {}
    local task = spawn(function()
      local _ <close> = closing(function(_, err)
        table.insert(steps, async.is_cancelled(err) and "outer" or "no error")
      end)
      local _ <close> = closing(function()
        table.insert(steps, select(2, pcall(sleep, 1)).kind)
        shield(function()
          sleep(3)
          table.insert(steps, "shielded")
        end)
      end)
      sleep(100)
    end)
    settle()
    task:cancel()
    task:pawait()
    assert.same({"cancelled", "shielded", "outer"}, steps)
    assert.equal("cancelled", task:status())
    assert.equal(3, elapsed())
  end)

  it("loses against a real error in clean-up", function()
    local task = spawn(function()
      local _ <close> = closing(function() error("in clean-up", 0) end)
      sleep(100)
    end)
    settle()
    task:cancel()
    assert.equal("in clean-up", failure(await, task))
    assert.equal("failed", task:status())
  end)
end)

describe("shield", function()
  it("runs the function in the current task, and returns all its results", function()
    assert.equal(async.current(), shield(async.current))
    assert.same({n = 0}, table.pack(shield(nothing)))
    assert.same({n = 3, nil, 2, nil}, table.pack(shield(function(...) return ... end, nil, 2, nil)))
    local object = {}
    assert.equal(object, failure(shield, error, object))
    assert_refused("function expected", shield)
    assert_refused("function expected", shield, 1)
  end)

  timed("holds a cancellation back until the function has finished", function(elapsed)
    local result, after
    local task = spawn(function()
      result = shield(function()
        sleep(5)
        async.yield()
        return "finished"
      end)
      after = "reached"
      async.yield()
      after = "went on"
    end)
    sleep(1)
    assert.is_true(task:cancel())
    task:pawait()
    assert.equal("finished", result)
    assert.equal("reached", after)
    assert.equal("cancelled", task:status())
    assert.equal(5, elapsed())
  end)

  timed("holds a timeout around it back, but not one inside it", function(elapsed)
    assert.equal("finished", timeout(1, shield, function()
      assert.is_false(move_on_after(2, sleep, 100))
      sleep(1)
      return "finished"
    end))
    assert.equal(3, elapsed())
    assert.equal("timeout", failure(timeout, 1, function()
      shield(sleep, 2)
      async.yield()
    end).kind)
  end)

  timed("nests", function(elapsed)
    local task = spawn(function()
      shield(function()
        shield(sleep, 2)
        sleep(2)
      end)
      async.yield()
    end)
    settle()
    task:cancel()
    task:pawait()
    assert.equal("cancelled", task:status())
    assert.equal(4, elapsed())
  end)

  timed("works in a task that is cancelled already", function()
    local task = spawn(function()
      async.current():cancel()
      local value = shield(function()
        sleep(1)
        return await(function() return "awaited" end)
      end)
      error(value, 0)
    end)
    assert.equal("awaited", failure(await, task))
  end)

  timed("protects what it awaits", function()
    local inner = async(function()
      sleep(5)
      return "result"
    end)()
    local outer = spawn(shield, await, inner)
    settle()
    outer:cancel()
    assert.equal("result", outer:await())
    assert.equal("done", inner:status())
  end)

  timed("is dropped when the function raises", function()
    local task = spawn(function()
      pcall(shield, error, "no")
      sleep(100)
    end)
    settle()
    task:cancel()
    task:pawait()
    assert.equal("cancelled", task:status())
  end)
end)

describe("a group that is open", function()
  it("is not closed from inside a timeout that began after it", virtual(function()
    local g = async.group()
    local ok, err = pcall(async.timeout, 1, function() g:close() end)
    assert.is_false(ok)
    assert.matches("not closed from inside a timeout", err)
    g:close()
  end))
end)
