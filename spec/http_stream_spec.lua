local async = require "muster"
local http = require "muster.http"
local program = require "spec.support.program"
local server = require "spec.support.http_server"
local uv = require "luv"

--- A server that sends a chunked body piece by piece, each when `go` lets it.
local function streaming(pieces, finish)
  local event = async.channel(100)
  local s = server.start(function(c)
    c:request()
    c:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _, piece in ipairs(pieces) do
      event:recv()
      c:write(("%x\r\n%s\r\n"):format(#piece, piece))
    end
    if finish ~= false then c:write "0\r\n\r\n" end
    while c:more() do end
  end)
  return s, function() event:send(true) end
end

describe("a streamed response", function()
  it("is there as soon as its head is; chunks as they come", function()
    local s, go = streaming {"one", "two"}
    finally(function() s:close() end)
    local res <close> = http.get(s.url)
    assert.equal(200, res.status)
    go()
    assert.equal("one", res:read())
    go()
    assert.equal("two", res:read())
    assert.is_nil(res:read())
    assert.is_nil(res:read())
  end)

  it("is iterated by chunks", function()
    local s, go = streaming {"one", "two", "three"}
    finally(function() s:close() end)
    local chunks = {}
    go()
    for chunk in http.get(s.url):chunks() do
      chunks[#chunks + 1] = chunk
      go()
    end
    assert.equal("onetwothree", table.concat(chunks))
  end)

  it("is closed by leaving the loop", function()
    local gone = async.event()
    local s <close> = server.start(function(c)
      c:request()
      c:write "HTTP/1.1 200 OK\r\n\r\nabc"
      while c:more() do end
      gone:set()
    end)
    for chunk in http.get(s.url):chunks() do
      if chunk == "abc" then break end
    end
    gone:wait()
  end)

  it("raises in a loop what breaks it off", function()
    local s <close> = server.saying "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab\nc"
    for _, method in ipairs {"chunks", "lines", "events"} do
      local res = http.get(s.url)
      local ok, err = pcall(function()
        for _ in res[method](res) do end -- luacheck: ignore
      end)
      assert.is_false(ok)
      assert.equal("reset", err.kind)
    end
  end)

  it("is iterated by lines and by events, and by text for what is left", function()
    local s <close> = server.answering(function(request)
      if request.path == "/lines" then return "a\r\nb\n\nc" end
      return "data: 1\n\n: x\nevent: e\ndata: 2\ndata: 3\n\ndata: [DONE]\n\n"
    end)
    local lines = {}
    for line in http.get(s.url .. "/lines"):lines() do lines[#lines + 1] = line end
    assert.same({"a", "b", "", "c"}, lines)
    local events = {}
    for event in http.get(s.url):events() do events[#events + 1] = event.event .. ":" .. event.data end
    assert.same({"message:1", "e:2\n3", "message:[DONE]"}, events)
  end)

  it("pauses for a slow reader, and is whole in the end", function()
    local sent, size = 0, 8 << 20
    local s <close> = server.start(function(c)
      c:request()
      c:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(size))
      local piece = ("x"):rep(1 << 16)
      for _ = 1, size >> 16 do
        c:write(piece)
        sent = sent + #piece
      end
    end)
    local res = http.get(s.url)
    local before
    repeat
      before = sent
      async.sleep(0.02)
    until sent == before
    assert.is_true(sent < size, "the server was held back")
    local total, longest = 0, 0
    for chunk in res:chunks() do
      total = total + #chunk
      longest = math.max(longest, #chunk)
    end
    assert.equal(size, total)
    assert.is_true(longest <= 1 << 17)
  end)

  it("streams a body in constant memory", function()
    local size = 64 << 20
    local piece = ("x"):rep(1 << 18)
    local s <close> = server.start(function(c)
      c:request()
      c:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(size))
      for _ = 1, size >> 18 do c:write(piece) end
    end)
    local total, most = 0, 0
    collectgarbage()
    local before = collectgarbage "count"
    for chunk in http.get(s.url):chunks() do
      total = total + #chunk
      most = math.max(most, collectgarbage "count")
    end
    assert.equal(size, total)
    assert.is_true(most - before < 16 << 10)
  end)
end)

describe("response:save", function()
  local directory
  before_each(function() directory = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/muster-spec-XXXXXX")) end)
  after_each(function()
    local dir = uv.fs_scandir(directory)
    for name in uv.fs_scandir_next, dir do uv.fs_unlink(directory .. "/" .. name) end
    uv.fs_rmdir(directory)
  end)

  local function names()
    local list, dir = {}, uv.fs_scandir(directory)
    for name in uv.fs_scandir_next, dir do list[#list + 1] = name end
    return list
  end

  it("writes the body, in place of what was there", function()
    local body = ("0123456789"):rep(50000)
    local s <close> = server.answering(function() return body end)
    local path = directory .. "/file"
    assert.equal(#body, assert(http.get(s.url):save(path)))
    assert.equal(body, program.contents(path))
    local small <close> = server.answering(function() return "" end)
    assert.equal(0, assert(http.get(small.url):save(path)))
    assert.equal("", program.contents(path))
    assert.same({"file"}, names())
  end)

  it("leaves what was there if the body breaks off", function()
    local s <close> = server.saying "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    local path = directory .. "/file"
    local file = assert(io.open(path, "w"))
    file:write "before"
    file:close()
    local size, err = http.get(s.url):save(path)
    assert.is_nil(size)
    assert.equal("reset", err.kind)
    assert.equal("before", program.contents(path))
    assert.same({"file"}, names())
  end)

  it("leaves nothing when its task is cancelled", function()
    local s, go = streaming({"one", "two"}, false)
    finally(function() s:close() end)
    go()
    local before = server.descriptors()
    local res = http.get(s.url)
    assert.is_false((async.move_on_after(0.05, function() res:save(directory .. "/file") end)))
    assert.same({}, names())
    assert.is_true(server.descriptors() <= before + 2)
  end)

  it("says what the system says", function()
    local s <close> = server.answering(function() return "x" end)
    local size, err = http.get(s.url):save(directory .. "/no/such/file")
    assert.is_nil(size)
    assert.equal("file", err.kind)
    assert.equal("ENOENT", err.code)
    local path = directory .. "/link"
    assert(uv.fs_symlink("/dev/full", path))
    size, err = http.get(s.url):save(path)
    assert.same({nil, "file", path}, {size, err.kind, err.path})
    assert.equal(s.url .. ": " .. path .. ": is no regular file", err.message)
    assert.same({"link"}, names())
    assert.error_matches(function() http.get(s.url):save() end, "save: expected a path, got nil")
    assert.error_matches(function() http.get(s.url):save "a\0b" end, "save: expected a name without zero bytes")
  end)

  it("writes a file with a long name, through a link, with the permissions that it has", function()
    local s <close> = server.answering(function() return "text" end)
    local path, link = directory .. "/" .. ("n"):rep(255), directory .. "/link"
    assert(uv.fs_symlink(path, link))
    assert.equal(4, assert(http.get(s.url):save(path)))
    assert(uv.fs_chmod(path, 384))
    assert.equal(4, assert(http.get(s.url):save(link)))
    assert.equal("text", program.contents(path))
    assert.equal(384, uv.fs_stat(path).mode & 511)
    assert.equal("link", uv.fs_lstat(link).type)
  end)
end)
