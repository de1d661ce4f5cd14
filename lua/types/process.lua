---@meta muster.process
-- Type stubs for LuaLS: what `require "muster.process"` returns.

---@class muster.process.module
local process = {}

---@class muster.process.result
---@field ok boolean it ended by itself, with status 0
---@field status integer? its exit code; nil if a signal ended it
---@field signal string? the signal that ended it, such as "SIGKILL"
---@field stdout string? of run: what it wrote, if that was piped
---@field stderr string?

---Starts a program. Its standard streams are pipes, unless told otherwise: "inherit" ours, "null", a file opened by
---muster.fs, or a stream, which becomes the child's and is closed here: `stdin = other.stdout` makes a pipe between
---processes. `stderr = "stdout"`: both go the same way.
---
---Leaving the scope of a `<close>` variable closes the pipes, and ends the process: see `close`.
---@async
---@param command (string|integer)[] the program, looked up in PATH, and its arguments; no shell
---@param opts table? env: added to the environment (false: taken away), clear_env: instead of it; cwd; stdin, stdout,
---stderr; group: in a session of its own: signals go to all its processes, and none is left by `close`; grace: see
---there
---@return muster.process?
---@return muster.error? error of kind "not_found", "permission"…
function process.spawn(command, opts) end

---@class muster.process
---@field pid integer
---@field stdin muster.stream? our ends of the pipes
---@field stdout muster.stream?
---@field stderr muster.stream?
local child = {}

---Waits for its end. Many tasks may.
---@async
---@return muster.process.result
function child:wait() end

---@return boolean
function child:is_running() end

---Sends a signal, to a group as long as any of its processes is there. A process that has ended gets none.
---@param signal string|integer such as "SIGHUP", "HUP"
---@return boolean sent
function child:signal(signal) end

---Asks it to end, by SIGTERM.
---@return boolean sent
function child:terminate() end

---Ends it, by SIGKILL.
---@return boolean sent
function child:kill() end

---Ends it: SIGTERM, and if it is still there after `grace` seconds SIGKILL. Waits for its end.
---@async
---@param grace number? 5 unless given here or to spawn
---@return muster.process.result
function child:stop(grace) end

---Closes the pipes; if it still runs, stops it, as `stop` does, also in a task that is being cancelled. Those of its
---group that outlive it are killed.
---@async
function child:close() end

---Runs a program to its end: what it wrote, and how it ended. It reads `input`, or nothing.
---
---When the time limit is over, or this task is cancelled, or it writes more than `max_output` bytes (64 MiB), it is
---ended: SIGTERM, and after `grace` seconds SIGKILL.
---@async
---@param command (string|integer)[] the program, looked up in PATH, and its arguments; no shell
---@param opts table? those of spawn, and input: what it reads; timeout: seconds; max_output: bytes of each stream
---@return muster.process.result?
---@return muster.error? error if it cannot be run; of kind "timeout", with what was read in `stdout` and `stderr`
function process.run(command, opts) end

return process
