--- Runs one work in this process, which then holds nothing else, checks what it did, and prints its figures.
-- INTERPRETER work.lua muster|floor NAME N; each figure is a line: name, value.
local side, name, n = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
local on = require("on_" .. side)

local function print_figure(figure, value) io.write(("%s %.9g\n"):format(figure, value)) end

--- fn(...) and the seconds that it took.
local function timed(fn, ...)
  local start = on.now()
  local result, more = fn(...)
  return on.now() - start, result, more
end

local function print_each(seconds) print_figure("each", seconds / n * 1e9) end

local function sum(list)
  local s = 0
  for i = 1, #list do s = s + list[i] end
  return s
end

local all = n * (n + 1) // 2 -- the sum of 1 to n

local function check_results(results)
  assert(#results == n and results[1] == 1 and results[n] == n and sum(results) == all, "wrong results")
end

--- The same n delays, of 0 to 0.1 s, everywhere: Park and Miller's minimal generator.
local function delays()
  local list, x = {}, 42
  for i = 1, n do
    x = x * 16807 % 2147483647
    list[i] = x / 2147483647 * 0.1
  end
  return list
end

--- Bytes of this process in memory.
local function resident()
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match "VmRSS:%s*(%d+) kB") * 1024
end

local works = {}

function works.yield()
  print_each((timed(on.yields, n)))
end

function works.gather()
  local seconds, results = timed(on.gather, n)
  check_results(results)
  print_each(seconds)
end

function works.map()
  local seconds, results = timed(on.map, n)
  check_results(results)
  print_each(seconds)
end

function works.as_completed()
  local seconds, total = timed(on.as_completed, n)
  assert(total == all, "wrong sum")
  print_each(seconds)
end

function works.semaphore()
  local seconds, results, peak = timed(on.semaphore, n, 100)
  check_results(results)
  assert(peak == 100, "wrong number inside")
  print_each(seconds)
end

function works.sleep()
  local list = delays()
  local cpu = os.clock()
  local seconds, results = timed(on.sleeps, list)
  cpu = os.clock() - cpu
  check_results(results)
  assert(on.early(list) == 0, "some woke early") -- apart, as it takes time to look at the clock
  print_figure("cpu", cpu)
  print_figure("over", (seconds - 0.1) * 1e3)
end

function works.asleep()
  local before = resident()
  on.asleep(n)
  print_figure("bytes", (resident() - before) / n)
end

function works.channel()
  local seconds, total = timed(on.channel, n, 100)
  assert(total == all, "wrong sum")
  print_each(seconds)
end

on.run(function()
  works[name]()
  io.stdout:flush()
  os.exit(true, false) -- at once: a million tasks may be asleep
end)
