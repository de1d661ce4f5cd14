--- Waiting until a descriptor that does not block can be read from, or written to: a FIFO, a terminal. Tasks may wait
--- for both at once.
local core = require "muster.core"
local uv = require "luv"

local M = {}

---@class muster.ready
---@field handle userdata
---@field waiting table<"r"|"w", table<function, boolean>> what resumes those who wait
local Ready = {}
Ready.__index = Ready

--- Looks out for what somebody waits for.
local function look_out(self)
  local wanted = (next(self.waiting.r) and "r" or "") .. (next(self.waiting.w) and "w" or "")
  if self.handle:is_closing() then return end
  if wanted == "" then self.handle:stop() else self.handle:start(wanted, self.callback) end
end

local function wake(self, direction)
  local waiting = self.waiting[direction]
  self.waiting[direction] = {}
  for resume in pairs(waiting) do resume() end
end

---@param fd integer
---@return muster.ready?
---@return string? problem
function M.new(fd)
  local handle, problem = uv.new_poll(fd)
  if not handle then return nil, problem end
  local self = setmetatable({handle = handle, waiting = {r = {}, w = {}}}, Ready)
  function self.callback(failed, events)
    for direction in pairs(self.waiting) do -- of a failure the next operation says more
      if failed or events:find(direction, 1, true) then wake(self, direction) end
    end
    look_out(self)
  end
  return self
end

--- Returns also when it has been closed.
---@async
---@param direction "r"|"w"
function Ready:wait(direction)
  core.suspend(function(resume)
    self.waiting[direction][resume] = true
    look_out(self)
    return function()
      self.waiting[direction][resume] = nil
      look_out(self)
    end
  end)
end

--- Before the descriptor is.
function Ready:close()
  if not self.handle:is_closing() then self.handle:close() end
  wake(self, "r")
  wake(self, "w")
end

return M
