-- group: runtime/bind/group.c, and what runtime/sched/join.c does for it. Misuse is in options_spec.lua.

local async = require "muster"
local test = require "muster.test"

local virtual = test.virtual
local await, group, sleep = async.await, async.group, async.sleep

local LONG = 1e6 -- seconds that nobody waits for to the end

local function after(seconds, ...)
  local values = table.pack(...)
  return function()
    sleep(seconds)
    return table.unpack(values, 1, values.n)
  end
end

local function failing(seconds, err)
  return function()
    sleep(seconds)
    error(err, 0)
  end
end

-- A function that waits for ever and, once cancelled, takes its time to clean up; then it is in the log.
local function cleaning(seconds, log)
  return function()
    local _ <close> = setmetatable({}, {__close = function()
      async.shield(sleep, seconds)
      log[#log + 1] = seconds
    end})
    sleep(LONG)
  end
end

-- The same, but the clean-up fails.
local function failing_to_clean(seconds, err)
  return function()
    pcall(sleep, LONG)
    async.shield(sleep, seconds)
    error(err, 0)
  end
end

-- The error of a call that has to fail.
local function caught(fn, ...)
  local results = table.pack(pcall(fn, ...))
  assert.is_false(results[1], "expected an error")
  return results[2]
end

-- The errors in the group error that a call has to raise.
local function errors_of(fn, ...)
  local err = caught(fn, ...)
  assert.equal("group", type(err) == "table" and err.kind or err)
  assert.is_string(tostring(err))
  return err.errors
end

-- Registers a spec that must hold in order and for several shuffles of the ready queue.
local function any_order(name, fn)
  it(name, virtual(fn))
  it(name .. ", shuffled", virtual(function()
    for seed = 1, 20 do test.seeded(seed, fn)() end
  end))
end

describe("group", function()
  any_order("waits for its tasks as the scope is left, and keeps what it returns", function()
    local started, log = async.now(), {}
    local function scope()
      local g <close> = group()
      for i = 1, 3 do g:spawn(function() sleep(i) log[i] = true end) end
      return 1, nil, 3
    end
    assert.same({n = 3, 1, nil, 3}, table.pack(scope()))
    assert.same({true, true, true}, log)
    do local _ <close> = group() end -- has none
    assert.near(3, async.now() - started, 1e-6)
  end)

  it("spawns with arguments, at the next turn, and returns the task", virtual(function()
    local got
    local g <close> = group()
    local task = g:spawn(function(...) got = table.pack(...) return ... end, 1, nil, 3, nil)
    assert.is_true(async.is_task(task))
    assert.is_nil(got)
    assert.same({n = 4, 1, nil, 3, nil}, table.pack(await(task)))
    assert.same({n = 4, 1, nil, 3, nil}, got)
  end))

  it("spawns tasks that are new, running and finished", virtual(function()
    local finished, log = async.spawn(after(0)), {}
    sleep(1)
    do
      local g <close> = group()
      local running = async.spawn(after(1))
      assert.equal(running, g:spawn(running))
      assert.equal(finished, g:spawn(finished))
      g:spawn(async(function(x) sleep(2) log[1] = x end)("new"))
    end
    assert.same({"new"}, log)
  end))

  it("holds 100,000 tasks", virtual(function()
    local n = 0
    do
      local g <close> = group()
      for i = 1, 100000 do g:spawn(function() sleep(i % 10) n = n + 1 end) end
    end
    assert.equal(100000, n)
  end))

  it("forgets its tasks as they end", virtual(function()
    local function used()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local g <close> = group()
    local before
    for round = 1, 200 do
      for i = 1, 500 do g:spawn(after(i % 3, {})) end
      g:wait()
      if round == 20 then before = used() end
    end
    assert.is_true(used() - before < 50)
  end))

  any_order("honours a limit", function()
    for _, limit in ipairs {1, 3, 20, 21} do
      local now, most, calls = 0, 0, 0
      do
        local g <close> = group {limit = limit}
        for _ = 1, 20 do
          g:spawn(function()
            now, calls = now + 1, calls + 1
            most = math.max(most, now)
            sleep(1)
            now = now - 1
          end)
        end
      end
      assert.same({math.min(limit, 20), 20}, {most, calls})
    end
  end)

  describe("whose body fails", function()
    any_order("raises that error unchanged, after all have cleaned up", function()
      for _, err in ipairs {{}, "text", 42, false} do
        local log, started = {}, async.now()
        assert.equal(err, caught(function()
          local g <close> = group()
          for _, seconds in ipairs {3, 1, 2} do g:spawn(cleaning(seconds, log)) end
          sleep(1)
          error(err, 0)
        end))
        assert.same({1, 2, 3}, log)
        assert.near(4, async.now() - started, 1e-6)
      end
      local ran
      assert.equal("before they began", caught(function()
        local g <close> = group()
        g:spawn(function() ran = true end)
        error("before they began", 0)
      end))
      assert.is_nil(ran)
    end)
  end)

  describe("with a task that fails", function()
    any_order("cancels the body and the others, waits, and keeps the error", function()
      for _, err in ipairs {{}, "text", 42, false} do
        local log, body, started = {}, nil, async.now()
        local errors = errors_of(function()
          local g <close> = group()
          g:spawn(cleaning(2, log))
          g:spawn(failing(1, err))
          g:spawn(cleaning(3, log))
          body = table.pack(pcall(sleep, LONG))
          assert.is_true(async.is_cancelled(caught(sleep, 0)), "every later call raises too")
        end)
        assert.same({1, true}, {#errors, err == errors[1]})
        assert.is_true(not body[1] and async.is_cancelled(body[2]))
        assert.same({2, 3}, log)
        assert.near(4, async.now() - started, 1e-6)
      end
    end)

    any_order("raises also if the body had ended, or does not wait", function()
      local err, log = {}, {}
      local errors = errors_of(function()
        local g <close> = group()
        g:spawn(failing(1, err))
        g:spawn(cleaning(1, log))
      end)
      assert.equal(err, errors[1])
      assert.same({1}, log)
    end)

    it("raises if the error is nil, or cannot be shown", virtual(function()
      local function raise(err)
        local g <close> = group()
        g:spawn(failing(0, err))
      end
      assert.equal("group", caught(raise, nil).kind)
      assert.matches("^an error in a group", tostring(caught(raise, nil)))
      assert.matches("^an error in a group: text$", tostring(caught(raise, "text")))
      local mute = setmetatable({}, {__tostring = function() error "mute" end})
      assert.equal(mute, errors_of(raise, mute)[1])
      assert.equal(mute, errors_of(raise, setmetatable(mute, {__tostring = function() return nil end}))[1])
    end))

    any_order("raises when the body awaits it", function()
      local err = {}
      assert.equal(err, errors_of(function()
        local g <close> = group()
        await(g:spawn(failing(1, err)))
      end)[1])
    end)

    any_order("keeps the errors of several, of the body, and of clean-ups", function()
      local errors = errors_of(function()
        local _ <close> = setmetatable({}, {__close = function() sleep(0) end}) -- left after the group
        local g <close> = group()
        g:spawn(failing(1, "first"))
        g:spawn(failing_to_clean(2, "second"))
        g:spawn(failing_to_clean(1, "third"))
        local _ <close> = setmetatable({}, {__close = function() error("body", 0) end})
        sleep(LONG)
      end)
      table.sort(errors)
      assert.same({"body", "first", "second", "third"}, errors)
      assert.same({"body", "child"}, errors_of(function()
        local g <close> = group()
        g:spawn(failing_to_clean(1, "child"))
        sleep(1)
        error("body", 0)
      end))
    end)

    any_order("never starts those that wait for the limit, or are spawned later", function()
      local ran, late
      assert.same({"no"}, errors_of(function()
        local g <close> = group {limit = 1}
        g:spawn(failing(1, "no"))
        g:spawn(function() ran = true end)
        pcall(sleep, LONG)
        late = g:spawn(function() ran = true end)
      end))
      assert.is_nil(ran)
      assert.equal("cancelled", late:status())
    end)

    any_order("cancels what is spawned while the body is shielded", function()
      local ended
      assert.same({"no"}, errors_of(function()
        local g <close> = group()
        g:spawn(failing(1, "no"))
        async.shield(function()
          sleep(2)
          g:spawn(function() sleep(1) ended = true end)
          sleep(5)
        end)
      end))
      assert.is_nil(ended)
    end)
  end)

  describe("with a task that is cancelled", function()
    any_order("goes on", function()
      local log = {}
      do
        local g <close> = group()
        local early, late = g:spawn(after(LONG)), g:spawn(after(LONG))
        g:spawn(function() sleep(2) log[1] = "other" end)
        early:cancel()
        sleep(1)
        late:cancel()
        assert.is_false(late:pawait())
        log[2] = "body"
      end
      assert.same({"other", "body"}, log)
    end)

    any_order("fails if its clean-up fails", function()
      assert.same({"clean-up"}, errors_of(function()
        local g <close> = group()
        local task = g:spawn(failing_to_clean(1, "clean-up"))
        sleep(1)
        task:cancel()
        sleep(LONG)
      end))
    end)
  end)

  describe("cancelled from outside", function()
    -- Runs the function in a task that is cancelled after a second; returns its status and error.
    local function cancel(fn)
      local task = async.spawn(fn)
      sleep(1)
      task:cancel "outside"
      local _, err = task:pawait()
      return task:status(), err
    end

    any_order("in its body, or as it is left, cancels its tasks and waits", function()
      for _, seconds in ipairs {0, LONG} do
        local log = {}
        local status, err = cancel(function()
          local g <close> = group()
          g:spawn(cleaning(3, log))
          g:spawn(cleaning(2, log))
          sleep(seconds)
        end)
        assert.same({"cancelled", "outside"}, {status, err.reason})
        assert.same({2, 3}, log)
      end
    end)

    any_order("raises the real error of a clean-up", function()
      local status, err = cancel(function()
        local g <close> = group()
        g:spawn(failing_to_clean(1, "real"))
        sleep(LONG)
      end)
      assert.equal("failed", status)
      assert.same({"group", {"real"}}, {err.kind, err.errors})
    end)

    any_order("waits for tasks that are shielded", function()
      local log = {}
      local status = cancel(function()
        local g <close> = group()
        g:spawn(function() async.shield(sleep, 5) log[1] = "shielded" end)
      end)
      assert.same({"cancelled", "shielded"}, {status, log[1]})
    end)
  end)

  describe("nested", function()
    any_order("raises the inner error as the body's, or as a task's", function()
      local err = {}
      local function inner()
        local g <close> = group()
        g:spawn(failing(1, err))
        sleep(LONG)
      end
      assert.equal(err, errors_of(function()
        local g <close> = group()
        g:spawn(after(LONG))
        inner()
      end)[1])
      local errors = errors_of(function()
        local g <close> = group()
        g:spawn(inner)
        sleep(LONG)
      end)
      assert.same({"group", err}, {errors[1].kind, errors[1].errors[1]})
    end)

    any_order("goes down with the outer one", function()
      local log = {}
      assert.same({"outer"}, errors_of(function()
        local g <close> = group()
        g:spawn(failing(1, "outer"))
        g:spawn(function()
          local h <close> = group()
          h:spawn(cleaning(1, log))
          h:spawn(cleaning(3, log))
        end)
        local h <close> = group()
        h:spawn(cleaning(2, log))
        sleep(LONG)
      end))
      assert.same({1, 2, 3}, log)
    end)

    any_order("leaves the outer one alone if its error is caught", function()
      local log = {}
      do
        local g <close> = group()
        g:spawn(function() sleep(5) log[1] = "outer" end)
        assert.same({"inner"}, errors_of(function()
          local h <close> = group()
          h:spawn(failing(1, "inner"))
        end))
        sleep(1)
        log[2] = "body"
      end
      assert.same({"outer", "body"}, log)
    end)
  end)

  describe("and a timeout", function()
    any_order("around it, in its body or as it is left", function()
      for _, seconds in ipairs {0, LONG} do
        local log, started = {}, async.now()
        local err = caught(async.timeout, 2, function()
          local g <close> = group()
          g:spawn(cleaning(3, log))
          g:spawn(cleaning(1, log))
          sleep(seconds)
        end)
        assert.same({"timeout", 2}, {err.kind, err.seconds})
        assert.same({1, 3}, log)
        assert.near(5, async.now() - started, 1e-6)
        sleep(1)
      end
    end)

    any_order("inside it, in its body or in a task", function()
      local log = {}
      local err = caught(function()
        local g <close> = group()
        g:spawn(cleaning(1, log))
        async.timeout(1, sleep, LONG)
      end)
      assert.same({"timeout", 1}, {err.kind, log[1]})
      local ended
      assert.equal("timeout", errors_of(function()
        local g <close> = group()
        g:spawn(async.timeout, 4, sleep, LONG)
        g:spawn(function() sleep(3) ended = true end)
        assert.is_false(async.move_on_after(1, sleep, LONG)) -- of the body alone
        sleep(LONG)
      end)[1].kind)
      assert.is_true(ended)
    end)

    any_order("around it that passes together with a failure", function()
      local errors = errors_of(async.timeout, 1, function()
        local g <close> = group()
        g:spawn(failing_to_clean(1, "real"))
        sleep(LONG)
      end)
      assert.equal("real", errors[#errors])
    end)
  end)

  describe("as it is left", function()
    it("raises once if closed by hand", virtual(function()
      local g <close> = group()
      g:spawn(failing(1, "no"))
      assert.same({"no"}, errors_of(g.close, g))
    end))

    any_order("lets its tasks spawn as long as one of them runs", function()
      local log = {}
      do
        local g <close> = group()
        g:spawn(function()
          sleep(1)
          log[1] = "child"
          g:spawn(function() sleep(1) log[2] = "grandchild" end)
        end)
      end
      assert.same({"child", "grandchild"}, log)
    end)
  end)

  describe("methods", function()
    any_order("cancel: its tasks, not the body, and it is no error", function()
      local log = {}
      do
        local g <close> = group()
        g:spawn(cleaning(1, log))
        g:spawn(cleaning(2, log))
        sleep(1)
        g:cancel()
        log[#log + 1] = "body"
      end
      assert.same({"body", 1, 2}, log)
    end)

    any_order("cancel: also what is spawned later, had it tasks or not", function()
      for children = 0, 1 do
        local ran
        do
          local g <close> = group()
          for _ = 1, children do g:spawn(after(LONG)) end
          g:cancel()
          g:spawn(function() sleep(0) ran = true end)
        end
        assert.is_nil(ran, children .. " tasks")
      end
    end)

    any_order("wait: for the tasks so far", function()
      local log, g <close> = {}, group()
      for round = 1, 3 do
        g:spawn(function() sleep(1) log[round] = round end)
        g:wait()
        assert.equal(round, #log)
      end
      g:wait()
    end)
  end)
end)
