--- An nginx of the bench's own: one worker, on a port that is free, in a directory that goes with it.
local async = require "muster"
local uv = require "luv"

local M = {}

local ECHO = "/usr/lib/nginx/modules/ngx_http_echo_module.so"

local CONFIGURATION = [[
LOAD
worker_processes 1; daemon off; master_process off; pid DIR/pid; error_log DIR/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http {
  access_log off; keepalive_requests 10000000; default_type application/json; sendfile on;
  client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;
  uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  server {
    listen 127.0.0.1:PORT backlog=16384;
    location / { return 200 'BODY'; }
    location /files/ { alias DIR/; }
    SLOWLY
  }
}
]]

local BODY = '{"id":"chatcmpl-123","object":"chat.completion","created":1677652288,"model":"small","choices":[' ..
  '{"index":0,"message":{"role":"assistant","content":"' .. ("x"):rep(42) .. '"}}]}'

local function find()
  for directory in (os.getenv "PATH" .. ":/usr/sbin"):gmatch "[^:]+" do
    local path = directory .. "/nginx"
    if uv.fs_access(path, "X") then return path end
  end
end

local function free_port()
  local tcp = uv.new_tcp()
  tcp:bind("127.0.0.1", 0)
  local port = tcp:getsockname().port
  tcp:close()
  return port
end

local function wait_for(port)
  for _ = 1, 500 do
    local tcp = uv.new_tcp()
    local err = async.suspend(function(resume) tcp:connect("127.0.0.1", port, resume) end)
    tcp:close()
    if not err then return end
    async.sleep(0.01)
  end
  error "nginx does not answer"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

--- What the configuration says of answers that take their time.
local function slowly(opts)
  if not (opts and uv.fs_access(ECHO, "R")) then return "", "" end
  return ("load_module %s;"):format(ECHO),
    ("location /v1/ { echo_sleep %g; echo '%s'; }"):format(opts.latency, (opts.answer:gsub("\\", "\\\\")))
end

local function stop(self)
  self.process:kill "sigterm"
  self.exited:wait()
  os.execute("rm -rf '" .. self.dir .. "'")
end

--- Starts it; nil if there is no nginx. `url` answers a constant JSON of 200 bytes; `dir` is served below url/files/;
--- `slow_url` gives `answer` (without "$" and "'") after `latency` seconds, if they are given, and nginx can.
---@async
---@param opts {latency: number, answer: string}?
function M.start(opts)
  local path = find()
  if not path then return nil end
  local dir = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/muster-bench-XXXXXX"))
  local port = free_port()
  local load, slow = slowly(opts)
  local values = {DIR = dir, PORT = port, BODY = BODY, LOAD = load, SLOWLY = slow}
  write(dir .. "/nginx.conf", (CONFIGURATION:gsub("%u%u+", values)))
  local url = "http://127.0.0.1:" .. port .. "/"
  local self = setmetatable({dir = dir, url = url, exited = async.event()}, {__close = stop})
  if slow ~= "" then self.slow_url = url .. "v1" end
  self.process = assert(uv.spawn(path, {args = {"-c", dir .. "/nginx.conf", "-e", dir .. "/error.log"}}, function()
    self.process:close()
    self.exited:set()
  end))
  wait_for(port)
  return self
end

return M
