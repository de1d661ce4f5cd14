--- The pipeline: changelogs in, a record of each release out.
local async = require "muster"
local failure = require "muster.failure"
local files = require "changelogs.files"
local grammar = require "changelogs.grammar"
local pipeline = require "muster.pipeline"
local record = require "changelogs.record"

local M = {}

local TURN <const> = 20 -- entries that are read before others have their turn

local function key_of(entry) return entry.package .. " " .. entry.version end

--- Packages of one source have the same changelog, each its own copy. So the first that has a release claims it: the
--- first to come; or, if the order is that of the input, the first of that, whichever was read first.
local function claim(self, entry, position)
  local key = key_of(entry)
  local other = self.claims[key]
  if other and (other <= position or not self.ordered) then return false end
  self.claims[key] = position
  return true
end

--- The records of a text, but for those that others have; nil and an error if it has no entry.
local function records(self, text, item)
  local list, n = {}, 0
  for entry in grammar.each(text) do
    n = n + 1
    if claim(self, entry, item.position) then list[#list + 1] = record.of(entry) end
    if n % TURN == 0 then async.yield() end
  end
  if n > 0 then return list end
  return nil, failure.new("changelog", item.value, "no entry of a Debian changelog in it")
end

--- Lets through what is still claimed by its item. `watch` sees it.
local function claimed(self, to, watch)
  local open = to.open
  function to.open()
    local writer, err = open()
    if not writer then return nil, err end
    local write = writer.write
    function writer.write(of, one, item, part)
      if self.claims[key_of(one)] ~= item.position then return true end
      if watch then watch(one) end
      return write(of, one, item, part)
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
  local self = {claims = {}, ordered = opts.order == "input"}
  return pipeline {
    name = "changelogs", source = pipeline.source.files(paths),
    {"read", files.read}, {"records", function(text, item) return records(self, text, item) end},
    sink = claimed(self, to, opts.watch), many = true, limit = opts.limit, order = opts.order,
  }
end

return M
