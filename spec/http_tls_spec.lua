-- TLS, HTTP/2, compression and ranges, against nginx. Without nginx or openssl these specs are pending.
local async = require "muster"
local http = require "muster.http"
local muster_process = require "muster.process"
local net = require "muster.net"
local program = require "spec.support.program"
local server = require "spec.support.http_server"
local uv = require "luv"

local function find(name)
  for directory in (os.getenv "PATH" .. ":/usr/sbin"):gmatch "[^:]+" do
    local path = directory .. "/" .. name
    if uv.fs_access(path, "X") then return path end
  end
end

local nginx, openssl = find "nginx", find "openssl"

--- Runs a program to its end, which must be good.
local function run(path, args)
  local status = async.suspend(function(resume)
    local handle
    handle = assert(uv.spawn(path, {args = args, stdio = {nil, nil, nil}}, function(code, signal)
      handle:close()
      resume(code + signal)
    end))
  end)
  assert.equal(0, status, path .. " " .. table.concat(args, " "))
end

local function certificate(dir, name, args)
  local all = {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", dir .. "/" .. name .. ".key", "-out", dir .. "/" .. name .. ".pem", "-subj", "/CN=" .. name}
  run(openssl, table.move(args, 1, #args, #all + 1, all))
end

--- One that has expired needs a request that is then signed for a time that is over.
local function expired(dir)
  run(openssl, {"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                dir .. "/expired.key", "-out", dir .. "/expired.csr", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=IP:127.0.0.1"})
  run(openssl, {"x509", "-req", "-in", dir .. "/expired.csr", "-signkey", dir .. "/expired.key", "-days", "-1",
                "-copy_extensions", "copy", "-out", dir .. "/expired.pem"})
end

local function free_port()
  local tcp = uv.new_tcp()
  tcp:bind("127.0.0.1", 0)
  local port = tcp:getsockname().port
  tcp:close()
  return port
end

local CONFIGURATION = [[
daemon off; master_process off; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 256; }
http {
  access_log off; keepalive_timeout 60; default_type application/json;
  client_body_temp_path DIR/b; proxy_temp_path DIR/p;
  fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  gzip on; gzip_types *; gzip_min_length 1;
  server {
    listen 127.0.0.1:PLAIN;
    location / { root DIR; }
  }
  server {
    listen 127.0.0.1:GOOD ssl http2; ssl_certificate DIR/good.pem; ssl_certificate_key DIR/good.key;
    location / { return 200 '{"connection":$connection}'; }
    location /files/ { alias DIR/; }
  }
  server {
    listen 127.0.0.1:EXPIRED ssl; ssl_certificate DIR/expired.pem; ssl_certificate_key DIR/expired.key;
    location / { return 200 'x'; }
  }
  server {
    listen 127.0.0.1:OTHER ssl; ssl_certificate DIR/other.pem; ssl_certificate_key DIR/other.key;
    location / { return 200 'x'; }
  }
}
]]

local dir, process, exited, ports

local function write(name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
end

local function start()
  dir = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/muster-spec-XXXXXX"))
  ports = {PLAIN = free_port(), GOOD = free_port(), EXPIRED = free_port(), OTHER = free_port()}
  certificate(dir, "good", {"-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"})
  certificate(dir, "other", {"-addext", "subjectAltName=DNS:other.example"})
  expired(dir)
  write("nginx.conf", (CONFIGURATION:gsub("%u+", function(word) return word == "DIR" and dir or ports[word] end)))
  write("text", ("line of text\n"):rep(1000))
  exited = async.event()
  process = assert(uv.spawn(nginx, {args = {"-c", dir .. "/nginx.conf", "-e", dir .. "/error.log"},
                                    stdio = {nil, nil, nil}}, function()
    process:close()
    exited:set()
  end))
  local url = "http://127.0.0.1:" .. ports.PLAIN .. "/text"
  for _ = 1, 500 do
    if http.get(url) then return end
    async.sleep(0.01)
  end
  error("nginx does not answer: " .. program.contents(dir .. "/error.log"))
end

local function stop()
  if process and not process:is_closing() then process:kill "sigterm" end
  if process then exited:wait() end
  program.sh("rm -rf " .. program.quoted(dir))
  program.remove_files()
end

local function tls(name, host)
  return ("https://%s:%d/"):format(host or "127.0.0.1", ports[name])
end

describe("http against nginx", function()
  if not nginx or not openssl then
    pending "nginx and openssl are not here"
    return
  end

  lazy_setup(start)
  lazy_teardown(stop)

  it("verifies certificates", function()
    local res, err = http.get(tls "GOOD")
    assert.is_nil(res)
    assert.equal("tls", err.kind)
    assert.is_false(err.retryable)
    assert.equal("tls", err.phase)
    assert.equal("x", http.get(tls "EXPIRED", {verify = false}):text())
    res, err = http.get(tls "EXPIRED", {ca = dir .. "/expired.pem"})
    assert.is_nil(res)
    assert.equal("tls", err.kind)
    assert.matches("expired", err.message)
  end)

  it("takes no certificate of another host", function()
    local res, err = http.get(tls "OTHER", {ca = dir .. "/other.pem"})
    assert.is_nil(res)
    assert.equal("tls", err.kind)
    assert.matches("match", err.message)
    assert.equal("x", http.get(tls "OTHER", {verify = false}):text())
  end)

  it("goes through a proxy by CONNECT, from the environment too, and tells it nothing", function()
    local asked = {}
    local proxy <close> = server.start(function(c)
      local request = c:request()
      asked[#asked + 1] = request.head
      if request.path:find "^refused" then return c:respond("", nil, "403 Forbidden") end
      c:write "HTTP/1.1 200 Connection established\r\n\r\n"
      local upstream = assert(net.connect("127.0.0.1", tonumber(request.path:match ":(%d+)$")))
      local back <close> = async.group() -- luacheck: ignore
      back:spawn(function()
        for chunk in function() return upstream:read() end do
          if not c:write(chunk) then break end
        end
      end)
      repeat
        if c.buffer ~= "" then upstream:write(c:take(#c.buffer)) end
      until not c:more()
      upstream:close()
    end)
    local options = {ca = dir .. "/good.pem", proxy = proxy.url:gsub("//", "//user:secret@"),
                     headers = {Authorization = "token", Cookie = "c"}}
    assert.equal("2", assert(http.get(tls "GOOD", options)).http_version)
    assert.matches("^CONNECT 127.0.0.1:" .. ports.GOOD, asked[1])
    assert.matches("Proxy%-Authorization: Basic", asked[1])
    assert.not_matches("token", asked[1])
    assert.not_matches("Cookie", asked[1])
    local res, err = http.get("https://refused.invalid/", options)
    assert.is_nil(res)
    assert.not_matches("secret", err.message)
    local code = ([[
      local http = require "muster.http"
      print(http.get(%q, {verify = false}).status)
    ]]):format(tls "GOOD")
    for environment, count in pairs {https_proxy = 3, no_proxy = 3} do
      local env = {https_proxy = environment == "https_proxy" and proxy.url or nil, http_proxy = "http://127.0.0.1:1"}
      if environment == "no_proxy" then env.no_proxy, env.https_proxy = "127.0.0.1", "http://127.0.0.1:1" end
      local child = assert(muster_process.run({program.path, "-e", code}, {env = env, timeout = 60}))
      assert.equal("200\n", child.stdout, environment)
      if environment == "https_proxy" then assert.equal(count, #asked) end
    end
  end)

  it("speaks HTTP/2 over TLS with a certificate that it is told to trust", function()
    local res = assert(http.get(tls "GOOD", {ca = dir .. "/good.pem"}))
    assert.equal("2", res.http_version)
    assert.is_true(res.timing.tls > 0)
    assert.is_string(res:text())
    res = assert(http.get(tls("GOOD", "localhost"), {ca = dir .. "/good.pem", http2 = false}))
    assert.equal("1.1", res.http_version)
    assert.is_string(res:text())
  end)

  it("makes many requests on one connection of HTTP/2", function()
    local client <close> = http.client {ca = dir .. "/good.pem", base_url = tls "GOOD"}
    local before = server.descriptors()
    local tasks, most = {}, 0
    for i = 1, 100 do
      tasks[i] = function()
        local number = client:get(""):json().connection
        most = math.max(most, server.descriptors())
        return number
      end
    end
    local connections = {}
    for _, number in ipairs(async.gather(tasks)) do connections[number] = true end
    assert.is_nil(next(connections, (next(connections))))
    assert.is_true(most <= before + 4, "one socket, and what looks for it")
  end)

  it("cancels one stream, and goes on with the others", function()
    local client <close> = http.client {ca = dir .. "/good.pem", base_url = tls "GOOD"}
    assert.equal("2", client:get("files/text").http_version)
    collectgarbage()
    for _ = 1, 20 do
      local task = async.spawn(client.get, client, "files/text")
      local other = async.spawn(client.get, client, "files/text")
      async.yield()
      task:cancel()
      assert.equal(13000, #other:await():text())
      task:pawait()
    end
  end)

  it("takes gzip", function()
    local res = http.get("http://127.0.0.1:" .. ports.PLAIN .. "/text")
    assert.equal("gzip", res.headers["content-encoding"])
    assert.equal(("line of text\n"):rep(1000), res:text())
  end)

  it("asks for a range", function()
    local res = http.get("http://127.0.0.1:" .. ports.PLAIN .. "/text",
      {headers = {Range = "bytes=5-8", ["Accept-Encoding"] = "identity"}})
    assert.equal(206, res.status)
    assert.equal("of t", res:text())
  end)

  it("says what is wrong with a certificate of its own", function()
    local res, err = http.get(tls "GOOD", {verify = false, cert = {cert = "/no/such/file", key = "/none"}})
    assert.is_nil(res)
    assert.equal("tls", err.kind)
    res, err = http.get(tls "GOOD", {ca = "/no/such/file"})
    assert.is_nil(res)
    assert.equal("tls", err.kind)
  end)
end)
