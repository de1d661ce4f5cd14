--- What a run has found, for a reader of the terminal.
local M = {}

---@class changelogs.summary
local Summary = {}
Summary.__index = Summary

function M.new()
  return setmetatable({releases = 0, bugs = 0, cves = 0, undated = 0, people = {}, packages = {}, years = {}}, Summary)
end

local function count(counts, name, n) counts[name] = (counts[name] or 0) + n end

---@param record changelogs.record
function Summary:add(record)
  self.releases = self.releases + 1
  self.bugs = self.bugs + #record.closes
  self.cves = self.cves + #record.cves
  count(self.packages, record.package, 1)
  if record.maintainer then count(self.people, record.maintainer, 1) end
  local year = record.date and record.date:sub(1, 4)
  if not year then self.undated = self.undated + 1 end
  if year and record.cves[1] then count(self.years, year, #record.cves) end
end

local function names_of(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  return names
end

--- The n names with the highest counts; equal ones by name.
local function top(counts, n)
  local names = names_of(counts)
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return table.move(names, 1, math.min(n, #names), 1, {})
end

local function people_lines(self, lines)
  for _, name in ipairs(top(self.people, 5)) do
    lines[#lines + 1] = ("  %6d  %s"):format(self.people[name], name)
  end
end

local BAR <const> = 40 -- columns of the longest

local function year_lines(self, lines)
  local most, years = 0, names_of(self.years)
  table.sort(years)
  for _, n in pairs(self.years) do most = math.max(most, n) end
  for _, year in ipairs(years) do
    local n = self.years[year]
    lines[#lines + 1] = ("  %s  %6d  %s"):format(year, n, ("▇"):rep(math.max(1, n * BAR // most)))
  end
end

--- As text.
---@return string
function Summary:__tostring()
  local lines = {("%d releases of %d packages by %d people, %d bugs closed, %d CVEs named"):format(
    self.releases, #names_of(self.packages), #names_of(self.people), self.bugs, self.cves)}
  if self.undated > 0 then lines[#lines + 1] = ("%d of the releases without a date"):format(self.undated) end
  if self.releases > 0 then
    lines[#lines + 1] = "most releases:"
    people_lines(self, lines)
  end
  if self.cves > 0 then
    lines[#lines + 1] = "CVEs by year:"
    year_lines(self, lines)
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
