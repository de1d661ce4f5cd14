-- lua/muster/http/server.lua, with raw sockets, our own client and curl.
local async = require "muster"
local client = require "spec.support.serving"
local http = require "muster.http"
local host = require "muster.host"
local net = require "muster.net"
local process = require "muster.process"
local program = require "spec.support.program"
local server = require "muster.http.server"
local spec = require "spec.support.io"

local checked, raises, failed = spec.checked, spec.raises, spec.failed
local serving, exchange, get, post = client.serving, client.exchange, client.get, client.post
local until_true, CLOSE = client.until_true, client.CLOSE

describe("http server: options", function()
  it("is begun by http.serve too", function()
    local one <close> = assert(http.serve {handler = function(req) return {json = {path = req.path}} end})
    assert.equal('{"path":"/abc"}', assert(http.get(one.url .. "/abc")):text())
  end)

  it("are checked", function()
    raises("option 'handler' must be a function, got nil", server.serve, {})
    raises("unknown option 'prot'", server.serve, {handler = print, prot = 1})
    raises("option 'port' must be", server.serve, {handler = print, port = 65536})
    raises("option 'idle_timeout' must be", server.serve, {handler = print, idle_timeout = -1})
    raises("go together", server.serve, {handler = print, cert = "/x"})
  end)

  it("a port in use is an error as a value", serving(function() end, function(s)
    failed("in_use", "EADDRINUSE", server.serve {handler = print, port = s.port})
  end))

  it("a certificate that is not there, or is none, is an error", checked(function()
    local s, err = server.serve {handler = print, cert = "/nowhere", key = "/nowhere"}
    assert.is_nil(s)
    assert.equal("file", err.kind)
    s, err = server.serve {handler = print, cert = "/", key = "/"}
    assert.is_nil(s)
    assert.equal("file: serve on 127.0.0.1:0: /: Is a directory", err.kind .. ": " .. tostring(err))
    local path = program.file "nothing"
    s, err = server.serve {handler = print, cert = path, key = path}
    assert.is_nil(s)
    assert.equal("tls", err.kind)
    program.remove_files()
  end))
end)

