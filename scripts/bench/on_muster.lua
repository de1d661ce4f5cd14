--- The works on muster, written as a script would write them. on_floor.lua has the same loops on the floor.
local async = require "muster"

local M = {now = async.now}

--- Calls main in a task: every script is one.
function M.run(main) main() end

local function tasks_of(n, fn)
  local tasks = {}
  for i = 1, n do tasks[i] = fn(i) end
  return tasks
end

--- n switches, between two tasks.
function M.yields(n)
  local yield = async.yield
  local half = async(function()
    for _ = 1, n / 2 do yield() end
  end)
  async.gather(half(), half())
end

--- n tasks that return at once: the list of their results.
function M.gather(n)
  local index = async(function(i) return i end)
  return async.gather(tasks_of(n, index))
end

--- The same by way of an iterator.
function M.map(n)
  local i = 0
  local function integers()
    i = i + 1
    return i <= n and i or nil
  end
  return async.map(integers, function(k) return k end)
end

--- n tasks with one yield each: the sum of their results.
function M.as_completed(n)
  local await, yield, sum = async.await, async.yield, 0
  local index = async(function(i)
    yield()
    return i
  end)
  for task in async.as_completed(tasks_of(n, index)) do sum = sum + await(task) end
  return sum
end

--- n tasks, of which limit at once are inside: the results, and how many were inside at most.
function M.semaphore(n, limit)
  local semaphore, yield = async.semaphore(limit), async.yield
  local inside, peak = 0, 0
  local guarded = async(function(i)
    local permit <close> = semaphore:acquire() -- luacheck: ignore permit
    inside = inside + 1
    if inside > peak then peak = inside end
    yield()
    inside = inside - 1
    return i
  end)
  return async.gather(tasks_of(n, guarded)), peak
end

--- A task for each delay, that sleeps so long: the results.
function M.sleeps(delays)
  local sleep = async.sleep
  local sleeper = async(function(i)
    sleep(delays[i])
    return i
  end)
  return async.gather(tasks_of(#delays, sleeper))
end

--- The same: how many woke early.
function M.early(delays)
  local sleep, now, early = async.sleep, async.now, 0
  local sleeper = async(function(i)
    local due = now() + delays[i]
    sleep(delays[i])
    if now() < due then early = early + 1 end
  end)
  async.gather(tasks_of(#delays, sleeper))
  return early
end

--- Leaves n tasks asleep.
function M.asleep(n)
  local up = 0
  for _ = 1, n do
    async.spawn(function()
      up = up + 1
      async.sleep(3600)
    end)
  end
  while up < n do async.yield() end
end

--- n items from a task to another: their sum.
function M.channel(n, capacity)
  local channel = async.channel(capacity)
  local function producer()
    for i = 1, n do channel:send(i) end
    channel:close()
  end
  local function consumer()
    local sum = 0
    for i in channel:iter() do sum = sum + i end
    return sum
  end
  return async.gather(producer, consumer)[2]
end

return M
