-- The report of a deadlock, exit 13: what each task waits for, who holds that, where it is, and where it was spawned.

local program = require "spec.support.program"

--- What the report says of a script in which everything waits; time stands still.
local function report(code)
  local script = program.file('local async = require "muster"\n' .. code)
  finally(program.remove_files)
  local _, errors, status = program.run {"--virtual-time", script}
  assert.equal(13, status, errors)
  return (errors:gsub(script:gsub("%p", "%%%0"), "x.lua"))
end

--- What is said of the main task, which runs the code last of all.
local function main_waits(code)
  return report(code):match "\nmain task: ([^\n]*)"
end

describe("the report of a deadlock", function()
  it("has a block for each task: its wait, its frames, where it was spawned", function()
    assert.equal([[
muster: deadlock: nothing can run, no timer and no I/O is pending; 3 tasks wait:
main task: waits for task 'worker'
    x.lua:12: in main chunk
task 2 (daemon): waits for an event
    x.lua:7: in function <x.lua:5>
    spawned at x.lua:5
task 'worker': waits for a lock, held by task 2
    x.lua:4: in upvalue 'step'
    x.lua:8: in function <x.lua:8>
    spawned at x.lua:8
]], report [[
      local lock = async.lock()
      local function step()
        local _ <close> = lock:acquire() end
      async.spawn(function()
        local _ <close> = lock:acquire()
        async.event():wait() end):daemon()
      local task = async.spawn(function() async.yield() step() end)
      task.name = "worker"

      async.yield()
      task:await()
    ]])
  end)

  it("counts one task as one", function()
    assert.matches("; 1 task waits:\nmain task: waits for an event\n    x.lua:2: in main chunk\n$",
      report "async.event():wait()")
  end)

  it("shows one of many that wait alike", function()
    local text = report [[
      local event = async.event()
      local function wait() event:wait() end
      for i = 1, 1234 do async.spawn(wait).name = "waiter " .. i end
      async.spawn(wait)
    ]]
    assert.matches("; 1,235 tasks wait:\ntask 'waiter 1': waits for an event\n", text)
    assert.matches("spawned at x.lua:4\n… and 1,233 more like it\n", text)
    assert.matches("spawned at x.lua:5\n$", text)
  end)

  it("tells how long they have waited", function()
    assert.equal("has waited 30.0 s for an event", main_waits [[
      local event = async.event()
      async.spawn(async.sleep, 30)
      event:wait()
    ]])
  end)

  it("names a circle", function()
    assert.matches("\nThey wait for one another: task 'a' %-> task 'b' %-> task 'a'\n$", report [[
      local locks, tasks = {async.lock(), async.lock()}, {}
      local function take(first, second)
        local _ <close> = first:acquire()
        async.yield()
        local _ <close> = second:acquire()
      end
      async.spawn(take, locks[1], locks[2]).name = "a"
      async.spawn(take, locks[2], locks[1]).name = "b"
    ]])
    assert.matches("\nmain task waits for what it holds itself\n$", report [[
      local semaphore = async.semaphore(1)
      semaphore:acquire()
      semaphore:acquire()
    ]])
    assert.not_matches("one another", report "async.await(async.spawn(function() async.event():wait() end))")
  end)

  it("goes on when a task that holds a lock has ended", function()
    assert.equal("waits for a lock, held by a task that has ended", main_waits [[
      local lock = async.lock()
      async.await(function() lock:acquire() end)
      lock:acquire()
    ]])
  end)

  it("is given when the library for it does not load", function()
    local text = report [[
      package.preload["muster.diagnosis"] = function() error "no words" end
      async.event():wait()
    ]]
    assert.matches("muster: deadlock: .*\nmain waits for an event\n", text)
  end)

  it("runs nothing of the script", function()
    assert.not_matches("called", report [[
      debug.setmetatable(print, {__index = function() io.stderr:write "called" end})
      local function call() io.stderr:write "called" end
      setmetatable(_G, {__pairs = call, __index = call})
      async.event():wait()
    ]])
  end)
end)