describe("http server: requests and responses", function()
  it("tells method, path, query and headers", serving(function(req)
    assert(req.headers["X-One"] == "1" and req.headers["x-one"] == "1")
    return {json = {req.method, req.path, req.target, req.query.a, req.query.b}}
  end, function(s)
    local told = get(s, "/a%20b?a=1&b=x+y%26", "X-One: 1\r\n")
    assert.equal([=[["GET","/a b","/a%20b?a=1&b=x+y%26","1","x y&"]]=], told)
  end))

  it("a string, a table, or nothing is a response", serving(function(req)
    if req.path == "/string" then return "text" end
    if req.path == "/table" then return {status = 418, headers = {["X-A"] = {"1", "2"}}, body = "tea"} end
    if req.path == "/pieces" then return {body = ("abc"):gmatch "."} end
  end, function(s)
    local body, status, all = get(s, "/string")
    assert.same({"text", 200}, {body, status})
    assert.truthy(all:find("Content-Type: text/plain; charset=utf-8", 1, true))
    body, status, all = get(s, "/table")
    assert.same({"tea", 418}, {body, status})
    assert.truthy(all:find "X%-A: 1\r\n" and all:find "X%-A: 2\r\n")
    assert.equal(204, (select(2, get(s, "/nothing"))))
    assert.equal("3\r\nabc\r\n0\r\n\r\n", (get(s, "/pieces")))
  end))

  it("a connection is used again, also for requests sent at once", serving(function(req)
    return req.path
  end, function(s)
    local answer = exchange(s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n" .. CLOSE .. "\r\n")
    assert.truthy(answer:find "/1HTTP/1.1 200" and answer:find "/2$")
  end))

  it("HEAD gets no body, written or returned", serving(function(req, res)
    if req.path == "/w" then return assert(res:write(("x"):rep(200000))) and nil end
    return "text"
  end, function(s)
    local head = exchange(s, "HEAD / HTTP/1.1\r\n" .. CLOSE .. "\r\n")
    assert.truthy(head:find "Content%-Length: 4\r\n" and head:find "\r\n\r\n$")
    assert.truthy(exchange(s, "HEAD /w HTTP/1.1\r\n" .. CLOSE .. "\r\n"):find "^HTTP/1.1 200.*\r\n\r\n$")
  end))

  it("HEAD, and a status without a body, get not even the end of one that is written", serving(function(req, res)
    res.status = tonumber(req.path:match "%d+")
    res:write ""
    res:write "text"
  end, function(s)
    for _, line in ipairs {"HEAD /200", "GET /304", "GET /204", "HEAD /304"} do
      local request = line .. " HTTP/1.1\r\nHost: x\r\n"
      assert.truthy(exchange(s, request .. "\r\n" .. request .. CLOSE:match "C.*" .. "\r\n"):find "\r\n\r\n$")
      assert.is_nil(exchange(s, request .. CLOSE:match "C.*" .. "\r\n"):find "\r\n\r\n.")
    end
  end))

  it("many are worked on at once", function()
    local here, all = 0, async.event()
    serving(function()
      here = here + 1
      if here == 100 then all:set() end
      all:wait()
      return "ok"
    end, function(s)
      local tasks = {}
      for i = 1, 100 do tasks[i] = function() assert.equal("ok", (get(s, "/"))) end end
      async.gather(tasks)
      assert.equal(100, here)
    end)()
  end)

  it("curl understands it", serving(function(req) return (req:body()) end, function(s)
    local text = ("x"):rep(500000)
    local path = program.file(text)
    local result = assert(process.run {"curl", "-sS", "--max-time", "20", "--data-binary", "@" .. path, s.url .. "/"})
    assert.is_true(text == result.stdout, result.stderr)
    program.remove_files()
  end))
end)

describe("http server: bodies", function()
  local function echo(req)
    local body, err = req:body()
    return body or tostring(err.kind)
  end

  it("come whole, with a length and in chunks", serving(echo, function(s)
    assert.equal("hello", (post(s, "hello")))
    assert.equal("hello", (post(s, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n")))
    local big = ("x"):rep(3000000)
    assert.is_true(big == post(s, big))
  end))

  it("that are too large get 413, announced or not", serving({handler = echo, max_body = 10}, function(s)
    assert.equal(413, (select(2, post(s, ("x"):rep(11)))))
    local chunked = "b\r\n" .. ("x"):rep(11) .. "\r\n0\r\n\r\n"
    assert.equal(413, (select(2, post(s, chunked, "Transfer-Encoding: chunked\r\n"))))
    assert.equal(("x"):rep(10), (post(s, ("x"):rep(10))))
  end))

  it("come in pieces, and hold a fast client back", function()
    local go, read, sent = async.event(), 0, 0
    local piece, pieces = ("x"):rep(100000), 300
    serving({max_body = #piece * pieces, handler = function(req)
      go:wait()
      for chunk in req:chunks() do read = read + #chunk end
      return tostring(read)
    end}, function(s)
      local head = ("POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n"):format(CLOSE, #piece * pieces)
      local c <close> = client.sent(s, head)
      local sending = async.spawn(function()
        for _ = 1, pieces do
          assert(c:write(piece))
          sent = sent + 1
        end
      end)
      assert.is_true(client.until_steady(function() return sent end) < pieces)
      go:set()
      sending:await()
      assert.truthy(client.rest(c):find(tostring(#piece * pieces) .. "$"))
    end)()
  end)

  it("that nobody reads are dropped, and the connection goes on", serving({handler = function() return "no" end},
    function(s)
      local body = ("x"):rep(500000)
      local answer = exchange(s, ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%sGET / HTTP/1.1\r\n%s\r\n")
        :format(#body, body, CLOSE))
      assert.equal(2, select(2, answer:gsub("HTTP/1.1 200", "")))
    end))
end)

describe("http server: streaming", function()
  it("events arrive as they are sent", function()
    local seen = async.channel(1)
    serving(function(_, res)
      for i = 1, 3 do
        res:event {event = "n", id = tostring(i), data = "a\nb" .. i}
        seen:recv()
      end
      res:event {data = {last = true}}
    end, function(s)
      local n, last = 0, nil
      local c <close> = http.client()
      for event in assert(c:get(s.url)):events() do
        n, last = n + 1, event.data
        if n <= 3 then
          assert.equal("a\nb" .. n, event.data)
          seen:send(true)
        end
      end
      assert.same({4, '{"last":true}'}, {n, last})
    end)()
  end)

  it("a slow client holds the writer back; one that goes away cancels it", function()
    local written, ended = 0, async.event()
    serving(function(_, res)
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      while true do
        res:write(("x"):rep(10000))
        written = written + 1
      end
    end, function(s)
      local c = assert(net.connect("127.0.0.1", s.port))
      assert(c:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      assert.is_true(client.until_steady(function() return written end) > 10)
      assert.is_false(ended:is_set())
      c:close()
      ended:wait()
      until_true(function() return s:active() == 0 end)
    end)()
  end)
end)

describe("http server: abort", function()
  it("cuts the connection: what was written has gone, the end has not", serving(function(_, res)
    res:write "begun"
    res:abort()
    assert.is_nil((res:write "more"))
    return "ignored"
  end, function(s)
    assert.truthy(exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"):find "5\r\nbegun\r\n$")
  end))

  it("before a response there is nothing", serving(function(req, res)
    if req.method == "POST" then req:body() end
    res:abort()
  end, function(s)
    assert.equal("", exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert.equal("", exchange(s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
  end))

  it("sends a head that was begun", serving(function(_, res)
    res:start()
    res:abort()
  end, function(s)
    assert.truthy(exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"):find "^HTTP/1.1 200 .*\r\n\r\n$")
  end))

  it("as a reset", serving(function(_, res)
    res:abort "reset"
  end, function(s)
    local c <close> = assert(net.connect("127.0.0.1", s.port))
    c:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    failed("reset", "ECONNRESET", c:read())
  end))

  it("is no cancellation of the handler", function()
    local cut, after = async.event(), async.event()
    serving(function(_, res)
      res:abort()
      cut:wait()
      async.sleep(0)
      after:set()
    end, function(s)
      assert.equal("", exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      client.until_quiet(s)
      cut:set()
      after:wait()
    end)()
  end)
end)

describe("http server: trouble", function()
  it("an error in a handler gives 500 and a report, before and after its first piece", function()
    local script = program.file [[
      local server = require "muster.http.server"
      local net = require "muster.net"
      local s <close> = server.serve {handler = function(req, res)
        if req.path == "/late" then res:write "begun" end
        if req.path == "/bad" then return {headers = {a = "x\r\ny"}} end
        error "boom"
      end}
      for _, path in ipairs {"/", "/late", "/bad"} do
        local c <close> = net.connect("127.0.0.1", s.port)
        c:write("GET " .. path .. " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        io.write((c:read_all() or "cut"):match "^[^\r]*", "\n")
      end]]
    local output, errors = program.run {script}
    assert.equal(2, select(2, output:gsub("HTTP/1.1 500", "")), output)
    assert.equal(2, select(2, errors:gsub("unhandled error in [^\n]*boom", "")), errors)
    assert.truthy(errors:find "header 'a' must be text of one line")
    program.remove_files()
  end)

  it("a client that goes away cancels its task", function()
    local began, ended = async.event(), async.event()
    serving(function()
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      began:set()
      async.sleep(1000)
    end, function(s)
      local c = assert(net.connect("127.0.0.1", s.port))
      assert(c:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      began:wait()
      c:close()
      ended:wait()
      until_true(function() return s:active() == 0 end)
    end)()
  end)

  it("what is not HTTP, or has too large a head, gets no further", serving({handler = function() return "" end,
    max_header = 4096}, function(s)
      local nonsense = exchange(s, "nonsense\r\n\r\n")
      assert.truthy(nonsense == "" or nonsense:find "^HTTP/1.[01] 4", nonsense)
      local answer = exchange(s, "GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("x"):rep(100000) .. "\r\n\r\n")
      assert.truthy(answer == "" or answer:find "^HTTP/1.1 4[13][0-9]", answer:sub(1, 80))
      assert.equal(200, (select(2, get(s, "/"))))
    end))

  it("a head that takes too long is cut off, though it goes on coming", serving({handler = function() return "" end,
    header_timeout = 0.1}, function(s)
      local c <close> = assert(net.connect("127.0.0.1", s.port))
      c:write "GET / HTTP/1.1\r\n"
      local feeding = async.spawn(function()
        while c:write "X: y\r\n" do async.sleep(0.01) end
      end)
      assert.is_nil((c:read()))
      feeding:pawait()
    end))

  it("an idle connection is closed", serving({handler = function() return "" end, idle_timeout = 1}, function(s)
    assert.truthy(exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"):find "^HTTP/1.1 200")
  end))
end)

describe("http server: its end", function()
  it("close cancels what works, and may be called again", function()
    local began, ended = async.event(), false
    serving(function()
      local _ <close> = setmetatable({}, {__close = function() ended = true end})
      began:set()
      async.sleep(1000)
    end, function(s)
      local asking = async.spawn(function() return (get(s, "/")) end)
      began:wait()
      s:close()
      s:close()
      asking:pawait()
      assert.is_true(ended)
      assert.equal(0, s:active())
    end)()
  end)

  it("stop lets answers go out; after its time it cuts them off", function()
    local began, go = async.event(), async.event()
    local function handler()
      began:set()
      go:wait()
      return "done"
    end
    serving(handler, function(s)
      local asking = async.spawn(function() return (get(s, "/")) end)
      began:wait()
      local stopping = async.spawn(function() return s:stop() end)
      until_true(function() return stopping:status() == "waiting" end)
      failed("connect", "ECONNREFUSED", net.connect("127.0.0.1", s.port))
      go:set()
      assert.equal("done", asking:await())
      assert.is_true(stopping:await())
    end)()
    began, go = async.event(), async.event()
    serving(handler, function(s)
      local asking = async.spawn(function() return (get(s, "/")) end)
      began:wait()
      assert.is_false(s:stop(0.01))
      asking:pawait()
    end)()
  end)

  it("a program may end, by os.exit too, while a server works", function()
    for _, last in ipairs {"os.exit(3, true)", "os.exit(3)", "error 'x'"} do
      local script = program.file([[
        local async, net = require "muster", require "muster.net"
        local began = async.event()
        local s = require "muster.http.server".serve {handler = function(_, res)
          res:write "x" began:set() async.sleep(1000) end}
        local c = net.connect("127.0.0.1", s.port)
        c:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        began:wait()
        if ]] .. tostring(last:find "error" ~= nil) .. [[ then s:close() end
        ]] .. last)
      local _, _, code = program.run {script}
      assert.equal(last:find "error" and 1 or 3, code)
    end
    program.remove_files()
  end)

  it("a thousand connections leave nothing", serving(function() return "ok" end, function(s)
    local before = host.stats().handles
    for _ = 1, 1000 do assert.equal("ok", (get(s, "/"))) end
    until_true(function() return host.stats().handles <= before + 1 end)
  end))
end)
