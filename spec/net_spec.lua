-- lua/muster/net.lua and the streams of lua/muster/stream.lua, over sockets of this machine.
-- luacheck: ignore 542 (loops that only read)
local async = require "muster"
local net = require "muster.net"
local spec = require "spec.support.io"
local uv = require "luv"

local checked, start, raises, failed, cancel, turns = spec.checked, spec.start, spec.raises, spec.failed, spec.cancel,
  spec.turns

--- Two streams that are connected, to close.
local function pair()
  local listener <close> = assert(net.listen("127.0.0.1", 0))
  local client = assert(net.connect("127.0.0.1", listener.port))
  return client, assert(listener:accept())
end

--- Runs fn with a pair, and closes it.
local function with_pair(fn)
  return checked(function()
    local a, b = pair()
    local _ <close> = a
    local _ <close> = b
    fn(a, b)
  end)
end

local function socket_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local MEGABYTE = ("0123456789abcdef"):rep(65536)

describe("net: connect", function()
  it("refuses wrong arguments", function()
    raises("connect: expected a path", net.connect)
    raises("connect: expected", net.connect, "", 80)
    raises("connect: expected", net.connect, "a\0b", 80)
    for _, port in ipairs {-1, 65536, 1.5, "80", false} do
      raises("connect: expected a port from 0 to 65535", net.connect, "127.0.0.1", port)
    end
    raises("unknown option 'time'", net.connect, "127.0.0.1", 80, {time = 1})
    raises("option 'timeout' must be", net.connect, "127.0.0.1", 80, {timeout = -1})
    raises("option 'family' must be", net.connect, "127.0.0.1", 80, {family = "ipx"})
    raises("unknown option", net.connect_unix, "/x", {nodelay = true})
  end)

  it("to a port where nobody listens fails, and may be tried again", checked(function()
    local listener = assert(net.listen("127.0.0.1", 0))
    local port = listener.port
    listener:close()
    turns()
    local err = failed("connect", "ECONNREFUSED", net.connect("127.0.0.1", port))
    assert.is_true(err.retryable)
    assert.equal(("connect to 127.0.0.1:%d: connection refused"):format(port), tostring(err))
  end))

  it("to a host that does not exist fails by kind dns", checked(function()
    local stream, err = net.connect("name.invalid", 80)
    assert.is_nil(stream)
    assert.equal("dns", err.kind)
  end))

  it("to a UNIX socket that does not exist, or with a path too long, fails", checked(function()
    failed("not_found", "ENOENT", net.connect_unix "/nowhere/socket")
    failed("too_large", "ENAMETOOLONG", net.connect_unix(("/x"):rep(60)))
    failed("too_large", "ENAMETOOLONG", net.listen_unix(("/x"):rep(60)))
  end))

  it("gives up after a time limit", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0, {backlog = 1}))
    local streams, stream, err = {}, nil, nil
    for i = 1, 20 do -- as many as the system keeps for a listener that never accepts
      stream, err = net.connect("127.0.0.1", listener.port, {timeout = 0.2})
      if not stream then break end
      streams[i] = stream
    end
    failed("timeout", "ETIMEDOUT", stream, err)
    assert.is_true(err.retryable)
    for _, s in ipairs(streams) do s:close() end
  end))

  it("is cancelled", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    cancel(start(net.connect, "127.0.0.1", listener.port))
    cancel(start(net.connect, "localhost", listener.port))
    cancel(start(net.connect, "127.0.0.1", listener.port, {timeout = 5}))
  end))

  it("in a task that was cancelled raises at once", checked(function()
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      net.connect("127.0.0.1", 1)
    end)
    turns()
    cancel(task)
  end))

  it("knows both ends", with_pair(function(a, b)
    assert.same(a:address(), b:peer())
    assert.same(b:address(), a:peer())
    assert.equal("127.0.0.1", a:peer().host)
    a:close()
    failed("closed", nil, a:peer())
  end))

  it("tries the addresses of a name", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local stream <close> = assert(net.connect("localhost", listener.port)) -- ::1 is refused, if it is there
    assert.equal(listener.port, stream:peer().port)
  end))
end)

