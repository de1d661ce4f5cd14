-- scripts/service: OpenAI's chats over real HTTP, options, scripts, counts, its end.
local async = require "muster"
local cjson = require "cjson"
local http = require "muster.http"
local process = require "muster.process"
local spec = require "spec.support.io"
local support = require "spec.support.service"
local service = require "service"

local serving, ask, post, null = support.serving, support.ask, support.post, cjson.null
local chat, schema_chat, tool_chat = support.chat, support.schema_chat, support.tool_chat

describe("service: options", function()
  it("are checked, all of them", function()
    spec.raises("unknown option 'prot'", service.start, {prot = 1})
    spec.raises("options must be a table, got number", service.start, 8080)
    spec.raises("unknown option 'limits.rps'", service.start, {limits = {rps = 1}})
    spec.raises("'limits.rpm' must be a number above 0, got 0", service.start, {limits = {rpm = 0}})
    spec.raises("'faults.rate' must be a number from 0 to 1", service.start, {faults = {rate = 2}})
    spec.raises("'faults.kinds' must be of .*, got 'rest'", service.start, {faults = {kinds = {"rest"}}})
    spec.raises("'faults.kinds' must be a list of kinds, got none", service.start, {faults = {kinds = {}}})
    spec.raises("'latency' must be a number of seconds, {min=", service.start, {latency = {min = 2, max = 1}})
    spec.raises("'latency'", service.start, {latency = {median = 0, p99 = 1}})
    spec.raises("'latency'", service.start, {latency = -1})
    spec.raises("'extractors%[1%]' must be", service.start, {extractors = {{matches = print}}})
    spec.raises("'stream.bytes' must be", service.start, {stream = {bytes = 0}})
    spec.raises("'headers' must be", service.start, {headers = true})
  end)

  it("a port in use is an error as a value", serving(function(s)
    spec.failed("in_use", "EADDRINUSE", service.start {port = s.port})
  end))
end)

