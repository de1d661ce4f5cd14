local estimate = require "muster.llm.estimate"

describe("llm.estimate", function()
  it("takes four bytes for a token until it knows better", function()
    local e = estimate.new()
    assert.equal(25, e:input(100))
    for _ = 1, 100 do e:learn(3000, {input = 1500, output = 10, total = 1510}) end
    assert.is_true(math.abs(e:input(1000) - 500) < 10)
    assert.equal(10, e:output())
  end)

  it("follows what changes", function()
    local e = estimate.new()
    for _ = 1, 2000 do e:learn(4000, {input = 1000, output = 10, total = 1010}) end
    for _ = 1, 3000 do e:learn(4000, {input = 2000, output = 50, total = 2050}) end
    assert.is_true(e:input(4000) > 1900)
    assert.is_true(e:output() > 40)
  end)

  it("guesses usage that nobody told", function()
    assert.same({input = 100, output = 10, total = 110, estimated = true}, estimate.new():guess(400, 40))
  end)
end)
