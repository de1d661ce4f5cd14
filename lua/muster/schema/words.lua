--- What a schema expects, in words: "an integer from 0 to 150".
local formats = require "muster.schema.formats"
local node = require "muster.schema.node"
local quote = require "muster.schema.quote"

local M = {}

--- "a string", given the words for each limit.
local function limits(low, high, one)
  if low and low == high then return one(low) end
  if low and high then return ("from %s to %s"):format(quote.number(low), quote.number(high)) end
  if low then return "of at least " .. quote.number(low) end
  return high and "of at most " .. quote.number(high)
end

local function number(s, what)
  local parts = {what}
  local span = limits(s.min, s.max, function(n) return "equal to " .. quote.number(n) end)
  table.insert(parts, span)
  if s.exclusive_min then table.insert(parts, "above " .. quote.number(s.exclusive_min)) end
  if s.exclusive_max then table.insert(parts, "below " .. quote.number(s.exclusive_max)) end
  local text = table.concat(parts, " ")
  if s.multiple_of then
    text = text .. (text == what and "" or ",") .. " that is a multiple of " .. quote.number(s.multiple_of)
  end
  return text
end

--- " of 3 to 5 characters", or "".
local function span(low, high, what)
  if high == 1 and (low or 1) == 1 then what = what:gsub("s$", "") end
  if low and low == high then return (" of %d %s"):format(low, what) end
  if low and high then return (" of %d to %d %s"):format(low, high, what) end
  if low and low > 0 then return (" of at least %d %s"):format(low, low == 1 and what:gsub("s$", "") or what) end
  return high and (" of at most %d %s"):format(high, what) or ""
end

local function string_(s)
  local text = s.format and formats.known[s.format][2] or "a string"
  text = text .. span(s.min_length, s.max_length, "characters")
  if s.regex then return ("%s matching /%s/"):format(text, s.regex) end
  if type(s.pattern) == "string" then return text .. " matching the Lua pattern " .. quote.string(s.pattern) end
  return s.pattern and text .. " of the right form" or text
end

--- "a, b or c"
local function either(parts)
  if #parts < 2 then return parts[1] or "nothing" end
  return table.concat(parts, ", ", 1, #parts - 1) .. " or " .. parts[#parts]
end
M.either = either

local SHOWN = 20

local function values(list)
  local shown = {}
  for i = 1, math.min(#list, SHOWN) do shown[i] = quote.value(list[i]) end
  if #list > SHOWN then return ("one of %s, … (%d in all)"):format(table.concat(shown, ", "), #list) end
  return #list == 1 and shown[1] or "one of " .. table.concat(shown, ", ")
end
M.values = values

local words = {}

function words.string(s) return string_(s) end
function words.number(s) return number(s, "a number") end
function words.integer(s) return number(s, "an integer") end
function words.boolean() return "a boolean" end
function words.any() return "a value" end
function words.enum(s) return values(s.values) end
function words.literal(s) return quote.value(s.value) end
function words.object(s) return s.name and ("an object (%s)"):format(s.name) or "an object" end
function words.map(s) return "an object" .. span(s.min_items, s.max_items, "entries") end
function words.tuple(s) return "a list" .. span(#s.items, #s.items, "items") end

function words.list(s) return "a list" .. span(s.min_items, s.max_items, "items") end

function words.optional(s, depth) return M.expected(s.inner, depth) end

function words.nullable(s, depth) return M.expected(s.inner, depth) .. " or null" end

function words.lazy(s, depth) return M.expected(node.resolve(s), depth) end

function words.union(s, depth)
  local parts, seen = {}, {}
  for _, branch in ipairs(s.branches) do
    local text = M.expected(branch, depth)
    if not seen[text] then table.insert(parts, text) end
    seen[text] = true
  end
  return either(parts)
end

--- What a value should have been.
---@param s muster.schema.node
---@param depth integer?
---@return string
function M.expected(s, depth)
  depth = (depth or 0) + 1
  if depth > 5 then return s.name or "a value" end -- lazy schemas go round
  return words[s.kind](s, depth)
end

return M
