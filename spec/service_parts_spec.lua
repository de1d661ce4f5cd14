-- The parts of scripts/service that know neither HTTP nor a clock: limits, durations, latencies, chance, extraction,
-- slices.
local support = require "spec.support.service"
local delivery = require "service.delivery"
local durations = require "service.durations"
local extraction = require "service.extraction"
local json = require "service.json"
local latency = require "service.latency"
local limits = require "service.limits"
local random = require "service.random"
local strict = require "service.strict"

local builtin = extraction.with_builtin()

local function fill(schema, ...) return (extraction.fill(schema, {...}, builtin)) end

local function is_close(expected, got) assert(math.abs(expected - got) < 1e-6, ("%s, not %s"):format(got, expected)) end

describe("limits", function()
  it("none is none", function()
    local l = limits.of()
    for _ = 1, 100 do assert.is_nil(l:take(1e9, 0)) end
    assert.same({}, l:state(0))
    l:charge(5, 0)
  end)

  it("of requests: a burst, and then one at a time", function()
    local l = limits.of {rpm = 60, burst = 3}
    for _ = 1, 3 do assert.is_nil(l:take(1, 100)) end
    local refused = l:take(1, 100)
    assert.same({"requests", 60, 1, false}, {refused.what, refused.limit, refused.requested, refused.never})
    is_close(1, refused.wait)
    is_close(0.25, l:take(1, 100.75).wait)
    assert.is_nil(l:take(1, 101))
    assert.is_table(l:take(1, 101))
  end)

  it("admit exactly the rate to one who keeps asking", function()
    local l, admitted = limits.of {rpm = 6000}, 0
    for i = 0, 59999 do
      if not l:take(1, i * 0.001) then admitted = admitted + 1 end
    end
    assert(admitted >= 6000 + 99 - 1 and admitted <= 6000 + 100, admitted)
  end)

  it("the burst is what a second gives, at least one", function()
    assert.equal(100, limits.of({rpm = 6000}):state(0).requests.remaining)
    assert.equal(1, limits.of({rpm = 6}):state(0).requests.remaining)
  end)

  it("hold no more than a burst, and time that goes back gives nothing", function()
    local l = limits.of {rpm = 60, burst = 2}
    assert.equal(2, l:state(0).requests.remaining)
    l:take(1, 10)
    assert.equal(2, l:state(1000).requests.remaining)
    l:take(1, 1000)
    assert.equal(1, l:state(1000).requests.remaining)
  end)

  it("of tokens: what is used beyond is paid for later", function()
    local l = limits.of {tpm = 600}
    assert.is_nil(l:take(500, 0))
    l:charge(200, 0)
    local state = l:state(0).tokens
    assert.equal(0, state.remaining)
    is_close(70, state.reset)
    local refused = l:take(50, 0)
    assert.same({"tokens", 600, 700, 50}, {refused.what, refused.limit, refused.used, refused.requested})
    is_close(15, refused.wait)
    assert.is_nil(l:take(50, 15.001))
  end)

  it("never lets through more than a full bucket", function()
    local refused = limits.of({tpm = 600, burst_tokens = 100}):take(101, 0)
    assert.same({"tokens", true}, {refused.what, refused.never})
  end)

  it("what is refused for its tokens takes no request", function()
    local l = limits.of {rpm = 60, burst = 1, tpm = 10}
    assert.equal("tokens", l:take(11, 0).what)
    assert.is_nil(l:take(10, 0))
  end)
end)

describe("durations", function()
  it("as Go writes them", function()
    for text, seconds in pairs {["0s"] = 0, ["17ms"] = 0.017, ["1s"] = 1, ["1.5s"] = 1.5, ["6m0s"] = 360,
                                ["1h0m0s"] = 3600, ["1m0.25s"] = 60.25, ["10s"] = 10, ["1ms"] = 0.0001,
                                ["59.999s"] = 59.999, ["25h0m30s"] = 90030} do
      assert.equal(text, durations.go(seconds))
    end
    assert.equal("0s", durations.go(-1))
  end)

  it("as RFC 3339 has times", function()
    assert.equal("1970-01-01T00:00:00Z", durations.rfc3339(0))
    assert.equal("2001-09-09T01:46:41Z", durations.rfc3339(1000000000.5))
  end)
end)

