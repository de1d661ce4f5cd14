-- Tracebacks of tasks, in short, for specs that compare them.
local async = require "muster"

local M = {}

--- The traceback of text, in short: lines of specs become LINE, tasks are without their number.
---@param text string
---@return string
function M.short(text)
  return (text:gsub("spec/[%w_]+_spec%.lua:%d+", "LINE"):gsub("task %d+", "task N")
    :gsub("function <LINE>", "function"):gsub("^stack traceback:\n", ""):gsub("\t", ""))
end

--- Runs fn as a task that must fail: its traceback in short, its error.
---@param fn function
---@return string traceback, any error
function M.trace_of(fn, ...)
  local task = async.spawn(fn, ...)
  local ok, err = task:pawait()
  assert(not ok, "it was to fail")
  return M.short(task:traceback()), err
end

return M
