--- map and stream: one function over many items, a bounded number at once.
--
-- A feeder task pulls items, which may wait, and gives each as a task to a join; it waits for room first, so that no
-- more than limit + buffer items are between the source and the consumer. The feeder is the join's first task itself,
-- so that its end, whatever brought it about, is seen.
local core = require "muster.core"
local options = require "muster.options"

local M = {}

local kinds = options.kinds
local map_options = {limit = kinds.count, ordered = kinds.flag}
local stream_options = {limit = kinds.count, ordered = kinds.flag, buffer = kinds.size, settle = kinds.flag}

---@class stream what the consumer of a stream holds
---@field join table the tasks on their way
---@field room table? a semaphore: how many more items may be on their way; nil if there is no bound
---@field feeder task
---@field settle boolean?
---@field ordered boolean?
---@field late table<integer, task> ended before their turn, of an ordered stream
---@field turn integer index of the next to deliver, of an ordered stream
---@field failure table? {what the source raised}
local Stream = {}
Stream.__index = Stream

local function list_iterator(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local is_callable = options.is_callable

local function check(what, items, fn)
  if type(items) ~= "table" and not is_callable(items) then
    error(("%s: items must be a list or an iterator, got %s"):format(what, type(items)), 3)
  end
  if type(fn) ~= "function" then
    error(("%s: expected a function for each item, got %s"):format(what, type(fn)), 3)
  end
end

--- Gives every item to the join as a task; pulls one only when there is room for it.
function Stream:feed(items, make)
  while true do
    if self.room then self.room:acquire() end
    local item = items()
    if item == nil or not self.join:add(make(item)) then return end
  end
end

function Stream:start(items, make)
  self.feeder = core.spawn(self.feed, self, items, make):daemon()
  self.join:add(self.feeder)
end

--- No item will come any more.
function Stream:source_ended()
  self.failed = not self.feeder:pawait()
  self.join:seal()
end

--- The next task that has ended, and its index among the items.
function Stream:take_ended()
  local task, index = self.join:next()
  if task == self.feeder then
    self:source_ended()
    task, index = self.join:next()
  end
  if task then return task, index - 1 end
end

--- The next task to deliver and its index; nothing at the end.
function Stream:take_in_turn()
  while not self.late[self.turn] do
    local task, index = self:take_ended()
    if not task then return end
    self.late[index] = task
  end
  local task, index = self.late[self.turn], self.turn
  self.late[index], self.turn = nil, index + 1
  return task, index
end

--- The same in the order asked for; raises what the source raised.
function Stream:take()
  local task, index
  if self.ordered then task, index = self:take_in_turn() else task, index = self:take_ended() end
  if task then
    if self.room then self.room:release() end
  elseif self.failed then
    self.feeder:await()
  end
  return task, index
end

--- Generic for ends at nil, so that false stands for it.
local function visible(value)
  if value == nil then return false end
  return value
end

--- Delivers value, index; with settle, for a failure: false, index, error.
function Stream:__call()
  local task, index = self:take()
  if not task then return end
  if not self.settle then return visible((task:await())), index end
  local ok, value = task:pawait()
  if ok then return visible(value), index end
  return false, index, value
end

function Stream:__close(err)
  self.join:close(err)
end

--- How many items may be on their way.
local function total(limit, buffer)
  local bound = limit + 0.0 + buffer
  return math.tointeger(bound) or math.huge
end

local function open(items, fn, opts, bound)
  local self = setmetatable({
    join = core.join({limit = opts.limit}, "stream"),
    room = bound < math.huge and core.semaphore(bound) or nil,
    settle = opts.settle, ordered = opts.ordered, late = {}, turn = 1,
  }, Stream)
  self:start(is_callable(items) and items or list_iterator(items), core.is_async(fn) and fn or core.async(fn))
  return self
end

--- Calls fn(item), each in a task, at most `limit` (16) at once, and iterates over the results as they complete.
--
-- A nil result is delivered as false, as nil would end the loop. A failure is raised; with `settle` it is delivered as
-- `false, index, error` instead. Leaving the loop cancels what is left, and waits for it.
---@async
---@param items any[]|fun(): any a list, or an iterator; it may await, and is pulled only as there is room
---@param fn fun(item: any): any plain or async
---@param opts {limit: integer?, ordered: boolean?, buffer: integer?, settle: boolean?}?
--- ordered: in input order; buffer: results that may wait for the consumer (as many as `limit`)
---@return fun(): any, integer, any iterator over value, index
function M.stream(items, fn, opts)
  check("stream", items, fn)
  opts = options.check("stream", opts, stream_options)
  local limit = opts.limit or 16
  local self = open(items, fn, {limit = limit, ordered = opts.ordered, settle = opts.settle},
                    total(limit, opts.buffer or limit))
  return self, nil, nil, self
end

--- Calls fn(item), each in a task, at most `limit` at once, and returns the list of the results.
---@async
---@param items any[]|fun(): any
---@param fn fun(item: any): any plain or async
---@param opts {limit: integer?, ordered: boolean?}? ordered=false: in completion order
---@return any[] results with `n`
function M.map(items, fn, opts)
  check("map", items, fn)
  opts = options.check("map", opts, map_options)
  local limit = opts.limit or math.huge
  local stream <close> = open(items, fn, {limit = limit}, total(limit, limit))
  local results, n = {}, 0
  for task, index in stream.take, stream do
    n = n + 1
    results[opts.ordered == false and n or index] = task:await()
  end
  results.n = n
  return results
end

return M
