--- Limits that tune themselves: so many requests and tokens a minute, so many at once, for any resource.
--
-- Who comes first goes first, whatever it costs. The parts: gate.lua lets in, and has the queue (queue.lua); gcra.lua
-- counts requests, bucket.lua tokens; concurrency.lua and rate.lua learn from what comes of the permits (permit.lua),
-- headers.lua reads what the other side says of limits; explain.lua tells who waits for what.
local Bucket = require "muster.limit.bucket"
local Concurrency = require "muster.limit.concurrency"
local Permit = require "muster.limit.permit"
local Rate = require "muster.limit.rate"
local core = require "muster.core"
local gate = require "muster.limit.gate"
local numbers_of = require "muster.limit.headers".numbers
local options = require "muster.options"

local M = {}

local now_of, is_free, take, queue_up = core.now, gate.is_free, gate.take, gate.queue_up
local huge = math.huge
local getmetatable = getmetatable

---@class muster.limiter
---@field name string?
---@field in_flight integer
---@field hold_until number the end of the cool-down; math.huge: until resume
---@field episode integer bursts of refusals so far
---@field fruitless integer those since the last success
---@field ratio number tokens to a unit of the estimates
local Limiter = {}
Limiter.__index = Limiter

local is_open = core.event()
is_open:set()
local check_cancelled = is_open.wait -- on an event that is set: returns at once, or raises if the task is cancelled

local function check_self(what, self)
  if getmetatable(self) ~= Limiter then
    error(("limiter:%s: expected a limiter, got %s; call it with a colon"):format(what, type(self)), 3)
  end
end

local function check_seconds(what, seconds)
  if seconds ~= nil and not (type(seconds) == "number" and seconds >= 0) then
    error(("%s: expected a number of seconds of at least 0, got %s"):format(what, tostring(seconds)), 3)
  end
end

-- ---- permits ----

local function check_tokens(what, n)
  if type(n) == "number" and n >= 0 and n < huge then return n end
  error(("%s: expected a cost of nil, a number of tokens, or {tokens=number}, got %s"):format(what, tostring(n)), 4)
end

--- The number of tokens of a cost, as the caller estimates it.
local function tokens_of(what, cost)
  if type(cost) ~= "table" then return check_tokens(what, cost) end
  for key in pairs(cost) do
    if key ~= "tokens" then error(("%s: unknown key '%s' in the cost"):format(what, tostring(key)), 4) end
  end
  return check_tokens(what, cost.tokens or 0)
end

--- Waits to be let in. -> a permit; nil: turned away
local function enter(self, what, cost, is_loose, group)
  local estimate = cost == nil and 0 or tokens_of(what, cost)
  local now, tokens = now_of(), estimate * self.ratio
  if is_free(self, now, tokens) then
    check_cancelled(is_open)
    take(self, now, tokens)
  else
    now = queue_up(self, tokens, now, group)
    if not now then return nil end
  end
  self.requests = self.requests + 1
  return Permit.new(self, estimate, tokens, now, is_loose)
end

--- Waits to be let in.
---@async
---@param cost number|{tokens: number}|nil an estimate, in tokens or whatever `settle` is told to be worth tokens
---@param group any? whose it is, for `turn_away`
---@return muster.limit.permit? permit to be closed: `local permit <close> = limiter:acquire(100)`; nil only after
--- `turn_away`
function Limiter:acquire(cost, group)
  check_self("acquire", self)
  local permit = enter(self, "limiter:acquire", cost, true, group)
  return permit
end

--- All of a group that wait get no permit: their `acquire` returns nil at once, and takes nothing of the limits.
---@param group any not nil
function Limiter:turn_away(group)
  check_self("turn_away", self)
  if group == nil then error("limiter:turn_away: expected a group, got nil", 2) end
  gate.turn_away(self, group)
end

--- Calls fn(permit, ...) once it is let in, and gives the permit back when fn ends, whichever way.
---@async
---@param cost number|{tokens: number}|nil an estimate
---@param fn function
---@param ... any
---@return any ... what fn returns
function Limiter:with(cost, fn, ...)
  check_self("with", self)
  if type(fn) ~= "function" then error(("limiter:with: expected a function, got %s"):format(type(fn)), 2) end
  local permit <close> = enter(self, "limiter:with", cost, false)
  return fn(permit, ...)
end

--- The same for one of a group: nothing, without a call of fn, if it is turned away while it waits.
---@async
---@param group any not nil
---@param cost number|{tokens: number}|nil an estimate
---@param fn function
---@param ... any
---@return any ... what fn returns
function Limiter:with_group(group, cost, fn, ...)
  check_self("with_group", self)
  if type(fn) ~= "function" then error(("limiter:with_group: expected a function, got %s"):format(type(fn)), 2) end
  local permit <close> = enter(self, "limiter:with_group", cost, false, group)
  if permit then return fn(permit, ...) end
end

-- ---- what the other side says ----

--- Nothing starts for so long. What is in flight goes on.
---@param seconds number? until `resume` if omitted
function Limiter:pause(seconds)
  check_self("pause", self)
  check_seconds("limiter:pause", seconds)
  gate.hold(self, seconds and now_of() + seconds or huge)
