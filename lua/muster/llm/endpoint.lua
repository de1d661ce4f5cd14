--- What is shared by all who ask one model of one service with one key: the limiter, and what was learned of how the
--- service wants to be asked.
local limit = require "muster.limit"

local M = {}

---@class muster.llm.endpoint
---@field limiter muster.limiter
---@field quirks table how requests are to differ: see the adapters
---@field mode string? the mode that works, if those before it did not

local shared = setmetatable({}, {__mode = "v"}) -- as long as somebody uses it

local function copy(t)
  local made = {}
  for name, value in pairs(t or {}) do made[name] = value end
  return made
end

--- One that nobody else uses.
---@param limiter muster.limiter
---@param quirks table?
---@return muster.llm.endpoint
function M.new(limiter, quirks) return {limiter = limiter, quirks = copy(quirks)} end

--- The one of a service, key and model.
---@param url string
---@param key string?
---@param model string
---@param quirks table?
---@return muster.llm.endpoint
function M.shared(url, key, model, quirks)
  local name = table.concat({url, key or "", model}, "\0")
  local endpoint = shared[name]
  if not endpoint then
    endpoint = M.new(limit.limiter {name = model}, quirks)
    shared[name] = endpoint
  end
  return endpoint
end

return M
