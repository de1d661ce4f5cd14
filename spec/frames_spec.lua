-- The frames of a task: the script's only, with short paths. Seen through task:traceback().

local async = require "muster"
local program = require "spec.support.program"

local await = async.await

--- The lines of the traceback of a task that runs fn and waits, each without its place.
local function frames_of(fn, ...)
  local task = async.spawn(fn, ...)
  async.sleep(0)
  local text = task:traceback():gsub("\n\tspawned at [^\n]*$", "")
  task:cancel()
  local lines = {}
  for line in text:gmatch "\n\t([^\n]*)" do lines[#lines + 1] = line:gsub("^%S+:%d+: ", "") end
  return lines, text
end

describe("the frames of a task", function()
  it("are those of the script, not those of the runtime, innermost first", function()
    local function innermost() async.sleep(1) end
    local lines = frames_of(function() innermost() end)
    assert.equal(2, #lines)
    assert.equal("in upvalue 'innermost'", lines[1])
    assert.matches("^in function <spec/frames_spec.lua:%d+>$", lines[2])
  end)

  it("are without those of the library between them", function()
    local lines = frames_of(function()
      async.timeout(1, function() async.gather_settled {function() async.sleep(1) end} end)
    end)
    assert.equal(2, #lines, table.concat(lines, "\n"))
  end)

  it("have those of C functions that the script calls", function()
    local lines = frames_of(function() pcall(function() async.sleep(1) end) end)
    assert.equal("[C]: in function 'pcall'", lines[2])
  end)

  it("name functions by where a module has them", function()
    package.loaded["a.module"] = {waits = function() async.sleep(1) end}
    finally(function() package.loaded["a.module"] = nil end)
    local waits = package.loaded["a.module"].waits
    assert.equal("in function 'a.module.waits'", frames_of(function() waits() end)[1])
  end)

  it("begin with those of the coroutines in which it waits", function()
    local function waits() async.sleep(1) end
    local lines = frames_of(function()
      local inner = coroutine.wrap(function()
        local ok = coroutine.resume(coroutine.create(function() waits() end))
        return ok
      end)
      inner()
    end)
    assert.equal(4, #lines, table.concat(lines, "\n"))
    assert.equal("in upvalue 'waits'", lines[1])
    for i = 2, 4 do assert.matches("^in function <spec/frames_spec.lua:%d+>$", lines[i]) end
  end)

  it("have the C function from inside which it waits", function()
    local lines = frames_of(function()
      table.sort({1, 2}, function(a, b)
        async.sleep(1)
        return a < b
      end)
    end)
    assert.equal("[C]: in function 'table.sort'", lines[2])
    assert.equal(3, #lines)
  end)

  it("of the running task are those of its coroutines too", function()
    local text = coroutine.wrap(function()
      local own = async.current():traceback()
      return own
    end)()
    local line = debug.getinfo(1, "l").currentline - 3
    assert.matches(("^stack traceback:\n\tspec/frames_spec.lua:%d: in function <"):format(line), text)
  end)

  it("are none for a C function of the runtime", function()
    assert.same({}, (frames_of(async.sleep, 1)))
  end)

  it("are cut in the middle when they are many", function()
    local function down(n)
      if n == 0 then async.sleep(1) else down(n - 1) end
      return n
    end
    local lines = frames_of(down, 1000)
    assert.equal(22, #lines)
    assert.matches("^%.%.%.\t%(skipping %d+ levels%)$", lines[11])
    assert.equal("in upvalue 'down'", lines[10])
    assert.matches("^in function <", lines[22])
  end)

  it("tell of tail calls", function()
    local function waits()
      async.sleep(1)
      return 1
    end
    local lines = frames_of(function() return waits() end)
    assert.matches("^in function <", lines[1])
    assert.equal("(...tail calls...)", lines[2])
  end)

  it("of the running task are those of the caller", function()
    local function asks() return (async.current():traceback()) end
    local text = await(function() return (asks()) end)
    assert.matches("^stack traceback:\n\tspec/frames_spec.lua:%d+: in upvalue 'asks'\n", text)
  end)
end)

describe("the place of a frame", function()
  --- What a script at this path below a new directory says of itself, run by its whole path after `cd`.
  local function traceback_of(path, cd)
    local script = program.file "print(require 'muster'.current():traceback())"
    finally(program.remove_files)
    local command = "m=$(realpath %s); d=$(mktemp -d) && mkdir -p $d/sub && cp %s $d/%s && cd %s && $m $d/%s; rm -r $d"
    return (program.sh(command:format(program.path, script, path, cd, path)))
  end

  it("is relative to the working directory", function()
    assert.equal("stack traceback:\n\tx.lua:1: in main chunk\n", traceback_of("x.lua", "$d"))
    assert.equal("stack traceback:\n\tsub/x.lua:1: in main chunk\n", traceback_of("sub/x.lua", "$d"))
  end)

  it("counts as the script's in a directory that is called as the library", function()
    local script = program.file "print(require 'muster'.current():traceback())"
    finally(program.remove_files)
    local command = "m=$(realpath %s); d=$(mktemp -d) && mkdir $d/muster && cp %s $d/muster/x.lua && cd $d && " ..
      "$m muster/x.lua; rm -r $d"
    local output = program.sh(command:format(program.path, script))
    assert.equal("stack traceback:\n\tmuster/x.lua:1: in main chunk\n", output)
  end)

  it("is a whole path elsewhere", function()
    assert.matches("\n\t/%S+/x.lua:1: in main chunk\n$", traceback_of("x.lua", "$d/sub"))
  end)

  it("is cut when it is long", function()
    assert.matches("\n\t%.%.%.[long]+%.lua:1: in main chunk\n$", traceback_of(("long"):rep(20) .. ".lua", "$d"))
  end)
end)
