--- Requests a minute, by the generic cell rate algorithm: one number, the time at which the next request would be due
-- if all came evenly; a burst may come before its time.
---@class muster.limit.gcra
---@field interval number seconds between two requests
---@field tolerance number how many seconds before its time a request may come
---@field due number the theoretical arrival time of the next request
local Gcra = {}
Gcra.__index = Gcra

local M = {}

---@param per_minute number
---@param burst number? how many may come at once after a pause; about a second of the rate if omitted
---@return muster.limit.gcra
function M.new(per_minute, burst)
  local self = setmetatable({due = -math.huge}, Gcra)
  self:set(per_minute, burst)
  return self
end

--- Changes the rate; what was used stays used.
function Gcra:set(per_minute, burst)
  self.interval = 60 / per_minute
  self.tolerance = (math.max(1, burst or per_minute / 60) - 1) * self.interval
end

--- Seconds until the next request may go; 0 or less: now.
---@return number
function Gcra:wait(now) return self.due - self.tolerance - now end

function Gcra:take(now)
  local due = self.due
  self.due = (due > now and due or now) + self.interval
end

--- A request that was let through did not happen.
function Gcra:give_back() self.due = self.due - self.interval end

--- From `time` on there is no burst left: requests come evenly.
function Gcra:flatten(time) self.due = math.max(self.due, time + self.tolerance) end

--- The other side says that no more than `remaining` may come at once. It costs a burst and an interval at most, so
-- that no word of the other side stops requests for long.
function Gcra:at_most(now, remaining)
  if remaining > self.tolerance / self.interval then return end
  self.due = math.max(self.due, now + self.tolerance - (remaining - 1) * self.interval)
end

return M
