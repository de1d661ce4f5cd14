--- The works on the floor (floor.c). on_muster.lua says what each does.
local floor = require "floor"

local M = {now = floor.now, run = floor.run}

function M.yields(n)
  local yield = floor.yield
  floor.gather(2, function()
    for _ = 1, n / 2 do yield() end
    return true
  end)
end

function M.gather(n)
  return floor.gather(n, function(i) return i end)
end

M.map = M.gather

function M.as_completed(n)
  local yield, sum = floor.yield, 0
  local function index(i)
    yield()
    return i
  end
  for value in floor.as_completed(n, index) do sum = sum + value end
  return sum
end

function M.semaphore(n, limit)
  local acquire, release = floor.semaphore(limit)
  local yield = floor.yield
  local inside, peak = 0, 0
  local results = floor.gather(n, function(i)
    acquire()
    inside = inside + 1
    if inside > peak then peak = inside end
    yield()
    inside = inside - 1
    release()
    return i
  end)
  return results, peak
end

function M.sleeps(delays)
  local sleep = floor.sleep
  return floor.gather(#delays, function(i)
    sleep(delays[i])
    return i
  end)
end

function M.early(delays)
  local sleep, now, early = floor.sleep, floor.now, 0
  floor.gather(#delays, function(i)
    local due = now() + delays[i]
    sleep(delays[i])
    if now() < due then early = early + 1 end
    return i
  end)
  return early
end

function M.asleep(n)
  local up = 0
  for _ = 1, n do
    floor.spawn(function()
      up = up + 1
      floor.sleep(3600)
    end)
  end
  while up < n do floor.yield() end
end

function M.channel(n, capacity)
  local put, get = floor.queue(capacity)
  return floor.gather(2, function(i)
    if i == 1 then
      for k = 1, n do put(k) end
      return true
    end
    local sum = 0
    for _ = 1, n do sum = sum + get() end
    return sum
  end)[2]
end

return M
