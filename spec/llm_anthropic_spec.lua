local anthropic = require "muster.llm.anthropic"
local wire = require "muster.llm.wire"

local USER = {{role = "user", content = "hi"}}
local PARAMETERS = {type = "object", properties = {name = {type = "string"}}}

local function call(fields)
  local made = {model = "claude", messages = USER}
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function respond(body, status)
  return anthropic.response(status or 200, {}, type(body) == "table" and wire.encode(body) or body)
end

describe("llm.anthropic.request", function()
  it("always limits the answer", function()
    assert.same({model = "claude", messages = USER, max_tokens = 4096}, anthropic.request(call()))
    assert.equal(9, anthropic.request(call {max_tokens = 9}).max_tokens)
  end)

  it("has what the system says at the top, wherever it was said", function()
    local body = anthropic.request(call {system = "one", messages = {{role = "system", content = "two"}, USER[1]}})
    assert.equal("one\n\ntwo", body.system)
    assert.same(USER, body.messages)
  end)

  it("forces a tool", function()
    local body = anthropic.request(call {mode = "tools", tool = "a b", tools = {
      {name = "a b", description = "d", parameters = PARAMETERS, strict = true}}})
    assert.same({{name = "a_b", description = "d", input_schema = PARAMETERS}}, body.tools)
    assert.same({type = "tool", name = "a_b", disable_parallel_tool_use = true}, body.tool_choice)
  end)

  it("asks by schema", function()
    local body = anthropic.request(call {mode = "json_schema", response_schema = {name = "x", schema = PARAMETERS}})
    assert.same({format = {type = "json_schema", schema = PARAMETERS}}, body.output_config)
    assert.is_nil(anthropic.request(call {mode = "json"}).output_config)
  end)

  it("says again what tools were called, and what came of it", function()
    local said = {role = "assistant", content = "hm", tool_calls = {{id = "t", name = "f", arguments = '{"x":1}'}}}
    local body = anthropic.request(call {messages = {said, {role = "tool", tool_call_id = "t", content = "no"}}})
    assert.same({role = "assistant", content = {{type = "text", text = "hm"},
      {type = "tool_use", id = "t", name = "f", input = {x = 1}}}}, body.messages[1])
    assert.same({role = "user", content = {{type = "tool_result", tool_use_id = "t", content = "no"}}},
      body.messages[2])
  end)

  it("finds its path below any base", function()
    for _, base in ipairs {"http://x", "http://x/", "http://x/v1", "http://x/v1/"} do
      assert.equal("http://x/v1/messages", anthropic.url(base))
    end
  end)

  it("has the key in a header of its own", function()
    local headers = anthropic.headers "sk-1"
    assert.equal("sk-1", headers["x-api-key"])
    assert.equal("2023-06-01", headers["anthropic-version"])
  end)
end)

describe("llm.anthropic.response", function()
  it("joins texts and finds tools", function()
    local result = respond {id = "m1", model = "claude-x", stop_reason = "tool_use", content = {
      {type = "thinking", thinking = "hm"}, {type = "text", text = "a"}, {type = "text", text = "b"},
      {type = "tool_use", id = "t", name = "f", input = {x = 1}},
    }, usage = {input_tokens = 10, cache_read_input_tokens = 5, cache_creation_input_tokens = 2, output_tokens = 3}}
    assert.equal("ab", result.content)
    assert.same({{id = "t", name = "f", arguments = '{"x":1}'}}, result.tool_calls)
    assert.equal("tool_calls", result.finish_reason)
    assert.same({input = 17, output = 3, total = 20, cached = 5}, result.usage)
  end)

  it("knows why it stopped", function()
    for said, meant in pairs {end_turn = "stop", stop_sequence = "stop", max_tokens = "length",
                              model_context_window_exceeded = "length", x = "stop"} do
      assert.equal(meant, respond({content = {{type = "text", text = "x"}}, stop_reason = said}).finish_reason)
    end
  end)

  it("tells a refusal", function()
    assert.equal("no", respond({content = {{type = "text", text = "no"}}, stop_reason = "refusal"}).refusal)
    assert.is_string(respond('{"content":[],"stop_reason":"refusal"}').refusal)
  end)

  it("tells errors", function()
    local _, err = respond({type = "error", error = {type = "overloaded_error", message = "Overloaded"}}, 529)
    assert.equal("anthropic: Overloaded (529)", err.message)
    assert.is_true(err.retryable)
    _, err = respond {type = "error", error = {type = "rate_limit_error", message = "slow"}}
    assert.is_true(err.limited)
  end)

  it("takes nonsense for a fault that may pass", function()
    for _, body in ipairs {"", "[]", "{}", '{"content":"x"}', "null"} do
      local result, err = respond(body)
      assert.is_nil(result)
      assert.is_true(err.retryable, body)
    end
  end)
end)

