-- `--slow MS`: the task that runs for too long is reported, once; nothing else is. Code that has to be slow goes on
-- until the report is there: it reads what the program has said.
local program = require "spec.support.program"

-- said(text): has the program said so? until_said(text, work): does the work until then, at least once.
local prelude = [[
  local async = require "muster"
  local function said(text)
    local file <close> = assert(io.open(arg[1]))
    return file:read "a":find(text, 1, true) ~= nil
  end
  local function until_said(text, work)
    local start = os.time()
    repeat work() until said(text) or os.time() - start > 100
  end
  local function count()
    local n = 0
    for _ = 1, 1e5 do n = n + 1 end
  end
]]

--- Runs code: output, what stderr holds, exit code.
local function run(code, options)
  local said = program.file()
  local arguments = { "--slow", "20" }
  if options then arguments = options end
  arguments.slow = true
  table.insert(arguments, program.file(prelude .. code))
  table.insert(arguments, said)
  local output, _, status = program.sh(program.command(arguments) .. " 2>" .. said)
  return output, program.contents(said), status
end

local function times(text, pattern)
  local _, n = text:gsub(pattern, "")
  return n
end

describe("--slow", function()
  after_each(program.remove_files)

  it("refuses what is no number of milliseconds", function()
    for _, value in ipairs { "x", "", "-1", "nan", "inf", "20ms" } do
      local output, errors, status = program.run { "--slow", value, "-e", "print 'ran'" }
      assert.equal("", output)
      assert.equal(("muster: bad value for '--slow': '%s' (try 'muster --help')\n"):format(value), errors)
      assert.equal(2, status)
    end
  end)

  it("reports the task with its traceback, while it runs", function()
    local output, errors, status = run [[
      async.current().name = "hog"
      local function busy() until_said("has run for", count) end
      busy()
      print "went on"]]
    assert.equal("went on\n", output)
    assert.equal(0, status)
    local seconds = errors:match "^muster: hog has run for (%d+%.%d+) s without suspending, here:\n\t"
    assert.is_true(tonumber(seconds) >= 0.02, errors)
    assert.match("in upvalue 'busy'", (errors:gsub("in local 'busy'", "in upvalue 'busy'")))
    assert.match("in main chunk", errors)
    assert.equal(1, times(errors, "has run for"))
  end)

  it("is on by default", function()
    local _, errors = run("until_said('has run for', count)", {})
    assert.is_true(tonumber(errors:match "^muster: main has run for (%d+%.%d+) s ") >= 0.2, errors)
  end)

  it("tells each task once, also if there are many in a turn", function()
    local _, errors = run [[
      for i = 1, 3 do
        async.spawn(function()
          until_said("task " .. i .. " ", count)
          async.yield()
          local from = os.clock()
          repeat count() until os.clock() - from > 0.1
        end).name = "task " .. i
      end]]
    assert.equal(3, times(errors, "has run for"))
    for i = 1, 3 do assert.equal(1, times(errors, "muster: task " .. i .. " has run for")) end
  end)

  it("finds a task that follows one that was told", function()
    local _, errors = run [[
      async.spawn(function()
        local from = os.clock()
        repeat count() until os.clock() - from > 0.3
      end).name = "first"
      async.spawn(until_said, "second has", count).name = "second"]]
    assert.match("muster: first has run.*muster: second has run", errors)
  end)

  it("tells of a C function when it returns", function()
    local _, errors = run [[until_said("has run for", function() os.execute "sleep 0.05" end)]]
    assert.match("%[C%]: in function 'os.execute'\n", errors)
  end)

  it("tells of a task that is one C function", function()
    local _, errors = run [[
      until_said("helper has", function()
        async.spawn(os.execute, "sleep 0.1").name = "helper"
        async.sleep(0)
      end)]]
    assert.match("helper has run for [%d.]+ s without suspending, here:\n\t%[C%]: in function 'os.execute'\n", errors)
  end)

  it("sees through the script's own coroutines, and C functions", function()
    local _, errors = run [[
      local function inmost() until_said("has run for", count) end
      local generator = coroutine.wrap(function()
        coroutine.wrap(inmost)()
        coroutine.yield()
      end)
      table.sort({1, 2}, function() generator = generator and generator() end)]]
    assert.match(":14>\n.*:15>\n.*'table.sort'.*main chunk\n$", errors)
  end)

  it("leaves the hooks of the script alone", function()
    local output, errors = run [[
      local calls = 0
      local function hook() calls = calls + 1 end
      debug.sethook(hook, "", 1000)
      until_said("has run for", count)
      local fn, mask, n = debug.gethook()
      print(fn == hook, mask == "", n)
      calls = 0
      count()
      print(calls > 10)]]
    assert.match("has run for", errors)
    assert.equal("true\ttrue\t1000\ntrue\n", output)
  end)

  it("leaves no hook behind", function()
    local output = run [[
      until_said("has run for", function()
        count()
        coroutine.wrap(count)()
      end)
      print(debug.gethook())
      print(coroutine.wrap(function() return debug.gethook() end)())]]
    assert.equal("nil\nnil\n", (output:gsub("\t\t0", "")))
  end)

  it("goes by real time, not by a virtual clock", function()
    local _, errors = run("until_said('has run for', count)", { "--slow", "20", "--virtual-time" })
    assert.match("has run for", errors)
    _, errors = run("async.sleep(3600)", { "--slow", "20", "--virtual-time" })
    assert.equal("", errors)
  end)

  it("says nothing of a program that suspends, waits, or is idle", function()
    local _, errors, status = run([[
      local from = os.clock()
      repeat
        for _ = 1, 1000 do end
        async.yield()
      until os.clock() - from > 0.5
      async.sleep(0.5)]], { "--slow", "300" })
    assert.equal("", errors)
    assert.equal(0, status)
  end)

  it("says nothing if it is off", function()
    local _, errors = run([[
      local from = os.clock()
      repeat count() until os.clock() - from > 0.4]], { "--slow", "0" })
    assert.equal("", errors)
  end)

  it("does not count the time for which the program was stopped", function()
    local path = program.file [[
      io.write "ready\n" io.flush()
      local uv = require "luv"
      uv.kill(uv.os_getpid(), "sigstop")
      io.write "went on\n"]]
    -- It is stopped for longer than the limit, whenever that begins.
    local output, errors = program.sh(("%s & pid=$!; until grep -q '^[0-9]* (.*) [TZ]' /proc/$pid/stat; do :; done; " ..
      "sleep 0.5; kill -CONT $pid; wait $pid"):format(program.command { "--slow", "200", path }))
    assert.equal("ready\nwent on\n", output)
    assert.equal("", errors)
  end)

  it("does not disturb system calls that can go on after a signal", function()
    local output = run [[
      until_said("has run for", function()
        local pipe = io.popen "sleep 0.1; echo through"
        assert(pipe:read "a" == "through\n")
        assert(pipe:close())
      end)
      print "fine"]]
    assert.equal("fine\n", output)
  end)
end)
