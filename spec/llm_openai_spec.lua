local openai = require "muster.llm.openai"
local wire = require "muster.llm.wire"

local USER = {{role = "user", content = "hi"}}
local PARAMETERS = {type = "object", properties = {name = {type = "string"}}}

local function call(fields)
  local made = {model = "gpt-4o-mini", messages = USER}
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function respond(body, status)
  return openai.response(status or 200, {}, type(body) == "table" and wire.encode(body) or body)
end

local function answer(message, finish)
  return {id = "c1", model = "m-2", choices = {{index = 0, message = message, finish_reason = finish or "stop"}},
          usage = {prompt_tokens = 5, completion_tokens = 2, total_tokens = 7}}
end

describe("llm.openai.request", function()
  it("is no more than what was asked for", function()
    assert.same({model = "gpt-4o-mini", messages = USER}, openai.request(call()))
  end)

  it("puts what the system says first", function()
    local body = openai.request(call {system = "be brief"})
    assert.same({{role = "system", content = "be brief"}, USER[1]}, body.messages)
  end)

  it("forces a tool, under a name that is allowed", function()
    local tool = {name = "A person", description = "who", parameters = PARAMETERS, strict = true}
    local body = openai.request(call {mode = "tools", tools = {tool}, tool = "A person"})
    assert.same({{type = "function", ["function"] = {name = "A_person", description = "who", parameters = PARAMETERS,
                                                     strict = true}}}, body.tools)
    assert.same({type = "function", ["function"] = {name = "A_person"}}, body.tool_choice)
  end)

  it("asks by schema, and for llama.cpp one level up too", function()
    local schema = {name = "Person", schema = PARAMETERS, strict = true}
    local body = openai.request(call {mode = "json_schema", response_schema = schema})
    assert.same({type = "json_schema", json_schema = {name = "Person", schema = PARAMETERS, strict = true}},
      body.response_format)
    body = openai.request(call {mode = "json_schema", response_schema = schema, quirks = {schema_above = true}})
    assert.same(PARAMETERS, body.response_format.schema)
    assert.same(PARAMETERS, body.response_format.json_schema.schema)
  end)

  it("asks for any JSON", function()
    assert.same({type = "json_object"}, openai.request(call {mode = "json"}).response_format)
    assert.is_nil(openai.request(call {mode = "json", quirks = {no_json_object = true}}).response_format)
  end)

  it("limits the answer by the name that the model knows", function()
    for _, model in ipairs {"o1", "o3-mini", "gpt-5", "gpt-5.1-mini", "openai/gpt-5-nano", "chatgpt-x"} do
      assert.equal(9, openai.request(call {model = model, max_tokens = 9}).max_completion_tokens)
      assert.is_nil(openai.request(call {model = model, max_tokens = 9}).max_tokens)
    end
    for _, model in ipairs {"gpt-4o", "gpt-oss:20b", "olmo", "llama3", "gpt-4.1"} do
      assert.equal(9, openai.request(call {model = model, max_tokens = 9}).max_tokens)
    end
  end)

  it("wants usage of a stream", function()
    local body = openai.request(call {stream = true})
    assert.is_true(body.stream)
    assert.same({include_usage = true}, body.stream_options)
    assert.is_nil(openai.request(call {stream = true, quirks = {no_stream_options = true}}).stream_options)
  end)

  it("says again what tools were called", function()
    local said = {role = "assistant", content = "", tool_calls = {{id = "t", name = "f", arguments = "{}"}}}
    local body = openai.request(call {messages = {said, {role = "tool", tool_call_id = "t", content = "no"}}})
    assert.same({id = "t", type = "function", ["function"] = {name = "f", arguments = "{}"}},
      body.messages[1].tool_calls[1])
    assert.equal("f", said.tool_calls[1].name)
  end)

  it("takes what else there is, which wins", function()
    local body = openai.request(call {temperature = 0, extra = {seed = 1, temperature = 1}})
    assert.equal(1, body.seed)
    assert.equal(1, body.temperature)
  end)

  it("has the key in a header, and nowhere without one", function()
    assert.equal("Bearer sk-1", openai.headers("sk-1").Authorization)
    assert.is_nil(openai.headers(nil).Authorization)
  end)
end)

