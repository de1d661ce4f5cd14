--- What a new process has as its standard streams: descriptors to be inherited, and our ends of pipes.
local failure = require "muster.failure"
local files = require "muster.stream.file"
local streams = require "muster.stream"
local uv = require "luv"

local M = {}

local FILES = {stdin = 0, stdout = 1, stderr = 2}

--- Is this something with a descriptor: one of our streams, or an open file?
local function has_descriptor(value)
  return type(value) == "table" and (getmetatable(value) == streams.Stream or math.type(value.fd) == "integer")
end

local kind = {
  function(v) return v == "pipe" or v == "inherit" or v == "null" or has_descriptor(v) end,
  '"pipe", "inherit", "null", a stream or a file',
}
local kind_of_errors = {
  function(v) return v == "stdout" or kind[1](v) end,
  '"pipe", "inherit", "null", "stdout", a stream or a file',
}

--- The options, for muster.options.
M.known = {stdin = kind, stdout = kind, stderr = kind_of_errors}

---@class muster.stdio_plan what is to be closed, and when
---@field inherited table<integer, integer> for luv: descriptors by place, from 1
---@field streams table<string, muster.stream> our ends of the pipes
---@field fds integer[] the child's ends, of no use to us once it runs
---@field given muster.stream[] streams that become the child's
---@field started boolean?
local Plan = {}
Plan.__index = Plan

local function add_pipe(self, name, what)
  local fds, problem = uv.pipe()
  if not fds then return failure.fail(what, problem) end
  local ours, theirs = fds.read, fds.write
  if name == "stdin" then ours, theirs = theirs, ours end
  table.insert(self.fds, theirs)
  local stream, err = streams.from_pipe(ours, what .. ": " .. name)
  if not stream then
    uv.fs_close(ours)
    return nil, err
  end
  self.streams[name] = stream
  return theirs
end

local function add_given(self, name, value, what)
  if getmetatable(value) ~= streams.Stream then
    if value.closed then return failure.closed(what .. ": " .. name) end
    return value.fd
  end
  if value.closed then return failure.closed(what .. ": " .. name) end
  table.insert(self.given, value)
  return value.handle:fileno()
end

local function descriptor(self, name, value, what)
  if value == "pipe" then return add_pipe(self, name, what) end
  if value == "inherit" then return FILES[name] end
  if value == "stdout" then return self.inherited[2] end
  if value ~= "null" then return add_given(self, name, value, what) end
end

--- Closes what is not needed any more: if the process has started our copies of its ends, otherwise all that was made.
function Plan:__close()
  for _, fd in ipairs(self.fds) do uv.fs_close(fd) end
  for _, stream in pairs(self.started and self.given or self.streams) do stream:close() end
end

--- A file is given back what was read ahead, so that the child goes on where the script is. Raises if that is not
--- possible, before there is anything to be closed.
local function check_unread(what, wanted)
  for name in pairs(FILES) do
    local value = wanted[name]
    if type(value) == "table" and value.turn and math.type(value.fd) == "integer" then files.settle(value) end
    if type(value) == "table" and value.input and value.input.size > 0 then
      error(("%s: %s has been read from already"):format(what, name), 0)
    end
  end
end

--- Makes the pipes. To be closed, also after a failure.
---@async
---@param what string
---@param wanted table<string, any> by name; all three
---@return muster.stdio_plan
---@return muster.error?
function M.plan(what, wanted)
  check_unread(what, wanted)
  local self = setmetatable({inherited = {}, streams = {}, fds = {}, given = {}}, Plan)
  for _, name in ipairs {"stdin", "stdout", "stderr"} do
    local fd, err = descriptor(self, name, wanted[name], what)
    if err then return self, err end
    self.inherited[FILES[name] + 1] = fd
  end
  return self
end

return M
