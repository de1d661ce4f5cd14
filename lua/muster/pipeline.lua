--- Pipelines: a source, stages in one visible order, a sink; bounded memory, progress, and, with a journal, runs that
--- can be killed at any instant and resumed.
--
--   local run = pipeline {
--     source = pipeline.source.files "/usr/share/doc/*/copyright",
--     read, rules, ask_for_the_rest, merge,
--     sink = pipeline.sink.jsonl "copyrights.jsonl",
--     limit = 100, journal = "copyrights.db",
--   }
--   os.exit(run:main(arg))
--
-- A stage is a plain function: stage(value, item) returns the value for the next one; nil to leave the item out; nil
-- and an error, or raises, if it failed. Each item goes through all stages in a task of its own, at most `limit` at
-- once. The records reach the sink in the order of the source. With a journal an item's result and that it is done are
-- one commit, and the output is what the journal holds: exactly once, though a call that was under way when the run
-- was killed is made again.
--
-- run:run {report = "run.html"} also writes a page on the run, to look at: see muster.report. It shows records in their
-- source texts if stages set item.text and item.spans, or if the pipeline has `text = function(item, record) return
-- text, spans end`, which is called for the items that are shown. Spans are those of a grammar's match, of grounding,
-- or {field = {first, last}}.
local async = require "muster"
local failure = require "muster.failure"
local fingerprint = require "muster.pipeline.fingerprint"
local item_of = require "muster.pipeline.item"
local options = require "muster.options"
local progress = require "muster.progress"
local sink = require "muster.pipeline.sink"
local source = require "muster.pipeline.source"
local summary = require "muster.pipeline.summary"

local M = {source = source, sink = sink, cache = item_of.cache}

local DEFAULT_LIMIT <const> = 16
local GIVE_UP <const> = 100 -- failures in a row after which a service counts as down

---@class muster.pipeline
---@field name string
---@field stages muster.pipeline.stage[]
local Pipeline = {}
Pipeline.__index = Pipeline
Pipeline.__name = "pipeline"

-- ---- what is given ----

local is_callable = options.is_callable

local a_string = {function(v) return type(v) == "string" and v ~= "" end, "a string, not empty"}
local a_table = {function(v) return type(v) == "table" end, "a table"}
local a_function = {is_callable, "a function"}
local anything = {function() return true end}
local policies = {park = true, skip = true, stop = true}

local known = {
  name = a_string, source = anything, sink = anything, key = a_function, limit = options.kinds.count,
  buffer = options.kinds.size, journal = a_string, fingerprint = a_table, timeout = options.kinds.seconds,
  on_error = {function(v) return policies[v] end, '"park", "skip" or "stop"'},
  order = {function(v) return v == "input" or v == "completion" end, '"input" or "completion"'},
  give_up = options.kinds.count, many = options.kinds.flag, share = options.kinds.flag, client = a_table,
  limiter = a_table, text = a_function,
}

local function stage_of(i, value)
  local stage = value
  if not is_callable(value) then
    if type(value) ~= "table" or not is_callable(value[2]) or type(value[1]) ~= "string" then
      error(("pipeline: stage %d must be a function, or {name, function, limit=}, got %s"):format(i, type(value)), 4)
    end
    local opts = {}
    for name, option in pairs(value) do
      if type(name) == "string" then opts[name] = option end
    end
    options.check("pipeline: stage " .. value[1], opts, {limit = options.kinds.count})
    stage = value[2]
    return {name = value[1], fn = stage, room = opts.limit and async.semaphore(opts.limit)}
  end
  return {name = "stage " .. i, fn = stage}
end

local function split(spec)
  local opts, stages = {}, {}
  for name, value in pairs(spec) do
    if math.type(name) ~= "integer" then opts[name] = value end
  end
  for i = 1, #spec do stages[i] = stage_of(i, spec[i]) end
  return opts, stages
end

local function expected(name, what, value)
  error(("pipeline: option '%s' must be %s, got %s"):format(name, what, tostring(value)), 3)
end

local function check_share(opts, to)
  if not opts.share then return end
  if not opts.journal then error("pipeline: option 'share' needs a journal", 3) end
  if not to.path then return end
  local text = "pipeline: option 'share' needs a sink in which several processes can write, such as a table, not %s"
  error(text:format(to.path), 3)
end

