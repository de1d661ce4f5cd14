-- How many at once: what grows and what shrinks it.
local Concurrency = require "muster.limit.concurrency"

local clock

--- A window of ends, as long as it takes, with the limit reached in it or not.
local function window(c, seconds, outcome, idle)
  clock = clock + 2
  for _ = 1, c.allowed do
    c.full = not idle
    c:ended(clock, seconds or 1, outcome or "succeeded")
  end
end

describe("concurrency", function()
  before_each(function() clock = 0 end)

  it("starts at 20, and doubles while clean, to 1,000", function()
    local c, seen = Concurrency.new(), {}
    for i = 1, 8 do
      seen[i] = c.allowed
      window(c)
    end
    assert.same({20, 40, 80, 160, 320, 640, 1000, 1000}, seen)
  end)

  it("does not grow where the limit is never reached", function()
    local c = Concurrency.new()
    for _ = 1, 5 do window(c, 1, "succeeded", true) end
    assert.equal(20, c.allowed)
  end)

  it("shrinks to 0.8 an episode, down to 1, then grows by 5 % a clean window", function()
    local c = Concurrency.new {start = 100}
    c:shrink(clock)
    assert.equal(80, c.allowed)
    window(c)
    assert.equal(84, c.allowed)
    window(c)
    assert.equal(88, c.allowed)
    for _ = 1, 50 do c:shrink(clock) end
    assert.equal(1, c.allowed)
    for _ = 1, 15 do window(c) end
    assert.equal(2, c.allowed)
  end)

  it("does not grow in a window with a failure, and doubles no more after it", function()
    local c = Concurrency.new {start = 100}
    c.full = true
    c:ended(clock, 1, "failed")
    window(c)
    assert.equal(100, c.allowed)
    window(c)
    assert.equal(105, c.allowed)
  end)

  it("counts what says nothing as neither", function()
    local c = Concurrency.new()
    window(c, 1, "cancelled")
    assert.equal(40, c.allowed)
    assert.is_nil(c:usual_time())
  end)

  it("takes at least a second a window once it has stopped doubling", function()
    local c = Concurrency.new {start = 10}
    c:shrink(0)
    for _ = 1, 1000 do
      c.full = true
      c:ended(0.5, 0.001, "succeeded")
    end
    assert.equal(8, c.allowed)
    c:ended(1, 0.001, "succeeded")
    assert.equal(8.4, c.size)
  end)

  it("stops growing where more at once only take longer", function()
    local c = Concurrency.new()
    for _ = 1, 200 do window(c, math.max(1, c.allowed / 50)) end
    assert.is_true(c.allowed >= 50 and c.allowed <= 200, tostring(c.allowed))
  end)

  it("goes on growing when the work has become longer, after some time", function()
    local c = Concurrency.new {max = 100}
    window(c, 1)
    for _ = 1, 2 do window(c, 3) end
    assert.equal(40, c.allowed)
    for _ = 1, 500 do window(c, 3) end
    assert.equal(100, c.allowed)
  end)

  it("keeps to bounds, and to a number for good", function()
    local c = Concurrency.new {min = 5, max = 30}
    for _ = 1, 9 do window(c) end
    assert.equal(30, c.allowed)
    for _ = 1, 20 do c:shrink(clock) end
    assert.equal(5, c.allowed)
    c = Concurrency.new(7)
    window(c)
    c:shrink(clock)
    window(c)
    assert.equal(7, c.allowed)
    assert.equal(1, c:usual_time())
    assert.equal(10, Concurrency.new {max = 10}.allowed)
    assert.equal(50, Concurrency.new {min = 50}.allowed)
    assert.equal(2000, Concurrency.new {start = 2000}.allowed)
    assert.equal(math.huge, Concurrency.new(math.huge).allowed)
  end)
end)