describe("net: listen", function()
  it("refuses wrong arguments", function()
    raises("listen: expected", net.listen, nil, 0)
    raises("listen: expected a port", net.listen, "127.0.0.1", 70000)
    raises("unknown option", net.listen, "127.0.0.1", 0, {limit = 1})
    raises("option 'access' must be", net.listen_unix, "/x", {access = "x"})
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    raises("serve: expected a function", listener.serve, listener, 1)
    raises("option 'limit' must be", listener.serve, listener, print, {limit = 0})
  end)

  it("on a port that is taken fails", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    failed("in_use", "EADDRINUSE", net.listen("127.0.0.1", listener.port))
  end))

  it("on an address that is not ours fails", checked(function()
    failed("connect", "EADDRNOTAVAIL", net.listen("192.0.2.1", 0))
  end))

  it("on a UNIX socket: the file is there until it is closed", checked(function()
    local path = socket_path()
    local listener = assert(net.listen_unix(path))
    failed("in_use", "EADDRINUSE", net.listen_unix(path))
    local a <close> = assert(net.connect_unix(path))
    local b <close> = assert(listener:accept())
    assert(a:write "hello\n")
    assert.equal("hello", b:read_until "\n")
    assert.equal("socket", uv.fs_stat(path).type)
    listener:close()
    assert.is_nil(uv.fs_stat(path))
  end))

  it("accept: cancelled, closed meanwhile, after closing, by two tasks", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    cancel(start(listener.accept, listener))
    local task = start(listener.accept, listener)
    raises("another task accepts", listener.accept, listener)
    listener:close()
    failed("closed", nil, task:await())
    failed("closed", nil, listener:accept())
    listener:close()
  end))

  it("accept: nothing is lost by a cancellation", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    for _ = 1, 20 do
      local task = start(listener.accept, listener)
      local _ <close> = assert(net.connect("127.0.0.1", listener.port))
      task:cancel()
      local ok, accepted = task:pawait()
      if not ok then accepted = assert(listener:accept()) end
      accepted:close()
    end
  end))

  it("that nobody holds is collected, and closed", checked(function()
    local port = assert(net.listen("127.0.0.1", 0)).port
    collectgarbage()
    collectgarbage()
    turns()
    failed("connect", "ECONNREFUSED", net.connect("127.0.0.1", port))
  end))

  it("alone does not keep a program, and its tasks, from a deadlock", checked(function()
    local program = require "spec.support.program"
    finally(program.remove_files)
    local _, errors, code = program.run {"-e", [[
      local listener = require "muster.net".listen("127.0.0.1", 0)
      require "muster".event():wait()]]}
    assert.equal(13, code)
    assert.matches("deadlock", errors)
  end))
end)

