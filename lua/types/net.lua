---@meta muster.net
-- Type stubs for LuaLS: what `require "muster.net"` returns.

---@class muster.net.module
local net = {}

---Connects to a TCP server: to the address of the host that answers first, IPv6 and IPv4 by turns; each one has a
---head start of 0.25 s on the next.
---@async
---@param host string name or numeric address
---@param port integer
---@param opts {timeout: number?, nodelay: boolean?, family: "inet"|"inet6"|nil}? timeout: seconds for all of it;
---nodelay: send small writes at once, true unless given
---@return muster.stream? stream
---@return muster.error? error of kind "connect", "dns", "timeout"…
function net.connect(host, port, opts) end

---Connects to a UNIX socket.
---@async
---@param path string
---@param opts {timeout: number?}?
---@return muster.stream? stream
---@return muster.error?
function net.connect_unix(path, opts) end

---Listens on a TCP port.
---@async
---@param host string "127.0.0.1" for this machine only, "0.0.0.0" or "::" for all
---@param port integer 0: the system chooses one, see the field `port`
---@param opts {backlog: integer?, family: "inet"|"inet6"|nil}?
---@return muster.listener? listener
---@return muster.error? error of kind "in_use", "permission"…
function net.listen(host, port, opts) end

---Listens on a UNIX socket. Its file is removed when the listener is closed; one that is there is "in_use".
---@async
---@param path string
---@param opts {backlog: integer?, access: "r"|"w"|"rw"|nil}? access: for users other than the owner
---@return muster.listener? listener
---@return muster.error?
function net.listen_unix(path, opts) end

---@class muster.listener
---@field name string
---@field port integer? of TCP: the one the system has chosen, if it was 0
---@field path string? of a UNIX socket
local listener = {}

---Waits for the next connection.
---@async
---@return muster.stream? stream
---@return muster.error? error of kind "closed" once the listener is closed, "too_many" if no descriptor is left
function listener:accept() end

---Iterates over connections until the listener is closed. The body has to close them. Failures that may pass, such as
---too many open files, are waited out; others raise.
---@async
---@return fun(): muster.stream?
function listener:connections() end

---Calls handler(stream) for each connection, each in a task of its own, until the listener is closed; then waits for
---the handlers that run. A connection is closed when its handler ends. A handler that fails is reported, as any task
---that nobody awaits, and the others go on. Cancelling this call cancels them, and waits for them.
---@async
---@param handler fun(stream: muster.stream)
---@param opts {limit: integer?}? limit: connections at once; more have to wait to be accepted
function listener:serve(handler, opts) end

---Stops listening at once, and wakes who accepts. Connections go on. Closing again is fine.
function listener:close() end

---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
function listener:address() end

return net
