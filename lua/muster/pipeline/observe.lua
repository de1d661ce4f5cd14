--- A run that is reported on: its items carry their times, and those of their stages. Other runs pay nothing for it.
local async = require "muster"
local failure = require "muster.failure"
local fs = require "muster.fs"
local report = require "muster.report"

local M = {}

---@class muster.pipeline.observer
---@field pipeline muster.pipeline the same one, with stages that are timed
---@field report muster.report
local Observer = {}
Observer.__index = Observer

--- Adds a name, a start and an end to what the item has been through. Of a stage that raises, the end is not known yet.
local function timed_stage(stage)
  local fn, name, now = stage.fn, stage.name, async.now
  return setmetatable({fn = function(value, item)
    local stages = item.stages
    local n, started = #stages, now()
    stages[n + 1], stages[n + 2], stages[n + 3] = name, started, started
    local result, err = fn(value, item)
    stages[n + 3] = now()
    return result, err
  end}, {__index = stage})
end

local function names_of(stages)
  local names = {}
  for i, stage in ipairs(stages) do names[i] = stage.name end
  return names
end

--- The file is written at the end; that it cannot be is better known at the beginning.
local function check_place(path)
  local directory = path:match "^(.*/)[^/]*$" or "."
  local stat, err = fs.stat(directory)
  if not stat then return nil, err end
  if stat.type == "directory" then return true end
  return nil, failure.new("not_directory", "write " .. path, "not a directory", {path = path})
end

---@async
---@param pipeline muster.pipeline
---@param path string of the report
---@return muster.pipeline.observer?
---@return muster.error?
function M.new(pipeline, path)
  local ok, err = check_place(path)
  if not ok then return nil, err end
  local stages = {}
  for i, stage in ipairs(pipeline.stages) do stages[i] = timed_stage(stage) end
  local self = setmetatable({path = path, pipeline = setmetatable({stages = stages}, {__index = pipeline})}, Observer)
  self.report = report.new {title = pipeline.name, client = pipeline.client, limiter = pipeline.limiter,
    text = pipeline.text, stages = names_of(stages)}
  self.watching = self.report:watch()
  return self
end

--- What takes an item through the stages, timed.
---@param process fun(running: table, item: muster.pipeline.item): muster.pipeline.item
function Observer.timed(_, process)
  local now = async.now
  return function(running, item)
    item.started, item.stages = now(), {}
    item = process(running, item)
    item.ended = now()
    if item.stage and item.stages[1] then item.stages[#item.stages] = item.ended end
    return item
  end
end

---@async
---@param item muster.pipeline.item
function Observer:add(item) self.report:add(item) end

--- Writes the report: once.
---@async
---@param summary muster.pipeline.summary
---@param err any why the run did not come to its end
---@return true?
---@return muster.error?
function Observer:write(summary, err)
  getmetatable(self.watching).__close(self.watching)
  self.written = true
  return self.report:write(self.path, summary, err)
end

--- A run that was cut short has a report, too.
function Observer:__close(err)
  if not self.written then async.shield(self.write, self, self.summary, err) end
end

return M
