--- JSON (RFC 8259): exact integers, null and empty lists kept, depth bounded; texts that come in chunks.
local core = require "muster.json.core"

local M = {}

--- What null is: the same as cjson's.
M.null = core.null
M.decode = core.decode
M.encode = core.encode
M.parser = core.parser

local function mark(what, t, metatable)
  if t == nil then t = {} end
  if type(t) ~= "table" then error(("%s: expected a table, got %s"):format(what, type(t)), 3) end
  local before = getmetatable(t)
  if before ~= nil and before ~= core.arrays and before ~= core.objects then
    error(what .. ": the table has a metatable already", 3)
  end
  return setmetatable(t, metatable)
end

--- Marks a table as a list, also if it is empty; a new one for nil. Returns it.
---@param t table?
---@return table
function M.array(t) return mark("json.array", t, core.arrays) end

--- Marks a table as an object, also if it is empty; a new one for nil. Returns it.
---@param t table?
---@return table
function M.object(t) return mark("json.object", t, core.objects) end

--- Is it marked as a list, as those are that were decoded?
---@return boolean
function M.is_array(t) return type(t) == "table" and getmetatable(t) == core.arrays end

return M
