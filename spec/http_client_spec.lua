local async = require "muster"
local host = require "muster.host"
local http = require "muster.http"
local process = require "muster.process"
local program = require "spec.support.program"
local server = require "spec.support.http_server"

local function echo(request) return request.line .. "\n" .. request.head:match "\n(.*)$" end

--- Runs code in a program of its own, while servers of this one answer. -> output, status
local function run(code, env)
  local child = assert(process.run({program.path, "-e", code}, {env = env, timeout = 60}))
  return child.stdout, child.status
end

--- A server that holds each request until it is let go, and counts.
local function holding()
  local state = {now = 0, most = 0, paths = {}}
  state.release = async.channel(1000)
  state.server = server.answering(function(request)
    state.now = state.now + 1
    state.most = math.max(state.most, state.now)
    table.insert(state.paths, request.path)
    state.release:recv()
    state.now = state.now - 1
    return request.path
  end)
  return state
end

describe("http.client", function()
  it("has a base_url, headers and a query for each request", function()
    local s <close> = server.answering(echo)
    local client <close> = http.client {base_url = s.url .. "/v1/", headers = {["X-Key"] = "k", ["X-Two"] = "2"},
                                        query = {v = 1}, auth = "token"}
    local text = client:get("/chat/completions", {headers = {["x-two"] = "other"}}):text()
    assert.matches("^GET /v1/chat/completions%?v=1 ", text)
    assert.matches("\nX%-Key: k\n", text)
    assert.matches("\nx%-two: other", text)
    assert.not_matches("X%-Two", text)
    assert.matches("\nAuthorization: Bearer token", text)
    assert.matches("^GET /v1/a%?v=1 ", client:get("a"):text())
    assert.matches("^POST /v1/%?v=1 ", client:post(""):text())
    assert.matches("^PUT /v1/a%?x=1&v=1&y=2 ", client:request({method = "PUT", url = "a?x=1", query = "y=2"}):text())
    assert.matches("^GET /else%?v=1 ", client:get(s.url .. "/else"):text())
    assert.not_matches("X%-Key", client:get("a", {headers = {["X-Key"] = false}}):text())
  end)

  it("has connections of its own, which close with it", function()
    local s <close> = server.answering(function() return "x" end)
    local gone = server.descriptors()
    local client = http.client()
    assert.equal("x", client:get(s.url):text())
    assert.equal("x", http.get(s.url):text())
    assert.equal(2, s.connections)
    client:close()
    client:close()
    local res, err = client:get(s.url)
    assert.is_nil(res)
    assert.equal("closed", err.kind)
    server.wait_for(function() return server.descriptors() <= gone + 4 end)
  end)

  it("ends what is under way when it is closed", function()
    local h = holding()
    finally(function() h.server:close() end)
    local client = http.client {limits = {total = 1}}
    local tasks = {}
    for i = 1, 3 do tasks[i] = async.spawn(client.get, client, h.server.url) end
    server.wait_for(function() return h.now == 1 end)
    client:close()
    for _, task in ipairs(tasks) do
      local _, res, err = task:pawait()
      assert.is_nil(res)
      assert.equal("closed", err.kind)
    end
  end)

  it("lets no more than `total` be in flight, first come first served", function()
    local h = holding()
    finally(function() h.server:close() end)
    local client <close> = http.client {limits = {total = 3}}
    local tasks, paths = {}, {}
    for i = 1, 10 do
      paths[i] = "/" .. i
      tasks[i] = async.spawn(function() return client:get(h.server.url .. paths[i]):text() end)
    end
    server.wait_for(function() return h.now == 3 end)
    for _ = 1, 10 do h.release:send(true) end
    async.gather(tasks)
    assert.equal(3, h.most)
    table.sort(h.paths, function(a, b) return tonumber(a:sub(2)) < tonumber(b:sub(2)) end)
    assert.same(paths, h.paths)
  end)

  it("lets no more than `per_host` be in flight to one server", function()
    local a, b = holding(), holding()
    finally(function()
      a.server:close()
      b.server:close()
    end)
    local client <close> = http.client {limits = {per_host = 2}}
    local tasks = {}
    for i = 1, 12 do
      local h = i <= 8 and a or b
      tasks[i] = async.spawn(function() return client:get(h.server.url):text() end)
    end
    server.wait_for(function() return b.now == 2 and a.now == 2 end)
    for _ = 1, 8 do a.release:send(true) end
    for _ = 1, 4 do b.release:send(true) end
    async.gather(tasks)
    assert.equal(2, a.most)
    assert.equal(2, b.most)
  end)

  it("gives the place of a cancelled request to the next", function()
    local h = holding()
    finally(function() h.server:close() end)
    local client <close> = http.client {limits = {total = 1}}
    local first = async.spawn(client.get, client, h.server.url .. "/1")
    local second = async.spawn(client.get, client, h.server.url .. "/2")
    local third = async.spawn(client.get, client, h.server.url .. "/3")
    server.wait_for(function() return h.now == 1 end)
    second:cancel()
    first:cancel()
    h.release:send(true)
    h.release:send(true)
    assert.equal("/3", third:await():text())
    assert.same({"/1", "/3"}, h.paths)
    second:pawait()
    first:pawait()
  end)

  it("counts the time in the queue as total only", function()
    local h = holding()
    finally(function() h.server:close() end)
    local client <close> = http.client {limits = {total = 1}, timeout = {connect = 0.02, first_byte = 10}}
    local first = async.spawn(client.get, client, h.server.url)
    server.wait_for(function() return h.now == 1 end)
    local _, err = client:get(h.server.url, {timeout = {total = 0.05}})
    assert.equal("timeout", err.kind)
    assert.equal("queue", err.phase)
    h.release:send(true)
    assert.equal(200, first:await().status)
  end)

  it("raises for misuse", function()
    assert.error_matches(function() http.client {base = "x"} end, "http.client: unknown option 'base'")
    assert.error_matches(function() http.client {limits = {total = 0}} end, "'limits.total' must be an integer")
    assert.error_matches(function() http.client {limits = {hosts = 1}} end, "unknown option 'limits.hosts'")
    assert.error_matches(function() http.client {json = 1} end, "unknown option 'json'")
    assert.error_matches(function() http.client "x" end, "options must be a table")
  end)

  it("leaves no handle active when nothing is under way", function()
    local s <close> = server.answering(function() return "x" end)
    local client <close> = http.client()
    client:get(s.url):text()
    s:close()
    server.wait_for(function() return host.stats().handles <= 1 end)
  end)
end)

