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
    return rawget(self, i), rawget(self, i + 1)
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

local function trimmed(text)
  local last = text:byte(-1)
  return last and last <= 32 and text:match "^(.-)%s*$" or text
end

--- Reads a head as it came: the status line, then the headers.
---@param head string
---@return http.headers
function M.parse(head)
  local list, n = {}, 0
  local from = (head:find("\n", 1, true) or #head) + 1
  for line in head:gmatch("[^\n]+", from) do
    local name, value = line:match "^([^:%s]+)[ \t]*:[ \t]*(.*)"
    if not name then name, value = line:match "^([^:%s][^:]-)[ \t]*:[ \t]*(.*)" end
    if name then
      list[n + 1], list[n + 2] = name, trimmed(value)
      n = n + 2
    elseif n > 0 and line:find "^[ \t]+%S" then -- folded: goes on from the line before
      list[n] = list[n] .. " " .. line:match "^%s*(.-)%s*$"
    end
  end
  return setmetatable(list, meta)
end

return M
