--- JSON as the service writes it: always the same text for the same value.
local json = require "muster.json"

local M = {null = json.null, array = json.array}

local CANONICAL <const> = {canonical = true}

---@param text string
---@return any? value
---@return string? problem
function M.decode(text)
  local value, problem = json.decode(text)
  if value ~= nil then return value end
  return nil, problem.message
end

--- The text of a value, its names in order.
---@return string
function M.encode(value) return json.encode(value, CANONICAL) end

--- Of a string, a number or a boolean: what `encode` gives, sooner.
M.scalar = json.encode

return M
