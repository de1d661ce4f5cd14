local async = require "muster"
local budget = require "muster.llm.budget"
local core = require "muster.core"
local virtual = require "muster.test".virtual

describe("llm.budget", function()
  it("refuses what would cross it, before anything is spent", function()
    local b = budget.new {tokens = 100}
    local _, err = b:reserve(101, 0)
    assert.equal("budget", err.kind)
    assert.equal("tokens", err.budget)
    assert.is_falsy(err.retryable)
    assert.truthy(b:reserve(100, 0))
  end)

  it("gives back what was not needed", function()
    local b = budget.new {tokens = 100}
    b:reserve(80, 0):settle(30, 0)
    assert.is_nil((b:reserve(71, 0)))
    local r = b:reserve(70, 0)
    r:settle(70, 0)
    local _, err = b:reserve(1, 0)
    assert.equal(100, err.spent)
  end)

  it("counts nothing of a reservation that was closed, and settles once", function()
    local b = budget.new {money = 1}
    do
      local r <close> = b:reserve(0, 1)
      assert.truthy(r)
    end
    local r = b:reserve(0, 1)
    r:settle(0, 0.5)
    r:settle(0, 0.5)
    assert.equal(0.5, b.used.money)
    assert.equal(0, b.held.money)
  end)

  it("lets wait who would fit if those in flight turn out cheaper, in their order", virtual(function()
    local b, order = budget.new {tokens = 100}, {}
    local first = b:reserve(90, 0)
    local tasks = {}
    for i, want in ipairs {50, 20, 20} do
      tasks[i] = async.spawn(function()
        local r <close>, err = b:reserve(want, 0)
        table.insert(order, r and i or err.kind)
        if not r then return end
        async.sleep(1)
        r:settle(want, 0)
      end)
    end
    async.sleep(1)
    assert.same({}, order) -- the small ones do not overtake
    first:settle(40, 0)
    async.gather(tasks)
    assert.same({1, "budget", "budget"}, order)
    assert.is_true(b.used.tokens <= 100)
  end))

  it("fails who waits in vain", virtual(function()
    local b = budget.new {tokens = 100}
    local first = b:reserve(60, 0)
    local task = async.spawn(function() return b:reserve(60, 0) end)
    async.sleep(1)
    first:settle(60, 0)
    local r, err = task:await()
    assert.is_nil(r)
    assert.equal("budget", err.kind)
  end))

  it("asks again how much it will be, after a wait", virtual(function()
    local b, wanted = budget.new {tokens = 100}, 50
    local first = b:reserve(90, 0)
    local task = async.spawn(function() return b:reserve(wanted, 0, function() return wanted, 0 end) end)
    async.yield()
    wanted = 20
    first:settle(80, 0)
    local second <close> = task:await()
    assert.equal(20, second.tokens)
  end))

  it("turns away all who wait, with an error", virtual(function()
    local b = budget.new {tokens = 100}
    local held <close> = b:reserve(90, 0)
    local why, errs = core.error("api", "no"), {}
    local tasks = {}
    for i = 1, 3 do tasks[i] = async.spawn(function() errs[i] = select(2, b:reserve(50, 0)) end) end
    async.yield()
    tasks[2]:cancel()
    b:turn_away(why)
    async.wait(tasks)
    assert.same({[1] = why, [3] = why}, errs)
    assert.equal(0, #b.queue)
    assert.truthy(held)
  end))

  it("forgets who was cancelled while waiting, and goes on with the next", virtual(function()
    local b = budget.new {tokens = 10}
    local first = b:reserve(10, 0)
    local a = async.spawn(function() return b:reserve(10, 0) end)
    local c = async.spawn(function() return b:reserve(5, 0) end)
    async.sleep(1)
    a:cancel()
    a:pawait()
    first:settle(0, 0)
    assert.truthy(c:await())
    assert.equal(0, #b.queue)
    assert.equal(5, b.held.tokens)
  end))

  it("never spends more, whatever the order", function()
    require "muster.test".explore(virtual(function()
      local b = budget.new {tokens = 1000, money = 1}
      local tasks = {}
      for i = 1, 40 do
        tasks[i] = async.spawn(function()
          local r <close> = b:reserve(100, 0.05)
          if not r then return end
          assert.is_true(b.used.tokens + b.held.tokens <= 1000)
          assert.is_true(b.used.money + b.held.money <= 1 + 1e-9)
          async.sleep(i % 7)
          if i % 5 > 0 then r:settle(i % 3 * 50, 0.01 * (i % 4)) end
        end)
      end
      async.gather(tasks)
      assert.equal(0, b.held.tokens)
    end), {runs = 20})
  end)

  it("counts time from the first request", virtual(function()
    local b = budget.new {seconds = 10}
    async.sleep(100)
    assert.equal(10, b:time_left())
    async.sleep(4)
    assert.equal(6, b:time_left())
    async.sleep(6)
    local _, err = b:reserve(1, 0)
    assert.equal("seconds", err.budget)
  end))
end)
