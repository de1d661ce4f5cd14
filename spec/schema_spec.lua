-- lua/muster/schema.lua: what is refused, and how the errors read; misuse of constructors; copies, defaults, checks.

local async = require "muster"
local json = require "muster.json"
local schema = require "muster.schema"
local support = require "spec.support.schema"

local null = schema.null
local accepts, errors, refuses = support.accepts, support.errors, support.refuses
local misuse = support.misuse

local Person = schema.object({
  name = schema.string {min_length = 1}, age = schema.integer {min = 0, max = 150},
    job = schema.optional(schema.string()),
}, {name = "Person"})

describe("errors of a schema", function()
  it("have the path, what was expected, and what was there; all of them", function()
    local People = schema.object {people = schema.list(Person)}
    local value = {people = {{name = "A", age = 1}, {age = "forty"}, {name = "", age = 200, job = {1, 2}}}}
    assert.equal([[
people[2].age: expected an integer from 0 to 150, got "forty"
people[2].name: missing, expected a string of at least 1 character
people[3].age: expected an integer from 0 to 150, got 200
people[3].job: expected a string, got a list of 2 items
people[3].name: expected a string of at least 1 character, got ""]], errors(People, value))
  end)

  it("are a list of tables", function()
    local _, list = Person:validate {name = "A", age = true}
    assert.equal(1, #list)
    assert.equal("invalid", list.kind)
    assert.is_false(list.retryable)
    assert.equal("age: expected an integer from 0 to 150, got true", list.message)
    local e = list[1]
    assert.same({"age", "/age", "type", "an integer from 0 to 150", "true"}, {e.path, e.pointer, e.kind, e.expected,
      e.got})
    assert.equal("age: " .. e.message, tostring(e))
  end)

  it("write odd keys so that Lua would read them, and pointers as RFC 6901 says", function()
    local s = schema.map(schema.list(schema.integer()))
    local _, list = s:validate {["a b/c~"] = {1, "x"}}
    assert.equal('["a b/c~"][2]', list[1].path)
    assert.equal("/a b~1c~0/1", list[1].pointer)
  end)

  it("shorten what was there, at a border of UTF-8, on one line", function()
    local text = errors(schema.integer(), "a\n\"" .. ("é"):rep(1000))
    assert.equal('expected an integer, got "a\\n\\"' .. ("é"):rep(28) .. '…" (2003 bytes)', text)
    assert.truthy(utf8.len(errors(schema.string(), "\xff\xfe\0")))
    assert.truthy(utf8.len(errors(schema.integer(), ("\xf0\x9f\x98\x80"):rep(100) .. "\xf0")))
  end)

  it("say what kind of thing was there", function()
    local s = schema.boolean()
    assert.equal("expected a boolean, got null", errors(s, null))
    assert.equal("missing, expected a boolean", errors(s, nil))
    assert.equal("expected a boolean, got an empty table", errors(s, {}))
    assert.equal("expected a boolean, got a list of 1 item", errors(s, {1}))
    assert.equal("expected a boolean, got an object with a, b", errors(s, {a = 1, b = 2}))
    assert.equal("expected a boolean, got a function", errors(s, print))
    assert.equal("expected a boolean, got 0.1", errors(s, 0.1))
    assert.equal("expected a boolean, got 2.0", errors(s, 2.0))
  end)

  it("are at most fifty, or as many as asked for", function()
    local s, long = schema.list(schema.integer()), {}
    for i = 1, 100000 do long[i] = "x" end
    local _, list = s:validate(long)
    assert.equal(50, #list)
    assert.is_true(list.truncated)
    assert.truthy(tostring(list):find "… and more$")
    _, list = s:validate(long, {max_errors = 3})
    assert.equal(3, #list)
    long = table.move(long, 1, 50, 1, {})
    assert.is_false(select(2, s:validate(long)).truncated)
  end)

  it("come in the same order whatever the order of the keys", function()
    local s = schema.object({b = schema.integer(), a = schema.integer()}, {additional = "forbid"})
    for _ = 1, 20 do
      local value = {}
      for _, key in ipairs {"z", "y", "x", "w"} do value[key] = 1 end
      assert.equal([[
a: missing, expected an integer
b: missing, expected an integer
w: unknown field, expected only a, b
x: unknown field, expected only a, b
y: unknown field, expected only a, b
z: unknown field, expected only a, b]], errors(s, value))
    end
  end)
end)

describe("misuse of a constructor", function()
  it("raises, naming function, argument, and what is expected", function()
    misuse("schema.string: option 'min_length' must be an integer of at least 0, got \"x\"", schema.string,
      {min_length = "x"})
    misuse("schema.string: option 'pattern' must be a Lua pattern or a pattern of LPeg, got 3", schema.string,
      {pattern = 3})
    misuse("schema.list: argument 1 must be a schema, got nothing", schema.list)
    misuse("schema.list: argument 1 must be a schema, got \"string\"", schema.list, "string")
    misuse("schema.optional: the options must be a table, got a schema", schema.optional, schema.string(),
      schema.string())
    misuse("schema.enum: argument 1 must be a list that is not empty, got an empty table", schema.enum, {})
    misuse("schema.enum: 'description' in its list: options are a table of their own", schema.enum, {"a",
      description = "x"})
    misuse('schema.enum: "a" is in it twice', schema.enum, {"a", "a"})
    misuse("schema.enum: item 1 must be a string, a finite number or a boolean, got not a number", schema.enum, {0 / 0})
    misuse("schema.literal: argument 1 must be a string, a finite number or a boolean, got null", schema.literal, null)
    misuse("schema.union: item 2 must be a schema, got 3", schema.union, {schema.string(), 3})
    misuse("schema.lazy: argument 1 must be a function that returns a schema, got a schema", schema.lazy,
      schema.string())
    misuse("schema.object: field 'a' must be a schema, got 1", schema.object, {a = 1})
    misuse("schema.object: item 1 must be a pair of a name and a schema, got \"a\"", schema.object, {"a",
      schema.string()})
    misuse("schema.object: the field 'a' is in it twice", schema.object, {{"a", schema.any}, {"a", schema.any}})
    misuse("schema.object: option 'order': there is no field 'b'", schema.object, {a = schema.any}, {order = {"b"}})
    misuse("schema.named: argument 1 must be a string of 1 to 64 letters, digits, '_' and '-', got \"a b\"",
      Person.named, Person, "a b")
    misuse("schema.wrapped: argument 1 must be a schema, got 1", schema.wrapped, 1)
  end)

  it("raises for options that are unknown, and tells which there are", function()
    misuse("schema.boolean: unknown option 'min'; it takes check, default, description, name, title", schema.boolean,
      {min = 1})
    assert.error_matches(function() Person:validate({}, {coerse = true}) end, "unknown option 'coerse'")
    assert.error_matches(function() Person:json_schema {strict = 1} end, "'strict' must be a boolean")
  end)

  it("raises for limits that no value meets", function()
    misuse("schema.integer: option 'min' is above 'max'", schema.integer, {min = 2, max = 1})
    misuse("schema.list: option 'min_items' is above 'max_items'", schema.list, schema.any, {min_items = 2,
      max_items = 1})
    misuse("schema.string: option 'length' is exact: it excludes minima and maxima", schema.string, {length = 1,
      max_length = 2})
  end)

  it("raises for malformed patterns, wherever in the pattern", function()
    for _, pattern in ipairs {"a[", "(a", "a)", "%", "a%", "[%", "[^]", "%b", "%bx", "%fa", "%1", "(%1)", "[a-"} do
      assert.is_false(pcall(string.match, "a", pattern) and pcall(string.match, "", pattern), pattern)
      assert.error_matches(function() schema.string {pattern = pattern} end, "option 'pattern': the Lua pattern ")
    end
  end)

  it("raises for a default that the schema refuses, where it is made", function()
    local fine, err = pcall(function() schema.integer {default = "x"} end)
    assert.is_false(fine)
    assert.truthy(err:find "schema_spec.lua:%d+: schema.integer: option 'default': expected an integer, got \"x\"$")
  end)

  it("raises for a discriminator that tells nothing apart", function()
    local A = schema.object {kind = schema.literal "a"}
    assert.error_matches(function() schema.union({A, A}, {discriminator = "kind"}) end, "with values of its own")
    assert.error_matches(function() schema.union({A, schema.string()}, {discriminator = "kind"}) end,
      "literal or an enum")
    local late = schema.union({A, schema.lazy(function() return A end)}, {discriminator = "kind"})
    assert.error_matches(function() late:validate {} end, "does not tell the branches apart")
  end)

  it("raises for a lazy schema that is none", function()
    assert.error_matches(function() schema.lazy(function() return 1 end):validate(1) end, "what its function returns")
    local loop
    loop = schema.lazy(function() return loop end)
    assert.error_matches(function() loop:validate(1) end, "it stands for itself")
  end)
end)

describe("objects", function()
  it("come back as a copy, without the fields that nobody named", function()
    local value = {name = "A", age = 1, extra = true}
    local made = Person:validate(value)
    assert.same({name = "A", age = 1}, made)
    assert.is_true(value.extra)
    assert.not_equal(value, made)
  end)

  it("keep or forbid other fields if asked", function()
    local inner = {1, {2}}
    local keep = schema.object({a = schema.integer()}, {additional = "keep"})
    local made = keep:validate {a = 1, b = inner}
    assert.same({a = 1, b = inner}, made)
    assert.not_equal(inner, made.b)
    assert.equal("b[2]: expected a value of JSON, got a function", errors(keep, {a = 1, b = {1, print}}))
    local forbid = schema.object({}, {additional = "forbid"})
    assert.equal("b: unknown field, expected no fields", errors(forbid, {b = 1}))
    assert.same({}, forbid:validate {})
    refuses(forbid, {[2] = 1}, {[true] = 1})
    refuses(keep, {a = 1, ["\xff"] = 1}, {a = 1, [2] = 1})
  end)

  it("are not lists, nor other things", function()
    assert.equal("expected an object (Person), got a list of 1 item", errors(Person, {1}))
    assert.equal('expected an object (Person), got "{}"', errors(Person, "{}"))
    assert.equal("expected an object (Person), got null", errors(Person, null))
    assert.same({}, schema.object({}):validate {})
  end)

  it("turn null into nil; required fields refuse it", function()
    local s = schema.object {a = schema.nullable(schema.integer()), b = schema.optional(schema.string())}
    assert.same({}, s:validate {a = null, b = null})
    assert.same({}, s:validate {})
    assert.equal("a: expected an integer or null, got true", (errors(s, {a = true}):gsub("an integer,",
      "an integer or null,")))
    assert.equal("name: expected a string of at least 1 character, got null", errors(Person, {name = null, age = 1}))
  end)

  it("fill in defaults: fresh copies, for what is absent or null", function()
    local s = schema.object {tags = schema.list(schema.string(), {default = {"x"}}), n = schema.integer {default = 2.0}}
    local a, b = s:validate {}, s:validate {tags = null, n = null}
    assert.same({tags = {"x"}, n = 2}, a)
    assert.same(a, b)
    assert.equal("integer", math.type(a.n))
    assert.not_equal(a.tags, b.tags)
    assert.same({tags = {}, n = 1}, s:validate {tags = {}, n = 1})
    assert.is_false(schema.object {b = schema.boolean {default = false}}:validate({}).b)
  end)

  it("hold false", function()
    assert.same({a = false}, schema.object {a = schema.optional(schema.boolean())}:validate {a = false})
  end)

  it("take constructors as they are", function()
    assert.same({a = "x", b = {1}}, schema.object {a = schema.string,
      b = schema.list(schema.integer)}:validate {a = "x", b = {1}})
  end)
end)

describe("lists", function()
  it("have no holes, and no other keys", function()
    local s = schema.list(schema.optional(schema.integer()))
    accepts(s, {}, {1, 2})
    refuses(s, {1, nil, 3}, {[2] = 1}, {1, x = 2}, {[1.5] = 1}, {[0] = 1}, {x = 1}, "x", null)
    assert.equal('expected a list, got a table with items and the key "x"', errors(s, {1, x = 2}))
    assert.equal("expected a list, got an object with x", errors(s, {x = 1}))
  end)

  it("keep null", function()
    assert.same({null, 1}, schema.list(schema.nullable(schema.integer())):validate {null, 1})
    assert.equal("[1]: expected an integer, got null", errors(schema.list(schema.integer()), {null}))
  end)

  it("have so many items", function()
    assert.equal("expected a list of 1 to 2 items, got an empty table", errors(schema.list(schema.any, {min_items = 1,
      max_items = 2}), {}))
    refuses(schema.list(schema.any, {length = 2}), {1}, {1, 2, 3})
    accepts(schema.list(schema.any, {length = 2}), {1, 2})
  end)

  it("have no item twice, whatever it is", function()
    local s = schema.list(schema.any(), {unique = true})
    accepts(s, {1, "1", true, "true", {}, {1}, {"1"}, {a = 1}, {{1}}, {{}, 1}})
    assert.equal("[3]: is the same as item 1, expected no item twice", errors(s, {"a", "b", "a"}))
    refuses(s, {1, 1.0}, {{a = {1, 2}}, {a = {1.0, 2}}}, {null, null}, {{}, {}})
  end)

  it("may be tuples", function()
    local s = schema.tuple {schema.string(), schema.integer()}
    accepts(s, {"a", 1})
    refuses(s, {"a"}, {"a", 1, 2}, {1, "a"}, {}, {a = 1})
    assert.equal("[2]: expected an integer, got \"b\"", errors(s, {"a", "b"}))
  end)
end)

describe("maps", function()
  it("have string keys, and values of one kind", function()
    local s = schema.map(schema.integer(), {max_items = 2, keys = schema.string {pattern = "^%l+$"}})
    accepts(s, {}, {a = 1}, {a = 1, b = 2})
    refuses(s, {1}, {[true] = 1}, {a = 1, [2] = 2}, {a = 1, b = 2, c = 3}, {A = 1}, {a = "x"}, {["\xff"] = 1})
    assert.same({a = null}, schema.map(schema.nullable(schema.any())):validate {a = null})
    refuses(schema.map(schema.any()), {["\xff"] = 1})
  end)
end)

it("empty lists and objects are written as what the schema says they are, or as they came", function()
  local s = schema.object {
    l = schema.list(schema.any), m = schema.map(schema.any), o = schema.object {}, a = schema.any,
  }
  local text = '{"a":[{},[]],"l":[],"m":{},"o":{}}'
  assert.equal(text, json.encode(s:validate(json.decode(text)), {canonical = true}))
  assert.equal(text, json.encode(s:validate(json.decode '{"a":[{},[]],"l":{},"m":[],"o":[]}'), {canonical = true}))
end)

describe("any value", function()
  it("is a value of JSON, and copied", function()
    local value = {1, "a", null, {b = {}}, false}
    local made = schema.any():validate(value)
    assert.same(value, made)
    assert.not_equal(value[4], made[4])
    assert.is_nil(schema.any():validate(nil))
    refuses(schema.any(), print, 0 / 0, {1, nil, 3}, {[true] = 1}, {a = print}, "\xff", {["\xff"] = 1}, math.huge)
  end)
end)

describe("checks", function()
  local even = schema.integer {check = function(n) return n % 2 == 0 or nil, "must be even" end}

  it("refuse with their message, of a field or of the whole", function()
    assert.equal("must be even, got 3", errors(even, 3))
    accepts(even, 2)
    local Span = schema.object({from = schema.integer(), to = schema.integer()}, {
      check = function(v) return v.from <= v.to or nil, "'to' must not be before 'from'", "to" end,
    })
    assert.equal("spans[1].to: 'to' must not be before 'from'", errors(schema.object {spans = schema.list(Span)},
      {spans = {{from = 2, to = 1}}}))
    assert.equal("does not pass its check, got 1", errors(schema.integer {check = function() end}, 1))
  end)

  it("see only values that are right otherwise, and never null", function()
    local seen = {}
    local s = schema.list(schema.optional(schema.integer(), {check = function(v) table.insert(seen,
      v) return true end}))
    s:validate {1, "x", null}
    assert.same({1}, seen)
  end)

  it("that raise make validate raise, with the path", function()
    local s = schema.object {a = schema.list(schema.integer {check = function(v) return v.x.y end})}
    local fine, err = pcall(s.validate, s, {a = {5}})
    assert.is_false(fine)
    assert.truthy(tostring(err):find "the check of a%[1%] raised: .*attempt to index a number value")
    assert.equal("a[1]", err.path)
    assert.equal("check", err.kind)
    local in_union = schema.union {schema.integer {check = function() error("boom", 0) end}, schema.any()}
    fine, err = pcall(in_union.validate, in_union, 1)
    assert.is_false(fine)
    assert.equal("the check of the value raised: boom", tostring(err))
  end)

  it("may await, also in several tasks at once", function()
    local slow = schema.object {
      n = schema.integer {check = function(n)
        async.yield()
        return n < 10 or nil, "must be below 10"
      end},
      m = schema.integer(),
    }
    local results = async.gather {
      function() return tostring(select(2, slow:validate {n = 11, m = "x"})) end,
      function() return slow:validate({n = 1, m = 2}).m end,
      function() return tostring(select(2, slow:validate {n = 12, m = 1})) end,
    }
    results.n = nil
    assert.same({"m: expected an integer, got \"x\"\nn: must be below 10, got 11", 2, "n: must be below 10, got 12"},
      results)
  end)

  it("let a cancellation through as it is", function()
    local s = schema.list(schema.integer {check = function() async.sleep(1000) return true end})
    local caught
    local task = async.spawn(function()
      local fine, err = pcall(s.validate, s, {1})
      caught = not fine and err
      error(err, 0)
    end)
    async.yield()
    task:cancel()
    task:pawait()
    assert.is_true(async.is_cancelled(caught))
  end)
end)

it("schema.wrapped puts what is no object into one", function()
  local s, key = schema.wrapped(schema.list(Person, {name = "People"}))
  assert.equal("items", key)
  assert.equal("People", s.name)
  assert.same({items = {{name = "A", age = 1}}}, s:validate {items = {{name = "A", age = 1}}})
  s, key = schema.wrapped(schema.string)
  assert.equal("value", key)
  assert.same({value = "x"}, s:validate {value = "x"})
  s, key = schema.wrapped(Person)
  assert.equal(Person, s)
  assert.is_nil(key)
end)
