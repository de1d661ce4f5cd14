--- Checking of option tables: an unknown key, or a value of the wrong type, raises.
local M = {}

local function positive_integer(v)
  return (math.type(v) == "integer" or v == math.huge) and v >= 1
end

--- Can it be called? A function, or what has `__call`.
---@return boolean
function M.is_callable(v)
  if type(v) == "function" then return true end
  local meta = getmetatable(v)
  return type(meta) == "table" and meta.__call ~= nil
end

--- A test: is it an object with this method?
---@param method string
---@return fun(v: any): boolean
function M.has(method)
  return function(v)
    local ok, found = pcall(function() return v[method] end)
    return ok and type(found) == "function"
  end
end

--- What an option may be: how to test it, and how to say it.
M.kinds = {
  count = {positive_integer, "an integer of at least 1"},
  size = {function(v) return (math.type(v) == "integer" or v == math.huge) and v >= 0 end, "an integer of at least 0"},
  seconds = {function(v) return type(v) == "number" and v >= 0 end, "a number of seconds"},
  flag = {function(v) return type(v) == "boolean" end, "a boolean"},
}

--- Returns `options`, or an empty table for nil, after checking it.
---@param what string the function to name in errors
---@param options table?
---@param known table<string, table> option name -> one of `kinds`
---@return table
function M.check(what, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("%s: options must be a table, got %s"):format(what, type(options)), 3)
  end
  for name, value in pairs(options) do
    local kind = known[name]
    if not kind then error(("%s: unknown option '%s'"):format(what, tostring(name)), 3) end
    if not kind[1](value) then
      local got = type(value) == "string" and ("%q"):format(value) or tostring(value)
      error(("%s: option '%s' must be %s, got %s"):format(what, name, kind[2], got), 3)
    end
  end
  return options
end

return M
