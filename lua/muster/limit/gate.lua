--- The gate of a limiter: letting in, and waiting in the queue.
--
-- What a waiter lacks (the end of a cool-down, a free place, its turn by requests a minute, tokens) is looked at for
-- the first of the queue only, and only the first has a timer; whoever makes room lets in as many as fit (`pump`). Who
-- is let in has its place, request and tokens at once, before it runs; if it is cancelled before that it gives them
-- back. All functions take a limiter; none but `queue_up` suspends.
local Gcra = require "muster.limit.gcra"
local Queue = require "muster.limit.queue"
local core = require "muster.core"

local M = {}

local now_of, move_on_after = core.now, core.move_on_after
local huge = math.huge

local WAIT_FIRST, WAIT_MOST = 1, 60 -- cool-downs that nobody gave a length, in seconds: doubled from one to the next
local PACED = 1                       -- seconds: was the rate what held requests back?
local TRUST = 120                   -- a cool-down that the other side asks for is no longer than this
local BURST_LEAST = 0.05            -- of the burst at first, after refusals

--- By how much a time may be missed: clocks have a grain, which grows with their value.
local function slack(now) return 1e-6 + now * 1e-15 end

--- Seconds until one of so many tokens can go, if nobody else comes; math.huge: that is not a matter of time.
local function delay(self, now, tokens)
  local concurrency = self.concurrency
  if self.in_flight >= concurrency.allowed or (self.fruitless > 1 and self.in_flight > 0) then
    concurrency.full = true
    return huge
  end
  local longest = self.hold_until - now
  local gcra, bucket = self.gcra, self.bucket
  if gcra then
    local wait = gcra.due - gcra.tolerance - now
    if wait > longest then
      longest = wait
      if wait > 0 then self.paced_at = now end
    end
  end
  if bucket and tokens > 0 then
    local wait = bucket:wait(now, tokens)
    if wait > longest then longest = wait end
  end
  return longest
end

--- Can one of so many tokens go at once?
function M.is_free(self, now, tokens)
  return not self.queue.first and delay(self, now, tokens) <= 1e-6
end

local function take(self, now, tokens)
  self.in_flight = self.in_flight + 1
  if self.gcra then self.gcra:take(now) end
  if self.bucket then self.bucket:take(tokens) end
end
M.take = take

local function give_back(self, tokens)
  self.in_flight = self.in_flight - 1
  if self.gcra then self.gcra:give_back() end
  if self.bucket then self.bucket:take(-tokens) end
end

--- Lets in, from the front of the queue, all who can go. The first that cannot is woken if it has to set its timer.
local function pump(self, now)
  local queue = self.queue
  local waiter = queue.first
  if not waiter then return end
  repeat
    local wait = delay(self, now, waiter.tokens)
    if wait > 0 and wait > slack(now) then
      if now + wait < waiter.wake_at then waiter.event:set() end
      return
    end
    queue:remove(waiter)
    take(self, now, waiter.tokens)
    waiter.granted = now
    waiter.event:set()
    waiter = queue.first
  until not waiter
end
M.pump = pump

-- ---- waiting ----

--- Waiters leave by being let in, by being turned away, or by an error in their wait.
local waiter_meta = {}

function waiter_meta.__close(waiter, err)
  local self = waiter.owner
  if err ~= nil then
    if waiter.granted then
      give_back(self, waiter.tokens)
    elseif not waiter.refused then
      self.queue:remove(waiter)
    end
    waiter.event:clear()
    pump(self, now_of())
  end
  self.queue:recycle(waiter)
end

function M.new_queue() return Queue.new(waiter_meta) end

--- Waits once: until woken, or for as long as the first of the queue has to.
local function wait_once(self, waiter)
  local now, event = now_of(), waiter.event
  local wait = self.queue.first == waiter and delay(self, now, waiter.tokens) or huge
  if wait <= slack(now) then
    pump(self, now)
  elseif wait == huge then
    waiter.wake_at = huge
    event:wait()
  else
    waiter.wake_at = now + wait
    move_on_after(wait, event.wait, event)
  end
  event:clear()
end

--- Waits in the queue. -> when it was let in; nil: turned away
function M.queue_up(self, tokens, now, group)
  local waiter <close> = self.queue:push(self, tokens, now, group)
  if waiter.prev then -- not the first: there is nothing to look at before it is woken
    waiter.event:wait()
    waiter.event:clear()
  end
  while not waiter.granted do
    if waiter.refused then return nil end
    wait_once(self, waiter)
  end
  local granted = waiter.granted
  self.waited, self.delayed = self.waited + (granted - now), self.delayed + 1
  return granted
end

--- All of a group leave the queue: what they wait for is of no use any more.
function M.turn_away(self, group)
  local queue = self.queue
  local waiter = queue.first
  while waiter do
    local after = waiter.next
    if waiter.group == group then
      queue:remove(waiter)
      waiter.refused = true
      waiter.event:set()
    end
    waiter = after
  end
  pump(self, now_of())
end

-- ---- rates and cool-downs ----

--- Puts into force what is known of requests a minute.
local function set_rate(self)
  local per_minute, gcra = self.rate.effective, self.gcra
  if not per_minute then
    self.gcra = nil
    return
  end
  local burst = self.burst or math.max(1, per_minute / 60 * self.burst_share)
  if gcra then gcra:set(per_minute, burst) else self.gcra = Gcra.new(per_minute, burst) end
end
M.set_rate = set_rate

--- Nothing starts before `time`.
local function hold(self, time)
  if time > self.hold_until then self.hold_until = time end
end
M.hold = hold

--- A cool-down that the other side asks for.
function M.cool_down(self, now, seconds) hold(self, now + math.min(seconds, TRUST)) end

--- A refusal teaches nothing while only one at a time goes through, to find out whether the other side is back.
local function learn_from_refusal(self, now)
  self.concurrency:shrink(now)
  if not self.learns then return end
  self.burst_share = math.max(BURST_LEAST, self.burst_share / 2)
  self.rate:fall(now, now - self.paced_at < PACED)
  set_rate(self)
end

--- The first refusal of a burst: fewer at once, fewer a minute, evenly, and not at once.
function M.begin_episode(self, now, seconds)
  local is_probe = self.fruitless > 1
  self.episode, self.fruitless = self.episode + 1, self.fruitless + 1
  M.cool_down(self, now, seconds or math.min(WAIT_MOST, WAIT_FIRST * 2.0 ^ (self.fruitless - 1)))
  if not is_probe then learn_from_refusal(self, now) end
  if self.gcra and self.hold_until < huge then self.gcra:flatten(self.hold_until) end
end

return M
