--- The strict dialect of OpenAI's structured outputs: its keywords, formats and limits.
local quote = require "muster.schema.quote"

local M = {}

M.MAX_PROPERTIES = 5000
M.MAX_DEPTH = 10 -- objects in objects
M.MAX_ENUM = 1000 -- values of all enums
M.MAX_TEXT = 120000 -- characters of all names and values of enums and literals
M.LARGE_ENUM = 250 -- an enum of strings of more values than this has a limit of its own
M.MAX_LARGE_ENUM_TEXT = 15000

--- The formats that it knows.
M.formats = {
  date = true, time = true, ["date-time"] = true, duration = true, email = true, hostname = true, ipv4 = true,
  ipv6 = true, uuid = true,
}

local constraints = {
  "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
  "minItems", "maxItems",
}

local only_open = {"minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties"}

--- The constraints that may be said by a keyword.
---@param is_strict boolean
---@param wanted boolean false: none at all, for servers that know none
---@return table<string, boolean>
function M.keywords(is_strict, wanted)
  local known = {}
  if not wanted then return known end
  for _, keyword in ipairs(constraints) do known[keyword] = true end
  for _, keyword in ipairs(only_open) do known[keyword] = not is_strict or nil end
  return known
end

local function length_of(value) return type(value) == "string" and (utf8.len(value) or #value) or 0 end

local function count_enum(values, sums, problem)
  local text, all_strings = 0, true
  for _, value in ipairs(values) do
    text = text + length_of(value)
    all_strings = all_strings and type(value) == "string"
  end
  sums.enum, sums.text = sums.enum + #values, sums.text + text
  if all_strings and #values > M.LARGE_ENUM and text > M.MAX_LARGE_ENUM_TEXT then
    problem("", ("an enum of %d strings has %d characters, at most %d"):format(#values, text, M.MAX_LARGE_ENUM_TEXT))
  end
end

local function count(made, depth, sums, problem)
  if made.properties then
    depth = depth + 1
    sums.depth = math.max(sums.depth, depth)
    for name, property in pairs(made.properties) do
      sums.properties, sums.text = sums.properties + 1, sums.text + length_of(name)
      count(property, depth, sums, problem)
    end
  end
  if made.enum then count_enum(made.enum, sums, problem) end
  sums.text = sums.text + length_of(made.const)
  if made.items then count(made.items, depth, sums, problem) end
  for _, branch in ipairs(made.anyOf or {}) do count(branch, depth, sums, problem) end
  for name, definition in pairs(made["$defs"] or {}) do
    sums.text = sums.text + length_of(name)
    count(definition, 0, sums, problem)
  end
end

--- Tells `problem` of each limit that the JSON Schema is beyond.
---@param made table
---@param problem fun(path: string, text: string)
function M.check_limits(made, problem)
  local sums = {properties = 0, depth = 0, enum = 0, text = 0}
  count(made, 0, sums, problem)
  local function limit(n, most, what)
    if n > most then problem("", ("it has %s %s, at most %s"):format(quote.number(n), what, quote.number(most))) end
  end
  limit(sums.properties, M.MAX_PROPERTIES, "properties")
  limit(sums.depth, M.MAX_DEPTH, "levels of objects")
  limit(sums.enum, M.MAX_ENUM, "values of enums")
  limit(sums.text, M.MAX_TEXT, "characters of names and values")
end

return M
