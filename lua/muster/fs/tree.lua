--- Directories and what is in them: listing, walking, making, removing.
local call = require "muster.stream.file".call
local failure = require "muster.failure"
local uv = require "luv"

local M = {}

local function type_of(path)
  local stat = call(nil, "lstat", path)
  return stat and stat.type or "unknown"
end

--- A path below a directory.
---@param directory string "" for the current one
---@param name string
function M.join(directory, name)
  if directory == "" then return name end
  return directory:sub(-1) == "/" and directory .. name or directory .. "/" .. name
end

--- The entries of a directory by name: a list of {name=, type=}, or nil and libuv's problem.
---@async
---@param path string
---@return {name: string, type: string}[]?
---@return string? problem
function M.entries(path)
  local request, problem = call(nil, "scandir", path)
  if not request then return nil, problem end
  local list = {}
  for name, type in uv.fs_scandir_next, request do table.insert(list, {name = name, type = type}) end
  table.sort(list, function(a, b) return a.name < b.name end)
  for _, entry in ipairs(list) do -- some file systems do not say
    if not entry.type or entry.type == "unknown" then entry.type = type_of(M.join(path, entry.name)) end
  end
  return list
end

--- Iterates over what is below root, a directory before what is in it. on_error(path, problem) is called for one that
--- cannot be read.
---@async
---@param root string
---@param deepest number how many levels
---@param on_error fun(path: string, problem: string)
---@return fun(): string?, string?
function M.walk(root, deepest, on_error)
  local open, pending = {}, {path = root, depth = 1} -- levels; the directory to go into next
  local function enter(level)
    local problem
    level.entries, problem = M.entries(level.path)
    level.next = 1
    if level.entries then table.insert(open, level) else on_error(level.path, problem) end
  end
  return function()
    local level = pending
    pending = nil
    if level then enter(level) end
    while open[1] do
      level = open[#open]
      local entry = level.entries[level.next]
      level.next = level.next + 1
      if entry then
        local path = M.join(level.path, entry.name)
        if entry.type == "directory" and level.depth < deepest then pending = {path = path, depth = level.depth + 1} end
        return path, entry.type
      end
      table.remove(open)
    end
  end
end

--- Makes a directory and those above it. -> problem
---@async
---@param path string
---@param mode integer
---@return string? problem
function M.make(path, mode)
  local ok, problem = call(nil, "mkdir", path, mode)
  if ok then return nil end
  if problem:find "^ENOENT" then
    local parent = path:match "^(.*[^/])/+[^/]+/*$"
    if not parent then return problem end
    problem = M.make(parent, 511) -- 0777
    if problem then return problem end
    ok, problem = call(nil, "mkdir", path, mode)
    if ok then return nil end
  end
  local stat = problem:find "^EEXIST" and call(nil, "stat", path)
  if stat and stat.type == "directory" then return nil end
  return problem
end

--- The two results of a call that fails.
function M.fail(what, path, problem) return failure.fail(what .. " " .. path, problem, {path = path}) end

return M
