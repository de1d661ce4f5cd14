-- For specs of I/O: limits of time, and descriptors that are left open.
local async = require "muster"
local uv = require "luv"

local M = {}

-- What libuv opens once, and keeps: before anything is counted.
uv.new_pipe(false):close()
local first = uv.new_signal()
first:start "sigwinch"
first:close()
local watcher = uv.new_fs_event()
watcher:start("/", {}, function() end)
watcher:close()

--- How many descriptors are open.
---@return integer
function M.descriptors()
  local request, n = assert(uv.fs_scandir "/proc/self/fd"), 0
  while uv.fs_scandir_next(request) do n = n + 1 end
  return n
end

--- Lets what was begun go on.
function M.turns(n)
  for _ = 1, n or 3 do async.yield() end
end

--- Descriptors that only the collector can close are counted after it has run.
local function settled(before)
  for _ = 1, 100 do
    if M.descriptors() <= before then break end
    collectgarbage()
    M.turns()
  end
  return M.descriptors()
end

--- Makes the body of a spec: it fails after seconds that a good run never spends, and if descriptors are left open.
---@param fn function
---@return function
function M.checked(fn)
  return function()
    local before = M.descriptors()
    async.timeout(60, fn)
    local after = settled(before)
    assert(after <= before, ("%d descriptors are left open"):format(after - before))
  end
end

--- Starts fn, and lets it run until it waits or ends.
function M.start(fn, ...)
  local task = async.spawn(fn, ...)
  repeat async.yield() until task:status() ~= "ready"
  return task
end

--- Fails unless the call raises an error in which the pattern is found.
function M.raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "no error, but expected: " .. pattern)
  assert(tostring(err):find(pattern), ("expected %q in: %s"):format(pattern, tostring(err)))
end

--- Fails unless these are the results of a call that failed so. -> err
function M.failed(kind, code, result, err)
  assert(result == nil, "no failure, but " .. tostring(result))
  assert(type(err) == "table", "no error, but " .. tostring(err))
  assert(err.kind == kind, ("kind %s instead of %s: %s"):format(err.kind, kind, err))
  assert(err.code == code, ("code %s instead of %s: %s"):format(err.code, code, err))
  assert(type(err.retryable) == "boolean", "retryable is " .. tostring(err.retryable))
  return err
end

--- Two streams that are connected, to close.
---@return muster.stream, muster.stream
function M.pair()
  local net = require "muster.net"
  local listener <close> = assert(net.listen("127.0.0.1", 0))
  local client = assert(net.connect("127.0.0.1", listener.port))
  return client, assert(listener:accept())
end

--- Makes the body of a spec, as `checked`, that is given such a pair.
---@param fn fun(a: muster.stream, b: muster.stream)
---@return function
function M.with_pair(fn)
  return M.checked(function()
    local a, b = M.pair()
    local _ <close> = a
    local _ <close> = b
    fn(a, b)
  end)
end

--- Cancels a task that waits, and fails unless it ends by that.
function M.cancel(task)
  assert(task:status() == "waiting", "it does not wait, but is " .. task:status())
  task:cancel()
  local ok, err = task:pawait()
  assert(not ok and async.is_cancelled(err), "not cancelled: " .. tostring(err))
end

return M
