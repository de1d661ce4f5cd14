--- Servers of the bench's own, each in a process of its own, which prints its URL and ends with its stdin.
local async = require "muster"
local uv = require "luv"

local M = {}

local function stop(self)
  self.stdin:close()
  self.stdout:close()
  self.exited:wait()
end

--- Runs a script by this same binary.
---@async
---@param ... string the script and its arguments
---@return {url: string} server to be closed
function M.start(...)
  local self = setmetatable({stdin = uv.new_pipe(false), stdout = uv.new_pipe(false), exited = async.event()},
                            {__close = stop})
  local handle
  handle = assert(uv.spawn(uv.exepath(), {args = {"--slow", "0", ...}, stdio = {self.stdin, self.stdout, 2}},
    function()
      handle:close()
      self.exited:set()
    end))
  local text = async.suspend(function(resume) self.stdout:read_start(function(_, said) resume(said) end) end)
  self.url = assert(text, "the server has not begun"):match "%S+"
  return self
end

return M
