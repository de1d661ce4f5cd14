--- The search for names that match a pattern (see muster.fs.pattern); `**` is any number of directories, and a "/" at
--- the end asks for directories only.
local patterns = require "muster.fs.pattern"
local tree = require "muster.fs.tree"

local M = {}

---@class muster.glob what one search knows
---@field segments (muster.pattern|{deep: true})[]
---@field suffix string "/" if only directories are wanted
---@field found table<string, boolean>
---@field seen table<string, boolean> where it has looked, and for what: two `**` lead to the same places
---@field list fun(directory: string): {name: string, type: string}[]
---@field type_of fun(path: string): string? the type of what is there, also through a link
local Search = {}
Search.__index = Search

local function segments_of(pattern)
  local segments = {}
  for text in pattern:gmatch "[^/]+" do
    local last = segments[#segments]
    if text ~= "**" then table.insert(segments, patterns.parse(text))
    elseif not (last and last.deep) then table.insert(segments, {deep = true}) end
  end
  return segments
end

--- A path that matches all of the pattern. type: that of a directory's entry, if it is known.
function Search:add(path, type)
  if self.suffix == "" then
    if type or self.type_of(path) then self.found[path] = true end
  elseif type == "directory" or (not type or type == "link") and self.type_of(path) == "directory" then
    self.found[path .. self.suffix] = true
  end
end

--- "**": none, or every directory below.
function Search:descend(directory, i)
  if self.segments[i + 1] then self:look(directory, i + 1) end
  for _, entry in ipairs(self.list(directory)) do
    if entry.name:sub(1, 1) ~= "." then
      local path = tree.join(directory, entry.name)
      if not self.segments[i + 1] then self:add(path, entry.type) end
      if entry.type == "directory" then self:look(path, i) end
    end
  end
end

--- Adds what matches from segment i on below a directory.
function Search:look(directory, i)
  local segment, last, place = self.segments[i], i == #self.segments, i .. ":" .. directory
  if self.seen[place] then return end
  self.seen[place] = true
  if segment.deep then return self:descend(directory, i) end
  if not segment.magic then
    local path = tree.join(directory, segment.plain)
    if last then return self:add(path) end
    return self:look(path, i + 1)
  end
  for _, entry in ipairs(self.list(directory)) do
    if patterns.matches(segment, entry.name) then
      local path = tree.join(directory, entry.name)
      if last then self:add(path, entry.type)
      elseif entry.type == "directory" or entry.type == "link" and self.type_of(path) == "directory" then
        self:look(path, i + 1)
      end
    end
  end
end

--- The sorted paths that match; nil if the pattern stands for too many.
---@async
---@param pattern string
---@param root string where relative patterns begin; "" is the current directory
---@param list fun(directory: string): {name: string, type: string}[] an empty list if it cannot be read
---@param type_of fun(path: string): string?
---@return string[]?
function M.search(pattern, root, list, type_of)
  local found, sorted, all = {}, {}, patterns.expand(pattern)
  if not all then return nil end
  for _, one in ipairs(all) do
    local search = setmetatable({segments = segments_of(one), suffix = one:match "[^/](/?)/*$" or "", found = found,
                                 seen = {}, list = list, type_of = type_of}, Search)
    local from = one:sub(1, 1) == "/" and "/" or root
    if search.segments[1] then search:look(from, 1) elseif from == "/" then found["/"] = true end
  end
  for path in pairs(found) do table.insert(sorted, path) end
  table.sort(sorted)
  return sorted
end

return M
