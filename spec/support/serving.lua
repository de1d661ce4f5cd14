-- For specs of the HTTP server: servers that end with their spec, and clients that say exactly what they are told.
local async = require "muster"
local net = require "muster.net"
local server = require "muster.http.server"
local spec = require "spec.support.io"

local M = {}

--- Makes the body of a spec: fn is called with a server, by its options or its handler.
function M.serving(opts, fn)
  if type(opts) == "function" then opts = {handler = opts} end
  return spec.checked(function()
    local s <close> = assert(server.serve(opts))
    fn(s)
    s:close()
    async.wait {s.acceptor}
  end)
end

--- A connection to the server on which a text was sent.
function M.sent(s, text)
  local c = assert(net.connect("127.0.0.1", s.port))
  assert(c:write(text))
  return c
end

--- All that comes until the server closes.
function M.rest(c)
  local all = {}
  while true do
    local chunk = c:read()
    if not chunk then return table.concat(all) end
    all[#all + 1] = chunk
  end
end

--- Sends a text, and returns all that comes until the server closes.
function M.exchange(s, text)
  local c <close> = M.sent(s, text)
  return M.rest(c)
end

--- A head, but for its empty line, after which the server closes the connection.
M.CLOSE = "Host: x\r\nConnection: close\r\n"

local function parts(answer) return answer:match "\r\n\r\n(.*)$", tonumber(answer:match "^HTTP/1.1 (%d+)"), answer end

--- -> body, status, all that came
function M.get(s, path, headers)
  return parts(M.exchange(s, ("GET %s HTTP/1.1\r\n%s%s\r\n"):format(path, M.CLOSE, headers or "")))
end

--- -> body, status, all that came
function M.post(s, body, headers)
  headers = headers or ("Content-Length: %d\r\n"):format(#body)
  return parts(M.exchange(s, ("POST / HTTP/1.1\r\n%s%s\r\n%s"):format(M.CLOSE, headers, body)))
end

--- Waits, by turns of the loop, until a condition holds.
function M.until_true(condition)
  local start = async.now()
  while not condition() do
    assert(async.now() - start < 30, "it never came")
    async.sleep(0.001)
  end
end

--- Waits until a number stays the same: what changes it is held back.
function M.until_steady(number)
  local last, same = nil, 0
  M.until_true(function()
    local n = number()
    last, same = n, n == last and same + 1 or 0
    return same == 30
  end)
  return last
end

--- Waits until the server is done with every request.
function M.until_quiet(s) M.until_true(function() return s:active() == 0 end) end

return M
