local async = require "muster"
local http = require "muster.http"
local process = require "muster.process"
local program = require "spec.support.program"
local server = require "spec.support.http_server"

--- A server that answers, then does this, and tells when the client has closed the connection.
local function answering_once(after)
  local gone = async.event()
  local s = server.start(function(c)
    c:request()
    c:respond "ok"
    if after then after(c) end
    while c:more() do end
    gone:set()
  end)
  return s, gone
end

--- Waits for the event; a client that never closes is a failure, not a hang.
local function within(seconds, event) async.timeout(seconds, event.wait, event) end

describe("a connection that nobody uses", function()
  it("is closed past `limits.idle`, in whichever client", function()
    local s, gone = answering_once()
    local other = server.answering(function() return "ok" end)
    finally(function()
      s:close()
      other:close()
    end)
    local client <close> = http.client {limits = {idle = 1}}
    local patient <close> = http.client {limits = {idle = 30}}
    assert.equal("ok", client:get(s.url):text())
    assert.equal("ok", patient:get(other.url):text())
    within(10, gone)
    assert.equal("ok", patient:get(other.url):text())
    assert.equal(1, other.connections)
  end)

  it("is closed soon after its server has closed it; others are not", function()
    local s, gone = answering_once(function(c) c.tcp:shutdown(function() end) end)
    local other <close> = server.answering(function() return "ok" end)
    finally(function() s:close() end)
    local client <close> = http.client()
    assert.equal("ok", client:get(other.url):text())
    assert.equal("ok", client:get(s.url):text())
    assert.is_false(gone:is_set())
    within(10, gone)
    assert.equal("ok", client:get(other.url):text())
    assert.equal(1, other.connections)
  end)

  it("does not keep the program", function()
    local s <close> = server.answering(function() return "ok" end)
    local code = ([[
      local http = require "muster.http"
      io.write(http.get(%q):text())
    ]]):format(s.url)
    local child = assert(process.run({program.path, "-e", code}, {timeout = 20}))
    assert.equal("ok", child.stdout)
  end)

  it("has a limit of seconds", function()
    for _, bad in ipairs {0, 0.5, -1, "1", true, 0 / 0} do
      assert.error_matches(function() http.client {limits = {idle = bad}} end,
        "http.client: option 'limits.idle' must be a number of seconds, at least 1")
    end
    for _, good in ipairs {1, 1.5, math.huge} do http.client {limits = {idle = good}}:close() end
  end)
end)
