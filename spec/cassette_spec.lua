local async = require "muster"
local cache = require "muster.cache"
local core = require "muster.core"
local fs = require "muster.fs"
local headers = require "muster.http.headers"
local http = require "muster.http"
local virtual = require("muster.test").virtual

--- A transport whose answers are pieces of text, with a second before the head and half of one before each piece.
local function transport(answer)
  return {request = function(_, opts)
    async.sleep(1)
    local pieces, fields = answer(opts)
    if not pieces then return nil, fields end
    local i = 0
    local response = {status = 200, url = opts.url, http_version = "1.1",
      headers = headers.of {"Content-Type", "text/plain", "Set-Cookie", "secret=1", "x-a", "1", "x-a", "2"}}
    for name, value in pairs(fields or {}) do response[name] = value end
    function response:read() -- luacheck: ignore self
      i = i + 1
      if pieces[i] == nil then return nil end
      async.sleep(0.5)
      if type(pieces[i]) == "table" then return nil, pieces[i] end
      return pieces[i]
    end
    function response:close() self.closed = true end
    return response
  end}
end

describe("a tape", function()
  local directory, path

  before_each(function()
    directory = assert(fs.tmp_dir())
    path = directory.path .. "/run.jsonl"
  end)

  after_each(function() directory:close() end)

  --- What one request comes to, when recorded and when replayed: the results of look(response, err) both times.
  local function both(answer, look, opts)
    opts = opts or {url = "http://h/p", json = {q = 1}}
    local results = {}
    do
      local tape <close> = assert(cache.record(path, {transport = transport(answer)}))
      results[1] = look(tape:request(opts))
      assert.is_true(tape:close())
    end
    local tape = assert(cache.replay(path))
    results[2] = look(tape:request(opts))
    assert.equal(0, tape.left)
    return results
  end

  local function same_twice(answer, look, expected)
    local results = both(answer, look)
    assert.same(expected, results[1])
    assert.same(expected, results[2])
  end

  it("gives the same text", virtual(function()
    same_twice(function() return {"one ", "two"} end, function(res) return res:text() end, "one two")
    same_twice(function() return {} end, function(res) return res:text() end, "")
  end))

  it("gives the same status, headers and version, without cookies", virtual(function()
    local answer = function() return {"x"}, {status = 429, http_version = "2"} end
    same_twice(answer, function(res)
      res:text()
      return {res.status, res.ok, res.http_version, res.headers["content-type"], res.headers["X-A"], res.url}
    end, {429, false, "2", "text/plain", "1, 2", "http://h/p"})
    assert.is_nil(fs.read(path):lower():find("secret", 1, true))
  end))

  it("does not mind that headers are looked at before the end of the body", virtual(function()
    same_twice(function() return {"x"} end, function(res) return {res.headers["x-a"], res:text()} end, {"1, 2", "x"})
  end))

  it("gives the same JSON, lines, events and chunks", virtual(function()
    same_twice(function() return {'{"a":', "[1]}"} end, function(res) return res:json() end, {a = {1}})
    local function collected(method)
      return function(res)
        local all = {}
        for item in res[method](res) do all[#all + 1] = item.data or item end
        return all
      end
    end
    local function collected_strings(method)
      return function(res)
        local all = {}
        for item in res[method](res) do all[#all + 1] = item end
        return all
      end
    end
    same_twice(function() return {"a\r\nb", "c\nd"} end, collected_strings "lines", {"a", "bc", "d"})
    same_twice(function() return {"a", "b"} end, collected_strings "chunks", {"a", "b"})
    same_twice(function() return {"data: 1\r", "\n\r\nda", "ta: 2\n\n"} end, collected "events", {"1", "2"})
  end))

  it("gives the same bytes, whatever they are", virtual(function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local bytes = table.concat(all)
    local pieces = {bytes, "\xc3", "\xa9 cut between its bytes", "\xc2\x80\xc3\xbf", "\u{80}"}
    same_twice(function() return pieces end, function(res) return res:text() end, table.concat(pieces))
  end))

  it("takes the same time", virtual(function()
    local began
    local results = both(function()
      began = async.now()
      return {"a", "b", "c"}
    end, function(res)
      res:read()
      async.sleep(100) -- the reader's time is not the service's
      res:text()
      return async.now() - (began or 0)
    end)
    assert.equal(101.5, results[1])
    began = async.now()
    local tape = cache.replay(path)
    tape:request({url = "/p", json = {q = 1}}):text()
    assert.equal(2.5, async.now() - began)
    tape = cache.replay(path, {speed = 2})
    began = async.now()
    tape:request({url = "/p", json = {q = 1}}):text()
    assert.equal(1.25, async.now() - began)
    tape = cache.replay(path, {speed = math.huge})
    began = async.now()
    tape:request({url = "/p", json = {q = 1}}):text()
    assert.equal(0, async.now() - began)
  end))

  it("fails in the same ways", virtual(function()
    local function refused()
      return nil, core.error("connect", "connection refused", {retryable = true, phase = "connect"})
    end
    same_twice(refused, function(res, err)
      return {res == nil, err.kind, err.message, tostring(err), err.retryable, err.phase}
    end, {true, "connect", "connection refused", "connection refused", true, "connect"})
    local function cut() return {"half", core.error("reset", "cut off", {retryable = true})} end
    same_twice(cut, function(res)
      local text, err = res:text()
      local again, err2 = res:read()
      return {text == nil, err.kind, tostring(err), again == nil, err2 == err}
    end, {true, "reset", "cut off", true, true})
    same_twice(cut, function(res)
      local seen = {}
      local ok, err = pcall(function()
        for chunk in res:chunks() do seen[#seen + 1] = chunk end
      end)
      return {ok, err.kind, seen}
    end, {false, "reset", {"half"}})
  end))

  it("has what was read of a response that was closed early", virtual(function()
    local closed
    local results = both(function() return {"a", "b", "c"} end, function(res)
      local seen = {}
      for chunk in res:chunks() do
        seen[#seen + 1] = chunk
        if #seen == 2 then break end
      end
      closed = select(2, res:read())
      return seen
    end)
    assert.same({{"a", "b"}, {"a", "b"}}, results)
    assert.equal("closed", closed.kind)
  end))

  it("answers by request: in the recorded order those that are equal", virtual(function()
    local n = 0
    do
      local tape <close> = cache.record(path, {transport = transport(function(opts)
        n = n + 1
        return {opts.json.q .. n}
      end)})
      for _, q in ipairs {"a", "b", "a"} do tape:request({url = "http://one/v1", json = {q = q, z = 1}}):text() end
    end
    local tape = cache.replay(path)
    local function ask(q) return tape:request({url = "http://other:99/v1", json = {z = 1, q = q}}) end
    assert.equal("b2", ask("b"):text())
    assert.equal("a1", ask("a"):text())
    assert.equal(1, tape.left)
    assert.equal("a3", ask("a"):text())
    local res, err = ask "a"
    assert.is_nil(res)
    assert.equal("cassette", err.kind)
    assert.is_false(err.retryable)
    assert.matches("^POST /v1: all 2 recorded answers were given %(.*run.jsonl%)$", err.message)
    assert.matches("^GET /v2: no answer was recorded", select(2, tape:request {url = "http://one/v2"}).message)
  end))

  it("knows a body as text, as JSON text and as a table for the same", virtual(function()
    do
      local tape <close> = cache.record(path, {transport = transport(function() return {"x"} end)})
      tape:request({url = "/", body = '{"b":1,  "a":[]}'}):text()
      tape:request({url = "/", body = "plain"}):text()
    end
    local tape = cache.replay(path)
    assert.equal("x", tape:request({url = "/", body = '{"a":[],"b":1}'}):text())
    assert.equal("x", tape:request({url = "/", body = "plain", method = "post"}):text())
  end))

  it("has no keys on it that a server says again", virtual(function()
    local said = '{"error":"bad key sk-secret-123"}'
    local echo = {request = function(_, opts)
      return {status = 401, url = opts.url, headers = {["x-seen"] = "sk-secret-123"}, read = function()
        local text = said
        said = nil
        return text
      end, close = function() end}
    end}
    local recorder = assert(cache.record(path, {transport = echo}))
    local response = recorder:request {url = "http://h/x", headers = {Authorization = "Bearer sk-secret-123"}}
    assert.equal('{"error":"bad key sk-secret-123"}', response:text())
    recorder:close()
    assert.is_nil(fs.read(path):find("sk-secret", 1, true))
  end))

  it("has no keys on it", virtual(function()
    do
      local tape <close> = cache.record(path, {transport = transport(function() return {"x"} end)})
      tape:request({url = "http://user:SECRET@h/p?key=SECRET&x=1", headers = {authorization = "Bearer SECRET"},
        auth = "SECRET", query = {api_key = "SECRET", y = 2}}):text()
    end
    local text = fs.read(path)
    assert.is_nil(text:find("SECRET", 1, true))
    assert.is_truthy(text:find('"y":2', 1, true) and text:find("x=1", 1, true))
    local tape = cache.replay(path)
    assert.equal("x", tape:request({url = "https://h/p?key=OTHER&x=1", query = {api_key = "OTHER", y = 2}}):text())
  end))

  it("of a real client replays without a network, in no time", function()
    local texts = {}
    do
      local server <close> = http.serve {handler = function(req, res)
        if req.path == "/stream" then
          for i = 1, 3 do res:write("piece " .. i .. "\n") end
          return
        end
        return {json = {path = req.path}}
      end}
      local tape <close> = cache.record(path)
      texts[1] = tape:request({url = server.url .. "/a"}):text()
      texts[2] = tape:request({url = server.url .. "/stream"}):text()
      server:stop(0)
    end
    virtual(function()
      local tape = cache.replay(path)
      assert.equal(texts[1], tape:request({url = "/a"}):text())
      assert.equal("piece 1\npiece 2\npiece 3\n", tape:request({url = "/stream"}):text())
    end)()
  end)

  it("can be replayed while its last line was being written when the recorder died", virtual(function()
    both(function() return {"a"} end, function(res) return res:text() end)
    local whole = fs.read(path)
    fs.append(path, '{"request":{"meth')
    assert.equal(1, cache.replay(path).left)
    fs.write(path, whole .. "{}\n")
    local tape, err = cache.replay(path)
    assert.is_nil(tape)
    assert.equal("cassette", err.kind)
    assert.matches("run.jsonl:3: expected an answer", err.message)
  end))

  it("that is none is refused", function()
    for text, why in pairs {[""] = "it is no recording", ["x\n"] = "it is no recording",
      ["[]\n"] = "it is no recording", ['{"cassette":2}\n'] = "it is of version 2, not 1"} do
      fs.write(path, text)
      local tape, err = cache.replay(path)
      assert.is_nil(tape)
      assert.matches(why, err.message, 1, true)
    end
    assert.equal("not_found", select(2, cache.replay(path .. "x")).kind)
    local tape, err = cache.record(path .. "/x")
    assert.is_nil(tape)
    assert.equal("file", err.kind)
  end)

  it("is left whole by a cancelled request, which is not on it", virtual(function()
    do
      local tape <close> = cache.record(path, {transport = transport(function() return {"a", "b"} end)})
      local asking = async.spawn(function() tape:request {url = "/1"} end)
      local reading = async.spawn(function() tape:request({url = "/2"}):text() end)
      async.sleep(0.5)
      asking:cancel()
      async.sleep(0.75)
      reading:cancel()
      async.wait {asking, reading}
      assert.equal("ab", tape:request({url = "/3"}):text())
    end
    assert.equal(1, cache.replay(path).left)
  end))

  it("says what was expected", function()
    assert.error_matches(function() cache.record(5) end, "cache.record: expected a path, got 5")
    assert.error_matches(function() cache.record(path, {transport = {}}) end,
      "option 'transport' must be an HTTP client")
    assert.error_matches(function() cache.replay(path, {speed = 0}) end, "option 'speed' must be a number above 0")
    local tape <close> = cache.record(path, {transport = transport(print)})
    assert.error_matches(function() tape:request {} end, "cache.record: expected a table with a url")
    assert.error_matches(function() tape:request {url = "/", body = function() end} end, "cannot be recorded")
  end)
end)
