--- The pipeline: changelogs in, a record of each release out.
local async = require "muster"
local failure = require "muster.failure"
local files = require "changelogs.files"
local pipeline = require "muster.pipeline"
local record = require "changelogs.record"

local M = {}

local TURN <const> = 20 -- records that are made before others have their turn

--- The records of a text; nil and an error if it has none.
local function entries(text, item)
  local list = {}
  for one in record.each(text) do
    list[#list + 1] = one
    if #list % TURN == 0 then async.yield() end
  end
  if list[1] then return list end
  return nil, failure.new("changelog", item.value, "no entry of a Debian changelog in it")
end

--- Lets a release through once: packages of one source have the same changelog, each its own copy. `watch` sees what is
--- let through.
local function once(to, watch)
  local open = to.open
  function to.open()
    local writer, err = open()
    if not writer then return nil, err end
    local seen, write = {}, writer.write
    function writer:write(one, item, part)
      local key = one.package .. " " .. one.version
      if seen[key] then return true end
      seen[key] = true
      if watch then watch(one) end
      return write(self, one, item, part)
    end
    return writer
  end
  return to
end

---@class changelogs.job.options
---@field limit integer files at once
---@field order "input"|"completion"
---@field watch (fun(record: changelogs.record))?

---@param paths string[]
---@param to muster.pipeline.sink
---@param opts changelogs.job.options
---@return muster.pipeline
function M.of(paths, to, opts)
  return pipeline {
    name = "changelogs", source = pipeline.source.files(paths),
    {"read", files.read}, {"entries", entries},
    sink = once(to, opts.watch), many = true, limit = opts.limit, order = opts.order,
  }
end

return M
