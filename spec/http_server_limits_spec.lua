-- lua/muster/http/server.lua: limits of size, of time and of number.
local async = require "muster"
local client = require "spec.support.serving"
local net = require "muster.net"
local program = require "spec.support.program"

local serving, exchange, get, post, sent, rest = client.serving, client.exchange, client.get, client.post,
                                                 client.sent, client.rest
local CLOSE = client.CLOSE

local function ok() return "ok" end

--- Feeds a connection a text again and again, until the server has enough of it.
local function feeding(c, text)
  return async.spawn(function()
    while c:write(text) do async.sleep(0.01) end
  end)
end

describe("http server: limits of size", function()
  it("a header of 10 MB is refused by 431", serving(ok, function(s)
    local answer = exchange(s, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " .. ("x"):rep(10 * 1024 * 1024) .. "\r\n\r\n")
    assert.truthy(answer:find "^HTTP/1.1 431 ", answer:sub(1, 80))
    assert.equal("ok", (get(s, "/")))
  end))

  it("a target of 10 MB is refused by 414", serving(ok, function(s)
    local answer = exchange(s, "GET /" .. ("x"):rep(10 * 1024 * 1024) .. " HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.truthy(answer:find "^HTTP/1.1 414 ", answer:sub(1, 80))
  end))

  it("100,000 headers are refused by 431", serving(ok, function(s)
    local answer = exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("X-A: b\r\n"):rep(100000) .. "\r\n")
    assert.truthy(answer:find "^HTTP/1.1 431 ", answer:sub(1, 80))
  end))

  it("a head that just fits is taken", serving({handler = function(req) return tostring(#req.headers["X-Long"]) end,
    max_header = 64 * 1024}, function(s)
      assert.equal("20000", (get(s, "/", "X-Long: " .. ("x"):rep(20000) .. "\r\n")))
    end))

  it("a body that is too large is refused though the client goes on sending", function()
    local handled
    serving({max_body = 1000, handler = function(req)
      handled = req
      return (req:body())
    end}, function(s)
      local big = ("x"):rep(10 * 1024 * 1024)
      local _, status = post(s, big)
      assert.equal(413, status)
      assert.is_nil(handled)
      local chunks = ("2800\r\n" .. ("x"):rep(0x2800) .. "\r\n"):rep(1000) .. "0\r\n\r\n"
      assert.equal(413, (select(2, post(s, chunks, "Transfer-Encoding: chunked\r\n"))))
      assert.equal("POST", handled.method)
    end)()
  end)

  it("a handler that answers with 100,000 headers gets 500 and a report", function()
    local script = program.file [[
      local net = require "muster.net"
      local s <close> = require "muster.http".serve {handler = function(req)
        local list = {}
        for i = 1, 100000 do list[i] = "v" end
        return {headers = {["X-A"] = list}}
      end}
      local c <close> = net.connect("127.0.0.1", s.port)
      c:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      io.write(c:read_all():match "^[^\r]*")]]
    local output, errors = program.run {script}
    assert.equal("HTTP/1.1 500 Internal Server Error", output)
    assert.truthy(errors:find("unhandled error in [^\n]*more than 200 headers"), errors)
    program.remove_files()
  end)
end)

describe("http server: limits of time", function()
  it("a head that takes too long is cut off, though it goes on coming", serving({handler = ok, header_timeout = 0.1},
    function(s)
      local c <close> = sent(s, "GET / HTTP/1.1\r\n")
      local feeder = feeding(c, "X: y\r\n")
      assert.equal("", rest(c))
      feeder:pawait()
    end))

  it("a client that says nothing is cut off", serving({handler = ok, header_timeout = 0.1}, function(s)
    assert.equal("", exchange(s, "\r\n"))
  end))

  it("a body that trickles is cut off, and its handler learns of it", function()
    local kind
    local ended = async.event()
    serving({header_timeout = 0.1, body_rate = 10000, handler = function(req)
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      async.shield(function()
        local _, err = req:body()
        kind = err and err.kind
      end)
    end}, function(s)
      local c <close> = sent(s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
      local feeder = feeding(c, "x")
      assert.equal("", rest(c))
      ended:wait()
      assert.equal("reset", kind)
      feeder:pawait()
      client.until_quiet(s)
    end)()
  end)

  it("a body that comes fast enough is not, however long it takes", serving({header_timeout = 0.2, body_rate = 100,
    handler = function(req) return tostring(#req:body()) end}, function(s)
      local c <close> = sent(s, ("POST / HTTP/1.1\r\n%sContent-Length: 5000\r\n\r\n"):format(CLOSE))
      for _ = 1, 50 do
        c:write(("x"):rep(100))
        async.sleep(0.01)
      end
      assert.truthy(rest(c):find "5000$")
    end))

  it("a reader that is slow itself does not cut its client off", serving({header_timeout = 0.1, body_rate = 1000000,
    handler = function(req)
      async.sleep(0.5) -- longer than the limit, and than it takes to look at it
      return tostring(#req:body())
    end}, function(s)
      local body = ("x"):rep(1000000)
      assert.equal("1000000", (post(s, body)))
    end))

  it("a handler may take longer than any of the limits", serving({header_timeout = 0.05, idle_timeout = 1,
    handler = function()
      async.sleep(1.2)
      return "late"
    end}, function(s)
      assert.equal("late", (get(s, "/")))
    end))
end)

describe("http server: the number of connections", function()
  it("is limited: who comes too late waits for a place", serving({handler = ok, connections = 2}, function(s)
    local one, two = sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), sent(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.truthy(one:read():find "ok$")
    assert.truthy(two:read():find "ok$")
    local third = async.spawn(function() return (get(s, "/")) end)
    for _ = 1, 3 do -- the others still work
      one:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      assert.truthy(one:read():find "ok$")
    end
    assert.equal("waiting", third:status())
    one:close()
    assert.equal("ok", third:await())
    two:close()
  end))

  it("three hundred at once are served", serving(ok, function(s)
    local connections = {}
    for i = 1, 300 do connections[i] = assert(net.connect("127.0.0.1", s.port)) end
    for _, c in ipairs(connections) do c:write("GET / HTTP/1.1\r\n" .. CLOSE .. "\r\n") end
    for _, c in ipairs(connections) do
      assert.truthy(rest(c):find "ok$")
      c:close()
    end
  end))
end)
