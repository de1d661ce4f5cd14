-- Requests a minute as one number.
local Gcra = require "muster.limit.gcra"

--- How many can go at once at this time?
local function at_once(gcra, now)
  local n = 0
  while gcra:wait(now) <= 1e-9 do
    gcra:take(now)
    n = n + 1
    assert(n < 1e5)
  end
  return n
end

describe("gcra", function()
  it("lets a second's worth go at once, then one an interval", function()
    local gcra = Gcra.new(6000)
    assert.equal(100, at_once(gcra, 0))
    assert.near(0.01, gcra:wait(0), 1e-9)
    assert.equal(1, at_once(gcra, 0.01))
    assert.equal(50, at_once(gcra, 0.51))
    assert.equal(100, at_once(gcra, 1000))
  end)

  it("lets one go where a second's worth is less than one", function()
    local gcra = Gcra.new(6)
    assert.equal(1, at_once(gcra, 5))
    assert.near(10, gcra:wait(5), 1e-9)
    assert.near(1, gcra:wait(14), 1e-9)
  end)

  it("keeps to the rate over a long time, with clocks of any size", function()
    for _, start in ipairs {0, 1e6, 1e9} do
      local gcra, n = Gcra.new(6000), 0
      for i = 0, 6000 do n = n + at_once(gcra, start + i / 100) end
      assert.near(6100, n, 3)
    end
  end)

  it("takes a request back", function()
    local gcra = Gcra.new(60, 2)
    gcra:take(0)
    gcra:take(0)
    gcra:give_back()
    assert.equal(1, at_once(gcra, 0))
  end)

  it("keeps what was used when the rate changes", function()
    local gcra = Gcra.new(60, 1)
    gcra:take(0)
    gcra:set(6000)
    assert.is_true(gcra:wait(0) <= 0.02)
  end)

  it("is without a burst after a time to which it was flattened", function()
    local gcra = Gcra.new(6000)
    gcra:flatten(10)
    assert.equal(1, at_once(gcra, 10))
    assert.equal(10, at_once(gcra, 10.1))
  end)

  it("believes that little remains, for an interval and a burst at most", function()
    local gcra = Gcra.new(6000)
    gcra:at_most(0, 3)
    assert.equal(3, at_once(gcra, 0))
    gcra = Gcra.new(6000)
    gcra:at_most(0, 0)
    assert.near(0.01, gcra:wait(0), 1e-9)
    gcra:at_most(0, 0)
    assert.near(0.01, gcra:wait(0), 1e-9)
  end)

  it("does not wait for more to remain than it would use", function()
    local gcra = Gcra.new(6000)
    gcra:at_most(0, 5000)
    assert.equal(100, at_once(gcra, 0))
  end)
end)
