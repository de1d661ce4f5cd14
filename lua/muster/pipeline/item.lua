--- One item on its way through a pipeline.
local async = require "muster"
local digest = require "muster.digest"
local failure = require "muster.failure"
local json = require "muster.json"

local M = {}

---@class muster.pipeline.item
---@field key string what it is known by, from run to run
---@field position integer its place in the source
---@field value any what the source gave
---@field state "done"|"parked"|"skipped"|"stopped"|"repeated"|"taken"|nil what has come of it
---@field result any
---@field error any
---@field recalled boolean? did the journal know it?
---@field broken muster.error? why the journal could not keep it
---@field raw string? the answers that an earlier run has kept for it, as JSON

--- A name for a value that has none: its place, and what it says.
local function key_of(value, position)
  local ok, text = pcall(json.encode, value, {canonical = true, invalid_utf8 = "replace"})
  return position .. " " .. digest.sha256(ok and text or tostring(value)):sub(1, 16)
end

--- The key as the script wants it.
local function given_key(pipeline, value, position)
  local ok, key = pcall(pipeline.key, value)
  if not ok then
    if type(key) == "string" then key = ("%s (the function 'key', of item %d)"):format(key, position) end
    error(key, 0)
  end
  if (type(key) == "string" or type(key) == "number") and key ~= "" then return tostring(key) end
  error(("pipeline: the function 'key' must return a string or a number, got %s for item %d"):format(
    key == "" and "an empty string" or type(key), position), 0)
end

---@return muster.pipeline.item
function M.new(pipeline, value, key, position)
  if pipeline.key then
    key = given_key(pipeline, value, position)
  elseif (not key or key == "") and pipeline.journal_path then
    key = key_of(value, position)
  end
  return {key = key or position, position = position, value = value}
end

-- ---- stages ----

local function call(stage, value, item)
  if not stage.room then return stage.fn(value, item) end
  local permit <close> = stage.room:acquire() -- luacheck: ignore permit
  return stage.fn(value, item)
end

local function all(stages, item)
  local value = item.value
  for i = 1, #stages do
    local stage = stages[i]
    local err
    item.stage = stage.name
    value, err = call(stage, value, item)
    if value == nil then return nil, err end
  end
  item.stage = nil
  return value
end

--- Through all stages: what comes out, nil if it was left out, nil and an error if one failed.
---@async
function M.through(pipeline, item)
  if not pipeline.timeout then return all(pipeline.stages, item) end
  return async.timeout(pipeline.timeout, all, pipeline.stages, item)
end

-- ---- the journal ----

--- What is told of an error that an earlier run had.
local function error_of(entry)
  local told = type(entry.error) == "table" and entry.error or {}
  local err = failure.new(told.kind or "failed", "in an earlier run", told.message or "no reason is known")
  err.status, err.code = told.status, told.code
  return err
end

--- What an item's journal entry means for it: true if there is nothing more to do.
local function settle(item, entry)
  item.raw = entry.raw
  if entry.todo then return false end
  item.recalled = not entry.own and entry.state ~= "taken"
  if entry.own then
    item.state = "repeated"
  elseif entry.state == "taken" then
    item.state = "taken" -- at work in another process that shares the journal
  elseif entry.state == "done" then
    item.state, item.result = "done", entry.result
    if item.result == json.null then item.result = nil end
  else
    item.state, item.error = entry.state == "failed" and "skipped" or "parked", error_of(entry)
  end
  return true
end

local working = setmetatable({}, {__mode = "k"}) -- by task: {journal, item}

--- Does the journal know what has come of the item? Then the item is told. Otherwise it is claimed.
---@async
function M.recall(journal, item)
  local entry, err = journal:claim(item.key)
  if not entry then
    item.state, item.error, item.broken = "stopped", err, err
    return true
  end
  if settle(item, entry) then return true end
  working[async.current()] = {journal = journal, item = item}
  return false
end

--- Keeps what has come of an item; returns once that is on the disk.
---@async
function M.keep(journal, item)
  local ok, err = true, nil
  if item.state == "done" then
    local value = item.result
    if value == nil then value = json.null end
    local encodable, problem = pcall(json.encode, value)
    if encodable then
      ok, err = journal:done(item.key, value)
    else
      item.state = "parked"
      item.error = failure.new("result", "item " .. item.position, "its result is no JSON: " .. problem)
    end
  end
  if item.state == "parked" then ok, err = journal:parked(item.key, item.error) end
  if item.state == "skipped" then ok, err = journal:failed(item.key, item.error) end
  if ok then return end
  if err.kind == "lost" then -- while this process stood still, another has taken it over
    item.state, item.result, item.error = "taken", nil, nil
  else
    item.broken = err
  end
end

-- ---- answers that are kept ----

--- A cache, for `llm.client {cache = pipeline.cache}`: answers are kept in the journal with the item that asked, so
--- that a run that is killed after an answer has come does not ask again. Outside of a pipeline with a journal it keeps
--- nothing; nor what tasks ask that a stage makes, by gather or spawn: whose item they work for is not known.
local Cache = {}
Cache.__index = Cache

local function answers_of(item)
  if not item.answers then item.answers = json.decode(item.raw or "{}") or {} end
  return item.answers
end

function Cache:get(key) -- luacheck: ignore self
  local at = working[async.current()]
  return at and answers_of(at.item)[key]
end

---@async
function Cache:put(key, value) -- luacheck: ignore self
  local at = working[async.current()]
  if not at then return true end
  local answers = answers_of(at.item)
  answers[key] = value
  return at.journal:responded(at.item.key, json.encode(answers))
end

M.cache = setmetatable({}, Cache)

return M
