--- Patterns of names: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`. A backslash takes the meaning from the next character.
---
--- Characters are those of UTF-8; a byte that is no part of one is a character of its own. Matching takes at most the
--- length of the name times that of the pattern.
local M = {}

local MOST = 10000 -- patterns that one with {…} may stand for

-- ---- alternatives ----

--- Where the bracket that is open at `at` is closed, and the commas of its own level; nil if it is not.
local function alternatives(pattern, at)
  local depth, commas, i = 0, {}, at
  while i <= #pattern do
    local c = pattern:sub(i, i)
    if c == "\\" then i = i + 1
    elseif c == "{" then depth = depth + 1
    elseif c == "}" then
      depth = depth - 1
      if depth == 0 then return i, commas end
    elseif c == "," and depth == 1 then table.insert(commas, i)
    end
    i = i + 1
  end
end

--- The first bracket that is closed: where, where it ends, and the commas.
local function open_bracket(pattern)
  if not pattern:find("}", 1, true) then return nil end
  local i = 1
  while i <= #pattern do
    local c = pattern:sub(i, i)
    if c == "{" then
      local close, commas = alternatives(pattern, i)
      if close then return i, close, commas end
    end
    i = i + (c == "\\" and 2 or 1)
  end
end

--- The patterns without {…} that a pattern stands for; nil if they are too many.
---@param pattern string
---@param list string[]?
---@return string[]?
function M.expand(pattern, list)
  list = list or {}
  local open, close, commas = open_bracket(pattern)
  if not open then
    table.insert(list, pattern)
    return #list <= MOST and list or nil
  end
  table.insert(commas, close)
  local from = open + 1
  for _, to in ipairs(commas) do
    local one = pattern:sub(1, open - 1) .. pattern:sub(from, to - 1) .. pattern:sub(close + 1)
    if not M.expand(one, list) then return nil end
    from = to + 1
  end
  return list
end

-- ---- names ----

local INVALID = 0x80000000 -- added to a byte that is no part of a character

--- The characters of a text as numbers.
---@param text string
---@return integer[]
function M.characters(text)
  if #text <= 255 and not text:find "[\x80-\xFF]" then return {text:byte(1, -1)} end
  local list, i = {}, 1
  while i <= #text do
    if utf8.len(text, i, i) then
      list[#list + 1], i = utf8.codepoint(text, i), utf8.offset(text, 2, i)
    else
      list[#list + 1], i = INVALID + text:byte(i), i + 1
    end
  end
  return list
end

local BACKSLASH, STAR, ANY, OPEN, CLOSE, DASH = ("\\*?[]-"):byte(1, -1)
local NOT = {[("!"):byte()] = true, [("^"):byte()] = true}

--- A set, from after its "[": its ranges, and where it ends; nil if it does not.
local function set_at(glob, i)
  local set = {negated = NOT[glob[i]]}
  if set.negated then i = i + 1 end
  local first = i
  while glob[i] and (glob[i] ~= CLOSE or i == first) do
    if glob[i] == BACKSLASH and glob[i + 1] then i = i + 1 end
    local low, high = glob[i], glob[i]
    if glob[i + 1] == DASH and glob[i + 2] and glob[i + 2] ~= CLOSE then
      i = i + 2
      if glob[i] == BACKSLASH and glob[i + 1] then i = i + 1 end
      high = glob[i]
    end
    table.insert(set, {low, high})
    i = i + 1
  end
  if glob[i] then return set, i end
end

---@class muster.pattern
---@field tokens (integer|string|table)[] characters, "*", "?", and sets, which are lists of ranges
---@field magic boolean is it more than a name?
---@field plain string the name itself
---@field dotted boolean does it ask for names that begin with "."?

---@param text string
---@return muster.pattern
function M.parse(text)
  local glob, tokens, magic, i = M.characters(text), {}, false, 1
  while i <= #glob do
    local c, set, close = glob[i], nil, nil
    if c == OPEN then set, close = set_at(glob, i + 1) end
    if set then tokens[#tokens + 1], i, magic = set, close, true
    elseif c == STAR then
      if tokens[#tokens] ~= "*" then tokens[#tokens + 1] = "*" end
      magic = true
    elseif c == ANY then tokens[#tokens + 1], magic = "?", true
    else
      if c == BACKSLASH and glob[i + 1] then i = i + 1 end
      tokens[#tokens + 1] = glob[i]
    end
    i = i + 1
  end
  return {tokens = tokens, magic = magic, plain = text:gsub("\\(.)", "%1"), dotted = tokens[1] == ("."):byte()}
end

local function in_set(set, c)
  for _, range in ipairs(set) do
    if range[1] <= c and c <= range[2] then return not set.negated end
  end
  return set.negated or false
end

local function fits(token, c)
  if token == "?" or token == c then return c ~= nil end
  return type(token) == "table" and c ~= nil and in_set(token, c)
end

--- Does a name match? Where it does not, the last `*` takes one character more: those before it need not.
---@param pattern muster.pattern
---@param name string
---@return boolean
function M.matches(pattern, name)
  if name:sub(1, 1) == "." and not pattern.dotted then return false end
  local tokens, characters = pattern.tokens, M.characters(name)
  local t, c, star, taken = 1, 1, nil, nil
  while c <= #characters or t <= #tokens do
    if tokens[t] == "*" then
      star, taken, t = t, c, t + 1
    elseif fits(tokens[t], characters[c]) then
      t, c = t + 1, c + 1
    elseif star and taken <= #characters then
      taken = taken + 1
      t, c = star + 1, taken
    else
      return false
    end
  end
  return true
end

return M