local function make(_, spec)
  if type(spec) ~= "table" then error("pipeline: expected a table, got " .. type(spec), 2) end
  local opts, stages = split(spec)
  options.check("pipeline", opts, known)
  local from = source.of(opts.source)
  local to = opts.sink == nil and sink.call(function() end) or sink.of(opts.sink)
  if not from then expected("source", "a source, a list or an iterator", opts.source) end
  if not to then expected("sink", "a sink, a function or a path that ends in .jsonl", opts.sink) end
  check_share(opts, to)
  return setmetatable({
    name = opts.name or "pipeline", source = from, stages = stages, sink = to, key = opts.key,
    limit = opts.limit or DEFAULT_LIMIT, buffer = opts.buffer, journal_path = opts.journal, timeout = opts.timeout,
    on_error = opts.on_error or "park", ordered = opts.order ~= "completion", many = opts.many, client = opts.client,
    limiter = opts.limiter, text = opts.text, fingerprint = opts.fingerprint or {},
    share = opts.share, give_up = opts.give_up or GIVE_UP,
  }, Pipeline)
end

-- ---- one run ----

---@class muster.pipeline.running the state of one run
---@field pipeline muster.pipeline
---@field summary muster.pipeline.summary
---@field bar muster.progress
---@field journal muster.journal|false
---@field writer table of the sink
---@field observer muster.pipeline.observer? of a run that is reported on
---@field stopped any the error for which no more items are taken
---@field outage integer failures of a service since the last success

--- The items of the source, one at a time: what async.stream pulls.
local function feed(self)
  local step, closing = self.pipeline.source.open()
  local position = 0
  self.closing = closing
  return function()
    if self.stopped then return nil end
    local value, key = step()
    if value == nil then
      if key ~= nil then error(key, 0) end -- nil and an error: not the end of the source
      return nil
    end
    position = position + 1
    return item_of.new(self.pipeline, value, key, position)
  end
end

--- Is this task told to end? A stage may also have waited for somebody else who was.
local function is_cancelled_here(err)
  if not async.is_cancelled(err) then return false end
  local ok, own = pcall(async.yield)
  return not ok and async.is_cancelled(own)
end

