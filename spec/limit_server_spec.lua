-- A limiter against servers of several kinds: how much of what is allowed is used, and how much is refused.
local limit = require "muster.limit"
local model = require "spec.support.model_server"
local test = require "muster.test"
local async = require "muster"

-- Most servers here are small ones: what counts is how often they refuse, not how many requests that takes.

--- Keeps a limiter busy for three minutes, in which it learns, and then for four.
-- -> share of the allowed rate that was answered, share of requests that were refused, the limiter
local function measure(server, per_minute, opts)
  local lim = limit.limiter(opts)
  model.drive(lim, server, 180, 100)
  local answered, refused, requests, start = server.answered, server.refused, server.requests, async.now()
  model.drive(lim, server, 240, 100)
  local allowed = per_minute * (async.now() - start) / 60
  return (server.answered - answered) / allowed, (server.refused - refused) / (server.requests - requests), lim
end

local function in_seconds(server) return math.max(1, math.ceil(server:until_room())) end

--- At least 95 % of what is allowed, and under 1 % refused.
local function keeps_up(server_opts, limiter_opts)
  return test.virtual(test.seeded(0, function()
    local server = model.new(server_opts)
    local share, refused = measure(server, server.rpm, limiter_opts)
    assert.is_true(share >= 0.95, ("only %.3f of the rate"):format(share))
    assert.is_true(refused < 0.01, ("%.4f refused"):format(refused))
  end))
end

describe("a limiter", function()
  it("keeps to a rate that it is told, of a server that holds a second's worth",
    keeps_up({rpm = 6000, after = in_seconds}, {rpm = 6000}))
  it("keeps to a rate that headers tell", keeps_up {rpm = 1500, headers = true, after = in_seconds})
  it("keeps to a rate that headers tell, where minutes are counted",
    keeps_up {rpm = 1500, window = "minute", headers = true})
  it("finds out a rate that nobody tells", keeps_up {rpm = 1500, after = in_seconds})
  it("finds out a rate that nobody tells, nor how long to wait", keeps_up {rpm = 1500})
  it("finds out a rate where minutes are counted", keeps_up {rpm = 1500, window = "minute", after = in_seconds})
  it("finds out a rate where minutes are counted, and nobody says how long to wait",
    keeps_up {rpm = 1500, window = "minute", seed = 3})
  it("finds out that it was told too much", keeps_up({rpm = 750, after = in_seconds}, {rpm = 1500}))
  it("finds out that headers tell a hundred times too much", keeps_up {rpm = 750, after = in_seconds,
    headers = function() return {["x-ratelimit-limit-requests"] = "75000"} end})
  it("does not believe headers that tell much too little", keeps_up {rpm = 750, after = in_seconds,
    headers = function() return {["x-ratelimit-limit-requests"] = "1"} end})

  it("goes on where headers say for ever that nothing is left", test.virtual(function()
    local server = model.new {rpm = 750, after = in_seconds, headers = function()
      return {["x-ratelimit-limit-requests"] = "1", ["x-ratelimit-remaining-requests"] = "0",
              ["x-ratelimit-reset-requests"] = "24h"}
    end}
    local share = measure(server, 750)
    assert.is_true(share > 0.5, tostring(share))
  end))

  it("goes on after an hour of refusals", test.virtual(function()
    for _, opts in ipairs {{}, {rpm = 1500}} do
      local lim, server = limit.limiter(opts), model.new {rpm = 1500}
      model.drive(lim, server, 30, 100)
      local hour = model.new {places = 0, after = function() return 1e9 end}
      model.drive(lim, hour, 3600, 100)
      assert.is_true(hour.requests < 200, tostring(hour.requests))
      local answered = server.answered
      async.sleep(lim:stats().cooldown)
      model.drive(lim, server, 60, 100)
      assert.is_true(server.answered - answered > 1000, tostring(server.answered - answered))
    end
  end))

  it("does not fill a server that only queues what is too much", test.virtual(test.seeded(0, function()
    local server = model.new {slots = 30, latency = 0.2}
    local lim = limit.limiter()
    model.drive(lim, server, 120, 1000)
    assert.is_true(lim:stats().concurrency >= 30, tostring(lim:stats().concurrency))
    assert.is_true(server.most <= 400, tostring(server.most))
    assert.equal(0, server.refused)
  end)))

  it("stays near the number that a server takes at once", test.virtual(test.seeded(0, function()
    local server = model.new {places = 30, latency = 0.3}
    local share, refused, lim = measure(server, 30 / 0.354 * 60)
    assert.is_true(share > 0.4, tostring(share))
    assert.is_true(refused < 0.01, tostring(refused))
    assert.is_true(lim:stats().concurrency >= 10 and lim:stats().concurrency <= 40)
  end)))
end)
