--- Durations, counted in buckets on a log scale: of so many as one likes, in constant memory.
local M = {}

local PER_DECADE <const> = 40 -- a bucket is 6 % wide
local LEAST <const>, MOST <const> = 1e-7, 1e8 -- seconds; what is beyond counts as these

---@class muster.report.histogram
---@field n integer
---@field sum number
---@field least number?
---@field most number?
---@field counts table<integer, integer> bucket -> how many
local Histogram = {}
Histogram.__index = Histogram

local log, floor, min, max = math.log, math.floor, math.min, math.max

local function bucket_of(seconds) return floor(log(min(max(seconds, LEAST), MOST), 10) * PER_DECADE) end

---@return muster.report.histogram
function M.new() return setmetatable({n = 0, sum = 0.0, counts = {}}, Histogram) end

---@param seconds number
function Histogram:add(seconds)
  seconds = max(seconds, 0)
  local bucket = bucket_of(seconds)
  self.n, self.sum = self.n + 1, self.sum + seconds
  self.counts[bucket] = (self.counts[bucket] or 0) + 1
  self.least, self.most = min(self.least or seconds, seconds), max(self.most or seconds, seconds)
end

--- The buckets that are not empty, in order.
local function used(self)
  local buckets = {}
  for bucket in pairs(self.counts) do buckets[#buckets + 1] = bucket end
  table.sort(buckets)
  return buckets
end

--- What part q of them is not above: to within a bucket. Nil of none.
---@param q number from 0 to 1
---@return number?
function Histogram:quantile(q)
  if self.n == 0 then return nil end
  local wanted, before = q * self.n, 0
  for _, bucket in ipairs(used(self)) do
    local count = self.counts[bucket]
    if before + count >= wanted then
      if bucket == bucket_of(0) then return self.least end
      if bucket == bucket_of(MOST) then return self.most end
      local seconds = 10 ^ ((bucket + (wanted - before) / count) / PER_DECADE)
      return max(self.least, min(self.most, seconds))
    end
    before = before + count
  end
  return self.most
end

--- For the page.
---@param with_counts boolean?
---@return table
function Histogram:facts(with_counts)
  if self.n == 0 then return {n = 0} end
  local counts
  if with_counts then
    counts = {}
    for i, bucket in ipairs(used(self)) do counts[i] = {bucket, self.counts[bucket]} end
  end
  return {
    n = self.n, sum = self.sum, mean = self.sum / self.n, min = self.least, max = self.most, p50 = self:quantile(0.5),
    p95 = self:quantile(0.95), p99 = self:quantile(0.99), per_decade = PER_DECADE, counts = counts,
  }
end

return M
