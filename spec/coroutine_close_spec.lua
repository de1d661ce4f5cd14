-- Coroutines that are closed, or whose task is cancelled, while they await: what they waited for is undone, and who
-- resumed them is told.
local async = require "muster"
local coroutines = require "spec.support.coroutines"
local host = require "muster.host"
local virtual = require("muster.test").virtual

local closing, turns, start, awaiting, raises = coroutines.closing, coroutines.turns, coroutines.start,
  coroutines.awaiting, coroutines.raises
local create, resume, status, wrap = coroutine.create, coroutine.resume, coroutine.status, coroutine.wrap

local DEAD = {false, "cannot resume dead coroutine", n = 2}
-- What a coroutine can wait for, and what shows that the wait is over for good when it was closed. Each returns the
-- function to wait in, and a check.
local waits = {
  sleep = function()
    return function() async.sleep(100) end, function() assert.equal(0, host.stats().timers) end
  end,
  yield = function()
    local n = 0
    return function() while true do async.yield() n = n + 1 end end, function()
      local before = n
      turns(3)
      assert.equal(before, n)
    end
  end,
  await = function()
    local child = async.spawn(async.sleep, 100)
    return function() async.await(child) end, function()
      turns(3)
      assert.equal("cancelled", child:status())
    end
  end,
  gather = function()
    local children = {async.spawn(async.sleep, 100), async.spawn(async.sleep, 100)}
    return function() async.gather(children) end, function()
      turns(3)
      assert.equal("cancelled", children[1]:status())
      assert.equal("cancelled", children[2]:status())
    end
  end,
  as_completed = function()
    local children = {async.spawn(async.sleep, 100), async.spawn(async.sleep, 100)}
    return function() for _ in async.as_completed(children) do error "not here" end end, function()
      assert.equal("cancelled", children[1]:status(), "waited for, as by any end of the loop")
      assert.equal("cancelled", children[2]:status())
    end
  end,
  stream = function()
    local ended = 0
    return function()
      for _ in async.stream({1, 2, 3}, function()
        local _ <close> = closing(function() ended = ended + 1 end)
        async.sleep(100)
      end, {limit = 2}) do error "not here" end
    end, function() assert.equal(2, ended) end
  end,
  group = function()
    local child
    return function()
      local g <close> = async.group()
      child = g:spawn(async.sleep, 100)
      g:wait()
    end, function() assert.equal("cancelled", child:status(), "waited for, as by any end of the group") end
  end,
  semaphore = function()
    local sem = async.semaphore(1)
    local held = sem:acquire()
    return function() local _ <close> = sem:acquire() end, function()
      held:release()
      assert.equal(1, sem:available())
    end
  end,
  lock = function()
    local lock = async.lock()
    local held = lock:acquire()
    return function() local _ <close> = lock:acquire() end, function()
      held:release()
      assert.is_false(lock:locked())
    end
  end,
  ["channel:recv"] = function()
    local channel = async.channel()
    return function() channel:recv() end, function() assert.is_false(channel:try_send "nobody takes it") end
  end,
  ["channel:send"] = function()
    local channel = async.channel()
    return function() channel:send "value" end, function() assert.is_false((channel:try_recv())) end
  end,
  event = function()
    local event = async.event()
    return function() event:wait() end, function() event:set() end
  end,
  condition = function()
    local lock = async.lock()
    local condition = async.condition(lock)
    return function()
      local _ <close> = lock:acquire()
      condition:wait()
    end, function()
      local _ <close> = lock:acquire()
      assert.equal(0, condition:notify_all())
    end
  end,
  barrier = function()
    local barrier = async.barrier(2)
    return function() barrier:wait() end, function() assert.equal(0, barrier:waiting()) end
  end,
  select = function()
    local channel, other = async.channel(), async.channel()
    return function() async.select {channel, {send = other, value = "value"}, timeout = 100} end, function()
      assert.is_false(channel:try_send "nobody takes it")
      assert.is_false((other:try_recv()))
      assert.equal(0, host.stats().timers)
    end
  end,
  suspend = function()
    local cancelled, go_on = 0, nil
    return function()
      async.suspend(function(done)
        go_on = done
        return function() cancelled = cancelled + 1 end
      end)
    end, function()
      assert.equal(1, cancelled)
      assert.is_false(go_on "too late")
    end
  end,
  timeout = function()
    return function() async.timeout(50, async.sleep, 100) end, function() assert.equal(0, host.stats().timers) end
  end,
  shield = function()
    return function()
      async.shield(async.sleep, 100)
      async.sleep(100)
    end, function() assert.equal(0, host.stats().timers) end
  end,
}

