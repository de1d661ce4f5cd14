-- What a program says on stderr, and how it exits: errors that nobody looked at, tasks that never started, deadlocks.
-- Each spec runs a program in a process of its own.

local program = require "spec.support.program"

--- Runs the code as a script, with the options before it: its exit status, and what it wrote to stdout and to stderr.
local function run(code, ...)
  local script = program.file('local async = require "muster"\n' .. code)
  local arguments = table.pack(...)
  table.insert(arguments, script)
  local out, err, status = program.sh("timeout 60 " .. program.command(arguments))
  program.remove_files()
  return status, out, (err:gsub(script:gsub("%p", "%%%0"), "script.lua"))
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

local function assert_quiet(code, ...)
  local status, _, err = run(code, ...)
  assert.equal("", err)
  assert.equal(0, status)
end

--- The program must exit with 1 after reporting n unhandled errors; returns what it wrote to stderr.
local function assert_reported(n, code)
  local status, _, err = run(code)
  assert.equal(n, count(err, "unhandled error"), err)
  assert.equal(1, status, err)
  return err
end

describe("an error that nobody looks at", function()
  it("is reported with the task's name and traceback, and fails the program", function()
    local err = assert_reported(1, [[
      local function failing_here() error "boom" end
      async.spawn(function() failing_here() end).name = "fetch page 1"
      async.sleep(0)
      print "goes on"
    ]])
    assert.matches("fetch page 1", err)
    assert.matches("script.lua:2: boom", err)
    assert.matches("failing_here", err)
  end)

  it("is reported when it comes after the main chunk's end", function()
    assert_reported(1, [[
      async.spawn(function()
        async.sleep(0.01)
        error "late"
      end)
    ]])
  end)

  it("is reported once, at the latest at the end, whether the task is collected or kept", function()
    assert_reported(2, [[
      kept = async.spawn(error, "kept")
      async.spawn(error, "collected")
      async.sleep(0)
      for _ = 1, 5 do collectgarbage() end
    ]])
  end)

  it("is reported for each of many tasks", function()
    assert_reported(500, [[
      for i = 1, 500 do async.spawn(error, i, 0) end
      async.sleep(0)
    ]])
  end)

  it("is printed whatever it is", function()
    local err = assert_reported(7, [[
      local function with_text(f) return setmetatable({}, {__tostring = f}) end
      async.spawn(error, nil)
      async.spawn(error, {})
      async.spawn(error, true)
      async.spawn(error, with_text(function() return "its own text" end))
      async.spawn(error, with_text(function() error "no text" end))
      async.spawn(error, with_text(function() return {} end))
      async.spawn(error, 42)
    ]])
    for _, pattern in ipairs {"nil value", "table value", "boolean value", "its own text", ": 42\n"} do
      assert.matches(pattern, err)
    end
  end)

  it("is reported for a daemon too", function()
    assert_reported(1, [[
      async.spawn(error, "no"):daemon()
      async.sleep(0.01)
    ]])
  end)

  it("is reported when it comes out of the clean-up of a cancelled task", function()
    assert_reported(1, [[
      local task = async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function() error "in clean-up" end})
        async.sleep(100)
      end)
      async.yield()
      task:cancel()
    ]])
  end)

  it("is reported when it is another task's cancellation, passed on", function()
    assert_reported(1, [[
      local other = async.spawn(async.sleep, 100)
      async.spawn(function() other:await() end)
      async.yield()
      async.yield()
      other:cancel()
    ]])
  end)
end)

describe("an error that somebody looks at", function()
  it("is not reported: await and pawait, before and after the failure", function()
    assert_quiet [[
      local early, late = async.spawn(error, "no"), async.spawn(error, "no")
      pcall(async.await, early)
      pcall(async.await, late)
      late:pawait()
      async.spawn(error, "no"):pawait()
      async.run(function() async.spawn(error, "no"):pawait() end)
    ]]
  end)

  it("is not reported: gather, also the second of two", function()
    assert_quiet [[
      local function fail() async.yield() error "no" end
      local function fail_late() pcall(async.sleep, 100) error "late" end
      pcall(async.gather, {fail, fail, fail_late})
      async.gather_settled {fail, fail}
    ]]
  end)

  it("is not reported: groups, first, map and stream", function()
    assert_quiet [[
      local function fail() error "no" end
      pcall(function()
        local g <close> = async.group()
        g:spawn(fail)
        g:spawn(fail)
      end)
      pcall(async.first, {fail})
      pcall(async.map, {1, 2}, fail)
      pcall(function() for _ in async.stream({1}, fail) do end end)
      for _ in async.stream({1, 2}, fail, {settle = true}) do end
    ]]
  end)

  it("is not reported for tasks that were cancelled", function()
    assert_quiet [[
      local tasks = {async(async.sleep)(100), async.spawn(async.sleep, 100), async.spawn(async.sleep, 100)}
      tasks[2]:cancel()
      async.yield()
      for _, task in ipairs(tasks) do task:cancel("why") end
    ]]
  end)
end)

