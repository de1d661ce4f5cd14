-- lua/muster/schema/union.lua: unions, recursion, and values that are hostile to them.

local schema = require "muster.schema"
local support = require "spec.support.schema"

local accepts, errors, refuses = support.accepts, support.errors, support.refuses

describe("unions", function()
  it("take the first branch that fits, without coercion if that can be", function()
    local s = schema.union {schema.integer(), schema.string()}
    assert.equal("42", s:validate("42", {coerce = true}))
    assert.equal(42, s:validate(42, {coerce = true}))
    assert.equal(7, schema.union {schema.integer(), schema.boolean()}:validate("7", {coerce = true}))
    assert.equal("expected an integer or a string, got true", errors(s, true))
  end)

  it("of objects take the branch that keeps most of the value", function()
    local s = schema.union {
      schema.object {a = schema.optional(schema.integer())}, schema.object {a = schema.integer(), b = schema.integer()},
      schema.object {c = schema.list(schema.object {}), d = schema.integer {default = 1}},
      schema.object {c = schema.list(schema.object {x = schema.any})},
    }
    accepts(s, {}, {a = 1}, {a = 1, b = 2}, {c = {{x = {1, 2}}}})
    assert.same({c = {{}}, d = 1}, s:validate {c = {{y = 1}}})
  end)

  it("name every choice if none comes near", function()
    local s = schema.union {schema.integer {min = 0}, schema.object {a = schema.any}, schema.list(schema.string())}
    assert.equal("expected an integer of at least 0, an object or a list, got -1", errors(s, -1))
  end)

  it("tell the errors of the branch that comes nearest", function()
    local s = schema.union {
      schema.object {street = schema.string(), city = schema.string()}, schema.object {lat = schema.number(),
        lon = schema.number()},
    }
    assert.equal("lon: expected a number, got \"x\"", errors(s, {lat = 1, lon = "x"}))
    assert.equal("city: missing, expected a string", errors(s, {street = "x"}))
  end)

  local Cat = schema.object {kind = schema.literal "cat", lives = schema.integer()}
  local Dog = schema.object {kind = schema.enum {"dog", "wolf"}, name = schema.string()}

  it("are told apart by a field of literals, found or named", function()
    for _, opts in ipairs {{}, {discriminator = "kind"}} do
      local s = schema.union({Cat, Dog}, opts)
      accepts(s, {kind = "cat", lives = 9}, {kind = "wolf", name = "x"})
      assert.equal("lives: missing, expected an integer", errors(s, {kind = "cat", name = "x"}))
      assert.equal('kind: expected one of "cat", "dog", "wolf", got "cow"', errors(s, {kind = "cow"}))
      assert.equal('kind: missing, expected one of "cat", "dog", "wolf"', errors(s, {}))
      assert.equal("expected an object, got 1", errors(s, 1))
    end
  end)

  it("hold null and each other", function()
    local s = schema.object {a = schema.union {schema.nullable(schema.integer()), schema.union {schema.boolean(),
      schema.string()}}}
    accepts(s, {a = 1}, {a = false}, {a = "x"}, {})
    refuses(s, {a = {}})
  end)
end)

describe("recursive schemas", function()
  local Node
  Node = schema.object({value = schema.integer(), children = schema.list(schema.lazy(function() return Node end))},
    {name = "Node"})

  local function chain(n)
    local value = {value = 0, children = {}}
    for i = 1, n do value = {value = i, children = {value}} end
    return value
  end

  it("validate trees, with their paths", function()
    accepts(Node, chain(10))
    assert.equal("children[1].children[2].value: missing, expected an integer",
      errors(Node, {value = 1, children = {{value = 2, children = {{value = 3, children = {}}, {children = {}}}}}}))
  end)

  it("refuse hostile depth", function()
    assert.truthy(errors(Node, chain(100000)):find "expected at most 100 levels of nesting")
    assert.truthy(Node:validate(chain(200), {max_depth = 500}))
    local deep = {}
    for _ = 1, 100000 do deep = {deep} end
    assert.truthy(errors(schema.any(), deep):find "expected at most 100 levels")
  end)

  it("refuse values that hold themselves, however often", function()
    local value = {value = 1, children = {}}
    for i = 1, 20 do value.children[i] = value end
    assert.truthy(errors(Node, value):find "the value holds itself")
    local loop = {}
    for i = 1, 20 do loop[i] = loop end
    assert.truthy(errors(schema.any(), loop):find "the value holds itself")
    assert.truthy(errors(schema.list(schema.list(schema.integer())), loop):find "expected an integer")
  end)

  it("take a shared value once, not once for each way to it", function()
    local value = {value = 0, children = {}}
    for i = 1, 45 do value = {value = i, children = {value, value}} end
    assert.equal(45, Node:validate(value).value)
    local any = {}
    for _ = 1, 60 do any = {any, any} end
    assert.truthy(schema.any():validate(any))
  end)

  it("in unions do not try for ever", function()
    local Expr
    local function operand() return schema.lazy(function() return Expr end) end
    Expr = schema.union {
      schema.object {add = operand(), to = operand()}, schema.object {mul = operand(), by = operand()},
        schema.integer(),
    }
    local value = "wrong"
    for _ = 1, 40 do value = {mul = value, by = 1} end
    for _, opts in ipairs {{}, {coerce = true}} do
      local text = errors(Expr, value, opts)
      assert.truthy(text:find "mul%.mul%.mul%.mul" and text:find 'got "wrong"$', text)
    end
    local right = 1
    for _ = 1, 40 do right = {mul = right, by = 1} end
    accepts(Expr, right)
  end)
end)
