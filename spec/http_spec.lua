local async = require "muster"
local http = require "muster.http"
local server = require "spec.support.http_server"

local function echo(request)
  return request.line .. "\n" .. request.head:match "\n(.*)$" .. "\n\n" .. (request.body or "")
end

describe("http.get", function()
  it("gets a small response", function()
    local s <close> = server.answering(function() return "hello", "X-Thing: one" end)
    local res <close> = assert(http.get(s.url .. "/path?x=1"))
    assert.equal(200, res.status)
    assert.is_true(res.ok)
    assert.equal("1.1", res.http_version)
    assert.equal(s.url .. "/path?x=1", res.url)
    assert.equal("hello", res:text())
    assert.equal("hello", res:text())
    assert.equal("one", res.headers["x-thing"])
  end)

  it("has the body when the response is there: one wake a request", function()
    local s <close> = server.answering(function() return "hello" end)
    assert(http.get(s.url)):text()
    local host = require "muster.host"
    local before
    local task = async.spawn(function()
      local res = http.get(s.url)
      before = host.stats().turns
      res:text()
      return host.stats().turns
    end)
    assert.equal(task:await(), before)
  end)

  it("keeps connections for the next request", function()
    local s <close> = server.answering(function() return "x" end)
    for _ = 1, 20 do assert.equal("x", http.get(s.url):text()) end
    assert.equal(1, s.connections)
  end)

  it("makes many requests at once", function()
    local s <close> = server.answering(function(request) return request.path end)
    local paths = {}
    for i = 1, 200 do paths[i] = "/" .. i end
    local texts = async.map(paths, function(path) return http.get(s.url .. path):text() end)
    paths.n = 200
    assert.same(paths, texts)
  end)

  it("takes an empty body, and none", function()
    local s <close> = server.answering(function(request, c)
      if request.path == "/empty" then return "" end
      c:write "HTTP/1.1 204 No Content\r\n\r\n"
    end)
    assert.equal("", http.get(s.url .. "/empty"):text())
    local res = http.get(s.url .. "/none")
    assert.equal(204, res.status)
    assert.equal("", res:text())
  end)

  it("takes a body that ends with the connection, and chunks with trailers", function()
    local s <close> = server.start(function(c)
      if c:request().path == "/close" then
        c:write "HTTP/1.0 200 OK\r\n\r\nup to the end"
      else
        c:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
          "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n")
      end
    end)
    local res = http.get(s.url .. "/close")
    assert.equal("1.0", res.http_version)
    assert.equal("up to the end", res:text())
    res = http.get(s.url .. "/chunked")
    assert.equal("abcdefg", res:text())
    assert.is_nil(res.headers.trailer)
  end)

  local encoded = { -- "hello"
    gzip = "1f8b0800000000000003cb48cdc9c9070086a6103605000000",
    br = "0b028068656c6c6f03",
    zstd = "28b52ffd005829000068656c6c6f",
  }

  it("takes what is compressed, and asks for what libcurl knows", function()
    local asked
    local s <close> = server.answering(function(request)
      asked = request.headers["accept-encoding"]
      local name = request.path:sub(2)
      local body = encoded[name]:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
      return body, "Content-Encoding: " .. name
    end)
    local known = 0
    for name in pairs(encoded) do
      local res = http.get(s.url .. "/" .. name)
      if asked:find(name, 1, true) then
        known = known + 1
        assert.equal(name, res.headers["content-encoding"])
        assert.equal("hello", res:text(), name)
      else
        assert.equal("protocol", select(2, res:text()).kind, name)
      end
    end
    assert.is_true(known >= 2, asked)
    http.get(s.url .. "/gzip", {headers = {["Accept-Encoding"] = "x"}})
    assert.equal("x", asked)
  end)

  it("does not take 100 and 103 for the response", function()
    local s <close> = server.saying("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" ..
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    local res = http.get(s.url)
    assert.equal(200, res.status)
    assert.is_nil(res.headers.link)
    assert.equal("ok", res:text())
  end)

  it("tells its timing", function()
    local s <close> = server.answering(function() return "x" end)
    local res = http.get(s.url)
    res:text()
    local timing = res.timing
    for _, name in ipairs {"dns", "connect", "tls", "first_byte", "total"} do
      assert.is_true(timing[name] >= 0, name)
    end
    assert.is_true(timing.total >= timing.first_byte)
    assert.equal(0, timing.tls)
  end)

  it("raises for misuse", function()
    assert.error_matches(function() http.get() end, "bad argument #1 to 'http.get' %(string expected, got nil%)")
    assert.error_matches(function() http.get("http://x/", {tiemout = 1}) end, "http.get: unknown option 'tiemout'")
    assert.error_matches(function() http.get("http://x/", {url = "y"}) end, "unknown option 'url'")
    assert.error_matches(function() http.get("http://x/", {timeout = {conect = 1}}) end,
      "unknown option 'timeout.conect'")
    assert.error_matches(function() http.get("http://x/", {timeout = -1}) end, "option 'timeout' must be")
    assert.error_matches(function() http.get("http://x/", {headers = {["a b"] = "c"}}) end, "must be a token")
    assert.error_matches(function() http.get("http://x/", {headers = {a = "b\r\nc: d"}}) end, "one line")
    assert.error_matches(function() http.request {} end, "option 'url' must be a string")
    assert.error_matches(function() http.request {url = "http://x/", body = "a", json = 1} end, "only one of")
    assert.error_matches(function() http.request {url = "http://x/", method = "A B"} end, "'method' must be a token")
    assert.error_matches(function() http.request {url = "http://x/", json = print} end, "cannot be encoded")
  end)

  it("is refused outside of tasks", function()
    local co = coroutine.wrap(function() return http.get("http://127.0.0.1:1/") end)
    local _, err = co() -- in a coroutine of a task it works
    assert.equal("connect", err.kind)
  end)
end)

