--- Names that `require` would find, and files.
local host = require "muster.host"
local uv = require "luv"

local ipairs, next, package, pcall, table, type = ipairs, next, package, pcall, table, type

local M = {}

--- Names and types of what is in a directory.
local function entries(directory)
  local scan = uv.fs_scandir(directory == "" and "." or directory)
  return function()
    if not scan then return nil end
    return uv.fs_scandir_next(scan)
  end
end

local function is_directory(path)
  local stat = uv.fs_stat(path)
  return stat ~= nil and stat.type == "directory"
end

local function exists(path) return uv.fs_stat(path) ~= nil end

--- Adds the modules that a template such as "./?.lua" or "./?/init.lua" finds below `parent`, "a.b." or "".
local function add_found(list, template, parent)
  local root, rest = template:match "^([^?]*)%?([^?]*)$"
  if not root then return end
  local directory = root .. parent:gsub("%.", "/")
  for name in entries(directory) do
    local module = rest:sub(1, 1) == "/" and exists(directory .. name .. rest) and name
    if #name > #rest and name:sub(-#rest) == rest then module = name:sub(1, -#rest - 1) end
    if module and module:find "^[%w_-]+$" then list[#list + 1] = parent .. module end
  end
end

local function add_keys(list, t)
  if type(t) ~= "table" then return end
  for key in next, t do
    if type(key) == "string" then list[#list + 1] = key end
  end
end

--- Names of modules, those on disk only if they are as deep as `prefix`.
---@param prefix string
---@return string[]
function M.names(prefix)
  local list = host.modules()
  add_keys(list, package.loaded)
  add_keys(list, package.preload)
  local parent = prefix:match "^(.*%.)" or ""
  for _, path in ipairs {package.path, package.cpath} do
    for template in (type(path) == "string" and path or ""):gmatch "[^;]+" do
      pcall(add_found, list, template, parent)
    end
  end
  return list
end

--- Paths that begin with `prefix`; those of directories end in a slash.
---@param prefix string
---@return string[] sorted
function M.files(prefix)
  local directory, start = prefix:match "^(.*/)([^/]*)$"
  directory, start = directory or "", start or prefix
  local list = {}
  for name in entries(directory) do
    local hidden = name:sub(1, 1) == "." and start == ""
    if not hidden and name:sub(1, #start) == start then
      list[#list + 1] = directory .. name .. (is_directory(directory .. name) and "/" or "")
    end
  end
  table.sort(list)
  return list
end

return M
