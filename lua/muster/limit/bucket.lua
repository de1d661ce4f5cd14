--- Tokens a minute: a bucket that holds a minute's worth and fills evenly. What is taken is an estimate, which is put
-- right afterwards, so the level may fall below zero: a debt, which those who come later wait for.
---@class muster.limit.bucket
---@field rate number tokens a second
---@field capacity number
---@field level number at the time `at`
---@field at number
---@field debt number how far below zero the level may fall
local Bucket = {}
Bucket.__index = Bucket

local M = {}

---@param per_minute number
---@param now number
---@return muster.limit.bucket
function M.new(per_minute, now)
  return setmetatable({
    rate = per_minute / 60, capacity = per_minute, level = per_minute, at = now, debt = math.huge,
  }, Bucket)
end

--- Changes the rate and the size; what was used stays used.
function Bucket:set(per_minute, now)
  local used = self.capacity - self:fill(now)
  self.rate, self.capacity = per_minute / 60, per_minute
  self.level = per_minute - used
end

---@return number level
function Bucket:fill(now)
  local level = self.level
  if now > self.at then
    if level < self.capacity then level = level + (now - self.at) * self.rate end
    if level > self.capacity then level = self.capacity end
    self.level = level
  end
  self.at = now
  return level
end

--- Seconds until n may be taken; 0 or less: now. More than the bucket holds waits until it is full.
---@return number
function Bucket:wait(now, n)
  local level = self:fill(now)
  if n > self.capacity then n = self.capacity end
  return (n - level) / self.rate
end

--- Takes n, or gives -n back.
function Bucket:take(n)
  local level = self.level - n
  self.level = level < -self.debt and -self.debt or level
end

--- The other side says that no more than `remaining` are left. It is not believed below zero.
function Bucket:at_most(now, remaining)
  self.level = math.min(self:fill(now), math.max(0, remaining))
end

return M
