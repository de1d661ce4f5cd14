--- The standard streams of this process, so that reading and writing suspend only their task. They are opened when they
-- are first asked for: `stdio.stdin`, `stdio.stdout`, `stdio.stderr`.
--
-- A pipe and a terminal are opened once more, so that they can be made not to block without print, io.read, or other
-- processes that share them noticing. What cannot be opened once more is left to a thread of libuv's pool.
local files = require "muster.stream.file"
local streams = require "muster.stream"
local uv = require "luv"

local M = {}

local names = {stdin = 0, stdout = 1, stderr = 2}
local buffered = {stdout = io.stdout, stderr = io.stderr}

--- Writes what print and io.write have kept back first, so that the order is that of the calls.
local function in_order(stream, name)
  local class = getmetatable(stream)
  local own = {}
  for key, value in pairs(class) do own[key] = value end
  own.__index = own
  function own:write(data)
    buffered[name]:flush()
    return class.write(self, data)
  end
  return setmetatable(stream, own)
end

--- A pipe that is opened once more has flags of its own.
local function open_pipe(name, fd)
  local constants = uv.constants
  local mode = name == "stdin" and constants.O_RDONLY or constants.O_WRONLY
  local again = uv.fs_open("/proc/self/fd/" .. fd, mode | constants.O_NONBLOCK, 0)
  if not again then return nil end -- a socket; a pipe that nobody reads
  local stream = streams.from_pipe(again, name)
  if not stream then uv.fs_close(again) end
  return stream
end

--- libuv opens a terminal once more by itself.
local function open_terminal(name, fd)
  local handle = uv.new_tty(fd, name == "stdin")
  return handle and streams.new(handle, name)
end

local function open(name)
  local fd = names[name]
  local kind, stream = uv.guess_handle(fd), nil
  if kind == "pipe" then stream = open_pipe(name, fd)
  elseif kind == "tty" then stream = open_terminal(name, fd) end
  if not stream then
    stream = files.new(fd, name, kind == "file")
    stream.borrowed = true
  end
  return buffered[name] and in_order(stream, name) or stream
end

return setmetatable(M, {__index = function(t, name)
  if not names[name] then return nil end
  local stream = open(name)
  rawset(t, name, stream)
  return stream
end})
