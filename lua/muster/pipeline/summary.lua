--- What has come of a run, in numbers.
local M = {}

---@class muster.pipeline.summary
---@field items integer that were dealt with
---@field done integer
---@field recalled integer of them, by earlier runs
---@field parked integer failed, and set aside
---@field skipped integer failed, and let go
---@field repeated integer with the key of another item
---@field taken integer at work in another process that shares the journal
---@field records integer that were written
---@field seconds number
---@field failures table[] the first of those that failed: item's key, error
local Summary = {}
Summary.__index = Summary
Summary.__name = "pipeline.summary"

local SHOWN <const> = 20 -- failures that are kept

function M.new(pipeline, now)
  return setmetatable({name = pipeline.name, now = now, started = now(), items = 0, done = 0, recalled = 0, parked = 0,
    skipped = 0, stopped = 0, repeated = 0, taken = 0, records = 0, failures = {}}, Summary)
end

---@param item muster.pipeline.item
function Summary:count(item)
  self.items = self.items + 1
  self[item.state] = self[item.state] + 1
  if item.recalled then self.recalled = self.recalled + 1 end
  if item.error and #self.failures < SHOWN then
    local failure = {key = item.key, position = item.position, stage = item.stage, error = item.error}
    self.failures[#self.failures + 1] = failure
  end
end

function Summary:finish()
  self.seconds = self.now() - self.started
end

local function part(parts, n, text)
  if n > 0 then parts[#parts + 1] = text:format(n) end
end

function Summary:__tostring()
  local parts = {("%d items"):format(self.items)}
  part(parts, self.recalled, "%d of them by earlier runs")
  part(parts, self.parked, "%d parked")
  part(parts, self.skipped, "%d skipped")
  part(parts, self.repeated, "%d with the key of another")
  part(parts, self.taken, "%d at work elsewhere")
  parts[#parts + 1] = ("%d records"):format(self.records)
  local text = ("%s: %s"):format(self.name, table.concat(parts, ", "))
  return self.seconds and ("%s; %.2f s"):format(text, self.seconds) or text
end

return M
