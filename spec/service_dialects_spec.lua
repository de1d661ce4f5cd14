-- scripts/service/dialects: the APIs of Anthropic and Ollama, over real HTTP. That of OpenAI is in service_spec.lua.
local cjson = require "cjson"
local support = require "spec.support.service"

local serving, ask, post, null = support.serving, support.ask, support.post, cjson.null

local VERSION = {["anthropic-version"] = "2023-06-01"}

local function message(fields)
  local body = {model = "m", max_tokens = 500, messages = {{role = "user", content = support.sentence}}}
  for name, value in pairs(fields or {}) do body[name] = value ~= null and value or nil end
  return body
end

local function tool_message(fields)
  local body = message(fields)
  body.tools = {{name = "person", input_schema = support.person}}
  body.tool_choice = body.tool_choice or {type = "tool", name = "person"}
  return body
end

describe("Anthropic's messages", function()
  local function say(s, client, body, headers) return ask(s, client, body, headers or VERSION, "/v1/messages") end

  it("in words", serving(function(s, client)
    local body, status, headers = say(s, client, message {system = "Be brief."})
    assert.same({200, "message", "assistant", "end_turn", null, "text"}, {status, body.type, body.role,
      body.stop_reason, body.stop_sequence, body.content[1].type})
    assert.truthy(body.id:find "^msg_" and headers["request-id"]:find "^req_")
    assert.is_true(body.usage.input_tokens > 0 and body.usage.output_tokens > 0)
  end))

  it("a call of a tool has its input as an object", serving(function(s, client)
    for _, choice in ipairs {{type = "tool", name = "person"}, {type = "any"}, {type = "auto"}} do
      local body = say(s, client, tool_message {tool_choice = choice})
      assert.equal("tool_use", body.stop_reason)
      assert.same({"tool_use", "person", support.carla}, {body.content[1].type, body.content[1].name,
        body.content[1].input})
    end
    assert.equal("end_turn", say(s, client, tool_message {tool_choice = {type = "none"}}).stop_reason)
  end))

  it("structured output", serving(function(s, client)
    local format = {type = "json_schema", schema = support.person}
    for _, fields in ipairs {{output_config = {format = format}}, {output_format = format}} do
      assert.same(support.carla, cjson.decode(say(s, client, message(fields)).content[1].text))
    end
  end))

  it("max_tokens, refusal, and nothing", serving(function(s, client)
    assert.equal("max_tokens", say(s, client, message {max_tokens = 2}).stop_reason)
    s:script {"refusal", "empty"}
    assert.equal("refusal", say(s, client, message()).stop_reason)
    assert.same({}, say(s, client, message()).content)
  end))

  it("refuses with its own errors", serving({keys = {"k"}, models = {"m"}}, function(s, client)
    local function refused(status, kind, pattern, body, headers)
      local answer, got = say(s, client, body, headers or {["anthropic-version"] = "1", ["x-api-key"] = "k"})
      assert.same({status, "error", kind}, {got, answer.type, answer.error.type})
      assert.truthy(answer.error.message:find(pattern), answer.error.message)
      assert.truthy(answer.request_id:find "^req_")
    end
    local BAD = "invalid_request_error"
    refused(401, "authentication_error", "header is required", message(), VERSION)
    refused(401, "authentication_error", "invalid x%-api%-key", message(), {["x-api-key"] = "other"})
    refused(400, BAD, "anthropic%-version", message(), {["x-api-key"] = "k"})
    refused(400, BAD, "max_tokens: Field required", message {max_tokens = null})
    refused(400, BAD, "max_tokens", message {max_tokens = 0})
    refused(400, BAD, "model: Field required", message {model = null})
    refused(400, BAD, "messages: Field required", message {messages = null})
    refused(400, BAD, "at least one message", message {messages = {}})
    refused(400, BAD, 'role "system"', message {messages = {{role = "system", content = "x"}}})
    refused(400, BAD, "messages.0.role", message {messages = {{role = "tool", content = "x"}}})
    refused(400, BAD, "tools.0.input_schema", message {tools = {{name = "x"}}})
    refused(400, BAD, "Tool 'y' not found", tool_message {tool_choice = {type = "tool", name = "y"}})
    refused(400, BAD, "tool_choice.type", tool_message {tool_choice = {type = "x"}})
    refused(400, BAD, "JSON", "{")
    refused(404, "not_found_error", "model: other", message {model = "other"})
    s:script {"quota", 529, 500}
    refused(400, BAD, "credit balance", message())
    refused(529, "overloaded_error", "", message())
    refused(500, "api_error", "", message())
  end))

  it("limits", serving({limits = {rpm = 60, burst = 1, tpm = 100000}}, function(s, client)
    local _, status, headers = say(s, client, message())
    assert.same({200, "60", "0", "100000"}, {status, headers["anthropic-ratelimit-requests-limit"],
      headers["anthropic-ratelimit-requests-remaining"], headers["anthropic-ratelimit-input-tokens-limit"]})
    assert.truthy(headers["anthropic-ratelimit-tokens-reset"]:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    local body
    body, status, headers = say(s, client, message())
    assert.same({429, "rate_limit_error", "1", nil}, {status, body.error.type, headers["retry-after"],
      headers["retry-after-ms"]})
  end))

  local function stream_of(s, client, body)
    local response = assert(post(s, client, body, VERSION, "/v1/messages"))
    local events = support.events(response.body)
    for i, event in ipairs(events) do
      events[i] = cjson.decode(event.data)
      assert.equal(event.event, events[i].type)
    end
    return events
  end

  local function kinds(events)
    local list = {}
    for i, event in ipairs(events) do list[i] = event.type end
    return list
  end

  it("stream text", serving({stream = {bytes = 1000}}, function(s, client)
    local events = stream_of(s, client, message {stream = true})
    assert.same({"message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop",
      "message_delta", "message_stop"}, kinds(events))
    assert.same({{}, null, 1}, {events[1].message.content, events[1].message.stop_reason,
      events[1].message.usage.output_tokens})
    assert.same({type = "text", text = ""}, events[2].content_block)
    assert.equal("text_delta", events[4].delta.type)
    assert.equal("end_turn", events[6].delta.stop_reason)
    assert.equal((#events[4].delta.text + 3) // 4, events[6].usage.output_tokens)
  end))

  it("stream the input of a tool", serving(function(s, client)
    local events, text = stream_of(s, client, tool_message {stream = true}), {}
    assert.same({"tool_use", "person", {}}, {events[2].content_block.type, events[2].content_block.name,
      events[2].content_block.input})
    for _, event in ipairs(events) do
      if event.type == "content_block_delta" then text[#text + 1] = event.delta.partial_json end
    end
    assert.is_true(#text > 1)
    assert.same(support.carla, cjson.decode(table.concat(text)))
    assert.equal("tool_use", events[#events - 1].delta.stop_reason)
  end))

  it("stream nothing, and two tools", serving(function(s, client)
    s:script {"empty", "two_tools"}
    assert.same({"message_start", "message_delta", "message_stop"}, kinds(stream_of(s, client,
      message {stream = true})))
    local starts = {}
    for _, event in ipairs(stream_of(s, client, tool_message {stream = true})) do
      if event.type == "content_block_start" then starts[#starts + 1] = event.index end
    end
    assert.same({0, 1}, starts)
  end))
end)

describe("Ollama's chat", function()
  local function talk(s, client, fields)
    local body = {model = "m", stream = false, messages = {{role = "user", content = support.sentence}}}
    for name, value in pairs(fields) do body[name] = value end
    return ask(s, client, body, nil, "/api/chat")
  end

  it("by a schema, as JSON, in words", serving(function(s, client)
    local body, status = talk(s, client, {format = support.person})
    assert.same({200, true, "stop", support.carla}, {status, body.done, body.done_reason,
      cjson.decode(body.message.content)})
    assert.is_true(body.prompt_eval_count > 0 and body.eval_count > 0)
    assert.same(support.carla, cjson.decode(talk(s, client, {format = "json"}).message.content))
    assert.truthy(talk(s, client, {}).message.content:find "Carla")
  end))

  it("a call of a tool has its arguments as an object", serving(function(s, client)
    local tools = {{type = "function", ["function"] = {name = "person", parameters = support.person}}}
    local call = talk(s, client, {tools = tools}).message.tool_calls[1]["function"]
    assert.same({"person", support.carla}, {call.name, call.arguments})
    s:script {"invalid_json"}
    local message_ = talk(s, client, {tools = tools}).message
    assert.same({nil, "string"}, {message_.tool_calls, type(message_.content)})
  end))

  it("no more than num_predict", serving(function(s, client)
    assert.equal("length", talk(s, client, {format = support.person, options = {num_predict = 2}}).done_reason)
  end))

  it("streams lines, unless told not to", serving(function(s, client)
    local response = assert(post(s, client, {model = "m", format = support.person,
      messages = {{role = "user", content = support.sentence}}}, nil, "/api/chat"))
    assert.equal("application/x-ndjson", response.headers["content-type"])
    local text, last = {}, nil
    for line in response.body:gmatch "([^\n]*)\n" do
      assert.is_true(not last or not last.done)
      last = cjson.decode(line)
      text[#text + 1] = last.message.content
    end
    assert.same(support.carla, cjson.decode(table.concat(text)))
    assert.same({true, "stop"}, {last.done, last.done_reason})
  end))

  it("refuses with a text", serving({models = {"m"}}, function(s, client)
    for status, fields in pairs {[400] = {model = ""}, [404] = {model = "other"}} do
      local body, got = talk(s, client, fields)
      assert.same({status, "string"}, {got, type(body.error)})
    end
    assert.equal(400, (select(2, talk(s, client, {format = "xml"}))))
    assert.equal(400, (select(2, talk(s, client, {format = {properties = 1}}))))
    assert.equal(400, (select(2, talk(s, client, {messages = {1}}))))
    s:script {429}
    assert.equal("string", type(talk(s, client, {}).error))
  end))

  it("lists its models", serving({models = {"a"}}, function(s, client)
    assert.equal("a", assert(client:get(s.root .. "/api/tags")):json().models[1].name)
  end))
end)
