-- The other ways to wait for many tasks: as_completed (runtime/bind/join.c); gather_settled, first and wait
-- (lua/muster/wait.lua). What they refuse is in options_spec.lua.
-- luacheck: ignore 512 (a loop that is left at once)

local async = require "muster"
local test = require "muster.test"

local virtual = test.virtual
local await, gather, as_completed, sleep = async.await, async.gather, async.as_completed, async.sleep

local LONG = 1e6 -- seconds that nobody waits for to the end

-- A function that waits, then returns the values.
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
local function cleaning(seconds, log, name)
  return function()
    local _ <close> = setmetatable({}, {__close = function()
      async.shield(sleep, seconds)
      log[#log + 1] = name or seconds
    end})
    sleep(LONG)
  end
end

-- A function that counts how many of its calls run at once, in peak.most.
local function counted(peak, seconds)
  peak.now, peak.most, peak.calls = 0, 0, 0
  return function()
    peak.now, peak.calls = peak.now + 1, peak.calls + 1
    peak.most = math.max(peak.most, peak.now)
    sleep(seconds)
    peak.now = peak.now - 1
  end
end

local function times(n, fn)
  local list = {}
  for i = 1, n do list[i] = fn end
  return list
end

-- The error of a call that has to fail.
local function caught(fn, ...)
  local results = table.pack(pcall(fn, ...))
  assert.is_false(results[1], "expected an error")
  return results[2]
end

local function statuses(tasks)
  local list = {}
  for i, task in ipairs(tasks) do list[i] = task:status() end
  return table.concat(list, " ")
end

-- What a script prints, standard error included; for what may crash, or is seen only at the end of a program.
local function output_of(script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("local async = require 'muster'\nrequire('muster.host').virtual(true)\n", script)
  file:close()
  local pipe = io.popen(("%s --slow 0 %s 2>&1"):format(os.getenv "MUSTER" or "build/muster", path))
  local text = pipe:read "a"
  pipe:close()
  os.remove(path)
  return text
end

-- Registers a spec that must hold in order and for several shuffles of the ready queue.
local function any_order(name, fn)
  it(name, virtual(fn))
  it(name .. ", shuffled", virtual(function()
    for seed = 1, 20 do test.seeded(seed, fn)() end
  end))
end

describe("as_completed", function()
  -- The order in which indices are delivered.
  local function order(list, options)
    local indices = {}
    for task, i in as_completed(list, options) do
      if async.is_task(list[i]) then assert.equal(list[i], task) end
      assert.matches("^[dfc]", task:status())
      indices[#indices + 1] = i
    end
    return indices
  end

  any_order("delivers nothing, one or several, as they end", function()
    local started = async.now()
    for task in as_completed {after(1), after(2), after(3)} do -- which the loop does not hold up
      sleep(1)
      await(task)
    end
    assert.near(4, async.now() - started, 1e-6)
    assert.same({}, order {})
    assert.same({1}, order {after(1)})
    assert.same({2, 3, 1}, order {after(3), after(1), after(2)})
    assert.same({2, 3, 1}, order {async.spawn(after(3)), async(after(1))(), after(2)})
  end)

  it("delivers 100,000, each once", virtual(function()
    local list, seen, n = {}, {}, 0
    for i = 1, 100000 do list[i] = after(i % 10, i) end
    for task, i in as_completed(list) do
      n = n + 1
      if seen[i] or await(task) ~= i then error("wrong index " .. i) end
      seen[i] = true
    end
    assert.equal(100000, n)
  end))

  it("delivers tasks with all their results", virtual(function()
    for task in as_completed {after(1, 1, nil, 3, nil)} do
      assert.same({n = 4, 1, nil, 3, nil}, table.pack(await(task)))
    end
  end))

  it("delivers what had ended before, and a task listed twice", virtual(function()
    local done, cancelled = async.spawn(after(0)), async.spawn(after(LONG))
    cancelled:cancel()
    sleep(1)
    assert.same({2, 3, 4, 1, 5}, order {async.spawn(after(1)), done, cancelled, done, after(2)})
  end))

  any_order("honours a limit", function()
    for _, limit in ipairs {1, 3, 20, 21} do
      local peak = {}
      order(times(20, counted(peak, 1)), {limit = limit})
      assert.equal(20, peak.calls)
      assert.equal(math.min(limit, 20), peak.most)
    end
  end)

  describe("left early", function()
    local failure = {}
    local ways = {
      ["by break"] = function(list)
        for _ in as_completed(list) do break end
        return "out"
      end,
      ["by return"] = function(list)
        for _ in as_completed(list) do return "out" end
      end,
      ["by an error, unchanged,"] = function(list)
        assert.equal(failure, caught(function()
          for _ in as_completed(list) do error(failure) end
        end))
        return "out"
      end,
      ["by a goto out of nested loops"] = function(list)
        for _ in as_completed {after(0), after(LONG)} do
          for _ in as_completed(list) do goto out end
        end
        ::out:: do return "out" end
      end,
    }
    for name, leave in pairs(ways) do
      any_order(name .. " cancels what is left, and waits for all of it", function()
        local log, started = {}, async.now()
        assert.equal("out", leave {after(1), cleaning(3, log), cleaning(1, log), cleaning(4, log), cleaning(2, log)})
        assert.same({1, 2, 3, 4}, log)
        assert.near(5, async.now() - started, 1e-6)
      end)
    end

    any_order("by the error of a task that it awaits", function()
      local log, err = {}, {}
      local got = caught(function()
        for task in as_completed {failing(1, err), cleaning(1, log), cleaning(2, log)} do await(task) end
      end)
      assert.equal(err, got)
      assert.same({1, 2}, log)
    end)

    any_order("by a timeout or a cancellation", function()
      local log = {}
      local function loop()
        for task in as_completed {after(0), cleaning(1, log), cleaning(2, log)} do await(task) end
      end
      assert.equal("timeout", caught(async.timeout, 1, loop).kind)
      assert.same({1, 2}, log)
      local task = async.spawn(loop)
      sleep(1)
      task:cancel()
      task:pawait()
      assert.same({1, 2, 1, 2}, log)
      assert.equal("cancelled", task:status())
    end)

    any_order("waits for clean-up also if cancelled meanwhile", function()
      local log = {}
      local task = async.spawn(function()
        for _ in as_completed {after(0), cleaning(5, log), cleaning(6, log)} do break end
        log[#log + 1] = "out"
        sleep(0)
        log[#log + 1] = "never"
      end)
      sleep(1)
      task:cancel()
      task:pawait()
      assert.same({5, 6, "out"}, log)
    end)

    any_order("never starts the others of a limit", function()
      local peak = {}
      local list = times(10, async(counted(peak, 1)))
      for i, make in ipairs(list) do list[i] = make() end
      for _ in as_completed(list, {limit = 2}) do break end
      assert.is_true(peak.calls <= 4)
      assert.matches("cancelled$", statuses(list))
    end)

    it("cancels 100,000", virtual(function()
      local list = times(100000, after(LONG))
      list[70000] = after(1)
      for _, i in as_completed(list) do
        assert.equal(70000, i)
        break
      end
    end))
  end)

  describe("with tasks that fail", function()
    any_order("delivers them, and the others go on", function()
      local err, results = {}, {}
      for task, i in as_completed {after(1, "a"), failing(2, err), after(3, "c")} do
        results[i] = {task:pawait()}
      end
      assert.same({{true, "a"}, {false, err}, {true, "c"}}, results)
    end)

    it("reports those that nobody awaited", function()
      local text = output_of [[
        for task, i in async.as_completed {function() error "unseen" end, function() error "seen" end} do
          if i == 2 then task:pawait() end
        end
        print "over"
      ]]
      assert.matches("over\n.*unhandled error in .*unseen", text)
      assert.is_nil(text:find(" seen"))
    end)
  end)

  describe("as an iterator", function()
    it("returns nothing after the end, as often as it is called", virtual(function()
      local next_task, join = as_completed {after(1)}
      assert.equal(1, select(2, next_task(join)))
      for _ = 1, 3 do assert.is_nil(next_task(join)) end
    end))

    any_order("may be shared by two consumers", function()
      local list, seen = {}, {}
      for i = 1, 100 do list[i] = after(i // 10) end
      local next_task, join = as_completed(list)
      local function consume()
        for _, i in next_task, join do
          seen[i] = (seen[i] or 0) + 1
          sleep(0.1)
        end
      end
      gather {consume, consume, consume}
      assert.same(times(100, 1), seen)
    end)

    any_order("passes to another consumer what a cancelled one would have got", function()
      local next_task, join = as_completed {after(1)}
      local first = async.spawn(next_task, join)
      local second = async.spawn(function() return select(2, next_task(join)) end)
      async.spawn(function() sleep(1); first:cancel() end)
      sleep(2)
      assert.equal(1, first:status() == "cancelled" and second:await() or select(2, first:await()))
    end)

    it("may be forgotten", function()
      local text = output_of [[
        async.as_completed {function() end, function() end}
        async.spawn(function() collectgarbage(); collectgarbage() end)
        local a, b, c, d = 1, 2, 3, 4
        async.yield()
        async.yield()
        async.as_completed {function() async.sleep(1) end, function() collectgarbage() end}
        async.sleep(2)
        print(a + b + c + d)
      ]]
      assert.equal("10\n", text)
    end)
  end)
end)

describe("gather_settled", function()
  any_order("never raises for a task", function()
    local err = {}
    local cancelled = async.spawn(after(LONG))
    cancelled:cancel "why"
    local results = async.gather_settled {after(3, "a", "b"), failing(1, err), after(2), failing(1, nil), cancelled}
    assert.equal("why", results[5].error.reason)
    results[5].error = nil
    assert.same({n = 5, {ok = true, value = "a"}, {ok = false, error = err}, {ok = true}, {ok = false}, {ok = false}},
      results)
    assert.equal(err, results[2].error)
  end)

  it("takes none, one and many, false, a task twice, and a limit", virtual(function()
    assert.same({n = 0}, async.gather_settled {})
    assert.same({n = 1, {ok = true, value = false}}, async.gather_settled {after(1, false)})
    local peak = {}
    assert.equal(20, async.gather_settled(times(20, counted(peak, 1)), {limit = 3}).n)
    assert.equal(3, peak.most)
    local list = {}
    for i = 1, 20000 do list[i] = i % 2 == 0 and after(1, i) or failing(1, i) end
    local results = async.gather_settled(list)
    assert.same({20000, {ok = true, value = 20000}}, {results.n, results[20000]})
    assert.same({ok = false, error = 19999}, results[19999])
    local task = async.spawn(after(1, 5))
    assert.same({5, 5}, {async.gather_settled {task, task}[1].value, async.gather_settled({task})[1].value})
  end))

  any_order("cancelled from outside cancels its tasks, and waits for them", function()
    local log = {}
    local task = async.spawn(async.gather_settled, {cleaning(2, log), cleaning(3, log), after(0)})
    sleep(1)
    task:cancel()
    task:pawait()
    assert.same({2, 3}, log)
    assert.equal("cancelled", task:status())
  end)
end)

describe("first", function()
  any_order("returns the winner's values and its index", function()
    assert.same({n = 3, "a", "b", 2}, table.pack(async.first {after(2), after(1, "a", "b"), after(3)}))
    assert.same({n = 2, nil, 1}, table.pack(async.first {after(1), after(2)}))
    assert.same({n = 3, nil, nil, 1}, table.pack(async.first {after(1, nil, nil)}))
    assert.same({n = 2, false, 1}, table.pack(async.first {after(1, false), failing(2, "late")}))
  end)

  any_order("cancels the others, and waits for their clean-up", function()
    local log, started = {}, async.now()
    assert.equal("won", (async.first {cleaning(3, log), after(1, "won"), cleaning(1, log), cleaning(2, log)}))
    assert.same({1, 2, 3}, log)
    assert.near(4, async.now() - started, 1e-6)
  end)

  any_order("raises a failure that comes first, unchanged", function()
    local log, err = {}, {}
    assert.equal(err, caught(async.first, {cleaning(2, log), failing(1, err), cleaning(1, log)}))
    assert.same({1, 2}, log)
    assert.is_nil(caught(async.first, {failing(1, nil), after(2)}))
  end)

  it("takes a task that has ended, the first in the list of several", virtual(function()
    local one, two = async.spawn(after(0, "one")), async.spawn(after(0, "two"))
    sleep(1)
    assert.same({"two", 2}, {async.first {after(LONG), two, one}})
    assert.same({"one", 1}, {async.first {one, one}})
  end))

  any_order("cancelled from outside cancels all, and waits for them", function()
    local log = {}
    local task = async.spawn(async.first, {cleaning(2, log), cleaning(3, log)})
    sleep(1)
    task:cancel()
    task:pawait()
    assert.same({2, 3}, log)
    assert.equal("timeout", caught(async.timeout, 1, async.first, {cleaning(5, log), after(LONG)}).kind)
    assert.same({2, 3, 5}, log)
  end)
end)

describe("wait", function()
  -- The indices in the list of the tasks that async.wait returns: done, pending.
  local function wait(list, options)
    local index, lists = {}, {async.wait(list, options)}
    for i = #list, 1, -1 do index[list[i]] = i end
    for _, tasks in ipairs(lists) do
      for i, task in ipairs(tasks) do tasks[i] = index[task] end
    end
    assert.equal(2, #lists)
    return lists[1], lists[2]
  end

  local made = {}

  local function end_all()
    for _, task in ipairs(made) do
      task:cancel()
      if task:status() == "failed" then task:pawait() end
    end
    made = {}
  end

  -- Started tasks that end after as many seconds, with an error if negative. None outlives the spec.
  local function tasks_of(list)
    for i, seconds in ipairs(list) do
      list[i] = async.spawn(seconds < 0 and failing(-seconds, "failure") or after(seconds))
      made[#made + 1] = list[i]
    end
    finally(end_all)
    return list
  end

  it("returns at once for an empty list", virtual(function()
    for _, mode in ipairs {"all", "first", "first_error"} do
      local done, pending = async.wait({}, {mode = mode})
      assert.same({{}, {}}, {done, pending})
    end
  end))

  it("starts functions and tasks, and returns tasks in order", virtual(function()
    local list = {after(2, "a"), async(after(1, "b"))(), async.spawn(after(3, "c"))}
    local done, pending = async.wait(list)
    assert.same({"a", "b", "c", n = 3}, gather(done))
    assert.same({}, pending)
    assert.equal(list[2], done[2])
  end))

  it("waits for all by default, failed or not", virtual(function()
    local list, started = tasks_of {3, -1, 2, -2}, async.now()
    list[3]:cancel()
    assert.same({1, 2, 3, 4}, (wait(list)))
    assert.near(3, async.now() - started, 1e-6)
    assert.same({1, 2, 3, 4}, (wait(list, {mode = "all"})))
  end))

  it("returns with the first, or with the first error", virtual(function()
    local list = tasks_of {4, 1, -3, -2}
    assert.same({{2}, {1, 3, 4}}, {wait(list, {mode = "first"})})
    assert.same({{2, 4}, {1, 3}}, {wait(list, {mode = "first_error"})})
    assert.same({{2, 4}, {1, 3}}, {wait(list, {mode = "first"})})
    assert.same({{1, 2}, {}}, {wait({list[1], list[2]}, {mode = "first_error"})})
    assert.same({{2, 3}, {1}}, {wait(tasks_of {2, 1, 1}, {mode = "first"})}) -- all that have ended by then
  end))

  it("gives up after the timeout, and cancels nothing", virtual(function()
    local list, started = tasks_of {1, 5, 9}, async.now()
    assert.same({{}, {1, 2, 3}}, {wait(list, {timeout = 0})})
    assert.equal(started, async.now())
    assert.same({{1}, {2, 3}}, {wait(list, {timeout = 3.5})})
    assert.near(3.5, async.now() - started, 1e-6)
    assert.same({{1, 2, 3}, {}}, {wait(list, {timeout = math.huge})})
    assert.same({{1, 2, 3}, {}}, {wait(list, {timeout = 0})})
    assert.equal("done done done", statuses(list))
  end))

  it("cancels nothing when it is cancelled", virtual(function()
    local list = tasks_of {3, 3}
    local waiter = async.spawn(async.wait, list)
    assert.is_false(async.move_on_after(1, async.wait, list))
    waiter:cancel()
    waiter:pawait()
    assert.equal("cancelled waiting waiting", statuses {waiter, table.unpack(list)})
    sleep(5)
    assert.equal("done done", statuses(list))
  end))

  it("takes a task twice, and leaves failures to be observed", virtual(function()
    local task = async.spawn(failing(1, "err"))
    assert.same({{task, task}, {}}, {async.wait {task, task}})
    assert.same({false, "err"}, {task:pawait()})
  end))

  it("leaves nothing on the tasks that are pending", virtual(function()
    local list = tasks_of {LONG}
    async.wait(list, {timeout = 0})
    local waiter = async.spawn(function() list[1]:await() end)
    sleep(1)
    waiter:cancel() -- the only one who awaits the task, which goes down with it
    waiter:pawait()
    assert.equal("cancelled cancelled", statuses {waiter, list[1]})
  end))

  it("in a loop does not grow memory", virtual(function()
    local list = tasks_of {LONG, LONG}
    local function used()
      for _ = 1, 2000 do async.wait(list, {timeout = 1}) end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    used()
    local before = used()
    assert.is_true(used() - before < 20)
  end))
end)