describe("net: serve", function()
  local function echo(stream)
    for line in stream:lines() do assert(stream:write(line .. "\n")) end
  end

  local function ask(port, text)
    local stream <close> = assert(net.connect("127.0.0.1", port))
    assert(stream:write(text .. "\n"))
    return stream:read_until "\n"
  end

  it("has a task for each connection, until it is closed, and waits for them", checked(function()
    local listener = assert(net.listen("127.0.0.1", 0))
    local server = start(listener.serve, listener, echo)
    local slow <close> = assert(net.connect("127.0.0.1", listener.port))
    assert.equal("a", ask(listener.port, "a"))
    listener:close()
    turns(10)
    assert.equal("waiting", server:status())
    assert(slow:write "b\n")
    assert.equal("b", slow:read_until "\n")
    slow:close()
    server:await()
  end))

  it("a thousand connections at once", checked(function()
    local limit = tonumber(io.open "/proc/self/limits":read "a":match "Max open files%s+(%d+)") or math.huge
    local n = math.min(1000, (limit - 100) // 2 // 1 | 0)
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local server = start(listener.serve, listener, echo)
    local all, waiting = async.event(), 0
    local tasks = {}
    for i = 1, n do
      tasks[i] = async.spawn(function()
        local stream <close> = assert(net.connect("127.0.0.1", listener.port))
        waiting = waiting + 1
        if waiting == n then all:set() end
        all:wait()
        assert(stream:write(i .. "\n"))
        return stream:read_until "\n"
      end)
    end
    for i, answer in ipairs(async.gather(tasks)) do assert.equal(tostring(i), answer) end
    listener:close()
    server:await()
  end))

  it("with a limit, accepts no more than that", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local now, most = 0, 0
    local server = start(listener.serve, listener, function(stream)
      now = now + 1
      most = math.max(most, now)
      echo(stream)
      now = now - 1
    end, {limit = 3})
    async.map({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, function(i) assert.equal(i .. "", ask(listener.port, i)) end)
    assert.equal(3, most)
    listener:close()
    server:await()
  end))

  it("cancelled, cancels the handlers, and waits for them", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local ended = 0
    local server = start(listener.serve, listener, function(stream)
      local _ <close> = setmetatable({}, {__close = function()
        async.shield(async.sleep, 0)
        ended = ended + 1
      end})
      stream:read()
    end)
    local streams = {}
    for i = 1, 5 do streams[i] = assert(net.connect("127.0.0.1", listener.port)) end
    for _ = 1, 30 do turns(3) end
    cancel(server)
    assert.equal(5, ended)
    for _, stream in ipairs(streams) do
      assert.is_nil(stream:read())
      stream:close()
    end
  end))

  it("goes on when a handler fails, which is reported", checked(function()
    local program = require "spec.support.program"
    finally(program.remove_files)
    local output, errors, code = program.run {"-e", [[
      local async, net = require "muster", require "muster.net"
      local listener = net.listen("127.0.0.1", 0)
      local n = 0
      local server = async.spawn(listener.serve, listener, function(stream)
        n = n + 1
        if n == 1 then error "the first fails" end
        stream:write "second"
      end)
      for _ = 1, 2 do print(net.connect("127.0.0.1", listener.port):read_all()) end
      listener:close()]]}
    assert.equal("\nsecond\n", output)
    assert.matches("the first fails", errors)
    assert.equal(1, code)
  end))

  it("waits out a lack of descriptors", checked(function()
    local program = require "spec.support.program"
    finally(program.remove_files)
    local script = program.file [[
      local async, net, uv = require "muster", require "muster.net", require "luv"
      local listener = assert(net.listen("127.0.0.1", 0))
      local server = async.spawn(listener.serve, listener, function(stream) stream:write "served" end)
      local handles = {}
      local client = assert(net.connect("127.0.0.1", listener.port)) -- before there is no room
      print(client:read_all())
      while true do
        local fd = uv.fs_open("/dev/null", "r", 0)
        if not fd then break end
        table.insert(handles, fd)
      end
      uv.fs_close(table.remove(handles))
      local early = assert(net.connect("127.0.0.1", listener.port)) -- has the last one
      async.sleep(0.3)
      for _, fd in ipairs(handles) do uv.fs_close(fd) end
      local late = assert(net.connect("127.0.0.1", listener.port))
      print(late:read_all())
      listener:close()]]
    local output, errors, code = program.sh(("ulimit -n 64; timeout 20 %s %s"):format(program.path, script))
    assert.same({"served\nserved\n", "", 0}, {output, errors, code})
  end))
end)

