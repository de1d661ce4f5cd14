--- Child processes: run to their end, or spawned with pipes. Whoever is cancelled takes the child along.
local core = require "muster.core"
local failure = require "muster.failure"
local files = require "muster.stream.file"
local names = require "muster.signal.names"
local options = require "muster.options"
local reader = require "muster.stream.reader"
local stdio = require "muster.process.stdio"
local uv = require "luv"

local M = {}

local kinds = options.kinds
local GRACE = 5 -- seconds between SIGTERM and SIGKILL

-- ---- arguments ----

local function check_word(what, value, i)
  if math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" or value:find("\0", 1, true) then
    error(("%s: argument %d must be a string without zero bytes, got %s"):format(what, i, type(value)), 4)
  end
  return value
end

--- The program, and its arguments as strings.
local function check_command(what, command)
  if type(command) ~= "table" or command[1] == nil then
    error(('%s: expected a list of the program and its arguments, such as {"ls", "-l"}, got %s'):format(what,
      type(command) == "table" and "an empty table" or type(command)), 3)
  end
  local arguments = {}
  for i, word in ipairs(command) do arguments[i] = check_word(what, word, i) end
  for key in pairs(command) do
    if not arguments[key] then
      error(("%s: '%s' in the list of arguments: options are a table of their own"):format(what, tostring(key)), 3)
    end
  end
  local program = table.remove(arguments, 1)
  if program == "" then error(what .. ": the name of the program is empty", 3) end
  return program, arguments
end

local function is_environment(t)
  if type(t) ~= "table" then return false end
  for name, value in pairs(t) do
    if type(name) ~= "string" or name == "" or name:find "[=%z]" then return false end
    if value ~= false and (type(value) ~= "string" and type(value) ~= "number" or tostring(value):find "%z") then
      return false
    end
  end
  return true
end

local function is_path(v) return type(v) == "string" and v ~= "" and not v:find "%z" end

local spawn_options = {
  env = {is_environment, "a table of strings by name (false: not there)"}, clear_env = kinds.flag,
  cwd = {is_path, "a path"}, group = kinds.flag, grace = kinds.seconds,
  stdin = stdio.known.stdin, stdout = stdio.known.stdout, stderr = stdio.known.stderr,
}

local run_options = {
  input = {function(v) return type(v) == "string" end, "a string"}, timeout = kinds.seconds, max_output = kinds.count,
}
for name, kind in pairs(spawn_options) do run_options[name] = kind end

--- For luv: the environment as a list, or nil to inherit ours.
local function environment(opts)
  if not opts.env and not opts.clear_env then return nil end
  local all, list = opts.clear_env and {} or uv.os_environ(), {}
  for name, value in pairs(opts.env or {}) do all[name] = value or nil end
  for name, value in pairs(all) do table.insert(list, name .. "=" .. value) end
  return list
end

-- ---- processes ----

---@class muster.process.result
---@field ok boolean it ended by itself, with status 0
---@field status integer? its exit code; nil if a signal ended it
---@field signal string? the signal that ended it, such as "SIGKILL"
---@field stdout string? of run: what it wrote, if that was piped
---@field stderr string?

---@class muster.process
---@field pid integer
---@field name string
---@field stdin muster.stream? our ends of the pipes
---@field stdout muster.stream?
---@field stderr muster.stream?
---@field child muster.process.child
---@field grace number
---@field group boolean?
---@field group_gone boolean? nobody is left in it
local Process = {}
Process.__index = Process
Process.__name = "muster.process"

---@class muster.process.child what libuv's callback refers to, so that a process that nobody holds can be collected
---@field exited event
---@field status integer?
---@field signal integer?
---@field waiting integer how many tasks wait for its end

local function result_of(child)
  local signal = child.signal ~= 0 and names.name(child.signal) or nil
  local status = not signal and child.status or nil
  return {ok = status == 0, status = status, signal = signal}
end

local function start(program, arguments, opts, plan)
  local child = {exited = core.event(), waiting = 0}
  local handle, pid
  handle, pid = uv.spawn(program, {
    args = arguments, env = environment(opts), cwd = opts.cwd, stdio = plan.inherited, detached = opts.group,
  }, function(status, signal)
    child.status, child.signal = status, signal
    if handle then handle:close() end -- an interrupt may have come before it was known here
    child.exited:set()
  end)
  if not handle then return nil, pid end
  plan.started = true
  handle:unref() -- while nobody waits for its end, it keeps nobody
  child.handle = handle
  return child, pid
