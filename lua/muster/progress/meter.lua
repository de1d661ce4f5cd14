--- What is counted, and how it reads.
local M = {}

---@class muster.progress.meter
---@field total integer?
---@field label string?
---@field done integer
---@field failed integer
---@field in_flight integer
local Meter = {}
Meter.__index = Meter

local WINDOW = 10 -- seconds over which the rate is smoothed

--- now() -> seconds.
function M.new(opts, now)
  local time = now()
  return setmetatable({total = opts.total, label = opts.label, limiter = opts.limiter, client = opts.client, now = now,
    done = 0, failed = 0, in_flight = 0, started = time, looked = time, counted = 0}, Meter)
end

function Meter:add(what, n) self[what] = self[what] + n end

--- How many a second, lately: an average that forgets what is older than the window.
function Meter:rate()
  local time, count = self.now(), self.done + self.failed
  local passed = time - self.looked
  if passed > 0 then
    local latest = (count - self.counted) / passed
    local weight = math.exp(-passed / WINDOW)
    local age = 1 - math.exp(-(self.looked - self.started) / WINDOW) -- how much of a window the average stands for
    local sum = (self.average or 0) * age * weight + latest * (1 - weight)
    self.average = sum / (age * weight + 1 - weight)
    self.looked, self.counted = time, count
  end
  return self.average or 0
end

-- ---- words ----

--- 1234567 -> "1,234,567"
function M.grouped(n)
  local digits = ("%d"):format(n)
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""):gsub("^%-,", "-"))
end

local function shortened(n)
  if n < 1e4 then return M.grouped(n // 1) end
  if n < 1e6 then return ("%.1f k"):format(n / 1e3) end
  return ("%.2f M"):format(n / 1e6)
end

--- Seconds as a person says them.
function M.duration(s)
  if s < 10 then return ("%.1f s"):format(s) end
  if s < 100 then return ("%.0f s"):format(s) end
  if s < 6000 then return ("%d:%02d min"):format(s // 60, s % 60 // 1) end
  return ("%d:%02d h"):format(s // 3600, s % 3600 // 60)
end

local function rate_text(rate)
  return (rate >= 100 and "%.0f/s" or rate >= 10 and "%.1f/s" or "%.2f/s"):format(rate)
end

local function remaining(self, rate)
  local left = self.total and self.total - self.done - self.failed or 0
  if left > 0 and rate > 0 then return M.duration(left / rate) .. " left" end
end

local function count_text(self)
  local count = M.grouped(self.done + self.failed)
  return self.total and count .. " of " .. M.grouped(self.total) or count
end

-- What a limiter says of itself; what a client has spent. Either may have nothing to say.
local function add_limits(self, add)
  local stats = self.limiter and self.limiter:stats() or {}
  local flying = self.in_flight
  local waiting = stats.waiting or 0
  if self.limiter then flying = math.max(stats.in_flight or 0, 0) end
  if flying > 0 then add(M.grouped(flying) .. " in flight") end
  if waiting > 0 then add(M.grouped(waiting) .. " wait for the limit") end
end

local function add_usage(self, add)
  local usage = self.client and self.client:usage() or {}
  if (usage.total or 0) > 0 then add(shortened(usage.total) .. " tokens") end
  if (usage.cost or 0) > 0 then add(("$%.2f"):format(usage.cost)) end
end

--- The share that is dealt with, from 0 to 1; nil if nobody knows of how many.
function Meter:share()
  if not self.total or self.total == 0 then return self.total and 1 end
  return math.min((self.done + self.failed) / self.total, 1)
end

--- What there is to say, in order of importance, first what names the work.
---@param finished boolean?
---@return string[]
function Meter:parts(finished)
  local parts = {count_text(self)}
  local function add(part) parts[#parts + 1] = part end
  if self.failed > 0 then add(M.grouped(self.failed) .. " failed") end
  if finished then
    local seconds = self.now() - self.started
    add("in " .. M.duration(seconds))
    if seconds > 0 then add(rate_text((self.done + self.failed) / seconds)) end
  else
    local rate = self:rate()
    add(rate_text(rate))
    add(remaining(self, rate))
    add_limits(self, add)
  end
  add_usage(self, add)
  return parts
end

return M