end

--- Ends a pause, and any cool-down.
function Limiter:resume()
  check_self("resume", self)
  self.hold_until = -huge
  gate.pump(self, now_of())
end

local function learn_requests(self, now, per_minute, remaining)
  if per_minute and self.rate:tell(now, per_minute) then gate.set_rate(self) end
  if remaining and self.gcra then self.gcra:at_most(now, remaining) end
end

--- A limit that only the other side knows of makes no debts of more than a minute.
local function set_tokens(self, now)
  local limit = self.token_rate.effective
  if not limit then
    self.bucket = nil
    return
  end
  if self.bucket then self.bucket:set(limit, now) else self.bucket = Bucket.new(limit, now) end
  self.bucket.debt = limit ~= self.token_rate.given and limit or huge
end

local function learn_tokens(self, now, per_minute, remaining)
  if per_minute and self.token_rate:tell(now, per_minute) then set_tokens(self, now) end
  if remaining and self.bucket then self.bucket:at_most(now, remaining) end
end

--- Learns from the headers of a response. What they say can slow down, but never stop.
---@param headers table of http.headers, or plain
function Limiter:learn(headers)
  check_self("learn", self)
  if type(headers) ~= "table" then
    error(("limiter:learn: expected headers, got %s"):format(type(headers)), 2)
  end
  if not self.learns then return end
  local limit, remaining, token_limit, tokens_left = numbers_of(headers)
  local now = now_of()
  if limit or remaining then learn_requests(self, now, limit, remaining) end
  if token_limit or tokens_left then learn_tokens(self, now, token_limit, tokens_left) end
  gate.pump(self, now)
end

-- ---- inspection ----

--- How many may be in flight now. After episodes without any success between them: one, to find out.
function Limiter:allowed() return self.fruitless > 1 and 1 or self.concurrency.allowed end

--- What is each waiter waiting for, and how long still? Reads well: `print(limiter:explain())`.
---@return muster.limit.explanation
function Limiter:explain()
  check_self("explain", self)
  return require "muster.limit.explain".explain(self)
end

--- Counters, and what was learned.
---@return table
function Limiter:stats()
  check_self("stats", self)
  return {
    requests = self.requests, succeeded = self.succeeded, failed = self.failed, limited = self.refused,
    episodes = self.episode, tokens = self.tokens, in_flight = self.in_flight, waiting = self.queue.n,
    delayed = self.delayed, waited = self.waited, concurrency = self:allowed(),
    rpm = self.rate.effective, tpm = self.bucket and self.bucket.capacity, ratio = self.ratio,
    cooldown = math.max(0, self.hold_until - now_of()),
  }
end

-- ---- construction ----

local function is_positive(v) return type(v) == "number" and v > 0 and v < huge end
local function is_size(v) return (math.type(v) == "integer" or v == huge) and v >= 1 end

local known = {
  rpm = {is_positive, "a positive number of requests a minute"},
  tpm = {is_positive, "a positive number of tokens a minute"},
  burst = {function(v) return is_positive(v) and v >= 1 end, "a number of requests of at least 1"},
  concurrency = {
    function(v) return is_size(v) or type(v) == "table" end,
    "an integer of at least 1, math.huge, or a table of min, max, start",
  },
  learn = options.kinds.flag,
  name = {function(v) return type(v) == "string" end, "a string"},
}

local size = {is_size, "an integer of at least 1"}
local known_concurrency = {min = size, max = size, start = size}

local function make(opts)
  return setmetatable({
    name = opts.name, burst = opts.burst, learns = opts.learn ~= false,
    queue = gate.new_queue(), concurrency = Concurrency.new(opts.concurrency),
    rate = Rate.new(opts.rpm), burst_share = 1, gcra = nil, paced_at = -huge,
    token_rate = Rate.new(opts.tpm), bucket = opts.tpm and Bucket.new(opts.tpm, now_of()),
    in_flight = 0, hold_until = -huge, episode = 0, fruitless = 0,
    ratio = 1.0, sum_used = 0.0, sum_estimate = 0.0,
    requests = 0, succeeded = 0, failed = 0, refused = 0, tokens = 0, delayed = 0, waited = 0.0,
  }, Limiter)
end

--- Makes a limiter.
--
-- `rpm`, `tpm`: requests and tokens a minute; without them there is no such limit until headers or refusals teach one.
-- `burst`: requests that may come at once after a pause (about a second's worth).
-- `concurrency`: a number: exactly so many at once; {min=, max=, start=}: it adapts between 1 and 1,000, from 20, if
-- not told otherwise. `learn`: false: headers, refusals and settled costs change no rates.
---@param opts table? {rpm: number?, tpm: number?, burst: number?, concurrency: table|integer|nil, learn: boolean?,
--- name: string?}
---@return muster.limiter
function M.limiter(opts)
  opts = options.check("limiter", opts, known)
  local places = type(opts.concurrency) == "table" and opts.concurrency or {}
  options.check("limiter: concurrency", places, known_concurrency)
  if (places.min or 1) > (places.max or huge) then error("limiter: concurrency: min is greater than max", 2) end
  local self = make(opts)
  gate.set_rate(self)
  return self
end

return M
