-- The traceback of an error that was caught, raised again or replaced; of any error value; and none without end.

local async = require "muster"
local trace = require "spec.support.trace"

local await, trace_of = async.await, trace.trace_of

local function fails(message) error(message or "boom", 0) end

--- A value to be closed by fn.
local function closing(fn) return setmetatable({}, { __close = fn }) end

--- Asserts about the traceback of a task that runs fn: its lines. Returns the error.
local function assert_trace(lines, fn)
  local text, err = trace_of(fn)
  assert.equal(table.concat(lines, "\n"), text)
  return err
end

-- The frames of `fails`, called from a function without a name.
local RAISED = "[C]: in function 'error'\nLINE: in upvalue 'fails'\nLINE: in function"
local AWAITED = RAISED .. "\nawaited by task N:\nLINE: in function"

describe("the traceback of an error that was caught", function()
  it("does not come back with an equal text", function()
    for _, catch in ipairs {
      function(fn) pcall(await, fn) end,
      function(fn) pcall(coroutine.wrap(fn)) end,
      function(fn) pcall(async.timeout, 1, fn) end,
      function(fn) pcall(fn) end,
      function(fn) xpcall(fn, debug.traceback) end,
      function(fn) async.spawn(fn):pawait() end,
    } do
      assert_trace({ RAISED }, function()
        catch(function() fails() end)
        fails()
      end)
    end
  end)

  it("goes on when an object is raised again", function()
    local object = {}
    local err = assert_trace({ "[C]: in function 'error'", "LINE: in function", "awaited by task N:",
      "[C]: in function 'error'", "LINE: in function" }, function()
      local _, err = pcall(await, function() error(object) end)
      error(err)
    end)
    assert.equal(object, err)
  end)

  it("goes on although other errors were caught meanwhile", function()
    local text = trace_of(function()
      local _, err = pcall(await, function() fails {} end)
      pcall(await, function() fails {} end)
      pcall(async.timeout, 1, fails)
      pcall(coroutine.wrap(fails))
      error(err)
    end)
    assert.equal(RAISED .. "\nawaited by task N:\n[C]: in function 'error'\nLINE: in function", text)
  end)

  it("shows where the object was raised first, and where last", function()
    local sentinel = {}
    local text = trace_of(function()
      for _ = 1, 100 do
        local function other() error(sentinel) end
        pcall(async.timeout, 1, function() other() end)
      end
      local function last() error(sentinel) end
      last()
    end)
    assert.equal([=[
[C]: in function 'error'
LINE: in upvalue 'other'
LINE: in function
LINE: in function
raised again:
[C]: in function 'error'
LINE: in local 'last'
LINE: in function]=], (text:gsub("\n%[C%]: in function 'pcall'", "")))
  end)

  it("is not that of another task that raised the same object", function()
    local sentinel = {}
    await(function()
      local function other() error(sentinel) end
      pcall(await, function() other() end)
    end)
    assert_trace({ "[C]: in function 'error'\nLINE: in function" }, function() error(sentinel) end)
  end)

  it("does not disturb that of the error on its way", function()
    for _, catch in ipairs {
      function() pcall(await, function() fails "other" end) end,
      function() pcall(await, function() fails() end) end,
      function() pcall(coroutine.wrap(fails)) end,
      function() pcall(async.timeout, 1, function() fails() end) end,
      function() async.move_on_after(0, async.sleep, 1) end,
      function() async.yield() end,
    } do
      assert_trace({ RAISED }, function()
        local _ <close> = closing(catch)
        fails()
      end)
      assert_trace({ RAISED .. "\nLINE: in function" }, function()
        async.timeout(1, function()
          local _ <close> = closing(catch)
          fails()
        end)
      end)
      assert_trace({ AWAITED }, function()
        local _ <close> = closing(catch)
        await(function() fails() end)
      end)
    end
  end)

  it("gives way to that of an error while variables are closed", function()
    local text, err = trace_of(function()
      local function close() fails "in close" end
      local _ <close> = closing(close)
      fails()
    end)
    assert.equal("in close", err)
    assert.matches("^%[C%]: in function 'error'\nLINE: in upvalue 'fails'\nLINE: in [^\n]*", text)
  end)

  it("does not reach what fails next, or after a finalizer that failed", function()
    local text = trace_of(function()
      pcall(await, fails)
      local x = package.loaded["no such module"]
      return x.y
    end)
    assert.equal("LINE: in function", text)
    assert_trace({ RAISED }, function()
      setmetatable({}, { __gc = function() fails "in a finalizer" end })
      collectgarbage()
      fails()
    end)
  end)
end)

