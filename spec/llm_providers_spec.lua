local headers = require "muster.http.headers"
local json = require "muster.json"
local providers = require "muster.llm.providers"
local uv = require "luv"

local function with_environment(values, fn)
  local before = {}
  for name, value in pairs(values) do
    before[name] = os.getenv(name) or false
    if value then uv.os_setenv(name, value) else uv.os_unsetenv(name) end
  end
  local _ <close> = setmetatable({}, {__close = function()
    for name, value in pairs(before) do
      if value then uv.os_setenv(name, value) else uv.os_unsetenv(name) end
    end
  end})
  fn()
end

describe("llm.providers", function()
  it("are found by name, or given", function()
    assert.equal("anthropic", providers.find "anthropic".name)
    assert.equal("llamacpp", providers.find "llamacpp".name)
    local own = {}
    assert.equal(own, providers.find(own))
    local ok, err = pcall(providers.find, "x")
    assert.is_false(ok)
    assert.equal("llm.client: unknown provider 'x', known are: anthropic, llamacpp, ollama, openai", err)
  end)

  it("take key and URL of the environment, if they say something", function()
    local openai, ollama = providers.find "openai", providers.find "ollama"
    with_environment({OPENAI_API_KEY = "k", OPENAI_BASE_URL = "", OLLAMA_HOST = "box:1"}, function()
      assert.equal("k", providers.key(openai))
      assert.equal("https://api.openai.com/v1", providers.base_url(openai))
      assert.equal("http://box:1/api/chat", providers.url(ollama, providers.base_url(ollama)))
    end)
    with_environment({OPENAI_API_KEY = false}, function() assert.is_nil(providers.key(openai)) end)
  end)

  it("have URLs that are put together right", function()
    assert.equal("http://x/v1/chat/completions", providers.url(providers.find "openai", "http://x/v1/"))
    assert.equal("http://x/v1", providers.public "http://user:pass@x/v1")
    assert.equal("http://x/v1@2", providers.public "http://x/v1@2")
  end)
end)

-- ---- answers that nobody should give ----

local chat = '{"id":"c","model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"choices":[{'
  .. '"index":0,"finish_reason":"tool_calls","KEY":{"content":[{"type":"text","text":"x"}],"refusal":null,'
  .. '"tool_calls":[{"index":0,"id":"t","function":{"name":"P","arguments":"{}"}}]}}]}'

local samples = {
  openai = {
    bodies = {(chat:gsub("KEY", "message")), '{"error":{"message":"x","type":"t","param":null,"code":"c"}}',
              '[{"error":{"message":"x"}}]', '{"detail":[{"loc":["a"],"msg":"m"}]}'},
    events = {(chat:gsub("KEY", "delta")), '{"error":{"message":"x"}}'},
  },
  anthropic = {
    bodies = {'{"id":"m","model":"m","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"t","name":"P",'
                .. '"input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}',
              '{"type":"error","error":{"type":"overloaded_error","message":"x"}}'},
    events = {'{"type":"message_start","message":{"id":"m","usage":{"input_tokens":5,"output_tokens":1}}}',
              '{"type":"content_block_start","index":0,"content_block":'
                .. '{"type":"tool_use","id":"t","name":"P","input":{}}}',
              '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}',
              '{"type":"content_block_stop","index":0}', '{"type":"message_stop"}',
              '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}'},
  },
  ollama = {
    bodies = {'{"model":"m","message":{"content":"x","tool_calls":[{"function":{"name":"P","arguments":{"a":1}}}]},'
                .. '"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}', '{"error":"x"}'},
  },
}
samples.ollama.events = samples.ollama.bodies

local odd = {json.null, true, false, 0, -1, 1.5, 1e300, math.mininteger, "", "x", "\u{1F600}", "5", json.array {},
             json.object {}, json.array {json.null}, json.array {1, 2}, {a = 1}}

--- The value, with odd ones in some of its places, and some missing.
local function twisted(value)
  if math.random(6) == 1 then return odd[math.random(#odd)] end
  if type(value) ~= "table" then return value end
  local made = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do
    if math.random(12) > 1 or math.type(key) then made[key] = twisted(inner) end
  end
  return made
end

local function sample(list) return json.encode(twisted(json.decode(list[math.random(#list)]))) end

local reasons = {stop = true, length = true, tool_calls = true, content_filter = true}

local function assert_result(result)
  for _, call in ipairs(result.tool_calls) do
    assert(type(call.name) == "string" and type(call.arguments) == "string")
  end
  assert(type(result.content or "") == "string" and type(result.refusal or "") == "string")
  assert(reasons[result.finish_reason])
  local usage = result.usage or {input = 0, output = 0, total = 0}
  for _, name in ipairs {"input", "output", "total"} do
    assert(math.type(usage[name]) == "integer" and usage[name] >= 0)
  end
end

local function assert_error(err)
  assert(type(err.kind) == "string" and type(err.retryable) == "boolean" and utf8.len(err.message))
end

local function stream_of(adapter, list)
  local stream = adapter.stream {model = "m", messages = {{role = "user", content = "x"}}}
  for _ = 1, math.random(8) do
    local text = sample(list)
    local delta, err
    if stream.line then
      delta, err = stream:line(text)
    else
      delta, err = stream:event {event = "message", data = text}
    end
    if err then return assert_error(err) end
    for _, call in ipairs(delta and delta.calls or {}) do
      assert(type(call.arguments) == "string" and math.type(call.index) == "integer")
    end
  end
  local result, err = stream:finish()
  if result then assert_result(result) else assert_error(err) end
end

for name, of in pairs(samples) do
  describe("llm.providers: " .. name, function()
    local adapter, none = providers.find(name), headers.of {}

    it("makes a result or an error of whatever comes", function()
      for _ = 1, 2000 do
        local status = ({200, 200, 400, 429, 503})[math.random(5)]
        local text = sample(of.bodies)
        local result, err = adapter.response(status, none, text, {model = "m", messages = {}})
        if result then assert_result(result) else assert_error(err) end
      end
    end)

    it("makes a result or an error of whatever streams", function()
      for _ = 1, 1000 do stream_of(adapter, of.events) end
    end)
  end)
end
