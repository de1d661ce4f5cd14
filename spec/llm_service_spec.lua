-- muster.llm over real HTTP, against the service in scripts/service.
local async = require "muster"
local cache = require "muster.cache"
local fs = require "muster.fs"
local limit = require "muster.limit"
local llm = require "muster.llm"
local schema = require "muster.schema"
local support = require "spec.support.service"
local service = require "service"
local virtual = require "muster.test".virtual

local Person = schema.object({name = schema.string(), age = schema.integer(),
                              job = schema.nullable(schema.string())}):named "Person"
local CARLA, SENTENCE = support.carla, support.sentence
local FAST = {backoff = {first = 0.001, max = 0.01}}
local providers = {"openai", "anthropic", "ollama", "llamacpp"}

--- Makes the body of a spec: fn is called with a service and a client of it.
local function asking(opts, fn)
  return support.serving(opts.service or {}, function(s)
    local made = {base_url = s.url, model = "m", api_key = "sk-1", retry = FAST, limiter = limit.limiter()}
    for name, value in pairs(opts) do
      if name ~= "service" then made[name] = value end
    end
    local client <close> = llm.client(made)
    fn(client, s)
    assert.equal(0, made.limiter:stats().in_flight)
  end)
end

for _, provider in ipairs(providers) do
  describe("llm over HTTP, " .. provider .. ":", function()
    local options = {provider = provider, service = {stream = {bytes = 3}}}

    it("extracts a record in each mode", asking(options, function(client)
      local record, meta = client:extract(Person, SENTENCE)
      assert.same(CARLA, record)
      assert.is_true(meta.usage.total > 0 and not meta.usage.estimated)
      for _, mode in ipairs {"tools", "json_schema"} do
        record, meta = client:extract(Person, SENTENCE, {mode = mode})
        assert.same(CARLA, record)
        assert.equal(mode, meta.mode)
        assert.equal(1, meta.attempts)
      end
    end))

    it("streams records and states of a record", asking(options, function(client)
      local names = {}
      local many = client:extract_many(Person, SENTENCE .. " Dan Bloch, 41, is a baker.")
      for person, i in many do names[i] = person.name end
      assert.same({"Carla Reyes", "Dan Bloch"}, names)
      assert.is_true(many.meta.usage.output > 0)
      local states, last = 0, nil
      for state in client:partial(Person, SENTENCE) do states, last = states + 1, state end
      assert.is_true(provider == "ollama" or states > 3)
      assert.same(CARLA, last)
    end))

    it("chats, whole and streamed", asking(options, function(client)
      local text = client:chat(SENTENCE).content
      local pieces = {}
      local stream = client:stream(SENTENCE)
      for delta in stream do table.insert(pieces, delta.content) end
      assert.equal(text, table.concat(pieces))
      assert.is_true(#pieces > 1)
      assert.equal(text, stream:result().content)
    end))

    for _, fault in ipairs {"429", "500", "502", "503", "529", "408", "error_200", "flat_error", "text_error",
                            "integer_code", "html_error", "empty_error", "reset", "closed", "truncated", "short",
                            "stream_error"} do
      it("gets over " .. fault, asking(options, function(client, s)
        s:script {fault == "429" and {status = 429, retry_after_ms = 20} or fault}
        local record, meta = client:extract(Person, SENTENCE)
        assert.same(CARLA, record)
        assert.equal(2, meta.attempts)
        assert.equal(0, meta.reasks)
      end))
    end

    for _, fault in ipairs {"wrong_schema", "empty"} do
      it("asks again after " .. fault, asking(options, function(client, s)
        s:script {fault}
        local record, meta = client:extract(Person, SENTENCE)
        assert.same(CARLA, record)
        assert.equal(1, meta.reasks)
      end))
    end

    it("takes what is in fences", asking(options, function(client, s)
      s:script {"fenced"}
      assert.same(CARLA, (client:extract(Person, SENTENCE, {mode = "json_schema"})))
      assert.equal(1, s:stats().requests)
    end))

    it("raises the limit of what is cut", asking(options, function(client, s)
      s:script {"length"}
      local record, meta = client:extract(Person, SENTENCE)
      assert.same(CARLA, record)
      assert.equal(2, meta.attempts)
    end))

    it("tells a cut answer that stays so", asking(options, function(client, s)
      s:script {"length", "length"}
      local _, err = client:extract(Person, SENTENCE)
      assert.equal("truncated", err.kind)
    end))

    it("estimates usage that it is not told", asking(options, function(client, s)
      s:script {"no_usage"}
      local _, meta = client:extract(Person, SENTENCE)
      assert.is_true(meta.usage.estimated)
      assert.is_true(meta.usage.total > 0)
    end))

    it("stops at a quota and at a key that is refused", asking(options, function(client, s)
      s:script {"quota"}
      local _, err = client:extract(Person, SENTENCE)
      assert.is_true(err.fatal)
      client:resume()
      s:script {"401"}
      _, err = client:extract(Person, SENTENCE)
      assert.is_true(err.fatal)
      local before = s:stats().requests
      assert.equal(err, select(2, client:extract(Person, SENTENCE)))
      assert.equal(before, s:stats().requests)
    end))
  end)
end

describe("llm over HTTP:", function()
  it("asks again after tools that were wrong, called twice or not at all", asking({}, function(client, s)
    s:script {"wrong_tool", "two_tools"}
    assert.same(CARLA, (client:extract(Person, SENTENCE)))
    assert.same(CARLA, (client:extract(Person, SENTENCE)))
    s:script {"no_tool", "no_tool"}
    local record, meta = client:extract(Person, SENTENCE)
    assert.same(CARLA, record)
    assert.equal("json_schema", meta.mode)
  end))

  it("tells refusals and filters", asking({}, function(client, s)
    s:script {"refusal", "content_filter"}
    assert.equal("refusal", select(2, client:extract(Person, SENTENCE)).kind)
    assert.equal("content_filter", select(2, client:extract(Person, SENTENCE)).kind)
  end))

  it("gives up on an answer that stalls, and tries again", asking({timeout = {idle = 0.2, first_byte = 0.2}},
    function(client, s)
      s:script {"stall", "silent"}
      local record, meta = client:extract(Person, SENTENCE)
      assert.same(CARLA, record)
      assert.equal(3, meta.attempts)
    end))

  it("keeps what a stream gave before it was cut", asking({service = {stream = {bytes = 8}}}, function(client, s)
    local text = {}
    for i = 1, 20 do text[i] = ("Person%s Smith, %d, is a baker."):format(string.char(96 + i), 20 + i) end
    s:script {"truncated"}
    local n = 0
    local ok, err = pcall(function()
      for _ in client:extract_many(Person, table.concat(text, " ")) do n = n + 1 end
    end)
    assert.is_false(ok)
    assert.equal("table", type(err))
    assert.is_true(n > 0 and n < 20)
  end))

  it("reads streams cut inside characters, strings and lines", asking({service = {stream = {bytes = 1, split = 1}}},
    function(client)
      local names = {}
      for person in client:extract_many(Person, SENTENCE) do table.insert(names, person.name) end
      assert.same({"Carla Reyes"}, names)
    end))

  it("loses nothing to faults, with many at once", asking({service = {seed = 3, faults = {rate = 0.1}}},
    function(client)
      local texts = {}
      for i = 1, 200 do texts[i] = ("Person%s Smith, %d, is a baker."):format(string.char(97 + i % 26), i) end
      local people = async.map(texts, function(text) return (client:extract(Person, text)) end, {limit = 20})
      for i = 1, 200 do assert.equal(i, people[i].age) end
    end))

  it("fails at once when a quota is used up in mid-run, and goes on when it is resumed", asking({
    service = {latency = 0.005}, limiter = limit.limiter {concurrency = 5},
  }, function(client, s)
    local script = {}
    for i = 1, 20 do script[i] = "ok" end
    script[21] = "quota"
    s:script(script)
    local texts, left, done = {}, {}, 0
    for i = 1, 60 do texts[i] = ("Person%s Smith, %d, is a baker."):format(string.char(97 + i % 26), i) end
    async.map(texts, function(text)
      local person, err = client:extract(Person, text)
      if person then done = done + 1 return end
      assert.is_true(err.fatal)
      left[#left + 1] = text
    end, {limit = 60})
    assert.is_true(done >= 20 and done < 26, tostring(done))
    assert.is_true(s:stats().requests <= 26)
    assert.equal(60, done + #left)
    client:resume()
    async.map(left, function(text) assert(client:extract(Person, text)) end)
    assert.equal(60, s:stats().by_status[200])
  end))

  it("goes on with a service that lies about its limits", function()
    for _, headers in ipairs {
      {["x-ratelimit-limit-requests"] = "1", ["x-ratelimit-remaining-requests"] = "0",
       ["x-ratelimit-reset-requests"] = "24h"},
      {["x-ratelimit-limit-requests"] = "-1", ["x-ratelimit-remaining-requests"] = "many",
       ["x-ratelimit-limit-tokens"] = "1e999", ["x-ratelimit-remaining-tokens"] = "0"},
    } do
      asking({service = {headers = headers}}, function(client)
        local texts = {}
        for i = 1, 20 do texts[i] = ("Person%s Smith, %d, is a baker."):format(string.char(97 + i), i) end
        local people = async.map(texts, function(text) return (assert(client:extract(Person, text))) end)
        assert.equal(20, #people)
      end)()
    end
  end)

  it("sends 10 MB, and what is no UTF-8", asking({}, function(client)
    local text = ("filler \xFF "):rep(1200000) .. "\n" .. SENTENCE
    local record, meta = client:extract(Person, text, {grounding = {"name"}})
    assert.same(CARLA, record)
    assert.equal("Carla Reyes", text:sub(meta.spans[1].first, meta.spans[1].last))
  end))

  it("records a run, and replays it without the service", function()
    local directory <close> = assert(fs.tmp_dir())
    local tape = directory.path .. "/tape"
    local texts = {SENTENCE, "Dan Bloch, 41, is a baker."}
    local function run(url, transport)
      local client = llm.client {base_url = url, model = "m", api_key = "sk-secret", transport = transport,
                                 limiter = limit.limiter()}
      local people = async.map(texts, function(text) return (assert(client:extract(Person, text))) end)
      for person in client:extract_many(Person, SENTENCE) do people[3] = person end
      return people
    end
    local url, first
    do
      local s <close> = assert(service.start {stream = {bytes = 3}})
      local recorder = assert(cache.record(tape))
      url = s.url
      first = run(url, recorder)
      assert(recorder:close())
      s:stop()
      async.wait {s.server.acceptor}
    end
    assert.is_nil(fs.read(tape):find("sk-secret", 1, true))
    virtual(function()
      local player = assert(cache.replay(tape))
      assert.same(first, run(url, player))
      assert.equal(0, player.left)
    end)()
  end)

  it("records a run with faults, limits and cut streams, and replays it with the same results", function()
    local directory <close> = assert(fs.tmp_dir())
    local tape = directory.path .. "/tape"
    local texts, count = {}, 60
    for i = 1, count do texts[i] = ("Person%s Smith, %d, is a baker."):format(string.char(97 + i % 26), i) end
    local function ask(client, text)
      if tonumber(text:match "%d+") % 3 > 0 then return client:extract(Person, text) end
      local list = {}
      local ok, err = pcall(function()
        for person in client:extract_many(Person, text) do list[#list + 1] = person end
      end)
      return {list, ok or tostring(err)}
    end
    local function run(url, transport)
      local client = llm.client {base_url = url, model = "m", transport = transport, limiter = limit.limiter(),
                                 retry = FAST, timeout = {idle = 0.3, first_byte = 0.3}}
      local results = async.map(texts, function(text)
        local value, err = ask(client, text)
        return value or tostring(err)
      end, {limit = 20})
      return results, client:usage()
    end
    local url, first, usage
    do
      local s <close> = assert(service.start {
        seed = 7, stream = {bytes = 5, split = 2}, latency = {min = 0, max = 0.01},
        faults = {rate = 0.4, kinds = {
          "429", "500", "529", "error_200", "flat_error", "html_error", "empty_error", "reset", "closed", "truncated",
          "short", "stream_error", "wrong_schema", "length", "invalid_json", "silent", "wrong_tool",
        }},
      })
      local recorder = assert(cache.record(tape))
      url = s.url
      first, usage = run(url, recorder)
      assert(recorder:close())
      s:stop()
      async.wait {s.server.acceptor}
    end
    assert.is_true(usage.requests > count + 10)
    virtual(function()
      local player = assert(cache.replay(tape))
      local second, again = run(url, player)
      assert.same(first, second)
      assert.equal(usage.requests, again.requests)
      assert.equal(0, player.left)
    end)()
  end)

  it("keeps answers on the disk", asking({}, function(client, s)
    local directory <close> = assert(fs.tmp_dir())
    client.cache = assert(cache.open(directory.path))
    local first = client:extract(Person, SENTENCE)
    local second, meta = client:extract(Person, SENTENCE)
    assert.same(first, second)
    assert.is_true(meta.cached)
    assert.equal(1, s:stats().requests)
  end))

  it("gives connection and permit back when it is cancelled", asking({service = {latency = 30}}, function(client, s)
    local task = async.spawn(function() return client:extract(Person, SENTENCE) end)
    repeat async.sleep(0.001) until s:stats().in_flight == 1
    task:cancel()
    assert.is_false((task:pawait()))
    repeat async.sleep(0.001) until s:stats().in_flight == 0
  end))
end)
