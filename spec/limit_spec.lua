-- Limiters: who is let in, when, and in which order; and that nothing is lost, whoever is cancelled.
local async = require "muster"
local limit = require "muster.limit"
local test = require "muster.test"

--- On a virtual clock, and what would hang for ever fails after a virtual day.
local function virtual(fn)
  return test.virtual(test.seeded(0, function() return async.timeout(86400, fn) end))
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error, but expected: " .. pattern)
  assert.matches(pattern, tostring(err))
end

--- A task that is let in, logs its name and the time since `start`, and holds its permit for some seconds.
local function worker(lim, log, name, cost, seconds)
  return async.spawn(function()
    local permit <close> = lim:acquire(cost)
    log[#log + 1] = name
    log["at" .. name] = async.now()
    async.sleep(seconds or 0)
    return permit
  end)
end

local function turns(n)
  for _ = 1, n or 5 do async.yield() end
end

local function idle(lim)
  local stats = lim:stats()
  assert.equal(0, stats.in_flight)
  assert.equal(0, stats.waiting)
end

describe("limiter", function()
  it("refuses options that are unknown or make no sense", function()
    raises("limiter: unknown option 'rps'", limit.limiter, {rps = 1})
    raises("limiter: options must be a table", limit.limiter, 5)
    for _, opts in ipairs {{rpm = 0}, {rpm = -1}, {rpm = 0 / 0}, {rpm = math.huge}, {rpm = "60"}, {tpm = 0},
                           {burst = 0.5}, {concurrency = 0}, {concurrency = 1.5}, {concurrency = "20"}, {learn = 1},
                           {name = 5}, {concurrency = {max = 0}}, {concurrency = {most = 5}},
                           {concurrency = {min = 5, max = 4}}} do
      raises("^limiter: ", limit.limiter, opts)
    end
  end)

  it("refuses costs and calls that make no sense", virtual(function()
    local lim = limit.limiter()
    for _, cost in ipairs {-1, 0 / 0, math.huge, "5", true, {tokens = -1}, {tokens = "5"}, {token = 1}} do
      raises("^.*limiter:acquire: .*cost", lim.acquire, lim, cost)
      raises("^.*limiter:with: .*cost", lim.with, lim, cost, print)
    end
    raises("limiter:with: expected a function, got nil", lim.with, lim, 5)
    raises("limit_spec.lua:%d+: limiter:acquire: ", function() lim:acquire(-1):release() end)
    raises("limit_spec.lua:%d+: limiter:acquire: ", function() lim:acquire({token = 1}):release() end)
    raises("call it with a colon", lim.acquire)
    raises("limiter:pause", lim.pause, lim, -1)
    raises("limiter:learn", lim.learn, lim, "x")
    local permit <close> = lim:acquire()
    raises("permit:settle", permit.settle, permit, -1)
    raises("permit:settle", permit.settle, permit, nil)
    raises("permit:limited", permit.limited, permit, -1)
    raises("call it with a colon", permit.release)
    permit:release()
    for _, name in ipairs {"release", "succeeded", "failed", "limited"} do
      raises("permit:" .. name .. ": the permit was released before", permit[name], permit)
    end
    idle(lim)
  end))

  it("passes arguments and results, and calls at once where nothing is limited", virtual(function()
    local lim, log = limit.limiter {concurrency = math.huge}, {}
    async.spawn(function() log[1] = "another ran" end)
    local n = select("#", lim:with(nil, function() end))
    local a, b, c = lim:with({tokens = 5}, function(permit, ...)
      assert.equal(1, lim:stats().in_flight)
      assert.equal("function", type(permit.settle))
      return ..., nil
    end, 1, 2)
    assert.same({0, 1, nil, nil}, {n, a, b, c})
    assert.same({}, log)
    idle(lim)
    turns()
  end))

  it("gives the permit back when the body fails, and raises the error unchanged", virtual(function()
    local lim, problem = limit.limiter {concurrency = 1}, {}
    local ok, err = pcall(lim.with, lim, 5, function() error(problem) end)
    assert.is_false(ok)
    assert.equal(problem, err)
    idle(lim)
    assert.equal(1, lim:stats().failed)
    lim:with(5, function() end)
    assert.equal(1, lim:stats().succeeded)
  end))

  it("raises in a task that is cancelled, though nothing would be to wait for", virtual(function()
    local lim, called = limit.limiter(), false
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      lim:with(1, function() called = true end)
    end)
    turns()
    task:cancel()
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(async.is_cancelled(err))
    assert.is_false(called)
    idle(lim)
  end))

  it("lets as many in at once as told", virtual(function()
    local lim, now, most = limit.limiter {concurrency = 3}, 0, 0
    local start = async.now()
    async.map({1, 2, 3, 4, 5, 6, 7}, function()
      lim:with(nil, function()
        now = now + 1
        most = math.max(most, now)
        async.sleep(1)
        now = now - 1
      end)
    end, {limit = 100})
    assert.equal(3, most)
    assert.near(3, async.now() - start, 1e-6)
    assert.equal(4, lim:stats().delayed)
  end))

  it("keeps to requests a minute, with a second's worth at once", virtual(function()
    local lim, log, start = limit.limiter {rpm = 120}, {}, async.now()
    for i = 1, 6 do worker(lim, log, i) end
    async.sleep(60)
    for i, at in ipairs {0, 0, 0.5, 1, 1.5, 2} do assert.near(at, log["at" .. i] - start, 1e-5) end
    lim, start = limit.limiter {rpm = 60, burst = 4}, async.now()
    for _ = 1, 5 do lim:acquire():release() end
    assert.near(1, async.now() - start, 1e-5)
  end))

  it("keeps to tokens a minute", virtual(function()
    local lim, log, start = limit.limiter {tpm = 600}, {}, async.now()
    for i = 1, 3 do worker(lim, log, i, 300) end
    worker(lim, log, 4, {tokens = 100})
    async.sleep(100)
    for i, at in ipairs {0, 0, 30, 40} do assert.near(at, log["at" .. i] - start, 1e-5) end
  end))

  it("serves in the order of coming, never by size", virtual(function()
    local lim, log = limit.limiter {tpm = 600}, {}
    for i, cost in ipairs {600, 500, 1, 400, 0, 2, false} do worker(lim, log, i, cost or nil) end
    turns()
    assert.same({1}, {table.unpack(log)})
    async.sleep(300)
    assert.same({1, 2, 3, 4, 5, 6, 7}, {table.unpack(log)})
    idle(lim)
  end))

  it("lets in what is larger than the bucket at a full bucket, alone", virtual(function()
    local lim, log, start = limit.limiter {tpm = 600}, {}, async.now()
    worker(lim, log, 1, 60)
    worker(lim, log, 2, 6000)
    worker(lim, log, 3, 10)
    async.sleep(5000)
    assert.near(6, log.at2 - start, 1e-5)
    assert.near(6 + 541, log.at3 - start, 1e-4)
  end))

  it("puts estimates right afterwards, both ways, and learns from them", virtual(function()
    local lim, start = limit.limiter {tpm = 600}, async.now()
    local permit = lim:acquire(600)
    local late = worker(lim, {}, 1, 400)
    turns()
    permit:settle(100)
    late:await()
    assert.near(0, async.now() - start, 1e-6)
    permit:settle(160) -- so much in the end
    permit:release()
    assert.near(160 / 600, lim:stats().ratio, 1e-9)
    assert.equal(160, lim:stats().tokens)
    local before = async.now()
    lim:acquire(600):release() -- 160 by now
    assert.near(12, async.now() - before, 1e-4)
  end))

  it("learns no ratio from what had no estimate", virtual(function()
    local lim, start = limit.limiter {tpm = 600}, async.now()
    local permit = lim:acquire()
    permit:settle(1200)
    permit:release()
    assert.equal(1, lim:stats().ratio)
    lim:acquire(60):release()
    assert.near(66, async.now() - start, 1e-4)
  end))
end)

