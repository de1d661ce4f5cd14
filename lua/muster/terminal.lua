--- What a session's terminal needs of the loop and of the file system: its keys, its signals, its history.
local async = require "muster"
local history = require "muster.history"
local uv = require "luv"

local M = {}

--- Calls fn at each of these signals, which keep no loop alive.
local function on_signal(name, fn)
  local handle = assert(uv.new_signal())
  handle:start(name, fn)
  handle:unref()
  return handle
end

--- A function that suspends the task until there is something to read. An error it returns, and whether it is that the
--- task was cancelled: its caller, in C, has to get out of the line editor first.
local function waiter(poll)
  local function stop() poll:stop() end
  local function start(resume)
    poll:start("r", function()
      stop()
      resume()
    end)
    return stop
  end
  return function()
    async.current().name = "the session"
    local ok, err = pcall(async.suspend, start)
    if not ok then return err, async.is_cancelled(err) end
  end
end

--- A function that adds a line to the history. A file that cannot be written is no reason to disturb a session.
local function rememberer(enter)
  local path = history.path()
  for _, entry in ipairs(history.load(path)) do enter(entry) end
  return function(line)
    if path then history.append(path, line) end
  end
end

---@param descriptor integer of the terminal
---@param refit fun(lost: boolean) draws the line again
---@param enter fun(line: string) adds to what the arrow keys walk
---@return (fun(): any, boolean?) wait, fun(line: string) remember, fun() close
function M.open(descriptor, refit, enter)
  local poll = assert(uv.new_poll(descriptor))
  local handles = {
    poll,
    on_signal("sigwinch", function() refit(false) end),
    on_signal("sigcont", function() refit(true) end),
  }
  local function close()
    for _, handle in ipairs(handles) do handle:close() end
  end
  return waiter(poll), rememberer(enter), close
end

return M
