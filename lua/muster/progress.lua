--- Progress of long work: a bar on a terminal, a line every few seconds elsewhere.
--
--   for i, text in progress.each(texts) do … end
--
--   local bar <close> = progress.start {total = #texts, limiter = limiter, client = client}
--   async.map(texts, bar:wrap(extract), {limit = 100})
--
-- It is drawn by a timer that keeps nothing alive, so that a program in which nothing happens any more still ends, or
-- is still found to be deadlocked.
local async = require "muster"
local display = require "muster.progress.display"
local meter = require "muster.progress.meter"
local options = require "muster.options"

local M = {}

---@class muster.progress
local Progress = {}
Progress.__index = Progress
Progress.__name = "progress"

local kinds, has = options.kinds, options.has

local known = {
  total = kinds.size,
  label = {function(v) return type(v) == "string" end, "a string"},
  quiet = kinds.flag,
  every = {function(v) return type(v) == "number" and v > 0 end, "a number of seconds above 0"},
  bar = kinds.flag,
  output = {function(v) return io.type(v) == "file" end, "an open file"},
  limiter = {has "stats", "a limiter"},
  client = {has "usage", "a client with a method usage"},
}

--- Begins to show progress; ends with `finish`, or its scope.
---@param opts muster.progress.options?
---@return muster.progress
function M.start(opts)
  opts = options.check("progress.start", opts, known)
  local self = {meter = meter.new(opts, async.now)}
  if not opts.quiet then self.shown = display.show(self.meter, opts) end
  return setmetatable(self, Progress) -- after its timer was made, so as to be finalized before it at the program's end
end

local function check_count(what, n)
  if n == nil then return 1 end
  if math.type(n) == "integer" and n >= 0 then return n end
  error(("progress:%s: expected how many, an integer of at least 0, got %s"):format(what, tostring(n)), 3)
end

--- So many more are done.
---@param n integer? 1
function Progress:done(n) self.meter:add("done", check_count("done", n)) end

--- So many more have failed. They count as dealt with.
---@param n integer? 1
function Progress:fail(n) self.meter:add("failed", check_count("fail", n)) end

--- How many there will be, once that is known.
---@param total integer
function Progress:set_total(total)
  if math.type(total) ~= "integer" or total < 0 then
    error("progress:set_total: expected an integer of at least 0, got " .. tostring(total), 2)
  end
  self.meter.total = total
end

-- What fn returned, or that it raised: counted, and passed on.
local function ended(self, ok, ...)
  local counts = self.meter
  counts.in_flight = counts.in_flight - 1
  if not ok then
    if not async.is_cancelled((...)) then counts:add("failed", 1) end
    error((...), 0)
  end
  local value, err = ...
  counts:add(value == nil and err ~= nil and "failed" or "done", 1)
  return ...
end

--- Calls fn: in flight until it returns, then done, or failed if it raised or returned nil and an error. The results,
--- or the error, are passed on.
---@async
---@param fn function
---@return any ...
function Progress:run(fn, ...)
  if type(fn) ~= "function" then error("progress:run: expected a function, got " .. type(fn), 2) end
  self.meter.in_flight = self.meter.in_flight + 1
  return ended(self, pcall(fn, ...))
end

--- A function that does what fn does, and counts as `run` does: for `async.map` and the like.
---@param fn function
---@return function
function Progress:wrap(fn)
  if type(fn) ~= "function" then error("progress:wrap: expected a function, got " .. type(fn), 2) end
  return function(...) return self:run(fn, ...) end
end

--- Shows the last state, as a line that stays. Once is enough; more do nothing.
function Progress:finish()
  local shown = self.shown
  self.shown = nil
  if shown then shown:finish() end
end

Progress.__close = Progress.finish
Progress.__gc = Progress.finish -- its timer does not hold it

local function list_step(list, i)
  i = i + 1
  local value = list[i]
  if value ~= nil then return i, value end
end

-- Each step says that what the last one gave is done.
local function counted(self, step, closing)
  local first = true
  local function next_one(state, control)
    if not first then self:done() end
    first = false
    return step(state, control)
  end
  return next_one, setmetatable({}, {__close = function(_, err)
    self:finish()
    local close = closing and (getmetatable(closing) or {}).__close
    if close then close(closing, err) end
  end})
end

--- Goes over a list (index, value) or over what an iterator gives, and shows how far it has come.
---@generic T
---@param items T[]|fun(...): any a list; or an iterator, with its state, control and closing value after the options
---@param opts muster.progress.options?
---@return fun(...): any
function M.each(items, opts, state, control, closing)
  if type(items) ~= "table" and type(items) ~= "function" then
    error("progress.each: expected a list or an iterator, got " .. type(items), 2)
  end
  local step = items
  local with = {}
  if type(items) == "table" then
    step, state, control = list_step, items, 0
    with.total = #items
  end
  for name, value in pairs(options.check("progress.each", opts, known)) do with[name] = value end
  local self = M.start(with)
  local stepping, close = counted(self, step, closing)
  return stepping, state, control, close
end

return M
