-- lua/muster/net.lua, over sockets of this machine.
-- luacheck: ignore 542 (loops that only read)
local async = require "muster"
local dns = require "muster.dns"
local files = require "spec.support.files"
local net = require "muster.net"
local spec = require "spec.support.io"
local uv = require "luv"

local checked, start, raises, failed, cancel, turns = spec.checked, spec.start, spec.raises, spec.failed, spec.cancel,
  spec.turns
local with_pair = spec.with_pair

local function socket_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

describe("net: connect", function()
  it("refuses wrong arguments", function()
    raises("connect: expected a host, by name or address, got nil", net.connect)
    raises("connect: expected a host, by name or address, got table", net.connect, {host = "127.0.0.1"})
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
    local listener <close> = assert(net.listen("127.0.0.3", 0))
    local addresses = {}
    for i = 1, 3 do addresses[i] = {host = "127.0.0." .. i, family = "inet"} end
    files.with(dns, "resolve", function() return addresses end, function()
      local stream <close> = assert(net.connect("three.addresses", listener.port))
      assert.equal("127.0.0.3", stream:peer().host)
      addresses[3] = nil
      failed("connect", "ECONNREFUSED", net.connect("two.addresses", listener.port))
    end)
  end))

  it("to localhost, by either family", checked(function()
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local stream <close> = assert(net.connect("localhost", listener.port)) -- ::1 is refused, if it is there
    assert.equal(listener.port, stream:peer().port)
  end))
end)

describe("net: listen", function()
  it("refuses wrong arguments", function()
    raises("listen: expected a host", net.listen, nil, 0)
    raises("listen: expected a host", net.listen, {port = 0})
    raises("option 'backlog' must be", net.listen, "127.0.0.1", 0, {backlog = 0})
    raises("listen: expected a port", net.listen, "127.0.0.1", 70000)
    raises("unknown option", net.listen, "127.0.0.1", 0, {limit = 1})
    raises("option 'access' must be", net.listen_unix, "/x", {access = "x"})
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    raises("serve: expected a function", listener.serve, listener, 1)
    raises("option 'limit' must be", listener.serve, listener, print, {limit = 0})
  end)

  it("with any backlog", checked(function()
    for _, backlog in ipairs {1, 1 << 31, 1 << 40, math.maxinteger, math.huge} do
      local listener <close> = assert(net.listen("127.0.0.1", 0, {backlog = backlog}))
      assert(net.connect("127.0.0.1", listener.port)):close()
    end
  end))

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
      async.spawn(listener.serve, listener, function(stream) stream:write "served" end)
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
      early:read() -- libuv turns it away
      for _, fd in ipairs(handles) do uv.fs_close(fd) end
      local late = assert(net.connect("127.0.0.1", listener.port))
      print(late:read_all())
      listener:close()]]
    local output, errors, code = program.sh(("ulimit -n 64; timeout 20 %s %s"):format(program.path, script))
    assert.same({"served\nserved\n", "", 0}, {output, errors, code})
  end))
end)