describe("a task that never started", function()
  it("is counted in a warning that says where, and does not fail the program", function()
    local status, _, err = run [[
      local forgotten = async(function() end)
      for _ = 1, 3 do forgotten() end
      async(function() end)()
      collectgarbage()
    ]]
    assert.equal(0, status)
    assert.matches("warning: 3 tasks .-script.lua:2 were never started", err)
    assert.matches("warning: 1 task .-script.lua:4 was never started", err)
    assert.equal(2, count(err, "\n"))
  end)

  it("is not one that was started in any way, or cancelled", function()
    assert_quiet [[
      local f = async(function() end)
      f():await()
      f():pawait()
      f():cancel()
      async.await(f())
      async.spawn(f())
      async.gather {f(), f()}
      for task in async.as_completed {f(), f()} do task:await() end
      async.wait {f()}
      async.first {f(), f()}
      local g <close> = async.group()
      g:spawn(f())
    ]]
  end)

  it("is not one whose start was called off", function()
    assert_quiet [[
      local f = async(function() async.sleep(100) end)
      pcall(async.timeout, 0.01, async.gather, {f(), f(), f()}, {limit = 1})
      for _ in async.as_completed({function() end, f(), f()}, {limit = 1}) do break end
    ]]
  end)

  it("is one that a refused list left behind", function()
    local status, _, err = run [[
      local f = async(function() end)
      pcall(async.gather, {f(), 5})
    ]]
    assert.equal(0, status)
    assert.matches("1 task .* never started", err)
  end)
end)

describe("the end of the program", function()
  it("waits for spawned tasks, and for what they spawn", function()
    local status, out, err = run [[
      async.spawn(function()
        async.sleep(0.01)
        async.spawn(function()
          async.sleep(0.01)
          print "grandchild"
        end)
        print "child"
      end)
      print "main"
    ]]
    assert.equal("main\nchild\ngrandchild\n", out)
    assert.equal("", err)
    assert.equal(0, status)
  end)

  it("does not wait for daemons, but lets them clean up", function()
    local status, out, err = run [[
      local function for_ever()
        local _ <close> = setmetatable({}, {__close = function() print "cleaned up" end})
        async.sleep(1e6)
      end
      async.spawn(for_ever):daemon()
      async(for_ever)():daemon():cancel()
      async.spawn(for_ever):daemon().name = "another"
      async.yield()
    ]]
    assert.equal("cleaned up\ncleaned up\n", out)
    assert.equal("", err)
    assert.equal(0, status)
  end)

  it("after an error in the main chunk comes at once, and the others clean up first", function()
    local status, out, err = run [[
      async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function()
          async.shield(async.sleep, 0.01)
          print "cleaned up"
        end})
        async.sleep(1e6)
      end)
      async.yield()
      error "main failed"
    ]]
    assert.equal("cleaned up\n", out)
    assert.matches("script.lua:10: main failed", err)
    assert.matches("stack traceback", err)
    assert.equal(0, count(err, "unhandled"))
    assert.equal(1, status)
  end)

  it("has the exit status of os.exit, in any task", function()
    assert.equal(7, (run "os.exit(7)"))
    assert.equal(0, (run "os.exit(true)"))
    assert.equal(1, (run "os.exit(false)"))
    assert.equal(9, (run "async.spawn(os.exit, 9) async.sleep(1e6)"))
    assert.equal(9, (run "async.spawn(os.exit, 9, true) async.sleep(1e6)"))
  end)

  it("by os.exit that closes the state closes every variable, none of which can wait any more", function()
    local status, out, err = run [[
      local function wait()
        local _ <close> = setmetatable({}, {__close = function()
          async.tasks()
          collectgarbage()
          print("closed", pcall(async.shield, async.sleep, 1))
        end})
        async.sleep(1e6)
      end
      for _ = 1, 30 do async.spawn(wait) end
      async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function() print "closed too" end})
        os.exit(9, true)
      end)
      wait()
    ]]
    assert.equal("", err)
    assert.equal(9, status)
    assert.equal(31, count(out, "closed\tfalse"))
    assert.equal(1, count(out, "closed too"))
  end)

  it("survives finalizers that use the library when it is too late", function()
    local status, out = run [[
      local sem, channel, event, task = async.semaphore(1), async.channel(1), async.event(), async.spawn(async.sleep, 0)
      local created = async(print)()
      created:cancel()
      kept = setmetatable({}, {__gc = function()
        local calls = {
          function() async.sleep(1) end, function() async.spawn(print) end, function() async.await(task) end,
          function() async.gather {print} end, function() task:cancel() end, function() created:cancel() end,
          function() sem:try_acquire():release() end, function() sem:acquire() end, function() event:set() end,
          function() channel:try_send(1) end, function() channel:close() end, function() channel:recv() end,
          function() async.tasks() end, function() async.current() end, function() async.now() end,
          function() task:status() end, function() task.name = "x" end, function() task:traceback() end,
          function() async.timeout(1, print) end, function() async.shield(print) end, function() async(print)() end,
          function() async.group() end, function() async.yield() end, function() task:daemon() end,
          function() return coroutine.wrap(function() coroutine.yield(coroutine.running()) end)() end,
        }
        for _, call in ipairs(calls) do pcall(call) end
        io.write "finalized"
      end})
    ]]
    assert.matches("finalized", out)
    assert.equal(0, status)
  end)
