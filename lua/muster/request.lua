--- Requests of luv, such as those of its thread pool, that suspend only the task.
local uv = require "luv"
local core = require "muster.core"

--- Calls start(..., callback), and waits for the callback, whose arguments are a problem or nil, and results. If the
--- task is cancelled meanwhile, the request is; a result that comes all the same goes to `drop`.
---@async
---@param start function of luv
---@param drop fun(result: any)?
---@return string? problem, any result, any second
local function request(start, drop, ...)
  local arguments, over = table.pack(...), nil
  return core.suspend(function(resume)
    arguments[arguments.n + 1] = function(problem, result, second)
      over = true -- between the cancellation and the task's turn this may come, and then the request is gone
      if not resume(problem, result, second) and drop then drop(result) end
    end
    local started, problem = start(table.unpack(arguments, 1, arguments.n + 1))
    if not started then
      resume(problem)
      return
    end
    return function()
      if not over then uv.cancel(started) end
    end
  end)
end

return request
