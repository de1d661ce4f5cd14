local answer = require "muster.llm.answer"

local function read(calls, content, mode, key)
  return answer.read({tool_calls = calls or {}, content = content}, mode or "tools", "Person", key)
end

describe("llm.answer.parse", function()
  it("finds JSON wherever a model put it", function()
    local texts = {
      '{"a":1}', ' \n{"a":1}\n', '```json\n{"a":1}\n```', 'Sure!\n```\n{"a":1}\n```\nBye {x}',
      'It is {"a":1}, of course.', '<think>is it {"a":2}?</think>\n{"a":1}', '"{\\"a\\":1}"',
    }
    for _, text in ipairs(texts) do assert.same({a = 1}, (answer.parse(text)), text) end
  end)

  it("says what is wrong", function()
    for _, text in ipairs {"", "  ", "no", '{"a":', "<think>x</think>"} do
      local value, problems = answer.parse(text)
      assert.is_nil(value)
      assert.equal("json", problems[1].kind)
    end
  end)
end)

describe("llm.answer.read", function()
  it("takes the call of the tool", function()
    local reading = read {{name = "Person", arguments = '{"a":1}'}}
    assert.same({{a = 1}}, reading.values)
    assert.is_nil(reading.problems)
    assert.is_nil(reading.wrong_name)
  end)

  it("takes a call with the wrong name, and says so", function()
    local reading = read {{name = "functions.Person", arguments = '{"a":1}'}}
    assert.same({{a = 1}}, reading.values)
    assert.equal("functions.Person", reading.wrong_name)
  end)

  it("prefers the call with the right name", function()
    local reading = read {{name = "search", arguments = "{}"}, {name = "Person", arguments = '{"a":1}'}}
    assert.same({{a = 1}}, reading.values)
  end)

  it("takes the same call twice for one, and two others for a problem", function()
    local reading = read {{name = "Person", arguments = '{"a":1}'}, {name = "Person", arguments = '{"a":1}'}}
    assert.same({{a = 1}}, reading.values)
    reading = read {{name = "Person", arguments = '{"a":1}'}, {name = "Person", arguments = '{"a":2}'}}
    assert.same({}, reading.values)
    assert.equal("tool", reading.problems[1].kind)
    assert.same({{a = 1}, {a = 2}}, reading.several)
  end)

  it("joins two calls that are lists", function()
    local calls = {{name = "Person", arguments = '{"items":[1]}'}, {name = "Person", arguments = '{"items":[2,3]}'}}
    local reading = read(calls, nil, "tools", "items")
    assert.same({{items = {1, 2, 3}}}, reading.values)
  end)

  it("takes the content, where there is no call", function()
    local reading = read(nil, 'Here: {"a":1}')
    assert.same({{a = 1}}, reading.values)
    assert.is_true(reading.no_call)
    reading = read(nil, "I cannot call tools.")
    assert.equal("tool", reading.problems[1].kind)
    assert.is_true(reading.no_call)
    assert.is_false(read(nil, "{}", "json").no_call)
  end)

  it("says what is wrong with arguments", function()
    for _, arguments in ipairs {"", "{", "nope"} do
      assert.equal("json", read({{name = "Person", arguments = arguments}}).problems[1].kind)
    end
  end)
end)
