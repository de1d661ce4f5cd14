--- TCP and UNIX sockets, as streams (see muster.stream). Each call suspends only its task.
local core = require "muster.core"
local dns = require "muster.dns"
local failure = require "muster.failure"
local options = require "muster.options"
local race = require "muster.net.race"
local reader = require "muster.stream.reader"
local streams = require "muster.stream"
local uv = require "luv"
local wait = require "muster.wait"

local M = {}

local kinds = options.kinds
local families = {inet = true, inet6 = true}
local family_kind = {function(v) return families[v] end, '"inet" or "inet6"'}
local socket_modes = {r = true, w = true, rw = true}

local function check_port(what, port)
  if math.type(port) ~= "integer" or port < 0 or port > 65535 then
    error(("%s: expected a port from 0 to 65535, got %s"):format(what, tostring(port)), 3)
  end
end

local function in_brackets(host) return host:find(":", 1, true) and "[" .. host .. "]" or host end

-- ---- connecting ----

local function resolve_and_connect(what, name, host, port, opts)
  local addresses, err = dns.resolve(host, {family = opts.family})
  if not addresses then return nil, err end
  local attempts = {}
  for i, address in ipairs(race.interleave(addresses)) do attempts[i] = race.tcp(address.host, port) end
  local handle, problem = race.first(attempts)
  if not handle then return failure.fail(what, problem) end
  handle:nodelay(opts.nodelay ~= false)
  return streams.new(handle, name)
end

local connect_options = {timeout = kinds.seconds, nodelay = kinds.flag, family = family_kind}

--- Runs fn within a time limit, if there is one.
local function limited(what, timeout, fn, ...)
  if not timeout then return fn(...) end
  local result, err = core.move_on_after(timeout, fn, ...)
  if result == false then return failure.fail(what, "ETIMEDOUT") end
  return result, err
end

--- Connects to a TCP server: to the address of the host that answers first, IPv6 and IPv4 by turns; each one has a
--- head start of 0.25 s on the next.
---@async
---@param host string name or numeric address
---@param port integer
---@param opts {timeout: number?, nodelay: boolean?, family: "inet"|"inet6"|nil}? timeout: seconds for all of it;
--- nodelay: send small writes at once, true unless given
---@return muster.stream? stream
---@return muster.error? error of kind "connect", "dns", "timeout"…
function M.connect(host, port, opts)
  failure.check_host("connect", host)
  check_port("connect", port)
  opts = options.check("connect", opts, connect_options)
  local name = ("%s:%d"):format(in_brackets(host), port)
  local what = "connect to " .. name
  return limited(what, opts.timeout, resolve_and_connect, what, name, host, port, opts)
end

--- A path that does not fit into an address would be cut off by libuv.
local function fits(path) return #path <= 107 end

--- Connects to a UNIX socket.
---@async
---@param path string
---@param opts {timeout: number?}?
---@return muster.stream? stream
---@return muster.error?
function M.connect_unix(path, opts)
  failure.check_path("connect_unix", path)
  opts = options.check("connect_unix", opts, {timeout = kinds.seconds})
  local what = "connect to " .. path
  if not fits(path) then return failure.fail(what, "ENAMETOOLONG: the path is too long", {path = path}) end
  return limited(what, opts.timeout, function()
    local handle, problem = race.first {race.unix(path)}
    if not handle then return failure.fail(what, problem, {path = path}) end
    return streams.new(handle, path)
  end)
end

-- ---- listening ----

---@class muster.listener
---@field name string
---@field port integer? of TCP: the one the system has chosen, if it was 0
---@field path string? of a UNIX socket
---@field handle userdata
---@field arrivals {pending: boolean?, problem: string?, resume: function?} what libuv has told
---@field closed boolean?
local Listener = {}
Listener.__index = Listener
Listener.__name = "muster.listener"

local function listen(handle, what, name, backlog, new_handle)
  local arrivals = {}
  local ok, problem = handle:listen(math.min(backlog or 4096, 0x7fffffff), function(problem)
    if problem then arrivals.problem = problem else arrivals.pending = true end
    if arrivals.resume then arrivals.resume() end
  end)
  if not ok then
    handle:close()
    return failure.fail(what, problem)
  end
  handle:unref() -- while nobody accepts, nobody waits for it
  return setmetatable({handle = handle, name = name, arrivals = arrivals, new_handle = new_handle}, Listener)
end

local function bind_tcp(what, host, port, opts)
  local addresses, err = dns.resolve(host, {family = opts.family})
  if not addresses then return nil, err end
  local handle = uv.new_tcp()
  local ok, problem = handle:bind(addresses[1].host, port)
  if ok then return handle end
  handle:close()
  return failure.fail(what, problem)
end

--- Listens on a TCP port.
---@async
---@param host string "127.0.0.1" for this machine only, "0.0.0.0" or "::" for all
---@param port integer 0: the system chooses one, see the field `port`
---@param opts {backlog: integer?, family: "inet"|"inet6"|nil}?
---@return muster.listener? listener
---@return muster.error? error of kind "in_use", "permission"…
function M.listen(host, port, opts)
  failure.check_host("listen", host)
  check_port("listen", port)
  opts = options.check("listen", opts, {backlog = kinds.count, family = family_kind})
  local what = ("listen on %s:%d"):format(in_brackets(host), port)
  local handle, err = bind_tcp(what, host, port, opts)
  if not handle then return nil, err end
  local self
  self, err = listen(handle, what, "", opts.backlog, uv.new_tcp)
  if not self then return nil, err end
  self.port = handle:getsockname().port
  self.name = ("%s:%d"):format(in_brackets(host), self.port)
  return self
