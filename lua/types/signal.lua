---@meta muster.signal
-- Type stubs for LuaLS: what `require "muster.signal"` returns.

---@class muster.signal.module
local signal = {}

---@class muster.signal.receiver
local receiver = {}

---Waits for the next signal.
---@async
---@return string? name such as "SIGTERM"; nil once it is closed
function receiver:next() end

---Lets the signals do again what they did. Closing again is fine.
function receiver:close() end

---Waits for the first of these signals: "SIGTERM", "term", 15. Before the next call, one that comes does what it
---did before, such as to end the program: to lose none, use `iterate`.
---@async
---@param ... string|integer
---@return string name such as "SIGTERM"
function signal.wait(...) end

---Iterates over these signals as they come: `for name in signal.iterate("SIGHUP", "SIGTERM") do`. None is lost while
---the body runs, but equal ones are one. The first value has `next` and `close`, too.
---@param ... string|integer
---@return muster.signal.receiver
function signal.iterate(...) end

---Calls handler(name) in a task of its own, each time the signal comes, until the result is closed.
---@param which string|integer
---@param handler fun(name: string)
---@return muster.signal.receiver
function signal.on(which, handler) end

---Sends a signal to a process.
---@param pid integer
---@param which string|integer
---@return true? ok
---@return muster.error? error of kind "not_found", "permission"
function signal.send(pid, which) end

return signal
