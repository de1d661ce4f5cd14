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
---@field state "done"|"parked"|"skipped"|"stopped"|"repeated"|nil what has come of it
---@field result any
---@field error any
---@field recalled boolean? did the journal know it?
---@field broken muster.error? why the journal could not keep it

--- A name for a value that has none: its place, and what it says.
local function key_of(value, position)
  local ok, text = pcall(json.encode, value, {canonical = true, invalid_utf8 = "replace"})
  return position .. " " .. digest.sha256(ok and text or tostring(value)):sub(1, 16)
end

--- The key as the script wants it.
local function given_key(pipeline, value)
  local key = pipeline.key(value)
  if type(key) == "string" or type(key) == "number" then return tostring(key) end
  error(("pipeline: the function 'key' must return a string or a number, got %s"):format(type(key)), 0)
end

---@return muster.pipeline.item
function M.new(pipeline, value, key, position)
  if pipeline.key then
    key = given_key(pipeline, value)
  elseif not key and pipeline.journal_path then
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

local function error_text(item)
  local err = item.error
  local fields = {message = tostring(err), stage = item.stage}
  if type(err) == "table" then
    fields.kind = type(err.kind) == "string" and err.kind or nil
    fields.message = type(err.message) == "string" and err.message or fields.message
  end
  return json.encode(fields, {invalid_utf8 = "replace"})
end

--- What is told of an error that an earlier run had.
local function error_of(text)
  local fields = json.decode(text or "") or {}
  return failure.new(fields.kind or "failed", fields.stage or "item", fields.message or "failed in an earlier run")
end

--- Does the journal know what has come of the item? Then the item is told. Otherwise it is claimed.
function M.recall(journal, item)
  local entry, err = journal:claim(item.key, item.position)
  if not entry then
    item.state, item.error, item.broken = "stopped", err, err
    return true
  end
  local state = entry.state
  if state == "claimed" then return false end
  item.state, item.recalled = state, true
  if state == "done" then
    item.result = json.decode(entry.result)
    if item.result == json.null then item.result = nil end
  elseif state ~= "repeated" then
    item.error = error_of(entry.error)
  end
  return true
end

local function encode(item)
  local value = item.result
  if value == nil then value = json.null end
  return pcall(json.encode, value)
end

--- Keeps what has come of an item; returns once that is on the disk.
function M.keep(journal, item)
  local ok, err = true, nil
  if item.state == "done" then
    local encoded, text = encode(item)
    if encoded then
      ok, err = journal:done(item.key, text)
    else
      item.state = "parked"
      item.error = failure.new("result", "item " .. item.position, "its result is no JSON: " .. text)
    end
  end
  if item.state == "parked" then ok, err = journal:parked(item.key, error_text(item)) end
  if item.state == "skipped" then ok, err = journal:failed(item.key, error_text(item)) end
  if not ok then item.broken = err end
end

return M
