local json = require "muster.json"
local scan = require "muster.llm.scan"

describe("llm.scan.salvage", function()
  it("keeps the whole items of the outermost list, and the whole fields before it", function()
    local cases = {
      {'{"people":[{"name":"A"},{"name":"B', '{"people":[{"name":"A"}]}'},
      {'{"people":[{"name":"A"},{"name":"B"}', '{"people":[{"name":"A"},{"name":"B"}]}'},
      {'{"people":[{"name":"A","tags":["x","y', '{"people":[]}'},
      {'{"people":[{"name":"A","tags":["x","y"]},{"na', '{"people":[{"name":"A","tags":["x","y"]}]}'},
      {"[1,2,3", "[1,2]"}, {"[1,2,", "[1,2]"}, {"[", "[]"}, {"{", "{}"}, {'{"a', "{}"}, {'{"a":1,"b":2', '{"a":1}'},
      {'{"a":1,"b":{"c":3},"d":', '{"a":1,"b":{"c":3}}'}, {'{"a":["x"],"b":["y', '{"a":["x"],"b":[]}'},
      {'{"a":"],}\\"[","b":[1,2', '{"a":"],}\\"[","b":[1]}'}, {'sure: {"a":[1,2', '{"a":[1]}'},
      {'{"a":[1]} and more', '{"a":[1]}'}, {'[["a"],["b","c', '[["a"]]'},
    }
    for _, case in ipairs(cases) do
      assert.same(json.decode(case[2]), json.decode(scan.salvage(case[1])), case[1])
    end
  end)

  it("finds nothing where nothing is", function()
    for _, text in ipairs {"", "words", '"text"', "12"} do assert.is_nil(scan.salvage(text)) end
  end)

  it("makes JSON of every start of a text, and never more than was there", function()
    local text = '{"n":1.5,"people":[{"name":"Zoë \\"x\\" \\\\","tags":["a","b"],"o":{"k":[]}},'
      .. '{"name":"","tags":[]}],"z":null}'
    local most = 0
    for i = 1, #text do
      local value, err = json.decode(scan.salvage(text:sub(1, i)))
      assert.is_nil(err, text:sub(1, i))
      local n = value.people and #value.people or 0
      assert.is_true(n >= most)
      most = n
    end
    assert.equal(2, most)
  end)
end)