end

--- Listens on a UNIX socket. Its file is removed when the listener is closed; one that is there is "in_use".
---@async
---@param path string
---@param opts {backlog: integer?, access: "r"|"w"|"rw"|nil}? access: for users other than the owner
---@return muster.listener? listener
---@return muster.error?
function M.listen_unix(path, opts)
  failure.check_path("listen_unix", path)
  local access = {function(v) return socket_modes[v] end, '"r", "w" or "rw"'}
  opts = options.check("listen_unix", opts, {backlog = kinds.count, access = access})
  reader.checkpoint()
  local what, handle = "listen on " .. path, uv.new_pipe(false)
  local ok, problem = nil, "ENAMETOOLONG: the path is too long"
  if fits(path) then ok, problem = handle:bind(path) end
  if ok and opts.access then ok, problem = handle:chmod(opts.access) end
  if not ok then
    handle:close()
    return failure.fail(what, problem, {path = path})
  end
  local self, err = listen(handle, what, path, opts.backlog, function() return uv.new_pipe(false) end)
  if self then self.path = path end
  return self, err
end

--- Suspends until a connection or a failure has come, or the listener is closed.
local function wait_for_arrival(self)
  local arrivals, handle = self.arrivals, self.handle
  if arrivals.resume then error(("accept: another task accepts from %s"):format(self.name), 0) end
  local function leave()
    arrivals.resume = nil
    if not handle:is_closing() then handle:unref() end
  end
  handle:ref()
  core.suspend(function(resume)
    arrivals.resume = resume
    return leave
  end)
  leave()
end

--- Waits for the next connection.
---@async
---@return muster.stream? stream
---@return muster.error? error of kind "closed" once the listener is closed, "too_many" if no descriptor is left
function Listener:accept()
  local arrivals, what = self.arrivals, "accept on " .. self.name
  reader.checkpoint()
  while not (self.closed or arrivals.pending or arrivals.problem) do wait_for_arrival(self) end
  if self.closed then return failure.closed(what) end
  if not arrivals.pending then
    local problem = arrivals.problem
    arrivals.problem = nil
    return failure.fail(what, problem)
  end
  arrivals.pending = nil
  local handle = self.new_handle()
  local ok, problem = self.handle:accept(handle)
  if not ok then
    handle:close()
    return failure.fail(what, problem)
  end
  if handle.nodelay then handle:nodelay(true) end
  return streams.new(handle, "connection to " .. self.name)
end

local PAUSE = 0.1 -- seconds, after a failure that may pass

--- Iterates over connections until the listener is closed. The body has to close them. Failures that may pass, such as
--- too many open files, are waited out; others raise.
---@async
---@return fun(): muster.stream?
function Listener:connections()
  return function()
    while true do
      local stream, err = self:accept()
      if stream then return stream end
      if err.kind == "closed" then return nil end
      if not err.retryable then error(err, 0) end
      core.sleep(PAUSE)
    end
  end
end

-- ---- serving ----

--- What the handlers of one `serve` have: connections by task. A task that is cancelled before it runs stays there.
local function start_handler(serving, permit, stream, handler)
  local task
  local function ended()
    stream:close()
    serving[task] = nil
    if permit then permit:release() end
  end
  task = core.spawn(function()
    local _ <close> = setmetatable({}, {__close = ended})
    handler(stream)
  end)
  serving[task] = stream
end

--- Waits for the handlers without taking notice of their failures, which are reported.
local function wait_for_handlers(serving)
  local tasks = {}
  for task in pairs(serving) do table.insert(tasks, task) end
  wait.wait(tasks)
end

local function cancel_handlers(serving)
  for task in pairs(serving) do task:cancel() end
  core.shield(wait_for_handlers, serving)
  for _, stream in pairs(serving) do stream:close() end
end

--- Calls handler(stream) for each connection, each in a task of its own, until the listener is closed; then waits for
--- the handlers that run. A connection is closed when its handler ends. A handler that fails is reported, as any task
--- that nobody awaits, and the others go on. Cancelling this call cancels them, and waits for them.
---@async
---@param handler fun(stream: muster.stream)
---@param opts {limit: integer?}? limit: connections at once; more have to wait to be accepted
function Listener:serve(handler, opts)
  if type(handler) ~= "function" then
    error(("serve: expected a function for each connection, got %s"):format(type(handler)), 2)
  end
  opts = options.check("serve", opts, {limit = kinds.count})
  local room = opts.limit and opts.limit < math.huge and core.semaphore(opts.limit)
  local serving, next_connection = {}, self:connections()
  local _ <close> = setmetatable({}, {__close = function() cancel_handlers(serving) end})
  while true do
    local permit = room and room:acquire()
    local stream = next_connection()
    if not stream then break end
    start_handler(serving, permit, stream, handler)
  end
  wait_for_handlers(serving)
end

--- Stops listening at once, and wakes who accepts. Connections go on. Closing again is fine.
function Listener:close()
  if self.closed then return end
  self.closed = true
  if not self.handle:is_closing() then self.handle:close() end
  if self.arrivals.resume then self.arrivals.resume() end
end

---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
Listener.address = streams.Stream.address

Listener.__close = Listener.close

function Listener:__gc()
  if not self.closed then pcall(Listener.close, self) end
end

function Listener:__tostring() return ("listener on %s%s"):format(self.name, self.closed and " (closed)" or "") end

return M
