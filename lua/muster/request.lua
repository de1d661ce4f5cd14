--- Requests of luv, such as those of its thread pool, that suspend only the task.
local uv = require "luv"
local core = require "muster.core"

--- Calls start(..., callback), and waits for the callback, whose arguments are a problem or nil, and results. If the
--- task is cancelled meanwhile, the request is.
---@async
---@param start function of luv
---@param ended fun(wanted: boolean, problem: string?, result: any)? called when it is over, also if it could not be
--- started; wanted: false if the task has been cancelled, and does not get the result
---@return string? problem, any result, any second
local function request(start, ended, ...)
  local arguments, over = table.pack(...), nil
  return core.suspend(function(resume)
    local function come(problem, result, second)
      over = true -- between the cancellation and the task's turn this may come, and then the request is gone
      local wanted = resume(problem, result, second)
      if ended then ended(wanted, problem, result) end
    end
    arguments[arguments.n + 1] = come
    local started, problem = start(table.unpack(arguments, 1, arguments.n + 1))
    if not started then
      come(problem)
      return
    end
    return function()
      if not over then uv.cancel(started) end
    end
  end)
end

return request
