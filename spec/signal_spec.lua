-- Signals to the program `muster`: a dump on USR1 and QUIT, at any moment; Ctrl-C in code that never suspends. What
-- SIGINT does otherwise, and SIGPIPE, is in repl_spec.lua. Programs signal themselves, or wait until they were told.
local program = require "spec.support.program"

local prelude = [[
  local async, uv = require "muster", require "luv"
  local function signal(name) uv.kill(uv.os_getpid(), name) end
  local function said(text)
    local file <close> = assert(io.open(arg[1]))
    return file:read "a":find(text, 1, true) ~= nil
  end
  local start = os.time()
  local function until_said(text, work)
    repeat work() until said(text) or os.time() - start > 100
  end
  local function count() for _ = 1, 1000 do end end
  local event = async.event()
  async.spawn(event.wait, event).name = "a sleepy one"
  async.yield()
]]

local function run(code)
  local said = program.file()
  local output, _, status =
    program.sh(program.command { "--slow", "0", program.file(prelude .. code), said } .. " 2>" .. said)
  return output, program.contents(said), status
end

describe("SIGUSR1 and SIGQUIT", function()
  after_each(program.remove_files)

  for _, name in ipairs { "sigusr1", "sigquit" } do
    it(name .. " prints what the tasks wait for, while the loop waits", function()
      local output, errors, status = run(([[
        async.spawn(function()
          local command = ("sleep 0.05; kill -%s %%d"):format(uv.os_getpid())
          uv.spawn("sh", {args = {"-c", command}}, function() end)
          until_said("a sleepy one", function() async.sleep(0.01) end)
          event:set()
        end)
        event:wait()
        print "went on"]]):format(name:sub(4):upper()))
      assert.equal("went on\n", output)
      assert.match("a sleepy one", errors)
      assert.equal(0, status)
    end)

    it(name .. " prints it at once when a task is busy", function()
      local output, errors, status = run(([[
        signal "%s"
        count()
        print(said "a sleepy one")
        event:set()]]):format(name))
      assert.equal("true\n", output)
      assert.match("a sleepy one", errors)
      assert.equal(0, status)
    end)
  end

  it("reach a task inside the script's own coroutines, and inside a C function", function()
    local output = run [[
      local function tell()
        signal "sigusr1"
        count()
        print(said "a sleepy one")
        coroutine.yield()
      end
      coroutine.wrap(coroutine.wrap(tell))()
      event:set()]]
    assert.equal("true\n", output)
    output = run [[
      table.sort({1, 2}, function()
        signal "sigusr1"
        count()
        print(said "a sleepy one")
        event:set()
      end)]]
    assert.equal("true\n", output)
  end)

  it("come many at a time", function()
    local output, errors, status = run [[
      for _ = 1, 100 do
        signal "sigusr1"
        signal "sigquit"
        async.yield()
      end
      event:set()
      print "fine"]]
    assert.equal("fine\n", output)
    assert.match("a sleepy one", errors)
    assert.equal(0, status)
  end)

  it("leave the hooks of the script alone", function()
    local output = run [[
      local function hook() end
      debug.sethook(hook, "c", 100)
      signal "sigusr1"
      count()
      local fn, mask, n = debug.gethook()
      print(said "a sleepy one", fn == hook, mask, n)
      event:set()]]
    assert.equal("true\ttrue\tc\t100\n", output)
  end)

  it("do not end a program that has no task any more, or not yet", function()
    local output, errors, status = program.run { "-e", [[
      local uv = require "luv"
      setmetatable({}, {__gc = function()
        uv.kill(uv.os_getpid(), "sigusr1")
        uv.kill(uv.os_getpid(), "sigquit")
        print "closed"
      end})]] }
    assert.equal("closed\n", output)
    assert.equal("", errors)
    assert.equal(0, status)
  end)
end)

describe("the first SIGINT", function()
  after_each(program.remove_files)

  local function assert_interrupted(code)
    local output, errors, status = run([[
      local _ <close> = setmetatable({}, {__close = function()
        async.shield(async.sleep, 0.001)
        print "cleaned up"
      end})
    ]] .. code)
    assert.equal("cleaned up\n", output)
    assert.match("muster: interrupted\n", errors)
    assert.equal(130, status)
  end

  it("ends a busy loop", function() assert_interrupted "signal 'sigint' while true do end" end)

  it("ends a busy loop inside the script's own coroutines", function()
    assert_interrupted [[
      coroutine.wrap(function()
        coroutine.wrap(function()
          signal "sigint"
          while true do end
        end)()
      end)()]]
  end)

  it("ends a busy loop inside C functions", function()
    assert_interrupted [[
      table.sort({1, 2, 3}, function()
        signal "sigint"
        while true do end
      end)]]
    assert_interrupted [[
      table.sort({1, 2, 3}, function()
        async.sleep(0.001)
        string.gsub("abc", ".", function()
          signal "sigint"
          while true do end
        end)
      end)]]
  end)

  it("ends a busy loop while the script has a hook of its own, which stays", function()
    assert_interrupted [[
      local calls = 0
      local function hook() calls = calls + 1 end
      debug.sethook(hook, "", 100)
      local ok, err = pcall(function()
        signal "sigint"
        while true do end
      end)
      assert(not ok and async.is_cancelled(err))
      count()
      assert(calls > 0 and debug.gethook() == hook)
      error(err, 0)]]
  end)

  it("ends a busy loop that is being watched for slowness, and dumped", function()
    local output, _, status = program.run { "--slow", "4", "-e", [[
      local uv = require "luv"
      local pid = uv.os_getpid()
      local from = os.clock()
      repeat uv.kill(pid, "sigusr1") until os.clock() - from > 0.1
      uv.kill(pid, "sigint")
      while true do end]] }
    assert.equal("", output)
    assert.equal(130, status)
  end)
end)
