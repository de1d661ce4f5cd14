-- busted's helper: a spec that passes, but leaves a task, an op, a timer or a libuv handle behind, fails.
-- What before_each made is there when a spec starts, and does not count; `finally` runs before the count.
local async = require "muster"
local busted = require "busted"
local host = require "muster.host"

local TURNS = 1000 -- at most, for what was cancelled in a spec's last lines to clean up

local function counts()
  local stats = host.stats()
  local handles = stats.handles or (stats.busy and 1 or 0)
  return {tasks = stats.alive, ops = stats.ops, timers = stats.timers, handles = handles}
end

--- How many more of each there are, or nil if there are no more.
local function left_behind(before)
  local now, found = counts(), {}
  for what, n in pairs(before) do
    if now[what] > n then table.insert(found, what .. " " .. now[what] - n) end
  end
  table.sort(found)
  return found[1] and "left behind: " .. table.concat(found, ", ")
end

--- The tasks that are not in `known`.
local function new_tasks(known)
  local found = {}
  for _, task in ipairs(async.tasks()) do
    if not known[task] then table.insert(found, task) end
  end
  return found
end

--- Names the first of the tasks, as many as fit on a screen.
local function describe_tasks(tasks)
  local lines = {}
  for i, task in ipairs(tasks) do
    if i > 5 then break end
    table.insert(lines, ("\n%s\n%s"):format(task, task:traceback() or "not yet run"))
  end
  return table.concat(lines)
end

local function wait_for_end(before)
  for _ = 1, TURNS do
    if not left_behind(before) then return end
    async.yield()
  end
end

--- Raises if something was left behind. After a failure it only makes way for the next spec.
local function check(before, known, passed)
  if passed then wait_for_end(before) end
  local problem, tasks = left_behind(before), new_tasks(known)
  if not problem then return end
  problem = problem .. describe_tasks(tasks)
  for _, task in ipairs(tasks) do task:cancel() end
  wait_for_end(before)
  if passed then error(problem, 0) end
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

-- The spec's own `finally` is kept aside: there is one a spec, and the count takes its place.
busted.subscribe({"test", "start"}, function(element)
  if element.descriptor ~= "it" then return nil, true end
  local before, known = counts(), set_of(async.tasks())
  local run, passed, finally = element.run, false, nil
  element.env.finally(function()
    element.run = run
    if finally then finally() end
    check(before, known, passed)
  end)
  element.env.finally = function(fn) finally = fn end
  element.run = function(...)
    run(...)
    passed = true
  end
  return nil, true
end)
