-- Generators that await between their yields: the consumer sees the yields only, all of them, in order.
local async = require "muster"
local coroutines = require "spec.support.coroutines"
local host = require "muster.host"
local program = require "spec.support.program"
local virtual = require("muster.test").virtual

local closing, start, raises = coroutines.closing, coroutines.start, coroutines.raises
local wrap, yield = coroutine.wrap, coroutine.yield

local function collect(iterator)
  local all = {}
  for value in iterator do all[#all + 1] = value end
  return all
end

--- Every wait there is, done once. What each needs from others comes from tasks that it starts.
local waits = {
  sleep = function() async.sleep(1) end,
  yield = function() async.yield() end,
  await = function() assert.equal(1, async.await(async(function() async.sleep(1) return 1 end)())) end,
  ["pawait of a failure"] = function() async.spawn(error, "x"):pawait() end,
  gather = function() assert.same({1, 2, n = 2}, async.gather {
    function() async.sleep(2) return 1 end, function() async.sleep(1) return 2 end,
  }) end,
  as_completed = function()
    local n = 0
    for task in async.as_completed {function() async.sleep(2) end, function() async.sleep(1) end} do
      async.await(task)
      n = n + 1
    end
    assert.equal(2, n)
  end,
  ["as_completed, left early"] = function()
    for _, i in async.as_completed {function() async.sleep(2) end, function() async.sleep(1) end} do
      if i then break end
    end
  end,
  stream = function()
    local n = 0
    for value in async.stream({1, 2, 3}, function(i) async.sleep(1) return i end, {limit = 2}) do n = n + value end
    assert.equal(6, n)
  end,
  map = function() assert.equal(2, async.map({1, 2}, function(i) async.sleep(1) return i end)[2]) end,
  group = function()
    local g <close> = async.group()
    g:spawn(async.sleep, 1)
  end,
  semaphore = function()
    local sem = async.semaphore(1)
    local task = start(function() local _ <close> = sem:acquire() async.sleep(1) end)
    sem:with(function() assert.equal("done", task:status()) end)
  end,
  lock = function()
    local lock = async.lock()
    start(function() local _ <close> = lock:acquire() async.sleep(1) end)
    lock:with(async.sleep, 1)
  end,
  ["channel:recv"] = function()
    local channel = async.channel()
    async.spawn(channel.send, channel, "value")
    assert.equal("value", channel:recv())
  end,
  ["channel:send"] = function()
    local channel = async.channel()
    local task = async.spawn(channel.recv, channel)
    channel:send "value"
    assert.equal("value", task:await())
  end,
  ["channel:iter"] = function()
    local channel = async.channel(1)
    async.spawn(function() for i = 1, 3 do channel:send(i) end channel:close() end)
    assert.same({1, 2, 3}, collect(channel:iter()))
  end,
  event = function()
    local event = async.event()
    async.spawn(function() async.sleep(1) event:set() end)
    event:wait()
  end,
  condition = function()
    local lock = async.lock()
    local condition = async.condition(lock)
    async.spawn(function() local _ <close> = lock:acquire() condition:notify() end)
    local _ <close> = lock:acquire()
    condition:wait()
  end,
  barrier = function()
    local barrier = async.barrier(2)
    async.spawn(function() async.sleep(1) barrier:wait() end)
    barrier:wait()
  end,
  select = function()
    local channel = async.channel()
    async.spawn(channel.send, channel, "value")
    async.select {async.channel(), channel, timeout = 10}
  end,
  suspend = function()
    assert.equal(7, async.suspend(function(go_on) async.spawn(go_on, 7) end))
  end,
  ["suspend, resumed at once"] = function()
    assert.equal(7, async.suspend(function(go_on) go_on(7) end))
  end,
  timeout = function() async.timeout(2, async.sleep, 1) end,
  ["timeout, too late"] = function() assert.is_false(pcall(async.timeout, 1, async.sleep, 2)) end,
  shield = function() async.shield(async.sleep, 1) end,
  ["a pcall"] = function() pcall(async.sleep, 1) end,
  ["a sort, where Lua cannot yield"] = function()
    local list = {3, 1, 2}
    table.sort(list, function(a, b) async.sleep(1) return a < b end)
    assert.same({1, 2, 3}, list)
  end,
  ["a gsub, where Lua cannot yield"] = function()
    assert.equal("<a><b>", (("ab"):gsub(".", function(c) async.yield() return "<" .. c .. ">" end)))
  end,
  ["a generator of its own, in a sort"] = function()
    local list = {3, 1, 2}
    local less = wrap(function(a, b) while true do async.yield() a, b = yield(a < b) end end)
    table.sort(list, function(a, b) return less(a, b) end)
    assert.same({1, 2, 3}, list)
  end,
}

describe("A generator", function()
  for name, wait in pairs(waits) do
    it("awaits between its yields: " .. name, virtual(function()
      local function body(a, b)
        for i = 1, 3 do
          wait()
          a, b = yield(i, a, b)
          wait()
        end
        return "end", a, b
      end
      local step, others = wrap(body), 0
      local other = async.spawn(function() while others < 5 do async.yield() others = others + 1 end end)
      assert.same({1, "a", nil, n = 3}, table.pack(step("a", nil)))
      assert.same({2, nil, "b", n = 3}, table.pack(step(nil, "b")))
      assert.same({3, nil, nil, n = 3}, table.pack(step()))
      assert.same({"end", 1, 2, n = 3}, table.pack(step(1, 2)))
      raises("cannot resume dead coroutine", step)
      other:await()
    end))

    it("five deep, each of which awaits: " .. name, virtual(function()
      local function source() for i = 1, 4 do wait() yield(i) end end
      local function add_one(from)
        return function()
          for value in from do
            wait()
            yield(value + 1)
          end
          wait()
        end
      end
      local pipeline = wrap(source)
      for _ = 1, 4 do pipeline = wrap(add_one(pipeline)) end
      assert.same({5, 6, 7, 8}, collect(pipeline))
    end))
  end

  it("passes any number of values, nils too, each way", virtual(function()
    local co = coroutine.create(function(...)
      local got = table.pack(...)
      while true do
        async.sleep(1)
        got = table.pack(yield(table.unpack(got, 1, got.n)))
        async.yield()
      end
    end)
    for _, n in ipairs {0, 1, 2, 3, 200, 5000} do
      local sent = {n = n}
      for i = 1, n do sent[i] = i % 3 ~= 0 and i or nil end
      local got = table.pack(coroutine.resume(co, table.unpack(sent, 1, n)))
      assert.is_true(table.remove(got, 1))
      got.n = got.n - 1
      assert.equal(n, got.n)
      for i = 1, n do assert.equal(sent[i], got[i]) end
    end
  end))

  it("is left by break: its consumer's closing value is closed, and it is as it was", virtual(function()
    local closed, step = 0, nil
    local function each()
      step = wrap(function() for i = 1, 10 do async.sleep(1) yield(i) end end)
      return step, nil, nil, closing(function() async.sleep(1) closed = closed + 1 end)
    end
    local sum = 0
    for i in each() do
      sum = sum + i
      if i == 3 then break end
    end
    assert.equal(6, sum)
    assert.equal(1, closed)
    assert.equal(4, step())
  end))

  it("is resumed by different tasks in turn", virtual(function()
    local runner
    local step = wrap(function()
      for i = 1, 6 do
        async.sleep(1)
        runner = async.current()
        yield(i)
      end
    end)
    local got = {}
    for i = 1, 6 do
      local task = async.spawn(step)
      got[i] = task:await()
      assert.equal(task, runner, "it awaits in the task that resumes it")
    end
    assert.same({1, 2, 3, 4, 5, 6}, got)
  end))

  it("is made outside of the task that goes on with it, which is cancelled without it", virtual(function()
    local step = wrap(function()
      while true do
        local ok, err = pcall(async.sleep, 1)
        yield(ok, err)
      end
    end)
    local task = start(step)
    task:cancel()
    task:pawait()
    assert.is_true((step()), "another task is not cancelled")
  end))

  it("that two tasks race for serves the one, and refuses the other", virtual(function()
    local step = wrap(function() for i = 1, 3 do async.sleep(1) yield(i) end end)
    local first, second = async.spawn(step), async.spawn(step)
    local ok, err = second:pawait()
    assert.is_false(ok)
    assert.matches("cannot resume a coroutine that awaits", err)
    assert.equal(1, first:await())
    assert.same({2, 3}, {step(), step()})
  end))

  it("behind a lock serves all, in their order", virtual(function()
    local lock = async.lock()
    local step = wrap(function() for i = 1, 20 do async.sleep(1) yield(i) end end)
    local tasks = {}
    for i = 1, 20 do tasks[i] = function() return lock:with(step) end end
    local got = async.gather(tasks)
    for i = 1, 20 do assert.equal(i, got[i]) end
  end))

  it("can be given up amid its yields, by a task that ends", virtual(function()
    local weak = setmetatable({}, {__mode = "k"})
    async.await(function()
      local step = wrap(function() while true do async.sleep(1) yield() end end)
      weak[step] = true
      step()
    end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end))

  it("of 100,000 steps leaves nothing", function()
    local ops = host.stats().ops
    local step = wrap(function() while true do async.yield() yield {} end end)
    local function run(n)
      for _ = 1, n do step() end
      collectgarbage()
      return collectgarbage "count"
    end
    local before = run(1000)
    assert.is_true(run(100000) < before + 100, "kilobytes")
    assert.equal(ops, host.stats().ops)
  end)

  it("one after another, each left awaiting nothing, leave nothing", function()
    local ended = start(function() end)
    local function run(n)
      for _ = 1, n do
        wrap(function()
          async.await(ended)
          async.gather {ended}
          async.yield()
        end)()
      end
      collectgarbage()
      return collectgarbage "count"
    end
    local before = run(1000)
    assert.is_true(run(20000) < before + 200, "kilobytes")
  end)

  it("stays itself through collections at every step", virtual(function()
    local function chain(depth)
      if depth == 0 then
        for i = 1, 20 do
          async.sleep(1)
          collectgarbage "step"
          yield {i, {i}}
        end
        return
      end
      for value in wrap(function() chain(depth - 1) end) do
        collectgarbage()
        async.yield()
        yield(value)
      end
    end
    local n = 0
    for value in wrap(function() chain(4) end) do
      n = n + 1
      assert.same({n, {n}}, value)
    end
    assert.equal(20, n)
  end))
end)

describe("A library of coroutines in Lua", function()
  --- A round-robin scheduler as such libraries have it: it knows nothing of tasks.
  local function trampoline(...)
    local queue, results = {}, {}
    for i, fn in ipairs {...} do queue[i] = {co = coroutine.create(fn), id = i} end
    while queue[1] do
      local job = table.remove(queue, 1)
      local ok, value = coroutine.resume(job.co, job.id)
      if not ok then error(value, 0) end
      if coroutine.status(job.co) == "dead" then results[job.id] = value
      else queue[#queue + 1] = job end
    end
    return results
  end

  it("goes on to work: each await blocks its task, and no other", virtual(function()
    local order = {}
    local function worker(id)
      for step = 1, 3 do
        async.sleep(1)
        order[#order + 1] = id .. "." .. step
        yield()
        wrap(function() async.yield() end)()
      end
      return id * 10
    end
    local ticks = 0
    local ticker = async.spawn(function() while true do async.sleep(0.5) ticks = ticks + 1 end end)
    assert.same({10, 20, 30}, trampoline(worker, worker, worker))
    assert.same({"1.1", "2.1", "3.1", "1.2", "2.2", "3.2", "1.3", "2.3", "3.3"}, order)
    assert.is_true(ticks >= 17)
    ticker:cancel()
  end))

  it("is stopped with its task, wherever it is", virtual(function()
    local task = start(trampoline, function() yield() async.sleep(100) end, function() yield() end)
    task:cancel()
    local _, err = task:pawait()
    assert.is_true(async.is_cancelled(err))
  end))

  it("runs in many tasks at once", virtual(function()
    local function worker(id) async.sleep(id) yield() return id end
    local tasks = {}
    for i = 1, 50 do tasks[i] = function() return #trampoline(worker, worker, worker) end end
    for _, n in ipairs(async.gather(tasks)) do assert.equal(3, n) end
  end))
end)

-- What has nothing to do with awaiting is as in stock Lua, to the letter.
local SNIPPETS = {
  [[ local g = coroutine.wrap(function(...) print(select("#", ...), ...) print(coroutine.yield(1, nil)) return nil end)
     print(g(nil, 2, nil)) print(g(nil)) print(pcall(g)) ]],
  [[ print(pcall(coroutine.resume)) print(pcall(coroutine.resume, 1)) print(pcall(coroutine.wrap))
     print(pcall(coroutine.wrap, 1)) print(pcall(coroutine.create, 1)) print(pcall(coroutine.status))
     print(pcall(coroutine.close)) print(pcall(coroutine.status, {})) ]],
  [[ local co = coroutine.create(function() error "x" end)
     print(coroutine.resume(co)) print(coroutine.status(co)) print(coroutine.resume(co))
     print(coroutine.close(co)) print(coroutine.close(co)) ]],
  [[ print(pcall(coroutine.wrap(function() error {} end) == nil))
     print(select(2, pcall(coroutine.wrap(function() coroutine.wrap(function() error "deep" end)() end)))) ]],
  [[ local outer
     outer = coroutine.create(function()
       print(coroutine.status(outer), coroutine.isyieldable())
       coroutine.wrap(function()
         print(coroutine.status(outer), coroutine.resume(outer)) print(pcall(coroutine.close, outer))
       end)()
       print(pcall(coroutine.close, outer)) print(coroutine.resume(outer))
     end)
     print(coroutine.resume(outer)) ]],
  [[ local co = coroutine.create(function()
       local _ <close> = setmetatable({}, {__close = function(_, e) print("closed", e) end})
       coroutine.yield()
     end)
     coroutine.resume(co) print(coroutine.close(co), coroutine.status(co)) ]],
  [[ local co = coroutine.create(function()
       local _ <close> = setmetatable({}, {__close = function(_, e) error("in close of " .. tostring(e), 0) end})
       coroutine.yield()
     end)
     coroutine.resume(co) print(coroutine.close(co)) print(coroutine.close(co)) ]],
  [[ print(pcall(coroutine.wrap(function()
       local _ <close> = setmetatable({}, {__close = function(_, e) print("closed", e) error("again", 0) end})
       error("first", 0)
     end))) ]],
  [[ print(coroutine.isyieldable()) print(select(2, coroutine.running())) print(pcall(coroutine.yield)) ]],
  [[ local co = coroutine.create(function(...) return ... end)
     print(select("#", coroutine.resume(co, table.unpack({}, 1, 200)))) ]],
  [[ local co = coroutine.create(function(...) return ... end)
     print(pcall(coroutine.resume, co, table.unpack({}, 1, 900000))) ]],
  [[ local f = coroutine.wrap(function(f) coroutine.yield(1) return 2 end)
     for v in f do print(v) if v == 2 then break end end ]],
  [[ print(pcall(table.sort, {3, 2, 1}, coroutine.wrap(function(a, b)
       while true do a, b = coroutine.yield(a < b) end
     end))) ]],
  [[ print(coroutine.wrap(function() return pcall(table.sort, {2, 1}, function() coroutine.yield() end) end)()) ]],
  [[ local co = coroutine.create(function() local x = 1 coroutine.yield() end)
     coroutine.resume(co) print(debug.traceback(co)) print(debug.getlocal(co, 1, 1)) ]],
  [[ local co co = coroutine.wrap(function() co() end) print(pcall(co)) ]],
}

describe("Without an await", function()
  teardown(program.remove_files)

  local function outcome(command)
    local output, errors = program.sh(command)
    return output:gsub("0x%x+", "0x") .. errors
  end

  it("coroutines do what they do in stock Lua", function()
    for i, snippet in ipairs(SNIPPETS) do
      local file = program.file(snippet)
      local expected = outcome("lua5.4 " .. program.quoted(file))
      assert.equal(expected, outcome(program.command {file}), "snippet " .. i)
    end
  end)
end)
