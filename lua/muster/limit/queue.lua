--- Who waits, in the order of coming: a list linked both ways, so that one who gives up leaves at once. What they wait
-- on, an event each, is used again.
local core = require "muster.core"

---@class muster.limit.waiter
---@field event event set when it is let in, or when it is to look again
---@field task task
---@field tokens number what it wants
---@field since number
---@field wake_at number when its timer ends; math.huge: it has none
---@field granted number|false when it was let in
---@field group any whose it is, to be turned away together
---@field refused boolean was it turned away?
---@field prev muster.limit.waiter?
---@field next muster.limit.waiter?

---@class muster.limit.queue
---@field first muster.limit.waiter?
---@field last muster.limit.waiter?
---@field n integer
local Queue = {}
Queue.__index = Queue

local M = {}

local SPARE = 64 -- waiters kept for use again

---@param meta table metatable of the waiters
---@return muster.limit.queue
function M.new(meta) return setmetatable({n = 0, spare = {}, spares = 0, meta = meta}, Queue) end

local function take_spare(self)
  local n = self.spares
  if n == 0 then return setmetatable({event = core.event(), owner = false, task = false}, self.meta) end
  local waiter = self.spare[n]
  self.spare[n], self.spares = nil, n - 1
  return waiter
end

--- Adds one at the end.
---@return muster.limit.waiter
function Queue:push(owner, tokens, now, group)
  local waiter, last = take_spare(self), self.last
  waiter.owner, waiter.task, waiter.tokens, waiter.since = owner, core.current(), tokens, now
  waiter.wake_at, waiter.granted, waiter.group, waiter.refused = math.huge, false, group, false
  waiter.prev, self.last = last, waiter
  if last then last.next = waiter else self.first = waiter end
  self.n = self.n + 1
  return waiter
end

--- Takes one out, wherever it is.
function Queue:remove(waiter)
  local prev, after = waiter.prev, waiter.next
  if prev then prev.next = after else self.first = after end
  if after then after.prev = prev else self.last = prev end
  waiter.prev, waiter.next = nil, nil
  self.n = self.n - 1
end

--- A waiter that is in the queue no more, whose event is clear, and that nobody uses.
function Queue:recycle(waiter)
  waiter.owner, waiter.task, waiter.group = false, false, nil
  if self.spares >= SPARE then return end
  self.spares = self.spares + 1
  self.spare[self.spares] = waiter
end

return M