end)

describe("a deadlock", function()
  it("is reported with each task that waits, for what and where, and exits with 13", function()
    local status, _, err = run [[
      local event = async.event()
      local function waiting_here() event:wait() end
      local task = async.spawn(function() waiting_here() end)
      task.name = "the waiter"
      task:await()
    ]]
    assert.equal(13, status)
    assert.matches("deadlock", err)
    assert.matches("task 'the waiter': [^\n]* for an event\n", err)
    assert.matches("main task: [^\n]* for task 'the waiter'\n", err)
    assert.matches("waiting_here", err)
  end)

  it("is found when tasks await each other", function()
    local status, _, err = run [[
      local a, b
      a = async.spawn(function() b:await() end)
      b = async.spawn(function() a:await() end)
    ]]
    assert.equal(13, status)
    assert.equal(2, count(err, "\ntask %d: [^\n]* for task %d\n"))
  end)

  it("is found on the virtual clock too, after the last deadline", function()
    local status, _, err = run([[
      async.spawn(async.sleep, 3600)
      async.event():wait()
    ]], "--virtual-time")
    assert.equal(13, status)
    assert.matches("main task: has waited 60 min for an event\n", err)
    assert.equal(0, count(err, "sleep"))
  end)

  it("lets the tasks clean up", function()
    local status, out = run [[
      local _ <close> = setmetatable({}, {__close = function() print "cleaned up" end})
      async.event():wait()
    ]]
    assert.equal(13, status)
    assert.equal("cleaned up\n", out)
  end)

  it("is not a daemon that waits", function()
    assert_quiet [[
      local event = async.event()
      async.spawn(event.wait, event):daemon()
      async.yield()
    ]]
  end)
end)

describe("--cleanup-limit", function()
  local clean_up = [[
    local task = async.spawn(function()
      local _ <close> = setmetatable({}, {__close = function()
        async.shield(function()
          async.sleep(10)
          print "cleaned up"
        end)
      end})
      async.sleep(1e6)
    end)
    async.yield()
    local start = async.now()
    task:cancel()
    local _, err = task:pawait()
    print(async.is_cancelled(err), math.floor(async.now() - start + 0.5))
  ]]

  it("ends the clean-up of a cancelled task after that time", function()
    local status, out, err = run(clean_up, "--virtual-time", "--cleanup-limit", 3)
    assert.equal("", err)
    assert.equal("true\t3\n", out)
    assert.equal(0, status)
  end)

  it("leaves a clean-up alone that is fast enough, and every one when it is 0", function()
    for _, limit in ipairs {11, 0} do
      local _, out = run(clean_up, "--virtual-time", "--cleanup-limit", limit)
      assert.equal("cleaned up\ntrue\t10\n", out)
    end
  end)

  it("does not touch a shield in a task that was not cancelled", function()
    assert_quiet([[
      async.shield(async.sleep, 100)
      async.timeout(200, async.shield, async.sleep, 100)
    ]], "--virtual-time", "--cleanup-limit", 1)
  end)

  it("bounds a shield that holds a deadline back", function()
    assert_quiet([[
      local start = async.now()
      pcall(async.timeout, 5, async.shield, async.sleep, 100)
      assert(async.now() - start == 7, async.now() - start)
    ]], "--virtual-time", "--cleanup-limit", 2)
  end)
end)

describe("a task's coroutine", function()
  it("in another task's hands can be neither resumed nor closed", function()
    local misuses = {"coroutine.resume", "coroutine.close", "coroutine.wrap(function(c) coroutine.resume(c) end)"}
    for _, misuse in ipairs(misuses) do
      local status, out, err = run(([[
        local co
        local task = async.spawn(function()
          co = coroutine.running()
          async.sleep(0.01)
          return "undisturbed"
        end)
        async.yield()
        pcall(%s, co)
        print(task:await())
      ]]):format(misuse))
      assert.equal("undisturbed\n", out, misuse .. ": " .. err)
      assert.equal(0, status)
    end
  end)

  it("may be asked for its status and traceback, by its end too", function()
    assert_quiet [[
      local co
      local task = async.spawn(function()
        co = coroutine.running()
        async.sleep(0.01)
      end)
      async.yield()
      assert(coroutine.status(co) == "suspended")
      assert(debug.traceback(co):find "sleep")
      task:await()
      for _ = 1, 100 do async.spawn(async.yield) end
      async.yield()
      assert(coroutine.status(co) == "dead", coroutine.status(co))
      assert(not coroutine.resume(co))
      assert(coroutine.close(co))
      collectgarbage()
    ]]
  end)
end)