--- What came out of the last stage: the result; nil and an error if it is none.
local function checked(self, item, value)
  if not self.pipeline.many or value == nil then return value end
  if type(value) == "table" and (#value > 0 or next(value) == nil) then return value end
  local what = type(value) == "table" and "a table with names" or type(value)
  return nil, failure.new("result", "item " .. item.position, "with 'many' its result must be a list, got " .. what)
end

--- Failures that could pass by themselves, without a success between them, are the service's, not the items'.
local function count_outage(self, err)
  if type(err) ~= "table" or not err.retryable then return end
  self.outage = self.outage + 1
  if self.outage < self.pipeline.give_up then return end
  local text = ("%d items failed one after the other; the last: %s"):format(self.outage, tostring(err.message or err))
  self.stopped = self.stopped or failure.new("outage", "pipeline " .. self.pipeline.name, text, {cause = err})
end

--- What a failure means for the run.
local function failed(self, item, err)
  if not err then
    local what = "it failed with " .. tostring(err)
    err = failure.new("failed", item.stage or "item " .. item.position, what)
  end
  item.error = err
  local policy = type(err) == "table" and err.fatal and "stop" or self.pipeline.on_error
  item.state = policy == "stop" and "stopped" or policy == "skip" and "skipped" or "parked"
  if policy == "stop" then self.stopped = self.stopped or err end
  count_outage(self, err)
  return item
end

--- Takes an item through the stages: the item, with its state and its result or its error.
local function process(self, item)
  local journal = self.journal
  if journal and item_of.recall(journal, item) then return item end
  local ok, value, err = pcall(item_of.through, self.pipeline, item)
  if not ok then
    if is_cancelled_here(value) then error(value, 0) end
    value, err = nil, value
  elseif err == nil then
    value, err = checked(self, item, value)
  end
  if not ok or err ~= nil and value == nil then
    failed(self, item, err)
  else
    item.state, item.result = "done", value
    self.outage = 0
  end
  if journal then item_of.keep(journal, item) end
  return item
end

local function write_records(self, item)
  if item.state ~= "done" or item.result == nil then return true end
  if not self.pipeline.many then
    self.summary.records = self.summary.records + 1
    return self.writer:write(item.result, item, 1)
  end
  for part, record in ipairs(item.result) do
    self.summary.records = self.summary.records + 1
    local ok, err = self.writer:write(record, item, part)
    if not ok then return nil, err end
  end
  return true
end

--- Deals with what has come of an item. Nil and an error if the run cannot go on.
local function take(self, item)
  self.summary:count(item)
  if self.observer then self.observer:add(item) end
  if self.bar then
    if item.error == nil then self.bar:done() else self.bar:fail() end
  end
  if item.broken then return nil, item.broken end
  if item.state ~= "done" and item.state ~= "stopped" and item.error and self.writer.failed then
    return self.writer:failed(item)
  end
  return write_records(self, item)
end

local function go_through(self)
  local p = self.pipeline
  local work = self.observer and self.observer:timed(process) or process
  local stream <close> = async.stream(feed(self), function(item) return work(self, item) end,
    {limit = p.limit, ordered = p.ordered, buffer = p.buffer})
  for item in stream do
    local ok, err = take(self, item)
    if not ok then return nil, err end
  end
  if self.stopped then return nil, self.stopped end
  return true
end

local function close_source(self, err)
  local close = self.closing and (getmetatable(self.closing) or {}).__close
  if close then close(self.closing, err) end
end

--- The journal; false if there is to be none; nil and an error.
local function open_journal(p, opts)
  if not p.journal_path then return false end
  local opened, err = require "muster.journal".open(p.journal_path,
    {fingerprint = fingerprint.of(p), fresh = opts.fresh, mixed = opts.mixed, share = p.share})
  if not opened or not opts.retry_failed then return opened, err end
  local ok
  ok, err = opened:retry_failed()
  if ok then return opened end
  opened:close()
  return nil, err
end

local run_options = {
  fresh = options.kinds.flag, mixed = options.kinds.flag, retry_failed = options.kinds.flag, quiet = options.kinds.flag,
  report = a_string,
}

local function run(self, p, opts)
  local journal <close>, err = open_journal(p, opts)
  if journal == nil then return nil, err end
  self.journal = journal
  self.writer, err = p.sink.open()
  if not self.writer then return nil, err end
  local finished = false
  local _ <close> = setmetatable({}, {__close = function(_, problem)
    close_source(self, problem)
    if not finished then async.shield(self.writer.finish, self.writer, false) end
  end})
  local ok, why = go_through(self)
  finished = true
  local written, problem = self.writer:finish(ok, self.summary)
  if not ok then return nil, why end
  return written, problem
end

--- What the report is made by; false if there is to be none; nil and an error.
local function observed(self, opts, counts)
  if not opts.report then return false end
  local observer, err = require "muster.pipeline.observe".new(self, opts.report)
  if observer then observer.summary = counts end
  return observer, err
end

--- Runs it: every item of the source that the journal does not know to be done.
---@async
---@param opts {fresh: boolean?, mixed: boolean?, retry_failed: boolean?, quiet: boolean?, report: string?}?
--- fresh: forget what earlier runs have done; mixed: keep it, though the script or the schema has changed;
--- retry_failed: try the parked and skipped items again; quiet: show no progress;
--- report: the path of an HTML file to look at, which is written at the end, however that comes
---@return muster.pipeline.summary? summary
---@return any error
---@return muster.pipeline.summary? summary how far the run has come, if it failed
function Pipeline:run(opts)
  opts = options.check("pipeline:run", opts, run_options)
  local counts = summary.new(self, async.now)
  local bar <close> = progress.start {label = self.name, total = self.source.total, quiet = opts.quiet or false,
    client = self.client, limiter = self.limiter}
  local observer <close>, problem = observed(self, opts, counts)
  if observer == nil then return nil, problem end
  local pipeline = observer and observer.pipeline or self
  local ok, err = run({pipeline = pipeline, summary = counts, bar = bar, outage = 0, observer = observer or nil}, self,
    opts)
  counts:finish()
  bar:finish()
  if observer then
    local written, why = observer:write(counts, err)
    if ok and not written then ok, err = nil, why end
  end
  if ok then return counts end
  return nil, err, counts
end

--- How many items of the journal are in each state, and in `total`; of a run that may be at work in another process.
---@async
---@return table<string, integer>?
---@return muster.error?
function Pipeline:status()
  if not self.journal_path then error("pipeline:status: the pipeline has no journal", 2) end
  return require "muster.journal".status(self.journal_path)
end

--- Runs it as a script's arguments say: --fresh, --mixed, --retry-failed, --status, --report FILE, --quiet, --help.
---@async
---@param arguments string[] `arg`
---@return integer code for os.exit: 0; 1 if the run could not go on; 2 for a wrong option; 3 if items failed
function Pipeline:main(arguments)
  if type(arguments) ~= "table" then error("pipeline:main: expected the arguments, got " .. type(arguments), 2) end
  return require "muster.pipeline.command".main(self, arguments)
end

return setmetatable(M, {__call = make})
