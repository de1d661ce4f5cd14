--- A schema is a node: a table that says its kind and its options, never changed once made. This makes and checks it.
local formats = require "muster.schema.formats"
local json = require "muster.schema.json"
local pattern = require "muster.schema.pattern"
local quote = require "muster.schema.quote"

local M = {}

--- The methods of schemas; muster.schema fills it.
M.Schema = {__name = "muster.schema"}
M.Schema.__index = M.Schema

---@return boolean
function M.is(x) return getmetatable(x) == M.Schema end

-- ---- kinds of options ----

local function is_number(v) return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge end
local function is_count(v) return math.type(v) == "integer" and v >= 0 end
local function is_text(v) return type(v) == "string" and utf8.len(v) ~= nil end
local function is_function(v) return type(v) == "function" end

local function is_lpeg(v)
  local lpeg = type(v) == "userdata" and package.loaded.lpeg
  return lpeg and lpeg.type(v) == "pattern" or false
end
M.is_lpeg = is_lpeg

local function is_name(v) return type(v) == "string" and #v <= 64 and v:find "^[%w_-]+$" ~= nil end

local kinds = {
  text = {is_text, "a string"},
  name = {is_name, "a string of 1 to 64 letters, digits, '_' and '-'"},
  number = {is_number, "a finite number"},
  step = {function(v) return is_number(v) and v > 0 end, "a number above 0"},
  count = {is_count, "an integer of at least 0"},
  flag = {function(v) return type(v) == "boolean" end, "a boolean"},
  call = {is_function, "a function"},
  value = {function(v) return v ~= nil and type(v) ~= "function" end, "a value of JSON"},
  pattern = {function(v) return type(v) == "string" or is_lpeg(v) end, "a Lua pattern or a pattern of LPeg"},
  format = {
    function(v) return formats.known[v] ~= nil end, "one of " .. quote.names(quote.sorted_keys(formats.known), 200),
  },
  additional = {function(v) return v == "ignore" or v == "forbid" or v == "keep" end, '"ignore", "forbid" or "keep"'},
  list = {function(v) return type(v) == "table" end, "a list"},
  schema = {function(v) return M.is(v) end, "a schema"},
}

local common = {
  title = kinds.text, description = kinds.text, name = kinds.name, default = kinds.value, check = kinds.call,
}

local range = {
  min = kinds.number, max = kinds.number, exclusive_min = kinds.number, exclusive_max = kinds.number,
  multiple_of = kinds.step,
}

local counted = {min_items = kinds.count, max_items = kinds.count, length = kinds.count}

local function with(...)
  local all = {}
  for _, options in ipairs {common, ...} do
    for name, kind in pairs(options) do all[name] = kind end
  end
  return all
end

--- The options of each kind of schema.
M.options = {
  string = with {
    min_length = kinds.count, max_length = kinds.count, length = kinds.count, pattern = kinds.pattern,
    regex = kinds.text, format = kinds.format,
  },
  number = with(range), integer = with(range), boolean = with {}, any = with {}, enum = with {}, literal = with {},
  list = with(counted, {unique = kinds.flag}), map = with(counted, {keys = kinds.schema}), tuple = with {},
  object = with {additional = kinds.additional, order = kinds.list},
  optional = with {}, nullable = with {}, union = with {discriminator = kinds.text}, lazy = with {},
}

-- ---- making ----

--- The levels above the caller of this at which the user's code is: past all functions of ours.
local function blame(message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then error(message, 0) end
    if not info.source:find "muster[./]schema" then break end
    level = level + 1
  end
  error(message, level)
end

--- Raises: what a function got is not what it takes.
---@param what string "list"
---@param which string "argument 1"
---@param expected string
---@param got any
function M.misuse(what, which, expected, got)
  local shown = M.is(got) and "a schema" or quote.value(got)
  blame(("schema.%s: %s must be %s, got %s"):format(what, which, expected, shown))
end

---@param what string
---@param problem string
function M.refuse(what, problem) blame(("schema.%s: %s"):format(what, problem)) end

local function check_options(kind, options)
  if options == nil then return end
  if type(options) ~= "table" or M.is(options) then M.misuse(kind, "the options", "a table", options) end
  local known = M.options[kind]
  for name, value in pairs(options) do
    local takes = known[name]
    if not takes then
      local names = quote.names(quote.sorted_keys(known), 200)
      M.refuse(kind, ("unknown option '%s'; it takes %s"):format(tostring(name), names))
    end
    if not takes[1](value) then M.misuse(kind, ("option '%s'"):format(name), takes[2], value) end
  end
end

--- No value can be at least `low` and at most `high`.
local function check_order(kind, options, low, high)
  if options[low] and options[high] and options[low] > options[high] then
    M.refuse(kind, ("option '%s' is above '%s'"):format(low, high))
  end
end

local function check_pattern(options)
  if type(options.pattern) ~= "string" then return end
  local _, problem = pattern.translate(options.pattern)
  if problem then M.refuse("string", ("option 'pattern': the Lua pattern %s"):format(problem)) end
end

--- A node of the kind, after checking its options.
---@param kind string
---@param fields table what its constructor was given
---@param options table?
---@return muster.schema.node
function M.make(kind, fields, options)
  check_options(kind, options)
  local made = {kind = kind}
  for name, value in pairs(options or {}) do made[name] = value end
  for name, value in pairs(fields) do made[name] = value end
  if made.length then
    if made.min_length or made.max_length or made.min_items or made.max_items then
      M.refuse(kind, "option 'length' is exact: it excludes minima and maxima")
    end
    local low, high = "min_items", "max_items"
    if kind == "string" then low, high = "min_length", "max_length" end
    made[low], made[high], made.length = made.length, made.length, nil
  end
  check_order(kind, made, "min", "max")
  check_order(kind, made, "min_length", "max_length")
  check_order(kind, made, "min_items", "max_items")
  check_pattern(made)
  return setmetatable(made, M.Schema)
end

--- The same schema, save for these fields.
function M.with(node, fields)
  local made = {}
  for name, value in pairs(node) do made[name] = value end
  for name, value in pairs(fields) do made[name] = value end
  made.compiled, made.idle = nil, nil -- which belong to the other
  return setmetatable(made, M.Schema)
end

-- ---- looking ----

--- What a lazy schema stands for. Raises if its function gives no schema.
---@return muster.schema.node
function M.resolve(node)
  local steps = 0
  while node.kind == "lazy" do
    local target = node.target
    if target == nil then
      target = node.get()
      if M.constructors[target] then target = target() end
      if not M.is(target) then M.misuse("lazy", "what its function returns", "a schema", target) end
      node.target = target
    end
    node, steps = target, steps + 1
    if steps > 100 then M.refuse("lazy", "it stands for itself") end
  end
  return node
end

--- Constructors that stand for a schema without options, as in {name = schema.string}; muster.schema fills it.
M.constructors = {}

--- The schema that an argument is. Raises otherwise.
---@return muster.schema.node
function M.as_schema(what, which, x)
  if M.constructors[x] then return x() end
  if not M.is(x) then M.misuse(what, which, "a schema", x) end
  return x
end

local function copy(v)
  if type(v) ~= "table" then return v end
  local made = {}
  for key, value in next, v do made[key] = copy(value) end
  return json.marked_like(made, v)
end
M.copy = copy

return M
