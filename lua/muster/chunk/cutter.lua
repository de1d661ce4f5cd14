--- Cuts text that comes in pieces. Where it cuts depends on the text alone, not on the pieces; what is kept of it is
--- about as long as a chunk.
local borders = require "muster.chunk.borders"
local offsets = require "muster.grammar.offsets"

local Cutter = {}
Cutter.__index = Cutter

local SLICE <const> = 4096
local BYTES_A_TOKEN <const> = 64 -- at most: a text that is estimated to be nothing has to end somewhere

-- The same pieces, none of them long: what is kept is copied for each chunk.
local function in_slices(read)
  local piece, at = "", 1
  return function()
    while at > #piece do
      piece, at = read(), 1
      if piece == nil then return nil end
      if type(piece) ~= "string" then
        error(("chunk: the source gave a %s where a string should be"):format(type(piece)), 0)
      end
    end
    at = at + SLICE
    return piece:sub(at - SLICE, at - 1)
  end
end

---@class muster.chunk.plan
---@field kinds ("paragraph"|"sentence"|"word")[] where to cut, the best first
---@field size integer?
---@field overlap integer
---@field estimate (fun(text: string): number)?
---@field ratio integer? bytes a unit of size, if there is no `estimate`

---@param read fun(): string? the next piece, nil at the end
---@param plan muster.chunk.plan
---@param make fun(chunk: table): table
local function new(read, plan, make)
  return setmetatable({
    read = in_slices(read), plan = plan, make = make,
    text = "", -- what is left of the text, from `start` on
    start = 1, codepoint = 1, -- of the text's first byte in the source
    fresh = 1, -- the first byte of `text` that was in no chunk
    index = 0, ended = false,
  }, Cutter)
end

-- Sees to it that there are `n` bytes, if the source has as many.
function Cutter:need(n)
  if self.ended or #self.text >= n then return end
  local pieces, size = {self.text}, #self.text
  while size < n do
    local piece = self.read()
    if piece == nil then
      self.ended = true
      break
    end
    pieces[#pieces + 1], size = piece, size + #piece
  end
  self.text = table.concat(pieces)
end

-- Is all that there is needed to tell whether there is a border at `at`?
function Cutter:known(at) return self.ended or at + borders.AHEAD <= #self.text end

-- ---- sizes ----

-- Are the first n bytes within the size?
local function fits(self, n)
  n = math.min(n, #self.text)
  local stop = borders.is_border(self.text, n + 1) and n or borders.character(self.text, 1, n + 1) - 1
  local size = self.plan.estimate(self.text:sub(1, stop))
  if type(size) ~= "number" or size ~= size then
    error(("chunk: option 'estimate': expected a number, got %s"):format(tostring(size)), 0)
  end
  return size <= self.plan.size
end

-- How many of its first bytes are: tries twice as many until they are not, then half way between.
function Cutter:estimated()
  local most = self.plan.size * BYTES_A_TOKEN
  local low, high = 0, math.min(self.plan.size * 4, most)
  while true do
    self:need(high + borders.AHEAD)
    if not fits(self, high) then break end
    low = high
    if high >= #self.text or high >= most then return high end
    high = math.min(high * 2, most)
  end
  while high - low > 1 + low // 64 do
    local middle = (low + high) // 2
    if fits(self, middle) then low = middle else high = middle end
  end
  return low
end

-- How many bytes the next chunk may have.
function Cutter:limit()
  local plan = self.plan
  if plan.estimate then return self:estimated() end
  return plan.size * plan.ratio
end

-- ---- where to cut ----

-- The last border of the kind from `from` to `limit`.
local function last_border(kind, window, from, limit)
  if kind == "word" then return borders.word(window, from, limit) end
  local find, best, at = borders[kind], nil, 1
  while true do
    local border = find(window, at)
    if not border then return best end
    if border > limit then -- white space may be cut where the chunk has to end
      if window:sub(limit - 1, border - 1):find "%S" then return best end
      border = limit
    end
    if border >= from then best = border end
    if border >= limit then return best end
    at = border
  end
end

-- Where the chunk at the text's beginning ends: the byte behind it.
function Cutter:sized()
  local limit = self:limit()
  local from = self.fresh + 1
  local seen = math.max(limit, from) + borders.AHEAD
  self:need(seen)
  if #self.text <= limit then return #self.text + 1 end
  local window = self.text:sub(1, seen)
  if limit + 1 >= from then
    for _, kind in ipairs(self.plan.kinds) do
      local border = last_border(kind, window, from, limit + 1)
      if border and borders.is_border(window, border) then return border end
    end
  end
  return math.min(borders.character(window, from, math.max(limit + 1, from)), #self.text + 1)
end

-- The same without a size: one paragraph, or one sentence.
function Cutter:one()
  local find = borders[self.plan.kinds[1]]
  local want = 4096
  while true do
    self:need(want)
    local border = find(self.text, 1)
    if border and self:known(border) then return border end
    if self.ended then return #self.text + 1 end
    want = 2 * math.max(want, #self.text)
  end
end

-- ---- chunks ----

-- Where the next chunk begins, if one ends before `stop`: so far before it as was asked for, behind a word.
function Cutter:next_start(stop)
  local plan = self.plan
  if plan.overlap == 0 or stop > #self.text and self.ended then return stop end
  local back = self:back(stop)
  local earliest = math.max(2, stop - back)
  for at = earliest, stop - 1 do
    if borders.word(self.text, at, at) and self.text:find("^%S", at) then return at end
  end
  for at = earliest, stop - 1 do
    if borders.is_border(self.text, at) then return at end
  end
  return stop
end

-- The overlap in bytes.
function Cutter:back(stop)
  local plan = self.plan
  if not plan.estimate then return plan.overlap * plan.ratio end
  return (stop - 1) * plan.overlap // plan.size -- the same share of the chunk
end

-- The next chunk, nil at the end.
function Cutter:next()
  self:need(self.fresh)
  if self.fresh > #self.text then return nil end
  local stop = self.plan.size and self:sized() or self:one()
  local text, overlap = self.text:sub(1, stop - 1), self.fresh - 1
  self.index = self.index + 1
  local count = offsets.count(text, 1, #text)
  local chunk = self.make {
    text = text, first = self.start, last = self.start + stop - 2, index = self.index, overlap = overlap,
    cp_first = self.codepoint, cp_last = self.codepoint + count - 1,
  }
  local start = self:next_start(stop)
  self.codepoint = self.codepoint + offsets.count(text, 1, start - 1)
  self.text, self.start, self.fresh = self.text:sub(start), self.start + start - 1, stop - start + 1
  return chunk
end

return {new = new}