end

--- Why a process cannot begin in a directory; nil if it can.
---@async
local function problem_of_cwd(path)
  local stat, problem = files.call(nil, "stat", path)
  if not stat then return problem end
  if stat.type ~= "directory" then return "ENOTDIR" end
  local ok
  ok, problem = files.call(nil, "access", path, "X")
  return not ok and (problem or "EACCES") or nil
end

--- Says what is to blame for a failure of libuv: the program, or the directory.
---@async
local function cannot_start(attempt, program, opts, problem)
  local of_cwd = opts.cwd and problem_of_cwd(opts.cwd)
  if of_cwd then return failure.fail(("%s in %s"):format(attempt, opts.cwd), of_cwd, {path = opts.cwd}) end
  return failure.fail(attempt, problem, {path = program})
end

local function spawn(what, program, arguments, opts)
  local attempt = ("%s %s"):format(what, program)
  local plan <close>, err = stdio.plan(attempt, opts)
  if err then return nil, err end
  local child, pid = start(program, arguments, opts, plan)
  if not child then return cannot_start(attempt, program, opts, pid) end
  return setmetatable({
    pid = pid, name = program, child = child, grace = opts.grace or GRACE, group = opts.group,
    stdin = plan.streams.stdin, stdout = plan.streams.stdout, stderr = plan.streams.stderr,
  }, Process)
end

--- Starts a program. Its standard streams are pipes, unless told otherwise: "inherit" ours, "null", a file opened by
--- muster.fs, or a stream, which becomes the child's and is closed here: `stdin = other.stdout` makes a pipe between
--- processes. `stderr = "stdout"`: both go the same way.
---
--- Leaving the scope of a `<close>` variable closes the pipes, and ends the process: see `close`.
---@async
---@param command (string|integer)[] the program, looked up in PATH, and its arguments; no shell
---@param opts table? env: added to the environment (false: taken away), clear_env: instead of it; cwd; stdin, stdout,
--- stderr; group: in a session of its own: signals go to all its processes, and none is left by `close`; grace: see
--- there
---@return muster.process?
---@return muster.error? error of kind "not_found", "permission"…
function M.spawn(command, opts)
  local program, arguments = check_command("spawn", command)
  local wanted = {stdin = "pipe", stdout = "pipe", stderr = "pipe"}
  for name, value in pairs(options.check("spawn", opts, spawn_options)) do wanted[name] = value end
  reader.checkpoint()
  return spawn("spawn", program, arguments, wanted)
end

--- Waits for its end. Many tasks may.
---@async
---@return muster.process.result
function Process:wait()
  local child = self.child
  reader.checkpoint()
  if not child.status then
    child.waiting = child.waiting + 1
    child.handle:ref()
    local _ <close> = setmetatable({}, {__close = function()
      child.waiting = child.waiting - 1
      if child.waiting == 0 and not child.status then child.handle:unref() end
    end})
    child.exited:wait()
  end
  return result_of(child)
end

---@return boolean
function Process:is_running() return self.child.status == nil end

--- Those of its group, which may outlive it. Once there are none, the number may become another's.
local function signal_group(self, number)
  if self.group_gone then return false end
  local sent = uv.kill(-self.pid, number) ~= nil
  self.group_gone = not sent and not self:is_running()
  return sent
end

--- Sends a signal, to a group as long as any of its processes is there. A process that has ended gets none.
---@param signal string|integer such as "SIGHUP", "HUP"
---@return boolean sent
function Process:signal(signal)
  local number = names.check("signal", signal)
  if self.group then return signal_group(self, number) end
  return self:is_running() and self.child.handle:kill(number) ~= nil
end

--- Asks it to end, by SIGTERM.
---@return boolean sent
function Process:terminate() return self:signal "SIGTERM" end

--- Ends it, by SIGKILL.
---@return boolean sent
function Process:kill() return self:signal "SIGKILL" end