describe("http.request", function()
  it("sends method, headers, query, and a body", function()
    local s <close> = server.answering(echo)
    local text = http.request({method = "patch", url = s.url .. "/a?z=1", query = {b = "x y", a = {1, 2}},
                               headers = {["X-One"] = "1", ["X-Two"] = {"a", "b"}}, body = "the body"}):text()
    assert.matches("^PATCH /a%?z=1&a=1&a=2&b=x%%20y HTTP/1.1\n", text)
    assert.matches("\nX%-One: 1\n", text)
    assert.matches("\nX%-Two: a\nX%-Two: b\n", text)
    assert.matches("\n\nthe body$", text)
    assert.not_matches("Expect", text)
    assert.not_matches("Content%-Type", text)
  end)

  it("sends JSON and forms", function()
    local s <close> = server.answering(echo)
    local text = http.post(s.url, {json = {a = 1}}):text()
    assert.matches("^POST / ", text)
    assert.matches("\nContent%-Type: application/json\n", text)
    assert.matches('\n\n{"a":1}$', text)
    text = http.post(s.url, {form = {b = "ü&", a = 1}}):text()
    assert.matches("\nContent%-Type: application/x%-www%-form%-urlencoded\n", text)
    assert.matches("\n\na=1&b=%%C3%%BC%%26$", text)
  end)

  it("has shorthands", function()
    local s <close> = server.answering(function(request, c)
      if request.method ~= "HEAD" then return request.line .. (request.body or "") end
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Head: yes\r\n\r\n"
    end)
    assert.equal("GET / HTTP/1.1", http.get(s.url):text())
    assert.equal("PUT /x HTTP/1.1abc", http.put(s.url .. "/x", {body = "abc"}):text())
    assert.equal("DELETE / HTTP/1.1", http.delete(s.url):text())
    assert.equal("POST / HTTP/1.1", http.post(s.url):text())
    local res = http.head(s.url)
    assert.equal("yes", res.headers["x-head"])
    assert.equal("", res:text())
    assert.equal("GET / HTTP/1.1", http.request({url = s.url}):text())
    assert.equal("POST / HTTP/1.1abc", http.request({url = s.url, body = "abc"}):text())
  end)

  it("forgets one request before the next on the same handle", function()
    local s <close> = server.answering(echo)
    for _ = 1, 3 do
      http.request({method = "PATCH", url = s.url, body = "abc", headers = {["X-A"] = "1"}}):text()
      local text = http.get(s.url):text()
      assert.matches("^GET / ", text)
      assert.not_matches("X%-A", text)
      assert.not_matches("Content%-Length", text)
      http.head(s.url)
      text = http.get(s.url, {headers = {["User-Agent"] = "else"}}):text()
      assert.matches("\nUser%-Agent: else\n", text)
      assert.matches("\nUser%-Agent: muster\n", http.get(s.url):text())
    end
  end)

  it("authorises", function()
    local s <close> = server.answering(echo)
    assert.matches("\nAuthorization: Bearer abc\n", http.get(s.url, {auth = "abc"}):text())
    assert.matches("\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
      http.get(s.url, {auth = {user = "Aladdin", password = "open sesame"}}):text())
    local url = s.url:gsub("//", "//u:p@")
    local res = http.get(url)
    assert.matches("\nAuthorization: Basic dTpw\n", res:text())
    assert.equal(s.url .. "/", res.url:gsub("/?$", "/"))
  end)

  it("sends a body from an iterator", function()
    local s <close> = server.answering(echo)
    local i = 0
    local text = http.post(s.url, {body = function()
      i = i + 1
      async.sleep(0)
      return ({"one,", "", "two,", ("x"):rep(100000)})[i]
    end}):text()
    assert.matches("\nTransfer%-Encoding: chunked\n", text)
    assert.matches("\n\none,two,x+$", text)
    assert.equal(100008, #text:match "\n\n(.*)$")
  end)

  it("raises what the iterator raises, and closes the transfer", function()
    local gone = async.event()
    local s <close> = server.start(function(c)
      while c:more() do end
      gone:set()
    end)
    local pieces = {"one", "two"}
    assert.error_matches(function()
      http.post(s.url, {body = function() return table.remove(pieces) or error("no more", 0) end})
    end, "^no more$")
    gone:wait()
  end)

  it("takes a response that comes before the whole request", function()
    local s <close> = server.start(function(c)
      while not c.buffer:find "\r\n\r\n" do c:more() end
      c:write "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!"
      while c:more() do end
    end)
    local n = 0
    local res = http.post(s.url, {body = function()
      n = n + 1
      async.sleep(0.001)
      return n < 100000 and "piece" or nil
    end})
    assert.equal(413, res.status)
    assert.equal("no!", res:text())
    assert.is_true(n < 100000)
  end)
end)

describe("http.response", function()
  it("keeps integers of 64 bits, empty lists and null of JSON, in both directions", function()
    local s <close> = server.answering(function(request) return request.body end)
    local value = {big = math.maxinteger, list = {}, none = require "muster.json".null, float = 0.1}
    value.list = require "muster.json".array {}
    local text = '{"big":9223372036854775807,"float":0.1,"list":[],"none":null}'
    local seen = http.post(s.url, {body = text}):json()
    assert.same(value, seen)
    assert.equal("integer", math.type(seen.big))
    assert.equal(math.maxinteger, http.post(s.url, {json = seen}):json().big)
    assert.matches('"list":%[%]', http.post(s.url, {json = seen}):text())
  end)

  it("parses JSON", function()
    local s <close> = server.answering(function(request) return request.path == "/bad" and "{a" or '{"a":[1,2]}' end)
    assert.same({a = {1, 2}}, http.get(s.url):json())
    local value, err = http.get(s.url .. "/bad"):json()
    assert.is_nil(value)
    assert.equal("protocol", err.kind)
    assert.equal("json", err.phase)
  end)

  it("has headers without regard to case, repeated ones kept", function()
    local s <close> = server.answering(function()
      return "", "Set-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty:\r\nx:y"
    end)
    local headers = http.get(s.url).headers
    assert.same({"a=1", "b=2"}, headers:all "SET-COOKIE")
    assert.equal("a=1, b=2", headers["set-Cookie"])
    assert.equal("", headers["x-empty"])
    assert.equal("y", headers.X)
    assert.is_nil(headers.absent)
    assert.same({}, headers:all "absent")
    local names = {}
    for name, value in pairs(headers) do names[#names + 1] = name .. "=" .. value end
    assert.same({"Content-Length=0", "Set-Cookie=a=1", "set-cookie=b=2", "X-Empty=", "x=y"}, names)
  end)

  it("is nil, closed after it was closed", function()
    local s <close> = server.answering(function() return ("x"):rep(1000000) end)
    local res = http.get(s.url)
    res:close()
    res:close()
    local text, err = res:text()
    assert.is_nil(text)
    assert.equal("closed", err.kind)
    assert.equal("closed", select(2, res:read()).kind)
    assert.equal(200, res.status)
  end)
end)
