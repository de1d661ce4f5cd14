local openai = require "muster.llm.openai"
local wire = require "muster.llm.wire"

--- The accumulator after chunks (tables, or texts as they are), the deltas it gave, and the error that ended it.
local function run(chunks)
  local stream, deltas = openai.stream(), {}
  for _, chunk in ipairs(chunks) do
    local delta, err = stream:event {event = "message", data = type(chunk) == "string" and chunk or wire.encode(chunk)}
    deltas[#deltas + 1] = delta
    if err then return stream, deltas, err end
  end
  return stream, deltas
end

local function chunk(delta, finish, usage)
  return {id = "c", model = "m", choices = {{index = 0, delta = delta, finish_reason = finish}}, usage = usage}
end

local function call_chunk(index, arguments, id, name)
  return chunk {tool_calls = {{index = index, id = id, type = "function", ["function"] = {name = name,
                                                                                         arguments = arguments}}}}
end

describe("llm.openai.stream", function()
  it("joins content", function()
    local stream, deltas = run {chunk {role = "assistant", content = ""}, chunk {content = "He"}, chunk {content = "y"},
      chunk({}, "stop"), {choices = {}, usage = {prompt_tokens = 1, completion_tokens = 2, total_tokens = 3}}, "[DONE]"}
    local result = stream:finish()
    assert.equal("Hey", result.content)
    assert.equal("stop", result.finish_reason)
    assert.same({input = 1, output = 2, total = 3}, result.usage)
    assert.same({{content = "He"}, {content = "y"}}, deltas)
    assert.is_true(stream.done)
  end)

  it("merges tool calls by index, named in the first or in each", function()
    local stream, deltas = run {call_chunk(0, "", "a", "f"), call_chunk(0, '{"x"'), call_chunk(1, "{", "b", "g"),
      call_chunk(0, ":1}", "a", "f"), call_chunk(1, "}", "", ""), chunk({}, "tool_calls"), "[DONE]"}
    local result = stream:finish()
    assert.same({{id = "a", name = "f", arguments = '{"x":1}'}, {id = "b", name = "g", arguments = "{}"}},
      result.tool_calls)
    assert.equal("tool_calls", result.finish_reason)
    assert.same({{arguments = '{"x"', name = "f", index = 1}}, deltas[2].calls)
    assert.same({{arguments = "{", name = "g", index = 2}}, deltas[3].calls)
  end)

  it("merges tool calls without an index", function()
    local stream = run {call_chunk(nil, '{"x"', "a", "f"), call_chunk(nil, ":1}"), call_chunk(nil, "{}", "b", "f"),
      chunk({}, "stop")}
    local result = stream:finish()
    assert.equal('{"x":1}', result.tool_calls[1].arguments)
    assert.equal("{}", result.tool_calls[2].arguments)
  end)

  it("takes arguments that are an object", function()
    local stream = run {call_chunk(0, {x = 1}, "a", "f"), chunk({}, "stop")}
    assert.equal('{"x":1}', stream:finish().tool_calls[1].arguments)
  end)

  it("needs no [DONE], no finish_reason, no usage: one of the first two is enough", function()
    assert.equal("x", run({chunk {content = "x"}, "[DONE]"}):finish().content)
    local result = run({chunk {content = "x"}, chunk({}, "length")}):finish()
    assert.equal("length", result.finish_reason)
    assert.is_nil(result.usage)
  end)

  it("knows a stream that was cut", function()
    for _, chunks in ipairs {{}, {chunk {content = "x"}}, {call_chunk(0, '{"x', "a", "f")}} do
      local result, err = run(chunks):finish()
      assert.is_nil(result)
      assert.equal("reset", err.kind)
      assert.is_true(err.retryable)
    end
  end)

  it("tells errors that come in the stream, in whatever shape", function()
    local errors = {
      {{error = {message = "overloaded", type = "server_error"}}, 500}, {{error = {code = 502, message = "x"}}, 502},
      {{error = "boom"}, 500}, {{choices = {{error = {code = 429, message = "x"}}}}, 429},
      {chunk({content = ""}, "error"), 500}, {{object = "error", message = "flat", code = 503}, 503},
    }
    for _, case in ipairs(errors) do
      local _, _, err = run {chunk {content = "x"}, case[1]}
      assert.equal("api", err.kind)
      assert.equal(case[2], err.status)
      assert.is_true(err.retryable)
    end
  end)

  it("tells an event of errors that is no JSON", function()
    local _, err = openai.stream():event {event = "error", data = "went away"}
    assert.equal("openai: went away (500)", err.message)
  end)

  it("takes what is no JSON for a fault", function()
    local _, _, err = run {'{"choices":[{"del'}
    assert.is_true(err.retryable)
  end)

  it("leaves other choices out", function()
    local stream = run {{choices = {{index = 1, delta = {content = "no"}}}}, chunk({content = "yes"}, "stop")}
    assert.equal("yes", stream:finish().content)
  end)

  it("keeps what was thought apart, and a refusal", function()
    local stream, deltas = run {chunk {reasoning_content = "hm"}, chunk {refusal = "I "},
      chunk({refusal = "won't"}, "stop")}
    assert.same({reasoning = "hm"}, deltas[1])
    local result = stream:finish()
    assert.equal("I won't", result.refusal)
    assert.is_nil(result.content)
  end)

  it("survives nulls", function()
    local stream = run {'{"choices":null,"usage":null}', '{"choices":[{"delta":{"content":null,"tool_calls":null}}]}',
      '{"choices":[{"delta":null,"finish_reason":"stop"}],"error":null}'}
    assert.equal("stop", stream:finish().finish_reason)
  end)
end)
