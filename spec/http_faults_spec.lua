-- What servers do wrong, byte by byte, and what becomes of it: nil and an error, never a hang, a crash or a leak.
local async = require "muster"
local http = require "muster.http"
local program = require "spec.support.program"
local server = require "spec.support.http_server"
local uv = require "luv"

--- The error of a GET, at its head or at its body.
local function failure(url, opts)
  local res, err = http.get(url, opts)
  if not res then return err end
  local text
  text, err = res:text()
  assert.is_nil(text)
  return err
end

local function check(err, kind, retryable, phase)
  assert.equal(kind, err.kind)
  assert.equal(retryable, err.retryable)
  if phase then assert.equal(phase, err.phase) end
  assert.is_string(err.message)
  assert.equal(err.message, tostring(err))
  assert.is_string(err.url)
end

describe("a failed request", function()
  it("is bad_url for what is no URL", function()
    for _, url in ipairs {"", "foo", "/foo", "ftp://x/", "http://", "http:///x", "http://x y/", "http://x/\n",
                          "file:///etc/passwd", "http://[::1", "http://host:99999/", "HTTP:/x"} do
      check(failure(url), "bad_url", false)
    end
  end)

  it("is dns for a name that does not exist", function()
    check(failure "http://nosuch.invalid/", "dns", true, "dns")
  end)

  it("is connect for a refused port", function()
    local url = "http://127.0.0.1:" .. server.refused_port()
    check(failure(url), "connect", true, "connect")
  end)

  it("is connect, and says so, if no descriptor is left; the others go on", function()
    local script = program.file [[
      local async, http = require "muster", require "muster.http"
      local listener <close> = require "muster.net".listen("127.0.0.1", 0)
      local url, tasks = "http://127.0.0.1:" .. listener.port, {}
      for i = 1, 100 do tasks[i] = async.spawn(http.get, url) end
      local done = async.wait(tasks, {mode = "first"})
      for i = 1, #done do
        local res, err = done[i]:await()
        assert(not res and err.kind == "connect" and err.retryable, err)
        assert(err.message == url .. ": too many open files", err.message)
      end
      assert(#done < 100)
      for _, task in ipairs(tasks) do task:cancel() end]]
    local output, errors, code = program.sh(("ulimit -n 64; timeout 20 %s %s"):format(program.path, script))
    assert.same({"", "", 0}, {output, errors, code})
    program.remove_files()
  end)

  it("does not tell user and password", function()
    local err = failure("http://user:secret@127.0.0.1:" .. server.refused_port() .. "/x")
    assert.not_matches("secret", err.message)
    assert.not_matches("secret", err.url)
    assert.matches("^http://127.0.0.1:%d+/x$", err.url)
  end)

  it("is reset for a server that says nothing", function()
    local s <close> = server.saying ""
    check(failure(s.url), "reset", true, "first_byte")
  end)

  it("is reset for a connection that is reset", function()
    local s <close> = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
      c:reset()
    end)
    check(failure(s.url), "reset", true)
  end)

  local broken = {
    {"the connection ends in the status line", "HTTP/1.1 20", "reset"},
    {"the connection ends in the headers", "HTTP/1.1 200 OK\r\nContent-Le", "reset"},
    {"the connection ends in the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "reset"},
    {"the connection ends in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", "reset"},
    {"the connection ends before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
     "reset"},
    {"a chunk's size is no number", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n", "protocol"},
    {"a chunk is longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
     "protocol"},
    {"a chunk's size is too large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. ("f"):rep(40) .. "\r\n",
     "protocol"},
    {"it is not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"},
    {"it is HTTP/0.9", "<html>hello</html>", "protocol"},
    {"the content-length is no number", "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc", "protocol"},
    {"the encoding is not what it says", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
     "protocol"},
  }
  for _, case in ipairs(broken) do
    it("is " .. case[3] .. " when " .. case[1], function()
      local s <close> = server.saying(case[2])
      check(failure(s.url), case[3], case[3] == "reset")
    end)
  end

  it("takes no more than the content-length", function()
    local s <close> = server.saying "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"
    assert.equal("abc", http.get(s.url):text())
  end)

  it("reads headers that are folded, empty, repeated or have blanks around them", function()
    local s <close> = server.saying("HTTP/1.1 200 OK\r\nA:  b c \r\nEmpty:\r\nFold: one\r\n  two\r\n\tthree \r\n" ..
      "Blank : z\r\nContent-Length: 2\r\nMany: 1:2\r\nmany: 3\r\n\r\nok")
    local headers, seen = assert(http.get(s.url)).headers, {}
    for name, value in pairs(headers) do seen[#seen + 1] = name .. "=" .. value end
    assert.same({"A=b c", "Empty=", "Fold=one two three", "Blank=z", "Content-Length=2", "Many=1:2", "many=3"}, seen)
    assert.equal("1:2, 3", headers.many)
  end)

  it("is too_large for 100,000 headers", function()
    local s <close> = server.saying("HTTP/1.1 200 OK\r\n" .. ("X-A: b\r\n"):rep(100000) .. "\r\n")
    check(failure(s.url), "too_large", false)
  end)

  it("is too_large for a header of 10 MB", function()
    local s <close> = server.saying("HTTP/1.1 200 OK\r\nX-A: " .. ("b"):rep(10 << 20) .. "\r\n\r\n")
    check(failure(s.url), "too_large", false)
  end)

  it("is too_large past max_body", function()
    local s <close> = server.answering(function() return ("x"):rep(1000) end)
    check(failure(s.url, {max_body = 999}), "too_large", false, "body")
    assert.equal(1000, #http.get(s.url, {max_body = 1000}):text())
  end)

  it("is protocol for a loop of redirects", function()
    local n = 0
    local s <close> = server.answering(function()
      n = n + 1
      return "", "Location: /x", "302 Found"
    end)
    check(failure(s.url), "protocol", false)
    assert.equal(11, n)
    n = 0
    check(failure(s.url, {follow = 2}), "protocol", false)
    assert.equal(3, n)
  end)

  it("is bad_url for a redirect to another protocol", function()
    local s <close> = server.answering(function() return "", "Location: file:///etc/passwd", "302 Found" end)
    check(failure(s.url), "bad_url", false)
  end)
end)

--- The URL of a server with a full backlog, whose handshakes are not answered, and what closes it.
local function deaf()
  local tcp = uv.new_tcp()
  tcp:bind("127.0.0.1", 0)
  local port, clients, accepted = tcp:getsockname().port, {}, async.event()
  tcp:listen(0, function() accepted:set() end)
  for i = 1, 8 do
    clients[i] = uv.new_tcp()
    clients[i]:connect("127.0.0.1", port, function() end)
    if i == 4 then accepted:wait() end -- libuv accepts one, whose place is then taken
  end
  return "http://127.0.0.1:" .. port, function()
    tcp:close()
    for _, c in ipairs(clients) do c:close() end
  end
end

describe("http timeouts", function()
  local function silent(bytes)
    return server.start(function(c)
      c:request()
      c:write(bytes)
      c.kept = true
    end)
  end

  it("first_byte", function()
    local s <close> = silent ""
    local err = failure(s.url, {timeout = {first_byte = 0.02}})
    check(err, "timeout", true, "first_byte")
    assert.matches("no response within 0.02 seconds", err.message)
  end)

  it("idle, in the body", function()
    local s <close> = silent "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    local err = failure(s.url, {timeout = {idle = 0.02}})
    check(err, "timeout", true, "body")
    assert.matches("nothing came for 0.02 seconds", err.message)
  end)

  it("total, though something comes all the time", function()
    local s <close> = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
      while c:write "x" do async.sleep(0.002) end
    end)
    check(failure(s.url, {timeout = {total = 0.05, idle = 10}}), "timeout", true, "body")
    check(failure(s.url, {timeout = 0.02}), "timeout", true)
  end)

  it("idle does not count while the reader is busy", function()
    local s <close> = server.answering(function() return ("x"):rep(1 << 20) end)
    local never <close> = silent ""
    local res = http.get(s.url, {timeout = {idle = 0.03}})
    check(failure(never.url, {timeout = {idle = 0.06}}), "timeout", true) -- so much time has passed
    assert.equal(1 << 20, #res:text())
  end)

  it("connect", function()
    local url, close = deaf()
    finally(close)
    local err = failure(url, {timeout = {connect = 0.02}})
    check(err, "timeout", true, "connect")
    assert.matches("no connection within 0.02 seconds", err.message)
  end)

  it("connect, after which the descriptor can be used again", function()
    local url, close = deaf()
    finally(close)
    local s <close> = server.answering(function() return "ok" end)
    local client <close> = http.client()
    for _ = 1, 5 do
      local before = server.descriptors()
      check(failure(url, {timeout = {connect = 0.01}}), "timeout", true)
      async.move_on_after(0.01, http.get, url)
      assert.is_true(server.descriptors() <= before)
      assert.equal("ok", assert(client:get(s.url)):text())
      collectgarbage()
    end
  end)
end)

describe("a cancelled request", function()
  local function gone()
    local event, began = async.event(), async.event()
    local s = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
      began:set()
      while c:more() do end
      event:set()
    end)
    return s, event, began
  end

  it("closes its transfer at once: before it is connected", function()
    local task = async.spawn(http.get, "http://127.0.0.1:" .. server.refused_port())
    async.yield()
    task:cancel()
    assert.is_false((task:pawait()))
    assert.equal("cancelled", task:status())
  end)

  it("while a name is looked up", function()
    local task = async.spawn(http.get, "http://nosuch.invalid/")
    async.sleep(0)
    async.sleep(0)
    task:cancel()
    assert.is_false((task:pawait()))
  end)

  it("while it connects", function()
    local url, close = deaf()
    finally(close)
    local before = server.descriptors()
    local task = async.spawn(http.get, url, {timeout = {connect = 60}})
    server.wait_for(function() return server.descriptors() > before end)
    task:cancel()
    assert.is_false((task:pawait()))
    assert.equal("cancelled", task:status())
    server.wait_for(function() return server.descriptors() <= before end)
  end)

  it("while TLS is being agreed on", function()
    local hello, event = async.event(), async.event()
    local s <close> = server.start(function(c)
      c:more()
      hello:set()
      while c:more() do end
      event:set()
    end)
    local task = async.spawn(http.get, (s.url:gsub("^http", "https")))
    hello:wait()
    task:cancel()
    event:wait()
    assert.equal("cancelled", task:status())
  end)

  it("while it sends", function()
    local event, stuck = async.event(), false
    local s <close> = server.start(function(c)
      c.tcp:read_stop()
      server.wait_for(function() return stuck end)
      c.tcp:read_start(function(_, chunk)
        if not chunk then event:set() end
      end)
      event:wait()
    end)
    local tasks = {
      async.spawn(http.post, s.url, {body = ("x"):rep(32 << 20)}),
      async.spawn(http.post, s.url, {body = function() return ("x"):rep(1 << 20) end}),
    }
    server.wait_for(function() return s.connections == 2 end)
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do assert.is_false((task:pawait())) end
    stuck = true
    event:wait()
    for _, task in ipairs(tasks) do assert.equal("cancelled", task:status()) end
  end)

  it("while its body is held back", function()
    local broken, blocked = async.event(), false
    local s <close> = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
      local done
      for _ = 1, 100 do c.tcp:write(("x"):rep(1 << 16), function(err) done = err end) end
      blocked = c.tcp:get_write_queue_size() > 0
      while c:more() do end
      broken:set(done)
    end)
    do
      local res <close> = http.get(s.url)
      server.wait_for(function() return blocked end)
      assert.equal(200, res.status)
    end
    broken:wait()
  end)

  it("while it waits for the head", function()
    local asked, event = async.event(), async.event()
    local s <close> = server.start(function(c)
      c:request()
      asked:set()
      while c:more() do end
      event:set()
    end)
    local task = async.spawn(http.get, s.url)
    asked:wait()
    task:cancel()
    event:wait()
    assert.equal("cancelled", task:status())
  end)

  it("while it waits for the body", function()
    local s, event, began = gone()
    finally(function() s:close() end)
    local res = http.get(s.url)
    local task = async.spawn(res.text, res)
    began:wait()
    async.yield()
    task:cancel()
    event:wait()
    assert.equal("cancelled", task:status())
  end)

  it("by a timeout around it; the response then says so", function()
    local s, event = gone()
    finally(function() s:close() end)
    local res = http.get(s.url)
    assert.is_false((async.move_on_after(0.01, function() return res:text() end)))
    event:wait()
    local text, err = res:text()
    assert.is_nil(text)
    assert.equal("cancelled", err.kind)
  end)

  it("a response that is closed closes its transfer", function()
    local s, event = gone()
    finally(function() s:close() end)
    do
      local res <close> = http.get(s.url)
      assert.equal(200, res.status)
    end
    event:wait()
  end)

  it("a response that nobody holds is collected, and closes its transfer", function()
    local s, event = gone()
    finally(function() s:close() end)
    assert.equal(200, http.get(s.url).status)
    collectgarbage()
    collectgarbage()
    event:wait()
  end)

  it("a server that is stopped while it streams", function()
    local s <close> = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
      while c:more() do end
    end)
    local res = http.get(s.url)
    assert.equal("abc", res:read())
    s:close()
    local chunk, err = res:read()
    assert.is_nil(chunk)
    check(err, "reset", true, "body")
  end)
end)

describe("10,000 connects in a row", function()
  local ANSWER = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

  --- A server that keeps nothing, whose memory stays what it is.
  local function forgetful()
    local tcp = uv.new_tcp()
    assert(tcp:bind("127.0.0.1", 0))
    assert(tcp:listen(4096, function()
      local c = uv.new_tcp()
      tcp:accept(c)
      c:read_start(function(_, chunk)
        if c:is_closing() then return end
        if not chunk then return c:close() end
        c:write(ANSWER)
        c:shutdown(function() if not c:is_closing() then c:close() end end)
      end)
    end))
    return "http://127.0.0.1:" .. tcp:getsockname().port, function() tcp:close() end
  end

  -- A build with sanitizers is slow, counts leaks by itself, and keeps freed memory aside.
  local sanitized = program.path:find("asan", 1, true) ~= nil
  local ROUNDS = sanitized and 300 or 10000

  it("leak no descriptor and no memory, whether they end well, fail or are cancelled", function()
    local url, close = forgetful()
    finally(close)
    local refused = "http://127.0.0.1:" .. server.refused_port()
    local client <close> = http.client()
    local function round(i)
      assert.equal("ok", client:get(url):text())
      if i % 10 == 0 then client:get(refused) end
      if i % 10 == 5 then async.move_on_after(0, client.get, client, url) end
    end
    local function settled()
      collectgarbage()
      collectgarbage()
      return server.descriptors(), uv.resident_set_memory(), collectgarbage "count"
    end
    for i = 1, ROUNDS // 10 do round(i) end
    local descriptors, memory, lua = settled()
    for i = 1, ROUNDS do round(i) end
    server.wait_for(function() return server.descriptors() <= descriptors end)
    local _, memory_after, lua_after = settled()
    assert.is_true(lua_after - lua < 100, ("%.0f KB of Lua more"):format(lua_after - lua))
    if sanitized then return end
    assert.is_true(memory_after - memory < 2 << 20, ("%d bytes more"):format(memory_after - memory))
  end)
end)
