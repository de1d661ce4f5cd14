--- Saving a body to a file that is there as a whole or not at all.
local async = require "muster"
local uv = require "luv"

local M = {}

--- Calls a function of luv that takes a callback last; suspends only the task. The request is cancelled with it.
local function call(fn, ...)
  local args = table.pack(...)
  local err, result = async.shield(function() -- the descriptor must be known, whatever happens
    return async.suspend(function(resume)
      args[args.n + 1] = resume
      assert(fn(table.unpack(args, 1, args.n + 1)))
    end)
  end)
  if err then return nil, err end
  return result
end

local numbers = 0

--- A name beside the file that no other save uses.
local function temporary(path)
  numbers = numbers + 1
  return ("%s.%d-%d.part"):format(path, uv.os_getpid(), numbers)
end

local function write_all(fd, chunk)
  while chunk ~= "" do
    local n, err = call(uv.fs_write, fd, chunk, -1)
    if not n then return nil, err end
    chunk = chunk:sub(n + 1)
  end
  return true
end

--- Writes what `read` gives: chunks, nil at the end, or nil and an error.
local function fill(fd, read)
  local size = 0
  while true do
    local chunk, err = read()
    if not chunk then
      if err then return nil, err end
      break
    end
    local ok
    ok, err = write_all(fd, chunk)
    if not ok then return nil, err end
    size = size + #chunk
  end
  local ok, err = call(uv.fs_fsync, fd)
  if not ok and err then return nil, err end
  return size
end

--- Removes the file, if it is still there, when the scope ends.
local function guard(name, fd)
  return setmetatable({}, {__close = function(self)
    if not self.closed then uv.fs_close(fd) end
    if not self.done then uv.fs_unlink(name) end
  end})
end

--- Saves what `read` gives at `path`, replacing what is there. Returns its size; or nil and an error, a string if the
--- system said it.
---@async
---@param path string
---@param read fun(): string?, any
---@return integer? size
---@return any err
function M.to(path, read)
  local name = temporary(path)
  local fd, err = call(uv.fs_open, name, "wx", tonumber("644", 8))
  if not fd then return nil, err end
  local file <close> = guard(name, fd)
  local size
  size, err = fill(fd, read)
  if not size then return nil, err end
  uv.fs_close(fd)
  file.closed = true
  local ok
  ok, err = call(uv.fs_rename, name, path)
  if not ok then return nil, err end
  file.done = true
  return size
end

return M