describe("waiters of a limiter", function()
  it("leave the queue when cancelled, wherever they are, and wake the next", virtual(function()
    local lim, log = limit.limiter {tpm = 600}, {}
    lim:acquire(600):release()
    local start, tasks = async.now(), {}
    for i, cost in ipairs {500, 100, 50, 100, 50} do tasks[i] = worker(lim, log, i, cost) end
    turns()
    assert.equal(5, lim:stats().waiting)
    tasks[3]:cancel()
    tasks[1]:cancel()
    tasks[5]:cancel()
    turns()
    assert.equal(2, lim:stats().waiting)
    async.sleep(100)
    assert.same({2, 4}, {table.unpack(log)})
    assert.near(10, log.at2 - start, 1e-4)
    assert.near(20, log.at4 - start, 1e-4)
    for i = 1, 5, 2 do assert.is_true(async.is_cancelled(select(2, tasks[i]:pawait()))) end
    idle(lim)
  end))

  it("give back what they were handed in the turn in which they are cancelled", virtual(function()
    local lim, log = limit.limiter {rpm = 60, tpm = 600, concurrency = 1}, {}
    local permit = lim:acquire(100)
    local first, second = worker(lim, log, 1, 500), worker(lim, log, 2, 500)
    async.sleep(30)
    permit:release()
    first:cancel()
    turns()
    assert.same({2}, {table.unpack(log)})
    first:pawait()
    second:await()
    idle(lim)
    assert.is_true(lim:stats().requests == 2)
    assert.near(0, lim.bucket:wait(async.now(), 100), 1e-6)
  end))

  it("are turned away as a group, wherever they are, and take nothing of the limits", virtual(function()
    local lim, got, start = limit.limiter {rpm = 6, burst = 1}, {}, async.now()
    lim:acquire():release()
    local tasks = {}
    for i, group in ipairs {"a", "b", "a", "a", "b"} do
      tasks[i] = async.spawn(function()
        local permit = lim:acquire(nil, group)
        got[i] = permit and async.now() - start or false
        if permit then permit:release() end
      end)
    end
    turns()
    tasks[4]:cancel()
    lim:turn_away "a"
    turns()
    assert.same({[1] = false, [3] = false}, got)
    assert.equal(2, lim:stats().waiting)
    async.wait(tasks)
    assert.near(10, got[2], 1e-4)
    assert.near(20, got[5], 1e-4)
    lim:turn_away "nobody"
    raises("expected a group", lim.turn_away, lim)
    idle(lim)
  end))

  it("leave when a timeout around them is over", virtual(function()
    local lim = limit.limiter {concurrency = 1}
    local permit = lim:acquire()
    assert.is_false(async.move_on_after(5, lim.with, lim, nil, error))
    idle({stats = function() local s = lim:stats() s.in_flight = s.in_flight - 1 return s end})
    permit:release()
    lim:with(nil, function() turns() end)
    idle(lim)
  end))

  it("do not lose their time limit to one that is longer", virtual(function()
    local lim = limit.limiter {rpm = 1}
    lim:acquire():release()
    local start = async.now()
    raises("timed? ?out", async.timeout, 10, lim.acquire, lim)
    assert.near(10, async.now() - start, 1e-6)
    idle(lim)
  end))

  it("are as quick in a long queue as in a short one, with one timer", virtual(function()
    local lim, n = limit.limiter {rpm = 600000, concurrency = 5}, 0
    local tasks = {}
    for i = 1, 10000 do
      tasks[i] = async.spawn(function() lim:with(1, function() n = n + 1 end) end)
    end
    local before = require "muster.host".stats().timers
    lim:pause(10)
    turns()
    assert.equal(10000, lim:stats().waiting)
    assert.is_true(require "muster.host".stats().timers <= before + 1)
    for i = 10000, 2, -2 do tasks[i]:cancel() end
    for i = 1, 10000 do tasks[i]:pawait() end
    assert.equal(5000, n)
    idle(lim)
  end))

  it("lose nothing in whatever order tasks run, and are cancelled", function()
    test.explore(test.virtual(function()
      local lim, tasks = limit.limiter {rpm = 6000, burst = 3, tpm = 6e4, concurrency = {start = 2, max = 4}}, {}
      for i = 1, 30 do
        tasks[i] = async.spawn(function()
          async.sleep(i % 3 / 100)
          lim:with(i * 10, function(permit)
            async.sleep(i % 5 / 50)
            if i % 7 == 0 then permit:limited(0.1) end
            permit:settle(i)
          end)
        end)
      end
      for i = 1, 30, 4 do
        async.sleep(0.03)
        tasks[i]:cancel()
      end
      for _, task in ipairs(tasks) do task:pawait() end
      idle(lim)
    end), {runs = 30})
  end)
end)

