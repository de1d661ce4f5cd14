-- N GETs by lua-http, AT_ONCE at a time, each worker on a connection of its own (lua-http keeps none by itself). Prints
-- the figures that http_work.lua prints. luahttp_get.lua URL N AT_ONCE; with no arguments it says which it is.
local cqueues = require "cqueues"
local http_client = require "http.client"
local http_headers = require "http.headers"
local http_version = require "http.version"

local url, n, at_once = arg[1], tonumber(arg[2]), tonumber(arg[3])
if not url then
  print(("lua-http %s on %s"):format(http_version.version, _VERSION))
  return
end

local host, port, path = url:match "^http://([^:/]+):(%d+)(.*)$"
local left, bytes = n, 0

local function head()
  local headers = http_headers.new()
  headers:append(":method", "GET")
  headers:append(":scheme", "http")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", path)
  headers:append("user-agent", "bench")
  return headers
end

local function worker()
  local connection = assert(http_client.connect {host = host, port = tonumber(port), tls = false})
  while left > 0 do
    left = left - 1
    local stream = connection:new_stream()
    assert(stream:write_headers(head(), true))
    local headers = assert(stream:get_headers())
    assert(headers:get ":status" == "200")
    bytes = bytes + #assert(stream:get_body_as_string())
  end
  connection:close()
end

local queue = cqueues.new()
for _ = 1, at_once do queue:wrap(worker) end
local before = cqueues.monotime()
assert(queue:loop())
local seconds = cqueues.monotime() - before
print("cpu", os.clock() / n * 1e6)
print("rate", n / seconds)
print("bytes", bytes)