describe("redirects", function()
  local function redirecting(status, location)
    return server.answering(function(request)
      if request.path ~= "/" then return request.line .. "\n" .. (request.body or "") end
      return "", "Location: " .. location, status
    end)
  end

  it("are followed, and tell where they led", function()
    local s <close> = redirecting("302 Found", "/else?x=1#part")
    local res = http.get(s.url)
    assert.equal("GET /else?x=1 HTTP/1.1\n", res:text())
    assert.equal(s.url .. "/else?x=1#part", res.url)
  end)

  it("are not followed if not wanted", function()
    local s <close> = redirecting("302 Found", "/else")
    local res = http.get(s.url, {follow = false})
    assert.equal(302, res.status)
    assert.equal("/else", res.headers.location)
    assert.equal(s.url, res.url:gsub("/$", ""))
  end)

  it("are responses if they lead nowhere", function()
    local s <close> = server.answering(function() return "body", nil, "302 Found" end)
    local res = http.get(s.url)
    assert.equal(302, res.status)
    assert.equal("body", res:text())
  end)

  it("keep or change the method as browsers do", function()
    for status, methods in pairs {["301 x"] = "GET", ["302 x"] = "GET", ["303 x"] = "GET", ["307 x"] = "POST",
                                  ["308 x"] = "POST"} do
      local s <close> = redirecting(status, "/else")
      local text = http.post(s.url, {body = "abc"}):text()
      assert.equal(methods .. " /else HTTP/1.1\n" .. (methods == "POST" and "abc" or ""), text)
    end
    local s <close> = redirecting("303 See Other", "/else")
    assert.equal("GET /else HTTP/1.1\n", http.put(s.url, {body = "abc"}):text())
    assert.equal("GET /else HTTP/1.1\n", http.delete(s.url):text())
  end)

  it("drop credentials across origins, and only there", function()
    local other <close> = server.answering(echo)
    local target
    local s <close> = server.answering(function(request)
      if request.path == "/" then return "", "Location: " .. target, "307 x" end
      return echo(request)
    end)
    local headers = {Authorization = "secret", Cookie = "secret", ["X-Api-Key"] = "secret", ["X-Other"] = "kept"}
    for _ = 1, 2 do
      target = other.url .. "/x"
      local text = http.get(s.url, {headers = headers}):text()
      assert.not_matches("secret", text)
      assert.matches("X%-Other: kept", text)
      target = "/same"
      text = http.get(s.url, {headers = headers}):text()
      assert.equal(3, select(2, text:gsub("secret", "")))
      target = other.url .. "/x"
      assert.not_matches("Authorization", http.get((s.url:gsub("//", "//user:secret@"))):text())
      local client <close> = http.client {headers = headers}
      assert.not_matches("secret", client:get(s.url):text())
      target = "/same"
      assert.equal(3, select(2, client:get(s.url):text():gsub("secret", "")))
    end
  end)
end)