describe("a pause", function()
  it("holds all back that comes, and ends by itself", virtual(function()
    local lim, start = limit.limiter(), async.now()
    local permit = lim:acquire()
    lim:pause(5)
    lim:pause(1) -- the longer one counts
    permit:release()
    lim:acquire():release()
    assert.near(5, async.now() - start, 1e-4)
  end))

  it("without end lasts until resume", virtual(function()
    local lim, log = limit.limiter(), {}
    lim:pause()
    worker(lim, log, 1)
    worker(lim, log, 2)
    async.sleep(1e4)
    assert.same({}, log)
    lim:resume()
    turns()
    assert.same({1, 2}, {table.unpack(log)})
    async.sleep(1)
    idle(lim)
  end))

  it("that begins while the first waits for its time is kept, too", virtual(function()
    local lim, start = limit.limiter {rpm = 60}, async.now()
    lim:acquire():release()
    local task = worker(lim, {}, 1)
    turns()
    lim:pause(30)
    task:await()
    assert.near(30, async.now() - start, 1e-4)
  end))

  it("that is ended lets the first go earlier than its timer says", virtual(function()
    local lim, start = limit.limiter(), async.now()
    lim:pause(1000)
    local task = worker(lim, {}, 1)
    async.sleep(2)
    lim:resume()
    task:await()
    assert.near(2, async.now() - start, 1e-4)
  end))
end)

