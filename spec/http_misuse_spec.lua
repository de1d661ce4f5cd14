-- What careless and hostile scripts do with the HTTP client: they are told, and nothing hangs, crashes or leaks.
local async = require "muster"
local http = require "muster.http"
local server = require "spec.support.http_server"

local s -- echoes, while a spec runs

local function with_server(name, fn)
  it(name, function()
    s = server.answering(function(request) return request.line .. (request.body or "") end)
    finally(function() s:close() end)
    fn()
  end)
end

--- A server that sends a part of its body, then waits for the client's end.
local function stalling()
  return server.start(function(c)
    c:request()
    c:write "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
    while c:more() do end
  end)
end

describe("options of HTTP", function()
  local values = {true, false, 1, -1, 1.5, 0 / 0, math.huge, math.mininteger, "", "x", "a\0b", "a\r\nb", {1}, {x = {}},
                  function() end, io.stdout, coroutine.create(print)}

  with_server("of whatever type are taken or refused with their name, where the script calls", function()
    local names = {"method", "headers", "body", "json", "form", "query", "timeout", "follow", "proxy", "verify", "ca",
                   "cert", "auth", "http2", "max_body", "base_url", "limits", "nonsense"}
    for _, name in ipairs(names) do
      for _, value in ipairs(values) do
        for what, call in pairs {["http.request"] = http.request, ["http.client"] = http.client} do
          local ok, err = pcall(function()
            local options = {url = what == "http.request" and s.url or nil, timeout = 5}
            options[name] = value
            local made = call(options)
            if made then made:close() end
          end)
          local context = ("%s %s = %s: %s"):format(what, name, tostring(value), tostring(err))
          if not ok and name ~= "body" then
            assert.matches("http_misuse_spec.lua:%d+: " .. what, err, 1, nil, context)
          end
        end
      end
    end
  end)

  with_server("may be anything but a table, which is refused", function()
    for _, value in ipairs(values) do
      if type(value) ~= "table" then
        for _, call in ipairs {http.request, http.client, function(v) return http.get(s.url, v) end} do
          assert.error_matches(function() return (call(value)) end, "options must be a table")
        end
      end
    end
  end)

  with_server("of a query or a form are names and values, or lists of both", function()
    for _, bad in ipairs {{{"a", print}}, {{"a"}}, {{"a", 1}, 2}, {a = print}, {a = {1, {print}}}} do
      assert.error_matches(function() http.get(s.url, {query = bad}) end, "http.get: option 'query")
      assert.error_matches(function() http.post(s.url, {form = bad}) end, "http.post: option 'form")
    end
  end)

  with_server("do not give C a string with a zero in it", function()
    for _, name in ipairs {"ca", "cert", "proxy"} do
      assert.error_matches(function() http.get(s.url, {[name] = "a\0b"}) end, "option '" .. name .. "' must be")
    end
    assert.equal("bad_url", select(2, http.get(s.url .. "/a\0b")).kind)
    assert.equal("bad_url", select(2, http.get(s.url, {query = "a\0b"})).kind)
  end)

  with_server("say how long the body is only if it is so long", function()
    for _, length in ipairs {"2", "4", "-3", "x", "3.5"} do
      assert.error_matches(function() http.post(s.url, {body = "abc", headers = {["content-LENGTH"] = length}}) end,
        "http.post: header 'content%-LENGTH' is not the length of the body")
    end
    assert.matches("abc$", http.post(s.url, {body = "abc", headers = {["Content-Length"] = 3}}):text())
    assert.error_matches(function() http.get(s.url, {headers = {["Content-Length"] = 3}}) end, "is not the length")
  end)
end)

describe("a body from an iterator", function()
  local function pieces(...)
    local list = {...}
    return function() return table.remove(list, 1) end
  end

  with_server("that does not keep to its length closes the transfer, and raises", function()
    assert.matches("abcd$", http.post(s.url, {body = pieces("abc", "d"), headers = {["Content-Length"] = 4}}):text())
    local headers = {["Content-Length"] = 4}
    assert.error_matches(function() http.post(s.url, {body = pieces("abc", "de"), headers = headers}) end,
      "longer than its 4 bytes")
    assert.error_matches(function() http.post(s.url, {body = pieces "abc", headers = headers}) end,
      "ended after 3 of 4 bytes")
  end)

  with_server("that gives anything but strings raises", function()
    for _, piece in ipairs {1, true, {}, print} do
      assert.error_matches(function() http.post(s.url, {body = function() return piece end}) end, "must give strings")
    end
  end)

  with_server("that gives nothing for ever keeps to the time limit", function()
    local _, err = http.post(s.url, {body = function() return "" end, timeout = 0.02})
    assert.equal("timeout", err.kind)
  end)

  with_server("may make requests, and may close its client", function()
    local n = 0
    local text = http.post(s.url, {body = function()
      n = n + 1
      return n <= 2 and http.get(s.url):text() or nil
    end}):text()
    assert.matches("^POST / HTTP/1.1GET / HTTP/1.1GET / HTTP/1.1$", text)
    local client = http.client()
    local res, err = client:post(s.url, {body = function()
      client:close()
      return "abc"
    end})
    assert.is_nil(res)
    assert.equal("closed", err.kind)
  end)
end)