describe("a task that waits for ever", function()
  local function waits(expected, code)
    it("for " .. expected, function() assert.equal("waits for " .. expected, main_waits(code)) end)
  end

  waits("an event", "async.event():wait()")
  waits("a callback", "async.suspend(function() end)")
  waits("a value from a channel", "async.channel():recv()")
  waits("a value from a channel", "for _ in async.channel(3):iter() do end")
  waits("somebody to receive from a channel", "async.channel():send(1)")
  waits("room in a channel (2 of 2 taken)", "local c = async.channel(2) for i = 1, 3 do c:send(i) end")
  waits("a value from a channel, somebody to receive from a channel or room in a channel (1 of 1 taken)", [[
    local full = async.channel(1)
    full:send(1)
    async.select {async.channel(), {send = async.channel(), value = 1}, {send = full, value = 1}}
  ]])
  waits("a barrier (1 of 3 arrived)", "async.barrier(3):wait()")
  waits("a condition", "local l = async.lock() l:acquire() async.condition(l):wait()")
  waits("its lock, held by task 'other'", [[
    local lock = async.lock()
    local condition = async.condition(lock)
    async.spawn(function()
      local _ <close> = lock:acquire()
      condition:notify()
      async.event():wait()
    end).name = "other"
    local _ <close> = lock:acquire()
    condition:wait()
  ]])
  waits("a lock, held by task 'other'", [[
    local lock = async.lock()
    async.spawn(function() lock:with(function() async.event():wait() end) end).name = "other"
    async.yield()
    lock:acquire()
  ]])
  waits("task 'other'", [[
    local task = async.spawn(function() async.event():wait() end)
    task.name = "other"
    task:await()
  ]])
  waits("the module 'a.module', which task 'loader' loads", [[
    package.preload["a.module"] = function() async.event():wait() end
    async.spawn(require, "a.module").name = "loader"
    async.yield()
    require "a.module"
  ]])
  waits("an event", "coroutine.wrap(function() async.event():wait() end)()")
  waits("an event", "table.sort({1, 2}, function() async.event():wait() end)")
  waits("3 tasks (1 ended)", [[
    local function wait() async.event():wait() end
    async.gather {wait, wait, async.yield}
  ]])
  waits("1 task (0 ended)", "async.gather {function() async.event():wait() end}")
  waits("2 cancelled tasks (1 ended)", [[
    local function stay() async.shield(function() async.event():wait() end) end
    for _ in async.as_completed {async.yield, stay} do break end
  ]])
  waits("the next of 2 tasks (0 ended)", [[
    local function wait() async.event():wait() end
    for _ in async.as_completed {wait, wait} do end
  ]])
  waits("2 tasks (0 ended)", [[
    local group <close> = async.group()
    local function wait() async.event():wait() end
    group:spawn(wait)
    group:spawn(wait)
  ]])
end)

describe("who waits for a semaphore", function()
  local function waits(what, expected, code)
    it(what, function() assert.equal("waits for " .. expected, main_waits(code)) end)
  end

  local holder = [[
    local semaphore = async.semaphore(4)
    local function hold(n)
      local _ <close> = semaphore:acquire(n)
      async.event():wait()
    end
    local function holder(name, n) async.spawn(hold, n).name = name end
  ]]

  waits("is told who has them", "a permit of a semaphore (0 of 4 free), held by task 'a' and task 'b'", holder .. [[
    holder("a", 3)
    holder("b")
    async.yield()
    semaphore:acquire()
  ]])
  waits("is told how many it wants", "3 permits of a semaphore (2 of 4 free), held by task 'a'", holder .. [[
    holder("a", 2)
    async.yield()
    semaphore:acquire(3)
  ]])
  waits("is told of holders inside `with`", "a permit of a semaphore (0 of 1 free), held by task 'a'", [[
    local semaphore = async.semaphore(1)
    async.spawn(function() semaphore:with(function() async.event():wait() end) end).name = "a"
    async.yield()
    semaphore:acquire()
  ]])
  waits("is not told of permits that were given back", "2 permits of a semaphore (1 of 2 free), held by task 'b'", [[
    local semaphore = async.semaphore(2)
    local function release_by_hand() semaphore:acquire() semaphore:release() async.event():wait() end
    local function release() semaphore:acquire():release() async.event():wait() end
    local function close() do local _ <close> = semaphore:acquire() end async.event():wait() end
    for _, fn in ipairs {release_by_hand, release, close} do
      async.spawn(fn)
      async.yield()
    end
    async.spawn(function() semaphore:acquire() async.event():wait() end).name = "b"
    async.yield()
    semaphore:acquire(2)
  ]])
  waits("is told who has what is left if another task gives permits back",
    "2 permits of a semaphore (1 of 2 free), held by task 'a'", [[
    local semaphore = async.semaphore(2)
    async.spawn(function() semaphore:acquire(2) async.event():wait() end).name = "a"
    async.yield()
    semaphore:release()
    semaphore:acquire(2)
  ]])
  waits("is told that there are others, when they are many",
    "a permit of a semaphore (0 of 100 free), held by task '1', task '2', task '3', task '4' and 96 more", [[
    local semaphore = async.semaphore(100)
    for i = 1, 100 do
      async.spawn(function() semaphore:acquire() async.event():wait() end).name = tostring(i)
    end
    async.yield()
    semaphore:acquire()
  ]])
  waits("is told of a permit that nobody can give back any more",
    "a permit of a semaphore (0 of 1 free), held by a task that has ended", [[
    local semaphore = async.semaphore(1)
    async.await(function() semaphore:acquire() end)
    collectgarbage()
    semaphore:acquire()
  ]])
end)
