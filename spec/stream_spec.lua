-- lua/muster/stream.lua and lua/muster/stream/reader.lua, over sockets of this machine.
-- luacheck: ignore 542 (loops that only read)
local async = require "muster"
local net = require "muster.net"
local spec = require "spec.support.io"

local checked, start, raises, failed, cancel, turns = spec.checked, spec.start, spec.raises, spec.failed, spec.cancel,
  spec.turns
local pair, with_pair = spec.pair, spec.with_pair

local MEGABYTE = ("0123456789abcdef"):rep(65536)

describe("stream: read", function()
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

describe("stream: write", function()
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

  it("again and again cancelled, keeps no more than one", with_pair(function(a, b)
    for _ = 1, 20 do async.move_on_after(0.001, a.write, a, MEGABYTE:rep(8)) end
    assert(a.handle:write_queue_size() <= 8 * #MEGABYTE)
    local writer = start(function()
      assert(a:write "end")
      assert(a:shutdown())
    end)
    local text = b:read_all()
    assert.equal("end", text:sub(-3))
    assert.equal(8 * #MEGABYTE + 3, #text)
    writer:await()
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

describe("streams", function()
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
