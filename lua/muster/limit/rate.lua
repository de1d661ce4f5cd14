--- How many requests a minute? The least of what the user said, what the headers say, and what refusals have taught.
--
-- Headers lie, so their word counts only so far: a limit below what was served without a refusal is not believed.
-- Refusals teach: at each episode the rate falls to what was served in the last minute or two, pauses included, but by
-- 3 % at least and by half at most. It stays there for a minute without refusals, and then rises by 1 %, 2 %, 4 % …
-- every ten seconds.
---@class muster.limit.rate
---@field given number? what the user said
---@field told number? what the headers say
---@field learned number? what refusals have taught
---@field effective number? the least of them; nil: no limit known
---@field since number? when the first was served that counts
---@field served number
---@field refused number when the last episode began
local Rate = {}
Rate.__index = Rate

local M = {}

local SPAN, ENOUGH_SECONDS, ENOUGH = 120, 1, 10
local FALL, FALL_MOST = 0.97, 0.5
local HOLD, STEP, RISE, RISE_MOST = 60, 10, 0.01, 1

---@param per_minute number?
---@return muster.limit.rate
function M.new(per_minute)
  return setmetatable({given = per_minute, effective = per_minute, served = 0, refused = -math.huge}, Rate)
end

local function least(a, b) return a and b and math.min(a, b) or a or b end

--- -> did it change?
local function settle(self)
  local effective = least(least(self.given, self.told), self.learned)
  local changed = effective ~= self.effective
  self.effective = effective
  return changed
end

--- n were served. Old ones count less and less.
function Rate:serve(now, n)
  local since = self.since
  if not since then
    self.since = now
    return
  end
  self.served = self.served + n
  if now - since > SPAN then
    self.since, self.served = now - (now - since) / 2, self.served / 2
  end
end

--- What was served a minute, as far as can be told.
---@return number?
function Rate:observed(now)
  local seconds = self.since and now - self.since
  if seconds and seconds >= ENOUGH_SECONDS and self.served >= ENOUGH then return self.served * 60 / seconds end
end

--- The headers say so many a minute.
---@return boolean changed
function Rate:tell(now, per_minute)
  if per_minute == self.told then return false end
  if per_minute < (self.effective or math.huge) and now - self.refused > SPAN then
    per_minute = math.max(per_minute, self:observed(now) or 0)
  end
  self.told = per_minute
  return settle(self)
end

--- An episode of refusals has begun.
---@return boolean changed
function Rate:fall(now)
  self.refused = now
  local before, observed = self.effective, self:observed(now)
  if observed and before then
    self.learned = math.max(before * FALL_MOST, math.min(before * FALL, observed))
  elseif observed then
    self.learned = observed
  end
  self.next_rise, self.rise = now + HOLD, RISE
  return settle(self)
end

--- Time has passed.
---@return boolean changed
function Rate:maybe_rise(now)
  if not self.learned or now < self.next_rise then return false end
  self.next_rise = now + STEP
  self.learned = self.learned * (1 + self.rise)
  self.rise = math.min(RISE_MOST, self.rise * 2)
  local known = least(self.given, self.told)
  if known and self.learned >= known then self.learned = nil end
  return settle(self)
end

return M
