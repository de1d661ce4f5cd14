--- For specs: time that does not pass by itself, and orders that differ but repeat.
local core = require "muster.core"
local host = require "muster.host"
local options = require "muster.options"

local M = {}

local function closing(fn) return setmetatable({}, {__close = fn}) end

--- Runs fn with `set(value)` in force, and puts back what was before, also after an error.
local function with(set, value, fn, ...)
  local before = table.pack(set(value))
  local _ <close> = closing(function() set(table.unpack(before, 1, before.n)) end)
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

-- ---- explore ----

--- The tasks that have started since `known` was taken, and have not ended.
local function new_tasks(known)
  local list = {}
  for _, task in ipairs(core.tasks()) do
    if not known[task] then table.insert(list, task) end
  end
  return list
end

local function known_tasks()
  local known = {}
  for _, task in ipairs(core.tasks()) do known[task] = true end
  return known
end

--- Waits for what the run has left, as a program does at its end: true, or false and the first error of a task.
local function wait_for_rest(known)
  local waited
  repeat
    waited = false
    for _, task in ipairs(new_tasks(known)) do
      if not host.is_daemon(task) then
        local ok, err = task:pawait()
        if not ok and task:status() == "failed" then return false, err end
        waited = true
      end
    end
  until not waited
  return true
end

local function stop_rest(known)
  core.shield(function()
    local rest = new_tasks(known)
    for _, task in ipairs(rest) do task:cancel() end
    for _, task in ipairs(rest) do task:pawait() end
  end)
end

--- Runs fn as a task, to its end and that of the tasks it started: true, or false and the error.
local function run(fn)
  local known = known_tasks()
  local _ <close> = closing(function() stop_rest(known) end)
  local ok, err = core.spawn(fn):pawait()
  if ok then return wait_for_rest(known) end
  return false, err
end

local function raise(err, seed, number, runs)
  host.say(("muster: explore: run %d of %d failed, with seed %d: repeat it by --seed %d, or by seeded(%d, fn) of "
    .. "muster.test\n"):format(number, runs, seed, seed, seed))
  if type(err) == "string" then err = ("%s (seed %d)"):format(err, seed) end
  error(err, 0)
end

local function positive(v) return math.type(v) == "integer" and v >= 1 end

local explore_options = {
  runs = {positive, "an integer of at least 1"},
  seed = {positive, "an integer of at least 1"},
}

--- Runs `fn` again and again, each time with the ready queue shuffled by another seed, to find what depends on the
-- order of tasks. Each run is a task, which may await, and it lasts until the tasks that it started have ended;
-- daemons, and what a failed run has left, are cancelled. So nothing else should start tasks meanwhile.
-- The first run that fails, or one of whose tasks is still there at its end and fails, ends it: a report says how to
-- repeat that run, and its error is raised, a string with the seed at its end, anything else unchanged. The report of
-- a deadlock says the seed, too. On a virtual clock: `explore(virtual(fn))`.
---@async
---@param fn fun()
---@param opts {runs: integer?, seed: integer?}? 100 runs, and 1 as the first seed, from which they count up
function M.explore(fn, opts)
  if type(fn) ~= "function" then error(("explore: expected a function, got %s"):format(type(fn)), 2) end
  opts = options.check("explore", opts, explore_options)
  local runs, first = opts.runs or 100, opts.seed or 1
  if first > math.maxinteger - runs then error("explore: option 'seed' is too large", 2) end
  for i = 1, runs do
    local seed = first + i - 1
    local ok, err = M.seeded(seed, run)(fn)
    if not ok then raise(err, seed, i, runs) end
  end
end

return M
