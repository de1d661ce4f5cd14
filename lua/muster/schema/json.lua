--- What schemas need of JSON: null, and marks that keep an empty list from becoming an object.
local json = require "muster.json"

local M = {}

M.null = json.null
M.array = json.array
M.object = json.object

local array_mark, object_mark = getmetatable(json.array()), getmetatable(json.object())

--- The copy, marked as the original is.
function M.marked_like(copy, original)
  local mark = getmetatable(original)
  if mark ~= nil and (mark == array_mark or mark == object_mark) then return setmetatable(copy, mark) end
  return copy
end

return M
