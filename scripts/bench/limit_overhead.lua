--- What a limiter costs a request, with requests a minute, tokens a minute and concurrency all in force: where everyone
-- can go at once, and where most wait in the queue. `run()` returns nanoseconds.
local async = require "muster"
local limit = require "muster.limit"

local M = {}

local N = 400000
local TASKS, PLACES = 200, 50
local AIM = 2000 -- nanoseconds, at most

local function limiter(places)
  return limit.limiter {rpm = 6e10, tpm = 6e12, concurrency = places}
end

local function nanoseconds(n, fn)
  collectgarbage()
  local start = os.clock()
  fn()
  return (os.clock() - start) / n * 1e9
end

local function settle(permit)
  permit:settle(90)
  permit:succeeded()
end

local function settle_later(permit)
  async.yield()
  permit:settle(90)
  permit:succeeded()
end

local function uncontended()
  local lim = limiter(PLACES)
  return nanoseconds(N, function()
    for _ = 1, N do lim:with(100, settle) end
  end)
end

local function by_tasks(fn)
  local each, tasks = N // TASKS, {}
  for i = 1, TASKS do
    tasks[i] = function()
      for _ = 1, each do fn() end
    end
  end
  return nanoseconds(each * TASKS, function() async.gather(tasks) end)
end

--- Four tasks for each place: nearly all wait. What the task's own yield costs is taken off.
local function contended()
  local lim = limiter(PLACES)
  return by_tasks(function() lim:with(100, settle_later) end) - by_tasks(async.yield)
end

local function best(fn)
  fn()
  return math.min(fn(), fn(), fn())
end

---@return {name: string, value: number, unit: string, most: number}[]
function M.run()
  return {
    {name = "limiter, uncontended", value = best(uncontended), unit = "ns a request", most = AIM},
    {name = "limiter, contended", value = best(contended), unit = "ns a request", most = AIM},
  }
end

if not ... then
  for _, row in ipairs(M.run()) do
    print(("%-24s %6.0f %s  (at most %d: %s)"):format(row.name, row.value, row.unit, row.most,
                                                     row.value <= row.most and "yes" or "no"))
  end
end

return M
