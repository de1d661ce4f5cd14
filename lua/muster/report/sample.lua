--- Which items a report shows: the first ones, all failures up to a bound, and a uniform sample of what there is more.
local M = {}

local LIMIT <const>, LEAST <const> = 64 * 1024, 64 -- bytes of each text of an item: at first, and at the least

---@class muster.report.sample
---@field limit integer bytes that each text of an item may take
---@field first table[]
---@field failures table[]
---@field others table[]
---@field failed integer failures that there were, beside those among the first
---@field rest integer others that there were
local Sample = {}
Sample.__index = Sample

---@param most {first: integer, failures: integer, others: integer, bytes: integer}
---@return muster.report.sample
function M.new(most)
  return setmetatable({most = most, limit = LIMIT, bytes = 0, first = {}, failures = {}, others = {}, failed = 0,
    rest = 0, state = 0x2545F4914F6CDD1D}, Sample)
end

--- 1 to n. A generator of its own: the script's numbers stay what they are, and the same run gives the same report.
local function random(self, n)
  local x = self.state
  x = x ~ (x >> 12)
  x = x ~ (x << 25)
  x = x ~ (x >> 27)
  self.state = x
  return ((x * 0x2545F4914F6CDD1D) >> 1) % n + 1
end

--- A place for the n-th, so that each of the n has the same chance to be there in the end.
local function drawn(self, list, n, most)
  if #list < most then return list, #list + 1 end
  local index = most > 0 and random(self, n) or 1
  if index <= most then return list, index end
end

--- Where the next item goes: a list and an index; nil if it is not kept.
---@param has_failed boolean
---@return table[]? list
---@return integer? index
function Sample:place(has_failed)
  local most = self.most
  if #self.first < most.first then return self.first, #self.first + 1 end
  if has_failed then
    self.failed = self.failed + 1
    return drawn(self, self.failures, self.failed, most.failures)
  end
  self.rest = self.rest + 1
  return drawn(self, self.others, self.rest, most.others)
end

local function each(self, visit)
  for _, list in ipairs {self.first, self.failures, self.others} do
    for _, entry in ipairs(list) do visit(entry) end
  end
end

local function make_room(self)
  while self.bytes > self.most.bytes and self.limit > LEAST do
    self.limit = math.max(self.limit // 2, LEAST)
    local bytes = 0
    each(self, function(entry)
      entry:clip(self.limit)
      bytes = bytes + entry.size
    end)
    self.bytes = bytes
  end
end

--- Puts an entry where `place` said.
function Sample:put(list, index, entry)
  local old = list[index]
  self.bytes = self.bytes + entry.size - (old and old.size or 0)
  list[index] = entry
  make_room(self)
end

--- The entries, in order of position; those without, as they came.
---@return table[]
function Sample:all()
  local list, order = {}, {}
  each(self, function(entry)
    list[#list + 1] = entry
    order[entry] = entry.position or entry.number
  end)
  table.sort(list, function(a, b)
    if order[a] ~= order[b] then return order[a] < order[b] end
    return a.number < b.number
  end)
  return list
end

return M
