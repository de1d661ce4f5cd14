-- lua/muster/dns.lua: with the names that every machine has.
local async = require "muster"
local dns = require "muster.dns"
local spec = require "spec.support.io"

local checked, start, raises, cancel, turns = spec.checked, spec.start, spec.raises, spec.cancel, spec.turns

describe("dns", function()
  it("refuses wrong arguments", function()
    for _, name in ipairs {"resolve", "addresses"} do
      raises(name .. ": expected", dns[name])
      raises(name .. ": expected", dns[name], "")
      raises(name .. ": expected", dns[name], "a\0b")
      raises(name .. ": unknown option 'port'", dns[name], "localhost", {port = 1})
      raises(name .. ": option 'family' must be", dns[name], "localhost", {family = 4})
      raises(name .. ": option 'timeout' must be", dns[name], "localhost", {timeout = "1"})
    end
    raises("reverse: expected", dns.reverse)
    raises("reverse: expected a numeric address", dns.reverse, "localhost")
    raises("reverse: expected a numeric address", dns.reverse, "1.2.3")
  end)

  it("a name that does not exist, or cannot, is nil and an error of kind dns", checked(function()
    local list, err = dns.resolve "name.invalid"
    assert.is_nil(list)
    assert.equal("dns", err.kind)
    assert.matches("^resolve name.invalid: ", tostring(err))
    assert.is_nil(dns.resolve "256.1.1.1")
    assert.is_nil(dns.resolve "a..b")
    list, err = dns.addresses(("x"):rep(300))
    assert.is_nil(list)
    assert.is_string(err.code)
    assert.is_nil(dns.resolve(("x."):rep(5000)))
  end))

  it("numeric addresses stand for themselves", checked(function()
    assert.same({{host = "127.0.0.1", family = "inet"}}, dns.resolve "127.0.0.1")
    assert.same({{host = "::1", family = "inet6"}}, dns.resolve "::1")
    assert.same({"192.0.2.7"}, dns.addresses("192.0.2.7", {family = "inet"}))
    assert.equal("dns", select(2, dns.addresses("192.0.2.7", {family = "inet6"})).kind)
  end))

  it("localhost", checked(function()
    assert.same({"127.0.0.1"}, dns.addresses("localhost", {family = "inet", timeout = 10}))
    assert.same({"localhost", n = 1}, table.pack(dns.reverse "127.0.0.1"))
  end))

  it("many at once, more than there are threads", checked(function()
    local tasks = {}
    for i = 1, 50 do tasks[i] = async.spawn(dns.addresses, "localhost", {family = "inet"}) end
    for _, list in ipairs(async.gather(tasks)) do assert.same({"127.0.0.1"}, list) end
  end))

  it("is cancelled, whether or not it has been asked", checked(function()
    local tasks = {}
    for i = 1, 20 do tasks[i] = start(dns.resolve, "localhost") end
    for _, task in ipairs(tasks) do
      if task:status() == "waiting" then cancel(task) end
    end
    local task = start(dns.reverse, "127.0.0.1")
    if task:status() == "waiting" then cancel(task) end
    assert.same({"127.0.0.1"}, dns.addresses("localhost", {family = "inet"}))
  end))

  it("in a task that was cancelled raises at once", checked(function()
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      dns.resolve "127.0.0.1"
    end)
    turns()
    cancel(task)
  end))

  it("gives up after a time limit", checked(function()
    local list, err = dns.resolve("localhost", {timeout = 0})
    assert.is_nil(list)
    assert.equal("timeout", err.kind)
    assert.is_true(err.retryable)
  end))
end)
