--- The changelogs of a machine: which files they are, and their text.
local failure = require "muster.failure"
local fs = require "muster.fs"
local process = require "muster.process"

local M = {}

local MAX_TEXT <const> = 64 * 1024 * 1024 -- bytes; the longest changelogs of Debian have about 5 MB

-- In the order of preference. What Debian itself makes has only the last, in the same form; elsewhere that name is the
-- changelog of others, in any form.
local NAMES = {"changelog.Debian.gz", "changelog.Debian", "changelog.gz", "changelog"}

--- The changelog in a directory of documentation.
local function in_directory(directory)
  for _, name in ipairs(NAMES) do
    local path = directory .. "/" .. name
    local stat = fs.stat(path)
    if stat and stat.type == "file" then return path end
  end
end

local function directories_in(path)
  local found = {path}
  for _, name in ipairs(fs.list(path) or {}) do found[#found + 1] = path .. "/" .. name end
  return found
end

--- The changelogs that a path stands for: itself, or what is in the directory and in those below it.
---@async
---@param path string
---@return string[] paths
---@return muster.error?
function M.find(path)
  local stat, err = fs.stat(path)
  if not stat then return {}, err end
  if stat.type ~= "directory" then return {path} end
  local paths = {}
  for _, directory in ipairs(directories_in((path:gsub("(.)/+$", "%1")))) do
    paths[#paths + 1] = in_directory(directory)
  end
  return paths
end

--- The text of a file, whether it is compressed or not.
---@async
---@param path string
---@return string? text
---@return muster.error?
function M.read(path)
  local stat, err = fs.stat(path)
  if not stat then return nil, err end
  if stat.type ~= "file" then return nil, failure.new("file", path, "not a file, but a " .. stat.type) end
  if not path:find "%.gz$" then return fs.read(path, {max = MAX_TEXT}) end
  local result
  result, err = process.run({"gzip", "-dc", "--", path}, {max_output = MAX_TEXT})
  if not result then return nil, err end
  if result.ok then return result.stdout end
  local problem = result.stderr:match "^%s*gzip: (.-)%s*$" or result.signal or "it failed"
  return nil, failure.new("gzip", "gzip", problem, {path = path})
end

return M
