--- Debian changelogs: the entries of a text, and the bugs and CVEs that an entry names.
--
-- An entry is a heading, changes, and who made it and when:
--
--   hello (2.10-3) unstable; urgency=medium
--
--     * Fix a typo. (Closes: #1001001, #1001002)
--
--    -- Jane Doe <jane@debian.org>  Mon, 26 Dec 2022 15:30:00 +0100
--
-- Between entries there may be anything: notes, settings of editors, entries in forms of older days. Changelogs of
-- twenty years have all of it, so nothing is an error: what is no entry is passed over.
local lpeg = require "lpeg"
local re = require "re"

local M = {}

-- `line` moves on whatever there is, so that one pass over the text is enough.
local rules = [[
  next     <- (!heading line)* {| heading body trailer? |} {}
  heading  <- {:package: [a-z0-9] [a-z0-9+.-]* :} " (" {:version: [^()%s]+ :} ")" {:distributions: [^;()%nl]* :} ";"
              {:metadata: [^%nl]* :} eol
  body     <- {:changes: (!heading !trailer line)* :}
  trailer  <- " --" " " person date eol / " --" " "* eol
  person   <- {:maintainer: [^<%nl]* :} ("<" {:email: [^>%nl]* :} ">")?
  date     <- {:date: [^%nl]* :}
  line     <- [^%nl]* %nl / [^%nl]+ !.
  eol      <- %nl / !.
]]

local next_entry = re.compile(rules)

---@class changelogs.entry as it is written
---@field package string
---@field version string
---@field distributions string
---@field metadata string "urgency=medium, binary-only=yes"
---@field changes string the lines between heading and trailer
---@field maintainer string?
---@field email string?
---@field date string?

--- The first entry from a position on, and the position after it; nothing if there are no more.
---@param text string
---@param position integer
---@return changelogs.entry? entry
---@return integer? after
function M.next(text, position) return next_entry:match(text, position) end

--- The entries of a text, one after the other.
---@param text string
---@return fun(): changelogs.entry?
function M.each(text)
  local position = 1
  return function()
    local entry, after = M.next(text, position)
    position = after or position
    return entry
  end
end

-- ---- what an entry says ----

local P, R, S, C, Cc, Ct, Cg = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cc, lpeg.Ct, lpeg.Cg

--- A word in any case.
local function any_case(word)
  local pattern = P(true)
  for letter in word:gmatch "." do pattern = pattern * S(letter:lower() .. letter:upper()) end
  return pattern
end

local digit, space = R "09", S " \t\r\n"
local up_to_nine = digit * digit^-8 * -digit -- more digits are no bug, and might be no integer

local bug = Cg(space^0 * any_case "bug"^-1 * P "#"^-1 * space^-1 * Cc "closes" * (up_to_nine / math.tointeger))
local closes = any_case "closes:" * bug * (space^0 * "," * bug)^0

local four = digit * digit * digit * digit
local cve = Cg(Cc "cves" * (C(any_case "cve" * "-" * four * "-" * four * digit^-15) / string.upper) * -digit)

-- Both begin with one letter; what does not is skipped in one step.
local search = Ct((closes + cve + 1 * (1 - S "cC")^0)^0)

--- The bugs that it closes, and the CVEs that it names, each once, in their order.
---@param text string
---@return integer[] closes
---@return string[] cves
function M.references(text)
  local found, seen = {closes = {}, cves = {}}, {}
  local list = search:match(text)
  for i = 1, #list, 2 do
    local kind, value = list[i], list[i + 1]
    if not seen[value] then
      seen[value] = true
      table.insert(found[kind], value)
    end
  end
  return found.closes, found.cves
end

return M
