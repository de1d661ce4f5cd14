--- extract_many and partial: records while the answer streams.
local answer = require "muster.llm.answer"
local engine = require "muster.llm.engine"
local extraction = require "muster.llm.extract"
local feed = require "muster.llm.feed"
local job = require "muster.llm.job"
local modes = require "muster.llm.modes"
local plans = require "muster.llm.plan"
local reask = require "muster.llm.reask"

local M = {}

-- ---- what both have ----

---@class muster.llm.reader an iterator that reads a streaming answer
---@field plan muster.llm.plan
---@field job muster.llm.job
---@field opts table
---@field messages table[]
---@field live muster.llm.live?
---@field feeds table<integer, muster.llm.feed> of tool calls by their places, of the content at 0
---@field meta muster.llm.meta? at its end
---@field err table? what broke it off
---@field over boolean?

local function new_reader(class, client, node, messages, opts, plan_of)
  local work = job.new(client, opts.model)
  return setmetatable({
    plan = plan_of(node), node = node, job = work, opts = opts, messages = messages, feeds = {},
    ladder = modes.of(work, opts.mode), ground = plans.ground(plans.source(opts, messages)),
  }, class)
end

--- Ends it: everything is given back, and meta is there.
local function finish(self, err)
  if self.over then return end
  self.over = true
  if self.live then self.live:close() end
  local totals = self.job.client.totals
  totals.items = totals.items + 1
  if err then
    local _
    _, self.err = self.job:fail(err)
  end
  self.meta = self.job:meta()
end

local function open(self)
  while true do
    local mode = self.ladder:mode()
    self.job.mode = mode
    local err
    self.live, err = engine.open(self.job, self.plan:call(mode, self.messages, self.opts))
    if self.live then return true end
    if not self.ladder:down_after(err) then return nil, err end
  end
end

--- Gives a delta's texts to `take(place, text)`. Content beside a tool call is talk, until no call comes.
local function spread(self, delta, take)
  if delta.content and self.job.mode ~= "tools" then take(0, delta.content) end
  for _, call in ipairs(delta.calls or {}) do
    if call.arguments ~= "" then take(call.index, call.arguments) end
  end
end

local function feed_at(self, place, key)
  local found = self.feeds[place]
  if not found then
    found = feed.new(key)
    self.feeds[place] = found
  end
  return found
end

--- The next delta; nil at the end; nil and an error.
local function next_delta(self)
  if not self.live then
    local ok, err = open(self)
    if not ok then return nil, err end
  end
  return self.live:next()
end

local function close(self)
  if self.over then return end
  if self.live then self.live:close() end
  self.over, self.meta = true, self.job:meta()
end

--- What the end of the answer says is wrong with it as a whole, or nil; and the reading.
local function verdict(self)
  local result = self.live.result
  local err = extraction.declined(result)
  if err then return err end
  local reading = answer.read(result, self.job.mode, self.plan.name, self.plan.key)
  if result.finish_reason == "length" and reading.problems then
    return extraction.truncated(self.plan, self.opts, reading.text, self.opts.max_tokens), reading
  end
  if reading.problems then return reask.failure(reading.problems, nil, reading.text), reading end
  return nil, reading
end

-- ---- extract_many ----

---@class muster.llm.many : muster.llm.reader
local Many = {}
Many.__index = Many

--- Checks an item that was closed: into the queue, or to the rejects.
local function judge(self, value)
  self.seen = self.seen + 1
  local record, problems, spans = plans.check(self.node, value, self.opts, self.ground)
  if record == nil then
    problems = problems or reask.problem("type", "expected a record, got null")
    local reject = {index = self.seen, value = value, errors = problems}
    table.insert(self.job.rejects, reject)
    if not self.opts.settle then return end
    record = false
  end
  for _, span in ipairs(spans or {}) do
    span.item = self.seen
    table.insert(self.job.spans, span)
  end
  table.insert(self.queue, {record, self.seen, problems and reask.failure(problems, value) or nil})
end

local function take_delta(self, delta)
  spread(self, delta, function(place, text)
    for _, value in ipairs(feed_at(self, place, "items"):take(text)) do judge(self, value) end
  end)
end

--- At the end: what did not close in the stream, because the JSON was elsewhere than it should be.
local function take_end(self)
  local err, reading = verdict(self)
  local value = reading and self.plan:unwrap(reading.values[1])
  if type(value) == "table" then
    for i = self.seen + 1, #value do judge(self, value[i]) end
    if self.seen == 0 and next(value) ~= nil then
      local list = plans.check(self.plan.schema, value, self.opts)
      if not list then err = err or reask.failure(reask.problem("type", "expected a list of records"), value) end
    end
  end
  self.ended, self.broken = true, err
end

--- Reads on until there is something to deliver, or the end.
local function fill(self)
  while not self.queue[1] and not self.ended do
    local delta, err = next_delta(self)
    if delta then
      take_delta(self, delta)
    elseif err then
      self.ended, self.broken = true, err
    else
      take_end(self)
    end
  end
end

--- Delivers record, index; with `settle` also false, index, err. Raises what breaks it off, after all that came.
function Many:__call()
  if self.over then
    if self.err then error(self.err, 0) end
    return nil
  end
  fill(self)
  local item = table.remove(self.queue, 1)
  if item then return item[1], item[2], item[3] end
  finish(self, self.broken)
  if self.err then error(self.err, 0) end
  return nil
end

Many.close, Many.__close = close, close

--- An iterator over the records of a list, each as soon as the answer has closed it. What does not fit is left out, and
--- is in `meta.rejects`; with `settle` it is delivered as `false, index, err`.
---@return muster.llm.many
function M.extract_many(client, node, messages, opts)
  local self = new_reader(Many, client, node, messages, opts, plans.of_list)
  self.queue, self.seen, self.job.rejects, self.job.spans = {}, 0, {}, {}
  return self, nil, nil, self
end

-- ---- partial ----

---@class muster.llm.partial : muster.llm.reader
local Partial = {}
Partial.__index = Partial

--- The record at the end, checked.
local function conclude(self)
  local err, reading = verdict(self)
  if err then return finish(self, err) end
  local value = self.plan:unwrap(reading.values[1])
  local record, problems, spans = plans.check(self.node, value, self.opts, self.ground)
  if record == nil then
    problems = problems or reask.problem("type", "expected a record, got null")
    return finish(self, reask.failure(problems, value, reading.text))
  end
  self.record, self.job.spans = record, spans
  finish(self)
end

--- The next state of the record. The last one is checked; if it is wrong, that is raised.
function Partial:__call()
  while not self.over do
    local delta, err = next_delta(self)
    if not delta then
      if err then finish(self, err) else conclude(self) end
      if self.record ~= nil then return self.record end
      break
    end
    local place
    spread(self, delta, function(at, text)
      feed_at(self, at):take(text)
      place = place or at
    end)
    local value = place and self.feeds[place]:partial()
    value = value ~= nil and self.plan:unwrap(value) or nil
    if value ~= nil then return value end
  end
  if self.err then error(self.err, 0) end
end

--- The checked record, at the end; else nil, and what broke it off.
function Partial:result()
  if self.record ~= nil then return self.record, self.meta end
  return nil, self.err
end

Partial.close, Partial.__close = close, close

--- An iterator over what is there of a record while the answer streams: best effort, not checked. The last one is the
--- record itself, checked.
---@return muster.llm.partial
function M.partial(client, node, messages, opts)
  local self = new_reader(Partial, client, node, messages, opts, plans.of)
  return self, nil, nil, self
end

return M
