-- Where an error comes from, through coroutines and tasks: what task:traceback() and reports say of it.

local async = require "muster"
local program = require "spec.support.program"
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

describe("the traceback of a failed task", function()
  it("has the frames that failed", function()
    assert_trace({ RAISED }, function() fails() end)
  end)

  it("is none if it did not fail, or was cancelled", function()
    local done, cancelled = async.spawn(function() end), async.spawn(async.sleep, 1)
    async.yield()
    cancelled:cancel()
    cancelled:pawait()
    done:pawait()
    assert.is_nil(done:traceback())
    assert.is_nil(cancelled:traceback())
  end)

  it("goes on with who awaits it", function()
    assert_trace({ AWAITED }, function() await(function() fails() end) end)
    assert_trace({ AWAITED }, function()
      await(function()
        async.yield()
        fails()
      end)
    end)
  end)

  it("goes on through a chain of awaiters, with where each was spawned", function()
    local function chain(n)
      if n == 0 then fails() end
      async.spawn(chain, n - 1):await()
    end
    local link = "\nspawned at LINE\nawaited by task N:\nLINE: in function"
    assert_trace({ RAISED .. link:rep(2) .. link:gsub("in function$", "in upvalue 'chain'") .. "\nLINE: in function" },
      function() chain(3) end)
  end)

  it("names the awaiters", function()
    local text = trace_of(function()
      async.current().name = "the waiter"
      await(fails)
    end)
    assert.matches("\nawaited by the waiter:\n", text, 1, true)
  end)

  it("goes through everything that awaits for its caller", function()
    local ways = {
      function(fn) async.gather { fn } end,
      function(fn) async.gather(fn) end,
      function(fn) async.gather { async.yield, fn } end,
      function(fn) async.first { fn } end,
      function(fn) async.map({ 1 }, fn) end,
      function(fn) for _ in async.stream({ 1 }, fn) do end end,
      function(fn) for _ in async.stream({ 1 }, fn, { ordered = true }) do end end,
      function(fn) for task in async.as_completed { fn } do task:await() end end,
      function(fn) async.spawn(fn):await() end,
      function(fn) async.run(fn) end,
    }
    for i, way in ipairs(ways) do
      local function run() return way(function() fails() end) end
      local text = trace_of(function()
        local _ = run()
      end)
      text = text:gsub("\nspawned at LINE", "")
      assert.equal(AWAITED, text:sub(1, #AWAITED), i)
    end
  end)

  it("tells of the source of a stream", function()
    assert_trace({ "[C]: in function 'error'\nLINE: in upvalue 'fails'\nLINE: in local 'items'\nspawned at LINE\n" ..
      "awaited by task N:\nLINE: in function" }, function()
      for _ in async.stream(function() fails() end, function() end) do end
    end)
  end)

  it("tells of a generator that is the source of a stream, without a line of the library", function()
    local err = assert_trace({ RAISED .. "\nspawned at LINE\nawaited by task N:\nLINE: in function" }, function()
      local source = coroutine.wrap(function()
        async.yield()
        fails()
      end)
      for _ in async.stream(source, function() end) do end
    end)
    assert.equal("boom", err)
  end)

  it("has the frames around a scope", function()
    local lines = { RAISED .. "\nLINE: in function" }
    assert_trace(lines, function() async.timeout(1, function() fails() end) end)
    assert_trace(lines, function() async.move_on_after(1, function() fails() end) end)
    assert_trace(lines, function() async.shield(function() fails() end) end)
    assert_trace({ AWAITED .. "\nLINE: in function" }, function()
      async.timeout(1, function() await(function() fails() end) end)
    end)
    assert_trace({ AWAITED .. ("\nLINE: in function"):rep(2) }, function()
      async.shield(function() async.timeout(1, async.timeout, 1, function() await(function() fails() end) end) end)
    end)
  end)

  it("tells where a time limit struck", function()
    local err = assert_trace({ "LINE: in upvalue 'slow'\nLINE: in function\nLINE: in function" }, function()
      local function slow() async.sleep(1) end
      async.timeout(0, function() slow() end)
    end)
    assert.equal("timeout", err.kind)
  end)

  it("has the arguments' mistakes at the line of the caller", function()
    for _, fn in ipairs { async.select, async.suspend, async.channel, async.sleep, async.map, async.first } do
      local text = trace_of(function()
        local _ = fn(-1)
      end)
      assert.equal("LINE: in function", text)
    end
  end)

  it("has what fails inside suspend, select and channels", function()
    assert_trace({ RAISED .. "\nLINE: in function" }, function() async.suspend(function() fails() end) end)
    assert_trace({ "LINE: in function" }, function()
      local channel = async.channel()
      channel:close()
      channel:send(1)
      async.select { { channel, "value" } }
    end)
  end)

  it("crosses C functions that the script calls", function()
    assert_trace({ AWAITED .. "\n[C]: in function 'table.sort'\nLINE: in function" }, function()
      table.sort({ 3, 2, 1 }, function() await(function() fails() end) end)
    end)
    assert_trace({ AWAITED .. "\n[C]: in function 'string.gsub'\nLINE: in function" }, function()
      local text = string.gsub("a", "a", function() await(function() fails() end) end)
      return text
    end)
  end)

  it("has what fails in loaded code and in modules", function()
    assert_trace({ "[C]: in function 'error'\ncode:1: in main chunk\nLINE: in function" }, function()
      load("error('boom', 0) return", "=code")()
    end)
    package.preload["a.failing.module"] = function()
      async.yield()
      await(function() fails() end)
    end
    finally(function() package.preload["a.failing.module"] = nil end)
    assert_trace({ AWAITED .. "\nLINE: in function" }, function() require "a.failing.module" end)
  end)

  it("is the same for all who await the task, and each time", function()
    local task = async.spawn(function()
      async.yield()
      fails()
    end)
    local waiters = {}
    for i = 1, 3 do
      waiters[i] = async.spawn(function()
        for _ = 1, 3 do pcall(await, task) end
        task:await()
      end)
    end
    for _, waiter in ipairs(waiters) do
      waiter:pawait()
      assert.equal(RAISED .. "\nspawned at LINE\nawaited by task N:\nLINE: in function",
        trace.short(waiter:traceback()))
    end
    assert.equal(RAISED, trace.short(task:traceback()))
  end)

  it("survives that a failure wins over the cancellation of a loop", function()
    assert_trace({ RAISED .. "\nLINE: in function\nawaited by task N:" }, function()
      local list = { function() async.yield() end, function()
        async.shield(function()
          for _ = 1, 5 do async.yield() end
          fails()
        end)
      end }
      for _ in async.as_completed(list) do
        async.current():cancel()
        async.yield()
      end
    end)
  end)
end)

describe("the traceback of a group", function()
  it("has the error, and where the group began", function()
    local err = assert_trace({ "error in task N: boom\n" .. RAISED .. "\nspawned at LINE\nin the group begun at LINE",
      "LINE: in function" }, function()
      local group <close> = async.group()
      group:spawn(function() fails() end)
    end)
    assert.same({ "boom" }, err.errors)
  end)

  it("is that of the body if only the body failed", function()
    assert_trace({ RAISED }, function()
      local group <close> = async.group()
      group:spawn(async.sleep, 1)
      fails()
    end)
  end)

  it("tells of three failures, and counts the others", function()
    local text, err = trace_of(function()
      local group <close> = async.group()
      for i = 1, 5 do
        group:spawn(function()
          pcall(async.sleep, i == 1 and 0 or 1)
          fails("boom " .. i)
        end)
      end
    end)
    assert.equal(3, select(2, text:gsub("\nerror in task N: boom", "")) + 1, text)
    assert.equal(5, #err.errors)
    assert.matches("^error in task N: boom 1\n", text)
  end)

  it("crosses the tasks of a pipeline", function()
    local text = trace_of(function()
      local group <close> = async.group()
      local first, second = async.channel(1), async.channel(1)
      group:spawn(function() for i = 1, 9 do first:send(i) end end)
      group:spawn(function()
        for value in first:iter() do
          if value == 3 then await(function() fails() end) end
          second:send(value)
        end
      end)
      for _ in second:iter() do end
    end)
    assert.matches("^error in task N: boom\n" .. RAISED:gsub("%p", "%%%0") .. "\nawaited by task N:\n", text)
  end)

  it("quotes errors that cannot be quoted", function()
    local text = trace_of(function()
      local group <close> = async.group()
      group:spawn(error, setmetatable({}, { __tostring = function() error "no" end }))
    end)
    assert.matches("error in task N: (error object whose __tostring fails)", text, 1, true)
  end)
end)

describe("the traceback through coroutines", function()
  --- A function that calls fn through n coroutines.
  local function wrapped(n, fn, awaits)
    for _ = 1, n do
      local inner = fn
      fn = coroutine.wrap(function()
        if awaits then async.yield() end
        inner()
      end)
    end
    return fn
  end

  it("has the frames of every coroutine, innermost first", function()
    for n = 1, 5 do
      for _, awaits in ipairs { false, true } do
        local _, err = trace_of(function() wrapped(n, fails, awaits)() end)
        assert_trace({ "[C]: in function 'error'\nLINE: in upvalue 'inner'" .. ("\nLINE: in function"):rep(n + 1) },
          function() wrapped(n, fails, awaits)() end)
        assert.matches("boom$", err)
      end
    end
  end)

  it("goes on from a task that one of them awaits", function()
    assert_trace({ (AWAITED:gsub("function$", "upvalue 'inner'")) .. ("\nLINE: in function"):rep(3) }, function()
      wrapped(2, function() await(function() fails() end) end, true)()
    end)
  end)

  it("begins anew after coroutine.resume has caught a text", function()
    assert_trace({ "[C]: in function 'error'\nLINE: in function" }, function()
      local _, err = coroutine.resume(coroutine.create(function() fails() end))
      error(err, 0)
    end)
  end)

  it("is not that of an equal error that the coroutine caught before", function()
    local text = trace_of(function()
      local generator = coroutine.wrap(function()
        pcall(await, function() fails() end)
        local function second() error("boom", 0) end
        second()
      end)
      generator()
    end)
    assert.equal("[C]: in function 'error'\nLINE: in local 'second'\nLINE: in function\nLINE: in function", text)
  end)

  it("is that of the error with which the coroutine was closed", function()
    local text, err = trace_of(function()
      local generator = coroutine.wrap(function()
        local _ <close> = closing(function() fails "in close" end)
        local function original() fails() end
        original()
      end)
      generator()
    end)
    assert.matches("in close$", err)
    assert.equal("LINE: in function", text)
  end)
end)

describe("a program", function()
  after_each(program.remove_files)

  --- What a script says on stderr, with SCRIPT for its path; its exit status.
  local function said(code, ...)
    local script = program.file("local async = require 'muster'\n" .. code)
    local arguments = table.pack(...)
    table.insert(arguments, script)
    local _, errors, status = program.run(arguments)
    return errors:gsub(script:gsub("%p", "%%%0"), "SCRIPT"), status
  end

  it("reports a failed task with where it was spawned", function()
    local errors, status = said [[
local function broken() error "boom" end
async.spawn(function() broken() end)
]]
    assert.equal([[
muster: unhandled error in task 2: SCRIPT:2: boom
stack traceback:
	[C]: in function 'error'
	SCRIPT:2: in upvalue 'broken'
	SCRIPT:3: in function <SCRIPT:3>
	spawned at SCRIPT:3
]], errors)
    assert.equal(1, status)
  end)

  it("reports error objects with a traceback", function()
    for value, text in pairs {
      ["{}"] = "%(error object is a table value%)", ["nil"] = "%(error object is a nil value%)",
      ["setmetatable({}, {__tostring = function() return 'as text' end})"] = "as text",
    } do
      local errors = said(("async.spawn(function() error(%s) end)"):format(value))
      local frames = "\nstack traceback:\n\t%[C%]: in function 'error'\n"
      assert.matches("^muster: unhandled error in task 2: " .. text .. frames, errors)
    end
  end)

  it("says where the error of the main chunk comes from, through tasks", function()
    for _, options in ipairs { {}, { "--virtual-time" } } do
      local errors, status = said([[
local function fetch() async.sleep(0.001) error "boom" end
local function all() return (async.gather {fetch}) end
all()
]], table.unpack(options))
      assert.equal([[
muster: SCRIPT:2: boom
stack traceback:
	[C]: in function 'error'
	SCRIPT:2: in function <SCRIPT:2>
awaited by main:
	SCRIPT:3: in local 'all'
	SCRIPT:4: in main chunk
]], errors)
      assert.equal(1, status)
    end
  end)

  it("says where an object comes from that the main chunk raises again", function()
    local errors = said [[
local ok, err = pcall(async.await, function() error(setmetatable({}, {__tostring = function() return "text" end})) end)
error(err)
]]
    assert.equal([[
muster: text
stack traceback:
	[C]: in function 'error'
	SCRIPT:2: in function <SCRIPT:2>
awaited by main:
	[C]: in function 'error'
	SCRIPT:3: in main chunk
]], errors)
  end)

  it("says nothing of frames if none is the script's", function()
    local _, errors = program.run { "-l", "no.such.module" }
    assert.not_matches("stack traceback", errors)
    assert.not_matches("muster/", errors)
  end)

  it("keeps the traceback of the main chunk while its variables are closed", function()
    local errors = said [[
local function fails() error("boom", 0) end
local _ <close> = setmetatable({}, {__close = function() pcall(async.await, fails) end})
fails()
]]
    assert.equal([[
muster: boom
stack traceback:
	[C]: in function 'error'
	SCRIPT:2: in local 'fails'
	SCRIPT:4: in main chunk
]], errors)
  end)
end)
