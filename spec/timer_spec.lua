-- Time: sleep, yield, now; the order in which timers fire; the virtual clock.
local async = require "muster"
local host = require "muster.host"
local luv = require "luv"
local program = require "spec.support.program"
local virtual = require "muster.test".virtual

local spawn, sleep, now = async.spawn, async.sleep, async.now

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function settle(turns)
  for _ = 1, turns or 5 do async.yield() end
end

--- Spawns a task for each number of seconds, and returns the order in which they wake.
local function order_of_waking(durations)
  local order, tasks = {}, {}
  for i, seconds in ipairs(durations) do
    tasks[i] = spawn(function()
      sleep(seconds)
      table.insert(order, i)
    end)
  end
  async.gather(tasks)
  return order
end

local function assert_order(expected, order)
  assert.equal(table.concat(expected, " "), table.concat(order, " "))
end

describe("sleep", function()
  it("suspends for as long as it says", virtual(function()
    local start = now()
    for _, seconds in ipairs {1, 0.25, 3600, 1e6, 0} do
      local before = now()
      sleep(seconds)
      assert.is_true(math.abs(now() - before - seconds) < 1e-6)
    end
    assert.is_true(now() - start >= 1003601.25)
  end))

  it("returns nothing", virtual(function()
    assert.same({n = 0}, table.pack(sleep(1)))
    assert.same({n = 0}, table.pack(sleep(0)))
    assert.same({n = 0}, table.pack(async.yield()))
  end))

  it("of zero seconds lets every other task run", virtual(function()
    local ran = 0
    for _ = 1, 10 do spawn(function() ran = ran + 1 end) end
    sleep(0)
    assert.equal(10, ran)
    assert.equal(now(), now())
  end))

  it("of zero seconds does not let time pass", virtual(function()
    local start = now()
    for _ = 1, 100 do sleep(0) end
    assert.equal(start, now())
  end))

  it("is never short on the real clock", function()
    for _ = 1, 20 do
      local start = now()
      sleep(0.0011)
      assert.is_true(now() - start >= 0.0011)
    end
  end)

  it("can be cancelled out of any length, and leaves no timer", virtual(function()
    local before, start = host.stats().timers, now()
    for _, seconds in ipairs {1, 1e9, 1e300, math.huge} do
      local task = spawn(sleep, seconds)
      sleep(0.5)
      assert.equal("waiting", task:status())
      task:cancel()
      task:pawait()
      assert.equal("cancelled", task:status())
    end
    assert.equal(start + 2, now())
    assert.equal(before, host.stats().timers)
  end))

  it("refuses what is no number of at least 0, and names itself and the argument", function()
    assert.matches("#1 to '.*sleep'.*number expected, got no value", failure(sleep))
    for _, value in ipairs {true, {}, "soon", async.event()} do
      assert.matches("#1 to '.*sleep'.*number expected", failure(sleep, value))
    end
    for _, value in ipairs {-1, -0.001, -math.huge, 0 / 0, math.mininteger} do
      assert.matches("#1 to '.*sleep'.*seconds", failure(sleep, value))
    end
    assert.is_true(pcall(sleep, -0.0))
  end)

  it("wakes a hundred thousand tasks", virtual(function()
    local woken, start, n = 0, now(), 100000
    for i = 1, n do
      spawn(function()
        sleep(i % 1000)
        woken = woken + 1
      end)
    end
    sleep(1000)
    assert.equal(n, woken)
    assert.equal(start + 1000, now())
  end))
end)

describe("timers", function()
  it("fire in the order of their deadlines", virtual(function()
    assert.same({4, 2, 1, 3, 5}, order_of_waking {3, 2, 4, 1, 1e9}) -- and far ones too
  end))

  it("fire in the order of their start when deadlines are equal", virtual(function()
    local equal, expected = {}, {}
    for i = 1, 1000 do equal[i], expected[i] = 1, i end
    assert_order(expected, order_of_waking(equal))
  end))

  it("fire in order for any deadlines", virtual(function()
    local random, durations, expected = math.random, {}, {}
    for i = 1, 2000 do durations[i], expected[i] = random(0, 50), i end
    table.sort(expected, function(a, b)
      if durations[a] ~= durations[b] then return durations[a] < durations[b] end
      return a < b
    end)
    assert_order(expected, order_of_waking(durations))
  end))

  it("fire in order while others are cancelled", virtual(function()
    local order, tasks, expected = {}, {}, {}
    for i = 1, 1000 do
      tasks[i] = spawn(function()
        sleep(1 + i * 7 % 101)
        table.insert(order, i)
      end)
    end
    settle()
    for i = 1, 1000 do
      if i % 3 == 0 then tasks[i]:cancel() else table.insert(expected, i) end
    end
    table.sort(expected, function(a, b)
      local x, y = a * 7 % 101, b * 7 % 101
      if x ~= y then return x < y end
      return a < b
    end)
    sleep(200)
    assert_order(expected, order)
  end))

  it("count a deadline from the call, not from the turn", virtual(function()
    local woken = {}
    local function sleeper(name, before, after)
      return spawn(function()
        sleep(before)
        sleep(after)
        table.insert(woken, name)
      end)
    end
    async.gather {sleeper("second", 2, 1), sleeper("first", 1, 2)}
    assert.same({"first", "second"}, woken)
  end))
end)