describe("proxies", function()
  it("are taken from the option, and from the environment", function()
    local proxy <close> = server.answering(function(request) return request.line end)
    local res = http.get("http://example.invalid/x", {proxy = proxy.url})
    assert.equal("GET http://example.invalid/x HTTP/1.1", res:text())
    local output = run([[
      local http = require "muster.http"
      print(http.get("http://example.invalid/y"):text())
      print(select(2, http.get("http://example.invalid/y", {proxy = false})).kind)
      print(select(2, http.get("http://127.0.0.1:1/")).kind)
    ]], {http_proxy = proxy.url, no_proxy = "127.0.0.1"})
    assert.equal("GET http://example.invalid/y HTTP/1.1\ndns\nconnect\n", output)
  end)
end)

describe("the end of the program", function()
  it("closes what is open, however it ends", function()
    local s <close> = server.answering(function() return ("x"):rep(1 << 20) end)
    local endings = {
      "", "os.exit(0, true)", "os.exit(0)", "res = nil; collectgarbage()",
      "async.spawn(http.get, url):daemon(); async.yield()",
      "async.spawn(function() http.get(url):text(); http.get(url) end):daemon(); async.sleep(0.01)",
    }
    for _, ending in ipairs(endings) do
      local code = ([[
        local async, http, url = require "muster", require "muster.http", %q
        res = http.get(url)
        client = http.client()
        other = client:get(url)
        %s]]):format(s.url, ending)
      local _, status = run(code)
      assert.equal(0, status, ending)
    end
  end)
end)

describe("a connection that breaks before an answer", function()
  --- A server that answers the first request of each connection, and hangs up on the second. -> its URL, seen methods
  local function forgetful()
    local seen = {}
    local s = server.start(function(c)
      local first = c:request()
      if not first then return end
      seen[#seen + 1] = first.method
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      local second = c:request()
      if second then seen[#seen + 1] = second.method end
    end)
    return s, seen
  end

  it("is no reason to send a POST again: it may have happened", function()
    local s <close>, seen = forgetful()
    local client <close> = http.client()
    assert.equal("ok", client:post(s.url, {body = "1"}):text())
    local res, err = client:post(s.url, {body = "2"})
    assert.is_nil(res)
    assert.equal("reset", err.kind)
    assert.is_true(err.retryable)
    assert.matches("not sent again", err.message)
    assert.same({"POST", "POST"}, seen)
    assert.equal("ok", client:post(s.url, {body = "3"}):text())
  end)

  it("is none for GET and PUT, which are sent again", function()
    for _, method in ipairs {"GET", "PUT", "DELETE"} do
      local s <close>, seen = forgetful()
      local client <close> = http.client()
      for _ = 1, 2 do assert.equal("ok", client:request({url = s.url, method = method, body = "x"}):text()) end
      assert.same({method, method, method}, seen)
    end
  end)

  it("is none for PATCH, whatever its body", function()
    local s <close>, seen = forgetful()
    local client <close> = http.client()
    local function pieces()
      local sent = false
      return function()
        if sent then return nil end
        sent = true
        return "x"
      end
    end
    assert.equal("ok", client:request({url = s.url, method = "PATCH", body = pieces()}):text())
    assert.equal("reset", select(2, client:request {url = s.url, method = "PATCH", body = pieces()}).kind)
    assert.same({"PATCH", "PATCH"}, seen)
  end)
end)
