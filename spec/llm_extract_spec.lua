local async = require "muster"
local json = require "muster.json"
local limit = require "muster.limit"
local schema = require "muster.schema"
local support = require "spec.support.llm"
local virtual = require "muster.test".virtual

local called, said, refused = support.called, support.said, support.refused

local Person = schema.object({name = schema.string(), age = schema.optional(schema.integer())}):named "Person"
local People = schema.list(Person)
local ADA = {name = "Ada", age = 36}

local client_of = support.client

local function calls(list, content)
  local body = said(content or json.null, "tool_calls")
  body.choices[1].message.tool_calls = {}
  for i, call in ipairs(list) do
    body.choices[1].message.tool_calls[i] = {id = "t" .. i, type = "function",
      ["function"] = {name = call[1], arguments = type(call[2]) == "string" and call[2] or json.encode(call[2])}}
  end
  return body
end

local function last_of(body) return body.messages[#body.messages].content end

describe("llm.extract", function()
  it("asks by a tool of the schema's name, and gives the record", virtual(function()
    local client, transport = client_of {called(ADA)}
    local record, meta = client:extract(Person, "I am Ada, 36.")
    assert.same(ADA, record)
    assert.equal("tools", meta.mode)
    assert.equal("m", meta.model)
    local body = transport.bodies[1]
    assert.equal("Person", body.tools[1]["function"].name)
    assert.is_true(body.tools[1]["function"].strict)
    assert.is_false(body.tools[1]["function"].parameters.additionalProperties)
    assert.equal("Person", body.tool_choice["function"].name)
    assert.equal("system", body.messages[1].role)
    assert.same({role = "user", content = "I am Ada, 36."}, body.messages[2])
  end))

  it("takes messages, and instructions", virtual(function()
    local client, transport = client_of {called(ADA)}
    client:extract(Person, {{role = "user", content = "a"}, {role = "assistant", content = "b"},
      {role = "user", content = "c"}}, {instructions = "Who?"})
    assert.equal("Who?", transport.bodies[1].messages[1].content)
    assert.equal(4, #transport.bodies[1].messages)
  end))

  it("asks for an object where the schema is none, and gives what it is", virtual(function()
    local client, transport = client_of {called {items = {ADA}}, called {value = "x"}, called(json.encode {ADA})}
    assert.same({ADA}, (client:extract(People, "x")))
    assert.equal("object", transport.bodies[1].tools[1]["function"].parameters.type)
    assert.equal("x", (client:extract(schema.string(), "x")))
    assert.same({ADA}, (client:extract(People, "x"))) -- without what was put around it
  end))

  it("uses a schema that is not strict where it cannot be", virtual(function()
    local client, transport = client_of {called {a = 1}}
    assert.same({a = 1}, (client:extract(schema.map(schema.integer()), "x")) or nil)
    assert.is_nil(transport.bodies[1].tools[1]["function"].strict)
  end))

  it("asks in the mode that it is told, and in no other", virtual(function()
    local client, transport = client_of {said(json.encode(ADA))}
    assert.same(ADA, (client:extract(Person, "x", {mode = "json_schema"})))
    assert.equal("json_schema", transport.bodies[1].response_format.type)
    assert.same(ADA, (client:extract(Person, "x", {mode = "json"})))
    assert.equal("json_object", transport.bodies[2].response_format.type)
    assert.truthy(transport.bodies[2].messages[1].content:find("JSON", 1, true))
    assert.truthy(transport.bodies[2].messages[1].content:find("age", 1, true))
    client, transport = client_of {refused(400, "tools are not supported")}
    local _, err = client:extract(Person, "x", {mode = "tools"})
    assert.equal(400, err.status)
    assert.equal(1, #transport.requests)
  end))

  it("coerces only when told", virtual(function()
    local client = client_of {called {name = "Ada", age = "36"}}
    assert.equal(36, client:extract(Person, "x", {coerce = true}).age)
    local _, err = client:extract(Person, "x", {reasks = 0})
    assert.equal("invalid", err.kind)
  end))
end)

describe("llm.extract: the ladder", function()
  it("goes down when a server cannot, and remembers", virtual(function()
    local steps = {refused(400, "model does not support tools"), refused(400, "unknown field response_format"),
                   said(json.encode(ADA))}
    local client, transport = client_of(steps)
    local record, meta = client:extract(Person, "x")
    assert.same(ADA, record)
    assert.equal("json", meta.mode)
    assert.equal(0, meta.reasks)
    assert.equal("json", select(2, client:extract(Person, "y")).mode)
    assert.equal(4, #transport.requests)
  end))

  it("goes down after two answers without the call", virtual(function()
    local client, transport = client_of {said "I see Ada.", said "As I said, Ada.", said(json.encode(ADA))}
    local record, meta = client:extract(Person, "x")
    assert.same(ADA, record)
    assert.equal("json_schema", meta.mode)
    assert.equal(1, meta.reasks)
    assert.equal(2, #transport.bodies[3].messages) -- a fresh start
    assert.equal("json_schema", select(2, client:extract(Person, "x")).mode)
  end))

  it("takes JSON in words for an answer, though no tool was called", virtual(function()
    local client, transport = client_of {said('Here: {"name":"Ada","age":36}')}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.equal(1, #transport.requests)
  end))

  it("does not go down for other errors", virtual(function()
    local client, transport = client_of {refused(400, "the temperature is too high")}
    local _, err = client:extract(Person, "x")
    assert.equal(400, err.status)
    assert.equal(1, #transport.requests)
  end))
end)

describe("llm.extract: asking again", function()
  it("tells the last answer and its errors, with their paths", virtual(function()
    local client, transport = client_of {called {name = "Ada", age = "old"}, called(ADA)}
    local record, meta = client:extract(Person, "x")
    assert.same(ADA, record)
    assert.equal(1, meta.reasks)
    assert.equal(2, meta.attempts)
    assert.equal(30, meta.usage.total)
    local messages = transport.bodies[2].messages
    assert.equal(4, #messages)
    assert.equal("assistant", messages[3].role)
    assert.truthy(messages[3].content:find('"old"', 1, true))
    assert.truthy(messages[4].content:find("age: expected an integer", 1, true))
  end))

  it("gives up after two, and loses nothing", virtual(function()
    local client, transport = client_of {called {name = 7}}
    local record, err, more = client:extract(Person, "x")
    assert.is_nil(record)
    assert.is_nil(more)
    assert.equal("invalid", err.kind)
    assert.same({name = 7}, err.value)
    assert.equal('{"name":7}', err.raw)
    assert.equal("name", err.errors[1].path)
    assert.equal(3, #transport.requests)
    assert.equal(2, err.meta.reasks)
    assert.equal(45, err.meta.usage.total)
    assert.equal(4, #transport.bodies[3].messages) -- it does not grow
    err = select(2, client:extract(Person, "x", {reasks = 0}))
    assert.equal(0, err.meta.reasks)
  end))

  it("has no errors of the connection in the prompt", virtual(function()
    local client, transport = client_of {refused(500, "kaboom"), called {name = 7}, support.broken(), called(ADA)}
    assert.same(ADA, (client:extract(Person, "x")))
    for _, body in ipairs(transport.bodies) do assert.is_nil(json.encode(body):find("kaboom", 1, true)) end
    assert.is_nil(last_of(transport.bodies[4]):find("connection", 1, true))
  end))

  it("asks again for what is no JSON", virtual(function()
    for _, text in ipairs {'{"name": Ada}', "", "nope"} do
      local client, transport = client_of {called(text), called(ADA)}
      assert.same(ADA, (client:extract(Person, "x")))
      assert.truthy(last_of(transport.bodies[2]):find(text == "" and "empty" or "not JSON", 1, true))
    end
  end))

  it("keeps the good items of a list that stays wrong", virtual(function()
    local client = client_of {called {items = {ADA, {name = 7}, {name = "Bob"}}}}
    local _, err = client:extract(People, "x")
    assert.equal("[2].name", err.errors[1].path)
    assert.same({ADA, {name = "Bob"}}, err.items)
    assert.equal(1, err.rejects)
  end))

  it("sees a check of the user's that raises as what it is", virtual(function()
    local Bad = schema.object({name = schema.string {check = function() error "oops" end}}):named "Bad"
    local client = client_of {called {name = "x"}}
    local ok, err = pcall(client.extract, client, Bad, "x")
    assert.is_false(ok)
    assert.equal("check", err.kind)
  end))
end)

describe("llm.extract: odd tool calls", function()
  it("takes the wrong name, if the record is right", virtual(function()
    local client, transport = client_of {called(ADA, "functions.Person")}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.equal(1, #transport.requests)
  end))

  it("tells the right name, if it is not", virtual(function()
    local client, transport = client_of {called({query = "x"}, "search"), called(ADA)}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.truthy(last_of(transport.bodies[2]):find('the tool is called Person, not "search"', 1, true))
  end))

  it("takes one of two calls if only one is right, or both are the same", virtual(function()
    local client, transport = client_of {calls {{"Person", {name = 7}}, {"Person", ADA}}}
    assert.same(ADA, (client:extract(Person, "x")))
    client = client_of {calls {{"Person", ADA}, {"Person", ADA}}}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.equal(1, #transport.requests)
  end))

  it("asks again if two calls are both right", virtual(function()
    local client, transport = client_of {calls {{"Person", ADA}, {"Person", {name = "Bob"}}}, called(ADA)}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.truthy(last_of(transport.bodies[2]):find("2 tool calls, expected exactly one", 1, true))
  end))

  it("joins two calls of a list", virtual(function()
    local client = client_of {calls {{"Person_list", {items = {ADA}}}, {"Person_list", {items = {{name = "Bob"}}}}}}
    assert.same({ADA, {name = "Bob"}}, (client:extract(People:named "Person_list", "x")))
  end))

  it("takes arguments that are an object already", virtual(function()
    local body = called "x"
    body.choices[1].message.tool_calls[1]["function"].arguments = ADA
    assert.same(ADA, (client_of({body}):extract(Person, "x")))
  end))
end)

describe("llm.extract: answers that are cut, or none", function()
  local function cut(text)
    local body = called(text)
    body.choices[1].finish_reason = "length"
    return body
  end

  it("raises the limit once", virtual(function()
    local client, transport = client_of {cut '{"name":"Ad', called(ADA)}
    local record, meta = client:extract(Person, "x", {max_tokens = 3000})
    assert.same(ADA, record)
    assert.equal(3000, transport.bodies[1].max_tokens)
    assert.equal(6000, transport.bodies[2].max_tokens)
    assert.equal(0, meta.reasks)
    assert.equal(2, #transport.bodies[2].messages)
  end))

  it("then tells so, with what was whole", virtual(function()
    local client, transport = client_of {cut '{"items":[{"name":"Ada","age":36},{"name":7},{"name":"Bo'}
    local _, err = client:extract(People, "x")
    assert.equal("truncated", err.kind)
    assert.same({ADA}, err.value)
    assert.equal(1, err.rejects)
    assert.equal(2, #transport.requests)
    assert.equal("length", err.meta.finish_reason)
    _, err = client_of({cut '{"name":"Ada","age":3'}):extract(Person, "x")
    assert.same({name = "Ada"}, err.value)
    _, err = client_of({cut ""}):extract(Person, "x")
    assert.is_nil(err.value)
  end))

  it("takes an answer that is whole all the same", virtual(function()
    local client, transport = client_of {cut(json.encode(ADA))}
    assert.same(ADA, (client:extract(Person, "x")))
    assert.equal(1, #transport.requests)
  end))

  it("asks nothing again of who refuses, or filters", virtual(function()
    local body = said(json.null)
    body.choices[1].message.refusal = "I will not"
    local client, transport = client_of {body}
    local _, err = client:extract(Person, "x")
    assert.equal("refusal", err.kind)
    assert.equal("I will not", err.refusal)
    assert.equal(1, #transport.requests)
    _, err = client_of({said("", "content_filter")}):extract(Person, "x")
    assert.equal("content_filter", err.kind)
    _, err = client_of({{status = 400, body = {error = {code = "content_filter", message = "x"}}}}):extract(Person, "x")
    assert.equal("content_filter", err.kind)
  end))

  it("believes no answer to a prompt that was not read to its end", virtual(function()
    local body = {message = {content = json.encode(ADA)}, done = true, done_reason = "stop", prompt_eval_count = 2048,
                  eval_count = 5}
    local client = client_of({{body = body}}, {provider = "ollama", extra = {num_ctx = 2048}})
    local _, err = client:extract(Person, ("word "):rep(5000))
    assert.equal("truncated", err.kind)
    assert.equal("prompt", err.where)
  end))
end)

describe("llm.extract: grounding", function()
  local Claim = schema.object({quote = schema.string(), kind = schema.string()}):named "Claim"

  it("tells where quotes are", virtual(function()
    local client = client_of {called {quote = "is a  test", kind = "made up"}}
    local _, meta = client:extract(Claim, "Thïs is a test.", {grounding = {"quote"}})
    assert.same({{path = "quote", text = "is a test", first = 7, last = 15, from = 6, to = 14}}, meta.spans)
  end))

  it("asks again for quotes that are not there", virtual(function()
    local function claim(quote) return called({quote = quote, kind = "x"}, "Claim") end
    local client, transport = client_of {claim "it was a test", claim "a test"}
    local record, meta = client:extract(Claim, "This is a test.", {grounding = {"quote"}})
    assert.equal("a test", record.quote)
    assert.equal(1, meta.reasks)
    assert.truthy(last_of(transport.bodies[2]):find("quote: expected a quote from the text", 1, true))
    local _, err = client_of({called {quote = "no", kind = "x"}}):extract(Claim, "yes", {grounding = {"quote"}})
    assert.equal("grounding", err.errors[1].kind)
    assert.same({quote = "no", kind = "x"}, err.value)
  end))

  it("takes another source than the messages", virtual(function()
    local client = client_of {called {quote = "elsewhere", kind = "x"}}
    assert.truthy((client:extract(Claim, "here", {grounding = {"quote"}, source = "elsewhere", reasks = 0})))
  end))
end)

describe("llm.extract: many at once", function()
  it("keeps to the limit, in gather and map", virtual(function()
    local client, transport = client_of({{body = called(ADA), delay = 1}}, {limiter = limit.limiter {concurrency = 5}})
    local texts = {}
    for i = 1, 50 do texts[i] = "text " .. i end
    local from = async.now()
    local people = async.map(texts, function(text) return (client:extract(Person, text)) end)
    assert.equal(50, people.n)
    assert.same(ADA, people[50])
    assert.equal(10, async.now() - from)
    assert.equal(5, transport.most)
    assert.equal(50, client:usage().items)
    assert.equal(750, client:usage().total)
  end))
end)
