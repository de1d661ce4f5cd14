--- What happened when, in a fixed number of bins: when the run outlasts them, each two become one.
local M = {}

local N <const> = 240
local FIRST_WIDTH <const> = 0.001 -- seconds

---@class muster.report.bins
---@field width number seconds
---@field ended integer[] items that ended in the bin
---@field failed integer[] of them, those that failed
---@field busy number[] seconds that items spent in the bin
local Bins = {}
Bins.__index = Bins

local series = {"ended", "failed", "busy"}

---@return muster.report.bins
function M.new()
  local self = setmetatable({width = FIRST_WIDTH, last = 0}, Bins)
  for _, name in ipairs(series) do
    self[name] = {}
    for i = 1, N do self[name][i] = 0 end
  end
  return self
end

local function halve(self)
  for _, name in ipairs(series) do
    local bins = self[name]
    for i = 1, N // 2 do bins[i] = bins[2 * i - 1] + bins[2 * i] end
    for i = N // 2 + 1, N do bins[i] = 0 end
  end
  self.width, self.last = self.width * 2, (self.last + 1) // 2
end

--- An item from a time to another, both since the run began.
---@param started number
---@param ended number
---@param has_failed boolean
function Bins:add(started, ended, has_failed)
  if started ~= started or ended ~= ended or math.max(started, ended) == math.huge then return end
  started = math.max(started, 0)
  ended = math.max(ended, started)
  while ended >= N * self.width do halve(self) end
  local width, busy = self.width, self.busy
  local first, last = started // width, ended // width
  local index = (last + 1) // 1 | 0
  self.last = math.max(self.last, index)
  self.ended[index] = self.ended[index] + 1
  if has_failed then self.failed[index] = self.failed[index] + 1 end
  if first == last then
    busy[index] = busy[index] + (ended - started)
    return
  end
  local from = first // 1 | 0
  busy[from + 1] = busy[from + 1] + ((first + 1) * width - started)
  for i = from + 2, index - 1 do busy[i] = busy[i] + width end
  busy[index] = busy[index] + (ended - last * width)
end

--- For the page; `busy` as how many were under way on average.
---@return table
function Bins:facts()
  local ended, failed, busy = {}, {}, {}
  for i = 1, self.last do
    ended[i], failed[i] = self.ended[i], self.failed[i]
    busy[i] = math.floor(self.busy[i] / self.width * 100 + 0.5) / 100
  end
  return {width = self.width, ended = ended, failed = failed, busy = busy}
end

return M