describe("service: refuses", function()
  local function refused(status, fields, ...)
    local body, got = ask(...)
    assert.equal(status, got)
    assert.is_string(body.error.message)
    for _, name in ipairs {"type", "param", "code"} do assert.equal(fields[name] or null, body.error[name], name) end
    return body.error.message
  end

  local INVALID = "invalid_request_error"

  it("what is no chat, with 400 and what is wrong", serving(function(s, client)
    for _, text in ipairs {"", "{", "nonsense", "[", '"text"', "12", "null"} do
      refused(400, {type = INVALID}, s, client, text)
    end
    assert.equal("you must provide a model parameter", refused(400, {type = INVALID}, s, client, "{}"))
    refused(400, {type = INVALID, param = "messages", code = "missing_required_parameter"}, s, client, {model = "m"})
    refused(400, {type = INVALID, param = "messages", code = "empty_array"}, s, client, {model = "m", messages = {}})
    refused(400, {type = INVALID, param = "messages", code = "invalid_type"}, s, client, {model = "m", messages = "x"})
    refused(400, {type = INVALID, param = "messages[0]", code = "invalid_type"}, s, client, chat {messages = {"x"}})
    refused(400, {type = INVALID, param = "max_tokens", code = "invalid_value"}, s, client, chat {max_tokens = 0})
  end))

  it("tools and formats that are wrong", serving(function(s, client)
    local function tool(fn, choice)
      return chat {tools = {{type = "function", ["function"] = fn}}, tool_choice = choice}
    end
    refused(400, {type = INVALID, param = "tools[0].function.name", code = "missing_required_parameter"}, s, client,
      tool {})
    refused(400, {type = INVALID, param = "tools[0].function.name", code = "invalid_value"}, s, client,
      tool {name = "a b"})
    refused(400, {type = INVALID, param = "tools[0].function.name", code = "invalid_value"}, s, client,
      tool {name = ("x"):rep(65)})
    refused(400, {type = INVALID, param = "tool_choice"}, s, client,
      tool({name = "a"}, {type = "function", ["function"] = {name = "b"}}))
    refused(400, {type = INVALID, param = "response_format.json_schema", code = "missing_required_parameter"}, s,
      client, chat {response_format = {type = "json_schema"}})
    refused(400, {type = INVALID, param = "response_format.type", code = "invalid_value"}, s, client,
      chat {response_format = {type = "xml"}})
    assert.truthy(refused(400, {type = INVALID, param = "messages"}, s, client,
      chat {response_format = {type = "json_object"}}):find("must contain the word 'json'", 1, true))
  end))

  it("schemas that are none", serving(function(s, client)
    for _, schema in ipairs {
      {properties = 5}, {type = 5}, {required = "name"}, {type = {}}, {enum = "x"}, {items = 7}, {["$ref"] = 1},
      {properties = {a = "x"}}, {anyOf = {1}}, {required = {1}},
    } do
      refused(400, {type = INVALID}, s, client, schema_chat(nil, schema))
    end
  end))

  it("schemas that are not strict, when strict is asked for", serving(function(s, client)
    local function strict(schema)
      local body = schema_chat(nil, schema)
      body.response_format.json_schema.strict = true
      return body
    end
    local fields = {type = INVALID, param = "response_format", code = "invalid_json_schema"}
    local object = {type = "object", properties = {a = {type = "string"}}, required = {"a"}}
    assert.truthy(refused(400, fields, s, client, strict(object)):find "'additionalProperties' is required")
    object.additionalProperties = false
    assert.equal(200, (select(2, ask(s, client, strict(object)))))
    object.required = nil
    assert.truthy(refused(400, fields, s, client, strict(object)):find "Missing 'a'")
    refused(400, fields, s, client, strict {type = "array", items = {type = "string"}})
  end))

  it("other paths and methods", serving(function(s, client)
    local body, status = ask(s, client, chat(), nil, "/v1/chat")
    assert.same({404, "Invalid URL (POST /v1/chat)"}, {status, body.error.message})
    local response = assert(client:get(s.url .. "/chat/completions"))
    assert.same({405, "POST"}, {response.status, response.headers.allow})
    assert.equal("method_not_supported", response:json().error.code)
  end))

  it("keys that it does not know, and never says them", serving({keys = {"sk-good"}}, function(s, client)
    assert.truthy(refused(401, {type = INVALID}, s, client, chat()):find "didn't provide an API key")
    local bad = {authorization = "Bearer sk-bad"}
    assert.is_nil(refused(401, {type = INVALID, code = "invalid_api_key"}, s, client, chat(), bad):find "sk%-bad")
    assert.equal(200, (select(2, ask(s, client, chat(), {authorization = "Bearer sk-good"}))))
    assert.equal(401, assert(client:get(s.url .. "/models")).status)
    assert.equal(200, assert(client:get(s.root .. "/health")).status)
  end))

  it("models that it does not have", serving({models = {"a", "b"}}, function(s, client)
    refused(404, {type = INVALID, code = "model_not_found"}, s, client, chat())
    assert.equal(200, (select(2, ask(s, client, chat {model = "b"}))))
    local list = assert(client:get(s.url .. "/models")):json()
    assert.same({"list", "a", "b", "model"}, {list.object, list.data[1].id, list.data[2].id, list.data[1].object})
  end))

  it("more than it was paid for", serving({quota = 10}, function(s, client)
    assert.equal(200, (select(2, ask(s, client, chat()))))
    refused(429, {type = "insufficient_quota", code = "insufficient_quota"}, s, client, chat())
  end))
end)

