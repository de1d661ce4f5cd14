-- async.suspend: a callback becomes something to wait for. Each task is woken once, or cancelled once, never both.
local async = require "muster"
local uv = require "luv"

--- On the real clock, as libuv's handles are; what would hang fails after seconds that a good run never spends.
local function limited(fn)
  return function() return async.timeout(10, fn) end
end

--- Starts fn, and lets it run until it waits or ends.
local function start(fn, ...)
  local task = async.spawn(fn, ...)
  repeat async.yield() until task:status() ~= "ready"
  return task
end

local function turns(n)
  for _ = 1, n do async.yield() end
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error, but expected: " .. pattern)
  assert.matches(pattern, tostring(err))
end

local function assert_cancelled(task)
  local ok, err = task:pawait()
  assert.is_false(ok, "not cancelled")
  assert.is_true(async.is_cancelled(err), tostring(err))
end

--- A task that is suspended, what resumes it, and how often it was told to cancel.
local function suspended(on_cancel)
  local self = {cancels = 0}
  self.task = start(function()
    return async.suspend(function(resume)
      self.resume = resume
      return function()
        self.cancels = self.cancels + 1
        if on_cancel then on_cancel(self) end
      end
    end)
  end)
  return self
end

describe("suspend: resumed", function()
  it("later, gives all values, nils too", limited(function()
    for _, values in ipairs {{n = 0}, {1, n = 1}, {nil, n = 1}, {nil, 2, nil, n = 3}} do
      local s = suspended()
      assert.equal("waiting", s.task:status())
      assert.is_true(s.resume(table.unpack(values, 1, values.n)))
      assert.equal("ready", s.task:status(), "nothing runs inside resume")
      assert.same(values, table.pack(s.task:await()))
      assert.equal(0, s.cancels)
    end
  end))

  it("at once, does not suspend", limited(function()
    for _, values in ipairs {{n = 0}, {1, n = 1}, {nil, n = 1}, {nil, 2, nil, n = 3}} do
      local ran = false
      local other = async.spawn(function() ran = true end)
      local got = table.pack(async.suspend(function(resume) resume(table.unpack(values, 1, values.n)) end))
      assert.same(values, got)
      assert.is_false(ran)
      other:await()
    end
  end))

  it("at once, in a tail call: what the function returns then is nothing to cancel with", limited(function()
    assert.equal(7, async.suspend(function(resume) return resume(7) end))
  end))

  it("with many values, at once and later", limited(function()
    local many = {}
    for i = 1, 5000 do many[i] = i end
    assert.equal(5000, select("#", async.suspend(function(resume) resume(table.unpack(many)) end)))
    local s = suspended()
    s.resume(table.unpack(many))
    assert.equal(5000, select(-1, s.task:await()))
  end))

  it("a second time, does nothing and says so", limited(function()
    local s = suspended()
    assert.is_true(s.resume "first")
    assert.is_false(s.resume "second")
    assert.equal("first", s.task:await())
    assert.is_false(s.resume "third")
    local kept
    assert.equal(1, async.suspend(function(resume) resume(1); resume(2); kept = resume end))
    assert.is_false(kept(3))
  end))

  it("late, never reaches another wait of the task", limited(function()
    local first
    local function later(resume, value)
      first "stray"
      async.spawn(function() first "stray"; async.yield(); first "stray"; resume(value) end)
    end
    local task = start(function()
      async.suspend(function(resume) first = resume; resume() end)
      local a = async.suspend(function(resume) later(resume, "a") end)
      async.sleep(0)
      return a, async.suspend(function(resume) later(resume, "b") end)
    end)
    assert.same({"a", "b", n = 2}, table.pack(task:await()))
  end))

  it("by a coroutine, by another task, while nobody holds the task", limited(function()
    local s = suspended()
    coroutine.wrap(function() s.resume "from a coroutine" end)()
    assert.equal("from a coroutine", s.task:await())
    s = suspended()
    async.spawn(function() s.resume "from a task" end):await()
    assert.equal("from a task", s.task:await())
    local resume, ended
    async.spawn(function() ended = async.suspend(function(r) resume = r end) end)
    turns(2)
    collectgarbage()
    resume "alive"
    turns(2)
    assert.equal("alive", ended)
  end))

  it("many at once: each gets its own value", limited(function()
    local list, tasks = {}, {}
    for i = 1, 200 do list[i] = suspended(); tasks[i] = list[i].task end
    for i = 200, 1, -1 do list[i].resume(i) end
    local results = async.gather(tasks)
    for i = 1, 200 do assert.equal(i, results[i]) end
  end))
end)

