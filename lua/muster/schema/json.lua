--- What schemas need of JSON: null, and marks that keep an empty list from becoming an object.
local found, json = pcall(require, "muster.json")
if not found then json = {null = require("cjson").null} end

local function same(t) return t end

local M = {}

M.null = json.null
M.array = json.array or same
M.object = json.object or same

local array_mark, object_mark = getmetatable(M.array {}), getmetatable(M.object {})

--- The copy, marked as the original is.
function M.marked_like(copy, original)
  local mark = getmetatable(original)
  if mark ~= nil and (mark == array_mark or mark == object_mark) then return setmetatable(copy, mark) end
  return copy
end

--- Is the table marked as a list?
function M.is_marked_array(t) return array_mark ~= nil and getmetatable(t) == array_mark end

return M
