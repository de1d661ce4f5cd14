--- What a run found, counted up for the reader of standard error.

local normal = require "copyrights.normal"

local M = {}

---@class Summary
local Summary = {}
Summary.__index = Summary

function M.new()
  return setmetatable({ free = 0, asked = 0, bytes = 0, statements = 0, holders = {}, by_name = {}, by_key = {} },
    Summary)
end

-- The holder of that name, known by its first spelling.
local function holder_of(self, name)
  local key = normal.holder(name)
  local holder = self.by_key[key]
  if not holder then
    holder = { name = name, statements = 0 }
    self.by_key[key], self.holders[#self.holders + 1] = holder, holder
  end
  return holder
end

local function count(self, name)
  local holder = self.by_name[name] or holder_of(self, name)
  self.by_name[name] = holder
  holder.statements = holder.statements + 1
end

---@param record Record
function Summary:add(record)
  if record.format == "free" then self.free = self.free + 1 end
  if record.asked then self.asked = self.asked + 1 end
  self.bytes = self.bytes + record.bytes
  self.statements = self.statements + #record.statements
  for _, statement in ipairs(record.statements) do
    if statement.holder then count(self, statement.holder) end
  end
end

-- The `n` holders with most statements, ties in the order they were met.
local function top(holders, n)
  local place = {}
  for i, holder in ipairs(holders) do place[holder] = i end
  local sorted = table.move(holders, 1, #holders, 1, {})
  table.sort(sorted, function(a, b)
    if a.statements ~= b.statements then return a.statements > b.statements end
    return place[a] < place[b]
  end)
  return table.move(sorted, 1, math.min(n, #sorted), 1, {})
end

local function lines_of(list, n, format)
  local lines = {}
  for i = 1, math.min(n, #list) do lines[i] = format(list[i]) end
  if #list > n then lines[n + 1] = ("    ... and %d more"):format(#list - n) end
  return table.concat(lines, "\n")
end

local function holder_line(holder) return ("  %6d  %s"):format(holder.statements, holder.name) end

-- How many of the files had to be asked about.
local function asked_line(self)
  return ("a model was asked about %d of %d files in free form, in which the grammar found no statement or no licence")
    :format(self.asked, self.free)
end

--- The summary as text, for a run of `seconds`.
---@param seconds number
---@param run muster.pipeline.summary
---@return string
function Summary:text(seconds, run)
  local megabytes = self.bytes / 1e6
  local earlier = run.recalled > 0 and (", %d of them by earlier runs"):format(run.recalled) or ""
  local lines = { ("%d files%s, %d parked; %.1f MB in %.2f s, %.1f MB/s"):format(
    run.items, earlier, run.parked, megabytes, seconds, megabytes / math.max(seconds, 1e-9)) }
  if self.asked > 0 then lines[#lines + 1] = asked_line(self) end
  lines[#lines + 1] = ("%d copyright statements by %d holders"):format(self.statements, #self.holders)
  if self.holders[1] then
    lines[#lines + 1] = "top holders:\n" .. lines_of(top(self.holders, 5), 5, holder_line)
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
