--- What is each waiter waiting for, and how long still?
local core = require "muster.core"

local M = {}

---@class muster.limit.explanation
---@field name string?
---@field in_flight integer
---@field allowed integer how many may be in flight
---@field waiting integer
---@field paused number? seconds of the cool-down that are left; math.huge: until resume
---@field [integer] muster.limit.wait those who wait, in their order

---@class muster.limit.wait
---@field who string the name of the task
---@field reason "cool-down"|"concurrency"|"requests"|"tokens"|"place"
---@field seconds number? how long still, at least; nil if that cannot be told
---@field waited number seconds so far
---@field tokens number what it wants of the tokens
---@field place integer

local meta = {__name = "muster.limit.explanation"}

local texts = {
  ["cool-down"] = "the end of the cool-down", concurrency = "one in flight to end",
  requests = "its turn by requests a minute", tokens = "tokens",
}

local function left(seconds)
  if not seconds then return "" end
  return seconds == math.huge and ", until resumed" or (", %.3g s more"):format(seconds)
end

local function line(wait)
  local what = texts[wait.reason] or ("those before it, at place %d"):format(wait.place)
  if wait.reason == "tokens" then what = ("%.0f tokens"):format(wait.tokens) end
  return ("%s: waits for %s%s (has waited %.3g s)"):format(wait.who, what, left(wait.seconds), wait.waited)
end

function meta.__tostring(self)
  local lines = {("%s: %d in flight of %s allowed, %d waiting%s"):format(self.name or "limiter", self.in_flight,
    self.allowed == math.huge and "any number" or tostring(self.allowed), self.waiting,
    self.paused and "; cool-down" .. left(self.paused) or "")}
  for _, wait in ipairs(self) do lines[#lines + 1] = line(wait) end
  return table.concat(lines, "\n")
end

--- Lets the waiters in one after the other, in thought, and tells when each would be.
local function simulate(self, now)
  local gcra, bucket = self.gcra, self.bucket
  local due, level, filled = gcra and gcra.due, bucket and bucket:fill(now), 0
  local allowed, mean = self:allowed(), self.concurrency:usual_time()
  local slots, start = math.max(0, allowed - self.in_flight), math.max(0, self.hold_until - now)
  return function(waiter, place)
    local requests, tokens, slot = 0, 0, 0
    if gcra then
      requests = due - gcra.tolerance - now
      due = math.max(due, now) + gcra.interval
    end
    if bucket then
      tokens = filled + (math.min(waiter.tokens, bucket.capacity) - level) / bucket.rate
      local at = math.max(tokens, filled)
      level, filled = math.min(bucket.capacity, level + (at - filled) * bucket.rate) - waiter.tokens, at
    end
    if place > slots then slot = mean and mean * ((place - slots - 1) // allowed + 1) or nil end
    return start, requests, tokens, slot
  end
end

--- What holds the first back longest.
local function reason_of(start, requests, tokens, slot)
  if start > 0 and start >= requests and start >= tokens then return "cool-down" end
  if slot ~= 0 then return "concurrency" end
  return tokens > requests and "tokens" or "requests"
end

---@param self muster.limiter
---@return muster.limit.explanation
function M.explain(self)
  local now = core.now()
  local held = self.hold_until - now
  local list = setmetatable({
    name = self.name, in_flight = self.in_flight, allowed = self:allowed(), waiting = self.queue.n,
    paused = held > 0 and held or nil,
  }, meta)
  local step, waiter, place = simulate(self, now), self.queue.first, 0
  while waiter do
    place = place + 1
    local start, requests, tokens, slot = step(waiter, place)
    list[place] = {
      who = waiter.task.name, place = place, tokens = waiter.tokens, waited = now - waiter.since,
      reason = place == 1 and reason_of(start, requests, tokens, slot) or "place",
      seconds = slot and math.max(0, start, requests, tokens, slot) or nil,
    }
    waiter = waiter.next
  end
  return list
end

return M
