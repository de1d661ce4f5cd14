--- Open files. libuv does what may block in a thread of its pool, one operation of a file at a time.
---
--- A task that is cancelled leaves at once, but the thread goes on: so the next operation, and closing, wait for it. A
--- descriptor closed under a thread could by then be another file's.
local buffers = require "muster.stream.buffer"
local core = require "muster.core"
local failure = require "muster.failure"
local host = require "muster.host"
local options = require "muster.options"
local reader = require "muster.stream.reader"
local readiness = require "muster.stream.ready"
local request = require "muster.request"
local uv = require "luv"

local M = {}

local PIECE = 256 * 1024 -- bytes read at once

---@class muster.file: muster.reader
---@field fd integer
---@field path string
---@field positioned boolean does it have a position? It is the system's, so that processes share it
---@field unmet boolean? a FIFO that nobody may have opened for writing yet
---@field ready muster.ready?
---@field turn semaphore of one permit, held by the operation under way
---@field busy boolean?
---@field borrowed boolean? the descriptor is not ours to close
---@field piece integer? how much to read at once
local File = {}
for name, method in pairs(reader.Reader) do File[name] = method end
File.__index = File
File.__name = "muster.file"

--- Calls uv["fs_" .. name](...) in a thread, and waits: its result, or nil and the problem. If the task is cancelled
--- meanwhile, a result that must not be lost goes to `drop`.
---@async
function M.call(drop, name, ...)
  local ended = drop and function(wanted, _, result)
    if not wanted then drop(result) end
  end
  local problem, result = request(uv["fs_" .. name], ended, ...)
  if problem then return nil, problem end
  return result
end

--- Closes a descriptor that nobody wants.
local function drop_fd(fd)
  if fd then uv.fs_close(fd) end
end

--- Standard streams of the program stay open: C writes there at its end.
local function release(self)
  if not self.borrowed then uv.fs_close(self.fd) end
end

--- The same for an operation on the descriptor, when those before it have ended. What it is given is asked for only
--- then: arguments() -> its arguments after the descriptor; false: it is not needed any more. landed(result) is called
--- when it succeeds, also if the task has been cancelled.
local function operate(self, name, arguments, landed)
  local permit = self.turn:acquire()
  local given = table.pack(arguments())
  if self.closed or given[1] == false then
    permit:release()
    return nil, "EBADF"
  end
  self.busy = true
  local problem, result = request(uv["fs_" .. name], function(_, problem, result)
    self.busy = nil
    permit:release()
    if not problem and landed then landed(result) end
    if self.closed then release(self) end
  end, self.fd, table.unpack(given, 1, given.n))
  if problem then return nil, problem end
  return result
end

local function nothing() end

--- After an operation that said so, waits until a FIFO or a device is ready, others having their turns meanwhile. ->
--- is it to be tried again?
local function wait_ready(self, direction, problem)
  if self.closed or not problem or not problem:find "^EAGAIN" then return false end
  self.ready = self.ready or readiness.new(self.fd)
  if not self.ready then return false end
  self.ready:wait(direction)
  return true
end

--- Waits for more in the buffer: true, false at the end, or nil and an error. What a cancelled task has asked for comes
--- all the same, and is not lost.
---@async
function File:more()
  local input, before, got, problem = self.input, self.input.size
  if self.unmet then wait_ready(self, "r", "EAGAIN") end
  self.unmet = nil
  repeat
    got, problem = operate(self, "read", function()
      if input.size > before then return false end -- another read has
      return self.piece or PIECE, -1
    end, function(text)
      if not self.closed then input:push(text) end
    end)
  until not wait_ready(self, "r", problem)
  if self.closed then return failure.closed("read " .. self.path) end
  if input.size > before then return true end
  if got then return false end
  return failure.fail("read " .. self.path, problem, {path = self.path})
end

--- What was read ahead is forgotten, so that the system's position is where the script thinks it is.
local function forget_input(self)
  if not self.positioned or self.input.size == 0 then return end
  host.seek(self.fd, -self.input.size, "cur")
  self.input:clear()
end

--- Before somebody else is given the descriptor: what was asked for has come, and the position is the script's.
---@async
---@param file muster.file
function M.settle(file)
  local _ <close> = file.turn:acquire()
  if not file.closed then forget_input(file) end
end

--- Writes all of it.
---@async
---@param data string
---@return true? ok
---@return muster.error? error of kind "full", "closed"…
function File:write(data)
  failure.check_string("write", data)
  reader.checkpoint()
  if self.closed then return failure.closed("write " .. self.path) end
  while data ~= "" do
    local written, problem = operate(self, "write", function()
      forget_input(self)
      return data, -1
    end)
    if written then data = data:sub(written + 1)
    elseif not wait_ready(self, "w", problem) then
      if self.closed then return failure.closed("write " .. self.path) end
      return failure.fail("write " .. self.path, problem, {path = self.path})
    end
  end
  return true
end

local function seconds(time) return time.sec + time.nsec * 1e-9 end