describe("service: answers", function()
  it("in words", serving(function(s, client)
    local body, status, headers = ask(s, client, chat())
    assert.equal(200, status)
    assert.equal("chat.completion", body.object)
    assert.truthy(body.id:find "^chatcmpl%-" and headers["x-request-id"]:find "^req_")
    assert.truthy(tonumber(headers["openai-processing-ms"]))
    assert.equal("application/json", headers["content-type"])
    local choice = body.choices[1]
    assert.same({0, "stop", "assistant", null, null}, {choice.index, choice.finish_reason, choice.message.role,
      choice.message.refusal, choice.message.tool_calls or null})
    assert.truthy(choice.message.content:find "Carla Reyes")
  end))

  it("by a JSON schema, and counts tokens by the bytes", serving(function(s, client)
    local request = cjson.encode(schema_chat())
    local body = ask(s, client, request)
    local content = body.choices[1].message.content
    assert.same(support.carla, cjson.decode(content))
    local usage = body.usage
    assert.same({(#request + 3) // 4, (#content + 3) // 4}, {usage.prompt_tokens, usage.completion_tokens})
    assert.equal(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)
  end))

  it("as JSON of no schema", serving(function(s, client)
    local body = ask(s, client, chat {response_format = {type = "json_object"}, messages = {
      {role = "system", content = "Answer in JSON."}, {role = "user", content = support.sentence}}})
    assert.same(support.carla, cjson.decode(body.choices[1].message.content))
  end))

  it("by a call of a tool", serving(function(s, client)
    for _, choice in ipairs {"required", "auto", {type = "function", ["function"] = {name = "person"}}} do
      local answer = ask(s, client, tool_chat(nil, choice)).choices[1]
      assert.same({"tool_calls", null}, {answer.finish_reason, answer.message.content})
      local call = answer.message.tool_calls[1]
      assert.same({"function", "person"}, {call.type, call["function"].name})
      assert.truthy(call.id:find "^call_")
      assert.same(support.carla, cjson.decode(call["function"].arguments))
    end
  end))

  it("in words when it may, and has nothing for the tool", serving(function(s, client)
    local messages = {{role = "user", content = "The ferry leaves at nine and at noon."}}
    local answer = ask(s, client, tool_chat({messages = messages}, "auto")).choices[1]
    assert.same({"stop", "string"}, {answer.finish_reason, type(answer.message.content)})
    answer = ask(s, client, tool_chat {messages = messages}).choices[1]
    assert.same({name = "", age = 0, job = null}, cjson.decode(answer.message.tool_calls[1]["function"].arguments))
    assert.equal("stop", ask(s, client, tool_chat(nil, "none")).choices[1].finish_reason)
  end))

  it("the last text in which there is something: a request to do better has none", serving(function(s, client)
    local body = ask(s, client, schema_chat {messages = {
      {role = "user", content = support.sentence}, {role = "assistant", content = "{}"},
      {role = "user", content = "That does not fit: name is required."}}})
    assert.same(support.carla, cjson.decode(body.choices[1].message.content))
  end))

  it("content in parts", serving(function(s, client)
    local body = ask(s, client, schema_chat {messages = {{role = "user", content = {
      {type = "text", text = support.sentence}, {type = "image_url", image_url = {url = "data:"}}}}}})
    assert.same(support.carla, cjson.decode(body.choices[1].message.content))
  end))

  it("no more than the tokens that are allowed", serving(function(s, client)
    local choice = ask(s, client, schema_chat {max_completion_tokens = 3}).choices[1]
    assert.same({"length", '{"age":29,"j'}, {choice.finish_reason, choice.message.content})
  end))

  it("curl", serving(function(s)
    local result = assert(process.run({"curl", "-sS", "-d", cjson.encode(schema_chat()), s.url .. "/chat/completions"}))
    local body = cjson.decode(result.stdout)
    assert.same(support.carla, cjson.decode(body.choices[1].message.content))
  end))

  it("the same again for the same seed", function()
    local function texts(seed)
      local list = {}
      serving({seed = seed, faults = {rate = 0.5}}, function(s, client)
        for i = 1, 30 do
          local response = post(s, client, schema_chat())
          list[i] = response and response.body:gsub('"created":%d+', "") or "cut"
        end
      end)()
      return list
    end
    local first = texts(3)
    assert.same(first, texts(3))
    assert.not_same(first, texts(4))
  end)
end)

describe("service: streams", function()
  local function pieces_of(s, client, request)
    local response = assert(post(s, client, request))
    assert.equal("text/event-stream", response.headers["content-type"])
    local events = support.events(response.body)
    assert.equal("[DONE]", table.remove(events).data)
    for i, event in ipairs(events) do
      events[i] = cjson.decode(event.data)
      assert.same({"chat.completion.chunk", events[1].id}, {events[i].object, events[i].id})
    end
    return events
  end

  it("content", serving(function(s, client)
    local chunks = pieces_of(s, client, schema_chat {stream = true})
    assert.same({role = "assistant", content = "", refusal = null}, chunks[1].choices[1].delta)
    local text = {}
    for i = 2, #chunks - 1 do
      text[#text + 1] = chunks[i].choices[1].delta.content
      assert.equal(null, chunks[i].choices[1].finish_reason)
    end
    assert.is_true(#text > 1)
    assert.same(support.carla, cjson.decode(table.concat(text)))
    local last = chunks[#chunks]
    assert.same({nil, "stop", nil}, {next(last.choices[1].delta), last.choices[1].finish_reason, last.usage})
  end))

  it("a call of a tool, and usage at the end if wanted", serving({stream = {bytes = 5}}, function(s, client)
    local chunks = pieces_of(s, client, tool_chat {stream = true, stream_options = {include_usage = true}})
    local first = chunks[1].choices[1].delta
    assert.same({"assistant", null, 0, "person", ""}, {first.role, first.content, first.tool_calls[1].index,
      first.tool_calls[1]["function"].name, first.tool_calls[1]["function"].arguments})
    local text = {}
    for i = 2, #chunks - 2 do
      local call = chunks[i].choices[1].delta.tool_calls[1]
      assert.same({0, nil}, {call.index, call.id})
      assert.equal(null, chunks[i].usage)
      text[#text + 1] = call["function"].arguments
    end
    assert.same(support.carla, cjson.decode(table.concat(text)))
    assert.equal("tool_calls", chunks[#chunks - 1].choices[1].finish_reason)
    local last = chunks[#chunks]
    assert.same({}, last.choices)
    assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + last.usage.completion_tokens)
  end))

  it("never half a character, but packets that end anywhere", serving({stream = {bytes = 3, split = 5}},
    function(s, client)
      local text = ("äöü€𝄞"):rep(20)
      s:script {{content = text}}
      local parts = {}
      for _, chunk in ipairs(pieces_of(s, client, chat {stream = true})) do
        local content = chunk.choices[1].delta.content
        assert.truthy(not content or utf8.len(content))
        parts[#parts + 1] = content
      end
      assert.equal(text, table.concat(parts))
    end))

  it("end when the client goes away", serving({stream = {delay = 0.01, bytes = 1}}, function(s, client)
    s:script {{content = ("x"):rep(100000)}}
    local response = assert(client:post(s.url .. "/chat/completions", {json = chat {stream = true}}))
    assert(response:read())
    response:close()
    client:close()
    support.until_true(function() return s:stats().in_flight == 0 end)
    assert.same({gone = 1}, s:stats().by_status)
  end))

  it("break off when the service stops", serving({stream = {delay = 0.01, bytes = 1}}, function(s, client)
    s:script {{content = ("x"):rep(100000)}}
    local response = assert(client:post(s.url .. "/chat/completions", {json = chat {stream = true}}))
    assert(response:read())
    s:stop()
    local text, err = response:text()
    assert.is_nil(text)
    assert.is_true(err.retryable)
    assert.is_nil((client:get(s.root .. "/health")))
  end))
end)

describe("service: stop", function()
  it("waits for answers if it is given time, but not for stalled ones", serving({latency = 0.05}, function(s, client)
    s:script {"ok", "silent"}
    local good = async.spawn(ask, s, client, chat())
    support.until_true(function() return s:stats().requests == 1 end)
    local silent = async.spawn(post, s, client, chat())
    support.until_true(function() return s:stats().requests == 2 end)
    s:stop(30)
    assert.equal("chat.completion", good:await().object)
    assert.is_nil((silent:await()))
  end))

  it("is fine before, during and after anything, and again", serving({latency = 1000}, function(s, client)
    local waiting = async.spawn(post, s, client, chat())
    support.until_true(function() return s:stats().in_flight == 1 end)
    s:stop()
    s:stop()
    local response, err = waiting:await()
    assert.is_nil(response)
    assert.is_true(err.retryable)
  end))
end)

describe("service: script", function()
  it("says what comes next, and then all is as before", serving(function(s, client)
    s:script {{status = 429, retry_after = 2}, "truncated", "ok"}
    assert.equal(3, s:left())
    local body, status, headers = ask(s, client, chat())
    assert.same({429, "2", "rate_limit_exceeded"}, {status, headers["retry-after"], body.error.code})
    assert.is_nil((post(s, client, chat())))
    for _ = 1, 2 do assert.equal(200, (select(2, ask(s, client, chat())))) end
    assert.equal(0, s:left())
  end))

  it("answers what it is told to", serving(function(s, client)
    s:script {{value = {a = 1, b = service.null, c = service.array {}}}, {arguments = "{not json"}, {refusal = "No."},
              {calls = {{name = "one", value = {x = 1}}, {name = "two", arguments = "[]"}}},
              {content = "text", finish = "content_filter", usage = {input = 1000, output = 7}},
              {status = 418, body = "teapot", content_type = "text/plain", headers = {["x-a"] = "b"}}}
    assert.equal('{"a":1,"b":null,"c":[]}', ask(s, client, schema_chat()).choices[1].message.content)
    local message = ask(s, client, tool_chat()).choices[1].message
    assert.equal("{not json", message.tool_calls[1]["function"].arguments)
    message = ask(s, client, chat()).choices[1].message
    assert.same({null, "No."}, {message.content, message.refusal})
    message = ask(s, client, tool_chat()).choices[1].message
    assert.same({"one", "two", "[]"}, {message.tool_calls[1]["function"].name, message.tool_calls[2]["function"].name,
      message.tool_calls[2]["function"].arguments})
    local body = ask(s, client, chat())
    assert.same({"content_filter", 1000, 7}, {body.choices[1].finish_reason, body.usage.prompt_tokens,
      body.usage.completion_tokens})
    local response = assert(post(s, client, chat()))
    assert.same({418, "teapot", "text/plain", "b"}, {response.status, response.body, response.headers["content-type"],
      response.headers["x-a"]})
  end))

  it("is checked", serving(function(s)
    spec.raises("script: expected a list", s.script, s, "ok")
    spec.raises("script: unknown fault 'okay'", s.script, s, {"okay"})
    spec.raises("script: unknown field 'retry'", s.script, s, {{retry = 1}})
    spec.raises("script: 'status' must be from 200 to 599, got 99", s.script, s, {99})
    spec.raises("script: 'latency' must be a number, got x", s.script, s, {{latency = "x"}})
    spec.raises("script: expected \"ok\"", s.script, s, {true})
    assert.equal(0, s:left())
  end))
end)

describe("service: counts", function()
  it("what has happened", serving({latency = 0.02, log = 2}, function(s, client)
    s:script {"ok", "ok", "ok", 503, "truncated"}
    local tasks = {}
    for i = 1, 3 do tasks[i] = async.spawn(ask, s, client, chat()) end
    async.gather(tasks)
    ask(s, client, chat())
    post(s, client, chat())
    local stats = s:stats()
    assert.same({5, 0, {[200] = 3, [503] = 1, truncated = 1}, {truncated = 1}},
      {stats.requests, stats.in_flight, stats.by_status, stats.faults})
    assert.is_true(stats.max_in_flight > 1 and stats.max_in_flight <= 3)
    assert.is_true(stats.input_tokens > 0 and stats.output_tokens > 0)
    local log = s:requests()
    assert.same({2, 503, "truncated", "truncated", support.sentence, "m", "POST"}, {#log, log[1].status, log[2].status,
      log[2].fault, log[1].text, log[1].body.model, log[1].method})
  end))

  it("and tells no key", serving(function(s) assert.is_nil(tostring(s):find "sk%-") end))
end)

describe("service: latency", function()
  it("may be a function of the call", serving({latency = function(call) return #call.texts[1] == 1 and 0 or 1000 end},
    function(s, client)
      assert.equal(200, (select(2, ask(s, client, chat {messages = {{role = "user", content = "x"}}}))))
      local slow = async.spawn(post, s, client, chat())
      support.until_true(function() return s:stats().in_flight == 1 end)
      spec.cancel(slow)
      support.until_true(function() return s:stats().in_flight == 0 end)
      assert.equal(1, s:stats().by_status.gone)
    end))
end)

describe("service: limits", function()
  it("are told in headers, and kept", serving({limits = {rpm = 60, burst = 2, tpm = 100000}}, function(s, client)
    local _, status, headers = ask(s, client, chat())
    assert.same({200, "60", "1", "100000"}, {status, headers["x-ratelimit-limit-requests"],
      headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-limit-tokens"]})
    assert.truthy(headers["x-ratelimit-reset-requests"]:find "^%d+m?s$" or
      headers["x-ratelimit-reset-requests"]:find "^%d+%.%d+s$")
    ask(s, client, chat())
    local body
    body, status, headers = ask(s, client, chat())
    assert.same({429, "requests", "rate_limit_exceeded"}, {status, body.error.type, body.error.code})
    assert.equal("1", headers["retry-after"])
    local ms = tonumber(headers["retry-after-ms"])
    assert.is_true(ms > 0 and ms <= 1000)
    assert.equal("0", headers["x-ratelimit-remaining-requests"])
    assert.equal(1, s:stats().limited)
  end))

  it("of tokens: too much now, and too much ever", serving({limits = {tpm = 60}}, function(s, client)
    local body, status, headers = ask(s, client, chat {user = ("x"):rep(400)})
    assert.same({429, "tokens", nil}, {status, body.error.type, headers["retry-after"]})
    assert.truthy(body.error.message:find "^Request too large for m on tokens per min %(TPM%): Limit 60")
    assert.equal(200, (select(2, ask(s, client, chat()))))
    local limited
    repeat
      body, status, headers = ask(s, client, chat())
      limited = status == 429
    until limited
    assert.truthy(body.error.message:find "^Rate limit reached for m on tokens per min %(TPM%): Limit 60, Used %d+")
    assert.truthy(headers["retry-after"])
  end))

  it("headers may be left out, or lie", function()
    serving({limits = {rpm = 60}, headers = false}, function(s, client)
      assert.is_nil((select(3, ask(s, client, chat())))["x-ratelimit-limit-requests"])
    end)()
    serving({limits = {rpm = 60}, headers = {["x-ratelimit-remaining-requests"] = "-1",
                                             ["x-ratelimit-limit-requests"] = false}}, function(s, client)
      local headers = select(3, ask(s, client, chat()))
      assert.same({"-1", nil}, {headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-limit-requests"]})
    end)()
    serving({headers = function(headers, call) headers["x-model"] = call and call.model end}, function(s, client)
      assert.equal("m", (select(3, ask(s, client, chat())))["x-model"])
      assert.equal(400, (select(2, ask(s, client, "{"))))
    end)()
  end)
end)

describe("service: extractors", function()
  local city = {
    matches = function(schema) return schema.properties.city ~= nil end,
    extract = function(_, text) return {city = text:match "in (%u%a+)"} end,
  }
  local schema = {type = "object", properties = {city = {type = "string"}, year = {type = "integer"}},
                  required = {"city", "year"}}

  it("of one's own come first, and leave the rest to ours", serving({extractors = {city}}, function(s, client)
    local body = ask(s, client, schema_chat({messages = {{role = "user", content = "Born in Porto, 1969."}}}, schema))
    assert.same({city = "Porto", year = 1969}, cjson.decode(body.choices[1].message.content))
    body = ask(s, client, schema_chat())
    assert.same(support.carla, cjson.decode(body.choices[1].message.content))
  end))
end)

it("service: http.client with a base_url works as with the real one", serving(function(s)
  local client <close> = http.client {base_url = s.url .. "/"}
  assert.equal(200, assert(client:post("chat/completions", {json = chat()})).status)
end))