describe("a response", function()
  with_server("is read by one task at a time", function()
    local stalled <close> = stalling()
    local res <close> = http.get(stalled.url)
    assert.equal("abc", res:read())
    local first = async.spawn(res.read, res)
    async.yield()
    for _, method in ipairs {"read", "text", "json"} do
      assert.error_matches(function() res[method](res) end, "^%w+: another task is waiting for this response")
    end
    res:close()
    local ok, chunk, err = first:pawait()
    assert.is_true(ok)
    assert.is_nil(chunk)
    assert.equal("closed", err.kind)
  end)

  with_server("that was collected, but is held by a finalizer, can be asked anything", function()
    local methods = {"text", "read", "wait", "json", "close", "finish"}
    local res = http.get(s.url)
    res:text()
    local meta = getmetatable(res)
    for _ = 1, 2 do meta.__gc(res) end
    for _, name in ipairs(methods) do pcall(res[name], res) end
    pcall(res.send, res, "x")
    assert.error_matches(function() res:text() end, "collected")
    for _, name in ipairs {"status", "headers", "url", "timing", "ok"} do assert.is_nil(res[name]) end
    assert.is_string(tostring(res))
  end)

  with_server("has methods that refuse what is no response", function()
    local res <close> = http.get(s.url)
    for _, name in ipairs {"text", "read", "wait", "close", "send", "finish"} do
      for _, self in ipairs {io.stdout, {}, 1, "x", true} do
        assert.error_matches(function() res[name](self) end, "http.response expected")
      end
    end
  end)

  with_server("outlives its client", function()
    local large <close> = server.answering(function() return ("x"):rep(3 << 20) end)
    local res
    do
      local client = http.client()
      res = client:get(large.url)
    end
    collectgarbage()
    collectgarbage()
    assert.equal(3 << 20, #res:text())
  end)
end)

describe("timeouts around requests", function()
  with_server("end the innermost first, each with its own error", function()
    local stalled <close> = server.start(function(c) while c:more() do end end)
    local limit = {timeout = 0.01}
    local _, err = async.timeout(60, function()
      return select(2, async.move_on_after(60, http.get, stalled.url, limit)), "err"
    end)
    assert.equal("err", err)
    local done, res, problem = async.timeout(60, function() return true, http.get(stalled.url, limit) end)
    assert.is_true(done)
    assert.is_nil(res)
    assert.equal("timeout", problem.kind)
    assert.is_false((async.move_on_after(0.01, http.get, stalled.url, {timeout = 60})))
    local ok, timed = pcall(async.timeout, 0.01, function()
      return async.move_on_after(60, http.get, stalled.url, {timeout = 60})
    end)
    assert.is_false(ok)
    assert.equal("timeout", timed.kind)
  end)
end)

describe("errors of HTTP", function()
  local function text_of(err) return tostring(err) .. (err.url or "") .. err.message end

  with_server("never tell the password of a URL or of a proxy", function()
    local port = server.refused_port()
    for _, url in ipairs {
      "http://user:secret@127.0.0.1:" .. port, "http://user:secret@127.0.0.1:99999/",
      "http://user:se/secret@127.0.0.1/",
      "http://user:a@secret@127.0.0.1:" .. port, "http://user:secret@[::1", "http://user:secret@nosuch.invalid/",
      "ftp://user:secret@127.0.0.1/", "http://user:secret\\@127.0.0.1:" .. port, "http://u:secret@x y/",
    } do
      local res, err = http.get(url, {timeout = 5})
      assert.is_nil(res, url)
      assert.not_matches("secret", text_of(err), url)
    end
    for _, proxy in ipairs {"http://user:secret@bad host:1", "foo://user:secret@127.0.0.1:1",
                            "http://user:secret@127.0.0.1:" .. port, "http://user:secret@nosuch.invalid:1",
                            "http://user:secret@[::1"} do
      local res, err = http.get(s.url, {proxy = proxy, timeout = 5})
      assert.is_nil(res, proxy)
      assert.not_matches("secret", text_of(err), proxy)
    end
  end)

  with_server("do not tell that of where a redirect leads", function()
    local target
    local redirecting <close> = server.answering(function() return "", "Location: " .. target, "302 Found" end)
    local port = server.refused_port()
    for _, to in ipairs {"http://u:secret@127.0.0.1:" .. port .. "/", "//u:secret@127.0.0.1:" .. port .. "/",
                         "http://u:secret@[bad/", "gopher://u:secret@x/"} do
      target = to
      local res, err = http.get(redirecting.url)
      assert.is_nil(res, to)
      assert.not_matches("secret", text_of(err), to)
    end
  end)
end)
