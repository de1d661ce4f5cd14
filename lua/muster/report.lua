--- Reports of runs: one HTML file that needs nothing else, to look at what was done, when, how long it took, what
--- failed, what it cost, and the records in their source texts.
--
--   local r = report.new {title = "people", client = client, limiter = limiter}
--   async.map(texts, function(text) return r:run(text:sub(1, 40), extract, text) end, {limit = 20})
--   assert(r:write "run.html")
--
-- Of a pipeline: pipeline{…}:run{report = "run.html"}. Everything is counted; what is shown of single items is, of a
-- long run, a sample: memory stays the same, and the file within a few megabytes.
local async = require "muster"
local Bins = require "muster.report.bins"
local Entry = require "muster.report.entry"
local Histogram = require "muster.report.histogram"
local Sample = require "muster.report.sample"
local options = require "muster.options"
local watch = require "muster.report.watch"

local M = {}

local STAGES <const>, KINDS <const>, STATUSES <const> = 40, 100, 20 -- names that are told apart
local OTHERS <const> = "(others)"

---@class muster.report.item of a run; every field may be missing
---@field key any how it is named
---@field position integer? its place among the others
---@field status string? "done", "failed" or any other; else `state`, else what `error` tells
---@field started number? as async.now() told
---@field ended number?
---@field stages table? what it went through: name, start, end, name, start, end, …
---@field error any
---@field stage string? where it failed
---@field value any what it was made of
---@field result any the record
---@field text string? the source text
---@field spans any the places in it that the record is from: see muster.report.spans
---@field recalled boolean? it was done by an earlier run: it is in no times

---@class muster.report
local Report = {}
Report.__index = Report
Report.__name = "report"

local kinds, has = options.kinds, options.has

local known = {
  title = {function(v) return type(v) == "string" end, "a string"},
  client = {has "usage", "a client with a method usage"},
  limiter = {has "stats", "a limiter"},
  text = {function(v) return type(v) == "function" end, "a function"},
  stages = {function(v) return type(v) == "table" end, "a list of names"},
  first = kinds.size, failures = kinds.size, others = kinds.size, bytes = kinds.size,
}

--- Begins a report; times are told from now on.
--
-- title: what stands above it. stages: names of those that are known before, in their order. client: whose usage is
-- told, from now on. limiter: whose waits are told. text: a function text(item, record) that returns the source text of
-- an item and the spans of its record; it is called for items that are shown, and may await. first, failures, others:
-- how many items are shown at most (200, 500, 1,000). bytes: about how many their texts take (4 MB); they are cut so
-- that all fit.
---@param opts table?
---@return muster.report
function M.new(opts)
  opts = options.check("report.new", opts, known)
  local self = setmetatable({
    title = opts.title or "Run", client = opts.client, text = opts.text, began = async.now(), clock = os.time(),
    items = 0, statuses = {}, latency = Histogram.new(), stages = {}, stage_index = {}, errors = {}, error_index = {},
    bins = Bins.new(), used_before = opts.client and opts.client:usage(), limiter = watch.new(opts.limiter),
    sample = Sample.new {first = opts.first or 200, failures = opts.failures or 500, others = opts.others or 1000,
      bytes = opts.bytes or 4 * 1024 * 1024},
  }, Report)
  self.limiter:look(self.began, true)
  for _, name in ipairs(opts.stages or {}) do self:stage(name) end
  return self
end

-- ---- counting ----

--- The index of a name in a list of things that are counted; from `most` names on, they are counted together.
local function index_of(list, indexes, name, most, make)
  local index = indexes[name]
  if index then return index end
  if #list >= most then name = OTHERS end
  index = indexes[name]
  if not index then
    index = #list + 1
    list[index], indexes[name] = make(name), index
  end
  return index
end

local function new_stage(name) return {name = name, failed = 0, times = Histogram.new()} end

--- What is counted of a stage.
---@private
function Report:stage(name)
  if type(name) ~= "string" then name = tostring(name) end
  return self.stages[index_of(self.stages, self.stage_index, name:sub(1, 200), STAGES, new_stage)]
end

local function count_times(self, item, has_failed)
  local started, ended = item.started, item.ended
  if type(started) ~= "number" or type(ended) ~= "number" or item.recalled then return end
  local seconds = ended - started
  if seconds ~= seconds or math.abs(seconds) == math.huge then return end
  self.latency:add(seconds)
  self.bins:add(started - self.began, ended - self.began, has_failed)
  local stages = item.stages
  if not stages then return end
  for i = 1, #stages, 3 do self:stage(stages[i]).times:add(stages[i + 2] - stages[i + 1]) end
end

local function count_error(self, item)
  local kind, message = Entry.read_error(item.error)
  local stage = item.stage
  if stage ~= nil then
    local entry = self:stage(stage)
    entry.failed, stage = entry.failed + 1, entry.name
  end
  local index = index_of(self.errors, self.error_index, kind .. "\0" .. (stage or ""), KINDS, function(name)
    if name == OTHERS then return {kind = OTHERS, count = 0} end
    return {kind = kind, stage = stage, count = 0, message = message:sub(1, 500), position = item.position}
  end)
  self.errors[index].count = self.errors[index].count + 1