describe("latency", function()
  local function drawn(spec, n)
    local list, of = {}, assert(latency.of(spec))
    for i = 1, n do list[i] = of(random.of(1, i), {}) end
    table.sort(list)
    return list
  end

  it("is a number, a range, or log-normal", function()
    assert.same({0.5, 0.5}, drawn(0.5, 2))
    assert.same({0}, drawn(nil, 1))
    local range = drawn({min = 1, max = 2}, 1000)
    assert(range[1] >= 1 and range[1] < 1.1 and range[1000] < 2 and range[1000] > 1.9)
    local tail = drawn({median = 0.1, p99 = 2}, 20000)
    assert(math.abs(tail[10000] - 0.1) < 0.01, tail[10000])
    assert(math.abs(tail[19800] - 2) < 0.4, tail[19800])
  end)

  it("is nothing else", function()
    for _, spec in ipairs {-1, 0 / 0, math.huge, "1", {}, {min = 1}, {min = 2, max = 1}, {min = 1, max = 2, p99 = 3},
                           {median = 0, p99 = 1}, true} do
      assert.is_nil(latency.of(spec))
    end
  end)

  it("a function must give a time", function()
    assert.equal(2, latency.of(function(call) return call.n end)(nil, {n = 2}))
    assert.has_error(function() latency.of(function() return "x" end)(nil, {}) end,
      "service: latency must give a number of seconds, got x")
  end)
end)

describe("random", function()
  it("is the same for the same request, and even", function()
    assert.equal(random.of(1, 2):number(), random.of(1, 2):number())
    assert.not_equal(random.of(1, 2):number(), random.of(1, 3):number())
    assert.not_equal(random.of(1, 2):number(), random.of(2, 2):number())
    local sum, ids = 0, {}
    for i = 1, 10000 do
      local r = random.of(7, i)
      ids[r:id()] = true
      local number = r:number()
      assert(number >= 0 and number < 1)
      sum = sum + number
    end
    assert(math.abs(sum / 10000 - 0.5) < 0.02, sum)
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    assert.equal(10000, n)
  end)
end)

