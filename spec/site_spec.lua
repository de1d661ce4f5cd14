-- Where a task was spawned. Seen through task:traceback().

local async = require "muster"
local program = require "spec.support.program"

local function here() return debug.getinfo(2, "l").currentline end

local function asleep() async.sleep(1) end

--- Where the task says that it was spawned, of this file; it ends.
local function line_of(task)
  async.sleep(0)
  local text = task:traceback()
  task:cancel()
  local source, line = text:match "\n\tspawned at ([^\n]*):(%d+)$"
  if source then assert.equal("spec/site_spec.lua", source) end
  return math.tointeger(line)
end

describe("where a task was spawned", function()
  it("is the line that calls spawn", function()
    local task, line = async.spawn(asleep), here()
    assert.equal(line, line_of(task))
  end)

  it("is that also for a task of an async function, which is made elsewhere", function()
    local made = async(asleep)()
    local line, task = here(), async.spawn(made)
    assert.equal(line, line_of(task))
  end)

  it("is the line of the script if C or the library calls it", function()
    local _, task = pcall(async.spawn, asleep)
    local line = here() - 1
    assert.equal(line, line_of(task))
    local tasks = {async(asleep)()}
    async.wait(tasks, {timeout = 0})
    line = here() - 1
    assert.equal(line, line_of(tasks[1]))
  end)

  it("is known inside a coroutine of the script's", function()
    local task = coroutine.wrap(function() return (async.spawn(asleep)) end)()
    local line = here() - 1
    assert.equal(line, line_of(task))
    task = coroutine.wrap(async.spawn)(asleep)
    line = here() - 1
    assert.equal(line, line_of(task))
  end)

  it("is the line that calls group:spawn, also if the task starts later", function()
    local first, second, line
    pcall(function()
      local group <close> = async.group {limit = 1}
      first = group:spawn(asleep)
      second = group:spawn(asleep)
      line = here() - 1
      assert.equal(line - 1, line_of(first))
      async.sleep(0)
      assert.equal(line, line_of(second))
    end)
    assert.is_number(line)
  end)

  it("is unknown of a task that whoever awaits it starts", function()
    local task = async(asleep)()
    local gathering = async.spawn(async.gather, {task})
    assert.is_nil(line_of(task))
    gathering:cancel()
  end)

  it("stays as it was when the task is spawned again", function()
    local task, line = async.spawn(asleep), here()
    async.spawn(task)
    assert.equal(line, line_of(task))
  end)

  it("is kept for as many lines as there are", function()
    local tasks = {}
    for i = 1, 3000 do
      local code = ("\n"):rep(i % 100) .. "local async, f = ... return async.spawn(f)"
      tasks[i] = load(code, ("=chunk %d"):format(i))(async, asleep)
    end
    async.sleep(0)
    for i, task in ipairs(tasks) do
      assert.matches(("spawned at chunk %d:%d"):format(i, i % 100 + 1), task:traceback(), 1, true)
      task:cancel()
    end
  end)

  it("is not kept for lines without end", function()
    local script = program.file [[
      local async = require "muster"
      local last
      for i = 1, 70000 do
        last = load("local async = ... return (async.spawn(async.sleep, 1))", "=" .. i)(async)
        if i < 70000 then last:cancel() end
      end
      async.yield()
      print(last:status(), last:traceback())
      last:cancel()
    ]]
    finally(program.remove_files)
    local output, _, code = program.run {script}
    assert.equal("waiting\tstack traceback:\n", output)
    assert.equal(0, code)
  end)
end)
