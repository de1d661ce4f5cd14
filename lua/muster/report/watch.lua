--- How a limiter fared over time: so many looks at it at most; when there would be more, every other one is forgotten.
local async = require "muster"
local uv = require "luv"

local M = {}

local MOST <const> = 400
local FIRST_INTERVAL <const> = 0.1 -- seconds
local TICK <const> = 250 -- milliseconds

---@class muster.report.watch
local Watch = {}
Watch.__index = Watch

---@param limiter muster.limiter?
function M.new(limiter) return setmetatable({limiter = limiter, looks = {}, every = FIRST_INTERVAL, due = 0}, Watch) end

local function thin(self)
  for i = 1, MOST // 2 do self.looks[i] = self.looks[2 * i - 1] end
  for i = MOST, MOST // 2 + 1, -1 do self.looks[i] = nil end
  self.every = self.every * 2
end

--- Looks, if it is time to. A limiter that fails is looked at no more.
---@param began number when the run began
---@param now boolean? in any case
function Watch:look(began, now)
  if not self.limiter then return end
  local time = async.now() - began
  if time < self.due and not now then return end
  self.due = time + self.every
  local ok, stats = pcall(self.limiter.stats, self.limiter)
  if not ok or type(stats) ~= "table" then
    self.limiter = nil
    return
  end
  self.stats = stats
  local looks = self.looks
  looks[#looks + 1] = {math.floor(time * 1000 + 0.5) / 1000, stats.in_flight or 0, stats.waiting or 0,
    stats.concurrency or 0}
  if #looks >= MOST then thin(self) end
end

--- Looks by a timer, which keeps nothing alive, until what it returns is closed.
function Watch:start(began)
  if not self.limiter then return setmetatable({}, {__close = function() end}) end
  local timer = uv.new_timer()
  timer:start(TICK, TICK, function() self:look(began) end)
  timer:unref()
  local function stop()
    if not timer:is_closing() then timer:close() end
  end
  return setmetatable({}, {__close = stop, __gc = stop})
end

--- For the page.
---@return table?
function Watch:facts()
  if not self.stats then return nil end
  local facts = {looks = self.looks}
  for name, value in pairs(self.stats) do
    if type(value) == "number" and value == value and math.abs(value) ~= math.huge then facts[name] = value end
  end
  for _, look in ipairs(self.looks) do
    for i, value in ipairs(look) do
      if value ~= value or math.abs(value) == math.huge then look[i] = -1 end -- JSON knows no infinity
    end
  end
  return facts
end

return M
