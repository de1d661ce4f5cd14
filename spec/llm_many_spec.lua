local json = require "muster.json"
local schema = require "muster.schema"
local support = require "spec.support.llm"
local virtual = require "muster.test".virtual

local Person = schema.object({name = schema.string(), age = schema.optional(schema.integer())}):named "Person"

local client_of = support.client

local function pieces(text, n)
  local list, last = {}, utf8.len(text)
  for i = 1, last, n do
    list[#list + 1] = text:sub(utf8.offset(text, i), utf8.offset(text, math.min(i + n, last + 1)) - 1)
  end
  return list
end

--- A stream of tool calls, cut into pieces of n characters.
local function calls(texts, n, finish)
  local step = support.streamed({}, finish or "tool_calls")
  local chunks = {}
  for i, text in ipairs(texts) do
    for _, piece in ipairs(pieces(text, n or 7)) do
      chunks[#chunks + 1] = {choices = {{index = 0, delta = {tool_calls = {{index = i - 1, id = "t" .. i,
        ["function"] = {name = "Person_list", arguments = piece}}}}}}}
    end
  end
  if finish == false then step.chunks = chunks else table.move(step.chunks, 1, #step.chunks, #chunks + 1, chunks) end
  step.chunks = chunks
  return step
end

local function collect(iterator)
  local names = {}
  for person, i in iterator do names[i] = person and person.name or false end
  return names
end

local LIST = '{"items":[{"name":"Ada","age":36},{"name":"Bob"},{"name":"Zoë"}]}'

describe("llm.extract_many", function()
  it("gives each record as it closes, wherever the stream is cut", virtual(function()
    for n = 1, #LIST, 3 do
      local client, transport, limiter = client_of {calls({LIST}, n)}
      local many = client:extract_many(Person, "x")
      assert.same({"Ada", "Bob", "Zoë"}, collect(many))
      assert.equal("tools", many.meta.mode)
      assert.equal(15, many.meta.usage.total)
      assert.same({}, many.meta.rejects)
      assert.equal(0, transport.open)
      assert.equal(0, limiter:stats().in_flight)
    end
  end))

  it("does not wait for the end", virtual(function()
    local client = client_of {calls({LIST:sub(1, 40)}, 5, false)}
    local many <close> = client:extract_many(Person, "x")
    assert.equal("Ada", many().name)
    assert.is_nil(many.meta)
  end))

  it("leaves out what does not fit, and counts it; or delivers it too", virtual(function()
    local list = '{"items":[{"name":"Ada"},{"name":7},null,{"name":"Bob"}]}'
    local client = client_of {calls {list}}
    local many = client:extract_many(Person, "x")
    assert.same({[1] = "Ada", [4] = "Bob"}, collect(many))
    assert.equal(2, #many.meta.rejects)
    assert.equal(2, many.meta.rejects[1].index)
    assert.same({name = 7}, many.meta.rejects[1].value)
    local seen = {}
    for person, i, err in client:extract_many(Person, "x", {settle = true}) do
      seen[i] = person and person.name or err.kind
    end
    assert.same({"Ada", "invalid", "invalid", "Bob"}, seen)
  end))

  it("raises what breaks the stream off, after all that came", virtual(function()
    local client, transport, limiter = client_of({calls({LIST:sub(1, 50)}, 5, false)}, {budget = {tokens = 1e6}})
    local names, many = {}, client:extract_many(Person, "x")
    local ok, err = pcall(function()
      for person in many do table.insert(names, person.name) end
    end)
    assert.is_false(ok)
    assert.equal("reset", err.kind)
    assert.same({"Ada", "Bob"}, names)
    assert.truthy(err.meta)
    assert.equal(0, transport.open)
    assert.equal(0, limiter:stats().in_flight)
    assert.equal(0, client.budget.held.tokens)
  end))

  it("tells an answer that was cut at its limit", virtual(function()
    local client = client_of {calls({LIST:sub(1, 50)}, 5, "length")}
    local names = {}
    local ok, err = pcall(function()
      for person in client:extract_many(Person, "x") do table.insert(names, person.name) end
    end)
    assert.is_false(ok)
    assert.equal("truncated", err.kind)
    assert.same({"Ada", "Bob"}, names)
  end))

  it("tells a refusal", virtual(function()
    local step = support.streamed {}
    table.insert(step.chunks, 1, {choices = {{index = 0, delta = {refusal = "no"}}}})
    local ok, err = pcall(client_of({step}):extract_many(Person, "x"))
    assert.is_false(ok)
    assert.equal("refusal", err.kind)
  end))

  it("joins several calls, and takes a bare list", virtual(function()
    local two = calls {'{"items":[{"name":"Ada"}]}', '{"items":[{"name":"Bob"}]}'}
    local client = client_of {two, calls {'[{"name":"Eve"}]'}}
    assert.same({"Ada", "Bob"}, collect(client:extract_many(Person, "x")))
    assert.same({"Eve"}, collect(client:extract_many(Person, "x")))
  end))

  it("takes the content where no tool is called, and says so if it is no list", virtual(function()
    local client = client_of {support.streamed {"Sure:\n```json\n", LIST, "\n```"}, support.streamed {"I cannot."}}
    assert.same({"Ada", "Bob", "Zoë"}, collect(client:extract_many(Person, "x")))
    local ok, err = pcall(client:extract_many(Person, "x"))
    assert.is_false(ok)
    assert.equal("invalid", err.kind)
  end))

  it("goes down the ladder before anything came", virtual(function()
    local client, transport = client_of {support.refused(400, "tools are not supported"), support.streamed {LIST}}
    assert.same({"Ada", "Bob", "Zoë"}, collect(client:extract_many(Person, "x")))
    assert.equal("json_schema", transport.bodies[2].response_format.type)
  end))

  it("looks for quotes in the text", virtual(function()
    local client = client_of {calls {LIST}}
    local many = client:extract_many(Person, "Ada and Zoë", {grounding = {"name"}})
    assert.same({[1] = "Ada", [3] = "Zoë"}, collect(many))
    assert.equal(1, #many.meta.rejects)
    assert.equal(9, many.meta.spans[2].first)
    assert.equal(3, many.meta.spans[2].item)
  end))

  it("maps names that come again in order, over the items", virtual(function()
    local client = client_of {calls {'{"items":[{"name":"Ada"},{"name":"Ada"}]}'}}
    local many = client:extract_many(Person, "Ada, Ada", {grounding = {"name"}})
    assert.equal(2, #collect(many))
    assert.equal(6, many.meta.spans[2].first)
  end))

  it("ends quietly when there is nothing", virtual(function()
    local many = client_of({calls {'{"items":[]}'}}):extract_many(Person, "x")
    assert.is_nil(many())
    assert.is_nil(many())
    assert.equal(0, #many.meta.rejects)
  end))
end)

describe("llm.partial", function()
  it("gives what there is so far, and the record at the end", virtual(function()
    local client, transport, limiter = client_of {calls({'{"name":"Zoë","age":36}'}, 4)}
    local seen, last = {}, nil
    local partial = client:partial(Person, "x")
    for person in partial do
      seen[#seen + 1] = person.name or ""
      last = person
    end
    assert.is_true(#seen > 3)
    for i = 2, #seen do assert.equal(seen[i - 1], seen[i]:sub(1, #seen[i - 1])) end
    assert.same({name = "Zoë", age = 36}, last)
    assert.same(last, (partial:result()))
    assert.equal(15, partial.meta.usage.total)
    assert.equal(0, transport.open)
    assert.equal(0, limiter:stats().in_flight)
  end))

  it("raises at its end what is wrong with the record", virtual(function()
    local partial = client_of({calls {'{"name":7}'}}):partial(Person, "x")
    local ok, err = pcall(function() for _ in partial do end end)
    assert.is_false(ok)
    assert.equal("invalid", err.kind)
    assert.same({name = 7}, err.value)
    assert.same({nil, err}, {partial:result()})
  end))

  it("gives all back when it is left", virtual(function()
    local client, transport, limiter = client_of {calls({'{"name":"Zoë","age":36}'}, 1)}
    for person in client:partial(Person, "x") do
      if person.name == "Z" then break end
    end
    assert.equal(0, transport.open)
    assert.equal(0, limiter:stats().in_flight)
  end))

  it("unwraps a list", virtual(function()
    local client = client_of {calls({LIST}, 9)}
    local last
    for list in client:partial(schema.list(Person), "x") do last = list end
    assert.equal(3, #last)
    assert.truthy(json.encode(last))
  end))
end)
