--- Writing a file so that others see the old one or the new one, whatever happens, and never a part.
local core = require "muster.core"
local failure = require "muster.failure"
local files = require "muster.stream.file"
local tmp = require "muster.fs.tmp"
local uv = require "luv"

local M = {}

--- Beside the file, so that it can be renamed: the directory, and how names there begin.
local function beside(path)
  local directory, name = path:match "^(.*/)([^/]*)$"
  directory, name = directory or "", name or path
  return directory, "." .. name:sub(1, 100) .. "."
end

--- Where a link leads, so that it stays one; and the facts about what is there.
local function target(path)
  local real = files.call(nil, "realpath", path)
  if not real then return path end
  return real, (files.call(nil, "stat", real))
end

--- Only a file may be replaced: not a device, a pipe, a socket.
local function check_kind(what, path, stat)
  if stat.type == "directory" then return failure.fail(what, "EISDIR", {path = path}) end
  if stat.type ~= "file" then return nil, failure.new("not_file", what, "is no regular file", {path = path}) end
  return true
end

--- Puts the name on the disk, too. Not every file system can.
local function sync_directory(directory)
  local file <close> = files.open(directory == "" and "." or directory, "r")
  if file then file:sync() end
end

--- It has happened, or not: this is not to be cut short.
local function replace(new, real, directory)
  local ok, problem = files.call(nil, "rename", new, real)
  if ok then sync_directory(directory) end
  return ok, problem
end

--- Fills a new file, puts that on the disk, and renames it. The permissions stay those of the old one.
---@async
---@param what string for messages
---@param path string
---@param permissions integer? of a new file
---@param fill fun(file: muster.file): any, muster.error? if it returns nil or false, nothing is changed
---@return any what fill has returned
---@return muster.error?
function M.fill(what, path, permissions, fill)
  local real, stat = target(path)
  if stat then
    local ok, err = check_kind(what, path, stat)
    if not ok then return nil, err end
  end
  local old = stat and stat.mode & 511 -- 0777
  local directory, prefix = beside(real)
  local file, new, problem = tmp.new_file(directory, prefix, ".tmp", permissions or old or 438) -- 0666
  if not file then return failure.fail(what, problem, {path = path}) end
  local done = false
  local _ <close> = setmetatable({}, {__close = function()
    file:close()
    if not done then uv.fs_unlink(new) end
  end})
  if old and not permissions then files.call(nil, "fchmod", file.fd, old) end -- whatever the umask
  local result, err = fill(file)
  local ok = result
  if ok then ok, err = file:sync() end
  if not ok and err.path == new then return failure.fail(what, err.code, {path = path}) end -- the one asked for
  if not ok then return nil, err end
  ok, problem = core.shield(replace, new, real, directory)
  done = ok
  if not ok then return failure.fail(what, problem, {path = path}) end
  return result
end

--- Writes a whole file.
---@async
---@param path string
---@param data string
---@param permissions integer? of a new file
---@return true?
---@return muster.error?
function M.write(path, data, permissions)
  return M.fill("write " .. path, path, permissions, function(file) return file:write(data) end)
end

return M
