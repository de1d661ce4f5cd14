---@meta muster.http.server
-- Type stubs for LuaLS: what `require "muster.http.server"` returns.

---@class muster.http.server.options
---@field handler fun(req: muster.http.server.request, res: muster.http.server.response): any
---@field host string? "127.0.0.1" unless given
---@field port integer? 0, or none: the system chooses
---@field max_body integer? 16 MB unless given
---@field max_header integer? memory for a head, 32 kB unless given
---@field connections integer? at once, 10000 unless given
---@field header_timeout number? seconds, 30 unless given; 0 is none
---@field body_rate integer? bytes a second that a body comes with at least, over header_timeout; 100, 0 is none
---@field idle_timeout number? seconds, whole ones, 60 unless given; 0 is none
---@field backlog integer?
---@field cert string? file in PEM, for TLS
---@field key string? likewise

---@class muster.http.server.module
local server = {}

---Starts an HTTP server. The handler is called for each request, in a task of its own, which is cancelled if the client
---goes away. It returns the response: a string; a table with `status`, `headers`, and `body` (a string, or an iterator
---of pieces) or `json`; or nothing: 204, or what was written by `res`. If it fails the client gets 500, and the error
---is reported.
---
---The server works until it is closed, also if nobody holds it. `stop` waits for the requests that are there: a handler
---calls it in a task of its own, `async.spawn(server.stop, server)`. A head that others may understand otherwise is
---refused by 400: two lengths of the body, folded lines, odd names; an unknown Transfer-Encoding by 501.
---@async
---@param opts muster.http.server.options
---@return muster.http.server? server with `host`, `port`, `url`, `close()`, `stop(seconds)`, `active()`
---@return muster.error?
function server.serve(opts) end

return server
