--- The captures that a template can name.
--
-- A class has one of these shapes:
--   pattern   an LPeg pattern without captures; `convert` makes the value of the text (absent: the text is the value)
--   value     the same, but the pattern has one capture, the value
--   inside    the pattern has two captures, where the capture begins and ends: not all of what matches belongs to it
--   lazy      see below
-- `first`: the bytes it can begin with, if that is not any. `bare`: the pattern without its condition on what stands
-- before, for captures that follow a literal directly, as in `v{version:number}`. `within`: all bytes it can consist
-- of, for captures that stay near the place where they begin.
local bytes = require "muster.grammar.bytes"
local lpeg = require "lpeg"
local scan = require "muster.grammar.scan"

local B, C, Carg, Cmt, Cp = lpeg.B, lpeg.C, lpeg.Carg, lpeg.Cmt, lpeg.Cp
local P, R, S = lpeg.P, lpeg.R, lpeg.S

local M = {}

---@class muster.grammar.class
---@field name string
---@field first userdata?
---@field pattern userdata?
---@field bare userdata?
---@field within userdata?
---@field convert (fun(text: string): any)?
---@field shape "value"|"inside"|nil

local digit, behind, letter = bytes.digit, bytes.behind, bytes.letter

-- ---- words ----

local one_word = bytes.letters * (bytes.joint * bytes.letters) ^ 0
local word = -behind * -bytes.behind_joint * one_word
-- From within a word, where a search that does not look for whole words may begin.
local word_end = one_word * Cp()
local bare_word = #letter * (scan.remembered(function(text, at)
  local stop = lpeg.match(word_end, text, at)
  return stop, stop
end) / 0)

local in_word = bytes.word_start + S "'-"

M.word = {pattern = word, bare = bare_word, first = bytes.word_start, within = in_word}

-- White space between words: at most one line break, for there the text was wrapped.
local gap = bytes.blank ^ 1 * (bytes.newline * bytes.blank ^ 0) ^ -1 + bytes.newline * bytes.blank ^ 0
local next_word = gap * one_word

-- A lazy class matches `pattern`, then as few of `step` as are needed for what follows in the template to match; if
-- nothing has to follow, then all. `over`: no step is possible. `skip`: what can be skipped in one go, given the bytes
-- with which what follows begins.
M.words = {
  pattern = word, bare = bare_word, first = bytes.word_start, within = in_word + bytes.space_start,
  lazy = {step = next_word, over = -next_word},
}

local not_gap = P(1) - bytes.gap
local character = not_gap * R "\x80\xBF" ^ -3

M.text = {
  pattern = character - bytes.space - bytes.inside,
  lazy = {
    step = character, over = -not_gap,
    skip = function(set) return (P(1) - set - S "\r\n\x80-\xBF" - R "\x80\xBF") ^ 1 end,
  },
}

-- ---- numbers ----

local sign = (-behind * S "+-") ^ -1


-- 18 digits always fit; what has more is looked at. Zeros in front are allowed, but not without end.
local function integer(front)
  local few = front * sign * digit * digit ^ -17 * -digit
  return few + Cmt(C(front * sign * digit * digit ^ -39 * -digit), function(_, at, number)
    return math.type(tonumber(number)) == "integer" and at
  end) / 0
end

M.int = {
  pattern = integer(-B(digit)), bare = integer(P(true)), first = digit + S "+-",
  within = digit + S "+-",
  convert = function(text) return math.tointeger(tonumber(text)) end,
}

-- The largest float has 309 digits.
local many = digit * digit ^ -399 * -digit

local function number(front)
  local shape = front * sign * (many * (P "." * many) ^ -1 + P "." * many) * (S "eE" * S "+-" ^ -1 * many) ^ -1
  return Cmt(C(shape), function(_, at, text)
    local value = tonumber(text)
    if value and value - value == 0 then return at, value end -- not an infinity
  end)
end

M.number = {
  pattern = number(-B(digit)), bare = number(P(true)), shape = "value", first = digit + S "+-.",
  within = digit + S "+-.eE",
}

-- ---- dates ----

local names = {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
               "november", "december"}

local function folded(text)
  local p = P(true)
  for c in text:gmatch "." do p = p * S(c .. c:upper()) end
  return p
end

local month_name = P(false)
for i, name in ipairs(names) do
  local short = name == "september" and folded "sept" + folded "sep" or folded(name:sub(1, 3))
  month_name = month_name + (folded(name) + short * P "." ^ -1 * -letter) * lpeg.Cc(i)
end

