local modes = require "muster.llm.modes"

local function job(endpoint)
  return {client = {adapter = {modes = {"tools", "json_schema", "json"}}}, endpoint = endpoint or {}}
end

describe("llm.modes", function()
  it("go down one by one, and are remembered", function()
    local endpoint = {}
    local ladder = modes.of(job(endpoint))
    assert.equal("tools", ladder:mode())
    assert.equal("json_schema", ladder:down())
    assert.equal("json_schema", endpoint.mode)
    assert.equal("json_schema", modes.of(job(endpoint)):mode())
    assert.equal("json", ladder:down())
    assert.is_nil(ladder:down())
    assert.equal("json", modes.of(job(endpoint)):mode())
  end)

  it("do not come back up because somebody is late", function()
    local endpoint = {}
    local early, late = modes.of(job(endpoint)), modes.of(job(endpoint))
    early:down()
    early:down()
    late:down()
    assert.equal("json", endpoint.mode)
  end)

  it("are one if the user has chosen it", function()
    local endpoint = {mode = "json"}
    local ladder = modes.of(job(endpoint), "tools")
    assert.equal("tools", ladder:mode())
    assert.is_nil(ladder:down())
    assert.equal("json", endpoint.mode)
  end)

  it("go down only for what a service cannot do", function()
    local ladder = modes.of(job())
    assert.is_nil(ladder:down_after {kind = "api", status = 500, message = "oops"})
    assert.is_nil(ladder:down_after {kind = "connect", message = "tools"})
    assert.equal("json_schema", ladder:down_after {kind = "api", status = 400, message = "no tools here"})
  end)
end)
