--- One work of the bench of HTTP, in a process of its own. Prints figures: name, value.
--   http_work.lua get URL N AT_ONCE       N GETs
--   http_work.lua flight URL N            N requests in flight at once
--   http_work.lua stream URL              one body, in chunks
--   http_work.lua serve SECONDS           a service that answers after so long; prints its URL, ends with its stdin
local async = require "muster"
local http = require "muster.http"
local uv = require "luv"

local function cpu()
  local r = uv.getrusage()
  return r.utime.sec + r.stime.sec + (r.utime.usec + r.stime.usec) * 1e-6
end

local function peak() return uv.getrusage().maxrss / 1024 end -- MB

local function say(figures)
  for name, value in pairs(figures) do print(name, value) end
end

local works = {}

function works.get(url, n, at_once)
  local left, bytes = tonumber(n), 0
  local function worker()
    while left > 0 do
      left = left - 1
      local text = assert(assert(http.get(url)):text())
      bytes = bytes + #text
    end
  end
  local workers = {}
  for i = 1, tonumber(at_once) do workers[i] = worker end
  local before = async.now()
  async.gather(workers)
  local seconds = async.now() - before
  say {cpu = cpu() / n * 1e6, rate = n / seconds, bytes = bytes}
end

function works.flight(url, n)
  assert(assert(http.get(url)):text())
  local tasks, memory, before = {}, peak(), async.now()
  for i = 1, tonumber(n) do tasks[i] = function() return #assert(assert(http.get(url)):text()) end end
  async.gather(tasks)
  say {seconds = async.now() - before, kilobytes = (peak() - memory) * 1024 / n}
end

function works.stream(url)
  local bytes, memory, before = 0, nil, async.now()
  for chunk in assert(http.get(url)):chunks() do
    bytes = bytes + #chunk
    memory = memory or peak()
  end
  say {rate = bytes / (async.now() - before) / 1e6, grown = peak() - memory, bytes = bytes}
end

local RESPONSE = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

--- Answers each request (they are small and come whole) after so many seconds.
local function answer(client, seconds)
  client:read_start(function(_, chunk)
    if not chunk then return client:close() end
    local timer = uv.new_timer()
    timer:start(math.floor(seconds * 1e3), 0, function()
      timer:close()
      if not client:is_closing() then client:write(RESPONSE) end
    end)
  end)
end

function works.serve(seconds)
  local server = uv.new_tcp()
  server:bind("127.0.0.1", 0)
  server:listen(16384, function()
    local client = uv.new_tcp()
    server:accept(client)
    answer(client, tonumber(seconds))
  end)
  io.write("http://127.0.0.1:", server:getsockname().port, "/\n")
  io.flush()
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  async.suspend(function(resume) stdin:read_start(function(_, chunk) if not chunk then resume() end end) end)
  os.exit(0)
end

works[arg[1]](table.unpack(arg, 2))