describe("llm.anthropic.stream", function()
  local function run(events)
    local stream, deltas = anthropic.stream(), {}
    for _, body in ipairs(events) do
      local delta, err = stream:event {event = body.type, data = wire.encode(body)}
      deltas[#deltas + 1] = delta
      if err then return stream, deltas, err end
    end
    return stream, deltas
  end

  local START = {type = "message_start", message = {id = "m1", model = "claude-x",
                 usage = {input_tokens = 25, output_tokens = 1}}}
  local STOP = {type = "message_stop"}

  local function begins(index, block) return {type = "content_block_start", index = index, content_block = block} end
  local function grows(index, delta) return {type = "content_block_delta", index = index, delta = delta} end
  local function ends(index) return {type = "content_block_stop", index = index} end
  local function stops(reason, tokens)
    return {type = "message_delta", delta = {stop_reason = reason}, usage = {output_tokens = tokens}}
  end

  it("joins texts and tools; usage is cumulative", function()
    local stream, deltas = run {START, {type = "ping"}, begins(0, {type = "text", text = ""}),
      grows(0, {type = "text_delta", text = "He"}), grows(0, {type = "text_delta", text = "y"}), ends(0),
      begins(1, {type = "tool_use", id = "t", name = "f", input = {}}),
      grows(1, {type = "input_json_delta", partial_json = ""}),
      grows(1, {type = "input_json_delta", partial_json = '{"x":'}),
      grows(1, {type = "input_json_delta", partial_json = "1}"}), ends(1), stops("tool_use", 7), stops(nil, 15), STOP}
    local result = stream:finish()
    assert.equal("Hey", result.content)
    assert.same({{id = "t", name = "f", arguments = '{"x":1}'}}, result.tool_calls)
    assert.same({input = 25, output = 15, total = 40}, result.usage)
    assert.equal("tool_calls", result.finish_reason)
    assert.equal("claude-x", result.model)
    assert.same({content = "He"}, deltas[1])
    assert.same({calls = {{arguments = '{"x":', name = "f", index = 1}}}, deltas[4])
  end)

  it("takes an input that came as a whole, or none", function()
    local stream, deltas = run {START, begins(0, {type = "tool_use", id = "t", name = "f", input = {x = 1}}), ends(0),
      begins(1, {type = "tool_use", id = "u", name = "g", input = {}}), ends(1), stops("tool_use", 1), STOP}
    local calls = stream:finish().tool_calls
    assert.equal('{"x":1}', calls[1].arguments)
    assert.equal("{}", calls[2].arguments)
    assert.equal('{"x":1}', deltas[2].calls[1].arguments)
  end)

  it("tells what was thought apart, and events that nobody knows not at all", function()
    local _, deltas = run {START, begins(0, {type = "thinking", thinking = ""}),
      grows(0, {type = "thinking_delta", thinking = "hm"}), grows(0, {type = "signature_delta", signature = "x"}),
      {type = "unheard_of"}}
    assert.same({{reasoning = "hm"}}, deltas)
  end)

  it("tells errors that come in the stream", function()
    local _, _, err = run {START, {type = "error", error = {type = "overloaded_error", message = "Overloaded"}}}
    assert.equal(529, err.status)
    assert.is_true(err.retryable)
  end)

  it("knows a stream that was cut, and one that told its end without the last event", function()
    local result, err = run({START, begins(0, {type = "text", text = "x"})}):finish()
    assert.is_nil(result)
    assert.equal("reset", err.kind)
    assert.equal("x", run({START, begins(0, {type = "text", text = "x"}), stops("max_tokens", 3)}):finish().content)
  end)
end)
