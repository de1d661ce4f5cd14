local cost = require "muster.llm.cost"

describe("llm.cost", function()
  it("adds up what was counted", function()
    local sum = cost.zero()
    cost.add(sum, {input = 1, output = 2, total = 3})
    cost.add(sum, {input = 10, output = 20, total = 30, cached = 5, estimated = true})
    assert.same({input = 11, output = 22, total = 33, cached = 5, estimated = true}, sum)
  end)

  it("is by million tokens; what was cached may be cheaper", function()
    local price = {input = 2, output = 8}
    assert.equal(10, cost.of(price, {input = 1000000, output = 1000000, total = 2000000}))
    assert.equal(2, cost.of(price, {input = 1000000, output = 0, cached = 500000}))
    price.cached = 1
    assert.equal(1.5, cost.of(price, {input = 1000000, output = 0, cached = 500000}))
    assert.equal(1, cost.of(price, {input = 1000000, output = 0, cached = 5000000}))
    assert.is_nil(cost.of(nil, {input = 1, output = 1}))
  end)

  it("is by the model, else by *", function()
    local prices = {a = {input = 1, output = 1}, ["*"] = {input = 2, output = 2}}
    assert.equal(prices.a, cost.price(prices, "a"))
    assert.equal(prices["*"], cost.price(prices, "b"))
    assert.is_nil(cost.price({}, "a"))
    assert.is_nil(cost.price(nil, "a"))
  end)

  it("knows a price table", function()
    assert.is_true(cost.is_prices {})
    assert.is_true(cost.is_prices {a = {input = 0, output = 1, cached = 0.5}})
    for _, wrong in ipairs {7, {{input = 1, output = 1}}, {a = 1}, {a = {input = 1}}, {a = {input = -1, output = 1}},
                            {a = {input = 1, output = 1, other = 1}}} do
      assert.is_false(cost.is_prices(wrong))
    end
  end)
end)
