-- scripts/service/main.lua: the service as a program.
local cjson = require "cjson"
local http = require "muster.http"
local process = require "muster.process"
local program = require "spec.support.program"
local spec = require "spec.support.io"
local support = require "spec.support.service"

local MAIN = "scripts/service/main.lua"

local function refused(pattern, ...)
  local output, errors, code = program.run {MAIN, ...}
  assert.same({"", 2}, {output, code})
  assert.truthy(errors:find(pattern), errors)
end

describe("service/main.lua", function()
  after_each(program.remove_files)

  it("refuses what it does not know", function()
    refused("main.lua: %-%-prot: unknown option", "--prot", "1")
    refused("main.lua: x: expected no argument", "x")
    refused("main.lua: %-%-port: expected a port from 0 to 65535, got '65536'", "--port", "65536")
    refused("%-%-rpm: expected a whole number from 1, got '0'", "--rpm", "0")
    refused("%-%-fault%-rate: expected a number from 0 to 1, got '2'", "--fault-rate", "2")
    refused("%-%-faults: expected kinds of faults", "--faults", "500,rest")
    refused("%-%-keys: expected words", "--keys", ",")
    for _, latency in ipairs {"x", "2-1", "0~1", "-1", "1e999", "1-", ""} do
      refused("%-%-latency: expected seconds", "--latency=" .. latency)
    end
  end)

  it("explains itself", function()
    local output, errors, code = program.run {MAIN, "--help"}
    assert.same({"", 0}, {errors, code})
    assert.truthy(output:find "^usage: main.lua" and output:find("truncated", 1, true))
    for line in output:gmatch "[^\n]+" do assert(#line <= 80 and not line:find " $", line) end
  end)

  it("says why it cannot start", support.serving(function(s)
    local _, errors, code = program.run {MAIN, "--port", s.port}
    assert.equal(1, code)
    assert.truthy(errors:find "^main.lua: serve on 127.0.0.1:%d+: address is in use")
  end))

  it("serves until it is told to stop, and says what it has done", spec.checked(function()
    local child <close> = assert(process.spawn({program.path, "--slow", "0", MAIN, "--port", "0", "--latency",
      "0.001-0.002", "--keys", "a,b", "--rpm", "600"}, {stdout = "pipe"}))
    local url = child.stdout:read_until("\n"):match "^listening on (http://127.0.0.1:%d+/v1)"
    local client <close> = http.client {}
    local response = assert(client:post(url .. "/chat/completions", {json = support.schema_chat(), auth = "b"}))
    assert.equal("600", response.headers["x-ratelimit-limit-requests"])
    assert.same(support.carla, cjson.decode(response:json().choices[1].message.content))
    client:close()
    child:terminate()
    local last = child.stdout:read_all()
    assert.truthy(last:find "^1 requests, at most 1 at once; 200: 1; %d+ tokens in, %d+ out\n$", last)
    assert.equal(0, child:wait().status)
  end))
end)
