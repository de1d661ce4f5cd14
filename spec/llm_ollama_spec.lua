local ollama = require "muster.llm.ollama"
local wire = require "muster.llm.wire"

local USER = {{role = "user", content = "hi"}}
local SCHEMA = {type = "object"}

local function call(fields)
  local made = {model = "llama3", messages = USER}
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function respond(body, status, made)
  return ollama.response(status or 200, {}, type(body) == "table" and wire.encode(body) or body, made)
end

describe("llm.ollama.request", function()
  it("says that it wants no stream, which Ollama gives otherwise", function()
    assert.same({model = "llama3", messages = USER, stream = false}, ollama.request(call()))
    assert.is_true(ollama.request(call {stream = true}).stream)
  end)

  it("has the schema as its format", function()
    local schema = {name = "x", schema = SCHEMA}
    assert.same(SCHEMA, ollama.request(call {mode = "json_schema", response_schema = schema}).format)
    assert.equal("json", ollama.request(call {mode = "json"}).format)
  end)

  it("has options of the model below, others beside", function()
    local body = ollama.request(call {max_tokens = 5, temperature = 0,
      extra = {num_ctx = 8192, keep_alive = "5m", options = {seed = 1}}})
    assert.same({num_predict = 5, temperature = 0, num_ctx = 8192, seed = 1}, body.options)
    assert.equal("5m", body.keep_alive)
  end)

  it("has arguments as objects, contents as texts", function()
    local said = {role = "assistant", content = {{type = "text", text = "a"}},
                  tool_calls = {{name = "f", arguments = '{"x":1}'}}}
    local message = ollama.request(call {system = "s", messages = {said}}).messages[2]
    assert.equal("a", message.content)
    assert.same({{["function"] = {name = "f", arguments = {x = 1}}}}, message.tool_calls)
  end)

  it("finds its path below any base", function()
    for _, base in ipairs {"http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/api", "h:1"} do
      assert.equal("http://h:1/api/chat", ollama.url(base))
    end
    assert.equal("http://h:11434/api/chat", ollama.url "h")
    assert.equal("https://h/api/chat", ollama.url "https://h")
  end)
end)

describe("llm.ollama.response", function()
  it("is the message", function()
    local result = respond {model = "llama3", message = {role = "assistant", content = "yes"}, done = true,
                            done_reason = "stop", prompt_eval_count = 5, eval_count = 2}
    assert.equal("yes", result.content)
    assert.equal("stop", result.finish_reason)
    assert.same({input = 5, output = 2, total = 7}, result.usage)
    assert.is_nil(result.prompt_cut)
  end)

  it("reads tool calls, whose arguments are objects", function()
    local result = respond {done = true, message = {content = "", tool_calls = {
      {["function"] = {name = "f", arguments = {x = 1}}}}}}
    assert.same({{name = "f", arguments = '{"x":1}'}}, result.tool_calls)
    assert.equal("tool_calls", result.finish_reason)
    assert.is_nil(result.content)
  end)

  it("knows that the answer was cut, and counts nothing where nothing was counted", function()
    local result = respond {done = true, done_reason = "length", message = {content = "x"}}
    assert.equal("length", result.finish_reason)
    assert.is_nil(result.usage)
  end)

  it("tells errors", function()
    local _, err = respond({error = "model 'x' not found"}, 404)
    assert.equal("ollama: model 'x' not found (404)", err.message)
    _, err = respond {error = "out of memory"}
    assert.equal("api", err.kind)
    for _, body in ipairs {"", "[]", "{}", '{"message":null}'} do
      _, err = respond(body)
      assert.is_true(err.retryable, body)
    end
  end)

  it("knows a prompt that was cut without a word", function()
    local function cut(read, fields)
      local body = {done = true, message = {content = "x"}, prompt_eval_count = read}
      return respond(body, 200, call(fields)).prompt_cut or false
    end
    local long = {messages = {{role = "user", content = ("word "):rep(10000)}}}
    local function with(extra) return {messages = long.messages, extra = extra} end
    assert.is_true(cut(8192, with {num_ctx = 8192}))
    assert.is_true(cut(8192, with {options = {num_ctx = 8192}}))
    assert.is_false(cut(8191, with {num_ctx = 8192}))
    assert.is_true(cut(4096, long))   -- its default
    assert.is_false(cut(10003, long))
    assert.is_true(cut(40, long))     -- messages were dropped
    assert.is_false(cut(40))
    assert.is_false(cut(nil, long))
  end)
end)

describe("llm.ollama.stream", function()
  local function run(lines)
    local stream, deltas = ollama.stream(call()), {}
    for _, line in ipairs(lines) do
      local delta, err = stream:line(type(line) == "string" and line or wire.encode(line))
      deltas[#deltas + 1] = delta
      if err then return stream, deltas, err end
    end
    return stream, deltas
  end

  it("joins lines", function()
    local stream, deltas = run {{message = {content = "", thinking = "hm"}, done = false},
      {message = {content = "He"}, done = false}, "", {message = {content = "y"}, done = false},
      {message = {content = ""}, done = true, done_reason = "stop", prompt_eval_count = 3, eval_count = 2}}
    local result = stream:finish()
    assert.equal("Hey", result.content)
    assert.same({input = 3, output = 2, total = 5}, result.usage)
    assert.same({{reasoning = "hm"}, {content = "He"}, {content = "y"}}, deltas)
  end)

  it("has tool calls whole", function()
    local stream, deltas = run {{message = {content = "", tool_calls = {{["function"] = {name = "f",
      arguments = {x = 1}}}}}, done = false}, {message = {content = ""}, done = true, done_reason = "stop"}}
    assert.equal('{"x":1}', stream:finish().tool_calls[1].arguments)
    assert.same({{calls = {{arguments = '{"x":1}', name = "f", index = 1}}}}, deltas)
  end)

  it("tells errors in the stream, and what is cut", function()
    local _, _, err = run {{message = {content = "x"}, done = false}, {error = "out of memory"}}
    assert.equal("api", err.kind)
    _, _, err = run {'{"message":{"con'}
    assert.is_true(err.retryable)
    local _, cut = run({{message = {content = "x"}, done = false}}):finish()
    assert.equal("reset", cut.kind)
  end)
end)
