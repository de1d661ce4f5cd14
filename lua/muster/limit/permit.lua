--- What a limiter hands out: a place in flight, a request, and so many tokens. It is told how it went, and is given
-- back at the end of the body.
local core = require "muster.core"
local gate = require "muster.limit.gate"

local now_of, pump = core.now, gate.pump
local getmetatable, setmetatable = getmetatable, setmetatable -- each request needs them

local M = {}

local RATIO_KEEP, RATIO_MOST = 0.98, 1000

---@class muster.limit.permit
---@field cost number the estimate as given
---@field reserved number what the bucket was charged with
---@field used number? as told by settle
---@field outcome string|boolean nothing said yet: false
---@field at number|boolean when it was let in; false once released
---@field episode integer how many episodes of refusals there had been
local Permit = {}
Permit.__index = Permit

--- The same for those that `acquire` hands out: one that is lost gives its place back when it is collected.
local Loose = {__index = Permit}

--- Learns how many tokens a unit of the estimates costs.
local function learn_ratio(self, estimate, used)
  self.sum_used = self.sum_used * RATIO_KEEP + used
  self.sum_estimate = self.sum_estimate * RATIO_KEEP + estimate
  local ratio = self.sum_used / self.sum_estimate
  self.ratio = ratio < 1 / RATIO_MOST and 1 / RATIO_MOST or ratio > RATIO_MOST and RATIO_MOST or ratio
end

local function learn_tokens(self, permit, now)
  if permit.cost > 0 then learn_ratio(self, permit.cost, permit.used) end
  self.token_rate:serve(now, permit.used)
end

local function succeed(self, now)
  self.succeeded, self.fruitless = self.succeeded + 1, 0
  if not self.learns then return end
  local rate = self.rate
  rate:serve(now, 1)
  if rate.learned and rate:maybe_rise(now) then gate.set_rate(self) end
end

--- Gives the place back, and counts what came of it.
local function release(permit, outcome)
  local self, now, at = permit.limiter, now_of(), permit.at
  permit.at = false
  self.in_flight = self.in_flight - 1
  self.concurrency:ended(now, now - at, outcome)
  if outcome == "succeeded" then
    succeed(self, now)
  elseif outcome == "failed" then
    self.failed = self.failed + 1
  end
  if permit.used and self.learns then learn_tokens(self, permit, now) end
  if self.queue.first then pump(self, now) end
end

local function check_held(what, permit)
  local meta = getmetatable(permit)
  local is_permit = meta == Permit or meta == Loose
  if is_permit and permit.at then return end
  if is_permit then error(("permit:%s: the permit was released before"):format(what), 3) end
  error(("permit:%s: expected a permit, got %s; call it with a colon"):format(what, type(permit)), 3)
end

--- Makes one of a limiter, for so many tokens, which are taken already.
---@param is_loose boolean
---@return muster.limit.permit
function M.new(limiter, estimate, tokens, now, is_loose)
  return setmetatable({limiter = limiter, cost = estimate, reserved = tokens, at = now, episode = limiter.episode,
                       used = nil, outcome = false}, is_loose and Loose or Permit)
end

--- Gives it back; so does leaving the scope of a `<close>` variable. Raises if it was given back before.
function Permit:release()
  check_held("release", self)
  release(self, self.outcome or "succeeded")
end

--- What nobody said counts as a success, unless the body ended by an error.
function Permit:__close(err)
  if not self.at then return end
  local outcome = self.outcome
  if not outcome then
    outcome = err == nil and "succeeded" or core.is_cancelled(err) and "cancelled" or "failed"
  end
  release(self, outcome)
end
Loose.__close = Permit.__close

function Loose:__gc()
  if self.at then release(self, "lost") end
end

--- So many tokens it cost in fact; the estimate is put right by it. A later call replaces an earlier one.
---@param tokens number
function Permit:settle(tokens)
  check_held("settle", self)
  if type(tokens) ~= "number" or not (tokens >= 0 and tokens < math.huge) then
    error(("permit:settle: expected a number of tokens of at least 0, got %s"):format(tostring(tokens)), 2)
  end
  local limiter = self.limiter
  local bucket, more = limiter.bucket, tokens - (self.used or self.reserved)
  limiter.tokens = limiter.tokens + tokens - (self.used or 0)
  self.used = tokens
  if not bucket or more == 0 then return end
  bucket:take(more)
  local first = limiter.queue.first
  if more < 0 and first and first.wake_at < math.huge then pump(limiter, now_of()) end
end

--- It went well.
function Permit:succeeded()
  check_held("succeeded", self)
  self.outcome = "succeeded"
end

--- It failed, not for being too much: no time to grow.
function Permit:failed()
  check_held("failed", self)
  self.outcome = "failed"
end

--- What was refused cost no tokens.
local function return_tokens(self, bucket)
  if not bucket or self.used then return end
  bucket:take(-self.reserved)
  self.reserved = 0
end

--- It was refused for being too much (HTTP: 429). Sets one cool-down for the whole limiter. All that were let in before
-- the first refusal of a burst belong to that burst. Its tokens come back.
---@param seconds number? how long the other side wants us to wait; at most two minutes of it are believed
function Permit:limited(seconds)
  check_held("limited", self)
  if seconds ~= nil and not (type(seconds) == "number" and seconds >= 0) then
    error(("permit:limited: expected a number of seconds of at least 0, got %s"):format(tostring(seconds)), 2)
  end
  local limiter, now = self.limiter, now_of()
  if self.outcome ~= "limited" then limiter.refused = limiter.refused + 1 end
  self.outcome = "limited"
  return_tokens(self, limiter.bucket)
  if self.episode == limiter.episode then
    gate.begin_episode(limiter, now, seconds)
  elseif seconds then
    gate.cool_down(limiter, now, seconds)
  end
end

return M
