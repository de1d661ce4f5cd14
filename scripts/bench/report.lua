--- Medians, and the table of the bench.
local M = {}

function M.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

--- Of a list of tables with the same fields.
function M.medians(list)
  local medians = {}
  for field in pairs(list[1]) do
    local values = {}
    for i, t in ipairs(list) do values[i] = t[field] end
    medians[field] = M.median(values)
  end
  return medians
end

local function median_of(rounds, fn)
  local list = {}
  for i, round in ipairs(rounds) do list[i] = fn(round) end
  return M.median(list)
end

local function quantity(value, unit)
  if not value then return "" end
  local digits = value < 1 and "%.3f %s" or value < 10 and "%.2f %s" or value < 100 and "%.1f %s" or "%.0f %s"
  return digits:format(value, unit)
end

local function factor(value) return value and ("%.2f"):format(value) or "" end

local function aim_of(row)
  if row.times_limit then return ("%.4g x limit"):format(row.times_limit) end
  if row.times_floor then return ("%.4g x floor"):format(row.times_floor) end
  return row.most and ("%.4g %s"):format(row.most, row.unit) or ""
end

local function verdict(row, muster, by_floor, by_limit)
  local value = row.times_limit and by_limit or row.times_floor and by_floor or muster
  local most = row.times_limit or row.times_floor or row.most
  return most and (value <= most and "yes" or "no") or ""
end

local format = "%-46s %9s %9s %9s %8s %8s  %-12s %s"
local function line(...) print((format:format(...):gsub("%s+$", ""))) end

function M.head()
  line("", "muster", "floor", "limit", "x floor", "x limit", "aim, at most", "met")
end

---@param row row
---@param rounds {muster: table, floor: table}[] figures
---@param limit table figures
function M.row(row, rounds, limit)
  local muster = median_of(rounds, function(r) return r.muster[row.figure] end)
  local floor = median_of(rounds, function(r) return r.floor[row.figure] end)
  local by_floor = median_of(rounds, function(r) return r.muster[row.figure] / r.floor[row.figure] end)
  local least = limit[row.limit]
  local by_limit = least and muster / least
  line(row.title, quantity(muster, row.unit), quantity(floor, row.unit), quantity(least, row.unit),
       factor(by_floor), factor(by_limit), aim_of(row), verdict(row, muster, by_floor, by_limit))
end

function M.foot(limit, rounds)
  print(("\nlimit: bare Lua in C; a switch %.1f ns, a call in a fresh coroutine %.1f ns, in a reused one %.1f ns, " ..
         "%.0f bytes suspended"):format(limit.switch, limit.fresh, limit.reused, limit.suspended))
  print(("floor: the least C scheduler, under lua5.4. Medians of %d round%s; ratios of neighbours."):format(
    rounds, rounds == 1 and "" or "s"))
end

return M
