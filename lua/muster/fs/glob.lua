--- Names that match a pattern: `*` and `?` (not "/", and not a "." at the beginning), `[a-z]`, `[!a-z]`, `{a,b}`, and
--- `**` for any number of directories. A backslash takes the meaning from the next character.
local tree = require "muster.fs.tree"

local M = {}

-- ---- patterns ----

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

local function open_bracket(pattern)
  local i = 1
  while i <= #pattern do
    local c = pattern:sub(i, i)
    if c == "{" and alternatives(pattern, i) then return i end
    i = i + (c == "\\" and 2 or 1)
  end
end

--- The patterns without {…} that a pattern stands for.
---@param pattern string
---@param list string[]?
---@return string[]
function M.expand(pattern, list)
  list = list or {}
  local open = open_bracket(pattern)
  if not open then
    table.insert(list, pattern)
    return list
  end
  local close, commas = alternatives(pattern, open)
  table.insert(commas, close)
  local from = open + 1
  for _, to in ipairs(commas) do
    M.expand(pattern:sub(1, open - 1) .. pattern:sub(from, to - 1) .. pattern:sub(close + 1), list)
    from = to + 1
  end
  return list
end

--- A set, from after its "[": as a set of Lua, and where it ends; nil if it does not.
local function set_at(glob, at)
  local negated = glob:find("^[!^]", at)
  local first = negated and at + 1 or at
  local close = glob:find("]", first + 1, true)
  if not close then return end
  local body = glob:sub(first, close - 1):gsub("[%%%]%[^]", "%%%0")
  return (negated and "[^" or "[") .. body .. "]", close
end

--- The pattern of Lua for one name; whether it is more than a name; the name itself.
---@param glob string
---@return string pattern
---@return boolean magic
---@return string plain
function M.translate(glob)
  local parts, plain, magic, i = {"^"}, {}, false, 1
  while i <= #glob do
    local c, set, close = glob:sub(i, i), nil, nil
    if c == "[" then set, close = set_at(glob, i + 1) end
    if set then parts[#parts + 1], i, magic = set, close, true
    elseif c == "*" then parts[#parts + 1], magic = ".*", true
    elseif c == "?" then parts[#parts + 1], magic = "[^\x80-\xBF][\x80-\xBF]*", true -- a character of UTF-8
    else
      if c == "\\" and i < #glob then
        i = i + 1
        c = glob:sub(i, i)
      end
      parts[#parts + 1] = c:gsub("%W", "%%%0")
      plain[#plain + 1] = c
    end
    i = i + 1
  end
  parts[#parts + 1] = "$"
  return table.concat(parts), magic, table.concat(plain)
end

-- ---- search ----

---@class muster.glob what one search knows
---@field segments {pattern: string, magic: boolean, plain: string, deep: boolean, dotted: boolean}[]
---@field found table<string, boolean>
---@field list fun(directory: string): {name: string, type: string}[]
---@field exists fun(path: string): string? the type of what is there
local Search = {}
Search.__index = Search

local function segments_of(pattern)
  local segments = {}
  for text in pattern:gmatch "[^/]+" do
    local lua_pattern, magic, plain = M.translate(text)
    table.insert(segments, {pattern = lua_pattern, magic = magic, plain = plain, deep = text == "**",
                            dotted = plain:sub(1, 1) == "." and text:find "^\\?%." ~= nil})
  end
  return segments
end

local function matches(segment, name)
  if name:sub(1, 1) == "." and not segment.dotted then return false end
  return name:find(segment.pattern) ~= nil
end

--- "**": none, or every directory below.
function Search:descend(directory, i)
  if self.segments[i + 1] then self:look(directory, i + 1) end
  for _, entry in ipairs(self.list(directory)) do
    if entry.name:sub(1, 1) ~= "." then
      local path = tree.join(directory, entry.name)
      if not self.segments[i + 1] then self.found[path] = true end
      if entry.type == "directory" then self:descend(path, i) end
    end
  end
end

--- Is a path a directory, also through a link?
function Search:enter(path, i)
  if self.exists(path) == "directory" then self:look(path, i) end
end

--- Adds what matches from segment i on below a directory.
function Search:look(directory, i)
  local segment, last = self.segments[i], i == #self.segments
  if segment.deep then return self:descend(directory, i) end
  if not segment.magic then
    local path = tree.join(directory, segment.plain)
    if not last then return self:look(path, i + 1) end
    if self.exists(path) then self.found[path] = true end
    return
  end
  for _, entry in ipairs(self.list(directory)) do
    if matches(segment, entry.name) then
      local path = tree.join(directory, entry.name)
      if last then self.found[path] = true else self:enter(path, i + 1) end
    end
  end
end

--- The sorted paths that match.
---@async
---@param pattern string
---@param root string where relative patterns begin; "" is the current directory
---@param list fun(directory: string): {name: string, type: string}[] an empty list if it cannot be read
---@param exists fun(path: string): string?
---@return string[]
function M.search(pattern, root, list, exists)
  local found, sorted = {}, {}
  for _, one in ipairs(M.expand(pattern)) do
    local search = setmetatable({segments = segments_of(one), found = found, list = list, exists = exists}, Search)
    local from = one:sub(1, 1) == "/" and "/" or root
    if search.segments[1] then search:look(from, 1) elseif from == "/" then found["/"] = true end
  end
  for path in pairs(found) do table.insert(sorted, path) end
  table.sort(sorted)
  return sorted
end

return M
