-- lua/muster/schema/json_schema.lua, strict.lua and pattern.lua: schemas as JSON Schema, open and strict; what the
-- strict dialect cannot say, and its limits; Lua patterns as regular expressions.

local dialect = require "spec.support.dialect"
local json = require "muster.json"
local lpeg = require "lpeg"
local pattern = require "muster.schema.pattern"
local schema = require "muster.schema"
local strict_rules = require "muster.schema.strict"

local function open(s) return assert(s:json_schema()) end

local function strict(s)
  local made = assert(s:json_schema {strict = true})
  assert(dialect.check(made))
  return made
end

-- A field of a schema, in the strict dialect.
local function strict_field(s) return strict(schema.object {a = s}).properties.a end

local function open_field(s) return open(schema.object {a = s}).properties.a end

-- Why there is no strict schema.
local function refused(s)
  local made, err = s:json_schema {strict = true}
  assert.is_nil(made)
  assert.equal("schema", err.kind)
  return tostring(err)
end

local Person = schema.object({
  {"name", schema.string {min_length = 1, description = "Full name"}}, {"age", schema.integer {min = 0, max = 150}},
  {"job", schema.optional(schema.string())},
}, {name = "Person", description = "Somebody."})

describe("JSON Schema", function()
  it("has the keywords of draft 2020-12", function()
    assert.same({
      type = "object", title = "Person", description = "Somebody.", required = {"name", "age"},
      properties = {
        name = {type = "string", minLength = 1, description = "Full name"},
        age = {type = "integer", minimum = 0, maximum = 150}, job = {type = "string"},
      },
    }, open(Person))
  end)

  it("tells the order of properties", function()
    assert.same({"name", "age", "job"}, getmetatable(open(Person).properties).__keys)
    local s = schema.object({c = schema.any, b = schema.any, a = schema.any}, {order = {"b"}})
    assert.same({"b", "a", "c"}, getmetatable(open(s).properties).__keys)
  end)

  it("has a keyword for every constraint", function()
    assert.same({type = "string", minLength = 2, maxLength = 2, pattern = "^[A-Z]", format = "uri"},
      open(schema.string {length = 2, pattern = "^%u", format = "uri"}))
    assert.same({type = "number", exclusiveMinimum = 0, exclusiveMaximum = 1, multipleOf = 0.25},
      open(schema.number {exclusive_min = 0, exclusive_max = 1, multiple_of = 0.25}))
    assert.same({type = "array", items = {type = "boolean"}, minItems = 1, maxItems = 2, uniqueItems = true},
      open(schema.list(schema.boolean(), {min_items = 1, max_items = 2, unique = true})))
    assert.same({type = "object", additionalProperties = {type = "string"}, minProperties = 1, maxProperties = 2,
      propertyNames = {type = "string", maxLength = 3}},
      open(schema.map(schema.string(), {min_items = 1, max_items = 2, keys = schema.string {max_length = 3}})))
    assert.same({type = "array", prefixItems = {{type = "string"}, {type = "integer"}}, items = false, minItems = 2,
      maxItems = 2}, open(schema.tuple {schema.string(), schema.integer()}))
    assert.same({}, open(schema.any()))
    assert.same({enum = {"a", 1}, type = {"string", "integer"}}, open(schema.enum {"a", 1}))
    assert.same({const = false, type = "boolean"}, open(schema.literal(false)))
    assert.same({const = 1.5, type = "number", title = "T"}, open(schema.literal(1.5, {title = "T"})))
  end)

  it("tells optional from nullable, and has defaults", function()
    local s = schema.object {
      a = schema.optional(schema.integer()), b = schema.nullable(schema.integer()), c = schema.integer {default = 1},
      d = schema.any(), e = schema.nullable(schema.integer(), {default = 2}),
    }
    local made = open(s)
    assert.same({"b"}, made.required)
    assert.same({type = "integer"}, made.properties.a)
    assert.same({type = {"integer", "null"}}, made.properties.b)
    assert.same({type = "integer", default = 1}, made.properties.c)
  end)

  it("says what becomes of other fields", function()
    assert.is_nil(open(schema.object {}).additionalProperties)
    assert.is_nil(open(schema.object {}).required)
    assert.is_false(open(schema.object({}, {additional = "forbid"})).additionalProperties)
    assert.is_true(open(schema.object({}, {additional = "keep"})).additionalProperties)
  end)

  it("is written with the properties in order, and with empty lists and objects as they are", function()
    local s = schema.object({{"why", schema.list(schema.any())}, {"answer", schema.boolean()}, {"b", schema.object {}}})
    local text = json.encode(open(s))
    assert.truthy(text:find('"properties":{"why":{', 1, true))
    assert.truthy(text:find('"required":["why","answer","b"]', 1, true))
    assert.truthy(text:find('"items":{}', 1, true))
    assert.truthy(text:find('"properties":{}', 1, true))
    text = json.encode(strict(schema.object {}))
    assert.truthy(text:find('"required":[]', 1, true) and text:find('"properties":{}', 1, true))
  end)

  it("is a fresh table each time, and no part of the schema", function()
    local s = schema.object {a = schema.enum {"x"}, b = schema.list(schema.string(), {default = {"y"}})}
    open(s).properties.a.enum[1] = "spoilt"
    open(s).properties.b.default[1] = "spoilt"
    assert.equal("x", open(s).properties.a.enum[1])
    assert.same({b = {"y"}, a = "x"}, s:validate {a = "x"})
  end)
end)

