-- lua/muster/http/server.lua over TLS.
local async = require "muster"
local client = require "spec.support.serving"
local http = require "muster.http"
local net = require "muster.net"
local process = require "muster.process"
local program = require "spec.support.program"
local server = require "muster.http.server"
local spec = require "spec.support.io"

local function make(name)
  local key, cert = os.tmpname(), os.tmpname()
  local _, problem, code = program.sh(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes " ..
    "-keyout %s -out %s -days 2 -subj /CN=%s -addext subjectAltName=IP:127.0.0.1"):format(key, cert, name))
  assert(code == 0, problem)
  return {key = key, cert = cert}
end

describe("http server: TLS", function()
  local files, others

  setup(function() files, others = make "one", make "two" end)

  teardown(function()
    for _, pair in ipairs {files, others} do
      os.remove(pair.key)
      os.remove(pair.cert)
    end
    program.remove_files()
  end)

  --- Makes the body of a spec: fn is called with a server and a client that trusts it.
  local function secure(opts, fn)
    return function()
      opts.key, opts.cert = files.key, files.cert
      client.serving(opts, function(s)
        local c <close> = http.client {ca = files.cert}
        fn(s, c)
      end)()
    end
  end

  it("refuses a key that is another's, and files that are none", spec.checked(function()
    local nonsense = program.file "nonsense"
    for _, opts in ipairs {{cert = files.cert, key = others.key}, {cert = files.cert, key = nonsense},
                           {cert = nonsense, key = files.key}, {cert = files.key, key = files.cert}} do
      opts.handler = print
      local s, err = server.serve(opts)
      assert.is_nil(s)
      assert.equal("tls", err.kind)
    end
  end))

  it("begins with TLS 1.2", secure({handler = function() return "ok" end}, function(s)
    for _, version in ipairs {"tls1", "tls1_1", "tls1_2", "tls1_3"} do
      local result = assert(process.run({"openssl", "s_client", "-connect", "127.0.0.1:" .. s.port, "-" .. version,
                                         "-cipher", "ALL:@SECLEVEL=0", "-quiet", "-no_ign_eof"},
                                        {input = "GET / HTTP/1.0\r\n\r\n", timeout = 20}))
      assert.equal(version:find "[23]$" ~= nil, result.ok, version)
    end
  end))

  it("a client that does not trust it goes no further", secure({handler = function() error "never" end}, function(s)
    local stranger <close> = http.client()
    local _, err = stranger:get(s.url)
    assert.equal("tls", err.kind)
  end))

  it("events arrive as they are sent", function()
    local seen = async.channel(1)
    secure({handler = function(_, res)
      for i = 1, 5 do
        res:event {id = tostring(i), data = {n = i}}
        seen:recv()
      end
    end}, function(s, c)
      local n = 0
      for event in assert(c:get(s.url)):events() do
        n = n + 1
        assert.equal(('{"n":%d}'):format(n), event.data)
        seen:send(true)
      end
      assert.equal(5, n)
    end)()
  end)

  it("large bodies go both ways", secure({handler = function(req) return (req:body()) end}, function(s, c)
    local text = ("0123456789"):rep(300000)
    assert.is_true(text == assert(c:post(s.url, {body = text})):text())
  end))

  it("a large answer in pieces comes whole", secure({handler = function(_, res)
    for _ = 1, 1000 do res:write(("x"):rep(5000)) end
  end}, function(s, c)
    assert.equal(5000000, #assert(c:get(s.url)):text())
  end))

  it("a client that goes away cancels its task", function()
    local ended = async.event()
    secure({handler = function(_, res)
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      res:event "begun"
      async.sleep(1000)
    end}, function(s, c)
      do
        local response <close> = assert(c:get(s.url))
        assert.equal("begun", response:events()().data)
      end
      ended:wait()
      client.until_quiet(s)
    end)()
  end)

  it("a handshake that waits for its client does not keep the loop busy", function()
    local script = program.file(([[
      local s <close> = require "muster.http".serve {handler = print, key = %q, cert = %q}
      local c <close> = require "muster.net".connect("127.0.0.1", s.port)
      c:write "\22\3\1\2\0\1\0" -- the beginning of a ClientHello
      require "muster".sleep(0.5)]]):format(files.key, files.cert))
    local _, errors, code = program.run {"--stats", script}
    assert.equal(0, code, errors)
    assert.is_true(tonumber(errors:match "(%d+) polls") < 100, errors)
  end)

  it("a handshake that never ends is cut off", secure({handler = print, header_timeout = 0.1}, function(s)
    local c <close> = client.sent(s, "\22\3\1\2\0\1\0")
    client.rest(c)
    local d <close> = assert(net.connect("127.0.0.1", s.port))
    assert.equal("", client.rest(d))
  end))

  it("what is no TLS gets no further", secure({handler = function() return "ok" end}, function(s, c)
    client.exchange(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.equal("ok", assert(c:get(s.url)):text())
  end))

  it("stops gracefully", function()
    local began, go = async.event(), async.event()
    secure({handler = function()
      began:set()
      go:wait()
      return "done"
    end}, function(s, c)
      local asking = async.spawn(function() return assert(c:get(s.url)):text() end)
      began:wait()
      local stopping = async.spawn(function() return s:stop(20) end)
      client.until_true(function() return stopping:status() == "waiting" end)
      go:set()
      assert.equal("done", asking:await())
      assert.is_true(stopping:await())
    end)()
  end)
end)
