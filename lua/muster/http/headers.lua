--- Headers: names without regard to case, repeated ones kept, in order.
local M = {}

---@class http.headers
local methods = {}

-- A headers object is {name, value, name, value, …}; its field 0 is a map from lower-case names to lists of values.

local function index_of(self)
  local map = rawget(self, 0)
  if map then return map end
  map = {}
  for i = 1, #self, 2 do
    local name = self[i]:lower()
    local values = map[name]
    if values then values[#values + 1] = self[i + 1] else map[name] = {self[i + 1]} end
  end
  rawset(self, 0, map)
  return map
end

--- The values of a header, in order; an empty list if it is not there.
---@param name string
---@return string[]
function methods:all(name)
  local values = index_of(self)[name:lower()]
  return values and table.move(values, 1, #values, 1, {}) or {}
end

local function find(self, name)
  if type(name) ~= "string" then return nil end
  local values = index_of(self)[name:lower()]
  if not values then return methods[name] end
  return #values == 1 and values[1] or table.concat(values, ", ")
end

local function each(self)
  local i = -1
  return function()
    i = i + 2
    return self[i], self[i + 1] -- nil at the end, as `find` says
  end
end

local meta = {__index = find, __pairs = each, __name = "http.headers"}

function meta.__tostring(self)
  local lines = {}
  for name, value in each(self) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\n")
end

--- Makes headers of a list: name, value, name, value, …
---@param list string[]
---@return http.headers
function M.of(list) return setmetatable(list, meta) end

return M
