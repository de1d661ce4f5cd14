--- How many at once? Begins with `start`, doubles from clean window to clean window until the first trouble, then grows
-- by 5 % a clean window, and shrinks to 0.8 at each episode of refusals.
--
-- A window is as many ends as are allowed at once, and at least a second once it has stopped doubling. It is clean if
-- nothing was refused and nothing failed in it, and it teaches only if the limit was reached in it. It does not count
-- as clean either if what ended took more than twice the time it took at best: then the other side only lets them
-- queue, and more at once would not be faster.
---@class muster.limit.concurrency
---@field allowed integer
---@field fixed boolean
---@field full boolean the limit was reached in this window
local Concurrency = {}
Concurrency.__index = Concurrency

local M = {}

local GROW, SHRINK, SLOW = 1.05, 0.8, 2
local LEAST = 1       -- seconds
local FORGET = 1.002 -- a window: the best time rises slowly, for the work may have become longer

---@param opts number|table|nil a number: exactly that many, always; or {min=, max=, start=}
---@return muster.limit.concurrency
function M.new(opts)
  local fixed = type(opts) == "number" and opts
  opts = type(opts) == "table" and opts or {}
  local min, max = opts.min or 1, opts.max or math.max(1000, opts.min or 1, opts.start or 1)
  local size = fixed or math.max(min, math.min(max, opts.start or 20))
  return setmetatable({
    size = size, allowed = size, fixed = fixed and true or false, min = min, max = max,
    doubling = true, full = false, clean = true, left = size, time = 0, ends = 0, until_time = -math.huge,
    best = nil, mean = nil,
  }, Concurrency)
end

local function resize(self, size)
  self.size = math.max(self.min, math.min(self.max, size))
  self.allowed = math.floor(self.size)
end

local function is_slow(self, mean)
  local best = self.best
  self.best = math.min(mean, best and best * FORGET or mean)
  return mean > SLOW * self.best
end

local function begin_window(self, now)
  self.until_time = self.doubling and now or now + LEAST
  self.left, self.time, self.ends = self.allowed, 0, 0
  self.full, self.clean = false, true
end

local function end_window(self, now)
  local slow = false
  if self.ends > 0 then
    self.mean = self.time / self.ends
    slow = is_slow(self, self.mean)
  end
  if slow then self.doubling = false end
  if self.clean and self.full and not slow and not self.fixed then
    resize(self, self.size * (self.doubling and 2 or GROW))
  end
  begin_window(self, now)
end

--- One has ended.
---@param now number
---@param seconds number how long it took
---@param outcome string|boolean "succeeded", "failed", "limited"; or another value: it says nothing
function Concurrency:ended(now, seconds, outcome)
  if outcome == "succeeded" then
    self.time, self.ends = self.time + seconds, self.ends + 1
  elseif outcome == "failed" then
    self.clean, self.doubling = false, false
  end
  self.left = self.left - 1
  if self.left <= 0 and now >= self.until_time then end_window(self, now) end
end

--- How long one takes, as far as is known.
---@return number? seconds
function Concurrency:usual_time()
  return self.mean or self.ends > 0 and self.time / self.ends or nil
end

--- Requests were refused; called once for each episode.
---@param now number
function Concurrency:shrink(now)
  self.doubling = false
  if not self.fixed then resize(self, self.size * SHRINK) end
  begin_window(self, now)
end

return M
