-- runtime/host/http_head.c: heads that are refused, since somebody before us may see other requests in them than we do.
local client = require "spec.support.serving"

local serving, exchange, sent, rest = client.serving, client.exchange, client.sent, client.rest

local seen = 0

local function echo(req)
  seen = seen + 1
  return req.method .. " " .. (req:body() or "nothing")
end

--- Each text is answered by a status, no handler sees it, and nothing behind it is read as a request.
local function refuses(status, heads)
  return serving(echo, function(s)
    for _, head in ipairs(heads) do
      seen = 0
      local c <close> = sent(s, head .. "\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
      local answer = rest(c)
      assert.truthy(answer:find("^HTTP/1.1 " .. status), head)
      assert.truthy(answer:find "Connection: close\r\n", head)
      assert.is_nil(answer:find("HTTP/1.1", 10, true), head)
      assert.equal(0, seen, head)
    end
  end)
end

local POST = "POST / HTTP/1.1\r\nHost: x\r\n"

describe("the head of a request", function()
  it("that gives the length of its body twice", refuses(400, {
    POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked",
    POST .. "Transfer-Encoding: chunked\r\nContent-Length: 5",
    POST .. "Content-Length: 5\r\nContent-Length: 6",
    POST .. "content-length: 5\r\nCONTENT-LENGTH: 5",
    POST .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    POST .. "Transfer-Encoding: identity\r\nContent-Length: 5",
  }))

  it("of HTTP/1.0 with chunks", refuses(400, {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked"}))

  it("with an encoding that is unknown", refuses(501, {
    POST .. "Transfer-Encoding: identity", POST .. "Transfer-Encoding: gzip, chunked",
    POST .. "Transfer-Encoding: chunked, identity", POST .. "Transfer-Encoding: xchunked",
    POST .. "Transfer-Encoding:",
  }))

  it("with what is no name, no value, no target", refuses(400, {
    POST .. "Content-Length : 5", POST .. "Transfer-Encoding : chunked", POST .. "A b: c", POST .. "A: b\rC: d",
    POST .. "A: \1", POST .. "A: b\127", POST .. "Transfer-Encoding:\vchunked",
    "GET /a b HTTP/1.1\r\nHost: x", "GET /\1 HTTP/1.1\r\nHost: x",
  }))

  it("that is folded", refuses(400, {
    POST .. "Transfer-Encoding:\r\n chunked", POST .. "Transfer-Encoding: chunk\r\n ed",
    POST .. "Content-Len: 5\r\n gth", POST .. "A: b\r\n\tContent-Length: 5", "GET / HTTP/1.1\r\n Host: x",
    POST .. "A:" .. ("b"):rep(3000) .. "\r\n c",
  }))

  it("with no Host, or two", refuses(400, {
    "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: x\r\nHost: x", "GET / HTTP/1.0\r\nHost: x\r\nHost: y",
  }))

  it("that is right is taken, however it is written", serving(echo, function(s)
    local CLOSE = "Connection: close\r\n\r\n"
    for text, answer in pairs {
      ["GET / HTTP/1.0\r\n\r\n"] = "GET ",
      ["GET / HTTP/1.1\r\nHost:\r\n" .. CLOSE] = "GET ",
      ["GET /\xC3\xA4%20 HTTP/1.1\r\nhost:   x  \r\nA: b\tc \xFF\r\nB:\r\n" .. CLOSE] = "GET ",
      [POST .. "Transfer-encoding:\tChunked\r\n" .. CLOSE .. "5\r\nhello\r\n0\r\n\r\n"] = "POST hello",
      [POST .. "Content-Length:5\r\n" .. CLOSE .. "hello"] = "POST hello",
    } do
      assert.equal(answer, exchange(s, text):match "^HTTP/1.1 200.*\r\n\r\n(.*)$", text)
    end
  end))
end)