describe("the strict dialect", function()
  it("requires every field, allows no other, and makes optional ones nullable", function()
    local made = strict(Person)
    assert.same({"name", "age", "job"}, made.required)
    assert.is_false(made.additionalProperties)
    assert.same({type = {"string", "null"}}, made.properties.job)
    assert.same({type = "integer", minimum = 0, maximum = 150}, made.properties.age)
    assert.same({}, strict(schema.object {}).required)
  end)

  it("says in words what it has no keyword for", function()
    assert.equal("Full name (at least 1 character)", strict(Person).properties.name.description)
    assert.same({type = "string",
      description = "At least 2 characters; at most 3 characters; a URI such as https://example.org/a"},
      strict_field(schema.string {min_length = 2, max_length = 3, format = "uri"}))
    assert.same({type = "string", description = "Matching the Lua pattern %b()"},
      strict_field(schema.string {pattern = "%b()"}))
    assert.equal("No item twice", strict_field(schema.list(schema.string(), {unique = true})).description)
    assert.same({type = {"integer", "null"}, description = "How many (null for 3)"},
      strict_field(schema.integer {default = 3, description = "How many"}))
  end)

  it("has no keywords of constraints for servers that know none", function()
    local made = assert(schema.object {a = schema.integer {min = 1, description = "N"},
      b = schema.string {format = "date"},
      c = schema.string {pattern = "^a"}}:json_schema {strict = true, constraints = false})
    assert.same({a = {type = "integer", description = "N (at least 1)"}, b = {type = "string",
      description = "A date such as 2024-02-29"}, c = {type = "string",
        description = "Matching the regular expression ^a"}},
      made.properties)
  end)

  it("makes anything nullable", function()
    local function nullable(s) return strict_field(schema.optional(s)) end
    assert.same({anyOf = {{type = "string", enum = {"a"}}, {type = "null"}}}, nullable(schema.enum {"a"}))
    assert.same({anyOf = {{type = "string", const = "a"}, {type = "null"}}}, nullable(schema.literal "a"))
    assert.same({anyOf = {{type = "array", items = {type = "string"}}, {type = "null"}}, description = "D"},
      nullable(schema.list(schema.string(), {description = "D"})))
    assert.same({anyOf = {{type = "string"}, {type = "boolean"}, {type = "null"}}},
      nullable(schema.union {schema.string(), schema.boolean()}))
    assert.same({type = {"string", "null"}}, nullable(schema.nullable(schema.string())))
    assert.same({anyOf = {{type = "string", const = "a"}, {type = "null"}}},
      nullable(schema.nullable(schema.literal "a")))
    assert.equal("null", nullable(schema.object {}).anyOf[2].type)
  end)

  it("puts the field that tells branches apart first", function()
    local s = schema.union {
      schema.object {a = schema.integer(), kind = schema.literal "x"}, schema.object {b = schema.string(),
        kind = schema.literal "y"},
    }
    for _, branch in ipairs(strict_field(s).anyOf) do
      assert.equal("kind", getmetatable(branch.properties).__keys[1])
      assert.equal("kind", branch.required[1])
    end
  end)

  it("flattens unions of unions", function()
    local s = schema.union {schema.union {schema.string(), schema.integer()}, schema.boolean()}
    assert.same({anyOf = {{type = "string"}, {type = "integer"}, {type = "boolean"}}}, strict_field(s))
  end)

  it("tells everything that it cannot say, with its place", function()
    local s = schema.object({
      a = schema.list(schema.object {m = schema.map(schema.string())}), b = schema.any(),
        c = schema.tuple {schema.any()},
    }, {name = "Odd"})
    local text = refused(s)
    assert.truthy(text:find("Odd is no strict schema: ", 1, true))
    assert.truthy(text:find("a[].m: a map has no fixed fields", 1, true))
    assert.truthy(text:find("b: any value at all has no type", 1, true))
    assert.truthy(text:find("c: a tuple has no place in it", 1, true))
    assert.truthy(text:find("c[1]: any value", 1, true))
    assert.equal(4, #select(2, s:json_schema {strict = true}).problems)
    assert.truthy(open(s))
  end)

  it("has an object as its root", function()
    for _, s in ipairs {schema.list(Person), schema.string(), schema.union {Person, Person}, schema.optional(Person)} do
      assert.equal("this is no strict schema: the root has to be an object (see schema.wrapped)", refused(s))
      assert.truthy(strict(schema.wrapped(s)))
    end
    assert.truthy(strict(schema.lazy(function() return Person end)))
  end)
end)

describe("the limits of the strict dialect", function()
  local function nested(levels)
    local s = schema.object {}
    for _ = 2, levels do s = schema.object {a = schema.list(s)} end
    return s
  end

  local function wide(n)
    local fields = {}
    for i = 1, n do fields["f" .. i] = schema.boolean end
    return schema.object(fields)
  end

  local function enum(n, length)
    local values = {}
    for i = 1, n do values[i] = ("x"):rep(length - #tostring(i)) .. i end
    return schema.enum(values)
  end

  it("are kept, and told when broken", function()
    assert.truthy(strict(nested(strict_rules.MAX_DEPTH)))
    assert.truthy(refused(nested(11)):find("it has 11 levels of objects, at most 10", 1, true))
    assert.truthy(strict(wide(5000)))
    assert.truthy(refused(wide(5001)):find("it has 5001 properties, at most 5000", 1, true))
    assert.truthy(strict(schema.object {a = enum(500, 5), b = enum(500, 5)}))
    assert.truthy(refused(schema.object {a = enum(1000, 5), b = enum(1,
      5)}):find("1001 values of enums, at most 1000", 1, true))
    assert.truthy(strict(schema.object {a = enum(250, 100)}))
    assert.truthy(refused(schema.object {a = enum(251, 100)}):find("251 strings has 25100 characters, at most 15000",
      1, true))
    assert.truthy(refused(schema.object {a = schema.literal(("x"):rep(120000))}):find("120001 characters of names", 1,
      true))
  end)
end)

describe("recursive schemas as JSON Schema", function()
  local Node
  local function again(opts) return schema.lazy(function() return Node end, opts) end
  Node = schema.object({value = schema.integer(), next = schema.optional(again {description = "The next"}),
    all = schema.list(again())},
    {name = "Node"})

  it("refer to $defs; the root is there in full", function()
    local made = open(Node)
    assert.equal("object", made.type)
    assert.same({["$ref"] = "#/$defs/Node"}, made.properties.all.items)
    assert.same({["$ref"] = "#/$defs/Node", description = "The next"}, made.properties.next)
    assert.same(made.properties, made["$defs"].Node.properties)
  end)

  it("have no siblings of $ref in the strict dialect", function()
    local made = strict(Node)
    assert.same({anyOf = {{["$ref"] = "#/$defs/Node"}, {type = "null"}}, description = "The next"},
      made.properties.next)
    local s
    s = schema.object({a = schema.list(schema.lazy(function() return s end, {description = "D"}))})
    assert.same({anyOf = {{["$ref"] = "#/$defs/Def"}}, description = "D"}, strict(s).properties.a.items)
  end)

  it("keep schemas of the same name apart", function()
    local A, B = schema.object({a = schema.string()}, {name = "X"}), schema.object({b = schema.string()}, {name = "X"})
    local s = schema.object {a = schema.lazy(function() return A end), b = schema.lazy(function() return B end)}
    local made = strict(s)
    assert.truthy(made["$defs"].X.properties.a)
    assert.truthy(made["$defs"].X_2.properties.b)
  end)
end)

describe("Lua patterns as regular expressions", function()
  local exact = {
    ["^%d+$"] = "^[0-9]+$", ["a.b"] = false, ["a.-b"] = "a[\\s\\S]*b", ["^%u%l*$"] = "^[A-Z][a-z]*$",
    ["^(%w+)%.(%w+)$"] = "^(?:[A-Za-z0-9]+)\\.(?:[A-Za-z0-9]+)$", ["[%w_-]"] = "[A-Za-z0-9_\\-]",
    ["%a-%-?"] = "[A-Za-z]*\\-?", ["x^y$z"] = "x\\^y\\$z", ["(ab)*"] = "(?:ab)\\*",
      ["[^%s,]+"] = "[^ \\t\\n\\v\\f\\r,]+",
    ["é"] = "é", ["é+"] = false, ["[é]"] = false, ["^%S+$"] = "^[^ \\t\\n\\v\\f\\r]+$", ["..+"] = false,
      [".+.+"] = false,
    [".+a.+"] = "[\\s\\S]+a[\\s\\S]+", [".+a*.+"] = false, [".*.+"] = "[\\s\\S]*[\\s\\S]+", [".?"] = false,
      ["%b()"] = false,
    ["%f[%w]x"] = false, ["(a)%1"] = false, ["()a"] = false, ["[]]"] = "[\\]]", ["[^]]*"] = "[^\\]]*",
      ["[a-]"] = "[a\\-]",
    ["[+--]"] = "[+-\\-]", ["%%"] = "%", ["a/b"] = "a\\/b", ["\0"] = "\\x00", ["{}"] = "\\{\\}", [""] = "", ["$"] = "$",
    ["[z-a]"] = false, ["%z"] = "[\\x00]", ["\xff"] = false, ["[!-%]x]"] = false,
  }
  exact["%-?"], exact["%a-%-?"] = "-?", "[A-Za-z]*-?"

  it("say exactly the same, or nothing", function()
    for lua, regex in pairs(exact) do assert.equal(regex, pattern.translate(lua), lua) end
  end)

  it("are left to `regex` where it is given, as for LPeg", function()
    assert.equal("^x$", open_field(schema.string {pattern = lpeg.P "x" * -1, regex = "^x$"}).pattern)
    assert.is_nil(open_field(schema.string {pattern = lpeg.P "x"}).pattern)
    assert.equal("^y", open_field(schema.string {pattern = "%b()", regex = "^y"}).pattern)
  end)
end)
