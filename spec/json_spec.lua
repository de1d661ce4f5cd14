local json = require "muster.json"

describe("json.decode", function()
  it("keeps integers exact to the borders of 64 bits, and makes floats of other numbers", function()
    for text, value in pairs {
      ["0"] = 0, ["-0"] = 0, ["7"] = 7, ["-7"] = -7,
      ["9007199254740993"] = 9007199254740993,
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
      ["9223372036854775808"] = 2.0 ^ 63, ["-9223372036854775809"] = -2.0 ^ 63,
      ["18446744073709551616"] = 2.0 ^ 64, ["1.0"] = 1.0, ["1e0"] = 1.0, ["-0.0"] = -0.0, ["2.5"] = 2.5,
      ["0.1"] = 0.1, ["1E+2"] = 100.0, ["1e-2"] = 0.01, ["1e22"] = 1e22, ["1e23"] = 1e23,
      ["1.7976931348623157e308"] = 1.7976931348623157e308, ["5e-324"] = 5e-324, ["1e-400"] = 0.0,
      ["123456789.123456789123456789"] = 123456789.123456789123456789,
    } do
      local got = json.decode(text)
      assert.equal(value, got, text)
      assert.equal(math.type(value), math.type(got), text)
    end
    assert.equal(-math.huge, 1 / json.decode "-0.0")
  end)

  it("says where a text is wrong, in a value", function()
    local value, err = json.decode '{"a":1,\n "b":2,\n  "c" x}'
    assert.is_nil(value)
    assert.equal("line 3, column 7: expected ':', got 'x'", tostring(err))
    assert.same({"json", 23, 3, 7, false}, {err.kind, err.offset, err.line, err.column, err.truncated})
    assert.same({a = 1, b = 2}, err.partial)
  end)
end)

describe("json.encode", function()
  it("names the place of what JSON has not", function()
    assert.error_matches(function() json.encode {people = {{}, {age = print}}} end,
      "json.encode: people[2].age: a function cannot be written", 1, true)
  end)
end)
