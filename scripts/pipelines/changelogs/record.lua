--- Records of the entries of a changelog: numbers, dates and lists instead of text.
local date = require "muster.date"
local grammar = require "muster.grammar"
local json = require "muster.json"
local lpeg = require "lpeg"
local references = require "changelogs.grammar".references

local M = {}

---@class changelogs.record
---@field package string of the source
---@field version string
---@field date string? "2022-12-26T15:30:00+01:00"
---@field date_text string? as it is written, if it is no date
---@field maintainer string? who made this release
---@field email string?
---@field distribution string?
---@field urgency string? in lower case: low, medium, high, emergency, critical
---@field closes integer[] bugs of Debian
---@field cves string[] that it names
---@field changes string[] a text for each

local KEYS = {"package", "version", "date", "date_text", "maintainer", "email", "distribution", "urgency", "closes",
  "cves", "changes"}
local meta = {__keys = KEYS}

-- ---- texts ----

--- Old entries are in Latin-1: a byte that is no UTF-8 stands for the character of its number.
---@param text string
---@return string
function M.utf8(text)
  local parts, first = {}, 1
  local length, bad = utf8.len(text)
  while not length do
    parts[#parts + 1] = text:sub(first, bad - 1)
    parts[#parts + 1] = utf8.char(text:byte(bad))
    first = bad + 1
    length, bad = utf8.len(text, first)
  end
  if first == 1 then return text end
  parts[#parts + 1] = text:sub(first)
  return table.concat(parts)
end

local function trimmed(text) return text and text:match "^%s*(.-)%s*$" end

--- nil for what says nothing
local function word(text)
  text = trimmed(text)
  return text ~= "" and text or nil
end

--- The changes: what begins with a star at the margin, and "[ Name ]", who made those after it. What is below a star is
--- a line of its own if it has a mark of its own.
local function changes_of(text)
  local list, parts, closed = json.array(), {}, false
  local function flush()
    if parts[1] then list[#list + 1] = table.concat(parts) end
    parts = {}
  end
  for line in text:gmatch "[^\n]+" do
    local indent, rest = line:match "^(%s*)(.-)%s*$"
    local starred = #indent <= 2 and rest:match "^%*%s*(.*)$"
    local name = #indent <= 2 and rest:find "^%[ .* %]$"
    if starred or name or closed then flush() end
    if rest ~= "" then
      if parts[1] then parts[#parts + 1] = rest:find "^[-+*o] " and "\n" or " " end
      parts[#parts + 1] = starred or rest
      closed = name
    end
  end
  flush()
  return list
end

-- ---- dates ----

local digit, sign = lpeg.R "09", lpeg.S "+-"
local two = digit * digit
local utc_names = {GMT = "+00:00", UTC = "+00:00", Z = "+00:00"}

-- "Mon, 26 Dec 2022 15:30:00 +0100", in its many spellings. The day of the week, wrong at times, does not matter.
local stamp = grammar.template("{day:date} {clock:clock} {zone:zone}", {define = {
  clock = digit * digit^-1 * ":" * two * ":" * two,
  zone = (lpeg.C(sign * two) * lpeg.C(two) / "%1:%2") + lpeg.R("AZ")^1 / utc_names,
}})

--- A date as RFC 3339 has it; nil if there is no such time.
---@param text string
---@return string?
function M.date(text)
  local found = stamp:find(text)
  if not found then return nil end
  local fields = found.fields
  local written = ("%sT%8s%s"):format(fields.day, fields.clock, fields.zone):gsub(" ", "0")
  local hours, minutes = written:match "(%d%d):(%d%d)$"
  return date.rfc3339(written) and tonumber(hours) < 24 and tonumber(minutes) < 60 and written or nil
end

-- ---- records ----

--- The record of an entry.
---@param entry changelogs.entry
---@return changelogs.record
function M.of(entry)
  local changes = M.utf8(entry.changes)
  local closes, cves = references(changes)
  local written = entry.date and M.utf8(entry.date)
  local moment = written and M.date(written)
  local urgency = entry.metadata:match "[Uu][Rr][Gg][Ee][Nn][Cc][Yy]=%s*(%a+)"
  return setmetatable({
    package = entry.package, version = M.utf8(entry.version),
    date = moment, date_text = not moment and word(written) or nil,
    maintainer = word(entry.maintainer and M.utf8(entry.maintainer)), email = word(entry.email and M.utf8(entry.email)),
    distribution = word(M.utf8(entry.distributions)), urgency = urgency and urgency:lower(),
    closes = json.array(closes), cves = json.array(cves), changes = changes_of(changes),
  }, meta)
end

return M