describe("yield", function()
  it("goes to the end of the queue", function()
    local order = {}
    for _, name in ipairs {"a", "b"} do
      spawn(function()
        for i = 1, 3 do
          table.insert(order, name .. i)
          async.yield()
        end
      end)
    end
    settle()
    assert.same({"a1", "b1", "a2", "b2", "a3", "b3"}, order)
  end)

  it("does not keep timers and I/O waiting", function()
    local timer, fired, woken = luv.new_timer(), false, false
    timer:start(0, 0, function()
      fired = true
      timer:close()
    end)
    local sleeper = spawn(function()
      sleep(0)
      woken = true
    end)
    while not (fired and woken) do async.yield() end
    sleeper:await()
  end)
end)

describe("now", function()
  it("is a number of seconds that never goes back", function()
    local last = now()
    assert.equal("float", math.type(last))
    for _ = 1, 1000 do
      local time = now()
      assert.is_true(time >= last)
      last = time
    end
  end)

  it("stands still on the virtual clock while tasks run, and jumps to each deadline", virtual(function()
    local start, times = now(), {}
    for i = 1, 3 do
      spawn(function()
        sleep(i * 10)
        local before = now()
        settle()
        assert.equal(before, now())
        table.insert(times, now() - start)
      end)
    end
    sleep(100)
    assert.same({10, 20, 30}, times)
  end))

  it("does not go back when a virtual clock is taken away", function()
    local before = now()
    local during = virtual(function()
      sleep(1000)
      return now()
    end)()
    assert.is_true(during >= before + 1000)
    assert.is_true(now() >= during)
  end)
end)

describe("the virtual clock", function()
  it("hands over arguments and results, and ends with an error", function()
    assert.same({n = 3, 1, nil, 3}, table.pack(virtual(function(...) return ... end)(1, nil, 3)))
    assert.equal("no", failure(virtual(error), "no", 0))
    local start = now()
    sleep(0.001)
    assert.is_true(now() - start < 100)
  end)

  it("nests", virtual(function()
    virtual(sleep)(1000)
    local start = now()
    sleep(1000)
    assert.equal(start + 1000, now())
  end))

  it("does not jump while a callback is awaited", virtual(function()
    local start = now()
    local alarm = spawn(sleep, 1e6)
    async.suspend(function(resume) luv.fs_stat(".", resume) end)
    assert.is_true(now() - start < 900)
    alarm:cancel()
    alarm:pawait()
  end))

  it("does not jump while a handle of libuv is active", virtual(function()
    local start, event = now(), async.event()
    local timer = luv.new_timer()
    timer:start(5, 0, function()
      timer:close()
      event:set()
    end)
    async.timeout(1e6, event.wait, event)
    assert.is_true(now() - start < 900)
  end))
end)

--- What a program prints that must end soon.
local function output_of(code)
  local out, err = program.sh("timeout 10 " .. program.command {program.file(code)})
  program.remove_files()
  return out .. err
end

describe("sleeping while something outside is awaited", function()
  it("ends, however short", function()
    assert.equal("awake\n", output_of [[
      local async = require "muster"
      async.spawn(async.suspend, function() end):daemon()
      for i = 1, 300 do async.sleep(i % 3 == 0 and 0.0001 or 0) end
      print "awake"
    ]])
  end)

  it("ends when an idle server listens", function()
    assert.equal("awake\n", output_of [[
      local async, luv = require "muster", require "luv"
      local server = luv.new_tcp()
      server:bind("127.0.0.1", 0)
      server:listen(1, print)
      for i = 1, 300 do async.sleep(i % 3 == 0 and 0.0001 or 0) end
      server:close()
      print "awake"
    ]])
  end)

  it("ends when libuv's callback comes first", function()
    assert.equal("awake\n", output_of [[
      local async, luv = require "muster", require "luv"
      local timer = luv.new_timer()
      for i = 1, 300 do
        async.suspend(function(resume) timer:start(i % 2, 0, function() resume() end) end)
      end
      timer:close()
      print "awake"
    ]])
  end)
end)