--- What a script is told of a file: times in seconds, permissions without the type.
function M.facts(stat)
  return {
    type = stat.type or "unknown", size = stat.size, mode = stat.mode & 4095, uid = stat.uid, gid = stat.gid,
    mtime = seconds(stat.mtime), atime = seconds(stat.atime), ctime = seconds(stat.ctime),
    ino = stat.ino, dev = stat.dev, nlink = stat.nlink,
  }
end

local bases = {set = true, cur = true, ["end"] = true}

--- Goes to a position, as file:seek of Lua does.
---@async
---@param whence "set"|"cur"|"end"|nil "cur" unless given
---@param offset integer? 0 unless given
---@return integer? position bytes from the beginning
---@return muster.error? error
function File:seek(whence, offset)
  whence, offset = whence or "cur", offset or 0
  if not bases[whence] then error(('seek: expected "set", "cur" or "end", got %s'):format(tostring(whence)), 2) end
  if math.type(offset) ~= "integer" then error("seek: expected an integer, got " .. tostring(offset), 2) end
  reader.checkpoint()
  if self.closed then return failure.closed("seek " .. self.path) end
  if not self.positioned then return failure.fail("seek " .. self.path, "ESPIPE: it has no positions") end
  local _ <close> = self.turn:acquire() -- what a cancelled task has asked for moves the position first
  if self.closed then return failure.closed("seek " .. self.path) end
  forget_input(self)
  local position, problem = host.seek(self.fd, offset, whence)
  if not position then return failure.fail("seek " .. self.path, problem) end
  return position
end

--- One operation that has no result but success.
local function simply(self, what, name, ...)
  reader.checkpoint()
  if self.closed then return failure.closed(what .. " " .. self.path) end
  local arguments = table.pack(...)
  local result, problem = operate(self, name, function()
    if name == "ftruncate" then forget_input(self) end
    return table.unpack(arguments, 1, arguments.n)
  end)
  if not result then return failure.fail(what .. " " .. self.path, problem, {path = self.path}) end
  return result
end

--- The facts about it, as muster.fs.stat.
---@async
---@return table?
---@return muster.error?
function File:stat()
  local stat, err = simply(self, "stat", "fstat")
  if not stat then return nil, err end
  return M.facts(stat)
end

--- Waits until it is on the disk.
---@async
---@return true?
---@return muster.error?
function File:sync() return simply(self, "sync", "fsync") end

local whole = {function(v) return math.type(v) == "integer" and v >= 0 end, "an integer of at least 0"}

--- Cuts it, or extends it with zero bytes.
---@async
---@param size integer? 0 unless given
---@return true?
---@return muster.error?
function File:truncate(size)
  if size ~= nil then options.check("truncate", {size = size}, {size = whole}) end
  return simply(self, "truncate", "ftruncate", size or 0)
end

--- Closes it; if a thread is still at work on it, then when that has ended. Closing again is fine.
function File:close()
  if self.closed then return end
  self.closed = true
  self.input:clear()
  if self.ready then self.ready:close() end
  if not self.busy then release(self) end
end

---@return boolean
function File:is_closed() return self.closed == true end

function File:__close() self:close() end

function File:__gc()
  if not self.closed then pcall(File.close, self) end
end

function File:__tostring() return ("file %s (%s)"):format(self.path, self.closed and "closed" or "open") end

local constants = uv.constants
local READ, WRITE, BOTH, CREATE = constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR, constants.O_CREAT
local modes = {
  r = READ, ["r+"] = BOTH,
  w = WRITE | CREATE | constants.O_TRUNC, ["w+"] = BOTH | CREATE | constants.O_TRUNC,
  a = WRITE | CREATE | constants.O_APPEND, ["a+"] = BOTH | CREATE | constants.O_APPEND,
  x = WRITE | CREATE | constants.O_EXCL, ["x+"] = BOTH | CREATE | constants.O_EXCL,
}

--- Does a mode say so? As those of io.open, or "x": make it, and fail if it is there.
function M.is_mode(mode) return modes[mode] ~= nil end

--- Takes over a descriptor.
---@param fd integer
---@param path string what it is, for messages
---@param positioned boolean
---@return muster.file
function M.new(fd, path, positioned)
  return setmetatable({fd = fd, path = path, name = path, positioned = positioned, input = buffers.new(),
                       turn = core.semaphore(1)}, File)
end

local positioned = {file = true, block = true}

--- A pipe or a device must not hold up a thread: they are opened so that they say EAGAIN.
---@async
---@param path string
---@param mode string
---@param permissions integer?
---@return muster.file?
---@return table|string what libuv says of it, or its problem
function M.open(path, mode, permissions)
  local fd, problem = M.call(drop_fd, "open", path, modes[mode] | constants.O_NONBLOCK, permissions or 438) -- 0666
  if not fd then return nil, problem end
  local file = M.new(fd, path, false)
  local stat
  local _ <close> = setmetatable({}, {__close = function() if not stat then file:close() end end})
  stat, problem = operate(file, "fstat", nothing)
  if not stat then return nil, problem end
  file.positioned, file.unmet = positioned[stat.type] or false, stat.type == "fifo" or nil
  if mode == "a" and file.positioned then host.seek(fd, 0, "end") end -- as C does
  return file, stat
end

M.File = File

return M
