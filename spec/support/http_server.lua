--- A byte-exact server for specs of HTTP: each connection is a task that reads requests and writes what it likes.
local async = require "muster"
local uv = require "luv"

local M = {}

-- ---- connections ----

local conn = {}
conn.__index = conn

local function new_conn(tcp)
  local self = setmetatable({tcp = tcp, buffer = ""}, conn)
  tcp:read_start(function(err, chunk)
    if chunk then self.buffer = self.buffer .. chunk else self.ended, self.err = true, err end
    if self.wake then self.wake() end
  end)
  return self
end

--- Waits until something more has come; false at the end.
function conn:more()
  if self.ended or self.tcp:is_closing() then return false end
  local before = #self.buffer
  async.suspend(function(resume)
    self.wake = resume
    return function() self.wake = nil end
  end)
  self.wake = nil
  return #self.buffer > before
end

--- Takes n bytes, or what there is before the end.
function conn:take(n)
  while #self.buffer < n and self:more() do end
  local taken = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return taken
end

local function take_line(self)
  while not self.buffer:find("\r\n", 1, true) do
    if not self:more() then return nil end
  end
  local line, rest = self.buffer:match "^(.-)\r\n(.*)$"
  self.buffer = rest
  return line
end

local function take_chunks(self)
  local chunks = {}
  while true do
    local size = tonumber(take_line(self), 16)
    chunks[#chunks + 1] = self:take(size)
    take_line(self)
    if size == 0 then return table.concat(chunks), chunks end
  end
end

--- The next request: {method, path, version, head, headers, body}, its headers by lower-case names; nil if the client
--- has gone.
function conn:request()
  local first = take_line(self)
  if not first then return nil end
  local request = {headers = {}, line = first}
  request.method, request.path, request.version = first:match "^(%S+) (%S+) HTTP/(%S+)$"
  local lines = {first}
  while true do
    local line = take_line(self)
    if not line then return nil end
    if line == "" then break end
    lines[#lines + 1] = line
    local name, value = line:match "^([^:]+):%s*(.-)$"
    request.headers[name:lower()] = value
  end
  request.head = table.concat(lines, "\n")
  local length = tonumber(request.headers["content-length"])
  if length then request.body = self:take(length) end
  if request.headers["transfer-encoding"] == "chunked" then request.body, request.chunks = take_chunks(self) end
  return request
end

--- Writes, and waits until the system has taken it. False if the client has gone.
function conn:write(text)
  if self.tcp:is_closing() then return false end
  local err = async.suspend(function(resume) self.tcp:write(text, resume) end)
  return not err
end

--- A whole response with a content-length. headers: lines.
function conn:respond(body, headers, status)
  return self:write(("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s"):format(status or "200 OK", #body,
    headers and headers .. "\r\n" or "", body))
end

function conn:close()
  if not self.tcp:is_closing() then self.tcp:close() end
end

--- Ends the connection so that the client gets ECONNRESET.
function conn:reset()
  if not self.tcp:is_closing() then self.tcp:close_reset() end
end

-- ---- servers ----

local server = {}
server.__index = server

local function run(self, c)
  local ok, err = pcall(self.handler, c, self.connections)
  if not ok and not async.is_cancelled(err) then self.error = err end
  if not c.kept then c:close() end
end

local function accept(self)
  local tcp = uv.new_tcp()
  self.tcp:accept(tcp)
  self.connections = self.connections + 1
  local c = new_conn(tcp)
  self.conns[#self.conns + 1] = c
  self.tasks[#self.tasks + 1] = async.spawn(run, self, c)
end

--- Stops it: connections are closed, their tasks cancelled.
function server:close()
  if self.tcp:is_closing() then return end
  self.tcp:close()
  for _, task in ipairs(self.tasks) do task:cancel() end
  for _, c in ipairs(self.conns) do c:close() end
end
server.__close = server.close

--- Starts a server. handler(conn, n) runs in a task for the n-th connection; what it leaves open is closed.
---@param handler fun(conn: table, n: integer)
---@return table server with port, url ("http://127.0.0.1:PORT"), connections, error (of a handler)
function M.start(handler)
  local self = setmetatable({handler = handler, connections = 0, conns = {}, tasks = {}, tcp = uv.new_tcp()}, server)
  assert(self.tcp:bind("127.0.0.1", 0))
  self.port = self.tcp:getsockname().port
  self.url = "http://127.0.0.1:" .. self.port
  assert(self.tcp:listen(4096, function() accept(self) end))
  return self
end

--- A server that answers each request of each connection with respond(request, conn) -> body, headers, status.
function M.answering(respond)
  return M.start(function(c)
    for request in c.request, c do
      local body, headers, status = respond(request, c)
      if body then c:respond(body, headers, status) end
    end
  end)
end

--- A server that writes these bytes to each request, and then closes.
function M.saying(bytes)
  return M.start(function(c)
    if c:request() then c:write(bytes) end
  end)
end

--- A port on which nobody listens.
function M.refused_port()
  local tcp = uv.new_tcp()
  tcp:bind("127.0.0.1", 0)
  local port = tcp:getsockname().port
  tcp:close()
  return port
end

--- Waits until it holds, or raises after ten seconds: for what nothing tells of.
---@param condition fun(): any
function M.wait_for(condition)
  local give_up = async.now() + 10
  while not condition() do
    if async.now() > give_up then error("wait_for: it does not come about", 2) end
    async.sleep(0.001)
  end
end

--- How many descriptors this process has open.
function M.descriptors()
  local n = 0
  local dir = assert(uv.fs_scandir "/proc/self/fd")
  while uv.fs_scandir_next(dir) do n = n + 1 end
  return n
end

return M
