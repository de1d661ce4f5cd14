-- Refusals: episodes, cool-downs, and permits that are lost.
local async = require "muster"
local limit = require "muster.limit"
local test = require "muster.test"

local function virtual(fn)
  return test.virtual(test.seeded(0, function() return async.timeout(86400, fn) end))
end

--- n permits at once.
local function take(lim, n)
  local permits = {}
  for i = 1, n do permits[i] = lim:acquire() end
  return permits
end

describe("a refusal", function()
  it("sets one cool-down for all, as long as the other side says", virtual(function()
    local lim, start = limit.limiter(), async.now()
    lim:with(nil, function(permit) permit:limited(7) end)
    assert.near(7, lim:stats().cooldown, 1e-6)
    lim:acquire():release()
    assert.near(7, async.now() - start, 1e-4)
  end))

  it("without a wait is a cool-down of a second, doubled while nothing succeeds", virtual(function()
    local lim = limit.limiter()
    local waits = {1, 2, 4, 8, 16, 32, 60, 60}
    for _, wait in ipairs(waits) do
      lim:with(nil, function(permit) permit:limited() end)
      assert.near(wait, lim:stats().cooldown, 1e-6)
    end
    lim:with(nil, function(permit) permit:succeeded() end)
    lim:with(nil, function(permit) permit:limited() end)
    assert.near(1, lim:stats().cooldown, 1e-6)
    lim:acquire():release()
    lim:with(nil, function(permit) permit:limited(0) end)
    assert.equal(0, lim:stats().cooldown)
  end))

  it("that wants us to wait for a day is believed for two minutes", virtual(function()
    local lim = limit.limiter()
    lim:with(nil, function(permit) permit:limited(86400) end)
    assert.near(120, lim:stats().cooldown, 1e-6)
    lim:with(nil, function(permit) permit:limited(math.huge) end)
    assert.near(120, lim:stats().cooldown, 1e-6)
  end))

  it("is one of its burst: one episode, one lesson", virtual(function()
    local lim = limit.limiter {concurrency = {start = 100}}
    for _, permit in ipairs(take(lim, 50)) do
      permit:limited(3)
      permit:limited(3)
      permit:release()
    end
    local stats = lim:stats()
    assert.same({1, 50, 80, 0}, {stats.episodes, stats.limited, stats.concurrency, stats.in_flight})
    assert.near(3, stats.cooldown, 1e-6)
  end))

  it("late in a burst makes the cool-down longer only if it says so", virtual(function()
    local lim = limit.limiter()
    local permits = take(lim, 3)
    permits[1]:limited(3)
    async.sleep(2)
    permits[2]:limited()
    assert.near(1, lim:stats().cooldown, 1e-6)
    permits[3]:limited(5)
    assert.near(5, lim:stats().cooldown, 1e-6)
    assert.equal(1, lim:stats().episodes)
    for _, permit in ipairs(permits) do permit:release() end
  end))

  it("of what came after the first begins another episode", virtual(function()
    local lim = limit.limiter {concurrency = {start = 100}}
    for i = 1, 3 do
      for _, permit in ipairs(take(lim, 10)) do
        permit:limited(1)
        permit:release()
      end
      assert.equal(i, lim:stats().episodes)
      lim:with(nil, function() end)
    end
    assert.equal(51, lim:stats().concurrency)
  end))

  it("upon another, and no success between, lets one at a time through", virtual(function()
    local lim, most, now = limit.limiter(), 0, 0
    for _ = 1, 2 do lim:with(nil, function(permit) permit:limited(1) end) end
    assert.equal(1, lim:stats().concurrency)
    async.map({1, 2, 3, 4, 5, 6}, function(i)
      lim:with(nil, function(permit)
        now = now + 1
        if i <= 3 then most = math.max(most, now) end
        async.sleep(1)
        now = now - 1
        if i <= 3 then permit:failed() end
      end)
    end)
    assert.equal(1, most)
    assert.is_true(lim:stats().concurrency > 10)
  end))

  it("gives its tokens back, and lets no burst through afterwards", virtual(function()
    local lim = limit.limiter {tpm = 600, rpm = 600}
    lim:with(600, function(permit) permit:limited(0) end)
    assert.near(0, lim.bucket:wait(async.now(), 600), 1e-6)
    local start = async.now()
    for _ = 1, 5 do lim:acquire():release() end
    assert.is_true(async.now() - start > 0.39)
  end))

  it("changes no number that was given for concurrency", virtual(function()
    local lim = limit.limiter {concurrency = 8}
    lim:with(nil, function(permit) permit:limited(1) end)
    assert.equal(8, lim:stats().concurrency)
    assert.near(1, lim:stats().cooldown, 1e-6)
  end))
end)

describe("a permit", function()
  it("is given back once, by its scope or before it", virtual(function()
    local lim = limit.limiter {concurrency = 1}
    do
      local permit <close> = lim:acquire()
      permit:release()
      assert.equal(0, lim:stats().in_flight)
      assert.is_false(pcall(permit.release, permit))
    end
    assert.equal(0, lim:stats().in_flight)
    assert.equal(1, lim:stats().succeeded)
  end))

  it("that is lost gives its place back when it is collected", virtual(function()
    local lim, done = limit.limiter {concurrency = 1}, false
    local task = async.spawn(function()
      lim:acquire()
      async.yield()
    end)
    task:await()
    task = async.spawn(function()
      lim:acquire():release()
      done = true
    end)
    for _ = 1, 3 do
      async.yield()
      collectgarbage()
    end
    task:await()
    assert.is_true(done)
    assert.equal(0, lim:stats().in_flight)
  end))

  it("counts as what it says, or as the body ends", virtual(function()
    local lim = limit.limiter()
    lim:with(nil, function() end)
    lim:with(nil, function(permit) permit:failed() end)
    pcall(lim.with, lim, nil, error)
    pcall(lim.with, lim, nil, function(permit)
      permit:succeeded()
      error "afterwards"
    end)
    local task = async.spawn(lim.with, lim, nil, function() async.sleep(10) end)
    async.sleep(1)
    task:cancel()
    task:pawait()
    local stats = lim:stats()
    assert.same({5, 2, 2, 0}, {stats.requests, stats.succeeded, stats.failed, stats.in_flight})
  end))

  it("is held to the end of the body, also by one that goes on while cancelled", virtual(function()
    local lim = limit.limiter {concurrency = 1}
    local task = async.spawn(lim.with, lim, nil, function()
      async.shield(async.sleep, 10)
    end)
    async.sleep(1)
    task:cancel()
    local start = async.now()
    lim:acquire():release()
    assert.near(9, async.now() - start, 1e-4)
    task:pawait()
  end))
end)
