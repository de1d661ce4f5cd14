-- map and stream: lua/muster/map.lua. What they refuse is in options_spec.lua.
-- luacheck: ignore 512 (a loop that is left at once)

local async = require "muster"
local host = require "muster.host"
local test = require "muster.test"

local virtual = test.virtual
local map, stream, sleep = async.map, async.stream, async.sleep

local LONG = 1e6 -- seconds that nobody waits for to the end

-- The error of a call that has to fail.
local function caught(fn, ...)
  local results = table.pack(pcall(fn, ...))
  assert.is_false(results[1], "expected an error")
  return results[2]
end

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- An iterator over 1 to n that counts in `count.pulled`.
local function counter(n, count)
  count.pulled = 0
  return function()
    if count.pulled == n then return nil end
    count.pulled = count.pulled + 1
    return count.pulled
  end
end

local function identity(x) return x end
local function double(x) return 2 * x end

-- Sleeps as many seconds as the item says, and returns the item.
local function asleep(x)
  sleep(x)
  return x
end

-- A function that counts how many of its calls run at once, in peak.most.
local function counted(peak)
  peak.now, peak.most, peak.calls = 0, 0, 0
  return function(x)
    peak.now, peak.calls = peak.now + 1, peak.calls + 1
    peak.most = math.max(peak.most, peak.now)
    sleep(1)
    peak.now = peak.now - 1
    return x
  end
end

