--- Hard budgets of tokens, money and time: what would cross one is not begun.
--
-- Each request reserves what it may cost at most, and settles what it did cost. One that would fit if those in flight
-- turn out cheaper waits for them, first come, first served; one that cannot fit any more fails.
local core = require "muster.core"

local M = {}

local huge = math.huge

---@class muster.llm.budget
---@field tokens number the whole; math.huge if there is no limit
---@field money number
---@field seconds number
---@field counts boolean is there a limit besides time?
---@field used {tokens: number, money: number}
---@field held {tokens: number, money: number} reserved, and not settled
---@field queue {event: event, err: table?}[] those who wait
local Budget = {}
Budget.__index = Budget

---@class muster.llm.reservation
local Reservation = {}
Reservation.__index = Reservation

--- The start of time is the first request.
---@param opts {tokens: number?, money: number?, seconds: number?}
---@return muster.llm.budget
function M.new(opts)
  return setmetatable({
    tokens = opts.tokens or huge, money = opts.money or huge, seconds = opts.seconds or huge,
    counts = (opts.tokens or opts.money) ~= nil, used = {tokens = 0, money = 0}, held = {tokens = 0, money = 0},
    queue = {}, started = nil,
  }, Budget)
end

--- Seconds that are left.
function Budget:time_left()
  if self.seconds == huge then return huge end
  self.started = self.started or core.now()
  return self.started + self.seconds - core.now()
end

local function shortage(self, name, wanted, unit)
  local total, used = self[name], self.used[name]
  if used + wanted <= total then return nil end
  local text = "llm: the budget of %.6g %s does not allow for %.6g more: %.6g are spent"
  return core.error("budget", text:format(total, unit, wanted, used),
    {budget = name, limit = total, spent = used, wanted = wanted})
end

--- The error of a time that is over.
---@return muster.error
function Budget:late()
  return core.error("budget", ("llm: the budget of %.6g seconds is used up"):format(self.seconds),
    {budget = "seconds", limit = self.seconds})
end

--- Why it will never fit, or nil.
local function refusal(self, tokens, money)
  if self:time_left() <= 0 then return self:late() end
  return shortage(self, "tokens", tokens, "tokens") or shortage(self, "money", money, "of money")
end

local function fits(self, tokens, money)
  return self.used.tokens + self.held.tokens + tokens <= self.tokens
    and self.used.money + self.held.money + money <= self.money
end

local function wake(self)
  if self.queue[1] then self.queue[1].event:set() end
end

--- A place in the queue, which leaves it however the wait ends.
local function queue_up(self)
  local place = setmetatable({event = core.event()}, {__close = function(place)
    for i, other in ipairs(self.queue) do
      if other == place then table.remove(self.queue, i) end
    end
    wake(self)
  end})
  table.insert(self.queue, place)
  return place
end

local function hold(self, tokens, money)
  self.held.tokens, self.held.money = self.held.tokens + tokens, self.held.money + money
  return setmetatable({budget = self, tokens = tokens, money = money}, Reservation)
end

--- Waits until it fits, or never will.
local function wait(self, tokens, money, measure)
  local place <close> = queue_up(self)
  while true do
    if place.err then return nil, place.err end
    if self.queue[1] == place then
      if measure then tokens, money = measure() end
      local err = refusal(self, tokens, money)
      if err then return nil, err end
      if fits(self, tokens, money) then return hold(self, tokens, money) end
    end
    place.event:clear()
    place.event:wait()
  end
end

--- Reserves what a request may cost at most.
---@async
---@param tokens number
---@param money number 0 if there is no price
---@param measure (fun(): number, number)? tells both anew when there was a wait: by then more may be known
---@return muster.llm.reservation? reservation to be closed
---@return muster.error? error of kind "budget"
function Budget:reserve(tokens, money, measure)
  local err = refusal(self, tokens, money)
  if err then return nil, err end
  if not self.queue[1] and fits(self, tokens, money) then return hold(self, tokens, money) end
  return wait(self, tokens, money, measure)
end

--- Counts what nobody had reserved: a request that came to nothing.
---@param tokens number
---@param money number
function Budget:spend(tokens, money)
  self.used.tokens, self.used.money = self.used.tokens + tokens, self.used.money + money
end

--- The error if what is spent and what is reserved are too much together, by what came to nothing.
function Budget:crossed()
  if fits(self, 0, 0) then return nil end
  return shortage(self, "tokens", self.held.tokens, "tokens") or shortage(self, "money", self.held.money, "of money")
end

--- All who wait get this error instead.
---@param err table
function Budget:turn_away(err)
  for _, place in ipairs(self.queue) do
    place.err = err
    place.event:set()
  end
end

--- Says what it did cost, and gives the rest back.
---@param tokens number
---@param money number
function Reservation:settle(tokens, money)
  local budget = self.budget
  if not budget then return end
  budget.used.tokens, budget.used.money = budget.used.tokens + tokens, budget.used.money + money
  budget.held.tokens, budget.held.money = budget.held.tokens - self.tokens, budget.held.money - self.money
  self.budget = nil
  wake(budget)
end

--- What nobody settled did cost nothing.
function Reservation:__close() self:settle(0, 0) end

--- One that is lost, with a stream that nobody closed: nobody knows what it did cost.
function Reservation:__gc() self:settle(self.tokens, self.money) end

return M
