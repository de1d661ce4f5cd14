--- The errors of one validation. A leaf adds an error without a path; whoever is above it adds a step on the way
--- back: so a value that is right costs nothing.
local core = require "muster.core"
local quote = require "muster.schema.quote"

local M = {}

--- What a check returns for a value that it refuses: never a value of anybody's.
M.FAIL = setmetatable({}, {__name = "muster.schema.fail"})
local FAIL = M.FAIL

M.LIMIT = 50 -- errors that are kept
M.MAX_DEPTH = 100

--- The state of a validation: errors so far, in its list part, and what it was asked.
---@class muster.schema.context
---@field n integer errors so far
---@field limit integer no more than so many
---@field more boolean there would have been more
---@field coerce boolean
---@field max_depth integer
---@field memo table? what recursive schemas have seen already
---@field crash table? {error}: a check of the user's raised
function M.context()
  return {n = 0, limit = M.LIMIT, more = false, coerce = false, max_depth = M.MAX_DEPTH, memo = nil, crash = nil}
end

local function add(ctx, e)
  if ctx.n >= ctx.limit then
    ctx.more = true
    return FAIL
  end
  ctx.n = ctx.n + 1
  ctx[ctx.n] = e
  return FAIL
end
M.add = add

--- Adds an error of the usual form.
---@param ctx muster.schema.context
---@param kind string
---@param expected string
---@param value any what was there instead
---@return table FAIL
function M.fail(ctx, kind, expected, value)
  local got = quote.value(value)
  local message = ("expected %s, got %s"):format(expected, got)
  if value == nil then kind, message = "missing", "missing, expected " .. expected end
  return add(ctx, {kind = kind, expected = expected, got = got, message = message})
end

--- Adds an error with a text of its own.
---@return table FAIL
function M.say(ctx, kind, message, expected, value)
  return add(ctx, {kind = kind, message = message, expected = expected or message, got = quote.value(value)})
end

--- A function of the user's raised: validation ends here, and raises at its end, naming the path.
---@return table FAIL
function M.crash(ctx, err)
  ctx.n = ctx.n + 1
  ctx[ctx.n] = {kind = "raised"}
  ctx.crash, ctx.limit = {err}, 0
  return FAIL
end

--- The errors after the first `seen` are below `key`. Returns how many errors there are.
---@return integer
function M.below(ctx, seen, key)
  for i = seen + 1, ctx.n do
    local e = ctx[i]
    e[#e + 1] = key
  end
  return ctx.n
end

-- ---- for the user ----

local function step(key)
  if type(key) == "number" then return ("[%d]"):format(key) end
  if key:find "^[%a_][%w_]*$" then return "." .. key end
  return "[" .. quote.string(key) .. "]"
end

local function pointer_step(key)
  if type(key) == "number" then return "/" .. key - 1 end
  return "/" .. key:gsub("[~/]", {["~"] = "~0", ["/"] = "~1"})
end

local Error = {
  __name = "muster.schema.error",
  __tostring = function(e) return e.path == "" and e.message or e.path .. ": " .. e.message end,
}

--- Steps, last first, become a path.
local function finish(e)
  local path, pointer = {}, {}
  for i = #e, 1, -1 do
    table.insert(path, step(e[i]))
    table.insert(pointer, pointer_step(e[i]))
    e[i] = nil
  end
  e.path, e.pointer = table.concat(path):gsub("^%.", ""), table.concat(pointer)
  return setmetatable(e, Error)
end

local Errors = {__name = "muster.schema.errors"}
Errors.__index = {kind = "invalid", retryable = false, truncated = false}

function Errors:__tostring()
  local lines = {}
  for _, e in ipairs(self) do table.insert(lines, tostring(e)) end
  if self.truncated then table.insert(lines, "… and more") end
  return table.concat(lines, "\n")
end

--- The list for the user; raises instead if a check of the user's raised.
---@param ctx muster.schema.context
---@return muster.schema.errors
function M.list(ctx)
  if ctx.crash then
    local path = finish(ctx[ctx.n]).path
    local where = path == "" and "the value" or path
    error(core.error("check", ("the check of %s raised: %s"):format(where, tostring(ctx.crash[1])),
      {path = path, cause = ctx.crash[1]}), 0)
  end
  local list = {}
  for i = 1, ctx.n do list[i] = finish(ctx[i]) end
  if ctx.more then list.truncated = true end
  setmetatable(list, Errors)
  list.message = tostring(list)
  return list
end

return M
