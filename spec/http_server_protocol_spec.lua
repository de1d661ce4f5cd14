-- lua/muster/http/server.lua: what HTTP asks of a server, said by raw sockets.
local async = require "muster"
local client = require "spec.support.serving"
local net = require "muster.net"
local program = require "spec.support.program"
local server = require "muster.http.server"
local spec = require "spec.support.io"

local serving, exchange, get, post, sent, rest = client.serving, client.exchange, client.get, client.post,
                                                 client.sent, client.rest
local CLOSE = client.CLOSE
local EXPECTING = "POST / HTTP/1.1\r\n" .. CLOSE .. "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"

local function echo(req) return req.method .. " " .. (req:body() or "nothing") end

local function path(req) return req.path end

describe("http server: protocol", function()
  it("OPTIONS, and methods of one's own, reach the handler", serving(echo, function(s)
    assert.truthy(exchange(s, "OPTIONS * HTTP/1.1\r\n" .. CLOSE .. "\r\n"):find "OPTIONS $")
    assert.truthy(exchange(s, "BREW / HTTP/1.1\r\n" .. CLOSE .. "\r\n"):find "BREW $")
    assert.truthy(exchange(s, ("B"):rep(30) .. " / HTTP/1.1\r\n" .. CLOSE .. "\r\n"):find "^HTTP/1.1 501 ")
  end))

  it("Expect: 100-continue is answered before the body comes", serving(echo, function(s)
    local c <close> = sent(s, EXPECTING)
    assert.equal("HTTP/1.1 100 Continue\r\n\r\n", c:read())
    c:write "hello"
    assert.truthy(rest(c):find "POST hello$")
  end))

  it("Expect: 100-continue of too large a body is answered by 413 alone", serving({handler = echo, max_body = 4},
    function(s)
      assert.truthy(exchange(s, EXPECTING):find "^HTTP/1.1 413 ")
    end))

  it("HTTP/1.0 gets a body that ends with the connection", serving(function(_, res)
    res:write "one "
    res:write "two"
  end, function(s)
    assert.truthy(exchange(s, "GET / HTTP/1.0\r\n\r\n"):find "\r\n\r\none two$")
  end))

  it("chunks come in any pieces, with extensions and trailers", serving(echo, function(s)
    local c <close> = sent(s, "POST / HTTP/1.1\r\n" .. CLOSE .. "Transfer-Encoding: chunked\r\n\r\n")
    for byte in ("3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n"):gmatch "." do c:write(byte) end
    assert.truthy(rest(c):find "POST hello$")
  end))

  it("chunks that are none end the request, with an error for its reader", function()
    for _, body in ipairs {"zz\r\nhello\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffffff\r\nx",
                           "3\r\nhello\r\n0\r\n\r\n"} do
      local kind
      serving(function(req)
        local text, err = req:body()
        kind = err and err.kind or "a body of " .. #text
      end, function(s)
        local _, status = post(s, body, "Transfer-Encoding: chunked\r\n")
        assert.is_true(status == nil or status == 400 or status == 413, body)
        client.until_quiet(s)
        assert.is_true(kind == nil or kind == "reset", kind)
      end)()
    end
  end)

  it("many requests at once on one connection are answered in order", serving(function(req)
    async.sleep((100 - tonumber(req.query.n)) % 3 / 1000)
    return "<" .. req.query.n .. ">" .. (req:body() or "")
  end, function(s)
    local all, expected = {}, {}
    for n = 1, 99 do
      all[n] = ("POST /?n=%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"):format(n)
      expected[n] = "<" .. n .. ">ab"
    end
    all[100], expected[100] = "GET /?n=100 HTTP/1.1\r\n" .. CLOSE .. "\r\n", "<100>"
    local seen = {}
    for text in exchange(s, table.concat(all)):gmatch "<%d+>[ab]*" do seen[#seen + 1] = text end
    assert.same(expected, seen)
  end))

  it("the client's address is told", serving(function(req)
    return {json = {req.remote.address, req.remote.port}}
  end, function(s)
    local c <close> = sent(s, "GET / HTTP/1.1\r\n" .. CLOSE .. "\r\n")
    local _, port = c.handle:getsockname().ip, c.handle:getsockname().port
    assert.truthy(rest(c):find(('["127.0.0.1",%d]'):format(port), 1, true))
  end))

  it("headers, version and address can be looked at after the connection has gone", function()
    local kept
    serving(function(req)
      kept = req
      return ""
    end, function(s)
      get(s, "/", "X-A: 1\r\nX-A: 2\r\n")
      client.until_quiet(s)
      assert.equal("1, 2", kept.headers["x-a"])
      assert.equal("HTTP/1.1", kept.version)
      assert.equal("127.0.0.1", kept.remote.address)
    end)()
  end)

  it("listens on ::1", spec.checked(function()
    local s <close>, err = server.serve {host = "::1", handler = function(req) return req.remote.address end}
    if not s and (err.code == "EADDRNOTAVAIL" or err.code == "EAFNOSUPPORT") then return end -- no IPv6 here
    assert.equal(("http://[::1]:%d"):format(s.port), s.url)
    local c <close> = assert(net.connect("::1", s.port))
    c:write("GET / HTTP/1.1\r\n" .. CLOSE .. "\r\n")
    assert.truthy(rest(c):find "::1$")
  end))

  it("an address that is not ours is an error", spec.checked(function()
    spec.failed("connect", "EADDRNOTAVAIL", server.serve {host = "192.0.2.1", handler = path})
  end))

  it("two servers work side by side", serving(function() return "one" end, function(one)
    serving(function() return "two" end, function(two)
      assert.equal("one", (get(one, "/")))
      assert.equal("two", (get(two, "/")))
      two:close()
      assert.equal("one", (get(one, "/")))
    end)()
  end))
end)

describe("http server: clients that go away", function()
  it("in the middle of a body: its reader gets an error, its task is cancelled", function()
    local began, ended, kind = async.event(), async.event(), nil
    serving(function(req)
      local _ <close> = setmetatable({}, {__close = function(_, err)
        assert(async.is_cancelled(err))
        ended:set()
      end})
      began:set()
      async.shield(function() kind = select(2, req:body()).kind end)
      async.sleep(1000)
    end, function(s)
      local c <close> = sent(s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
      began:wait()
      c:close()
      ended:wait()
      assert.equal("reset", kind)
      client.until_quiet(s)
    end)()
  end)

  it("in the middle of a head: nobody learns of it", serving(path, function(s)
    sent(s, "GET / HTT"):close()
    sent(s, ""):close()
    sent(s, "GET / HTTP/1.1\r\nX: "):close()
    assert.equal("/x", (get(s, "/x")))
    client.until_quiet(s)
  end))

  it("a handler that catches its cancellation still ends, and the server goes on", serving(function(req)
    if req.path == "/" then pcall(async.sleep, 1000) end
    return "ok"
  end, function(s)
    local c = sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    client.until_true(function() return s:active() == 1 end)
    c:close()
    client.until_quiet(s)
    assert.equal("ok", (get(s, "/2")))
  end))
end)

describe("http server: stop", function()
  it("waits for a stream that ends in time", function()
    local began, go = async.event(), async.event()
    serving(function(_, res)
      res:write "a"
      began:set()
      go:wait()
      for _ = 1, 100 do res:write(("b"):rep(1000)) end
    end, function(s)
      local asking = async.spawn(function() return (get(s, "/")) end)
      began:wait()
      local stopping = async.spawn(function() return s:stop(20) end)
      client.until_true(function() return stopping:status() == "waiting" end)
      go:set()
      assert.is_true(stopping:await())
      assert.truthy(asking:await():find "0\r\n\r\n$")
    end)()
  end)

  it("cuts off a stream that does not, and cancels its task", function()
    local began, ended = async.event(), async.event()
    serving(function(_, res)
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      while true do
        res:write "x"
        began:set()
        async.sleep(0.001)
      end
    end, function(s)
      local c <close> = sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      began:wait()
      assert.is_false(s:stop(0.01))
      assert.is_true(ended:is_set() or (ended:wait() or true))
      assert.is_nil(rest(c):find "0\r\n\r\n$")
    end)()
  end)

  it("in a cancelled task closes at once", function()
    local began, ended = async.event(), async.event()
    serving(function()
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      began:set()
      async.sleep(1000)
    end, function(s)
      local c <close> = sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      began:wait()
      local stopping = async.spawn(function() s:stop() end)
      client.until_true(function() return stopping:status() == "waiting" end)
      spec.cancel(stopping)
      ended:wait()
      assert.equal("", rest(c))
    end)()
  end)

  it("by a handler is refused, in a task of its own is fine", function()
    local stopped
    serving(function(req)
      local s = stopped.server
      if req.path == "/wait" then
        local ok, err = pcall(s.stop, s, 1)
        return tostring(ok) .. ": " .. tostring(err)
      end
      stopped.task = async.spawn(s.stop, s)
      return "stopping"
    end, function(s)
      stopped = {server = s}
      assert.equal("false: stop: it would wait for the handler that calls it; spawn a task: " ..
        "async.spawn(server.stop, server)", (client.get(s, "/wait")))
      assert.equal("stopping", (client.get(s, "/")))
      assert.is_true(stopped.task:await())
    end)()
  end)

  it("of one that is closed, or again, is fine", serving(path, function(s)
    assert.is_true(s:stop())
    assert.is_true(s:stop(1))
    s:close()
  end))

  it("connections that wait for their next request do not hold it up", serving(path, function(s)
    local c <close> = sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.truthy(c:read())
    assert.is_true(s:stop(20))
    assert.equal("", rest(c))
  end))
end)

describe("http server: errors of handlers", function()
  it("a response that is none gives 500 and a report", function()
    local script = program.file [[
      local net = require "muster.net"
      local answers = {
        1, true, print, {status = 99}, {body = 1}, {what = 1}, {headers = {["a b"] = "c"}}, {headers = "a: b"},
        {headers = {a = ""}}, {headers = {a = ("b"):rep(100000)}}, {json = print},
        {body = function() return 1 end}, function(res) res:event {id = "a\0b"} end,
        function(res) res:event {event = "a\rb"} end,
      }
      local s <close> = require "muster.http".serve {handler = function(req, res)
        local answer = answers[tonumber(req.query.n)]
        if type(answer) == "function" and answer ~= print then return answer(res) end
        return answer
      end}
      for n = 1, #answers do
        local c <close> = net.connect("127.0.0.1", s.port)
        c:write("GET /?n=" .. n .. " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        io.write(c:read_all():match "^[^\r]*", "\n")
      end]]
    local output, errors = program.run {script}
    assert.equal(14, select(2, output:gsub("HTTP/1.1 500", "")), output)
    assert.equal(14, select(2, errors:gsub("unhandled error in ", "")), errors)
    for _, text in ipairs {
      "response: headers must be a table, got string", "response: header 'a' must be text of one line, not empty",
      "the headers are larger than 16384 bytes", "response: 'json' cannot be encoded: ",
      "response: the iterator of the body must give strings, got number", script .. ":5: event: 'id' must be one line",
      script .. ":6: event: 'event' must be one line",
    } do assert.truthy(errors:find(text, 1, true), text .. " in " .. errors) end
    program.remove_files()
  end)

  it("a response says once how it is kept, and leaves the connection to the server", serving(function(req, res)
    if req.path == "/keep" then return {headers = {connection = "keep-alive"}, body = "kept"} end
    if req.path == "/call" then
      local n = 0
      return {body = setmetatable({}, {__call = function()
        n = n + 1
        return ({"x", "y"})[n]
      end})}
    end
    res.headers["cache-control"] = "private"
    res:event "x"
  end, function(s)
    assert.equal("kept", (client.get(s, "/keep")))
    assert.equal("xy", (client.get(s, "/call"):gsub("[^xy]", "")))
    local _, _, all = client.get(s, "/")
    assert.truthy(all:find "cache%-control: private\r\n" and not all:find "no%-cache")
  end))

  it("what is written when the request was answered is refused", function()
    local kept
    serving(function(_, res)
      kept = res
      return "text"
    end, function(s)
      assert.equal("text", (client.get(s, "/")))
      client.until_quiet(s)
      for _ = 1, 2 do
        local ok, err = pcall(function()
          kept:write "more"
          return nil
        end)
        assert.is_false(ok)
        assert.matches("http_server_protocol_spec.lua:%d+: write: the request has been answered already$", err)
      end
    end)()
  end)

  it("a handler that cancels itself is answered for", serving(function()
    async.current():cancel()
    async.sleep(0)
  end, function(s)
    local text, status = client.get(s, "/")
    assert.equal(503, status)
    assert.equal("the request was cancelled\n", text)
  end))
end)