describe("headers", function()
  it("teach requests a minute, where none are given", virtual(function()
    local lim, start = limit.limiter(), async.now()
    lim:learn {["x-ratelimit-limit-requests"] = "60"}
    assert.equal(60, lim:stats().rpm)
    for _ = 1, 3 do lim:acquire():release() end
    assert.near(2, async.now() - start, 1e-4)
  end))

  it("teach no more than is given, and nothing if told so", virtual(function()
    local lim = limit.limiter {rpm = 10, tpm = 100}
    lim:learn {["x-ratelimit-limit-requests"] = "60", ["x-ratelimit-limit-tokens"] = "1000"}
    assert.equal(10, lim:stats().rpm)
    assert.equal(100, lim:stats().tpm)
    lim = limit.limiter {learn = false}
    lim:learn {["x-ratelimit-limit-requests"] = "60", ["x-ratelimit-limit-tokens"] = "1000"}
    assert.is_nil(lim:stats().rpm)
    assert.is_nil(lim:stats().tpm)
  end))

  it("teach tokens a minute and what is left of them", virtual(function()
    local lim, start = limit.limiter(), async.now()
    lim:learn {["anthropic-ratelimit-tokens-limit"] = "600", ["anthropic-ratelimit-tokens-remaining"] = "0",
               ["anthropic-ratelimit-tokens-reset"] = "1999-01-01T00:00:00Z"}
    assert.equal(600, lim:stats().tpm)
    lim:acquire(50):release()
    assert.near(5, async.now() - start, 1e-4)
  end))

  it("never stop: nothing left, at every response, only slows down", virtual(function()
    local lim, start = limit.limiter {tpm = 6000}, async.now()
    for _ = 1, 100 do
      lim:with(10, function()
        lim:learn {["x-ratelimit-limit-requests"] = "6000", ["x-ratelimit-remaining-requests"] = "0",
                   ["x-ratelimit-reset-requests"] = "8760h", ["x-ratelimit-remaining-tokens"] = "0",
                   ["x-ratelimit-limit-tokens"] = "1"}
      end)
    end
    assert.is_true(async.now() - start < 3600 * 4, tostring(async.now() - start))
  end))

  it("that say nothing useful change nothing", virtual(function()
    local lim = limit.limiter()
    lim:learn {}
    lim:learn {["x-ratelimit-limit-requests"] = "-1", ["x-ratelimit-remaining-requests"] = "-1"}
    assert.is_nil(lim:stats().rpm)
    assert.is_nil(lim:stats().tpm)
  end))
end)
