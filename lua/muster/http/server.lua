--- HTTP servers: each request is a task.
local core = require "muster.core"
local dns = require "muster.dns"
local failure = require "muster.failure"
local native = require "muster.http.server.core"
local options = require "muster.options"
local requests = require "muster.http.server.request"
local responses = require "muster.http.server.response"
local wait = require "muster.wait"

local M = {}

local kinds = options.kinds
local text = {function(v) return type(v) == "string" and v ~= "" and not v:find "\0" end, "a string"}
local port = {function(v) return math.type(v) == "integer" and v >= 0 and v <= 65535 end, "a port from 0 to 65535"}
local callable = {function(v) return type(v) == "function" end, "a function"}

local known = {
  host = text, port = port, handler = callable, max_body = kinds.size, max_header = kinds.count,
  connections = kinds.count, header_timeout = kinds.seconds, body_rate = kinds.size, idle_timeout = kinds.seconds,
  backlog = kinds.count, cert = text, key = text,
}

-- ---- one request ----

local function fail(request, err)
  local _, _, too_large = request:state()
  if too_large then responses.fail(request, 413, "the body is too large")
  elseif err == nil then responses.fail(request, 500, "no response")
  elseif core.is_cancelled(err) then responses.fail(request, 503, "the request was cancelled")
  else responses.fail(request, 500, "internal server error") end
  request:done(true)
end

--- Whatever has happened in the handler, the client gets an answer, and the request is done with.
function native.request.__close(request, err)
  if not request:done() then fail(request, err) end
  request:owner()[request] = nil
end

local function work(request, handler)
  local _ <close> = request
  local req = requests.begin(request)
  if not req then return end
  local res = responses.new(request)
  responses.send(res, handler(req, res))
end

-- ---- servers ----

---@class muster.http.server
---@field host string
---@field port integer the one the system has chosen, if it was 0
---@field url string
---@field core userdata
---@field working table<userdata, table> the task of each request
---@field acceptor table the task that takes requests
local Server = {}
Server.__index = Server
Server.__name = "muster.http.server"

--- Takes requests until the server is closed.
local function accept(self, handler)
  local server, working = self.core, self.working
  local _ <close> = server
  while true do
    local request = server:accept(working)
    if not request then break end
    working[request] = core.spawn(work, request, handler)
  end
end

--- Stops at once: closes every connection, and cancels the handlers. Closing again is fine.
function Server:close()
  self.core:close()
  for _, task in pairs(self.working) do task:cancel() end
end

local function drain(self)
  self.core:drain()
  local tasks = {}
  for _, task in pairs(self.working) do tasks[#tasks + 1] = task end
  wait.wait(tasks)
end

--- Stops gracefully: accepts no more connections, lets the requests that are there be answered, and closes. A handler,
--- which it would wait for, calls it in a task of its own.
---@async
---@param seconds number? at most so long; what is left then is cancelled. Without end unless given
---@return boolean drained was everything answered?
function Server:stop(seconds)
  if seconds ~= nil and not kinds.seconds[1](seconds) then
    error(("stop: expected a number of seconds, got %s"):format(tostring(seconds)), 2)
  end
  local current = core.current()
  for _, task in pairs(self.working) do
    if task == current then
      error("stop: it would wait for the handler that calls it; spawn a task: async.spawn(server.stop, server)", 2)
    end
  end
  local _ <close> = setmetatable({}, {__close = function() self:close() end})
  if not seconds then
    drain(self)
    return true
  end
  return core.move_on_after(seconds, function()
    drain(self)
    return true
  end) == true
end

--- How many requests are being worked on, or answered.
---@return integer
function Server:active() return (select(2, self.core:state())) end

Server.__close = Server.close

function Server:__tostring()
  local _, _, closed = self.core:state()
  return ("HTTP server on %s%s"):format(self.url, closed and " (closed)" or "")
end

local function contents(what, path)
  local file <close>, problem = io.open(path, "rb")
  if not file then return nil, failure.new("file", what, problem) end
  local all
  all, problem = file:read "a"
  if not all then return nil, failure.new("file", what, ("%s: %s"):format(path, problem)) end
  return all
end

--- The options of the native server, or nil and an error.
local function native_options(what, opts, host)
  local list = {
    host = host, port = opts.port or 0, max_body = opts.max_body or 16 * 1024 * 1024,
    max_header = opts.max_header or 32 * 1024, connections = opts.connections or 10000,
    header_timeout = opts.header_timeout or 30, body_rate = opts.body_rate or 100,
    idle = math.ceil(opts.idle_timeout or 60), backlog = opts.backlog or 4096,
  }
  if not opts.cert then return list end
  local err
  list.cert, err = contents(what, opts.cert)
  if not list.cert then return nil, err end
  list.key, err = contents(what, opts.key)
  if not list.key then return nil, err end
  return list
end

local function bracketed(host) return host:find(":", 1, true) and "[" .. host .. "]" or host end

--- Starts a server. The handler is called for each request, in a task of its own, which is cancelled if the client goes
--- away (or closes its side of the connection). It returns the response: a string; a table with `status`, `headers`,
--- and `body` (a string, or an iterator of pieces) or `json`; or nothing: 204, or what `res` has written. If it fails
--- the client gets 500, and the error is reported, as that of any task. The server works until it is closed, also if
--- nobody holds it.
---@async
---@param opts muster.http.server.options host: "127.0.0.1" unless given; port 0: the system chooses; max_body: 16 MB;
--- max_header: 32 kB of memory for a head; body_rate: bytes a second, 100, that a body must come with at least, over
--- header_timeout; timeouts in seconds, 0 for none (idle_timeout in whole ones); cert, key:
--- files in PEM, for TLS
---@return muster.http.server? server
---@return muster.error? error of kind "in_use", "permission", "file", "tls"…
function M.serve(opts)
  opts = options.check("serve", opts, known)
  if not opts.handler then error("serve: option 'handler' must be a function, got nil", 2) end
  if (opts.cert == nil) ~= (opts.key == nil) then error("serve: 'cert' and 'key' go together", 2) end
  local host = opts.host or "127.0.0.1"
  local what = ("serve on %s:%d"):format(bracketed(host), opts.port or 0)
  local addresses, list, err
  addresses, err = dns.resolve(host)
  if not addresses then return nil, err end
  list, err = native_options(what, opts, addresses[1].host)
  if not list then return nil, err end
  local server, code, problem = native.listen(list)
  if code then return failure.fail(what, code) end
  if not server then return nil, failure.new(opts.cert and "tls" or "io", what, problem) end
  local self = setmetatable({core = server, host = host, port = (server:state()), working = {}}, Server)
  self.url = ("%s://%s:%d"):format(opts.cert and "https" or "http", bracketed(host), self.port)
  self.acceptor = core.spawn(accept, self, opts.handler)
  return self
end

return M
