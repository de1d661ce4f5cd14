-- gather: runtime/sched/join.c, runtime/bind/join.c. (as_completed: wait_spec.lua; options: options_spec.lua.)

local async = require "muster"
local host = require "muster.host"
local test = require "muster.test"

local virtual = test.virtual
local await, gather, sleep = async.await, async.gather, async.sleep

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

-- The same, but the clean-up fails.
local function failing_to_clean(seconds, err)
  return function()
    pcall(sleep, LONG)
    async.shield(sleep, seconds)
    error(err, 0)
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

describe("gather", function()
  describe("results", function()
    it("are an empty list for an empty list, at once", virtual(function()
      local ran
      local other = async.spawn(function() ran = true end)
      assert.same({n = 0}, gather {})
      assert.is_nil(ran)
      await(other)
    end))

    it("are an empty list for no arguments", function()
      assert.equal("0\n", output_of "print(async.gather().n)")
    end)

    any_order("are in input order, whatever the order of ends", function()
      local started = async.now()
      local results = gather {after(3, "a"), after(1, "b"), after(2, "c")}
      assert.same({"a", "b", "c", n = 3}, results)
      assert.near(3, async.now() - started, 1e-6)
    end)

    any_order("keep their places when they are nil or false", function()
      local results = gather {after(0), after(0, nil), after(0, false), function() end, after(0, "last")}
      assert.equal(5, results.n)
      assert.is_false(results[3])
      assert.equal("last", results[5])
      for _, i in ipairs {1, 2, 4} do assert.is_nil(results[i]) end
    end)

    it("are the first values only", virtual(function()
      assert.same({1, n = 3}, gather {after(0, 1, 2, 3), after(0, nil, 2), function() return nil, 2 end})
    end))

    it("of varargs are those of a list", virtual(function()
      local double = async(function(x) return 2 * x end)
      assert.same({1, 4, n = 2}, gather(after(1, 1), double(2)))
      assert.same({7, n = 1}, gather(after(1, 7)))
      local many = gather(table.unpack(times(1000, after(1, true))))
      assert.equal(1000, many.n)
    end))

    it("of 100,000 tasks, functions and both", virtual(function()
      local identity = async(function(i) return i end)
      local list = {}
      for i = 1, 100000 do list[i] = i % 2 == 0 and identity(i) or after(i % 7, i) end
      local results = gather(list)
      assert.equal(100000, results.n)
      for i = 1, 100000 do
        if results[i] ~= i then assert.equal(i, results[i]) end
      end
    end))

    it("come in a new list, made from the old one as it was", virtual(function()
      local task = async.spawn(after(1, "value"))
      local list = {task, after(1, "other")}
      async.spawn(function() list[2] = nil end)
      assert.same({"value", "other", n = 2}, gather(list))
      assert.equal(task, list[1])
    end))
  end)

  describe("items", function()
    any_order("may be listed twice, and then run once", function()
      local runs = 0
      local task = async(function() runs = runs + 1; sleep(1); return runs end)()
      assert.same({1, 1, 1, n = 3}, gather {task, task, task})
      assert.same({1, 1, n = 2}, gather({task, task}, {limit = 1}))
      assert.equal(1, runs)
    end)

    it("may run already, or have finished", virtual(function()
      local running, finished = async.spawn(after(2, "running")), async.spawn(after(0, "finished"))
      sleep(1)
      assert.equal("waiting done", statuses {running, finished})
      assert.same({"running", "finished", n = 2}, gather {running, finished})
      assert.same({"running", "finished", n = 2}, gather {running, finished})
    end))

    it("that have failed already raise their error", virtual(function()
      local err = {}
      local failed = async.spawn(failing(0, err))
      failed:pawait()
      assert.equal(err, caught(gather, {failed}))
      assert.equal(err, caught(gather, {failed, function() error("not to run", 0) end}))
    end))

    it("that are cancelled already raise their cancel error", virtual(function()
      local cancelled = async.spawn(after(LONG))
      cancelled:cancel "no need"
      local err = caught(gather, {after(1), cancelled})
      assert.is_true(async.is_cancelled(err))
      assert.equal("no need", err.reason)
    end))

    it("of a wrong type raise before anything starts", virtual(function()
      local ran
      local function run() ran = true end
      for _, wrong in ipairs {42, "text", true, {}, {run}, io.stdout, coroutine.create(run)} do
        local pattern = "gather: item 2 is a " .. type(wrong)
        assert.matches(pattern, caught(gather, {run, wrong, run}))
        assert.matches(pattern, caught(gather, run, wrong))
      end
      assert.matches("gather: item 2 is a nil", caught(gather, {run, nil, run}))
      assert.matches("gather: item 1 is a nil", caught(gather, nil))
      sleep(1)
      assert.is_nil(ran)
    end))

    it("cannot be the running task", virtual(function()
      local ran
      local err = caught(await, function()
        gather {function() ran = true end, async.current()}
      end)
      assert.matches("gather: item 2 is the running task", err)
      sleep(1)
      assert.is_nil(ran)
    end))
  end)

  describe("limit", function()
    any_order("bounds how many run at once", function()
      for _, limit in ipairs {1, 2, 7, 49, 50, 51, math.huge} do
        local peak = {}
        assert.equal(50, gather(times(50, counted(peak, 1)), {limit = limit}).n)
        assert.equal(50, peak.calls)
        assert.equal(math.min(limit, 50), peak.most)
      end
    end)

    it("of 1 runs them in order", virtual(function()
      local log = {}
      local list = {}
      for i = 1, 10 do list[i] = function() sleep(10 - i); log[i] = #log + 1 end end
      gather(list, {limit = 1})
      assert.same({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, log)
    end))

    it("does not count those that ran before", virtual(function()
      local started = async.now()
      local list = {}
      for i = 1, 3 do list[i] = async.spawn(after(2)) end
      for i = 4, 6 do list[i] = after(1) end
      gather(list, {limit = 1})
      assert.near(3, async.now() - started, 1e-6)
    end))

    it("holds with tasks that return at once", virtual(function()
      assert.equal(20000, gather(times(20000, function() end), {limit = 1}).n)
    end))
  end)

  describe("failure", function()
    any_order("cancels the others, waits for their clean-up, and is raised unchanged", function()
      for _, err in ipairs {{"table"}, "text", 42, true, false, print, async} do
        local log, started = {}, async.now()
        local list = {cleaning(5, log), failing(1, err), cleaning(3, log), cleaning(4, log)}
        assert.equal(err, caught(gather, list))
        assert.same({3, 4, 5}, log)
        assert.near(6, async.now() - started, 1e-6)
      end
    end)

    it("may be nil", virtual(function()
      local log = {}
      assert.is_nil(caught(gather, {failing(1, nil), cleaning(1, log)}))
      assert.same({1}, log)
    end))

    any_order("keeps those not yet started from running", function()
      local ran = false
      local later = async(function() ran = true end)
      local list = {failing(1, "no"), later(), later(), later()}
      assert.equal("no", caught(gather, list, {limit = 1}))
      assert.is_false(ran)
      assert.equal("cancelled cancelled cancelled", statuses {table.unpack(list, 2)})
    end)

    any_order("is the first of two, and the second is no unhandled error", function()
      local before = host.stats().unhandled
      local list = {failing_to_clean(1, "second"), failing(1, "first"), failing_to_clean(2, "third")}
      assert.equal("first", caught(gather, list))
      collectgarbage()
      collectgarbage()
      assert.equal(before, host.report())
    end)

    any_order("wins over the cancellation of a child", function()
      local list = {async.spawn(after(LONG)), failing_to_clean(1, "real")}
      async.spawn(function() sleep(1); list[1]:cancel() end)
      assert.equal("real", caught(gather, list))
    end)

    any_order("of a child alone may be its cancellation, which cancels the others", function()
      local log, child = {}, async.spawn(after(LONG))
      async.spawn(function() sleep(1); child:cancel "enough" end)
      local err = caught(gather, {cleaning(2, log), child})
      assert.equal("enough", err.reason)
      assert.same({2}, log)
    end)

    it("in one of 100,000 cancels all the others", virtual(function()
      local list = times(100000, after(LONG))
      list[50000] = failing(1, "one")
      assert.equal("one", caught(gather, list))
    end))
  end)

  describe("cancelled from outside", function()
    -- Runs gather in a task, cancels that after a second, and returns its status and its error.
    local function cancel_gather(list, options)
      local task = async.spawn(function() return gather(list, options) end)
      sleep(1)
      assert.is_true(task:cancel "outside")
      local _, err = task:pawait()
      return task:status(), err
    end

    any_order("cancels its tasks, and waits for them", function()
      local log, started = {}, async.now()
      local status, err = cancel_gather {cleaning(3, log), cleaning(2, log), after(0, 1)}
      assert.equal("cancelled", status)
      assert.equal("outside", err.reason)
      assert.same({2, 3}, log)
      assert.near(4, async.now() - started, 1e-6)
    end)

    any_order("starts no more", function()
      local peak = {}
      local status = cancel_gather(times(10, counted(peak, LONG)), {limit = 3})
      assert.equal("cancelled", status)
      assert.equal(3, peak.calls)
    end)

    any_order("raises a real error of a task's clean-up instead", function()
      local status, err = cancel_gather {after(LONG), failing_to_clean(1, "real")}
      assert.equal("failed", status)
      assert.equal("real", err)
    end)

    any_order("raises though all of its tasks carry on to a result", function()
      local function stubborn() return async.shield(after(3, "value")) end
      local status = cancel_gather {stubborn, stubborn}
      assert.equal("cancelled", status)
    end)

    it("raises though its tasks ended in the same turn", virtual(function()
      local task = async.spawn(function() return gather {after(1), after(1)} end)
      async.spawn(function() sleep(1); task:cancel() end)
      assert.is_false(task:pawait())
      assert.equal("cancelled", task:status())
    end))

    it("starts nothing in a task that is cancelled already", virtual(function()
      local ran, err, empty
      local task = async.spawn(function()
        pcall(sleep, LONG)
        err = caught(gather, {function() ran = true end})
        empty = caught(gather, {})
      end)
      sleep(1)
      task:cancel()
      task:pawait()
      assert.is_true(async.is_cancelled(err) and async.is_cancelled(empty))
      sleep(1)
      assert.is_nil(ran)
    end))

    any_order("by one of its own tasks", function()
      local log, parent = {}, nil
      local function parricide() parent:cancel "child"; sleep(LONG) end
      parent = async.spawn(function() return gather {cleaning(1, log), parricide, after(1)} end)
      local _, err = parent:pawait()
      assert.equal("child", err.reason)
      assert.equal(#log, log[1] and 1 or 0)
    end)

    any_order("goes on to its end inside a shield", function()
      local results
      local task = async.spawn(function() results = async.shield(gather, {after(5, 1), after(6, 2)}) end)
      sleep(1)
      task:cancel()
      task:pawait()
      assert.same({1, 2, n = 2}, results)
    end)
  end)

  describe("inside a timeout", function()
    any_order("cancels its tasks, waits for them, and raises the timeout", function()
      local log, started = {}, async.now()
      local err = caught(async.timeout, 2, gather, {cleaning(3, log), after(1)})
      assert.equal("timeout", err.kind)
      assert.same({3}, log)
      assert.near(5, async.now() - started, 1e-6)
      sleep(1)
    end)

    it("ends in time without a trace", virtual(function()
      assert.same({1, n = 1}, async.timeout(2, gather, {after(1, 1)}))
      assert.is_false(async.move_on_after(1, gather, {after(2)}))
      sleep(5)
    end))

    any_order("raises a timeout of its task as that", function()
      local err = caught(async.timeout, 9, gather, {function() async.timeout(1, sleep, LONG) end, after(LONG)})
      assert.equal("timeout", err.kind)
      assert.equal(1, err.seconds)
    end)
  end)

  describe("inside gather", function()
    local function nest(depth, leaf)
      if depth == 0 then return leaf end
      return function() return gather {nest(depth - 1, leaf), after(1, depth)}[1] end
    end

    it("returns results, errors and cancellations through many levels", virtual(function()
      assert.equal("leaf", gather({nest(1000, after(2, "leaf"))})[1])
      local err, log = {}, {}
      assert.equal(err, caught(gather, {nest(1000, failing(2, err))}))
      local task = async.spawn(nest(1000, cleaning(3, log)))
      sleep(2)
      task:cancel()
      task:pawait()
      assert.same({3}, log)
    end))

    any_order("may share a task", function()
      local task = async(function() sleep(1); return 1 end)()
      local function both() return gather({task, after(0, 2)})[1] end
      assert.same({1, 1, 1, n = 3}, gather {both, task, both})
    end)

    it("survives a cancellation that goes through 100,000 of them", function()
      local text = output_of [[
        local N, tasks, gathers = 100000, {}, {}
        local wait = async(function() async.sleep(1) end)
        for i = 1, N + 1 do tasks[i] = wait() end
        for i = 1, N do gathers[i] = async.spawn(function() async.gather {tasks[i], tasks[i + 1]} end) end
        async.yield()
        async.spawn(function() tasks[1]:cancel() end)
        for i = 1, N + 1 do async.spawn(tasks[i]) end
        for i = 1, N do gathers[i]:pawait() end
        print(tasks[1]:status(), tasks[N + 1]:status())
      ]]
      assert.equal("cancelled\tcancelled\n", text)
    end)
  end)

  it("that nothing can end any more is reported, and the program closes", function()
    for _, inner in ipairs {"", "async.shield(function() ", "async.await(function() "} do
      local wait = inner .. "async.event():wait()" .. (inner ~= "" and " end)" or "")
      local text = output_of(([[
        local function stuck() %s end
        async.spawn(function() for _ in async.as_completed {stuck, function() end} do break end end)
        async.gather {stuck, function() async.gather {stuck, stuck} end}
      ]]):format(wait))
      assert.matches("deadlock", text)
      assert.is_nil(text:find "fault", text)
    end
  end)

  it("leaves no memory behind", virtual(function()
    local function round()
      for _ = 1, 100 do
        gather(times(100, after(1, {})))
        pcall(gather, {failing(1, {}), after(LONG), after(LONG)}, {limit = 2})
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    round()
    local before = round()
    assert.is_true(round() - before < 20)
  end))
end)
