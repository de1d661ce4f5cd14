local async = require "muster"
local json = require "muster.json"
local limit = require "muster.limit"
local retry = require "muster.retry"
local schema = require "muster.schema"
local support = require "spec.support.llm"
local virtual = require "muster.test".virtual

local called, said, refused, broken, streamed = support.called, support.said, support.refused, support.broken,
  support.streamed
local client_of, assert_idle = support.client, support.assert_idle

local Person = schema.object({name = schema.string(), age = schema.optional(schema.integer())}):named "Person"
local ADA = {name = "Ada", age = 36}

describe("llm: retries", function()
  it("tries again what may pass, and counts the attempts", virtual(function()
    local client, transport, limiter = client_of {refused(500), broken(), refused(529), {status = 200, body = "<html>"},
                                                  said "x"}
    local result, meta = client:chat "hi"
    assert.equal("x", result.content)
    assert.equal(5, meta.attempts)
    assert.equal(4, client:usage().retries)
    assert_idle(client, transport, limiter)
  end))

  it("gives up after six, and not before", virtual(function()
    local client, transport = client_of({refused(500)}, {retry = {budget = retry.budget {floor = 1000}}})
    local result, err, meta = client:chat "hi"
    assert.is_nil(result)
    assert.is_nil(meta)
    assert.equal(6, #transport.requests)
    assert.equal(500, err.status)
    assert.equal(6, err.meta.attempts)
  end))

  it("does not try again what is the request's own fault", virtual(function()
    local client, transport = client_of {refused(400)}
    local _, err = client:chat "hi"
    assert.equal(400, err.status)
    assert.equal(1, #transport.requests)
  end))

  it("waits as long as it is told; a 429 is one cool-down for all, and no counted attempt", virtual(function()
    local until_time = async.now() + 30
    local client, transport, limiter = client_of {function()
      if async.now() < until_time then return refused(429, "slow", {["retry-after"] = "7"}) end
      return said "x"
    end}
    local tasks = {}
    for i = 1, 10 do tasks[i] = async.spawn(function() return client:chat "hi" end) end
    for _, task in ipairs(tasks) do assert.equal("x", task:await().content) end
    assert.is_true(#transport.requests < 60)
    assert_idle(client, transport, limiter)
  end))

  it("ends at the deadline of the item, though a 429 is no counted attempt", virtual(function()
    local client = client_of({refused(429)}, {retry = {deadline = 60}})
    local from = async.now()
    local _, err = client:chat "hi"
    assert.equal("timeout", err.kind)
    assert.is_true(async.now() - from <= 60)
    assert.matches("^llm: the deadline of 60 seconds has passed; the last try ended with: openai: no %(429%)$",
                   err.message)
    assert.equal(429, err.last.status)
  end))

  it("begins no wait that goes beyond the deadline", virtual(function()
    local client, transport = client_of({refused(500)}, {retry = {deadline = 60, attempts = 100, jitter = "none",
      backoff = {first = 50}}})
    local from = async.now()
    local _, err = client:chat "hi"
    assert.equal(500, err.status)
    assert.is_true(err.deadline_exceeded)
    assert.equal(50, async.now() - from)
    assert.equal(2, #transport.requests)
  end))

  it("breaks off a request at the deadline", virtual(function()
    local client, transport, limiter = client_of({{body = said "x", delay = 1e6}}, {retry = {deadline = 60}})
    local from = async.now()
    local _, err = client:chat "hi"
    assert.equal("timeout", err.kind)
    assert.equal(60, async.now() - from)
    assert_idle(client, transport, limiter)
  end))

  it("does not count the time in a queue that moves for the deadline", virtual(function()
    local failed = {}
    local client = client_of({function(body)
      local text = body.messages[1].content
      if not failed[text] then
        failed[text] = true
        return {status = 500, body = "x", delay = 10}
      end
      return {body = said(text), delay = 10}
    end}, {concurrency = 1, limiter = limit.limiter {concurrency = 1}, retry = {
      deadline = 60, budget = retry.budget {floor = 1000}}})
    local tasks = {}
    for i = 1, 20 do tasks[i] = async.spawn(function() return client:chat(("item %d"):format(i)) end) end
    for i, task in ipairs(tasks) do assert.equal(("item %d"):format(i), task:await().content) end
  end))

  it("holds no permit while it waits to try again, and one to the end of the body", virtual(function()
    local later = refused(503, "x", {["retry-after"] = "10"})
    local client, _, limiter = client_of {later, {body = said "x", body_delay = 10}}
    local task = async.spawn(client.chat, client, "hi")
    async.sleep(5)
    assert.equal(0, limiter:stats().in_flight)
    async.sleep(10)
    assert.equal(1, limiter:stats().in_flight)
    assert.equal("x", task:await().content)
    assert.equal(0, limiter:stats().in_flight)
  end))

  it("gives a request its times: 5 s to connect, 60 s between two pieces of a body", virtual(function()
    local client, transport = client_of {said "x"}
    client:chat "hi"
    assert.same({connect = 5, first_byte = 300, idle = 60}, transport.requests[1].timeout)
    client, transport = client_of({said "x"}, {timeout = {idle = 1}})
    client:chat "hi"
    assert.same({connect = 5, first_byte = 300, idle = 1}, transport.requests[1].timeout)
  end))

  it("parks a 429 that asks for minutes, too, without stopping others for more than two", virtual(function()
    local client, transport, limiter = client_of {refused(429, "later", {["retry-after"] = "86400"}), said "x"}
    local _, err = client:chat "hi"
    assert.is_true(err.parked)
    assert.is_true(limiter:stats().cooldown <= 120)
    assert.equal("x", client:chat("hi").content)
    assert.equal(2, #transport.requests)
  end))

  it("parks what should wait for minutes", virtual(function()
    local client, transport = client_of {refused(503, "later", {["retry-after"] = "300"})}
    local from = async.now()
    local _, err = client:chat "hi"
    assert.is_true(err.parked)
    assert.equal(1, #transport.requests)
    assert.equal(from, async.now())
  end))

  it("is one loop: a retry around it makes no more attempts", virtual(function()
    local client, transport = client_of({refused(500)}, {retry = {budget = retry.budget {floor = 1000}}})
    retry(function() return client:chat "hi" end, {attempts = 3})
    assert.is_true(#transport.requests <= 6)
  end))

  it("stays within a budget of retries for the whole run", virtual(function()
    local client, transport = client_of {refused(500)}
    local tasks = {}
    for i = 1, 100 do tasks[i] = async.spawn(function() return client:chat "hi" end) end
    async.wait(tasks)
    assert.is_true(#transport.requests <= 200)
  end))

  it("pauses the client after an error that will not pass, until it is resumed", virtual(function()
    local quota = {status = 429, body = {error = {message = "You exceeded your quota", code = "insufficient_quota"}}}
    local client, transport, limiter = client_of {said "1", quota, said "3"}
    client:chat "a"
    local _, first = client:chat "b"
    assert.is_true(first.fatal)
    local _, second = client:chat "c"
    assert.equal(first, second)
    local stream = client:stream "d"
    local ok, third = pcall(stream)
    assert.is_false(ok)
    assert.equal(first, third)
    assert.equal(2, #transport.requests)
    client:resume()
    assert.equal("3", client:chat("e").content)
    assert_idle(client, transport, limiter)
  end))

  it("stops those who wait for their turn when the quota is exhausted in mid-run", virtual(function()
    local quota = {status = 429, delay = 1, body = {error = {message = "no", code = "insufficient_quota"}}}
    local client, transport = client_of({quota}, {limiter = limit.limiter {concurrency = 2}})
    local tasks = {}
    for i = 1, 50 do tasks[i] = async.spawn(function() return client:chat "x" end) end
    for _, task in ipairs(tasks) do
      local _, err = task:await()
      assert.is_true(err.fatal)
    end
    assert.equal(2, #transport.requests)
  end))

  it("stops them at once, whatever they wait for, and takes no permits for that", virtual(function()
    local quota = {status = 429, delay = 1, body = {error = {message = "no", code = "insufficient_quota"}}}
    local limiter = limit.limiter {rpm = 6, burst = 2}
    local client, transport = client_of({refused(503, "later", {["retry-after"] = "100"}), quota, said "y"},
      {limiter = limiter, budget = {tokens = 12000}, max_tokens = 1000})
    local from, tasks = async.now(), {}
    for i = 1, 20 do tasks[i] = async.spawn(function() return client:chat(("x"):rep(300)) end) end
    async.yield()
    assert.is_true(limiter:stats().waiting > 0)   -- for a permit, one sleeps before it tries again …
    assert.is_true(client.budget.queue[1] ~= nil) -- … and some wait for the budget
    for _, task in ipairs(tasks) do
      local _, err = task:await()
      assert.is_true(err.fatal)
    end
    assert.equal(1, async.now() - from)
    assert.equal(2, #transport.requests)
    assert.equal(2, limiter:stats().requests)
    client:resume()
    assert.equal("y", client:chat("x").content)
    assert_idle(client, transport, limiter)
  end))

  it("stops none of another client of the same limiter", virtual(function()
    local quota = {status = 429, delay = 1, body = {error = {message = "no", code = "insufficient_quota"}}}
    local limiter = limit.limiter {concurrency = 1}
    local first, second = client_of({quota}, {limiter = limiter}), client_of({said "x"}, {limiter = limiter})
    local a, b = async.spawn(first.chat, first, "a"), async.spawn(second.chat, second, "b")
    local c = async.spawn(first.chat, first, "c")
    assert.equal("x", b:await().content)
    assert.is_true(select(2, a:await()).fatal)
    assert.is_true(select(2, c:await()).fatal)
  end))
end)

describe("llm: cancellation", function()
  --- Cancels a call after so many seconds, and asserts that everything came back.
  local function cancelled_at(seconds, steps, opts, call)
    local client, transport, limiter = client_of(steps, opts)
    local task = async.spawn(function() return call(client) end)
    async.sleep(seconds)
    task:cancel()
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(async.is_cancelled(err))
    assert_idle(client, transport, limiter)
    return client, transport
  end

  local function extract(client) return client:extract(Person, "x") end

  it("gives all back while it waits for the head of the answer", virtual(function()
    cancelled_at(1, {{body = called(ADA), delay = 10}}, {budget = {tokens = 1e6}}, extract)
  end))

  it("gives all back while it reads the body", virtual(function()
    cancelled_at(1, {{body = called(ADA), body_delay = 10}}, {budget = {tokens = 1e6}}, extract)
  end))

  it("gives all back wherever it is: each tenth of a second of calls that wait for everything", virtual(function()
    local function whole_steps()
      return {refused(503, "x", {["retry-after"] = "1"}), {err = broken().err, delay = 1},
              refused(429, "x", {["retry-after"] = "1"}), {body = called {name = 7}, delay = 0.5, body_delay = 0.5},
              {body = called(ADA), delay = 0.5, body_delay = 0.5}}
    end
    local function stream_steps()
      local step = streamed {'{"items":[{"name":"Ada"},', '{"name":"B"}', "]}"}
      step.delta_delay, step.delay = 0.5, 0.5
      return {refused(503, "x", {["retry-after"] = "1"}), step}
    end
    local opts = {mode = "json_schema"}
    local flows = {
      {extract, whole_steps}, {function(client) return client:chat "x" end, whole_steps},
      {function(client) for _ in client:stream "x" do end end, stream_steps},
      {function(client) for _ in client:extract_many(Person, "x", opts) do end end, stream_steps},
      {function(client) for _ in client:partial(schema.list(Person), "x", opts) do end end, stream_steps},
    }
    local hooks = {}
    for _, name in ipairs {"request", "response", "error", "retry", "reask"} do
      hooks[name] = function() async.sleep(0.15) end
    end
    for _, flow in ipairs(flows) do
      local tenth, ended = 0
      repeat
        local client, transport, limiter = client_of(flow[2](), {budget = {tokens = 1e6}, hooks = hooks})
        local task = async.spawn(flow[1], client)
        async.sleep(tenth / 10 + 0.01)
        ended = not task:cancel()
        local ok, err = task:pawait()
        assert.is_true(ok or async.is_cancelled(err), tostring(err))
        assert_idle(client, transport, limiter)
        assert.equal(0, limiter:stats().waiting)
        tenth = tenth + 1
      until ended
      assert.is_true(tenth > 30, tostring(tenth))
    end
  end))

  it("gives all back while it waits to try again", virtual(function()
    local later = refused(503, "x", {["retry-after"] = "60"})
    local _, transport = cancelled_at(3, {later}, {budget = {tokens = 1e6}}, extract)
    assert.equal(1, #transport.requests)
  end))

  it("gives all back while it waits for a permit", virtual(function()
    local limiter = limit.limiter {concurrency = 1}
    local permit <close> = limiter:acquire()
    local client, transport = client_of({called(ADA)}, {limiter = limiter, budget = {tokens = 1e6}})
    local task = async.spawn(extract, client)
    async.sleep(1)
    task:cancel()
    task:pawait()
    assert.equal(0, client.budget.held.tokens)
    assert.equal(0, limiter:stats().waiting)
    assert.equal(0, #transport.requests)
    assert.truthy(permit)
  end))

  it("gives all back while it waits for the budget", virtual(function()
    local client, transport, limiter = client_of({{body = called(ADA), delay = 10}}, {budget = {tokens = 6000}})
    local first = async.spawn(extract, client)
    async.sleep(1)
    local second = async.spawn(extract, client)
    async.sleep(1)
    second:cancel()
    second:pawait()
    assert.equal("Ada", first:await().name)
    assert_idle(client, transport, limiter)
    assert.equal(1, #transport.requests)
  end))

  it("gives all back while a stream comes, and pays for what came", virtual(function()
    local step = streamed {"Hello", "you", "there"}
    step.delta_delay = 2
    local client = cancelled_at(5, {step}, {budget = {tokens = 1e6}}, function(client)
      for _ in client:stream "x" do end
    end)
    assert.is_true(client:usage().estimated)
    assert.is_true(client.budget.used.tokens > 0)
  end))
end)

describe("llm: budgets", function()
  it("stop before they are crossed, with many at once", virtual(function()
    local usage = {prompt_tokens = 20, completion_tokens = 30, total_tokens = 50}
    local client, transport, limiter = client_of({{body = called(ADA, nil, usage), delay = 1}},
      {budget = {tokens = 5000}, max_tokens = 100})
    local tasks, done = {}, 0
    for i = 1, 500 do tasks[i] = async.spawn(function() return client:extract(Person, "x") end) end
    for _, task in ipairs(tasks) do
      local record, err = task:await()
      if record then done = done + 1 else assert.equal("budget", err.kind) end
    end
    assert.equal(done, #transport.requests)
    assert.is_true(done >= 90 and client:usage().total <= 5000, tostring(done))
    assert.equal(client:usage().total, client.budget.used.tokens)
    assert_idle(client, transport, limiter)
  end))

  it("are not crossed by texts that are dearer than others, nor when each byte is a token", virtual(function()
    for _, bytes in ipairs {1, 1.3, 3} do
      local client = client_of({function(body)
        local input = #json.encode(body) // bytes | 0
        return {body = called(ADA, nil, {prompt_tokens = input, completion_tokens = 50, total_tokens = input + 50}),
                delay = 1}
      end}, {budget = {tokens = 30000}, max_tokens = 100})
      local texts = {}
      for i = 1, 500 do texts[i] = ("字"):rep(i % 100) end
      async.map(texts, function(text) return (client:extract(Person, text)) end, {limit = 500})
      local used = client:usage().total
      assert.is_true(used <= 30000 and used > 24000, tostring(used))
    end
  end))

  it("cap an answer that nobody capped", virtual(function()
    local client, transport = client_of({said "x"}, {budget = {tokens = 10000}})
    client:chat "hi"
    assert.equal(4096, transport.bodies[1].max_tokens)
    local _, err = client_of({said "x"}, {budget = {tokens = 4000}}):chat "hi"
    assert.equal("budget", err.kind)
  end))

  it("count what came to nothing when the service had it", virtual(function()
    local client = client_of({broken(), said "x"}, {budget = {tokens = 6000}, max_tokens = 100})
    local _, meta = client:chat(("x"):rep(2000))
    local usage = client:usage()
    assert.equal(15, meta.usage.total)
    assert.is_true(usage.lost > 500 and usage.lost < 600, tostring(usage.lost))
    assert.equal(15 + usage.lost, client.budget.used.tokens)
    local unsent = broken "connect"
    unsent.err.phase = "connect"
    client = client_of({unsent, said "x"}, {budget = {tokens = 6000}, max_tokens = 100})
    client:chat "x"
    assert.equal(0, client:usage().lost)
  end))

  it("are not crossed by what comes to nothing again and again", virtual(function()
    local client, transport, limiter = client_of({broken()}, {budget = {tokens = 4500}, max_tokens = 100,
      retry = {attempts = 1000, budget = retry.budget {floor = 1000}}})
    local _, err = client:chat(("x"):rep(4000))
    assert.equal("budget", err.kind)
    assert.is_true(client.budget.used.tokens <= 4500 and #transport.requests < 5, tostring(#transport.requests))
    assert_idle(client, transport, limiter)
  end))

  it("of money need the price of the model", virtual(function()
    local client, transport = client_of({said "x"}, {budget = {money = 1}, prices = {m = {input = 1, output = 1}}})
    for _, call in ipairs {"chat", "stream"} do
      local ok, err = pcall(client[call], client, {messages = "x", model = "other"})
      assert.is_false(ok)
      assert.matches(call .. ": there is a budget of money, but no price of the model 'other'", err)
    end
    assert.is_false(pcall(client.extract, client, Person, "x", {model = "other"}))
    assert.equal(0, #transport.requests)
  end))

  it("get back what a stream had reserved that nobody closed", virtual(function()
    local client, _, limiter = client_of({streamed {"a", "b"}}, {budget = {tokens = 6000}, max_tokens = 4000})
    do client:stream "x"() end
    collectgarbage()
    collectgarbage()
    assert.equal(0, client.budget.held.tokens)
    assert.is_true(client.budget.used.tokens > 4000)
    assert.equal(0, limiter:stats().in_flight)
  end))

  it("of money are by the price", virtual(function()
    local usage = {prompt_tokens = 100, completion_tokens = 100, total_tokens = 200}
    local client = client_of({said("x", nil, usage)},
      {budget = {money = 0.001}, prices = {m = {input = 1, output = 2}}, max_tokens = 100})
    local n = 0
    local result, err = client:chat "hi"
    while result do
      n = n + 1
      result, err = client:chat "hi"
    end
    assert.equal("money", err.budget)
    assert.is_true(n >= 2 and client:usage().cost <= 0.001)
  end))

  it("of time end what is under way", virtual(function()
    local client, transport, limiter = client_of({{body = said "x", delay = 7}}, {budget = {seconds = 10}})
    assert.equal("x", client:chat("a").content)
    local from = async.now()
    local _, err = client:chat "b"
    assert.equal("seconds", err.budget)
    assert.equal(3, async.now() - from)
    _, err = client:chat "c"
    assert.equal("budget", err.kind)
    assert.equal(2, #transport.requests)
    assert_idle(client, transport, limiter)
  end))
end)
