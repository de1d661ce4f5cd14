--- show: a value as text that one can read, cut to a window.
local M = {}

---@param value any
---@param options {width: integer?, height: integer?, color: boolean?}?
---@return string
function M.show(value, options) -- luacheck: ignore options
  local ok, text = pcall(tostring, value)
  return ok and text or type(value)
end

return M
