-- Channels and select: every value reaches exactly one receiver, in order, or its sender learns that it did not.
local async = require "muster"
local test = require "muster.test"

--- On a virtual clock; what would hang for ever fails after a virtual day.
local function virtual(fn)
  return test.virtual(function() return async.timeout(86400, fn) end)
end

--- Starts fn, and lets it run until it waits or ends.
local function start(fn, ...)
  local task = async.spawn(fn, ...)
  repeat async.yield() until task:status() ~= "ready"
  return task
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error, but expected: " .. pattern)
  assert.matches(pattern, tostring(err))
  return err
end

local function raises_closed(fn, ...)
  assert.equal("closed", raises("closed", fn, ...).kind)
end

local function assert_cancelled(...)
  for _, task in ipairs {...} do
    local ok, err = task:pawait()
    assert.is_false(ok, "not cancelled")
    assert.is_true(async.is_cancelled(err), tostring(err))
  end
end

local function receiver(ch) return start(ch.recv, ch) end
local function sender(ch, value) return start(ch.send, ch, value) end

--- All that can be had without waiting, as one string.
local function drain(ch)
  local values = {}
  repeat
    local got, value = ch:try_recv()
    values[#values + 1] = value
  until not got or value == nil
  return table.concat(values, " ")
end

describe("channel", function()
  it("without capacity is a rendezvous, whoever comes first", virtual(function()
    local ch = async.channel()
    local s = sender(ch, "a")
    assert.equal("waiting", s:status())
    assert.equal(0, #ch)
    assert.equal("a", ch:recv())
    s:await()
    local r = receiver(ch)
    ch:send "b"
    assert.equal("b", r:await())
    assert.equal("", drain(async.channel(0)))
  end))

  it("holds as many values as its capacity, first in, first out", virtual(function()
    local ch = async.channel(3)
    for i = 1, 3 do ch:send(i) end
    assert.equal(3, #ch)
    local s = sender(ch, 4)
    assert.equal("waiting", s:status())
    assert.equal(1, ch:recv())
    assert.equal(3, #ch, "the waiting sender's value took the place")
    s:await()
    assert.equal("2 3 4", drain(ch))
    for round = 1, 10 do -- round and round the ring
      ch:send(round)
      ch:send(-round)
      assert.equal(round .. " " .. -round, drain(ch))
    end
    assert.equal(0, #ch)
  end))

  it("without bound never makes a sender wait", virtual(function()
    local ch = async.channel(math.huge)
    local other = async.spawn(function() error "a send suspended" end)
    for i = 1, 5000 do ch:send(i) end
    other:cancel()
    assert.equal(5000, #ch)
    for i = 1, 5000 do assert.equal(i, ch:recv()) end
    assert.equal(0, #ch)
  end))

  it("serves senders and receivers in the order of coming", virtual(function()
    local ch, r, s = async.channel(), {}, {}
    for i = 1, 5 do r[i] = i % 2 == 1 and receiver(ch) or start(async.select, {async.channel(), ch}) end
    for i = 1, 5 do ch:send(i) end
    for i = 1, 5 do assert.equal(i, (select(-1, r[i]:await()))) end
    for i = 1, 5 do s[i] = sender(ch, i) end
    for i = 1, 5 do
      assert.equal(i, ch:recv())
      s[i]:await()
      if s[i + 1] then assert.equal("waiting", s[i + 1]:status()) end
    end
  end))

  it("lets no newcomer past those who wait", virtual(function()
    local ch = async.channel(1)
    ch:send(1)
    local s = sender(ch, 2)
    assert.is_false(ch:try_send(3))
    assert.equal(1, ch:recv())
    assert.is_false(ch:try_send(3), "the place was the waiting sender's")
    assert.equal("2", drain(ch))
    s:await()
    local r = receiver(ch)
    ch:send(4)
    assert.is_false(ch:try_recv(), "the value is the waiting receiver's")
    assert.equal(4, r:await())
  end))

  it("carries any value but nil", virtual(function()
    local ch, t = async.channel(4), {}
    for _, v in ipairs {false, t, print, 0} do ch:send(v); assert.equal(v, ch:recv()) end
    raises("#1 to 'send' .*nil", function() ch:send(nil) end)
    raises("#1 to 'send' .*nil", function() ch:send() end)
    raises("#1 to 'try_send' .*nil", function() ch:try_send(nil) end)
    assert.equal(0, #ch)
    ch:send(1, 2, 3)
    assert.same({1, n = 1}, table.pack(ch:recv()))
  end))

  it("tries: never waits, and says whether it did", virtual(function()
    local ch = async.channel(1)
    assert.same({false, n = 1}, table.pack(ch:try_recv()))
    assert.is_true(ch:try_send "a")
    assert.is_false(ch:try_send "b")
    assert.same({true, "a", n = 2}, table.pack(ch:try_recv()))
    ch = async.channel()
    assert.is_false(ch:try_send "a")
    local r = receiver(ch)
    assert.is_true(ch:try_send "a")
    assert.equal("a", r:await())
  end))

  it("has a capacity that is a whole number, or no bound", virtual(function()
    for _, n in ipairs {-1, 1.5, "x", {}, 0 / 0, -math.huge} do
      raises("#1 to 'channel'", function() async.channel(n) end)
    end
    local ch = async.channel(2.0)
    assert.is_true(ch:try_send(1) and ch:try_send(2) and not ch:try_send(3))
    raises("channel expected", ch.send, async.lock(), 1)
    raises("channel expected", ch.recv)
  end))
end)

describe("channel: closing", function()
  it("lets receivers drain it, then says nil for ever", virtual(function()
    local ch = async.channel(3)
    ch:send(1)
    ch:send(2)
    assert.is_false(ch:is_closed())
    ch:close()
    ch:close()
    assert.is_true(ch:is_closed())
    assert.equal(1, ch:recv())
    assert.same({true, 2, n = 2}, table.pack(ch:try_recv()))
    for _ = 1, 2 do
      assert.same({n = 1}, table.pack(ch:recv()))
      assert.same({true, nil, n = 2}, table.pack(ch:try_recv()))
    end
  end))

  it("refuses values, with an error of kind closed", virtual(function()
    local ch = async.channel(3)
    ch:close()
    raises_closed(ch.send, ch, 1)
    raises_closed(ch.try_send, ch, 1)
    raises_closed(async.select, {{send = ch, value = 1}})
    assert.equal(0, #ch)
  end))

  it("wakes all who wait: receivers with nil, senders with the error", virtual(function()
    local ch = async.channel()
    local r1, r2 = receiver(ch), receiver(ch)
    ch:close()
    assert.same({nil, nil, n = 2}, async.gather(r1, r2))
    ch = async.channel(1)
    ch:send "kept"
    local s1, s2 = sender(ch, "a"), sender(ch, "b")
    ch:close()
    raises_closed(s1.await, s1)
    raises_closed(s2.await, s2)
    assert.equal("kept", drain(ch))
  end))

  it("in the turn of a hand-over takes nothing back", virtual(function()
    local ch = async.channel()
    local r1, r2 = receiver(ch), receiver(ch)
    ch:send "a"
    ch:close()
    r1:cancel()
    assert.equal("a", r2:await() or ch:recv(), "what the cancelled receiver held")
    assert.is_nil(ch:recv())
    assert_cancelled(r1)
    ch = async.channel()
    local s1, s2 = sender(ch, "b"), sender(ch, "c")
    assert.equal("b", ch:recv())
    ch:close()
    s1:await()
    raises_closed(s2.await, s2)
  end))

  it("ends an iteration, and several of one channel share the values", virtual(function()
    local ch, sum = async.channel(2), {a = 0, b = 0}
    local function take(name) for v in ch:iter() do sum[name] = sum[name] + v; async.yield() end end
    local a, b = start(take, "a"), start(take, "b")
    for i = 1, 9 do ch:send(i) end
    ch:close()
    async.gather(a, b)
    assert.equal(45, sum.a + sum.b)
    assert.is_true(sum.a > 0 and sum.b > 0)
    for _ in ch:iter() do error "closed and drained" end
  end))
end)

describe("channel: cancelled while waiting", function()
  local ch

  before_each(function() ch = async.channel() end)

  it("a receiver gives up its place", virtual(function()
    local r1, r2, r3 = receiver(ch), receiver(ch), receiver(ch)
    r2:cancel()
    ch:send(1)
    ch:send(2)
    assert.equal(1, r1:await())
    assert.equal(2, r3:await())
    assert_cancelled(r2)
    assert.is_false(ch:try_send(3))
  end))

  it("a sender takes its value away", virtual(function()
    local s1, s2, s3 = sender(ch, 1), sender(ch, 2), sender(ch, 3)
    s1:cancel()
    assert.equal(2, ch:recv())
    assert.equal(3, ch:recv())
    assert.is_false(ch:try_recv())
    assert_cancelled(s1)
    async.gather(s2, s3)
    assert.is_false(async.move_on_after(1, ch.send, ch, 4))
    assert.is_false(ch:try_recv())
  end))

  it("a sender whose value was accepted in the same turn is told so", virtual(function()
    local sent
    local s = start(function() ch:send(1); sent = true; async.yield() end)
    assert.equal(1, ch:recv())
    s:cancel()
    assert_cancelled(s)
    assert.is_true(sent)
  end))

  it("on entry: nothing is sent or received", virtual(function()
    ch = async.channel(2)
    ch:send(1)
    local function try(fn, ...) async.current():cancel(); return fn(...) end
    assert_cancelled(start(try, ch.recv, ch), start(try, ch.send, ch, 2), start(try, ch:iter()))
    assert_cancelled(start(try, async.select, {ch}), start(try, async.select, {timeout = 0}))
    assert.equal("1", drain(ch))
  end))
end)

describe("channel: a value handed to a receiver that is cancelled in the same turn", function()
  local ch, r

  before_each(function() ch, r = async.channel(), {} end)

  local function receivers(n)
    for i = 1, n do r[i] = receiver(ch) end
  end

  it("goes to the next receiver", virtual(function()
    receivers(4)
    ch:send(1)
    r[1]:cancel()
    r[2]:cancel()
    assert.is_false(ch:try_recv())
    ch:send(2)
    assert.equal(1, r[3]:await())
    assert.equal(2, r[4]:await())
    assert_cancelled(r[1], r[2])
  end))

  it("goes back in front of what is buffered, and of what senders wait with", virtual(function()
    ch = async.channel(2)
    receivers(1)
    ch:send(1)
    r[1]:cancel()
    assert.equal(1, #ch)
    ch:send(2)
    ch:send(3)
    assert.equal(3, #ch)
    local s = sender(ch, 4)
    assert.equal("1 2 3 4", drain(ch))
    s:await()
    assert_cancelled(r[1])
  end))

  it("keeps its place among others that come back, in whichever order", virtual(function()
    for _, order in ipairs {{1, 2, 3}, {3, 2, 1}, {2, 3, 1}, {2, 1, 3}} do
      receivers(3)
      for i = 1, 3 do ch:send(i) end
      for _, i in ipairs(order) do r[i]:cancel() end
      assert.equal("1 2 3", drain(ch), "cancelled in the order " .. table.concat(order, " "))
      assert_cancelled(r[1], r[2], r[3])
    end
  end))

  it("comes before one that was handed out later: nobody sees 2 and then 1", virtual(function()
    local got = {}
    receivers(1)
    local last = start(function() got[1] = ch:recv(); got[2] = ch:recv() end)
    ch:send(1)
    ch:send(2)
    r[1]:cancel()
    last:await()
    assert.same({1, 2}, got)
    assert_cancelled(r[1])
  end))

  it("is not lost when a gather or a timeout cancels several", virtual(function()
    for _, order in ipairs {{1, 2}, {2, 1}} do
      receivers(2)
      local parent = start(async.gather, {r[order[1]], r[order[2]]})
      ch:send(1)
      parent:cancel()
      assert.equal("1", drain(ch))
      assert_cancelled(parent, r[1], r[2])
    end
    local s = start(function() async.sleep(1); ch:send "late" end)
    local got = async.move_on_after(1, async.gather, function() return ch:recv() end, function() return ch:recv() end)
    assert.is_false(got)
    assert.equal("late", ch:recv())
    s:await()
  end))

  it("is not lost when it came by select", virtual(function()
    local other = async.channel(1)
    local task = start(async.select, {other, ch, {send = async.channel(), value = 0}, timeout = 5})
    ch:send(1)
    task:cancel()
    assert.equal("1", drain(ch))
    other:send(2)
    assert.equal("2", drain(other))
    assert_cancelled(task)
  end))
end)

describe("select", function()
  local a, b

  before_each(function() a, b = async.channel(1), async.channel(1) end)

  local function selected(...) return table.pack(async.select(...)) end

  it("takes the first case in the list that is ready", virtual(function()
    b:send "b"
    assert.same({2, "b", n = 2}, selected {a, b})
    a:send "a"
    b:send "b"
    assert.same({1, "b", n = 2}, selected {b, a})
    assert.same({1, "a", n = 2}, selected {a, b})
    assert.same({1, n = 1}, selected {{send = a, value = "x"}, b})
    assert.same({2, "x", n = 2}, selected {{send = a, value = "y"}, a})
    assert.equal("", drain(a))
  end))

  it("waits for the first to become ready, and leaves the other queues", virtual(function()
    local c = async.channel()
    local task = start(selected, {a, b, {send = c, value = "c"}})
    assert.equal("waiting", task:status())
    b:send "b"
    a:send "a"
    assert.equal("a", drain(a), "one case only, also in the same turn")
    assert.same({2, "b", n = 2}, task:await())
    assert.equal("", drain(c))
    task = start(selected, {a, {recv = b}, {send = c, value = "c"}})
    assert.equal("c", c:recv())
    assert.same({3, n = 1}, task:await())
    assert.is_false(c:try_send "nobody waits")
  end))

  it("gives up at a timeout, which may be zero", virtual(function()
    assert.same({nil, "timeout", n = 2}, selected {a, b, timeout = 0})
    local before = async.now()
    assert.same({nil, "timeout", n = 2}, selected {a, b, timeout = 1.5})
    assert.is_true(math.abs(async.now() - before - 1.5) < 1e-6)
    assert.same({nil, "timeout", n = 2}, selected {timeout = 1})
    a:send "a"
    assert.same({1, "a", n = 2}, selected {a, b, timeout = 0})
    b:send "b"
    assert.equal("b", drain(b), "the selects have left the queue")
  end))

  it("at the instant of its timeout loses no value", virtual(function()
    local c = async.channel()
    local s = start(function() async.sleep(1); c:send "x" end)
    local index, value = async.select {c, timeout = 1}
    assert.equal("x", index and value or c:recv())
    s:await()
    local task = start(selected, {c, timeout = 1})
    async.sleep(1)
    if c:try_send "y" then assert.same({1, "y", n = 2}, task:await())
    else assert.same({nil, "timeout", n = 2}, task:await()) end
  end))

  it("says nil for a closed channel, and raises for a send to one", virtual(function()
    local c = async.channel()
    local receives, sends = start(selected, {b, a}), start(selected, {b, {send = c, value = 1}})
    a:close()
    assert.same({2, nil, n = 2}, receives:await())
    assert.same({1, nil, n = 2}, selected {a, b})
    c:close()
    raises_closed(sends.await, sends)
    b:send "b"
    assert.equal("b", drain(b))
  end))

  it("leaves all queues when it is cancelled", virtual(function()
    local c = async.channel()
    local task = start(selected, {a, {send = c, value = 1}, timeout = 10})
    task:cancel()
    assert.is_false(c:try_recv())
    a:send "a"
    assert.equal("a", drain(a))
    assert_cancelled(task)
    assert.is_false(async.move_on_after(1, async.select, {{send = c, value = 1}, b, timeout = 5}))
    assert.is_false(c:try_recv())
  end))

  it("with a send accepted in the turn of its cancellation says so", virtual(function()
    local c, got = async.channel(), nil
    local task = start(function() got = selected {a, {send = c, value = 1}}; async.yield() end)
    assert.equal(1, c:recv())
    task:cancel()
    assert_cancelled(task)
    assert.same({2, n = 1}, got)
  end))

  it("may name a channel twice", virtual(function()
    local c = async.channel()
    local task = start(selected, {c, c})
    c:send(1)
    assert.same({1, 1, n = 2}, task:await())
    assert.is_false(c:try_send(2), "nobody waits")
    task = start(selected, {{send = c, value = "x"}, {send = c, value = "y"}})
    assert.equal("x", c:recv())
    assert.same({1, n = 1}, task:await())
    assert.is_false(c:try_recv())
  end))

  it("does not trade with itself", virtual(function()
    local c = async.channel()
    local both = {c, {send = c, value = "own"}}
    assert.same({nil, "timeout", n = 2}, selected {c, both[2], timeout = 1})
    local task = start(selected, both)
    c:send "other"
    assert.same({1, "other", n = 2}, task:await())
    task = start(selected, both)
    assert.equal("own", c:recv())
    assert.same({2, n = 1}, task:await())
    task = start(selected, both)
    c:close()
    assert.same({1, nil, n = 2}, task:await())
  end))

  it("meets another select", virtual(function()
    local c = async.channel()
    local x = start(selected, {{send = c, value = "x"}, c})
    local y = start(selected, {{send = c, value = "y"}, c})
    local results = async.gather(x, y)
    assert.same({{2, "y", n = 2}, {1, n = 1}, n = 2}, results)
  end))

  it("refuses what is no case, and names it", virtual(function()
    for _, bad in ipairs {1, "x", {}, {send = 1, value = 1}, {recv = {}}, async.lock(), {value = 1}} do
      raises("case 2", async.select, {a, bad})
    end
    raises("case 1 sends nil", async.select, {{send = a}})
    raises("neither", async.select, {})
    raises("table expected", async.select, a)
    raises("table expected", async.select)
    for _, s in ipairs {-1, "x", 0 / 0} do raises("", async.select, {a, timeout = s}) end
    assert.is_false(a:try_recv())
  end))

  it("refuses an unknown option, such as a misspelt timeout", virtual(function()
    raises("timeot", async.select, {a, timeot = 1, timeout = 0})
  end))
end)