local function some(n) return C(digit ^ -n) / tonumber end
local two, four = C(digit * digit) / tonumber, C(digit * digit * digit * digit) / tonumber
local one_or_two = (#digit * some(2))
local blank = bytes.spaces
local ordinal = (P "st" + P "nd" + P "rd" + P "th" + P ".") ^ -1

local function ymd(y, m, d) return y, m, d end
local function dmy(d, m, y) return y, m, d end
local function mdy(m, d, y) return y, m, d end

local date_shape = four * P "-" * two * P "-" * two / ymd
  + four * P "/" * two * P "/" * two / ymd
  + one_or_two * P "." * one_or_two * P "." * four / dmy
  + one_or_two * ordinal * blank * month_name * P "," ^ -1 * blank * four / dmy
  + month_name * blank * one_or_two * ordinal * P "," ^ -1 * blank * four / mdy

local function days_of(year, month)
  if month == 2 then return (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

local date = Cmt(date_shape * -digit, function(_, at, y, m, d)
  if m < 1 or m > 12 or d < 1 or d > days_of(y, m) then return false end
  return at, ("%04d-%02d-%02d"):format(y, m, d)
end)

M.date = {
  pattern = -behind * date, bare = date, shape = "value", first = digit + S "jfmasondJFMASOND",
  within = in_word + bytes.space_start + S ".,/-",
}

-- ---- addresses ----

local atom = bytes.ascii + S "!#$%&*+/=?^`{|}~-"
local host_byte = R("az", "AZ", "09") + R "\x80\xff"
local label = host_byte ^ 1 * (P "-" ^ 1 * host_byte ^ 1) ^ 0
local email = atom ^ 1 * (P "." * atom ^ 1) ^ 0 * P "@" * label * (P "." * label) ^ 1

M.email = {pattern = -B(atom + P ".") * email, bare = email, first = atom, within = atom + S ".@-" + R "\x80\xff"}

local url_byte = R("!~") - S '"<>\\^`{|}' + (R "\x80\xff" - bytes.space)
local url_bytes = url_byte ^ 1 * Cp()

local function url_look(text, at)
  local stop = lpeg.match(url_bytes, text, at)
  return stop, stop, at
end

local function count(text, what) return select(2, text:gsub(what, "")) end

-- Punctuation at the end of an address belongs to the sentence; so does a bracket that was not opened within. Both are
-- looked for in a few last bytes.
local function url_end(text, first, stop)
  for _ = 1, math.min(stop - first, 64) do
    local last = text:sub(stop - 1, stop - 1)
    if last == ")" then
      local near = text:sub(math.max(first, stop - 256), stop - 1)
      if count(near, "%(") >= count(near, "%)") then break end
    elseif not last:find "[%.,;:!?'%]%*]" then
      break
    end
    stop = stop - 1
  end
  return stop
end

local url_rest = Cmt(Carg(1), function(text, at, run)
  local stop = scan.ask(run, url_look, text, at)
  if not stop then return false end
  stop = url_end(text, at, stop)
  return stop > at and stop
end)
local scheme = folded "https" + folded "http" + folded "ftp"
local url = scheme * P "://" * #url_byte * url_rest


M.url = {pattern = -behind * url, bare = url, first = S "hHfF"}

-- ---- lines and quotes ----

local blanks = bytes.blank ^ 0

local line_end = scan.remembered(function(text, at)
  local stop = text:find("\n", at, true) or #text + 1
  local capture = scan.trimmed(text, at, stop)
  if capture == at then return nil, nil, stop end
  return capture, capture
end)

local front = #bytes.blank * -bytes.behind_blank * blanks + -bytes.blank
M.line = {pattern = front * -bytes.newline * Cp() * line_end, shape = "inside", of_line = true}

M.rest = {pattern = Cmt(true, function(text) return #text + 1 end) }

local function quoted(open, close, escapes)
  local plain = (P(1) - close - bytes.gap - (escapes and P "\\" or P(false))) ^ 1
  local skip = escapes and (plain + P "\\" * P(1)) ^ 0 or plain ^ 0
  local look = skip * Cp() * (P(close) * Cp()) ^ -1
  local body = scan.remembered(function(text, at)
    local last, stop = lpeg.match(look, text, at)
    return stop, last, last
  end)
  return P(open) * Cp() * body
end

local apostrophe = P "'" * -letter
local quotes = -B "\\" * quoted('"', P '"', true)
  + -behind * quoted("'", apostrophe) + quoted("\u{201C}", P "\u{201D}")
  + quoted("\u{201E}", P "\u{201C}" + P "\u{201D}") + quoted("\u{AB}", P "\u{BB}") + quoted("\u{BB}", P "\u{AB}")
  + quoted("\u{2018}", P "\u{2019}" * -letter)

M.quoted = {pattern = quotes, shape = "inside", first = S "\"'\xE2\xC2"}

-- ---- places: they match no text ----

M.start = {pattern = -B(1), place = true}
M["end"] = {pattern = P(-1), place = true}
M.border = {pattern = bytes.border, place = true}

for name, class in pairs(M) do class.name = name end

return M
