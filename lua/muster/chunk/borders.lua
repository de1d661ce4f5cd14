--- Where text can be cut: behind paragraphs, behind sentences, behind words, between characters.
local M = {}

--- How many bytes behind a place are looked at to tell what it is.
M.AHEAD = 16

local find, byte = string.find, string.byte

-- ---- characters ----

local function length(lead)
  if lead >= 0xC2 and lead <= 0xDF then return 2 end
  if lead >= 0xE0 and lead <= 0xEF then return 3 end
  return lead >= 0xF0 and lead <= 0xF4 and 4 or 1
end

-- The beginning of the character that holds the byte at `at`. What is no UTF-8 counts as a character a byte.
local function beginning(text, at)
  for i = at, math.max(at - 3, 1), -1 do
    local b = byte(text, i)
    if b < 0x80 or b > 0xBF then return i + length(b) > at and i or at end
  end
  return at
end

--- Is there a border before the byte at `at`? There is none within a character, nor between CR and LF.
---@return boolean
function M.is_border(text, at)
  if at <= 1 or at > #text then return true end
  local b = byte(text, at)
  if b == 10 then return byte(text, at - 1) ~= 13 end
  return b < 0x80 or b > 0xBF or beginning(text, at) == at
end

--- The last border between characters that is at `at` or before; the first behind, if there is none from `from` on.
function M.character(text, from, at)
  for i = at, math.max(from, at - 3), -1 do
    if M.is_border(text, i) then return i end
  end
  repeat at = at + 1 until M.is_border(text, at)
  return at
end

-- ---- words ----

--- The last place from `from` to `at` behind white space, nil if there is none.
function M.word(text, from, at)
  for i = at, from, -1 do
    local b = byte(text, i - 1)
    if b and (b == 32 or b >= 9 and b <= 13) and M.is_border(text, i) then return i end
  end
end

-- ---- paragraphs ----

--- The end of the paragraph that begins at `at`: behind the white space that follows it.
---@return integer?
function M.paragraph(text, at)
  at = find(text, "%S", at)
  local _, last = find(text, "\n[ \t]*\r?\n%s*", at or #text + 1)
  return last and last + 1
end

-- ---- sentences ----

local abbreviations = {}
for name in ([[
  dr mr mrs ms prof st sr jr vs etc eg ie cf al no nr nos fig figs eq vol pp p ed eds inc ltd co corp dept approx gen
  col sgt capt lt rev hon pres gov sen rep jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
  z.b d.h u.a i.d.r z.t o.g u.u s.o v.a m.e u.s u.k e.g i.e a.m p.m bzw usw ca hr fr frl str tel abb abs art bd hrsg
  evtl ggf inkl max min mio mrd usf vgl zzgl ing dipl geb jh jhd kap]]):gmatch "%S+" do
  abbreviations[name] = true
end

-- Is the point at `at` one that belongs to its word?
local function is_abbreviation(text, at)
  local word = text:sub(math.max(1, at - 12), at - 1):match "[%w.\x80-\xFF]*$":lower()
  return abbreviations[word] or word:find "^%l$" or word:find "%.%l$" or word:find "^%d%d?$"
end

-- A mark that ends sentences, at `at`: its last byte; and whether a space has to follow.
local function mark(text, at)
  local b = byte(text, at)
  if b == 0x2E or b == 0x21 or b == 0x3F then return at, true end
  local three = text:sub(at, at + 2)
  if three == "\u{2026}" then return at + 2, true end
  if three == "\u{3002}" or three == "\u{FF01}" or three == "\u{FF1F}" then return at + 2, false end
end

local closers = {["\u{201D}"] = 3, ["\u{2019}"] = 3, ["\u{201C}"] = 3, ["\u{300D}"] = 3}

-- Behind quotes and brackets that close.
local function behind_closers(text, at)
  while true do
    local next_at = find(text, "^[\"')%]]", at) and at + 1
      or closers[text:sub(at, at + 2)] and at + 3 or text:sub(at, at + 1) == "\u{BB}" and at + 2
    if not next_at then return at end
    at = next_at
  end
end

-- The end of the sentence whose mark is at `at`, nil if it goes on. And where to look on.
local function sentence_end(text, at)
  local last, spaced = mark(text, at)
  if not last then return nil, at + 1 end
  local stop = behind_closers(text, last + 1)
  local _, space = find(text, "^%s+", stop)
  if not space then return not spaced and stop or nil, stop end
  local goes_on = find(text, "^%l", space + 1) and not find(text, "^%s*\n[ \t]*\r?\n", stop)
  if goes_on or byte(text, at) == 0x2E and is_abbreviation(text, at) then return nil, stop end
  return space + 1, space + 1
end

--- The end of the sentence that begins at `at`; of its paragraph, if that ends before.
---@return integer?
function M.sentence(text, at)
  at = find(text, "%S", at)
  while at do
    local found = find(text, "[.!?\n\xE2\xE3\xEF]", at)
    if not found then return nil end
    local _, gap = find(text, "^\n[ \t]*\r?\n%s*", found)
    if gap then return gap + 1 end
    local stop
    stop, at = sentence_end(text, found)
    if stop then return stop end
  end
end

return M
