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

--- Where a link leads, so that it stays one; and the permissions of what is there.
local function target(path)
  local real = files.call(nil, "realpath", path)
  if not real then return path end
  local stat = files.call(nil, "stat", real)
  return real, stat and stat.mode & 511 -- 0777
end

--- Writes to a new file, puts that on the disk, and renames it. The permissions stay those of the old one.
---@async
---@param path string
---@param data string
---@param permissions integer? of a new file
---@return true?
---@return muster.error?
function M.write(path, data, permissions)
  local what = "write " .. path
  local real, old = target(path)
  local directory, prefix = beside(real)
  local file, new, problem = tmp.new_file(directory, prefix, ".tmp", permissions or old or 438) -- 0666
  if not file then return failure.fail(what, problem, {path = path}) end
  local done = false
  local _ <close> = setmetatable({}, {__close = function()
    file:close()
    if not done then uv.fs_unlink(new) end
  end})
  local ok, err
  if old and not permissions then files.call(nil, "fchmod", file.fd, old) end -- whatever the umask
  ok, err = file:write(data)
  if ok then ok, err = file:sync() end
  if not ok then
    err.message = err.message:gsub("^write [^:]*", function() return what end)
    return nil, err
  end
  ok, problem = core.shield(files.call, nil, "rename", new, real) -- it has happened, or not
  done = ok
  if not ok then return failure.fail(what, problem, {path = path}) end
  return true
end

return M
