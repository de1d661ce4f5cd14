--- A budget of retries for a whole run: when all fails, retries must not multiply the load.
local options = require "muster.options"

local M = {}

---@class muster.retry.budget
---@field ratio number retries to a success
---@field floor number retries that need no success
---@field successes integer
---@field retries integer
---@field refused integer
local Budget = {}
Budget.__index = Budget

local number = {function(v) return type(v) == "number" and v >= 0 end, "a number of at least 0"}

--- Retries are at most `ratio` (0.2) of the successes, plus `floor` (10).
---@param opts {ratio: number?, floor: number?}?
---@return muster.retry.budget
function M.new(opts)
  opts = options.check("retry.budget", opts, {ratio = number, floor = number})
  return setmetatable({ratio = opts.ratio or 0.2, floor = opts.floor or 10,
                       successes = 0, retries = 0, refused = 0}, Budget)
end

---@param x any
---@return boolean
function M.is(x) return getmetatable(x) == Budget end

function Budget:succeeded() self.successes = self.successes + 1 end

--- Takes a retry, if there is one left.
---@return boolean
function Budget:take()
  local fits = self.retries + 1 <= self.floor + self.ratio * self.successes
  if fits then self.retries = self.retries + 1 else self.refused = self.refused + 1 end
  return fits
end

--- How many retries are left.
---@return number
function Budget:left() return math.max(0, math.floor(self.floor + self.ratio * self.successes - self.retries)) end

return M
