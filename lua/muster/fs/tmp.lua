--- Files and directories for a while: removed when they are closed, or collected.
local core = require "muster.core"
local files = require "muster.stream.file"
local reader = require "muster.stream.reader"
local removal = require "muster.fs.remove"
local tree = require "muster.fs.tree"
local uv = require "luv"

local M = {}

local ATTEMPTS = 100 -- at a name that nobody has

--- A name that nobody will guess.
---@return string
function M.random_name()
  return (uv.random(8):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- attempt(path) -> result, problem, with new names until one is not taken.
local function at_new_path(directory, prefix, suffix, attempt)
  local path, result, problem
  for _ = 1, ATTEMPTS do
    path = tree.join(directory, prefix .. M.random_name() .. suffix)
    result, problem = attempt(path)
    if result or not problem:find "^EEXIST" then break end
  end
  if result then return result, path end
  return nil, path, problem
end

--- A file that was not there before, open for reading and writing. A cancellation comes before that, or once somebody
--- can remove it.
---@async
---@param permissions integer
---@return muster.file? file
---@return string path
---@return string? problem
function M.new_file(directory, prefix, suffix, permissions)
  reader.checkpoint()
  return at_new_path(directory, prefix, suffix, function(path)
    return core.shield(files.open, path, "x+", permissions)
  end)
end

-- ---- files ----

---@class muster.tmp_file: muster.file
local TmpFile = {}
for name, method in pairs(files.File) do TmpFile[name] = method end
TmpFile.__index = TmpFile

--- Closes it, and removes it. Closing again is fine.
function TmpFile:close()
  if self.closed then return end
  files.File.close(self)
  uv.fs_unlink(self.path)
end

function TmpFile:__close() self:close() end

function TmpFile:__gc()
  if not self.closed then pcall(TmpFile.close, self) end
end

---@async
---@return muster.tmp_file?
---@return string path
---@return string? problem
function M.file(directory, prefix, suffix)
  local file, path, problem = M.new_file(directory, prefix, suffix, 384) -- 0600
  if not file then return nil, path, problem end
  return setmetatable(file, TmpFile), path
end

-- ---- directories ----

---@class muster.tmp_dir
---@field path string
---@field closed boolean?
local TmpDir = {}
TmpDir.__index = TmpDir
TmpDir.__name = "muster.tmp_dir"

--- Removes it with all that is in it, also in a task that is being cancelled. Closing again is fine.
---@async
function TmpDir:close()
  if self.closed then return end
  self.closed = true
  core.shield(removal.remove, self.path)
end

function TmpDir:__close() self:close() end

function TmpDir:__gc()
  if not self.closed then pcall(removal.remove_now, self.path) end
end

function TmpDir:__tostring() return self.path end

---@async
---@return muster.tmp_dir?
---@return string path
---@return string? problem
function M.directory(directory, prefix, suffix)
  local _, path, problem = at_new_path(directory, prefix, suffix, function(path)
    return files.call(function(made) if made then uv.fs_rmdir(path) end end, "mkdir", path, 448) -- 0700
  end)
  if problem then return nil, path, problem end
  return setmetatable({path = path}, TmpDir), path
end

return M
