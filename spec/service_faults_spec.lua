-- scripts/service/faults.lua and delivery.lua: every fault there is, over real HTTP.
local async = require "muster"
local cjson = require "cjson"
local net = require "muster.net"
local spec = require "spec.support.io"
local support = require "spec.support.service"
local faults = require "service.faults"

local serving, ask, post, null = support.serving, support.ask, support.post, cjson.null
local chat, schema_chat, tool_chat = support.chat, support.schema_chat, support.tool_chat

local seen = {}

--- Makes the body of a spec, in which this is what goes wrong with each request.
local function faulty(kind, fn)
  seen[kind] = true
  return serving({faults = {rate = 1, kinds = {kind}}}, fn)
end

--- What comes of a request when nothing tries again by itself, until the server closes: all the bytes.
local function raw(s, request, path)
  local body = cjson.encode(request)
  local c <close> = assert(net.connect("127.0.0.1", s.port))
  assert(c:write(("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"):format(
    path or "/v1/chat/completions", #body, body)))
  local all = {}
  while true do
    local chunk, err = c:read()
    if not chunk then return table.concat(all), err end
    all[#all + 1] = chunk
  end
end

describe("faults: statuses", function()
  for status, kind in pairs {
    [400] = "invalid_request_error", [401] = "invalid_request_error", [403] = "invalid_request_error",
    [404] = "invalid_request_error", [408] = "invalid_request_error", [409] = "invalid_request_error",
    [413] = "invalid_request_error", [422] = "invalid_request_error", [429] = "requests", [500] = "server_error",
    [502] = "server_error", [503] = "server_error", [504] = "server_error", [529] = "server_error",
  } do
    it(tostring(status), faulty(tostring(status), function(s, client)
      local body, got = ask(s, client, chat())
      assert.same({status, kind}, {got, body.error.type})
      assert.is_string(body.error.message)
    end))
  end

  it("quota", faulty("quota", function(s, client)
    local body, status = ask(s, client, chat())
    assert.same({429, "insufficient_quota", "insufficient_quota"}, {status, body.error.type, body.error.code})
  end))

  it("529 of Anthropic", faulty("529", function(s, client)
    local body, status = ask(s, client, chat {max_tokens = 5}, {["anthropic-version"] = "1"}, "/v1/messages")
    assert.same({529, "error", "overloaded_error", "Overloaded"}, {status, body.type, body.error.type,
      body.error.message})
  end))
end)

describe("faults: odd errors", function()
  it("error_200", faulty("error_200", function(s, client)
    local body, status = ask(s, client, chat())
    assert.same({200, 502, nil}, {status, body.error.code, body.choices})
  end))

  it("flat_error", faulty("flat_error", function(s, client)
    local body, status = ask(s, client, chat())
    assert.same({500, "internal error", nil, 500}, {status, body.message, body.error, body.code})
  end))

  it("text_error", faulty("text_error", function(s, client)
    local body, status = ask(s, client, chat())
    assert.same({500, "string"}, {status, type(body.error)})
  end))

  it("integer_code", faulty("integer_code", function(s, client)
    local body, status = ask(s, client, chat())
    assert.same({503, 503}, {status, body.error.code})
  end))

  it("html_error", faulty("html_error", function(s, client)
    local response = assert(post(s, client, chat()))
    assert.same({502, "text/html"}, {response.status, response.headers["content-type"]})
    assert.truthy(response.body:find "^<html>")
  end))

  it("empty_error", faulty("empty_error", function(s, client)
    local response = assert(post(s, client, chat()))
    assert.same({500, ""}, {response.status, response.body})
  end))
end)

describe("faults: wrong answers", function()
  local function choice_of(...) return ask(...).choices[1] end

  it("length", faulty("length", function(s, client)
    local choice = choice_of(s, client, schema_chat())
    assert.equal("length", choice.finish_reason)
    assert.is_false((pcall(cjson.decode, choice.message.content)))
    assert.truthy(choice.message.content:find "^{")
  end))

  it("invalid_json", faulty("invalid_json", function(s, client)
    for _ = 1, 20 do
      local choice = choice_of(s, client, tool_chat())
      assert.equal("tool_calls", choice.finish_reason)
      assert.is_false((pcall(cjson.decode, choice.message.tool_calls[1]["function"].arguments)))
    end
  end))

  it("fenced", faulty("fenced", function(s, client)
    local choice = choice_of(s, client, schema_chat())
    assert.equal("stop", choice.finish_reason)
    assert.same(support.carla, cjson.decode(choice.message.content:match "```json\n(.-)\n```"))
  end))

  it("wrong_schema", faulty("wrong_schema", function(s, client)
    local value = cjson.decode(choice_of(s, client, schema_chat()).message.content)
    assert.same({"about 29", 11, 16}, {value.age, value.name, value.job})
    assert.is_nil(choice_of(s, client, chat()).message.tool_calls)
  end))

  it("refusal", faulty("refusal", function(s, client)
    local message = choice_of(s, client, schema_chat()).message
    assert.same({null, "string"}, {message.content, type(message.refusal)})
    local events = support.events(assert(post(s, client, schema_chat {stream = true})).body)
    local text = ""
    for _, event in ipairs(events) do
      local chunk = event.data ~= "[DONE]" and cjson.decode(event.data)
      text = text .. (chunk and chunk.choices[1].delta.refusal or "")
    end
    assert.equal(message.refusal, text)
  end))

  it("content_filter", faulty("content_filter", function(s, client)
    assert.equal("content_filter", choice_of(s, client, schema_chat()).finish_reason)
  end))

  it("empty", faulty("empty", function(s, client)
    local choice = choice_of(s, client, tool_chat())
    assert.same({"stop", "", nil}, {choice.finish_reason, choice.message.content, choice.message.tool_calls})
  end))

  it("no_tool", faulty("no_tool", function(s, client)
    local choice = choice_of(s, client, tool_chat())
    assert.same({"stop", "string", nil}, {choice.finish_reason, type(choice.message.content),
      choice.message.tool_calls})
  end))

  it("no_usage", faulty("no_usage", function(s, client)
    assert.is_nil(ask(s, client, chat()).usage)
    local stream = {stream = true, stream_options = {include_usage = true}}
    assert.is_nil(assert(post(s, client, chat(stream))).body:find("usage", 1, true))
  end))

  it("wrong_tool, also where none was asked for", faulty("wrong_tool", function(s, client)
    for _, request in ipairs {tool_chat(), chat()} do
      local choice = choice_of(s, client, request)
      assert.same({"tool_calls", "no_such_tool"}, {choice.finish_reason,
        choice.message.tool_calls[1]["function"].name})
    end
  end))

  it("two_tools", faulty("two_tools", function(s, client)
    local calls = choice_of(s, client, tool_chat()).message.tool_calls
    assert.equal(2, #calls)
    assert.not_equal(calls[1].id, calls[2].id)
    assert.same(calls[1]["function"], calls[2]["function"])
  end))
end)

describe("faults: on the way", function()
  it("reset", faulty("reset", function(s)
    local text, err = raw(s, chat())
    assert.equal("", text)
    assert.equal("reset", err.kind)
  end))

  it("closed", faulty("closed", function(s)
    local text, err = raw(s, chat())
    assert.same({"", nil}, {text, err})
  end))

  it("truncated", faulty("truncated", function(s, client)
    local response, err = post(s, client, schema_chat())
    assert.is_nil(response)
    assert.is_true(err.retryable)
    local text = raw(s, schema_chat())
    assert.truthy(text:find "^HTTP/1.1 200 " and text:find '"chatcmpl%-')
    assert.is_nil(text:find("system_fingerprint", 1, true))
  end))

  it("truncated, in a stream", faulty("truncated", function(s, client)
    assert.is_nil((post(s, client, schema_chat {stream = true})))
    local text = raw(s, schema_chat {stream = true})
    assert.truthy(text:find "data: {")
    assert.is_nil(text:find("[DONE]", 1, true))
    assert.is_nil(text:find "\r\n0\r\n\r\n$")
  end))

  it("short", faulty("short", function(s, client)
    local response = assert(post(s, client, schema_chat()))
    assert.equal(200, response.status)
    assert.is_false((pcall(cjson.decode, response.body)))
    response = assert(post(s, client, schema_chat {stream = true}))
    local events = support.events(response.body)
    assert.is_true(#events > 0)
    assert.is_nil(response.body:find "finish_reason\":\"" or response.body:find("[DONE]", 1, true))
  end))

  for _, streamed in ipairs {false, true} do
    it("stall" .. (streamed and ", in a stream" or ""), faulty("stall", function(s, client)
      local response = assert(client:post(s.url .. "/chat/completions", {json = schema_chat {stream = streamed}}))
      assert.equal(200, response.status)
      assert.is_string(response:read())
      local reading = async.spawn(response.read, response)
      async.sleep(0.05) -- nothing may come
      spec.cancel(reading)
      response:close()
      client:close()
      support.until_true(function() return s:stats().in_flight == 0 end)
    end))
  end

  it("silent", faulty("silent", function(s, client)
    local asking = async.spawn(post, s, client, schema_chat())
    support.until_true(function() return s:stats().faults.silent == 1 end)
    async.sleep(0.05)
    spec.cancel(asking)
    support.until_true(function() return s:stats().in_flight == 0 end)
    assert.same({gone = 1}, s:stats().by_status)
  end))

  it("stream_error", faulty("stream_error", function(s, client)
    local events = support.events(assert(post(s, client, schema_chat {stream = true})).body)
    assert.equal("server_error", cjson.decode(events[#events].data).error.type)
    assert.is_true(#events > 1)
    assert.equal(500, (select(2, ask(s, client, schema_chat()))))
    local response = assert(post(s, client, chat {stream = true, max_tokens = 50}, {["anthropic-version"] = "1"},
      "/v1/messages"))
    events = support.events(response.body)
    assert.same({"error", "api_error"}, {events[#events].event, cjson.decode(events[#events].data).error.type})
    local last = assert(post(s, client, chat(), nil, "/api/chat")).body:match "([^\n]+)\n$"
    assert.is_string(cjson.decode(last).error)
  end))
end)

describe("faults", function()
  it("of every kind have been seen", function()
    for _, name in ipairs(faults.names()) do assert(seen[name], name) end
  end)

  it("come as often as asked for", serving({faults = {rate = 0.2, kinds = {"500", "503"}}}, function(s, client)
    for _ = 1, 500 do assert(post(s, client, chat())) end
    local stats = s:stats()
    local n = stats.faults["500"] + stats.faults["503"]
    assert(n > 60 and n < 140, n)
    assert.same({500 - n, stats.faults["500"], stats.faults["503"]}, {stats.by_status[200], stats.by_status[500],
      stats.by_status[503]})
  end))
end)