describe("suspend: cancelled", function()
  it("tells the operation once, and raises", limited(function()
    local s = suspended()
    assert.is_true(s.task:cancel())
    assert.is_false(s.task:cancel())
    assert_cancelled(s.task)
    assert.equal(1, s.cancels)
    turns(2)
    assert.equal(1, s.cancels)
  end))

  it("without a cancel function just raises", limited(function()
    local resume
    local task = start(async.suspend, function(r) resume = r end)
    task:cancel()
    assert_cancelled(task)
    assert.is_false(resume(1))
  end))

  it("is not woken by a late resume", limited(function()
    local s = suspended()
    s.task:cancel()
    assert_cancelled(s.task)
    assert.is_false(s.resume "late")
    turns(2)
    assert.equal("cancelled", s.task:status())
  end))

  it("may have its cancel function resume it, to no effect", limited(function()
    local woke
    local s = suspended(function(self) woke = self.resume "cancelled" end)
    s.task:cancel()
    assert_cancelled(s.task)
    assert.is_false(woke)
    assert.equal(1, s.cancels)
  end))

  it("and then resumed in the same turn: cancelled, and resume says that it woke nobody", limited(function()
    local s = suspended()
    s.task:cancel()
    assert.is_false(s.resume "late")
    assert_cancelled(s.task)
    assert.equal(1, s.cancels)
  end))

  it("after it was resumed in the same turn: the result is not thrown away", limited(function()
    local got, cancels = nil, 0
    local resume
    local task = start(function()
      got = async.suspend(function(r) resume = r; return function() cancels = cancels + 1 end end)
      async.yield()
    end)
    assert.is_true(resume "an open file")
    assert.is_true(task:cancel())
    assert_cancelled(task)
    assert.equal("an open file", got)
    assert.equal(0, cancels)
  end))

  it("on entry: nothing is started", limited(function()
    local started = false
    assert_cancelled(start(function()
      async.current():cancel()
      async.suspend(function() started = true end)
    end))
    assert.is_false(started)
  end))

  it("while it starts: the operation is told, and the task does not wait", limited(function()
    local resume, cancels = nil, 0
    local task = start(function()
      async.suspend(function(r)
        resume = r
        async.current():cancel()
        return function() cancels = cancels + 1 end
      end)
    end)
    local status = task:status()
    turns(3)
    local ended = task:status()
    resume()
    task:pawait()
    assert.equal("cancelled", ended, "it was " .. status)
    assert.equal(1, cancels)
  end))

  it("while it starts, but resumed at once: it has its values", limited(function()
    local got
    assert_cancelled(start(function()
      got = async.suspend(function(resume) async.current():cancel(); resume "done" end)
      async.yield()
    end))
    assert.equal("done", got)
  end))

  it("by a timeout, a gather, or not at all inside a shield", limited(function()
    local starts, cancels = 0, 0
    local function wait()
      async.suspend(function() starts = starts + 1; return function() cancels = cancels + 1 end end)
    end
    assert.is_false(async.move_on_after(0.001, wait))
    raises("burst", async.gather, wait, wait, function() turns(2); error "burst" end)
    assert.equal(3, starts)
    assert.equal(3, cancels)
    local resume
    local task = start(async.shield, async.suspend, function(r) resume = r end)
    task:cancel()
    turns(2)
    assert.equal("waiting", task:status())
    resume()
    task:pawait()
  end))
end)

