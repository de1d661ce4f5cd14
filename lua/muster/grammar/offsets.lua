--- From offsets in bytes to offsets in codepoints: what was counted is kept, so that all questions about a text
--- together take one walk over it.
local M = {}
M.__index = M

local STEP <const> = 1024

--- For one text.
function M.new(text) return setmetatable({text = text, counts = {[0] = 0}, last = 0}, M) end

--- How many codepoints begin in text[first, last]. In what is no UTF-8, a byte is counted unless it goes on with a
--- sequence (0x80 to 0xBF).
---@param text string
---@param first integer
---@param last integer
---@return integer
function M.count(text, first, last)
  local sum, byte = 0, string.byte
  while first <= last do
    local n, bad = utf8.len(text, first, last, true)
    if n then return sum + n end
    sum = sum + utf8.len(text, first, bad - 1, true)
    local b = byte(text, bad)
    if b < 0x80 or b > 0xBF then sum = sum + 1 end
    first = bad + 1
    while first <= last do -- what should have been the rest of the sequence
      b = byte(text, first)
      if b < 0x80 or b > 0xBF then break end
      first = first + 1
    end
  end
  return sum
end

--- The offset in codepoints, from 1, of the codepoint that holds the byte at `at`. At the byte after the text's end it
--- is one more than there are codepoints.
---@param at integer
---@return integer
function M:codepoint(at)
  local counts, mark = self.counts, (at - 1) // STEP
  while self.last < mark do
    local from = self.last * STEP
    counts[self.last + 1] = counts[self.last] + M.count(self.text, from + 1, from + STEP)
    self.last = self.last + 1
  end
  local n = counts[mark] + M.count(self.text, mark * STEP + 1, math.min(at, #self.text))
  return at > #self.text and n + 1 or math.max(n, 1)
end

return M
