local reask = require "muster.llm.reask"

local USER = {{role = "user", content = "text"}}

describe("llm.reask", function()
  it("adds the last answer and what is wrong with it", function()
    local age = {path = "people[2].age", message = "expected an integer"}
    local problems = reask.problems {age, {path = "", message = "x"}}
    local list = reask.messages(USER, '{"a":1}', problems, "Call Person once")
    assert.equal(3, #list)
    assert.equal(USER[1], list[1])
    assert.same({role = "assistant", content = '{"a":1}'}, list[2])
    assert.equal("user", list[3].role)
    assert.truthy(list[3].content:find("- people[2].age: expected an integer\n- x\n", 1, true))
    assert.truthy(list[3].content:find("positions count from 1", 1, true))
    assert.truthy(list[3].content:find("Call Person once", 1, true))
    assert.equal(1, #USER)
  end)

  it("has an answer to show, though there was none", function()
    for _, answer in ipairs {"", "  \n", false} do
      assert.equal("(no answer)", reask.messages(USER, answer or nil, reask.problem("json", "x"), "y")[2].content)
    end
  end)

  it("is bounded, whatever came", function()
    local problems = {}
    for i = 1, 1000 do problems[i] = {path = ("p%d"):format(i), message = ("é"):rep(10000)} end
    local list = reask.messages(USER, ("é"):rep(1000000), reask.problems(problems), "z")
    assert.is_true(#list[2].content <= 16003)
    assert.is_true(#list[3].content < 10000)
    assert.truthy(utf8.len(list[2].content))
    assert.truthy(utf8.len(list[3].content))
    assert.truthy(list[3].content:find("… and 980 more", 1, true))
  end)

  it("makes an error that keeps what came", function()
    local problems = reask.problems {{path = "a", message = "wrong"}, {path = "b", message = "too"}}
    local err = reask.failure(problems, {a = 1}, "raw")
    assert.equal("invalid", err.kind)
    assert.equal("llm: the answer is not valid: a: wrong (and 1 more)", err.message)
    assert.same({a = 1}, err.value)
    assert.equal("raw", err.raw)
    assert.equal("a: wrong\nb: too", tostring(err.errors))
  end)
end)
