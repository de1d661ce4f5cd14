-- `--stats`: what it prints, and when. Times are not judged, except against each other.
local program = require "spec.support.program"

--- Runs code: its statistics as {name = rest of the line}, what else stderr holds, the exit code.
local function stats(code, options)
  local arguments = { "--stats" }
  for _, option in ipairs(options or {}) do table.insert(arguments, option) end
  table.insert(arguments, program.file("local async = require 'muster'\n" .. code))
  local output, errors, status = program.run(arguments)
  local before, text = errors:match "^(.-)muster: statistics\n(.*)$"
  local lines = {}
  for name, rest in (text or ""):gmatch "  (%S+) +([^\n]+)\n" do lines[name] = rest end
  return lines, before, status, output
end

describe("--stats", function()
  after_each(program.remove_files)

  it("counts tasks, turns and looks at I/O", function()
    local lines, before, status = stats [[
      for i = 1, 9 do async.spawn(async.yield) end
      async.sleep(0.001)]]
    assert.equal("", before)
    assert.equal(0, status)
    assert.match("^10, at most 10 at once, in %d+ coroutines; 0 unhandled$", lines.tasks)
    assert.match("^%d+, of 20 resumes$", lines.turns)
    assert.match("^%d+ polls, of these %d+ waits; %d+ wake%-ups; 0 handles and 0 requests left$", lines.loop)
    assert.is_true(tonumber(lines.loop:match "these (%d+)") >= 1)
  end)

  it("counts wake-ups by the thread pool", function()
    local lines = stats [[
      async.suspend(function(resume) require "luv".fs_stat(".", function() resume() end) end)]]
    assert.match("0 handles and 0 requests left", lines.loop)
    lines = stats [[
      async.spawn(async.sleep, 60):daemon()
      require "luv".new_timer():start(60000, 0, function() end)]]
    assert.match("1 handles", lines.loop)
  end)

  it("names the task that ran longest, and where it is from", function()
    local code = [[
      local start = os.clock()
      local function burn(seconds)
        local from = os.clock()
        repeat until os.clock() - from >= seconds
      end
      async.spawn(burn, 0.001).name = "brief"
      async.spawn(function()
        burn(0.15)
      end).name = "hog"
      async.spawn(function() end)]]
    local lines = stats(code, { "--slow", "0" })
    assert.match("^%d+%.%d+ s: hog, [^:]+:8$", lines.longest)
    assert.is_true(tonumber(lines.longest:match "^%S+") >= 0.15)
    lines = stats(code, { "--slow", "0", "--virtual-time" })
    assert.match("^%d+%.%d+ s: hog, [^:]+:8$", lines.longest)
  end)

  it("names the main chunk by its file", function()
    local lines = stats "local t = {} for i = 1, 1e5 do t[i] = {} end async.yield()"
    assert.match("^%d+%.%d+ s: main, /[^:]+$", lines.longest)
  end)

  it("measures the garbage collector, in steps and in full collections, finalizers too", function()
    local function collecting(code) return tonumber(stats(code).collector:match "^(%d+%.%d+) s$") end
    local little = collecting ""
    local much = collecting "local t = {} for i = 1, 3e5 do t[i % 5e4] = {i} end"
    assert.is_true(much > little)
    local finalizer = [[
      setmetatable({}, {__gc = function()
        local from = os.clock()
        collectgarbage()
        repeat collectgarbage "step" until os.clock() - from > 0.05
      end})
      collectgarbage()]]
    local nested = collecting(finalizer)
    assert.is_true(nested >= 0.05)
  end)

  it("is printed however the program ends, once", function()
    for code, expected in pairs {
      ["error 'broken'"] = 1,
      ["os.exit(3)"] = 3,
      ["os.exit(3, true)"] = 3,
      ["async.spawn(os.exit, 4) async.sleep(60)"] = 4,
      ["async.channel():recv()"] = 13,
    } do
      local lines, before, status = stats(code)
      assert.equal(expected, status, code)
      assert.match("^%d+, at most %d at once", lines.tasks, code)
      assert.match(" s: ", lines.longest, code)
      assert.is_nil(before:find "statistics")
    end
  end)

  it("comes after the output of the program", function()
    local output = program.sh(program.command { "--stats", "-e", "io.write 'last words\\n' os.exit(0)" } .. " 2>&1")
    assert.match("^last words\nmuster: statistics\n", output)
  end)

  it("goes together with a trace", function()
    local path = program.file()
    local lines = stats("async.sleep(0.001)", { "--trace", path })
    assert.match("main", lines.longest)
    assert.match("\n%]\n$", program.contents(path))
  end)
end)