describe("A coroutine that is closed while it awaits", function()
  for name, make in pairs(waits) do
    it("does not wait any more: " .. name, virtual(function()
      local wait, check = make()
      local ops, closed = host.stats().ops, 0
      local c = awaiting(function()
        local _ <close> = closing(function() closed = closed + 1 end)
        wait()
      end)
      assert.equal("normal", status(c.co))
      assert.is_true(coroutine.close(c.co))
      assert.equal("dead", status(c.co))
      assert.equal(1, closed)
      assert.is_nil(c.got, "its consumer runs at the next turn")
      c.task:await()
      assert.same(DEAD, c.got)
      check()
      turns(5)
      assert.equal(ops, host.stats().ops)
    end))

    it("is cancelled with its task, and its variables are closed: " .. name, virtual(function()
      local wait, check = make()
      local closed = {}
      local c = awaiting(function()
        local _ <close> = closing(function(_, err) closed[#closed + 1] = err end)
        wait()
      end)
      c.task:cancel()
      c.task:pawait()
      assert.is_nil(closed[1], "resume leaves that to close, as in stock Lua")
      assert.same({false, c.got[2], n = 2}, table.pack(coroutine.close(c.co)))
      assert.is_false(c.got[1], "resume returns what was raised inside")
      assert.is_true(async.is_cancelled(c.got[2]))
      assert.equal(c.got[2], closed[1])
      check()
    end))
  end

  it("ends with the whole of what it resumes, innermost first", virtual(function()
    local order = {}
    local function level(n)
      local _ <close> = closing(function() order[#order + 1] = n end)
      if n == 5 then async.sleep(100) else wrap(level)(n + 1) end
    end
    local c = awaiting(function() level(1) end)
    assert.is_true(coroutine.close(c.co))
    assert.same({5, 4, 3, 2, 1}, order)
    c.task:await()
  end))

  it("is closed in the middle: the outer one sees a dead coroutine, and goes on", virtual(function()
    local middle
    local c = awaiting(function()
      middle = create(function() wrap(async.sleep)(100) end)
      local got = table.pack(resume(middle))
      async.sleep(1)
      return table.unpack(got, 1, got.n)
    end)
    assert.is_true(coroutine.close(middle))
    c.task:await()
    assert.same({true, false, DEAD[2], n = 3}, c.got)
  end))

  it("raises in its wrapped consumer", virtual(function()
    local co
    local task = start(function()
      local step = wrap(function()
        co = coroutine.running()
        async.sleep(100)
      end)
      step()
    end)
    coroutine.close(co)
    raises("^spec/coroutine_close_spec.lua:%d+: cannot resume dead coroutine$", task.await, task)
  end))

  it("tells the error of a __close, also of an inner one", virtual(function()
    local function failing() return closing(function() error("in close", 0) end) end
    for _, fn in ipairs {
      function() local _ <close> = failing() async.sleep(100) end,
      function() wrap(function() local _ <close> = failing() async.sleep(100) end)() end,
    } do
      local c = awaiting(fn)
      assert.same({false, "in close", n = 2}, table.pack(coroutine.close(c.co)))
      assert.equal("dead", status(c.co))
      c.task:await()
      assert.same(DEAD, c.got)
    end
  end))

  it("may await in its __close: its task goes on after that only", virtual(function()
    local inner, order = nil, {}
    local function slow(name)
      return closing(function()
        async.sleep(1)
        order[#order + 1] = name
      end)
    end
    local c = awaiting(function()
      local _ <close> = slow "outer"
      inner = create(function() local _ <close> = slow "inner" async.sleep(100) end)
      resume(inner)
      order[#order + 1] = "wrong: it goes on while it is being closed"
    end)
    local closer = start(function() return coroutine.close(c.co) end)
    assert.equal("normal", status(inner), "under way")
    raises("cannot close a normal coroutine", coroutine.close, inner)
    assert.is_false((resume(inner)))
    assert.is_true(closer:await())
    assert.same({"inner", "outer"}, order)
    c.task:await()
    assert.same(DEAD, c.got)
  end))

  it("keeps others out of what is around it, until its task runs", virtual(function()
    local outer, middle, again
    local task = start(function()
      outer = create(function()
        middle = create(function()
          wrap(function()
            local _ <close> = closing(function() async.sleep(1) end)
            async.sleep(100)
          end)()
        end)
        local got = table.pack(resume(middle))
        async.sleep(1)
        return table.unpack(got, 1, got.n)
      end)
      return resume(outer)
    end)
    local closer = start(function() return coroutine.close(middle) end)
    local function check_refused()
      assert.equal("normal", status(outer))
      assert.is_false((resume(outer)))
      assert.is_true(async.current() ~= task)
    end
    check_refused()
    assert.equal("normal", status(middle))
    raises("cannot close a coroutine that waits for another close of it", coroutine.close, outer)
    assert.is_true(closer:await())
    again = status(outer)
    if task:status() == "ready" then check_refused() end
    assert.same({true, false, DEAD[2], n = 3}, table.pack(task:await()))
    assert.equal("normal", again)
    assert.equal("dead", status(outer))
  end))

  it("by a task that it waits for: is told, and nobody waits for itself", virtual(function()
    for _, wait in ipairs {
      function(fn) local g <close> = async.group() g:spawn(fn) g:wait() end,
      function(fn) for _ in async.as_completed {fn} do error "not here" end end,
      function(fn) local g <close> = async.group() g:spawn(async.gather, {fn}) async.sleep(100) end,
    } do
      local ok, err, c
      c = awaiting(function()
        wait(function()
          async.sleep(1)
          ok, err = coroutine.close(c.co)
          async.yield()
        end)
      end)
      c.task:await()
      assert.same(DEAD, c.got)
      assert.is_false(ok)
      assert.matches("a task cannot wait for its own end", tostring(err))
    end
    for _, wait in ipairs {async.await, function(fn) async.gather {fn} end} do
      local ok, c
      c = awaiting(function() wait(function() async.sleep(1) ok = coroutine.close(c.co) end) end)
      c.task:await()
      assert.same(DEAD, c.got)
      turns(2)
      assert.is_true(ok)
    end
  end))

  it("by a task that what it waits for is held by: is told too", virtual(function()
    local ok, err, inner, outer
    local held = start(function()
      inner = create(function()
        local _ <close> = closing(function() ok, err = coroutine.close(outer) end)
        async.sleep(100)
      end)
      return resume(inner)
    end)
    local other = start(function()
      outer = create(function()
        local g <close> = async.group()
        g:spawn(held)
        async.sleep(100)
      end)
      return resume(outer)
    end)
    assert.is_true(start(function() return coroutine.close(inner) end):await())
    assert.is_false(ok)
    assert.matches("a task cannot wait for its own end", tostring(err))
    assert.is_false((held:await()))
    assert.is_false((other:await()))
  end))

  it("is not raced by a cancellation of its task", virtual(function()
    local closed = 0
    local c = awaiting(function()
      local _ <close> = closing(function() async.sleep(1) closed = closed + 1 end)
      async.sleep(100)
    end)
    local closer = start(function() return coroutine.close(c.co) end)
    assert.is_true(c.task:cancel())
    turns(3)
    assert.equal("waiting", c.task:status())
    assert.is_true(closer:await())
    c.task:pawait()
    assert.same(DEAD, c.got)
    assert.equal(1, closed)
  end))

  it("has the cancel function of suspend called once, which may await or raise", virtual(function()
    local calls
    local function suspended(cancel)
      calls = 0
      return awaiting(function()
        async.suspend(function() return function() calls = calls + 1 cancel() end end)
      end)
    end
    local c = suspended(function() async.sleep(1) end)
    assert.is_true(coroutine.close(c.co))
    c.task:await()
    assert.equal(1, calls)
    c = suspended(function() error("cannot", 0) end)
    assert.same({false, "cannot", n = 2}, table.pack(coroutine.close(c.co)))
    c.task:await()
    assert.same(DEAD, c.got)
    assert.equal(1, calls)
    c = suspended(function() end)
    c.task:cancel()
    assert.is_true(coroutine.close(c.co), "in the turn in which its task was cancelled")
    c.task:pawait()
    assert.equal(1, calls)
  end))

  it("passes on what it was given in the same turn", virtual(function()
    local sem, channel = async.semaphore(1), async.channel()
    local held = sem:acquire()
    local c = awaiting(function() local _ <close> = sem:acquire() error "not here" end)
    local other = start(function() local _ <close> = sem:acquire() return "mine" end)
    held:release()
    assert.is_true(coroutine.close(c.co))
    assert.equal("mine", other:await())
    c.task:await()
    assert.equal(1, sem:available())

    c = awaiting(function() channel:recv() error "not here" end)
    other = start(function() return channel:recv() end)
    assert.is_true(channel:try_send "value")
    assert.is_true(coroutine.close(c.co))
    assert.equal("value", other:await())
    c.task:await()
  end))

  it("cannot be, where the wait cannot end", virtual(function()
    local lock = async.lock()
    local condition = async.condition(lock)
    local c = awaiting(function() local _ <close> = lock:acquire() condition:wait() return "end" end)
    local held = lock:acquire()
    condition:notify()
    turns(2)
    raises("^cannot close a coroutine that waits for its lock$", coroutine.close, c.co)
    assert.equal("normal", status(c.co))
    held:release()
    c.task:await()
    assert.same({true, "end", n = 2}, c.got)
  end))

  it("can be by a callback outside of tasks", function()
    local uv = require "luv"
    local c = awaiting(function() async.suspend(function() end) end)
    local got = async.suspend(function(done)
      local timer = uv.new_timer()
      timer:start(0, 0, function()
        timer:close()
        done {status(c.co), coroutine.close(c.co), (resume(c.co))}
      end)
    end)
    assert.same({"normal", true, false}, got)
    c.task:await()
    assert.same(DEAD, c.got)
  end)
end)
