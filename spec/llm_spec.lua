local async = require "muster"
local limit = require "muster.limit"
local llm = require "muster.llm"
local schema = require "muster.schema"
local support = require "spec.support.llm"
local virtual = require "muster.test".virtual

local called, said, refused, broken, streamed = support.called, support.said, support.refused, support.broken,
  support.streamed
local client_of, assert_idle = support.client, support.assert_idle

local Person = schema.object({name = schema.string(), age = schema.optional(schema.integer())}):named "Person"
local ADA = {name = "Ada", age = 36}

describe("llm.client", function()
  it("refuses misuse, by name", function()
    local cases = {
      {7, "options must be a table"}, {{modle = "x"}, "unknown option 'modle'"}, {{model = ""}, "'model'"},
      {{provider = "nobody"}, "unknown provider 'nobody'"}, {{prices = {m = 1}}, "'prices'"},
      {{hooks = {nope = print}}, "'hooks'"}, {{budget = {euros = 1}}, "'budget'"}, {{transport = {}}, "'transport'"},
      {{budget = {tokens = 0 / 0}}, "'budget'"}, {{prices = {m = {input = 0 / 0, output = 1}}}, "'prices'"},
      {{limiter = {rmp = 5}}, "unknown option 'rmp'"}, {{retry = {atempts = 5}}, "unknown option 'atempts'"},
      {{retry = {attempts = "x"}}, "'attempts'"}, {{timeout = {conect = 5}}, "'timeout'"},
      {{headers = {5}}, "'headers'"}, {{headers = {["X-A"] = "a\r\nB: c"}}, "'headers'"}, {{extra = {1}}, "'extra'"},
      {{max_tokens = 1 / 0}, "'max_tokens'"},
      {{base_url = "me:pw@host/v1"}, "got ***@host/v1"},
      {{api_key = 12345678}, "'api_key' must be a string or a function, got number"},
      {{base_url = "localhost:8080/v1"}, "'base_url' must be a URL such as https://host/v1, got localhost:8080/v1"},
      {{api_key = "a\n"}, "the API key must be a string of one line"}, {{api_key = ""}, "the API key"},
      {{budget = {money = 1}}, "needs prices"}, {{cache = {}}, "'cache'"}, {{concurrency = 0}, "'concurrency'"},
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(function() return (llm.client(case[1])) end)
      assert.is_false(ok)
      assert.truthy(tostring(err):find(case[2], 1, true), tostring(err))
      assert.truthy(tostring(err):find("^spec/llm_spec.lua:%d+: l"), tostring(err))
    end
  end)

  it("refuses misuse of its calls", function()
    local client = client_of {said "x"}
    local nameless = client_of({said "x"}, {model = nil})
    nameless.model = nil
    local cases = {
      {function() nameless:chat "x" end, "no model"},
      {function() client:extract({}, "x") end, "argument 1 must be a schema"},
      {function() client:extract(Person, 7) end, "expected a text or a list of messages, got number"},
      {function() client:extract(Person, {}) end, "an empty table"},
      {function() client:extract(Person, {{content = "x"}}) end, "message 1 must be a table with a role"},
      {function() client:extract(Person, "x", {mode = "magic"}) end, "option 'mode'"},
      {function() client:extract_many(Person, "x", {reasks = 1}) end, "unknown option 'reasks'"},
      {function() client:chat {} end, "expected a text or a list of messages, got nil"},
      {function() client:chat {messages = "x", temprature = 1} end, "unknown option 'temprature'"},
      {function() client:estimate(Person, 7) end, "expected texts"},
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(case[1])
      assert.is_false(ok)
      assert.truthy(tostring(err):find(case[2], 1, true), tostring(err))
      assert.truthy(tostring(err):find("llm_spec.lua", 1, true), tostring(err))
    end
  end)

  it("shares one limiter among those who ask the same with the same key", function()
    local function limiter(opts)
      opts.base_url = opts.base_url or "http://shared/v1"
      return llm.client(opts):endpoint("m").limiter
    end
    local first = limiter {api_key = "a"}
    assert.equal(first, limiter {api_key = "a"})
    assert.not_equal(first, limiter {api_key = "b"})
    assert.not_equal(first, limiter {api_key = "a", base_url = "http://other/v1"})
    assert.not_equal(first, limiter {api_key = "a", concurrency = 2})
    assert.not_equal(first, limiter {api_key = "a", limiter = {rpm = 10}})
  end)

  it("has its key nowhere that can be seen", virtual(function()
    local seen = {}
    local function look(value, depth)
      if type(value) == "string" and value:find("sk-secret", 1, true) then error "the key is there" end
      if type(value) ~= "table" or seen[value] or depth > 6 then return end
      seen[value] = true
      for k, v in pairs(value) do
        look(k, depth + 1)
        look(v, depth + 1)
      end
    end
    local texts = {}
    local client, transport = client_of({refused(401, "Incorrect API key: sk-secret-123.")}, {
      hooks = {request = function(info) texts[1] = info end, error = function(err, info) texts[2] = {err, info} end},
      base_url = "http://user:sk-secret-pw@service/v1",
    })
    local _, err = client:chat "x"
    assert.equal("openai: Incorrect API key: ***. (401)", err.message)
    assert.equal("Bearer sk-secret-123", transport.requests[1].headers.Authorization)
    assert.equal("http://user:sk-secret-pw@service/v1/chat/completions", transport.requests[1].url)
    client.transport = nil -- which keeps what it was sent
    look(client, 0)
    look(err, 0)
    look(texts, 0)
    assert.is_nil(tostring(client):find("sk-secret", 1, true))
  end))

  it("has no part of its key in an error that is cut, nor one that comes in a stream, nor those of other headers",
    virtual(function()
      local key, other = "sk-secret-abcdefghijklmnop", "tok-secret-1234567890"
      local broken_off = streamed({"a"}, false)
      broken_off.chunks[2] = {error = {message = "key " .. key .. " is over", type = "server_error"}}
      local client = client_of({refused(404, ("x"):rep(285) .. " " .. key), refused(404, "bad " .. other), broken_off,
                                {err = require "muster.core".error("odd", "sent " .. key)}},
        {api_key = key, headers = {Authorization = "Bearer " .. other}, retry = {attempts = 1}})
      local errs = {select(2, client:chat "x"), (select(2, client:chat "x"))}
      local stream = client:stream "x"
      stream()
      errs[3] = select(2, pcall(stream))
      errs[4] = select(2, client:chat "x")
      for i = 1, 4 do
        assert.is_nil(tostring(errs[i]):find "secret", tostring(errs[i]))
        assert.truthy(tostring(errs[i]):find("***", 1, true))
      end
    end))

  it("takes no word for a key that has to be hidden", virtual(function()
    local client = client_of({refused(404, "ollama has no such model")}, {api_key = "ollama"})
    assert.equal("openai: ollama has no such model (404)", select(2, client:chat "x").message)
  end))

  it("wants a key to be one", virtual(function()
    for _, key in ipairs {7, "", "a\nb", false} do
      local client = client_of({said "x"}, {api_key = function() return key end})
      local ok, err = pcall(client.chat, client, "x")
      assert.is_false(ok)
      assert.truthy(tostring(err):find("the API key must be a string of one line", 1, true), tostring(err))
    end
  end))

  it("asks for a key that changes each time", virtual(function()
    local n = 0
    local client, transport = client_of({said "x"}, {api_key = function()
      n = n + 1
      return "key" .. n
    end})
    client:chat "a"
    client:chat "b"
    assert.equal("Bearer key1", transport.requests[1].headers.Authorization)
    assert.equal("Bearer key2", transport.requests[2].headers.Authorization)
  end))
end)

describe("llm.chat", function()
  it("gives the answer and what it took", virtual(function()
    local client, transport, limiter = client_of({{body = said "hello", delay = 2}},
      {prices = {m = {input = 1, output = 10}}, temperature = 0, headers = {["X-Team"] = "a"}})
    local result, meta = client:chat {messages = "hi", system = "be brief", max_tokens = 7}
    assert.equal("hello", result.content)
    assert.same({input = 10, output = 5, total = 15}, meta.usage)
    assert.equal(60e-6, meta.cost)
    assert.equal(2, meta.latency)
    assert.equal(1, meta.attempts)
    assert.equal("stop", meta.finish_reason)
    assert.is_false(meta.cached)
    local body = transport.bodies[1]
    assert.equal("be brief", body.messages[1].content)
    assert.equal(7, body.max_tokens)
    assert.equal(0, body.temperature)
    assert.equal("http://service/v1/chat/completions", transport.requests[1].url)
    assert.equal("a", transport.requests[1].headers["X-Team"])
    assert.equal(15, client:usage().total)
    assert.equal(60e-6, client:usage().cost)
    assert_idle(client, transport, limiter)
  end))

  it("sends what is no UTF-8 as something that is", virtual(function()
    local client, transport = client_of {said "x"}
    client:chat("a\xFFb")
    assert.equal("a\u{FFFD}b", transport.bodies[1].messages[1].content)
  end))

  it("estimates usage that nobody told", virtual(function()
    local client = client_of {{body = '{"choices":[{"message":{"content":"12345678"},"finish_reason":"stop"}]}'}}
    local _, meta = client:chat "x"
    assert.is_true(meta.usage.estimated)
    assert.equal(2, meta.usage.output)
    assert.is_true(meta.usage.input > 0)
  end))

  it("learns how a server wants to be asked, once", virtual(function()
    local wrong = {status = 400, body = {error = {param = "max_tokens",
      message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}}
    local client, transport = client_of {wrong, said "x", said "y"}
    assert.equal("x", client:chat({messages = "a", max_tokens = 5}).content)
    assert.equal("y", client:chat({messages = "a", max_tokens = 5}).content)
    assert.equal(3, #transport.requests)
    assert.equal(5, transport.bodies[2].max_completion_tokens)
    assert.equal(5, transport.bodies[3].max_completion_tokens)
  end))

  it("learns it for all that are under way", virtual(function()
    local client = client_of {function(body)
      local wrong = body.max_tokens and {status = 400, delay = 1, body = {error = {param = "max_tokens",
        message = "Use 'max_completion_tokens' instead of 'max_tokens'."}}}
      return wrong or said "x"
    end}
    local texts = {"a", "b", "c", "d"}
    local answers = async.map(texts, function(text) return client:chat({messages = text, max_tokens = 5}).content end)
    assert.same({"x", "x", "x", "x", n = 4}, answers)
  end))
end)

describe("llm: hooks", function()
  it("see what happens", virtual(function()
    local seen = {}
    local function note(name) return function() table.insert(seen, name) end end
    local client = client_of({refused(500), called {name = 7}, called(ADA)}, {hooks = {
      request = note "request", response = note "response", error = note "error", retry = note "retry",
      reask = note "reask"}})
    assert.equal("Ada", client:extract(Person, "x").name)
    assert.same({"request", "error", "retry", "request", "response", "reask", "request", "response"}, seen)
  end))

  it("are told enough", virtual(function()
    local told = {}
    local client = client_of({refused(500), called {name = 7}, called(ADA)}, {hooks = {
      request = function(info) told.request = info end,
      retry = function(err, info) told.retry = {err.status, info.attempt} end,
      reask = function(problems, info) told.reask = {tostring(problems), info.reask} end,
      response = function(result, info) told.response = {result.usage.total, info.attempt} end,
    }})
    client:extract(Person, "x")
    assert.equal("tools", told.request.mode)
    assert.equal(3, told.request.attempt)
    assert.same({500, 1}, told.retry)
    assert.equal(1, told.reask[2])
    assert.truthy(told.reask[1]:find("name: expected", 1, true))
    assert.same({15, 3}, told.response)
  end))

  it("that raise end the call, with an error that names them", virtual(function()
    for _, name in ipairs {"request", "response", "error", "retry", "reask"} do
      local client, transport, limiter = client_of({refused(500), called {name = 7}, called(ADA)},
        {hooks = {[name] = function() error "oops" end}, budget = {tokens = 1e6}})
      local ok, err = pcall(client.extract, client, Person, "x")
      assert.is_false(ok)
      assert.equal("hook", err.kind)
      assert.equal(name, err.hook)
      assert_idle(client, transport, limiter)
    end
  end))
end)

describe("llm: the cache", function()
  local function new_cache()
    local kept = {n = 0}
    function kept:get(key) return self[key] end
    function kept:put(key, value)
      self[key], self.n = value, self.n + 1
      return true
    end
    return kept
  end

  it("spares what was paid for", virtual(function()
    local cache = new_cache()
    local client, transport = client_of({called(ADA)}, {cache = cache})
    local first = client:extract(Person, "x")
    local second, meta = client:extract(Person, "x")
    assert.same(first, second)
    assert.is_true(meta.cached)
    assert.equal(0, meta.usage.total)
    assert.equal(0, meta.attempts)
    assert.equal(1, #transport.requests)
    client:extract(Person, "y\xFF")
    client:extract(Person, "y\xFF")
    assert.equal(2, #transport.requests)
    for key, value in pairs(cache) do
      if type(value) == "string" then assert.is_nil((key .. value):find("sk-secret", 1, true)) end
    end
  end))

  it("knows a stream by the same request", virtual(function()
    local cache = new_cache()
    local client, transport = client_of({said "Hello"}, {cache = cache})
    client:chat "x"
    local texts = {}
    for delta in client:stream "x" do table.insert(texts, delta.content) end
    assert.same({"Hello"}, texts)
    assert.equal(1, #transport.requests)
  end))

  it("keeps no errors, and is no reason to fail", virtual(function()
    local cache = {get = function() return "damaged" end, put = function()
      return nil, require "muster.core".error("full", "the disk is full")
    end}
    local seen
    local hooks = {error = function(err) seen = err.kind end}
    local client = client_of({refused(400), said "x"}, {cache = cache, hooks = hooks})
    client:chat "x"
    assert.equal("api", seen)
    assert.equal("x", client:chat("x").content)
    assert.equal("full", seen)
  end))
end)

describe("llm.stream", function()
  it("gives deltas, and the answer at its end", virtual(function()
    local client, transport, limiter = client_of {streamed {"Hel", "lo"}}
    local stream <close> = client:stream "x"
    assert.same({"Hel", "lo"}, {stream().content, stream().content})
    assert.equal(1, limiter:stats().in_flight) -- to the end of the body
    assert.is_nil(stream())
    local result, meta = stream:result()
    assert.equal("Hello", result.content)
    assert.same({input = 10, output = 5, total = 15}, meta.usage)
    assert.is_nil(stream())
    assert_idle(client, transport, limiter)
  end))

  it("gives all back when a loop is left", virtual(function()
    local client, transport, limiter = client_of({streamed {"a", "b", "c"}}, {budget = {tokens = 1e6}})
    for delta in client:stream "x" do
      if delta.content == "b" then break end
      assert.equal("a", delta.content)
    end
    assert_idle(client, transport, limiter)
    assert.is_true(client:usage().total > 0)
  end))

  it("tries again what breaks before anything came", virtual(function()
    local cut = streamed({}, false)
    local client, transport, limiter = client_of {refused(503), broken(), cut, streamed {"x"}}
    local n = 0
    for _ in client:stream "x" do n = n + 1 end
    assert.equal(1, n)
    assert.equal(4, #transport.requests)
    assert_idle(client, transport, limiter)
  end))

  it("does not try again what breaks after something came", virtual(function()
    local client, transport, limiter = client_of {streamed({"a"}, false)}
    local stream = client:stream "x"
    assert.equal("a", stream().content)
    local ok, err = pcall(stream)
    assert.is_false(ok)
    assert.equal("reset", err.kind)
    assert.equal(1, #transport.requests)
    assert.same({nil, err}, {stream:result()})
    assert_idle(client, transport, limiter)
  end))

  it("raises errors of the connection and of the stream as they are", virtual(function()
    local step = streamed({"a"}, false)
    step.body_err = broken("timeout").err
    local stream = client_of({step}):stream "x"
    stream()
    local _, err = pcall(stream)
    assert.equal(step.body_err, err)
    step = streamed({"a"}, false)
    step.chunks[2] = {error = {message = "overloaded", type = "server_error"}}
    stream = client_of({step}):stream "x"
    stream()
    _, err = pcall(stream)
    assert.equal("openai: overloaded (500)", err.message)
  end))

  it("takes an answer that did not stream", virtual(function()
    local client, transport, limiter = client_of {{body = said "x", headers = {["content-type"] = "application/json"}}}
    local n = 0
    for delta in client:stream "x" do
      n = n + 1
      assert.equal("x", delta.content)
    end
    assert.equal(1, n)
    assert.equal(15, client:usage().total)
    assert_idle(client, transport, limiter)
  end))

  it("does nothing when nobody asks", function()
    local client, transport = client_of {said "x"}
    local stream <close> = client:stream "x"
    assert.truthy(stream)
    assert.equal(0, #transport.requests)
  end)
end)

describe("llm.estimate", function()
  it("tells tokens, money and time at the limits, and sends nothing", function()
    local client, transport = client_of({said "x"}, {limiter = limit.limiter {rpm = 60, tpm = 1e9},
      prices = {m = {input = 1, output = 10}}})
    local f = client:estimate(Person, {("x"):rep(4000), ("y"):rep(4000)}, {output_tokens = 100})
    assert.equal(2, f.requests)
    assert.is_true(f.input > 2000 and f.input < 3000)
    assert.equal(200, f.output)
    assert.equal(f.input + f.output, f.tokens)
    assert.equal((f.input + 2000) / 1e6, f.cost)
    assert.equal(2, f.seconds)
    assert.equal("requests", f.bound)
    assert.truthy(tostring(f):find("2 requests", 1, true))
    assert.equal(0, #transport.requests)
    f = client:estimate(Person, {"x"}, {latency = 50})
    assert.equal("concurrency", f.bound)
    assert.equal(0, client:estimate(Person, {}).tokens)
    assert.equal(1, client:estimate(Person, "x").requests)
  end)
end)