describe("net: read", function()
  it("refuses wrong arguments", with_pair(function(a)
    for _, n in ipairs {0, -1, 1.5, "x", false} do
      raises("read: expected an integer of at least 1", a.read, a, n)
      raises("read_exactly: expected an integer of at least 1", a.read_exactly, a, n)
    end
    raises("read_exactly: expected", a.read_exactly, a)
    raises("read_until: expected a string", a.read_until, a)
    raises("read_until: the delimiter is empty", a.read_until, a, "")
    raises("unknown option 'limit'", a.read_until, a, "x", {limit = 1})
    raises("unknown option", a.read_all, a, {size = 1})
    raises("unknown option", a.lines, a, {size = 1})
    raises("unknown option", a.chunks, a, {max = 1})
  end))

  it("gives what is there, at most n bytes, and nil at the end", with_pair(function(a, b)
    assert(b:write "hello")
    assert.equal("he", a:read(2))
    assert.equal("llo", a:read(10))
    b:close()
    assert.same({}, {a:read()})
    assert.same({}, {a:read()})
    assert.equal("", a:read_all())
    assert.same({}, {a:read_exactly(1)})
    assert.same({}, {a:read_until "x"})
  end))

  it("an end that comes too early keeps what was there", with_pair(function(a, b)
    assert(b:write "abc")
    b:shutdown()
    local err = failed("incomplete", nil, a:read_exactly(4))
    assert.equal("abc", err.partial)
    assert.is_nil(a:read())
    assert(a:write "de")
    a:shutdown()
    err = failed("incomplete", nil, b:read_until "\n")
    assert.equal("de", err.partial)
  end))

  it("read_until: across packets, at the limit, beyond it", with_pair(function(a, b)
    local task = start(a.read_until, a, "\r\n\r\n")
    for c in ("GET /\r\n\r\n!"):gmatch "." do
      assert(b:write(c))
      turns(5)
    end
    assert.equal("GET /", task:await())
    assert.equal("!", a:read())
    assert(b:write "12345\n123456\n")
    assert.equal("12345", a:read_until("\n", {max = 5}))
    failed("too_large", nil, a:read_until("\n", {max = 5}))
    assert.equal("123456", a:read_until("\n", {max = 6}))
    assert(b:write(("x"):rep(100)))
    failed("too_large", nil, a:read_until("\n", {max = 99}))
    assert.equal(100, #a:read_exactly(100))
  end))

  it("read_all: beyond its limit", with_pair(function(a, b)
    assert(b:write "12345")
    b:shutdown()
    failed("too_large", nil, a:read_all {max = 4})
    assert.equal("12345", a:read_all {max = 5})
  end))

  it("lines and chunks: binary, empty, the last without an end", with_pair(function(a, b)
    local lines = {"", "\0\xff\r", "", "last"}
    assert(b:write(table.concat(lines, "\n")))
    b:shutdown()
    local got = {}
    for line in a:lines() do table.insert(got, line) end
    assert.same(lines, got)
    assert(a:write "abcdefg")
    a:shutdown()
    got = {}
    for chunk in b:chunks {size = 3} do table.insert(got, chunk) end
    assert.same({"abc", "def", "g"}, got)
  end))

  it("a reset comes after what was there, and again", with_pair(function(a, b)
    assert(b:write "last words")
    turns(10)
    assert.equal("last", a:read(4))
    b.handle:close_reset()
    b:close()
    assert.equal(" words", a:read())
    local err = failed("reset", "ECONNRESET", a:read())
    assert.is_true(err.retryable)
    failed("reset", "ECONNRESET", a:read_exactly(1))
    raises("reset by the peer", a:lines())
    raises("reset by the peer", a:chunks())
  end))

  it("is cancelled, and loses nothing", with_pair(function(a, b)
    for _, name in ipairs {"read", "read_exactly", "read_until", "read_all"} do
      local task = start(a[name], a, name == "read_exactly" and 10 or name == "read_until" and "\n" or nil)
      if name ~= "read" then
        assert(b:write "par")
        turns(10)
      end
      cancel(task)
      assert(b:write "tial\n")
      assert.equal(name == "read" and "tial" or "partial", a:read_until "\n")
    end
  end))

  it("times out, and goes on", with_pair(function(a, b)
    assert.is_false(async.move_on_after(0.01, a.read, a))
    assert(b:write "late")
    assert.equal("late", a:read())
  end))

  it("by two tasks at once is refused", with_pair(function(a, b)
    local task = start(a.read, a)
    raises("another task is reading", a.read, a)
    assert(b:write "x")
    assert.equal("x", task:await())
  end))

  it("ends when the stream is closed, and after that", with_pair(function(a)
    local task = start(a.read, a)
    a:close()
    failed("closed", nil, task:await())
    failed("closed", nil, a:read())
    failed("closed", nil, a:read_exactly(1))
    failed("closed", nil, a:read_until "x")
    failed("closed", nil, a:read_all())
    raises("closed", a:lines())
    assert.is_true(a:is_closed())
    assert.matches("closed", tostring(a))
  end))

  it("in a cancelled task raises though there is something in the buffer", with_pair(function(a, b)
    assert(b:write "ab")
    assert.equal("a", a:read(1))
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      return a:read(1)
    end)
    turns()
    cancel(task)
    assert.equal("b", a:read(1))
  end))
end)