-- Waits for ever for an item above 1, and once cancelled takes so many seconds to clean up; then it is in the log.
local function cleaning(log)
  return function(x)
    if x <= 1 then return asleep(x) end
    local _ <close> = setmetatable({}, {__close = function() async.shield(sleep, x) log[#log + 1] = x end})
    sleep(LONG)
  end
end

-- Lists of all values, indices and errors that a stream delivers.
local function drain(...)
  local values, indices, errors = {}, {}, {}
  for value, index, err in stream(...) do
    values[#values + 1] = value
    indices[#indices + 1] = index
    errors[#errors + 1] = err
  end
  return values, indices, errors
end

-- What a script prints, standard error included.
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

-- Both, under one face: a function that goes through all items, for what holds of either.
local both = {
  map = function(items, fn, options) return map(items, fn, options) end,
  stream = function(items, fn, options)
    local results = {n = 0}
    for value, index in stream(items, fn, options) do
      results.n = results.n + 1
      results[options and options.ordered == false and results.n or index] = value
    end
    return results
  end,
}

for name, go in pairs(both) do
  describe(name, function()
    any_order("takes none, one or several items, of a list or an iterator", function()
      local count = {}
      assert.same({n = 0}, go({}, double))
      assert.same({n = 0}, go(counter(0, count), double))
      assert.same({14, n = 1}, go({7}, double))
      assert.same({6, 2, 4, n = 3}, go({3, 1, 2}, double))
      assert.same({2, 4, 6, n = 3}, go(counter(3, count), double))
    end)

    any_order("takes plain and async functions", function()
      assert.same({2, 1, n = 2}, go({2, 1}, asleep))
      assert.same({2, 1, n = 2}, go({2, 1}, async(asleep)))
    end)

    it("takes false items, callable tables, generators and channels", virtual(function()
      assert.same({true, false, n = 2}, go({false, true}, function(x) return not x end))
      assert.same({2, 4, n = 2}, go(setmetatable({}, {__call = counter(2, {})}), double))
      assert.same({2, 4, n = 2}, go(coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end), double))
      local ch = async.channel(1)
      async.spawn(function() for i = 1, 5 do ch:send(i) end ch:close() end)
      assert.same({2, 4, 6, 8, 10, n = 5}, go(ch:iter(), double))
    end))

    any_order("pulls from an iterator that waits, and goes on meanwhile", function()
      local i, started = 0, async.now()
      local function slow()
        i = i + 1
        sleep(2)
        return i <= 4 and 3 or nil
      end
      assert.same({3, 3, 3, 3, n = 4}, go(slow, asleep))
      assert.near(11, async.now() - started, 1e-6)
    end)

    any_order("honours a limit", function()
      for _, limit in ipairs {1, 2, 3, 16, 40, 41, math.huge} do
        for _, ordered in ipairs {true, false} do
          local peak = {}
          assert.equal(40, go(counter(40, {}), counted(peak), {limit = limit, ordered = ordered}).n)
          assert.equal(40, peak.calls)
          assert.equal(math.min(limit, 40), peak.most)
        end
      end
    end)

    it("does 100,000 items, in place", virtual(function()
      local results = go(numbers(100000), function(x) sleep(x % 5) return x end, {limit = 1000})
      assert.equal(100000, results.n)
      for i = 1, results.n do
        if results[i] ~= i then assert.equal(i, results[i]) end
      end
    end))

    describe("fails", function()
      any_order("with the error of the function, unchanged, after all have cleaned up", function()
        for _, err in ipairs {{}, "text", 42, false} do
          local log, started = {}, async.now()
          local work = cleaning(log)
          local got = caught(go, {3, 1, 2, 4}, function(x)
            if work(x) == 1 then error(err, 0) end
          end)
          assert.equal(err, got)
          assert.same({2, 3, 4}, log)
          assert.near(5, async.now() - started, 1e-6)
        end
      end)

      any_order("with one of several, and the others are no unhandled errors", function()
        local before = host.stats().unhandled
        assert.is_number(caught(go, {1, 2, 3}, function(x)
          sleep(1)
          error(x, 0)
        end))
        assert.equal(before, host.report())
      end)

      any_order("at once, although the first item still runs", function()
        local started = async.now()
        assert.equal("no", caught(go, {LONG, 1}, function(x)
          sleep(x)
          error("no", 0)
        end))
        assert.near(1, async.now() - started, 1e-6)
      end)

      any_order("with the error of the iterator", function()
        local err, i = {}, 0
        local function broken()
          i = i + 1
          if i == 3 then sleep(1) error(err) end
          return i
        end
        assert.equal(err, caught(go, broken, double))
        assert.equal(3, i)
        assert.equal("at once", caught(go, function() error("at once", 0) end, double))
      end)

      any_order("and neither pulls nor starts any more", function()
        local count, calls = {}, 0
        assert.equal("no", caught(go, counter(LONG, count), function(x)
          calls = calls + 1
          sleep(1)
          if x == 3 then error("no", 0) end
          sleep(9)
        end, {limit = 4}))
        local before = count.pulled
        sleep(20)
        assert.is_true(calls <= 5) -- one may have come in the turn of the failure
        assert.equal(before, count.pulled)
      end)
    end)

    any_order("cancelled from outside cancels its tasks and its source, and waits for them", function()
      local log, i = {}, 0
      local function source()
        i = i + 1
        if i <= 3 then return i + 1 end
        local _ <close> = setmetatable({}, {__close = function() async.shield(sleep, 5) log[#log + 1] = "source" end})
        sleep(LONG)
      end
      local task = async.spawn(go, source, cleaning(log))
      sleep(1)
      task:cancel "outside"
      local _, err = task:pawait()
      assert.equal("outside", err.reason)
      table.sort(log, function(a, b) return tostring(a) < tostring(b) end)
      assert.same({2, 3, 4, "source"}, log)
      assert.equal("timeout", caught(async.timeout, 1, go, {2, 3}, cleaning(log)).kind)
      assert.equal(6, #log)
    end)
  end)
end

describe("map", function()
  it("does not wait for a source that is cancelled before it began", function()
    local text = output_of [[
      local main = async.current()
      local mapping = async.spawn(function() return pcall(async.map, {1, 2}, function(x) return x end) end)
      async.spawn(function()
        for _, task in ipairs(async.tasks()) do
          if task ~= main and task ~= mapping then task:cancel() end
        end
      end)
      print(mapping:pawait())
    ]]
    assert.matches("^true\t", text)
  end)

  it("cancelled from outside raises a real error of a clean-up instead", virtual(function()
    local task = async.spawn(map, {1, 2}, function(x)
      pcall(sleep, LONG)
      if x == 2 then error("real", 0) end
      sleep(LONG)
    end)
    sleep(1)
    task:cancel()
    assert.same({false, "real"}, {task:pawait()})
  end))

  any_order("delivers in completion order if asked to", function()
    assert.same({1, 2, 3, n = 3}, map({3, 1, 2}, asleep, {ordered = false}))
  end)

  it("keeps the places of nil", virtual(function()
    local results = map(numbers(4), function(x) if x == 2 then return x end end)
    assert.same({nil, 2, n = 4}, results)
  end))

  it("pulls at most as far ahead as its limit", virtual(function()
    local count, ended, most = {}, 0, 0
    map(counter(50, count), function(x)
      sleep(x % 3)
      ended = ended + 1
      most = math.max(most, count.pulled - ended)
    end, {limit = 5})
    assert.is_true(most <= 2 * 5, "pulled " .. most .. " ahead")
  end))
end)

describe("stream", function()
  any_order("delivers values and indices as they end", function()
    assert.same({{1, 2, 3}, {2, 3, 1}, {}}, {drain({3, 1, 2}, asleep)})
    assert.same({{3, 1, 2}, {1, 2, 3}, {}}, {drain({3, 1, 2}, asleep, {ordered = true})})
    assert.same({{3, 1, 2}, {1, 2, 3}, {}}, {drain({3, 1, 2}, asleep, {limit = 1})})
  end)

  it("delivers false in place of nil", virtual(function()
    assert.same({{false, 2, false}, {1, 2, 3}, {}}, {drain(numbers(3), function(x) if x == 2 then return x end end)})
  end))

  any_order("delivers failures with settle", function()
    local err = {}
    for _, ordered in ipairs {true, false} do
      local values, indices, errors = drain(numbers(4), function(x)
        sleep(x)
        if x % 2 == 0 then error(err) end
        return x > 1 and x or nil
      end, {settle = true, ordered = ordered})
      assert.same({{false, false, 3, false}, {1, 2, 3, 4}, {err, err}}, {values, indices, errors})
      assert.equal(err, errors[1])
    end
  end)

  it("raises a failure only in its turn, if ordered, and after what came before", virtual(function()
    local seen = {}
    assert.equal("two", caught(function()
      for value in stream({3, 2, 4}, function(x)
        sleep(x)
        if x == 2 then error("two", 0) end
        return x
      end, {ordered = true}) do seen[#seen + 1] = value end
    end))
    assert.same({3}, seen)
  end))

  it("delivers what was pulled before the source failed", virtual(function()
    local i, seen = 0, {}
    assert.equal("source", caught(function()
      for value in stream(function() i = i + 1 return i <= 2 and i or error("source", 0) end, asleep) do
        seen[#seen + 1] = value
      end
    end))
    assert.same({1, 2}, seen)
  end))

  describe("is bounded", function()
    any_order("by limit + buffer, however slow the consumer", function()
      for _, bound in ipairs {{1, 0}, {1, 1}, {3, 0}, {3, 2}, {2, 10}} do
        for _, ordered in ipairs {true, false} do
          local count, taken, most = {}, 0, 0
          for _ in stream(counter(40, count), identity, {limit = bound[1], buffer = bound[2], ordered = ordered}) do
            taken = taken + 1
            sleep(1)
            most = math.max(most, count.pulled - taken)
          end
          assert.equal(40, taken)
          assert.is_true(most <= bound[1] + bound[2], ("%d and %d: %d pulled ahead"):format(bound[1], bound[2], most))
        end
      end
    end)

    any_order("when an ordered stream waits for its first item", function()
      local count, ended = {}, 0
      for value in stream(counter(LONG, count), function(x)
        if x == 1 then sleep(50) end
        ended = ended + 1
        return x
      end, {limit = 3, buffer = 4, ordered = true}) do
        assert.equal(1, value)
        break
      end
      assert.is_true(ended <= 8)
    end)

    it("over a million items, in memory too", virtual(function()
      local function used()
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      local sum, at_tenth, count = 0, nil, {}
      for value, index in stream(counter(1000000, count), identity, {limit = 50}) do
        sum = sum + value
        if index == 100000 then at_tenth = used() end
      end
      assert.equal(500000500000, sum)
      assert.is_true(used() - at_tenth < 50)
    end))

    it("over infinitely many, until break", virtual(function()
      local sum = 0
      for value in stream(counter(-1, {}), double, {limit = 4}) do
        sum = sum + value
        if value >= 2000 then break end
      end
      assert.is_true(sum >= 1001000)
    end))
  end)

  describe("left early", function()
    local ways = {
      ["by break"] = function(...)
        for _ in stream(...) do break end
        return "out"
      end,
      ["by return"] = function(...)
        for _ in stream(...) do return "out" end
      end,
      ["by an error"] = function(...)
        return caught(function(...)
          for _ in stream(...) do error("out", 0) end
        end, ...)
      end,
    }
    for name, leave in pairs(ways) do
      any_order(name .. " cancels what is left, and waits for all of it", function()
        local log, count, started = {}, {}, async.now()
        assert.equal("out", leave(counter(LONG, count), cleaning(log), {limit = 5, buffer = 2}))
        table.sort(log)
        assert.same({2, 3, 4, 5}, {table.unpack(log, 1, 4)})
        assert.is_true(log[#log] <= 8)
        assert.near(1 + log[#log], async.now() - started, 1e-6)
        sleep(100)
        assert.is_true(count.pulled <= 9)
      end)
    end

    any_order("while the source cleans up, or clings to its life", function()
      local i, log = 0, {}
      local function stubborn()
        i = i + 1
        if i > 3 then pcall(sleep, LONG) end
        return i
      end
      for value in stream(stubborn, identity, {ordered = true}) do
        log[#log + 1] = value
        if value == 3 then sleep(1) break end
      end
      assert.same({1, 2, 3}, log)
      assert.equal(4, i)
    end)

    it("reports a clean-up that fails", function()
      assert.matches("unhandled error.*broken clean%-up", output_of [[
        local function work(x) return x == 1 or pcall(async.sleep, 9) or error "broken clean-up" end
        for _ in async.stream({1, 2}, work) do break end
      ]])
    end)

    it("by a cancellation or a timeout while it waits", virtual(function()
      local log = {}
      local function consume()
        for _ in stream({2, 3}, cleaning(log)) do error "nothing is delivered" end
      end
      local task = async.spawn(consume)
      sleep(1)
      task:cancel()
      task:pawait()
      assert.equal("cancelled", task:status())
      assert.equal("timeout", caught(async.timeout, 1, consume).kind)
      assert.same({2, 3, 2, 3}, log)
    end))
  end)

  describe("as an iterator", function()
    it("that is never called works on its bound only, until it is closed", virtual(function()
      local count = {}
      local _, _, _, closing = stream(counter(LONG, count), identity, {limit = 2, buffer = 3})
      sleep(10)
      assert.is_true(count.pulled <= 5, "pulled " .. count.pulled)
      do local _ <close> = closing end
      sleep(10)
      assert.is_true(count.pulled <= 5)
    end))

    it("returns nothing after its end", virtual(function()
      local next_value <close> = stream({1}, identity)
      assert.same({1, 1}, {next_value()})
      for _ = 1, 3 do assert.same({}, {next_value()}) end
    end))

    any_order("may be shared by consumers, who get each value once", function()
      for _, ordered in ipairs {true, false} do
        local seen = {}
        local next_value = stream(numbers(50), function(x) return asleep(x % 7) and x end, {ordered = ordered})
        local function consume()
          for value in next_value do
            seen[value] = (seen[value] or 0) + 1
            sleep(0.3)
          end
        end
        async.gather {consume, consume, consume}
        for i = 1, 50 do assert.equal(1, seen[i]) end
      end
    end)

    any_order("feeds another stream", function()
      local first <close> = stream(numbers(30), double, {limit = 3})
      local values = drain(function() return (first()) end, function(x) return asleep(x // 20) and x end)
      table.sort(values)
      assert.equal(30, #values)
      assert.same({2, 60}, {values[1], values[30]})
    end)
  end)
end)
