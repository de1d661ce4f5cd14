--- The user's hooks: they watch, and change nothing.
local core = require "muster.core"

local M = {}

M.names = {request = true, response = true, error = true, retry = true, reask = true}

local function is_unwinding(err)
  return core.is_cancelled(err) or type(err) == "table" and err.kind == "timeout"
end

--- Calls a hook, if there is one. If it raises, so does this, and says which it was.
---@param client muster.llm.client
---@param name "request"|"response"|"error"|"retry"|"reask"
function M.fire(client, name, ...)
  local hook = client.hooks[name]
  if not hook then return end
  local ok, err = pcall(hook, ...)
  if ok then return end
  if is_unwinding(err) then error(err, 0) end
  local text = ("llm: the hook '%s' raised: %s"):format(name, tostring(err))
  error(core.error("hook", text, {hook = name, cause = err}), 0)
end

return M
