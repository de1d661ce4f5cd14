--- How long to wait before the next attempt.
local M = {}

---@class muster.retry.backoff
---@field first number
---@field max number
---@field factor number
---@field jitter "full"|"none"|fun(seconds: number, n: integer): number
---@field random fun(): number
local Backoff = {}
Backoff.__index = Backoff

local LITTLE, LITTLE_MOST = 0.1, 1 -- of a wait that the other side asks for; in seconds

---@param opts {first: number?, max: number?, factor: number?}?
---@param jitter "full"|"none"|function|nil
---@param random (fun(): number)? from 0 to 1
---@return muster.retry.backoff
function M.new(opts, jitter, random)
  opts = opts or {}
  return setmetatable({first = opts.first or 0.5, max = opts.max or 60, factor = opts.factor or 2,
                       jitter = jitter or "full", random = random or math.random}, Backoff)
end

local function from_function(self, seconds, n)
  local wait = self.jitter(seconds, n)
  if type(wait) == "number" and wait >= 0 and wait < math.huge then return wait end
  error(("retry: 'jitter' returned %s, expected a number of seconds of at least 0"):format(tostring(wait)), 0)
end

--- The wait after the nth failure, from 0: it doubles up to `max`, and by full jitter lies anywhere from 0 to that.
---@param n integer
---@return number seconds
function Backoff:wait(n)
  local seconds = self.first == 0 and 0 or math.min(self.max, self.first * (self.factor + 0.0) ^ n)
  if self.jitter == "none" then return seconds end
  if self.jitter == "full" then return self.random() * seconds end
  return from_function(self, seconds, n)
end

--- The wait that the other side asked for, and a little more, so that not all come back at once.
---@param seconds number
---@return number seconds
function Backoff:asked(seconds)
  if self.jitter == "none" then return seconds end
  return seconds + self.random() * math.min(LITTLE_MOST, seconds * LITTLE)
end

return M