describe("suspend: errors", function()
  it("of the starting function are raised, and nothing waits", limited(function()
    local err, kept = {}, nil
    local ok, got = pcall(async.suspend, function(resume) kept = resume; error(err) end)
    assert.is_false(ok)
    assert.equal(err, got)
    kept "late"
    async.yield()
    ok = pcall(async.suspend, function(resume) resume(1); error "after it was resumed" end)
    assert.is_false(ok)
    assert.equal(2, async.suspend(function(resume) resume(2) end))
  end))

  it("of a place where nothing can wait leave nothing started", limited(function()
    local started, ended = false, false
    pcall(table.sort, {2, 1}, function(a, b)
      ended = async.suspend(function(resume)
        started = true
        async.spawn(function() resume(true) end)
        return function() ended = true end
      end)
      return a < b
    end)
    turns(2)
    assert.is_true(ended or not started)
  end))

  it("of the cancel function win over the cancellation", limited(function()
    local s = suspended(function() error "cannot stop" end)
    s.task:cancel()
    raises("cannot stop", s.task.await, s.task)
    assert.equal(1, s.cancels)
    assert.equal("failed", s.task:status())
  end))

  it("for misuse name what is wrong", limited(function()
    raises("#1 to 'suspend' .*function expected", function() async.suspend() end)
    raises("#1 to 'suspend' .*function expected", function() async.suspend {} end)
    raises("cancel function", async.suspend, function() return 1 end)
    raises("inside a task", function()
      local err
      async.suspend(function(resume)
        local timer <const> = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          err = select(2, pcall(async.suspend, print))
          resume()
        end)
      end)
      error(err, 0)
    end)
  end))
end)

describe("suspend: libuv", function()
  local function sleep(ms)
    async.suspend(function(resume)
      local timer = uv.new_timer()
      timer:start(ms, 0, function() timer:close(); resume() end)
      return function() timer:close() end
    end)
  end

  local function fs(name, ...)
    local args = table.pack(...)
    return async.suspend(function(resume)
      args[args.n + 1] = resume
      uv["fs_" .. name](table.unpack(args, 1, args.n + 1))
    end)
  end

  it("timers: fire, and are closed by a cancellation", limited(function()
    sleep(1)
    sleep(0)
    async.gather(function() sleep(1) end, function() sleep(0) end, function() sleep(1) end)
    local task = start(sleep, 3600 * 1000)
    task:cancel()
    assert_cancelled(task)
    async.sleep(0) -- libuv closes handles in a turn of its own
  end))

  it("files: results and errors come as values", limited(function()
    local err, fd = fs("open", arg[0], "r", 0)
    assert.is_nil(err)
    local _, stat = fs("fstat", fd)
    local _, text = fs("read", fd, stat.size, 0)
    assert.equal(stat.size, #text)
    fs("close", fd)
    local missing, none = fs("open", "spec/no such file", "r", 0)
    assert.matches("^ENOENT", missing)
    assert.is_nil(none)
  end))

  it("a hundred requests at once, through the thread pool", limited(function()
    local tasks = {}
    for i = 1, 100 do tasks[i] = function() return select(2, fs("stat", ".")).type end end
    local types = async.gather(tasks)
    for i = 1, 100 do assert.equal("directory", types[i]) end
  end))

  it("a request that cannot be cancelled ends after its task", limited(function()
    local finished = false
    local task = start(async.suspend, function(resume)
      uv.fs_stat(".", function(...) finished = true; resume(...) end)
    end)
    task:cancel()
    assert_cancelled(task)
    while not finished do sleep(0) end
    assert.equal("cancelled", task:status())
  end))

  it("callbacks wake whoever waits on a primitive", limited(function()
    local sem, event, ch = async.semaphore(1), async.event(), async.channel()
    sem:acquire()
    local tasks = {start(sem.acquire, sem), start(event.wait, event), start(ch.recv, ch)}
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      sem:release()
      event:set()
      ch:try_send "sent"
    end)
    assert.equal("sent", async.gather(tasks)[3])
  end))
end)
