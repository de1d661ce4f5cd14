local plans = require "muster.llm.plan"
local schema = require "muster.schema"

local Person = schema.object({name = schema.string()}):named "Person"
local MESSAGES = {{role = "user", content = "a"}, {role = "assistant", content = "b"}, {role = "user", content = "c"}}

describe("llm.plan", function()
  it("is made once for a schema", function()
    assert.equal(plans.of(Person), plans.of(Person))
    assert.equal(plans.of_list(Person), plans.of_list(Person))
    assert.equal("Person", plans.of(Person).name)
    assert.equal("Person_list", plans.of_list(Person).name)
    assert.equal("items", plans.of_list(Person).key)
    assert.equal("record", plans.of(schema.object {a = schema.string()}).name)
  end)

  it("asks in each mode for the same", function()
    local plan = plans.of(Person)
    local call = plan:call("tools", MESSAGES, {max_tokens = 5})
    assert.equal("Person", call.tool)
    assert.is_true(call.tools[1].strict)
    assert.equal(5, call.max_tokens)
    call = plan:call("json_schema", MESSAGES, {})
    assert.equal(plan.parameters, call.response_schema.schema)
    assert.is_nil(call.tools)
    call = plan:call("json", MESSAGES, {instructions = "Do it."})
    assert.truthy(call.system:find("^Do it%.\n\nAnswer with one JSON object"))
    assert.truthy(call.system:find("name: string", 1, true))
  end)

  it("takes a value out of what was put around it, if it is there", function()
    local plan = plans.of_list(Person)
    assert.same({1}, plan:unwrap {items = {1}})
    assert.same({1}, plan:unwrap {1})
    assert.equal("x", plan:unwrap "x")
    assert.same({items = 1}, plans.of(Person):unwrap {items = 1})
  end)

  it("knows where quotes have to be", function()
    assert.is_nil(plans.source({}, MESSAGES))
    assert.equal("a\nc", plans.source({grounding = true}, MESSAGES))
    assert.equal("s", plans.source({grounding = true, source = "s"}, MESSAGES))
  end)

  it("sorts the items of a list", function()
    local items, rejects = plans.of_list(Person):sound_items({{name = "a"}, {name = 1}, 7}, {})
    assert.same({{name = "a"}}, items)
    assert.equal(2, rejects)
    assert.is_nil((plans.of(Person):sound_items({name = "a"}, {})))
    assert.is_nil((plans.of_list(Person):sound_items("x", {})))
  end)
end)
