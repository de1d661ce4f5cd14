--- For specs: time that does not pass by itself, and orders that differ but repeat.
local host = require "muster.host"

local M = {}

--- Runs fn with `set(value)` in force, and puts back what was before, also after an error.
local function with(set, value, fn, ...)
  local before = set(value)
  local _ <close> = setmetatable({}, {__close = function() set(before) end})
  return fn(...)
end

--- Makes a function that runs `fn` on a virtual clock: time jumps to the next deadline as soon as nothing can run.
-- It does not jump while I/O is pending. `it("waits an hour", virtual(function() async.sleep(3600) end))`
---@param fn function
---@return function
function M.virtual(fn)
  return function(...) return with(host.virtual, true, fn, ...) end
end

--- Makes a function that runs `fn` with the ready queue shuffled, the same way for the same seed.
---@param seed integer not 0
---@param fn function
---@return function
function M.seeded(seed, fn)
  return function(...) return with(host.seed, seed, fn, ...) end
end

return M