describe("net: write", function()
  it("refuses what is no string", with_pair(function(a)
    for _, data in ipairs {1, {}, false} do raises("write: expected a string", a.write, a, data) end
    assert.is_true(a:write "")
  end))

  it("waits for a slow reader, who does not read ahead", with_pair(function(a, b)
    local task = start(function()
      for _ = 1, 64 do assert(a:write(MEGABYTE)) end
      a:close()
    end)
    turns(200)
    assert.equal("waiting", task:status())
    assert.equal(0, b.input.size)
    assert.equal(1, #b:read(1))
    assert.is_true(b.input.size <= 512 * 1024, "in the buffer: " .. b.input.size)
    local n = 1
    for chunk in b:chunks() do n = n + #chunk end
    assert.equal(64 * #MEGABYTE, n)
    task:await()
  end))

  it("of many tasks is in turns", with_pair(function(a, b)
    local letters = {}
    for letter in ("abcdefgh"):gmatch "." do table.insert(letters, letter) end
    local writers = async.spawn(async.map, letters, function(letter) assert(a:write(letter:rep(1000000))) end)
    for _ = 1, #letters do
      local text = b:read_exactly(1000000)
      assert.equal(text:sub(1, 1):rep(1000000) == text, true)
    end
    writers:await()
  end))

  it("to a peer that has gone is a reset", with_pair(function(a, b)
    b:close()
    local ok, err
    for _ = 1, 100 do
      ok, err = a:write "x"
      if not ok then break end
      turns()
    end
    assert.equal("reset", select(2, ok, err).kind)
    assert.is_nil(ok)
  end))

  it("is cancelled; closed meanwhile; closed before", with_pair(function(a, b)
    local function fill() while a:write(MEGABYTE) do end return a:write "x" end
    cancel(start(fill))
    local task = start(fill)
    a:close()
    failed("closed", nil, task:await())
    failed("closed", nil, a:write "x")
    failed("closed", nil, a:shutdown())
    while b:read() do end
  end))

  it("shutdown: the other direction goes on", with_pair(function(a, b)
    assert(a:write "question")
    assert.is_true(a:shutdown())
    assert.is_true(a:shutdown())
    failed("closed", nil, a:write "more")
    assert.equal("question", b:read_all())
    assert(b:write "answer")
    b:shutdown()
    assert.equal("answer", a:read_all())
  end))

  it("shutdown: waits for what is not yet sent, and is cancelled", with_pair(function(a, b)
    local writer = start(a.write, a, MEGABYTE:rep(16))
    cancel(start(a.shutdown, a))
    local n = 0
    for chunk in b:chunks() do n = n + #chunk end
    assert.equal(16 * #MEGABYTE, n)
    writer:await()
  end))

  it("that never has to wait lets others run", with_pair(function(a, b)
    local turned = 0
    local counter = async.spawn(function() while true do turned = turned + 1; async.yield() end end):daemon()
    for _ = 1, 200 do assert(a:write "x") end
    counter:cancel()
    assert.is_true(turned >= 3, "turns: " .. turned)
    assert.equal(200, #b:read_exactly(200))
  end))
end)

describe("net: streams", function()
  it("that nobody holds are collected, and closed", checked(function()
    local a, b = pair()
    assert(a:write "x")
    a = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal("x", b:read_all())
    b:close()
  end))

  it("are held while a task waits for them", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local task = start(function() return net.connect("127.0.0.1", listener.port):read() end)
    local stream <close> = assert(listener:accept())
    for _ = 1, 5 do collectgarbage(); turns() end
    assert(stream:write "alive")
    assert.equal("alive", task:await())
  end))

  it("ten thousand, one after the other, leave nothing", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local server = start(listener.serve, listener, function(stream) stream:read() end)
    for _ = 1, 10000 do
      local _ <close> = assert(net.connect("127.0.0.1", listener.port))
    end
    listener:close()
    server:await()
  end))

  it("carry much in little memory", with_pair(function(a, b)
    local writer = start(function()
      for _ = 1, 256 do assert(a:write(MEGABYTE)) end
      a:close()
    end)
    collectgarbage()
    local before, most, n = collectgarbage "count", 0, 0
    for chunk in b:chunks() do
      n = n + #chunk
      most = math.max(most, collectgarbage "count")
    end
    writer:await()
    assert.equal(256 * #MEGABYTE, n)
    assert.is_true(most - before < 16 * 1024, "KB more: " .. most - before)
  end))
end)
