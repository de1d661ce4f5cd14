-- lua/muster/signal.lua and runtime/signals.c: with signals to this process, and to others.
local async = require "muster"
local host = require "muster.host"
local program = require "spec.support.program"
local signal = require "muster.signal"
local spec = require "spec.support.io"
local uv = require "luv"

local checked, start, raises, failed, cancel, turns = spec.checked, spec.start, spec.raises, spec.failed, spec.cancel,
  spec.turns

local function send(name) assert(signal.send(uv.os_getpid(), name)) end

--- The output, the errors and the code of a script. It sends itself signals by `send`.
local function run(script, options)
  finally(program.remove_files)
  local prelude = [[
    local async, signal, uv = require "muster", require "muster.signal", require "luv"
    local function send(name) assert(signal.send(uv.os_getpid(), name)) end
  ]]
  local arguments = {"-e", prelude .. script}
  if options then table.insert(arguments, 1, options) end
  return {program.run(arguments)}
end

describe("signal", function()
  it("refuses wrong arguments", function()
    for _, name in ipairs {"wait", "iterate"} do
      raises(name .. ": expected a signal.*got none", signal[name])
      for _, wrong in ipairs {"SIGNOSUCH", "", 0, -1, 1000, 1.5, {}, false} do
        raises(name .. ": expected a signal", signal[name], wrong)
      end
      raises(name .. ": SIGKILL cannot be caught", signal[name], "SIGTERM", "KILL")
      raises(name .. ": SIGSTOP cannot be caught", signal[name], 19)
    end
    raises("on: expected a signal", signal.on)
    raises("on: expected a function", signal.on, "SIGUSR2")
    raises("send: expected a signal", signal.send, 1, "x")
    raises("send: expected the number", signal.send, "1", "TERM")
    raises("no such signal", host.keep_signal, 0)
    raises("no such signal", host.keep_signal, 1 << 40)
    raises("no such signal", host.keep_signal, -1)
  end)

  it("send to nobody fails", function()
    failed("not_found", "ESRCH", signal.send(0x3fffffff, "TERM"))
  end)

  it("wait: the first of several, however they are written", checked(function()
    for _, name in ipairs {"SIGUSR2", "USR2", "usr2", "sigusr2", 12} do
      local task = start(signal.wait, "SIGHUP", name)
      send "SIGUSR2"
      assert.equal("SIGUSR2", task:await())
    end
    local task = start(signal.wait, "SIGHUP", "SIGUSR2")
    send "HUP"
    assert.equal("SIGHUP", task:await())
  end))

  it("wait: by several tasks, who all get it", checked(function()
    local tasks = {start(signal.wait, "USR2"), start(signal.wait, "USR2", "HUP"), start(signal.wait, "HUP")}
    send "USR2"
    assert.equal("SIGUSR2", tasks[1]:await())
    assert.equal("SIGUSR2", tasks[2]:await())
    cancel(tasks[3])
  end))

  it("wait: cancelled, timed out, in a cancelled task", checked(function()
    cancel(start(signal.wait, "USR2"))
    assert.is_false(async.move_on_after(0, signal.wait, "USR2"))
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      signal.wait "USR2"
    end)
    turns()
    cancel(task)
  end))

  it("iterate: loses none while the body runs; equal ones are one", checked(function()
    local got, receiver = {}, signal.iterate("USR2", "HUP")
    local _ <close> = receiver
    for _ = 1, 3 do send "USR2" end
    send "HUP"
    turns(5)
    for i = 1, 2 do got[i] = receiver:next() end
    table.sort(got)
    assert.same({"SIGHUP", "SIGUSR2"}, got)
    assert.is_false(async.move_on_after(0, receiver.next, receiver))
  end))

  it("iterate: leaving the loop ends it", checked(function()
    local seen = 0
    local task = start(function()
      for name in signal.iterate "USR2" do
        assert(name == "SIGUSR2")
        seen = seen + 1
        if seen == 3 then return seen end
      end
    end)
    for i = 1, 3 do
      send "USR2"
      repeat turns() until seen == i
    end
    assert.equal(3, task:await())
  end))

  it("iterate: closed meanwhile, by two tasks, collected", checked(function()
    local receiver = signal.iterate "USR2"
    local task = start(receiver.next, receiver)
    raises("another task waits", receiver.next, receiver)
    receiver:close()
    receiver:close()
    assert.is_nil(task:await())
    assert.is_nil(receiver())
    signal.iterate "USR2"
    collectgarbage()
    collectgarbage()
  end))

  it("on: a task for each, until it is closed", checked(function()
    local seen, got = async.event(), 0
    local receiver = signal.on("USR2", function(name)
      assert.equal("SIGUSR2", name)
      got = got + 1
      seen:set()
    end)
    for i = 1, 3 do
      seen:clear()
      send "USR2"
      seen:wait()
      assert.equal(i, got)
    end
    receiver:close()
    turns()
  end))

  it("on: keeps a program that waits for what a handler does; one that fails is reported, and the next runs", function()
    assert.same({"SIGHUP\ndone\n", "", 0}, run [[
      local stop = async.event()
      signal.on("HUP", function(name) print(name) stop:set() end)
      async.spawn(function() send "HUP" end)
      stop:wait()
      print "done"]])
    local result = run [[
      local n, stop = 0, async.event()
      signal.on("HUP", function() n = n + 1; if n == 1 then send "HUP" error "the first" end stop:set() end)
      send "HUP"
      stop:wait()
      print(n)]]
    assert.equal("2\n", result[1])
    assert.matches("the first", result[2])
    assert.equal(1, result[3])
  end)

  it("afterwards a signal does what it did: kills", function()
    finally(program.remove_files)
    local _, _, code = program.sh(program.command {"-e", [[
      local async, signal, uv = require "muster", require "muster.signal", require "luv"
      local function send(name) assert(signal.send(uv.os_getpid(), name)) end
      async.spawn(function() send "TERM" end)
      assert(signal.wait "TERM" == "SIGTERM")
      send "TERM"
      async.event():wait()]]} .. "; test $? = 143")
    assert.equal(0, code)
  end)

  it("afterwards Ctrl-C cancels the main task again, which cleans up", function()
    assert.same({"SIGINT\nclean\n", "muster: interrupted\n", 130}, run [[
      async.spawn(function() send "INT" end)
      print(signal.wait("INT", "TERM"))
      local _ <close> = setmetatable({}, {__close = function() print "clean" end})
      async.spawn(function() send "INT" end)
      async.sleep(10)]])
  end)

  it("afterwards USR1 shows the tasks again", function()
    local result = run [[
      local first = signal.iterate "USR1"
      local second = signal.iterate "USR1"
      first:close()
      send "USR1"
      print(second:next())
      second:close()
      send "USR1"
      async.sleep(0.01)
      print "end"]]
    assert.equal("SIGUSR1\nend\n", result[1])
    assert.matches("main task", result[2])
  end)

  it("a thousand, one after the other, leave nothing", checked(function()
    for _ = 1, 1000 do
      local task = start(signal.wait, "USR2")
      send "USR2"
      task:await()
    end
  end))
end)