end

local function status_of(self, item)
  local status = item.status or item.state or item.error ~= nil and "failed" or "done"
  status = tostring(status)
  if not self.statuses[status] then
    local n = 0
    for _ in pairs(self.statuses) do n = n + 1 end
    if n >= STATUSES then status = OTHERS end
  end
  self.statuses[status] = (self.statuses[status] or 0) + 1
  return status
end

local is_well = {done = true, repeated = true, taken = true}

--- Counts an item that has ended, and maybe keeps what is to be shown of it.
---@async
---@param item muster.report.item
function Report:add(item)
  if type(item) ~= "table" then error("report:add: expected a table, got " .. type(item), 2) end
  self.items = self.items + 1
  local number = self.items
  local status = status_of(self, item)
  local has_failed = not is_well[status]
  count_times(self, item, has_failed)
  if item.error ~= nil then count_error(self, item) end
  self.limiter:look(self.began)
  local list, index = self.sample:place(has_failed)
  if not list then return end
  list[index] = list[index] or {size = 0, number = number, clip = function() end, facts = function() end} -- its place
  local entry = Entry.new(item, status, {text = self.text, limit = self.sample.limit, stages = self.stage_index})
  entry.number = number
  self.sample:put(list, index, entry)
end

-- What fn returned, or that it raised: added, and passed on.
local function ended(self, item, ok, ...)
  local value, err = ...
  item.ended = async.now()
  if ok and (value ~= nil or err == nil) then
    item.result = value
  else
    item.error = ok and err or value
    if item.error == nil then item.error = "nil" end
    if not ok and async.is_cancelled(value) then item.status, item.error = "cancelled", nil end
  end
  self:add(item)
  if not ok then error(value, 0) end
  return ...
end

--- Calls fn(...) and adds what came of it as an item: done; failed, if it raised or returned nil and an error; or
--- cancelled. The results, or the error, are passed on.
---@async
---@param name any how the item is named
---@param fn function
---@param ... any
---@return any ...
function Report:run(name, fn, ...)
  if type(fn) ~= "function" then error("report:run: expected a function, got " .. type(fn), 2) end
  self.begun = (self.begun or 0) + 1
  local item = {key = name, position = self.begun, started = async.now()}
  return ended(self, item, pcall(fn, ...))
end

--- Looks at the limiter a few times a second, also while no item ends, until what it returns is closed.
---@return table
function Report:watch() return self.limiter:start(self.began) end

-- ---- the page ----

--- What the client has used since the report began: numbers, and whether some are estimates.
local function usage_of(self)
  if not self.client then return nil end
  local used = {}
  for name, value in pairs(self.client:usage()) do
    local before = self.used_before[name]
    if type(value) == "number" then value = value - (type(before) == "number" and before or 0) end
    if type(value) == "boolean" or type(value) == "number" and math.abs(value) < math.huge then used[name] = value end
  end
  return used
end

local function stage_facts(self)
  local list = {}
  for i, stage in ipairs(self.stages) do
    list[i] = stage.times:facts()
    list[i].name, list[i].failed = stage.name, stage.failed
  end
  return list
end

local function shown(self)
  local list = {}
  for _, entry in ipairs(self.sample:all()) do list[#list + 1] = entry:facts(self.began) end
  return list
end

local counters = {"items", "done", "recalled", "parked", "skipped", "stopped", "repeated", "taken", "records",
  "seconds"}

local function summary_of(self, summary)
  local facts = {}
  for _, name in ipairs(counters) do facts[name] = summary and tonumber(summary[name]) or nil end
  facts.items, facts.seconds = facts.items or self.items, facts.seconds or async.now() - self.began
  return facts
end

--- The page.
---@param summary table? of a pipeline's run: records, recalled, seconds
---@param err any why the run did not come to its end
---@return string html
function Report:html(summary, err)
  local json, page = require "muster.json", require "muster.report.page"
  local sample, items = self.sample, shown(self)
  self.limiter:look(self.began, true)
  local problem
  if err ~= nil then problem = {Entry.read_error(err)} end
  return page.make(self.title, {
    title = self.title, at = os.date("!%Y-%m-%d %H:%M:%SZ", self.clock), summary = summary_of(self, summary),
    problem = problem, statuses = json.object(self.statuses), latency = self.latency:facts(true),
    stages = json.array(stage_facts(self)), errors = json.array(self.errors), bins = self.bins:facts(),
    limiter = self.limiter:facts(), usage = usage_of(self), items = json.array(items),
    sample = {shown = #items, of = self.items, first = #sample.first, failures = #sample.failures,
      failed = sample.failed, others = #sample.others, rest = sample.rest},
  })
end

--- Writes the page: others see the old file, or the whole new one.
---@async
---@param path string
---@param summary table? of a pipeline's run: records, recalled, seconds
---@param err any why the run did not come to its end
---@return true?
---@return muster.error?
function Report:write(path, summary, err)
  require "muster.failure".check_path("report:write", path)
  return require "muster.fs".write(path, self:html(summary, err), {atomic = true})
end

return M
