--- From what the grammar claims to statements fit for a record.

local grammar = require "copyrights.grammar"

local M = {}

---@class Years
---@field from integer
---@field to integer|"present"

---@class Statement
---@field holder? string    absent where only an e-mail address is given
---@field emails string[]
---@field years Years[]
---@field first integer     byte span: source:sub(first, last) == text
---@field last integer
---@field text string

-- Abbreviations that keep their full stop at the end of a name.
local abbreviations = { Inc = true, INC = true, Ltd = true, LTD = true, Co = true, Corp = true,
  Jr = true, Sr = true, al = true, Bros = true, Dr = true, Ph = true, Univ = true }
-- Words that a name cannot end with.
local dangling = { ["and"] = true, by = true, of = true, the = true, at = true, ["for"] = true,
  ["and/or"] = true, other = true }

local function keeps_stop(word)
  return abbreviations[word] or word:find "%." or word:find "^%a$"
end

--- `text` without the stops and the dangling words at its end.
local function trim(text)
  local after = text:match "^.*[^%s,.;:/&*@'-]()" or 1
  local kept = text:sub(1, after - 1)
  local rest, word = kept:match "^(.*)%s(.*)$"
  if text:sub(after, after) == "." and keeps_stop(word or kept) then return kept .. "." end
  return dangling[word] and trim(rest) or kept
end

-- "99" after 1998 is 1999, "02" after 1998 is 2002, "9" after 1998 is 1999.
local function expand(digits, before)
  local unit = #digits == 1 and 10 or 100
  local year = before - before % unit + tonumber(digits)
  return year < before and year + unit or year
end

-- A year as written to a number; `before` is the year it follows.
local function to_year(digits, before)
  if digits == "present" then return digits end
  if #digits == 4 or not before then return math.tointeger(digits) end
  return math.tointeger(expand(digits, before))
end

-- {from=, to=} with numbers, from what the grammar saw.
local function normalise(spans)
  local years, before = {}, nil
  for i, span in ipairs(spans) do
    local from = to_year(span.from, before)
    local to = span.to and to_year(span.to, from) or from
    years[i], before = { from = from, to = to }, to == "present" and from or to
  end
  return years
end

local function name_of(claim)
  local name = claim.name and trim(claim.name):gsub("^the ", "", 1)
  return name ~= "" and name or nil
end

local function statement(source, claim, years)
  local text = trim(source:sub(claim.first, claim.after - 1))
  return {
    holder = name_of(claim), emails = claim.emails or {}, years = years,
    first = claim.first, last = claim.first + #text - 1, text = text,
  }
end

-- A later holder of a list has the years of its heading, or of the one before.
local function years_of(claim, state)
  if claim.years then
    state.years = normalise(claim.years)
  elseif claim.role == "item" then
    state.years = state.heading or {}
  elseif claim.role ~= "also" then
    state.years = {}
  end
  return state.years
end

--- The statements of `source`, by one of the grammar's ways in.
---@param source string
---@param way? userdata   grammar.text (the default) or grammar.field
---@return Statement[]
function M.of(source, way)
  local found, state = {}, {}
  for _, claim in ipairs((way or grammar.text):match(source)) do
    local years = years_of(claim, state)
    if claim.role == "heading" then
      state.heading = claim.years and years
    elseif claim.name or claim.emails then
      local made = statement(source, claim, years)
      if made.holder or made.emails[1] then found[#found + 1] = made end
    end
  end
  return found
end

--- The statement that somebody else has found at source:sub(first, last): the years and the e-mail addresses in it.
---@param holder string
---@param text string
---@param first integer
---@param last integer
---@return Statement
function M.said(holder, text, first, last)
  local found = {holder = holder, emails = {}, years = {}, first = first, last = last, text = text}
  for _, detail in ipairs(grammar.details:match(text)) do
    if detail.years then
      local years = normalise(detail.years)
      table.move(years, 1, #years, #found.years + 1, found.years)
    else
      table.move(detail.emails, 1, #detail.emails, #found.emails + 1, found.emails)
    end
  end
  return found
end

return M