describe("llm.openai.adapt", function()
  local function adapt(text, quirks, fields, param)
    local _, err = respond({error = {message = text, param = param}}, 400)
    local made = call(fields)
    made.quirks = {}
    for name, value in pairs(quirks) do made.quirks[name] = value end
    return openai.adapt(err, made, quirks)
  end

  it("learns each quirk once", function()
    local cases = {
      {"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", {max_completion_tokens = true}},
      {"Unrecognized request argument: max_completion_tokens", {max_completion_tokens = false}},
      {"Unknown field stream_options", {no_stream_options = true}},
      {"unknown key 'strict'", {no_strict = true}},
      {"Invalid tool_choice type: 'object'", {tool_required = true}, {tool = "x"}},
      {"does not support 0", {no_temperature = true}, nil, "temperature"},
      {"'response_format.type' must be 'json_schema' or 'text'", {no_json_object = true}, {mode = "json"}},
    }
    for _, case in ipairs(cases) do
      local quirks = {}
      assert.is_true(adapt(case[1], quirks, case[3], case[4]), case[1])
      assert.same(case[2], quirks)
      assert.is_false(adapt(case[1], quirks, case[3], case[4]), case[1])
    end
  end)

  it("asks again after what another call has learned meanwhile", function()
    local quirks = {no_strict = true}
    local _, err = respond({error = {message = "unknown key 'strict'"}}, 400)
    assert.is_true(openai.adapt(err, call(), quirks))
    assert.same({no_strict = true}, quirks)
  end)

  it("learns nothing from other errors", function()
    local quirks = {}
    assert.is_false(adapt("the prompt is too long", quirks))
    assert.is_false(adapt("response_format?", quirks, {mode = "json_schema"}))
    assert.same({}, quirks)
  end)
end)

describe("llm.openai.response", function()
  it("is the first choice", function()
    local result = respond(answer({role = "assistant", content = "yes"}))
    assert.equal("yes", result.content)
    assert.equal("stop", result.finish_reason)
    assert.same({input = 5, output = 2, total = 7}, result.usage)
    assert.equal("m-2", result.model)
    assert.equal("c1", result.id)
    assert.same({}, result.tool_calls)
  end)

  it("reads content that is null, or a list of parts", function()
    assert.is_nil(respond(answer {content = wire.null}).content)
    assert.equal("ab", respond(answer {content = {{type = "text", text = "a"}, {type = "text", text = "b"}}}).content)
  end)

  it("reads tool calls, with arguments that are a text or an object already", function()
    local result = respond(answer({content = wire.null, tool_calls = {
      {id = "a", type = "function", ["function"] = {name = "f", arguments = '{"x":1}'}},
      {["function"] = {name = "g", arguments = {y = 2}}},
    }}, "tool_calls"))
    assert.equal("tool_calls", result.finish_reason)
    assert.same({id = "a", name = "f", arguments = '{"x":1}'}, result.tool_calls[1])
    assert.same({name = "g", arguments = '{"y":2}'}, result.tool_calls[2])
  end)

  it("reads the function call of old", function()
    local result = respond(answer({function_call = {name = "f", arguments = "{}"}}, "function_call"))
    assert.same({{name = "f", arguments = "{}"}}, result.tool_calls)
    assert.equal("tool_calls", result.finish_reason)
  end)

  it("survives null and odd values anywhere", function()
    local result = respond [[{"usage":null,"choices":[
      {"message":{"content":"x","tool_calls":null,"refusal":null},"finish_reason":null}]}]]
    assert.equal("x", result.content)
    assert.equal("stop", result.finish_reason)
    assert.is_nil(result.usage)
    assert.is_nil(result.refusal)
    assert.equal("x", respond('{"choices":[{"text":"x"}]}').content)
    assert.is_nil(respond('{"choices":[{"message":"x"}]}').content)
    assert.same({}, respond('{"choices":[{"message":{"tool_calls":["x",7]}}]}').tool_calls)
  end)

  it("knows the finish reasons of others", function()
    local cases = {length = "length", max_tokens = "length", MAX_TOKENS = "length", content_filter = "content_filter",
                   SAFETY = "content_filter", eos = "stop", end_turn = "stop", [""] = "stop", unheard_of = "stop"}
    for said, meant in pairs(cases) do
      assert.equal(meant, respond(answer({content = "x"}, said)).finish_reason, said)
    end
  end)

  it("tells a refusal", function()
    assert.equal("I will not", respond(answer {content = wire.null, refusal = "I will not"}).refusal)
    assert.is_nil(respond(answer {content = "x", refusal = ""}).refusal)
  end)

  it("counts what was cached", function()
    local body = answer {content = "x"}
    body.usage.prompt_tokens_details = {cached_tokens = 4}
    assert.equal(4, respond(body).usage.cached)
  end)

  it("sees an error in a 200", function()
    local _, err = respond {error = {code = 429, message = "slow"}}
    assert.equal(429, err.status)
    assert.is_true(err.limited)
    _, err = respond {error = "gone"}
    assert.equal("openai: gone (500)", err.message)
    _, err = respond {choices = {{error = {code = 502, message = "upstream"}, finish_reason = "error"}}}
    assert.equal(502, err.status)
    _, err = respond(answer({content = "x"}, "insufficient_system_resource"))
    assert.is_true(err.retryable)
  end)

  it("takes nonsense for a fault that may pass", function()
    local bodies = {"", "<html>", "[]", "null", '"x"', '{"choices":[]}', '{"choices":null}', '{"choices":[7]}'}
    for _, body in ipairs(bodies) do
      local result, err = respond(body)
      assert.is_nil(result)
      assert.equal("api", err.kind)
      assert.is_true(err.retryable, body)
    end
  end)
end)
