--- Streams of bytes over handles of libuv: sockets, and pipes to processes. Reading goes on only while a task waits for
-- it, and until the buffer is full, so that a sender who is too fast has to wait.
--
-- libuv's callbacks must not raise, so they only note what came and wake the task. What they refer to is `input`, not
-- the stream itself: a stream that nobody holds is collected, and closed.
local buffers = require "muster.stream.buffer"
local core = require "muster.core"
local failure = require "muster.failure"
local reader = require "muster.stream.reader"
local uv = require "luv"

local M = {}

local FULL = 256 * 1024 -- the buffer: one read more may be in it
local TURN = 32 -- so many writes in a row that need not wait, and others have theirs

---@class muster.stream: muster.reader
---@field handle userdata of luv
---@field writes integer in a row that did not wait
---@field turn semaphore of one permit, held by the write under way
local Stream = {}
for name, method in pairs(reader.Reader) do Stream[name] = method end
Stream.__index = Stream
Stream.__name = "muster.stream"

---@class muster.stream.input: muster.buffer
---@field resume function? of the task that waits
---@field ended boolean?
---@field problem string? libuv's code
---@field callback fun(problem: string?, data: string?)

--- Stops what the callback has begun. It may run again before its task does.
local function stop(handle)
  if not handle:is_closing() then handle:read_stop() end
end

local function new_input(handle)
  local input = buffers.new()
  ---@cast input muster.stream.input
  function input.callback(problem, data)
    if data then input:push(data)
    elseif problem then input.problem = problem
    else input.ended = true end
    if not data or input.size >= FULL or not input.resume then stop(handle) end
    if input.resume then input.resume() end
  end
  return input
end

--- Waits for more in the buffer: true, false at the end, or nil and an error.
---@async
function Stream:more()
  local input, handle = self.input, self.handle
  if input.resume then error(("read: another task is reading from %s"):format(self.name), 0) end
  local before = input.size
  if not (input.ended or input.problem) then
    core.suspend(function(resume)
      local ok, problem = handle:read_start(input.callback)
      if not ok then
        input.problem = problem
        resume()
        return
      end
      input.resume = resume
      return function()
        input.resume = nil
        stop(handle)
      end
    end)
    input.resume = nil
    stop(handle)
  end
  if self.closed then return failure.closed("read " .. self.name) end
  if input.size > before then return true end
  if input.ended then return false end
  return failure.fail("read " .. self.name, input.problem)
end

--- The permit is held until the system has taken it, also if the task is cancelled: no more than one write is kept.
local function write_rest(self, data, permit)
  return core.suspend(function(resume)
    local function ended(status)
      permit:release()
      resume(status)
    end
    local request, problem = self.handle:write(data, ended)
    if not request then ended(problem) end
  end)
end

--- Sends data, and waits until the system has taken all of it. Tasks that write to the same stream take turns. If the
--- task is cancelled meanwhile, what is left goes out all the same unless the stream is closed; the next write waits
--- for that.
---@async
---@param data string
---@return true? ok
---@return muster.error? error of kind "reset" if the peer reads no more
function Stream:write(data)
  failure.check_string("write", data)
  if self.writes >= TURN then
    self.writes = 0
    core.yield()
  end
  local permit = self.turn:acquire()
  if self.closed or self.shut then permit:release() end
  if self.closed then return failure.closed("write " .. self.name) end
  if self.shut then return nil, failure.new("closed", "write " .. self.name, "it was shut down for writing") end
  local sent = data == "" and 0 or self.handle:try_write(data) or 0 -- a failure is seen again below
  self.writes = self.writes + 1
  if sent == #data then
    permit:release()
    return true
  end
  self.writes = 0
  local problem = write_rest(self, sent > 0 and data:sub(sent + 1) or data, permit)
  if problem then
    if self.closed then return failure.closed("write " .. self.name) end
    return failure.fail("write " .. self.name, problem)
  end
  return true
end

--- Says to the peer that nothing more will be written, once all has been. Reading goes on. A pipe to a process, which
--- has one direction only, is closed.
---@async
---@return true? ok
---@return muster.error?
function Stream:shutdown()
  if self.closed then return failure.closed("shutdown " .. self.name) end
  if self.shut then return true end
  self.shut = true
  local problem = core.suspend(function(resume)
    local request, problem = self.handle:shutdown(function(status) resume(status) end)
    if not request then resume(problem) end
  end)
  if problem and problem:find "^ENOTCONN" then return true end -- the peer has gone: it knows
  if problem and problem:find "^ENOTSOCK" then -- a pipe has one direction only
    self:close()
    return true
  end
  if problem then return failure.fail("shutdown " .. self.name, problem) end
  return true
end

--- Closes it at once. A task that reads or writes meanwhile gets an error of kind "closed". Closing again is fine.
function Stream:close()
  if self.closed then return end
  self.closed = true
  if not self.handle:is_closing() then self.handle:close() end
  self.input:clear()
  if self.input.resume then self.input.resume() end
end

local function address(self, of)
  if self.closed then return failure.closed("address of " .. self.name) end
  local get = self.handle[of]
  local where, problem = nil, "ENOTSOCK"
  if get then where, problem = get(self.handle) end
  if not where then return failure.fail("address of " .. self.name, problem) end
  if type(where) == "string" then return {path = where} end
  return {host = where.ip, port = where.port}
end

--- Where the other end is: {host=, port=}, or {path=} of a UNIX socket ("" if it has none).
---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
function Stream:peer() return address(self, "getpeername") end

--- Where this end is.
---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
function Stream:address() return address(self, "getsockname") end

---@return boolean
function Stream:is_closed() return self.closed == true end

Stream.__close = Stream.close

function Stream:__gc()
  if not self.closed then pcall(Stream.close, self) end -- at the very end the handle may be gone
end

function Stream:__tostring() return ("%s (%s)"):format(self.name, self.closed and "closed" or "open") end

--- Takes over a handle of luv that can be read from or written to.
---@param handle userdata
---@param name string for messages
---@return muster.stream
function M.new(handle, name)
  return setmetatable({handle = handle, name = name, input = new_input(handle), writes = 0,
                       turn = core.semaphore(1)}, Stream)
end

--- Takes over a descriptor of a pipe.
---@param fd integer
---@param name string
---@return muster.stream? stream
---@return muster.error?
function M.from_pipe(fd, name)
  local handle = uv.new_pipe(false)
  local ok, problem = handle:open(fd)
  if ok then return M.new(handle, name) end
  handle:close()
  return failure.fail("open " .. name, problem)
end

M.Stream = Stream

return M
