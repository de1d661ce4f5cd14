-- Who waits for what, and how long still.
local async = require "muster"
local limit = require "muster.limit"
local test = require "muster.test"

local function virtual(fn)
  return test.virtual(test.seeded(0, function() return async.timeout(86400, fn) end))
end

--- Lets tasks of these costs wait, calls fn with the explanation, and cancels them.
local function explained(lim, costs, fn)
  local tasks = {}
  for i, cost in ipairs(costs) do
    tasks[i] = async.spawn(function() lim:acquire(cost):release() end)
    tasks[i].name = "page " .. i
  end
  for _ = 1, 3 do async.yield() end
  fn(lim:explain())
  for _, task in ipairs(tasks) do
    task:cancel()
    task:pawait()
  end
end

describe("explain", function()
  it("tells of a limiter that nobody waits for", virtual(function()
    local explanation = limit.limiter():explain()
    assert.equal(0, #explanation)
    assert.equal("limiter: 0 in flight of 20 allowed, 0 waiting", tostring(explanation))
    assert.matches("of any number allowed", tostring(limit.limiter {concurrency = math.huge}:explain()))
  end))

  it("tells who waits for its turn, and who for those before it", virtual(function()
    local lim = limit.limiter {rpm = 60, name = "api"}
    lim:acquire():release()
    explained(lim, {1, 1, 1}, function(explanation)
      assert.equal(3, explanation.waiting)
      for i, reason in ipairs {"requests", "place", "place"} do
        local wait = explanation[i]
        assert.same({"page " .. i, reason, i}, {wait.who, wait.reason, wait.place})
        assert.near(i, wait.seconds, 1e-3)
      end
      assert.matches("^api: 0 in flight of 20 allowed, 3 waiting\n" ..
        "page 1: waits for its turn by requests a minute, 1 s more %(has waited 0 s%)\n" ..
        "page 2: waits for those before it, at place 2, 2 s more", tostring(explanation))
    end)
  end))

  it("tells of tokens, and how long all before take", virtual(function()
    local lim = limit.limiter {tpm = 600}
    lim:acquire(600):release()
    explained(lim, {100, 200, 6000, 10}, function(explanation)
      for i, seconds in ipairs {10, 30, 90, 90 + 541} do assert.near(seconds, explanation[i].seconds, 1e-3) end
      assert.equal("tokens", explanation[1].reason)
      assert.matches("page 1: waits for 100 tokens, 10 s more", tostring(explanation))
    end)
  end))

  it("tells of a cool-down and of a pause without end", virtual(function()
    local lim = limit.limiter()
    lim:pause(5)
    explained(lim, {1}, function(explanation)
      assert.equal("cool-down", explanation[1].reason)
      assert.near(5, explanation[1].seconds, 1e-3)
      assert.near(5, explanation.paused, 1e-3)
      assert.matches("page 1: waits for the end of the cool%-down, 5 s more", tostring(explanation))
    end)
    lim:pause()
    explained(lim, {1}, function(explanation)
      assert.equal(math.huge, explanation[1].seconds)
      assert.matches("cool%-down, until resumed", tostring(explanation))
    end)
  end))

  it("tells of places, and guesses by the usual time once there is one", virtual(function()
    local lim = limit.limiter {concurrency = 2}
    local one, two = lim:acquire(), lim:acquire()
    explained(lim, {1, 1}, function(explanation)
      assert.equal("concurrency", explanation[1].reason)
      assert.is_nil(explanation[1].seconds)
      assert.matches("page 1: waits for one in flight to end %(", tostring(explanation))
    end)
    async.sleep(4)
    one:release()
    one = lim:acquire()
    explained(lim, {1, 1, 1}, function(explanation)
      for i, seconds in ipairs {4, 4, 8} do assert.near(seconds, explanation[i].seconds, 1e-3) end
    end)
    one:release()
    two:release()
  end))
end)