describe("the error of a traceback", function()
  it("may be any value, and stays the same", function()
    local object = setmetatable({}, { __tostring = function() return "an object" end })
    local co = coroutine.create(print)
    for _, value in ipairs { object, {}, 42, 4.5, true, false, "text", "", print, co, io.stdout } do
      local text, err = trace_of(function() await(function() error(value, 0) end) end)
      assert.equal(value, err)
      assert.equal("[C]: in function 'error'\nLINE: in function\nawaited by task N:\nLINE: in function", text)
    end
    local text, err = trace_of(function() await(function() error() end) end)
    assert.is_nil(err)
    assert.equal("[C]: in function 'error'\nLINE: in function\nawaited by task N:\nLINE: in function", text)
  end)

  it("may be a long text", function()
    local long = ("x"):rep(1e6)
    local text, err = trace_of(function()
      local group <close> = async.group()
      group:spawn(function() fails(long) end)
    end)
    assert.equal(long, err.errors[1])
    assert.is_true(#text < 2e4)
  end)

  it("may be an overflow", function()
    local text, err = trace_of(function()
      local function down() return 1 + down() end
      await(down)
    end)
    assert.matches("stack overflow", err)
    assert.matches("\n%.%.%.%(skipping %d+ levels%)\n", text)
    assert.matches("\nawaited by task N:\nLINE: in function$", text)
  end)

  it("is none of those that cancel", function()
    local task = async.spawn(function()
      local _, err = pcall(async.sleep, 1)
      error(err)
    end)
    async.yield()
    task:cancel "enough"
    task:pawait()
    assert.is_nil(task:traceback())
  end)

  it("is not held longer than it is needed", function()
    local weak = setmetatable({}, { __mode = "v" })
    local function catch()
      weak[1] = {}
      pcall(await, function() fails(weak[1]) end)
      pcall(async.timeout, 1, function() fails(weak[1]) end)
    end
    catch()
    pcall(async.timeout, 1, fails)
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)

describe("tracebacks without end", function()
  it("are cut in the middle", function()
    local function chain(n)
      if n == 0 then fails() end
      await(chain, n - 1)
    end
    local text = trace_of(chain, 2000)
    assert.is_true(#text < 16384)
    assert.matches("^%[C%]: in function 'error'\n", text)
    assert.matches("\n%.%.%.\n", text)
    assert.matches("\nawaited by task N:\nLINE: in function$", text)
  end)

  it("are not made by catching", function()
    local sentinel = {}
    local function round()
      pcall(coroutine.wrap(function() error(sentinel) end))
      pcall(coroutine.wrap(function() fails() end))
      pcall(await, function() error(sentinel) end)
      pcall(await, function() fails() end)
      pcall(async.timeout, 1, function() error(sentinel) end)
      local _, err = pcall(async.timeout, 1, function() fails {} end)
      pcall(async.timeout, 1, function() error(err) end)
    end
    local text = trace_of(function()
      for _ = 1, 100 do round() end
      collectgarbage()
      collectgarbage()
      local before = collectgarbage "count"
      for _ = 1, 1000 do round() end
      collectgarbage()
      collectgarbage()
      assert.is_true(collectgarbage "count" - before < 50)
      error(sentinel)
    end)
    assert.is_true(#text < 2000, #text)
  end)
end)
