-- lua/muster/schema/describe.lua: the texts for prompts and for LuaLS.

local schema = require "muster.schema"
local support = require "spec.support.schema"

local accepts = support.accepts

local Person = schema.object({
  name = schema.string {min_length = 1}, age = schema.integer {min = 0, max = 150},
    job = schema.optional(schema.string()),
}, {name = "Person"})

describe("the texts of a schema", function()
  local Node
  Node = schema.object({{"name", schema.string()}, {"left",
    schema.optional(schema.lazy(function() return Node end))}}, {name = "Node"})
  local Order = schema.object({
    {"id", schema.integer {min = 1, description = "Number of\n the order"}},
    {"state", schema.enum({"open", "done"}, {default = "open"})},
    {"lines", schema.list(schema.object {sku = schema.string(), n = schema.integer()}, {min_items = 1})},
    {"tags", schema.list(schema.string(), {unique = true})},
    {"note", schema.optional(schema.string {max_length = 20})},
    {"prices", schema.map(schema.number())},
    {"by", schema.union {schema.string(), schema.object({mail = schema.string {format = "email"}},
      {additional = "forbid"})}},
    {"tree", Node},
    {"at", schema.tuple {schema.number(), schema.number()}},
  }, {name = "Order", description = "What was bought."})

  it("describe it for a prompt", function()
    assert.equal([[
Order: object Order — What was bought.
  id: integer of at least 1 — Number of the order
  state: one of "open", "done", default "open"
  lines: list of at least 1 item
    each: object
      n: integer
      sku: string
  tags: list, none twice, each string
  note: string of at most 20 characters, optional
  prices: object with any keys, each value number
  by: one of
    - string
    - object, no other fields
      mail: e-mail address
  tree: object Node
    name: string
    left: object Node, optional, as above
  at: list of 2 items
    1: number
    2: number]], Order:describe())
    assert.equal("value: integer", schema.integer():describe())
  end)

  it("annotate the record for LuaLS", function()
    assert.equal([[
---@class Order
---@field id integer Number of the order
---@field state "open"|"done"
---@field lines { n: integer, sku: string }[]
---@field tags string[]
---@field note? string
---@field prices table<string, number>
---@field by string|{ mail: string }
---@field tree Node
---@field at [number, number]

---@class Node
---@field name string
---@field left? Node]], Order:luals())
    assert.equal("---@alias Ids integer[]", schema.list(schema.integer(), {name = "Ids"}):luals())
  end)

  it("name it", function()
    assert.equal("schema Person", tostring(Person))
    assert.equal("schema string", tostring(schema.string()))
    local other = Person:named "Other"
    assert.same({"Other", "Person"}, {other.name, Person.name})
    accepts(other, {name = "A", age = 1})
    assert.is_true(schema.is(other))
    assert.is_false(schema.is {})
  end)
end)
