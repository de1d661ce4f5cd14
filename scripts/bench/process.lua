--- Runs a program and waits for its end, in the task that calls.
local async = require "muster"
local uv = require "luv"

local M = {}

local function open_pipe(chunks, done)
  local pipe = uv.new_pipe(false)
  return pipe, function()
    pipe:read_start(function(_, chunk)
      if chunk then
        chunks[#chunks + 1] = chunk
      else
        pipe:close()
        done()
      end
    end)
  end
end

--- What the program wrote, and the seconds from its start to its end; raises if it fails. Its stderr is ours.
---@async
---@param program string
---@param args string[]
---@param env string[]? NAME=value
---@return string output, number seconds
function M.run(program, args, env)
  local output, parts, failure, seconds = {}, 2, nil, nil
  async.suspend(function(resume)
    local function done()
      parts = parts - 1
      if parts == 0 then resume() end
    end
    local pipe, read = open_pipe(output, done)
    local start = async.now()
    local handle, err
    handle, err = uv.spawn(program, {args = args, env = env, stdio = {nil, pipe, 2}}, function(code, signal)
      seconds = async.now() - start
      if code ~= 0 or signal ~= 0 then failure = ("exit %d, signal %d"):format(code, signal) end
      handle:close()
      done()
    end)
    if not handle then
      failure, parts = err, 1
      pipe:close()
      return done()
    end
    read()
  end)
  if failure then error(("%s %s: %s"):format(program, table.concat(args, " "), failure), 0) end
  return table.concat(output), seconds
end

return M
