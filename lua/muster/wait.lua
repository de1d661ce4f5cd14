--- Other ways to wait for a list of tasks, on top of joins.
local core = require "muster.core"
local options = require "muster.options"

local M = {}

local function check_list(what, list)
  if type(list) ~= "table" then
    error(("%s: expected a list of tasks or functions, got %s"):format(what, type(list)), 3)
  end
  return list
end

--- Runs all concurrently, and never raises for one of them.
---@async
---@param list (task|function)[]
---@param opts {limit: integer?}?
---@return {ok: boolean, value: any, error: any}[] results in input order, with `n`
function M.gather_settled(list, opts)
  opts = options.check("gather_settled", opts, {limit = options.kinds.count})
  local tasks = core.to_tasks("gather_settled", check_list("gather_settled", list))
  local results = {n = #tasks}
  for task, i in core.as_completed(tasks, opts) do
    local ok, value = task:pawait()
    results[i] = ok and {ok = true, value = value} or {ok = false, error = value}
  end
  return results
end

local function with_index(index, n, ...)
  local values = table.pack(...)
  n = math.max(n, 1)
  values[n + 1] = index
  return table.unpack(values, 1, n + 1)
end

--- Leaving the scope cancels the others, and waits for them.
local function first_to_end(list)
  local join <close> = core.join(nil, "first", list)
  return join:next()
end

--- Waits for the first to finish, and cancels the others. A failure counts: it is raised.
---@async
---@param list (task|function)[] at least one
---@return any ... the winner's values (at least one, nil if it had none), then its index
function M.first(list)
  if #check_list("first", list) == 0 then error("first: the list is empty", 2) end
  local winner, index = first_to_end(list)
  local results = table.pack(core.await(winner))
  return with_index(index, results.n, table.unpack(results, 1, results.n))
end

local modes = {first = true, first_error = true, all = true}

local function enough(mode, task)
  if mode == "first" then return true end
  return mode == "first_error" and task:status() == "failed"
end

--- Lists of the tasks that have ended, and of the others.
local function split(tasks)
  local done, pending = {}, {}
  for _, task in ipairs(tasks) do
    local status = task:status()
    local ended = status == "done" or status == "failed" or status == "cancelled"
    table.insert(ended and done or pending, task)
  end
  return done, pending
end

local known = {
  mode = {function(v) return modes[v] end, '"first", "first_error" or "all"'},
  timeout = options.kinds.seconds,
}

--- Waits for tasks without cancelling any.
---@async
---@param list (task|function)[]
---@param opts {mode: "first"|"first_error"|"all"|nil, timeout: number?}? mode defaults to "all"
---@return task[] done, task[] pending both in input order
function M.wait(list, opts)
  opts = options.check("wait", opts, known)
  local tasks = core.to_tasks("wait", check_list("wait", list))
  for _, task in ipairs(tasks) do core.spawn(task) end
  local join, deadline = core.join(nil, "wait", tasks), opts.timeout and core.now() + opts.timeout
  local _ <close> = setmetatable({}, {__close = function() join:detach() end})
  repeat
    local task = join:next(deadline and math.max(0, deadline - core.now()))
  until not task or enough(opts.mode, task)
  return split(tasks)
end

return M
