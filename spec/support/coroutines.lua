-- For specs of the script's own coroutines inside tasks.
local async = require "muster"

local M = {}

--- A value to be closed by fn.
function M.closing(fn) return setmetatable({}, {__close = fn}) end

--- Lets others go on.
function M.turns(n)
  for _ = 1, n do async.yield() end
end

--- Starts fn, and lets it and what it starts run until they wait.
function M.start(fn, ...)
  local task = async.spawn(fn, ...)
  M.turns(2)
  return task
end

--- A coroutine in the middle of fn, which a task has resumed and waits for; `got` is what the task saw.
function M.awaiting(fn)
  local self = {co = coroutine.create(fn)}
  self.task = M.start(function() self.got = table.pack(coroutine.resume(self.co)) end)
  assert(self.got == nil, "it does not wait")
  return self
end

--- Fails unless the call raises an error in which the pattern is found. -> the error
function M.raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "no error, but expected: " .. pattern)
  assert(tostring(err):find(pattern), ("expected %q in: %s"):format(pattern, tostring(err)))
  return err
end

return M
