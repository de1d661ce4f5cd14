--- Open files. libuv does what may block in a thread of its pool, one operation of a file at a time.
--
-- A task that is cancelled leaves at once, but the thread goes on: so the next operation, and closing, wait for it. A
-- descriptor closed under a thread could by then be another file's.
local buffers = require "muster.stream.buffer"
local core = require "muster.core"
local failure = require "muster.failure"
local options = require "muster.options"
local reader = require "muster.stream.reader"
local uv = require "luv"
local await_request = require "muster.request"

local M = {}

local PIECE = 256 * 1024 -- bytes read at once

---@class muster.file: muster.reader
---@field fd integer
---@field path string
---@field position integer where the system reads and writes next, beyond what is buffered; -1 if it has no positions
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
  local problem, result = await_request(uv["fs_" .. name], drop, ...)
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
  local given = table.pack(self.fd, arguments())
  if self.closed or given[2] == false then
    permit:release()
    return nil, "EBADF"
  end
  self.busy = true
  local over
  local function ended(problem, result)
    over, self.busy = true, nil
    permit:release()
    if not problem and landed then landed(result) end
    if self.closed then release(self) end
    return problem, result
  end
  local problem, result = core.suspend(function(resume)
    given[given.n + 1] = function(...) resume(ended(...)) end
    local request, problem = uv["fs_" .. name](table.unpack(given, 1, given.n + 1))
    if not request then
      resume(ended(problem))
      return
    end
    return function()
      if not over then uv.cancel(request) end
    end
  end)
  if problem then return nil, problem end
  return result
end

local function nothing() end

--- Waits for more in the buffer: true, false at the end, or nil and an error. What a cancelled task has asked for comes
--- all the same, and is not lost.
---@async
function File:more()
  local input, before = self.input, self.input.size
  local text, problem = operate(self, "read", function()
    if input.size > before then return false end -- another read has
    return self.piece or PIECE, self.position
  end, function(text)
    if self.closed then return end
    if self.position >= 0 then self.position = self.position + #text end
    input:push(text)
  end)
  if self.closed then return failure.closed("read " .. self.path) end
  if input.size > before then return true end
  if text then return false end
  return failure.fail("read " .. self.path, problem, {path = self.path})
end

--- What was read ahead is forgotten, so that the position is where the script thinks it is.
local function forget_input(self)
  if self.position < 0 then return end
  self.position = self.position - self.input.size
  self.input:clear()
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
      return data, self.position
    end, function(n)
      if self.position >= 0 then self.position = self.position + n end
    end)
    if not written and self.closed then return failure.closed("write " .. self.path) end
    if not written then return failure.fail("write " .. self.path, problem, {path = self.path}) end
    data = data:sub(written + 1)
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
  if self.position < 0 then return failure.fail("seek " .. self.path, "ESPIPE: it has no positions") end
  local size = 0
  if whence == "end" then
    local stat, err = self:stat()
    if not stat then return nil, err end
    size = stat.size
  end
  local _ <close> = self.turn:acquire() -- what a cancelled task has asked for moves the position first
  if self.closed then return failure.closed("seek " .. self.path) end
  local position = offset + (whence == "cur" and self.position - self.input.size or size)
  if position < 0 then return failure.fail("seek " .. self.path, "EINVAL") end
  self.input:clear()
  self.position = position
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
---@param position integer where to begin, or -1: it has no positions, or those of the system are to be used
---@return muster.file
function M.new(fd, path, position)
  return setmetatable({fd = fd, path = path, name = path, position = position, input = buffers.new(),
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
  local file = M.new(fd, path, -1)
  local stat
  local _ <close> = setmetatable({}, {__close = function() if not stat then file:close() end end})
  stat, problem = operate(file, "fstat", nothing)
  if not stat then return nil, problem end
  if positioned[stat.type] then file.position = 0 end
  return file, stat
end

M.File = File

return M
