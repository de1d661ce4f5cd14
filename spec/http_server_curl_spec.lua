-- lua/muster/http/server.lua, asked by curl.
local async = require "muster"
local client = require "spec.support.serving"
local process = require "muster.process"
local program = require "spec.support.program"

local serving = client.serving
local here = os.execute "command -v curl >/dev/null"

--- Runs curl to its end: its output.
local function curl(...)
  local result = assert(process.run {"curl", "-sS", "--noproxy", "*", "--max-time", "20", ...})
  assert(result.status == 0, result.stderr)
  return result.stdout
end

local function echo(req) return req:body() end

local function told(req) return ("%s %s %s"):format(req.method, req.version, req.target) end

local specs = {
  ["uploads a file"] = serving(echo, function(s)
    local text = ("x"):rep(500000)
    assert.is_true(text == curl("--data-binary", "@" .. program.file(text), s.url))
  end),

  ["uploads in chunks, and waits for 100 Continue"] = serving(function(req)
    assert(req.headers["Transfer-Encoding"] == "chunked" and req.headers.Expect == "100-continue")
    return req:body()
  end, function(s)
    local text = ("y"):rep(3000000)
    assert.is_true(text == curl("-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "--data-binary",
                                "@" .. program.file(text), s.url))
  end),

  ["is told that its body is too large"] = serving({handler = echo, max_body = 1000}, function(s)
    local path = program.file(("z"):rep(3000000))
    assert.equal("413", curl("-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@" .. path, s.url))
  end),

  ["reads events as they come"] = serving(function(_, res)
    for i = 1, 3 do res:event {data = "event " .. i} end
  end, function(s)
    assert.equal("data: event 1\n\ndata: event 2\n\ndata: event 3\n\n", curl("-N", s.url))
  end),

  ["speaks HTTP/1.0"] = serving(told, function(s)
    assert.equal("GET HTTP/1.0 /", curl("--http1.0", s.url))
  end),

  ["keeps one connection for many requests"] = serving(function(req) return tostring(req.remote.port) .. " " end,
    function(s)
      local ports = {}
      for port in curl(s.url .. "/[1-20]"):gmatch "%d+" do ports[#ports + 1] = port end
      assert.equal(20, #ports)
      for _, port in ipairs(ports) do assert.equal(ports[1], port) end
    end),

  ["asks oddly"] = serving(told, function(s)
    assert.equal("OPTIONS HTTP/1.1 *", curl("-X", "OPTIONS", "--request-target", "*", s.url))
    assert.equal("GET HTTP/1.1 /../a//b/./c", curl("--path-as-is", s.url .. "/../a//b/./c"))
    assert.equal("GET HTTP/1.1 /?a=%00&b=%zz&&=", curl("-g", s.url .. "/?a=%00&b=%zz&&="))
    assert.equal("DELETE HTTP/1.1 /", curl("-X", "DELETE", "-d", "a body", s.url))
    assert.equal("GET HTTP/1.1 /", curl("-H", "Range: bytes=0-1", "-H", "X-Empty;", s.url))
    assert.truthy(curl("-I", s.url):find "^HTTP/1.1 200 OK\r\n")
  end),

  ["learns that an answer was cut"] = serving(function(_, res)
    res:write "begun"
    res:abort()
  end, function(s)
    local result = assert(process.run {"curl", "-sS", "--noproxy", "*", "--max-time", "20", s.url})
    assert.equal("begun", result.stdout)
    assert.is_true(result.status == 18 or result.status == 56, result.stderr)
  end),

  ["that is killed cancels its task"] = function()
    local began, ended = async.event(), async.event()
    serving(function()
      local _ <close> = setmetatable({}, {__close = function() ended:set() end})
      began:set()
      async.sleep(1000)
    end, function(s)
      local asking = async.spawn(process.run, {"curl", "-sS", "--noproxy", "*", s.url})
      began:wait()
      asking:cancel()
      asking:pawait()
      ended:wait()
      client.until_quiet(s)
    end)()
  end,
}

describe("http server: curl", function()
  after_each(program.remove_files)

  local titles = {}
  for title in pairs(specs) do titles[#titles + 1] = title end
  table.sort(titles)
  for _, title in ipairs(titles) do
    it(title, function()
      if not here then return pending "curl is not here" end
      specs[title]()
    end)
  end
end)
