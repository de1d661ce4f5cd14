--- Limits of requests and tokens a minute: two buckets, which fill again all the time. Has no clock.

local M = {}

---@class service.bucket
---@field limit number a minute
---@field capacity number what a full one holds
---@field level number what was in it at `at`; below 0 after more was used than was asked for
---@field at number?
local Bucket = {}
Bucket.__index = Bucket

local function bucket(limit, capacity)
  return limit and setmetatable({limit = limit, capacity = capacity, level = capacity}, Bucket)
end

function Bucket:fill(now)
  local passed = now - (self.at or now)
  self.at = now
  self.level = math.min(self.capacity, self.level + passed * self.limit / 60)
end

--- How long until there is so much.
function Bucket:wait(amount) return math.max(0, (amount - self.level) * 60 / self.limit) end

--- limit; remaining: what could be used now; reset: how long until it is full.
function Bucket:state(now)
  self:fill(now)
  return {limit = self.limit, remaining = math.max(0, math.floor(self.level + 1e-9)), reset = self:wait(self.capacity)}
end

---@class service.limits
---@field requests service.bucket?
---@field tokens service.bucket?
local Limits = {}
Limits.__index = Limits

local function refusal(what, b, amount)
  return {what = what, limit = b.limit, requested = amount, used = math.max(0, math.ceil(b.limit - b.level)),
          wait = b:wait(math.min(amount, b.capacity)), never = amount > b.capacity}
end

--- Takes a request of so many tokens, or nothing.
---@param tokens number
---@param now number seconds, of any clock
---@return table? refusal what: "requests" or "tokens"; limit, used, requested; wait: how long it has to; never: does it
--- not fit at all?
function Limits:take(tokens, now)
  local r, t = self.requests, self.tokens
  if r then
    r:fill(now)
    if r.level < 1 - 1e-9 then return refusal("requests", r, 1) end
  end
  if t then
    t:fill(now)
    if t.level < tokens then return refusal("tokens", t, tokens) end
    t.level = t.level - tokens
  end
  if r then r.level = r.level - 1 end
end

--- Takes tokens that were used beyond what was asked for.
function Limits:charge(tokens, now)
  if not self.tokens then return end
  self.tokens:fill(now)
  self.tokens.level = self.tokens.level - tokens
end

--- {requests = state?, tokens = state?}
function Limits:state(now)
  return {requests = self.requests and self.requests:state(now), tokens = self.tokens and self.tokens:state(now)}
end

--- rpm, tpm: a minute; burst: requests at once, what a second gives (at least 1) unless said; burst_tokens: tokens at
--- once, a minute's unless said.
---@param spec {rpm: number?, tpm: number?, burst: number?, burst_tokens: number?}?
---@return service.limits
function M.of(spec)
  spec = spec or {}
  return setmetatable({
    requests = bucket(spec.rpm, spec.burst or math.max(1, (spec.rpm or 0) / 60)),
    tokens = bucket(spec.tpm, spec.burst_tokens or spec.tpm),
  }, Limits)
end

return M
