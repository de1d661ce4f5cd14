--- How many requests a minute? The least of what the user said, what the headers say, and what refusals have taught.
--
-- Headers may lie: a limit is not believed any more once so much was served that it cannot be true.
-- Refusals teach: at each episode the rate falls by 3 %; or, if the last was less than 90 s ago, to what was served in
-- the last minute or two, pauses included, but by half at most. It stays there for 75 s without refusals, and then
-- rises by 1 %, 2 %, 4 % … every ten seconds.
---@class muster.limit.rate
---@field given number? what the user said
---@field told number? what the headers say
---@field learned number? what refusals have taught
---@field effective number? the least of them; nil: no limit known
---@field since number? when the first was served that counts
---@field served number
---@field refused number when the last episode began
---@field lied number the greatest limit that was told and cannot be true
local Rate = {}
Rate.__index = Rate

local M = {}

local SPAN, ENOUGH_SECONDS, ENOUGH = 120, 1, 10
local FALL, FALL_MOST, RECENT = 0.97, 0.5, 90
local LEAST = 1 -- a minute: refusals alone never bring it to a stop
local HOLD, STEP, RISE, RISE_MOST = 75, 10, 0.01, 1

---@param per_minute number?
---@return muster.limit.rate
function M.new(per_minute)
  return setmetatable({given = per_minute, effective = per_minute, served = 0, refused = -math.huge, lied = 0}, Rate)
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

--- Was more served than any honest way of counting so many a minute allows? A full minute's worth may be there at
-- first, and a minute that ends may hand over to a fresh one.
local function is_impossible(self, now, per_minute)
  return self.since and self.served > per_minute * ((now - self.since) / 60 + 2)
end

--- The headers say so many a minute.
---@return boolean changed
function Rate:tell(now, per_minute)
  if per_minute > self.lied and is_impossible(self, now, per_minute) then self.lied = per_minute end
  if per_minute <= self.lied then per_minute = nil end
  if per_minute == self.told then return false end
  self.told = per_minute
  return settle(self)
end

--- What to fall to. After a long time without refusals, only if the rate was what held requests back.
local function lower(self, now, is_paced)
  local before, observed = self.effective, self:observed(now)
  if not before then return observed end
  if now - self.refused >= RECENT then return is_paced and before * FALL or self.learned end
  if not observed then return is_paced and before * FALL or self.learned end
  return math.max(LEAST, before * FALL_MOST, math.min(before * FALL, observed))
end

--- An episode of refusals has begun.
---@param is_paced boolean requests came as fast as the rate allows
---@return boolean changed
function Rate:fall(now, is_paced)
  local before = self.learned
  self.learned = lower(self, now, is_paced)
  if self.learned ~= before then self.next_rise, self.rise = now + HOLD, RISE end
  self.refused = now
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
