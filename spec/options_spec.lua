-- lua/muster/options.lua, and misuse of the combinators: bad options, bad items, groups beyond their scope. Every such
-- error names the function and what was wrong, and comes before anything starts.

local async = require "muster"
local options = require "muster.options"
local virtual = require("muster.test").virtual

local sleep = async.sleep

-- The error of a call that has to fail.
local function caught(fn, ...)
  local results = table.pack(pcall(fn, ...))
  assert.is_false(results[1], "expected an error")
  return results[2]
end

local function output_of(script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("local async = require 'muster'\nrequire('muster.host').virtual(true)\n", script)
  file:close()
  local pipe = io.popen(("%s --slow 0 %s 2>&1"):format(os.getenv "MUSTER" or "build/muster", path))
  local text = pipe:read "a"
  pipe:close()
  os.remove(path)
  return text
end

local nan = 0 / 0
local nothing = function() end

-- How to call each function with an option table.
local takes_options = {
  gather = function(opts) return async.gather({nothing}, opts) end,
  gather_settled = function(opts) return async.gather_settled({nothing}, opts) end,
  as_completed = function(opts)
    for task in async.as_completed({nothing}, opts) do task:await() end
  end,
  map = function(opts) return async.map({1}, nothing, opts) end,
  stream = function(opts)
    local count = 0
    for _ in async.stream({1}, nothing, opts) do count = count + 1 end
    assert.equal(1, count)
  end,
  wait = function(opts) return async.wait({nothing}, opts) end,
  group = function(opts)
    local g <close> = async.group(opts)
    g:spawn(nothing)
  end,
}

-- How to call each function with a list of tasks.
local takes_list = {
  gather = async.gather,
  gather_settled = async.gather_settled,
  as_completed = async.as_completed,
  first = async.first,
  wait = async.wait,
}

local function names_of(functions)
  local names = {}
  for name in pairs(functions) do names[#names + 1] = name end
  table.sort(names)
  return names
end

describe("options.check", function()
  local kinds = options.kinds
  local known = {limit = kinds.count, buffer = kinds.size, timeout = kinds.seconds, ordered = kinds.flag}

  local function check(opts)
    local checked = options.check("fetch", opts, known)
    return checked
  end

  it("returns the table, or an empty one for nil", function()
    local opts = {limit = 1, buffer = 0, timeout = 0.5, ordered = false}
    assert.equal(opts, check(opts))
    assert.same({}, check(nil))
    assert.same({}, check {})
  end)

  it("refuses what is no table", function()
    for _, wrong in ipairs {42, "text", true, false, nothing, io.stdout} do
      assert.matches("^[^:]*options_spec.lua:%d+: fetch: options must be a table, got " .. type(wrong),
        caught(function() return (check(wrong)) end))
    end
  end)

  it("refuses unknown names, of any type", function()
    assert.matches("fetch: unknown option 'limits'", caught(check, {limits = 1}))
    assert.matches("fetch: unknown option '1'", caught(check, {5}))
    assert.matches("fetch: unknown option 'true'", caught(check, {[true] = 1}))
    assert.matches("fetch: unknown option 'table:", caught(check, {[{}] = 1}))
    assert.matches("fetch: unknown option 'Limit'", caught(check, {limit = 1, Limit = 1}))
  end)

  it("refuses values of a wrong type or range", function()
    local wrong = {
      limit = {0, -1, 1.5, nan, "2", true, {}, -math.huge, nothing},
      buffer = {-1, 0.5, nan, "0", false, {}, -math.huge, nothing},
      timeout = {-1, -1e-9, nan, "1", true, {}, nothing},
      ordered = {0, 1, "true", {}, nothing},
    }
    for name, values in pairs(wrong) do
      for _, value in ipairs(values) do
        local err = caught(check, {[name] = value})
        assert.matches("fetch: option '" .. name .. "' must be an? ", err)
        local said = type(value) == "string" and '"' .. value .. '"' or tostring(value)
        assert.is_truthy(err:find("got " .. said, 1, true))
      end
    end
  end)

  it("takes the limits of each range", function()
    for _, opts in ipairs {{limit = 1}, {limit = math.huge}, {limit = math.maxinteger}, {buffer = 0},
      {buffer = math.huge}, {timeout = 0}, {timeout = math.huge}, {timeout = 1e-9}} do
      assert.equal(opts, check(opts))
    end
  end)
end)

describe("options of", function()
  for _, name in ipairs(names_of(takes_options)) do
    local call = takes_options[name]

    it(name .. " may be left out, or empty", virtual(function()
      call(nil)
      call {}
    end))

    it(name .. " are one table with known names", virtual(function()
      for _, wrong in ipairs {42, "text", true, nothing, io.stdout} do
        local err = caught(call, wrong)
        assert.matches(name, err)
        assert.matches("table", err)
      end
      assert.matches(name .. ".*unknown option 'limits'", caught(call, {limits = 1}))
      assert.matches(name .. ".*unknown option '1'", caught(call, {"limit"}))
    end))

    if name ~= "wait" then
      it(name .. ": limit is an integer of at least 1, or infinite", virtual(function()
        for _, limit in ipairs {1, 2, 1000, math.huge} do call {limit = limit} end
        for _, wrong in ipairs {0, -1, math.mininteger, 1.5, nan, -math.huge, "2", "x", true, false, {}} do
          local ok, err = pcall(call, {limit = wrong})
          assert.is_false(ok, ("limit %s was taken"):format(wrong))
          assert.matches(name .. ".*limit", err)
          assert.is_nil(err:find("#-", 1, true), err)
        end
      end))
    end
  end

  it("those with a limit include ones beyond 32 bits", function()
    for _, limit in ipairs {"1 << 31", "1 << 32", "(1 << 32) + 1", "math.maxinteger"} do
      local text = output_of(([[
        local limit, function_of = %s, {1, 2, 3}
        local list = {function() end, function() end, function() end}
        local peak, now = 0, 0
        local function work() now = now + 1; peak = math.max(peak, now); async.sleep(1); now = now - 1 end
        async.gather({work, work, work}, {limit = limit})
        do local g <close> = async.group {limit = limit} for _ = 1, 3 do g:spawn(work) end end
        async.map(function_of, work, {limit = limit})
        for _ in async.stream(function_of, work, {limit = limit, buffer = limit}) do end
        for task in async.as_completed(list, {limit = limit}) do task:await() end
        print(peak)
      ]]):format(limit))
      assert.equal("3\n", text, limit)
    end
  end)

  it("a list come last", virtual(function()
    for _, last in ipairs {5, nothing, {}} do
      assert.matches("gather", caught(async.gather, {}, nil, last))
      assert.matches("gather", caught(async.gather, {}, {}, last))
    end
  end))

  it("stream and map are each their own", virtual(function()
    assert.matches("map: unknown option 'buffer'", caught(async.map, {}, nothing, {buffer = 1}))
    assert.matches("map: unknown option 'settle'", caught(async.map, {}, nothing, {settle = true}))
    for _, name in ipairs {"ordered", "settle"} do
      assert.matches("stream: option '" .. name .. "'", caught(async.stream, {}, nothing, {[name] = 1}))
    end
    for _, wrong in ipairs {-1, 0.5, "1", true} do
      assert.matches("stream: option 'buffer'", caught(async.stream, {}, nothing, {buffer = wrong}))
    end
  end))

  it("wait are a mode and a timeout", virtual(function()
    for _, wrong in ipairs {"ALL", "second", 1, true, {}} do
      assert.matches("wait: option 'mode'", caught(async.wait, {}, {mode = wrong}))
    end
    for _, wrong in ipairs {-1, nan, "1", true} do
      assert.matches("wait: option 'timeout'", caught(async.wait, {}, {timeout = wrong}))
    end
    assert.matches("wait: unknown option 'limit'", caught(async.wait, {}, {limit = 1}))
  end))
end)

describe("a list for", function()
  for _, name in ipairs(names_of(takes_list)) do
    local call = takes_list[name]

    it(name .. " has only tasks and functions, or nothing starts", virtual(function()
      local ran
      local function run() ran = true end
      local task = async(run)()
      for _, wrong in ipairs {42, "text", true, {}, {run}, io.stdout, coroutine.create(run)} do
        assert.matches(name .. ": item 3 is a " .. type(wrong), caught(call, {run, task, wrong, run}))
      end
      assert.matches(name .. ": item 2 is a nil", caught(call, {run, nil, task}))
      assert.matches(name .. ": item 3 is the running task", caught(call, {run, task, async.current()}))
      sleep(1)
      assert.is_nil(ran)
      assert.equal("created", task:status())
      task:cancel()
    end))

    it(name .. " is a table", virtual(function()
      for _, wrong in ipairs {42, "text", true, io.stdout} do assert.matches(name, caught(call, wrong)) end
      assert.matches(name, caught(call, nil))
    end))
  end

  it("first is not empty", virtual(function()
    assert.matches("options_spec.lua:%d+: first: the list is empty", caught(function() async.first {} end))
  end))

  it("gather with an impossible length raises", function()
    local text = output_of [[
      for _, n in ipairs {-1 << 40, 1 << 31, 1 << 40, 1.5} do
        print(pcall(async.gather, setmetatable({}, {__len = function() return n end})))
      end
    ]]
    assert.equal(4, select(2, text:gsub("false\t", "")), text)
  end)
end)

describe("items and function for", function()
  for _, name in ipairs {"map", "stream"} do
    local call = async[name]

    it(name .. " are a list or an iterator, and a function", virtual(function()
      for _, wrong in ipairs {42, "text", true, io.stdout, async.spawn(nothing)} do
        assert.matches("options_spec.lua:%d+: " .. name .. ": items must be a list or an iterator, got " .. type(wrong),
          caught(function() return (call(wrong, nothing)) end))
        assert.matches(name .. ": expected a function for each item, got " .. type(wrong), caught(call, {1}, wrong))
      end
      assert.matches(name .. ": items", caught(call))
      assert.matches(name .. ": expected a function", caught(call, {}))
    end))
  end
end)

describe("a group", function()
  it("spawns only functions, with arguments, and tasks, without", virtual(function()
    local g <close> = async.group()
    for _, wrong in ipairs {42, "text", {}, true, io.stdout} do
      assert.matches("spawn", caught(function() g:spawn(wrong) end))
    end
    assert.matches("spawn", caught(function() g:spawn() end))
    assert.matches("running task", caught(function() g:spawn(async.current()) end))
    local task = async(function() end)()
    assert.matches("argument", caught(function() g:spawn(task, "argument") end))
    task:cancel()
  end))

  it("that is closed refuses to spawn, and is closed once only", virtual(function()
    local g = async.group()
    g:spawn(sleep, 1)
    g:close()
    local now = async.now()
    assert.matches("group:spawn: the group is closed", caught(g.spawn, g, sleep, 1))
    g:close()
    g:cancel()
    g:wait()
    assert.equal(now, async.now())
  end))

  it("cannot be closed by another task, and stays usable", virtual(function()
    local g <close> = async.group()
    assert.matches("task that made it", caught(async.await, g.close, g))
    assert.equal(1, async.await(g:spawn(function() return 1 end)))
  end))

  it("is not made in a task that is cancelled", virtual(function()
    local err
    local task = async.spawn(function()
      pcall(sleep, 9)
      err = caught(async.group)
    end)
    sleep(1)
    task:cancel()
    task:pawait()
    assert.is_true(async.is_cancelled(err))
  end))

  it("left open warns, and cancels its tasks", function()
    local text = output_of [[
      async.run(function()
        local g = async.group()
        g:spawn(function()
          local _ <close> = setmetatable({}, {__close = function() print "cancelled" end})
          async.sleep(10)
        end)
        async.sleep(1)
      end)
      async.sleep(1)
      print "over"
    ]]
    assert.matches("muster: warning: a group was left open", text)
    assert.matches("cancelled\nover\n", text)
  end)
end)