describe("slices", function()
  it("give all of a text, and only whole characters", function()
    for _, text in ipairs {"", "a", "abc", ("äöü€𝄞x"):rep(9)} do
      for bytes = 1, 7 do
        local parts = {}
        for slice in delivery.slicer(bytes)(text) do
          assert.truthy(utf8.len(slice))
          parts[#parts + 1] = slice
        end
        assert.equal(text, table.concat(parts))
      end
    end
  end)

  it("end with what is no UTF-8 too", function()
    local n = 0
    for slice in delivery.slicer(2)("\xff\xfe\x80\x80\x80\x80\x80a") do n = n + #slice end
    assert.equal(8, n)
  end)
end)

describe("json", function()
  it("is the same text for the same value", function()
    assert.equal('{"a":[],"b":{},"c":[1,2.5,"x"],"d":null}',
      json.encode {d = json.null, c = {1, 2.5, "x"}, b = {}, a = json.array {}})
    assert.same({nil, "string"}, {json.decode "[1", type(select(2, json.decode "[1"))})
  end)
end)

describe("extraction: persons", function()
  local sentences = dofile "scripts/pipelines/people_data.lua"

  it("of all sentences of the pipeline, and of those about nobody nothing", function()
    local found = 0
    for _, sentence in ipairs(sentences) do
      local person, any = extraction.fill(support.person, {sentence}, builtin)
      if any then
        found = found + 1
        assert.equal("integer", math.type(person.age))
        assert.truthy(sentence:find(person.name, 1, true) and sentence:find(person.job, 1, true))
      else
        assert.same({name = "", age = 0, job = json.null}, person)
      end
    end
    assert.equal(42, found)
  end)

  it("of a longer text, as a list in its order", function()
    local schema = {type = "object", properties = {people = {type = "array", items = support.person}}}
    local people = fill(schema, table.concat(sentences, " ")).people
    assert.equal(42, #people)
    assert.same({"Ada Marsh", "Bruno Keller"}, {people[1].name, people[2].name})
    assert.equal('{"people":[]}', json.encode(fill(schema, "Nobody is here.")))
  end)

  it("after other words, under other names, with where they were found", function()
    local schema = {type = "object", properties = {full_name = {type = "string"}, occupation = {type = "string"},
                                                   quote = {type = "string"}}}
    assert.same({full_name = "Carla Reyes", occupation = "marine biologist", quote = support.sentence},
      fill(schema, "Extract: " .. support.sentence .. " Thanks."))
  end)

  it("through references and unions, and null where nobody is", function()
    local schema = {type = "object", ["$defs"] = {P = support.person},
                    properties = {who = {anyOf = {{["$ref"] = "#/$defs/P"}, {type = "null"}}}}, required = {"who"}}
    assert.same({who = support.carla}, fill(schema, support.sentence))
    assert.same({who = json.null}, fill(schema, "Nobody."))
  end)
end)

describe("extraction: copyrights", function()
  it("holders and years", function()
    local schema = {type = "object", properties = {
      holder = {type = "string"}, years = {type = "array", items = {type = "integer"}}, statement = {type = "string"}}}
    local list = {type = "object", properties = {all = {type = "array", items = schema}}}
    local text = "Copyright (c) 1999-2004, 2007 Jane Doe <jane@example.org>\n * (C) 2020 by Acme, Inc. All rights."
    local found = fill(list, text).all
    assert.equal(2, #found)
    assert.same({"Jane Doe", {1999, 2004, 2007}}, {found[1].holder, found[1].years})
    assert.same({"Acme, Inc", {2020}}, {found[2].holder, found[2].years})
    assert.same({years = "1999-2004, 2007", holder = "Jane Doe"}, fill({type = "object",
      properties = {years = {type = "string"}, holder = {type = "string"}}}, text))
  end)
end)

describe("extraction: other schemas", function()
  local function object(properties, required) return {type = "object", properties = properties, required = required} end

  it("values by their names, their formats, their types", function()
    local text = "No 7. Order number: 42\nTotal = 19.90 EUR\nPaid: yes\nMail: bob@example.org\nDate: 2026-01-31\n"
      .. "Tags: a, b"
    assert.same({order_number = 42, total = 19.9, paid = true, contact = "bob@example.org", day = "2026-01-31",
                 tags = {"a", "b"}, currency = "EUR", note = json.null},
      fill(object {order_number = {type = "integer"}, total = {type = "number"}, paid = {type = "boolean"},
                   contact = {type = "string", format = "email"}, day = {type = "string", format = "date"},
                   tags = {type = "array", items = {type = "string"}}, currency = {enum = {"USD", "EUR"}},
                   note = {type = {"string", "null"}}}, text))
  end)

  it("what is not there: null, left out, or something of the type", function()
    local properties = {a = {type = "integer"}, b = {type = "boolean"}, c = {enum = {"x", "y"}}, d = {type = "string"},
                        e = {type = "array", items = {type = "string"}}, f = {const = 7}, g = {}}
    assert.equal('{"a":0,"b":false,"c":"x","d":"Nothing of it.","e":[],"f":7,"g":null}',
      json.encode(fill(object(properties), "Nothing of it. Really.")))
    assert.equal('{"e":[],"f":7}', json.encode(fill(object(properties, {}), "Nothing of it. Really.")))
  end)

  it("recursive ones end", function()
    local schema = object {name = {type = "string"}, child = {["$ref"] = "#"}}
    assert.equal("Ann", fill(schema, "name: Ann").name)
    assert.equal(json.null, fill({["$ref"] = "#"}, "x"))
    assert.equal(json.null, fill({["$ref"] = "#/nowhere"}, "x"))
  end)

  it("no schema at all, and all of several", function()
    assert.equal(json.null, fill({}, "x"))
    assert.same({a = 1, b = "x"}, fill({allOf = {object {a = {type = "integer"}}, object {b = {type = "string"}}}},
      "a: 1\nb: x"))
  end)

  it("long texts, and texts that are no UTF-8", function()
    local long = ("word "):rep(400000)
    assert.is_true(#fill(object {summary = {type = "string"}}, long).summary <= 200)
    assert.same({people = {}}, fill(object {people = {type = "array", items = support.person}}, long))
    assert.is_string(fill(object {summary = {type = "string"}}, ("\x80"):rep(1000)).summary)
  end)

  it("the names of properties are no patterns", function()
    assert.same({["a.b*%d["] = "x"}, fill(object {["a.b*%d["] = {type = "string"}}, "a b d: x"))
    assert.same({["%"] = "t", [""] = "t"}, fill(object {["%"] = {type = "string"}, [""] = {type = "string"}}, "t"))
  end)
end)

describe("strict", function()
  it("tells where a schema is not", function()
    local inner = {type = "object", properties = {x = {type = "string"}}, required = {"x"}}
    local outer = {type = "object", properties = {list = {type = "array", items = inner}}, required = {"list"},
                   additionalProperties = false}
    assert.truthy(strict.check(outer):find("'properties', 'list', 'items'", 1, true))
    inner.additionalProperties = false
    assert.is_nil(strict.check(outer))
    inner.properties.x = {["$ref"] = "#", description = "again"}
    assert.truthy(strict.check(outer):find "$ref cannot have keywords")
    inner.properties.x = {oneOf = {{type = "string"}}}
    assert.truthy(strict.check(outer):find "'oneOf' is not permitted")
    assert.is_string(strict.check(5))
    assert.is_string(strict.check {type = "string"})
  end)
end)
