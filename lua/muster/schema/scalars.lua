--- The validators of strings, numbers, booleans, enums and literals: closures, made once for a schema.
local core = require "muster.core"
local errors = require "muster.schema.errors"
local formats = require "muster.schema.formats"
local node = require "muster.schema.node"
local null = require("muster.schema.json").null
local quote = require "muster.schema.quote"
local words = require "muster.schema.words"

local FAIL, fail = errors.FAIL, errors.fail
local find, mathtype, tointeger, utf8len = string.find, math.type, math.tointeger, utf8.len
local huge = math.huge

local M = {}

-- ---- coercion: from another type, or nil ----

local DECIMAL = "^%s*[+-]?%d+%.?%d*[eE]?[+-]?%d*%s*$"

local function to_number(v)
  if type(v) ~= "string" or not find(v, DECIMAL) then return nil end
  local n = tonumber((v:gsub("%+", "", 1)))
  return n and n > -huge and n < huge and n or nil
end

local function to_integer(v)
  local n = to_number(v)
  return n and tointeger(n)
end

local truths = {["true"] = true, yes = true, ["1"] = true, ["false"] = false, no = false, ["0"] = false}

local function to_boolean(v)
  if mathtype(v) == "integer" then v = tostring(v) end
  if type(v) ~= "string" then return nil end
  return truths[v:lower():match "^%s*(.-)%s*$"]
end

local function to_string(v)
  if type(v) == "boolean" or mathtype(v) == "integer" then return tostring(v) end
  if type(v) ~= "number" or v ~= v or v == huge or v == -huge then return nil end
  return ("%.14g"):format(v)
end

-- ---- strings ----

--- Tests of the text: each a function, and the kind of error if it is false.
local function string_tests(s)
  local tests = {}
  local low, high, pattern = s.min_length, s.max_length, s.pattern
  if low or high then
    low, high = low or 0, high or huge
    table.insert(tests, {"length", function(v)
      local n = utf8len(v)
      return n >= low and n <= high
    end})
  end
  if node.is_lpeg(pattern) then
    local match = require("lpeg").match
    table.insert(tests, {"pattern", function(v)
      local matched, found = pcall(match, pattern, v) -- LPeg raises if it needs too deep a stack
      return matched and found
    end})
  elseif pattern then
    table.insert(tests, {"pattern", function(v) return find(v, pattern) end})
  end
  if s.format then table.insert(tests, {"format", formats.known[s.format][1]}) end
  return tests
end

--- The closure: is it a string, then one test after the other. `what` is worked out only when something is wrong.
function M.string(s)
  local tests = string_tests(s)
  local n = #tests
  local function refuse(kind, ctx, v) return fail(ctx, kind, words.expected(s), v) end
  return function(v, ctx)
    if type(v) ~= "string" then
      local text = ctx.coerce and to_string(v)
      if not text then return refuse("type", ctx, v) end
      v = text
    elseif not utf8len(v) then
      return fail(ctx, "utf8", "a string of valid UTF-8", v)
    end
    for i = 1, n do
      if not tests[i][2](v) then return refuse(tests[i][1], ctx, v) end
    end
    return v
  end
end

-- ---- numbers ----

local function is_multiple(v, step)
  if mathtype(v) == "integer" and mathtype(step) == "integer" then return v % step == 0 end
  local ratio = v / step
  local whole = math.floor(ratio + 0.5)
  return math.abs(ratio - whole) <= 1e-9 * math.max(1, math.abs(ratio))
end

--- Is the number within the limits of the schema?
local function range_test(s)
  local min, max = s.min or -huge, s.max or huge
  local above, below, step = s.exclusive_min, s.exclusive_max, s.multiple_of
  if not (above or below or step) then return function(v) return v >= min and v <= max end end
  return function(v)
    return v >= min and v <= max and not (above and v <= above) and not (below and v >= below)
      and not (step and not is_multiple(v, step))
  end
end

function M.integer(s)
  local within = range_test(s)
  return function(v, ctx)
    local n = v
    if mathtype(v) ~= "integer" then
      n = mathtype(v) == "float" and tointeger(v) or nil
      if not n and ctx.coerce then n = to_integer(v) end
      if not n then return fail(ctx, "type", words.expected(s), v) end
    end
    if not within(n) then return fail(ctx, "range", words.expected(s), v) end
    return n
  end
end

function M.number(s)
  local within = range_test(s)
  return function(v, ctx)
    local n = v
    if type(v) ~= "number" then
      n = ctx.coerce and to_number(v)
      if not n then return fail(ctx, "type", words.expected(s), v) end
    elseif v ~= v or v == huge or v == -huge then
      return fail(ctx, "type", "a finite number", v)
    end
    if not within(n) then return fail(ctx, "range", words.expected(s), v) end
    return n
  end
end

-- ---- the others ----

function M.boolean(s)
  return function(v, ctx)
    if type(v) == "boolean" then return v end
    local b
    if ctx.coerce then b = to_boolean(v) end
    if b == nil then return fail(ctx, "type", words.expected(s), v) end
    return b
  end
end

--- Among values, the one that `v` would be if case, blanks, or the type of a number did not count.
local function nearest(v, values)
  local text = (type(v) == "string" or type(v) == "number") and tostring(v):lower():match "^%s*(.-)%s*$"
  if not text then return nil end
  local found
  for _, value in ipairs(values) do
    if tostring(value):lower() == text then
      if found ~= nil then return nil end
      found = value
    end
  end
  return found
end

local function one_of(s, values)
  local known = {}
  for _, value in ipairs(values) do known[value] = value end
  return function(v, ctx)
    local found
    if v ~= nil and v ~= null then
      found = known[v] -- 1.0 is 1, as in JSON
      if found == nil and ctx.coerce then found = nearest(v, values) end
    end
    if found == nil then return fail(ctx, "enum", words.expected(s), v) end
    return found
  end
end

function M.enum(s) return one_of(s, s.values) end
function M.literal(s) return one_of(s, {s.value}) end

function M.optional(s, compile)
  local inner = compile(s.inner)
  return function(v, ctx, depth)
    if v == nil or v == null then return v end
    return inner(v, ctx, depth)
  end
end

M.nullable = M.optional -- to Lua, absent and null are the same

-- ---- what any schema may have ----

--- Runs a check of the user's on a value that is right so far.
local function run_check(s, v, ctx)
  local ran, good, message, field = pcall(s.check, v)
  if not ran then
    if core.is_cancelled(good) then error(good, 0) end
    return errors.crash(ctx, good)
  end
  if good then return v end
  local text = message == nil and "does not pass its check" or tostring(message)
  if type(v) ~= "table" then text = ("%s, got %s"):format(text, quote.value(v)) end
  local seen = ctx.n
  errors.say(ctx, "check", text, nil, v)
  if type(field) == "string" or math.type(field) == "integer" then errors.below(ctx, seen, field) end
  return FAIL
end

--- The validator with the default and the check of its schema around it.
function M.finish(s, inner)
  local default = s.default
  if s.check then
    local plain = inner
    inner = function(v, ctx, depth)
      local made = plain(v, ctx, depth)
      if made == FAIL or made == nil or made == null then return made end
      return run_check(s, made, ctx)
    end
  end
  if default == nil then return inner end
  return function(v, ctx, depth)
    if v == nil or v == null then return node.copy(default) end
    return inner(v, ctx, depth)
  end
end

return M
