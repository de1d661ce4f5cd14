--- The ladder of modes: how records are asked for, as far as a service can do it.
local failure = require "muster.llm.failure"

local M = {}

---@class muster.llm.ladder
---@field modes string[]
---@field place integer
---@field endpoint muster.llm.endpoint
---@field fixed boolean the user has chosen
local Ladder = {}
Ladder.__index = Ladder

local function index_of(list, mode)
  for i, name in ipairs(list) do
    if name == mode then return i end
  end
end

--- The ladder of a call: the user's mode alone, or the adapter's modes from where it is known to be of use.
---@param job muster.llm.job
---@param mode string? as the user wants it
---@return muster.llm.ladder
function M.of(job, mode)
  local modes = mode and {mode} or job.client.adapter.modes
  local place = not mode and index_of(modes, job.endpoint.mode) or 1
  return setmetatable({modes = modes, place = place, endpoint = job.endpoint}, Ladder)
end

--- The mode to use now.
function Ladder:mode() return self.modes[self.place] end

--- The next mode, remembered for all who come after. Nil if there is none.
function Ladder:down()
  local mode = self.modes[self.place + 1]
  if not mode then return nil end
  self.place = self.place + 1
  local known = index_of(self.modes, self.endpoint.mode)
  if not known or known < self.place then self.endpoint.mode = mode end
  return mode
end

--- Goes down if an error says that the service cannot do this.
---@return string? mode
function Ladder:down_after(err) return failure.unsupported(err, self:mode()) and self:down() or nil end

return M
