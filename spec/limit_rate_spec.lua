-- What the rate is believed to be.
local Rate = require "muster.limit.rate"

--- Serves so many a minute, evenly, for some seconds. -> the time
local function serve(rate, from, seconds, per_minute)
  for i = 1, seconds * 10 do rate:serve(from + i / 10, per_minute / 600) end
  return from + seconds
end

describe("rate", function()
  it("is the least of what is given and what is told", function()
    local rate = Rate.new(100)
    assert.is_false(rate:tell(0, 6000))
    assert.equal(100, rate.effective)
    assert.is_true(rate:tell(0, 50))
    assert.equal(50, rate.effective)
    rate = Rate.new()
    assert.is_nil(rate.effective)
    assert.is_true(rate:tell(0, 70))
    assert.is_false(rate:tell(1, 70))
    assert.equal(70, rate.effective)
  end)

  it("does not believe a limit that cannot be true, and never again", function()
    local rate = Rate.new()
    serve(rate, 0, 10, 6000)
    rate:tell(10, 1)
    assert.is_nil(rate.effective)
    rate:tell(1000, 1)
    assert.is_nil(rate.effective)
    rate:tell(10, 6000)
    assert.equal(6000, rate.effective)
  end)

  it("believes a limit that was kept, with a full minute's worth at first", function()
    local rate = Rate.new()
    for _ = 1, 100 do rate:serve(0, 1) end
    rate:tell(0.1, 60)
    assert.equal(60, rate.effective)
    rate = Rate.new()
    local now = 0
    for _ = 1, 60 do
      now = serve(rate, now, 60, 60)
      rate:tell(now, 60)
    end
    assert.equal(60, rate.effective)
  end)

  it("falls at refusals to what was served, by 3 % at least and half at most", function()
    local rate = Rate.new(6000)
    local now = serve(rate, 0, 30, 6000)
    assert.is_true(rate:fall(now, true))
    assert.near(5820, rate.effective, 1)
    now = serve(rate, now, 5, 600)
    rate:fall(now, true)
    assert.is_true(rate.effective < 5600 and rate.effective >= 2910)
    now = serve(rate, now, 300, 6)
    rate.refused = now -- a burst that has just been
    local before = rate.effective
    rate:fall(now, true)
    assert.near(before / 2, rate.effective, 1)
  end)

  it("does not fall if it did not hold requests back, after a long time without refusals", function()
    local rate = Rate.new(6000)
    local now = serve(rate, 0, 200, 1000)
    rate:fall(now, false)
    assert.equal(6000, rate.effective)
  end)

  it("is learned from refusals alone", function()
    local rate = Rate.new()
    rate:fall(0, false)
    assert.is_nil(rate.effective)
    local now = serve(rate, 0, 60, 6000)
    rate:fall(now, false)
    assert.near(6000, rate.effective, 20)
  end)

  it("rises again after a time, to what is known", function()
    local rate = Rate.new(6000)
    rate:fall(serve(rate, 0, 10, 6000), true)
    assert.is_false(rate:maybe_rise(60))
    assert.is_true(rate:maybe_rise(90))
    assert.near(5878, rate.effective, 1)
    assert.is_false(rate:maybe_rise(91))
    rate:maybe_rise(101)
    rate:maybe_rise(112)
    assert.equal(6000, rate.effective)
    assert.is_nil(rate.learned)
  end)
end)