--- Ends it: SIGTERM, and if it is still there after `grace` seconds SIGKILL. Waits for its end.
---@async
---@param grace number? 5 unless given here or to spawn
---@return muster.process.result
function Process:stop(grace)
  if grace ~= nil then options.check("stop", {grace = grace}, {grace = kinds.seconds}) end
  local _ <close> = setmetatable({}, {__close = function() self:kill() end}) -- also if this wait is cut short
  self:terminate()
  if self:is_running() then core.move_on_after(grace or self.grace, self.wait, self) end
  self:kill()
  return self:wait()
end

local function close_pipes(self)
  for _, name in ipairs {"stdin", "stdout", "stderr"} do
    if self[name] then self[name]:close() end
  end
end

--- Closes the pipes; if it still runs, stops it, as `stop` does, also in a task that is being cancelled. Those of its
--- group that outlive it are killed.
---@async
function Process:close()
  close_pipes(self)
  if self:is_running() then core.shield(self.stop, self) elseif self.group then self:kill() end
end

function Process:__close() self:close() end

function Process:__tostring()
  return ("process %d (%s%s)"):format(self.pid, self.name, self:is_running() and "" or ", ended")
end

-- ---- to the end ----

--- Whoever does not read its input to the end has what it wants.
local function feed(stream, text)
  stream:write(text)
  stream:close()
end

--- An error of reading, on its way through gather, which ends the other readers.
local Failure = {}

local function read_all(process, name, most)
  local text, err = process[name]:read_all {max = most}
  if not text then error(setmetatable({err}, Failure), 0) end
  return text
end

--- Reads the pipes to their end, and waits for the process.
local function communicate(process, text, most)
  local feeder = process.stdin and core.spawn(feed, process.stdin, text)
  local _ <close> = setmetatable({}, {__close = function() if feeder then feeder:cancel() end end})
  local jobs, piped = {}, {}
  for _, name in ipairs {"stdout", "stderr"} do
    if process[name] then
      table.insert(piped, name)
      table.insert(jobs, function() return read_all(process, name, most) end)
    end
  end
  local outputs = core.gather(jobs)
  local result = process:wait()
  for i, name in ipairs(piped) do result[name] = outputs[i] end
  return result
end

local function try_to_communicate(...)
  local ok, result = pcall(communicate, ...)
  if ok then return result end
  if getmetatable(result) == Failure then return nil, result[1] end
  error(result, 0)
end

--- What had been read of a process that was too slow.
local function timed_out(process, what)
  local fields = {}
  for _, name in ipairs {"stdout", "stderr"} do
    if process[name] then fields[name] = process[name].input:take_all() end
  end
  return failure.fail(what, "ETIMEDOUT", fields)
end

local MOST = 64 * 1024 * 1024 -- bytes of output, unless told otherwise

--- Runs a program to its end: what it wrote, and how it ended. It reads `input`, or nothing.
---
--- When the time limit is over, or this task is cancelled, or it writes more than `max_output` bytes (64 MiB), it is
--- ended: SIGTERM, and after `grace` seconds SIGKILL.
---@async
---@param command (string|integer)[] the program, looked up in PATH, and its arguments; no shell
---@param opts table? those of spawn, and input: what it reads; timeout: seconds; max_output: bytes of each stream
---@return muster.process.result?
---@return muster.error? error if it cannot be run; of kind "timeout", with what was read in `stdout` and `stderr`
function M.run(command, opts)
  local program, arguments = check_command("run", command)
  local wanted = {stdin = "null", stdout = "pipe", stderr = "pipe"}
  for name, value in pairs(options.check("run", opts, run_options)) do wanted[name] = value end
  if wanted.input and opts.stdin then error("run: of the options 'input' and 'stdin' only one can be given", 2) end
  reader.checkpoint()
  if wanted.input then wanted.stdin = "pipe" end
  local process <close>, err = spawn("run", program, arguments, wanted)
  if not process then return nil, err end
  local text, most = wanted.input or "", wanted.max_output or MOST
  if not wanted.timeout then return try_to_communicate(process, text, most) end
  local result
  result, err = core.move_on_after(wanted.timeout, try_to_communicate, process, text, most)
  if result == false then return timed_out(process, "run " .. program) end
  return result, err
end

return M
