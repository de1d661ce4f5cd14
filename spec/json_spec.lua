local cases = require "spec.support.json_cases"
local cjson = require "cjson"
local json = require "muster.json"

--- What the source of an expected value stands for.
local function meant(source) return load("local null = ... return " .. source)(json.null) end

--- The fields of an error that a script may look at.
local function fields(err) return {err.kind, err.offset, err.line, err.column, err.truncated} end

describe("json.decode", function()
  it("reads what is JSON", function()
    for _, case in ipairs(cases.valid) do
      local value, err = json.decode(case[1])
      assert.is_nil(err, case[1])
      assert.same(meant(case[2]), value, case[1])
      assert.equal(math.type(meant(case[2])), math.type(value), case[1])
    end
  end)

  it("refuses what is not, at a place in the text or just after it", function()
    for _, text in ipairs(cases.invalid) do
      local value, err = json.decode(text)
      assert.is_nil(value, text)
      assert.equal("json", err.kind)
      assert.is_true(err.offset >= 1 and err.offset <= #text + 1, text)
      assert.equal(err.truncated, err.offset == #text + 1, text)
      assert.is_false(err.retryable)
    end
  end)

  it("keeps integers exact to the borders of 64 bits, and makes floats of other numbers", function()
    for text, value in pairs {
      ["9007199254740993"] = 9007199254740993,
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
      ["9223372036854775808"] = 2.0 ^ 63, ["-9223372036854775809"] = -2.0 ^ 63,
      ["18446744073709551615"] = 2.0 ^ 64, ["18446744073709551616"] = 2.0 ^ 64, ["99999999999999999999"] = 1e20,
      ["1e22"] = 1e22, ["1e23"] = 1e23, ["9007199254740993.0"] = 9007199254740992.0,
      ["1.7976931348623157e308"] = 1.7976931348623157e308, ["5e-324"] = 5e-324, ["1e-400"] = 0.0,
      ["2.2250738585072014e-308"] = 2.2250738585072014e-308, ["123456789.123456789123456789"] = 123456789.12345679,
    } do
      local got = json.decode(text)
      assert.equal(value, got, text)
      assert.equal(math.type(value), math.type(got), text)
    end
    assert.equal(-math.huge, 1 / json.decode "-0.0")
    assert.equal("number too large", json.decode and select(2, json.decode "1e400").message:match ": (.*)")
  end)

  it("reads the same double as Lua, for many decimals", function()
    for _ = 1, 5000 do
      local text = ("%d.%de%d"):format(math.random(0, 10 ^ math.random(1, 17) // 1 | 0),
        math.random(0, 10 ^ math.random(1, 17) // 1 | 0), math.random(-330, 290))
      assert.equal(tonumber(text), json.decode(text), text)
    end
  end)

  it("says what is wrong, and where", function()
    for text, message in pairs {
      ['{"a":1,\n "b":2,\n  "c" x}'] = "line 3, column 7: expected ':', got 'x'",
      ['{"a": 1 "b"'] = "line 1, column 9: expected ',' or '}', got '\"'",
      ["[1 2]"] = "line 1, column 4: expected ',' or ']', got '2'",
      ["[1,"] = "line 1, column 4: expected a value, got the end of the text",
      ["[1"] = "line 1, column 3: expected ',' or ']', got the end of the text",
      ["[-"] = "line 1, column 3: expected a digit, got the end of the text",
      ["1.x"] = "line 1, column 3: expected a digit, got 'x'",
      ["["] = "line 1, column 2: expected a value or ']', got the end of the text",
      ["{"] = "line 1, column 2: expected a key in quotes or '}', got the end of the text",
      ["{1"] = "line 1, column 2: expected a key in quotes or '}', got '1'",
      ['{"a":1,}'] = "line 1, column 8: expected a key in quotes, got '}'",
      ['["a'] = "line 1, column 4: expected the end of the string, got the end of the text",
      ["1 1"] = "line 1, column 3: expected nothing more, got '1'",
      ["nil"] = "line 1, column 2: expected null, got 'i'",
      ["\xE9"] = "line 1, column 1: expected a value, got byte 0xE9",
      ['"a\nb"'] = "line 1, column 3: byte 0x0A in a string must be escaped",
      ['"ab\\x"'] = "line 1, column 4: invalid escape in a string",
      ['"ab\xFF"'] = "line 1, column 4: invalid UTF-8 in a string",
      ["\r\n [1e999]"] = "line 2, column 3: number too large",
    } do
      local value, err = json.decode(text)
      assert.is_nil(value)
      assert.equal(message, tostring(err))
    end
  end)

  it("gives the place as fields, and what came before", function()
    local _, err = json.decode '{"a":1,\n "b":2,\n  "c" x}'
    assert.same({"json", 23, 3, 7, false}, fields(err))
    assert.same({a = 1, b = 2}, err.partial)
    _, err = json.decode '{"a":[1,{"b":"tex'
    assert.same({"json", 18, 1, 18, true}, fields(err))
    assert.same({a = {1, {b = "tex"}}}, err.partial)
  end)

  it("bounds the depth, with lists and objects alike", function()
    for _, pair in ipairs {{"[", "]"}, {'{"a":', "}"}} do
      local deep = pair[1]:rep(1000) .. "1" .. pair[2]:rep(1000)
      assert.is_table(json.decode(deep))
      local _, err = json.decode(pair[1]:rep(1001) .. "1" .. pair[2]:rep(1001))
      assert.matches("nested deeper than 1000", err.message)
      assert.is_nil(json.decode("[" .. deep .. "]"))
      assert.is_table(json.decode("[" .. deep .. "]", {max_depth = 1001}))
    end
    assert.is_nil(json.decode(("["):rep(1000000)))
    assert.is_nil(json.decode(("["):rep(1000000), {max_depth = 100000}))
    assert.equal(1, json.decode("1", {max_depth = 1}))
    assert.is_nil(json.decode("[[]]", {max_depth = 1}))
  end)

  it("survives depth with full levels, as deep as may be", function()
    local level = "[" .. ("1,"):rep(63)
    local value = json.decode(level:rep(100000) .. "1" .. ("]"):rep(100000), {max_depth = 100000})
    for _ = 1, 99999 do
      assert(#value == 64)
      value = value[64]
    end
    assert.equal(64, #value)
  end)

  it("reads long texts", function()
    local long = ("x"):rep(10000000)
    assert.equal(long, json.decode('"' .. long .. '"'))
    assert.equal(("é\n"):rep(1000000), json.decode('"' .. ("\\u00e9\\n"):rep(1000000) .. '"'))
    assert.equal(1.0, json.decode("1." .. ("0"):rep(1000000)))
    assert.equal(1000000, #json.decode("[" .. ("1,"):rep(999999) .. "1]"))
  end)

  it("has lists of every length right, and objects", function()
    for _, n in ipairs {0, 1, 2, 3, 4, 5, 9, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 193, 257} do
      local list, object, items, fields_ = {}, {}, {}, {}
      for i = 1, n do
        list[i], object["k" .. i] = i, i
        items[i], fields_[i] = tostring(i), ('"k%d":%d'):format(i, i)
      end
      local value = json.decode("[" .. table.concat(items, ",") .. "]")
      assert.equal(n, #value)
      assert.same(list, value)
      assert.same(object, json.decode("{" .. table.concat(fields_, ",") .. "}"))
    end
  end)

  it("takes null for cjson's, or for what is asked", function()
    assert.equal(cjson.null, json.null)
    assert.equal(json.null, json.decode "null")
    assert.same({a = false, b = {false}}, json.decode('{"a":null,"b":[null]}', {null = false}))
  end)

  it("knows lists from objects afterwards", function()
    assert.is_true(json.is_array(json.decode "[]"))
    assert.is_false(json.is_array(json.decode "{}"))
    assert.is_false(json.is_array "[]")
  end)

  it("refuses misuse", function()
    assert.error_matches(function() json.decode() end, "bad argument #1 to 'decode' %(string expected")
    assert.error_matches(function() json.decode {} end, "string expected, got table")
    assert.error_matches(function() json.decode("1", {depth = 1}) end, "unknown option 'depth'")
    for _, depth in ipairs {0, -1, 1.5, "x", 100001, math.huge} do
      assert.error_matches(function() json.decode("1",
        {max_depth = depth}) end, "option 'max_depth' must be an integer")
    end
  end)

  it("may be called by a finalizer that runs while it builds", function()
    local calls = 0
    local function litter()
      setmetatable({}, {__gc = function()
        calls = calls + 1
        assert(#json.decode '["\\u0041", [1], {"a":[2]}]' == 3)
        if calls < 200 then litter() end
      end})
    end
    litter()
    local text = "[" .. ('{"a":["\\u0041x", 1.5, {"b":null}]},'):rep(20000) .. "1]"
    local value = json.decode(text)
    assert.equal(20001, #value)
    assert.same({a = {"Ax", 1.5, {b = json.null}}}, value[20000])
    calls = 200
  end)
end)

describe("json.array and json.object", function()
  it("mark tables, new ones too, and unmark", function()
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode(json.object()))
    local t = {}
    assert.equal(t, json.array(t))
    assert.equal("{}", json.encode(json.object(t)))
  end)

  it("refuse what is no table, or has a metatable", function()
    assert.error_matches(function() json.array "x" end, "json.array: expected a table, got string")
    assert.error_matches(function() json.object(setmetatable({}, {})) end, "json.object: the table has a metatable")
  end)
end)

describe("json.extract", function()
  local function found(value, rest, text)
    local got, after = json.extract(text)
    assert.same(value, got, text)
    assert.equal(rest, after, text)
  end

  it("finds the JSON in an answer", function()
    found({a = 1}, "", '{"a":1}')
    found({a = 1}, " Bye.", 'Here: {"a":1} Bye.')
    found({a = 1}, "\n```\nBye.", 'Here you are:\n```json\n{"a": 1}\n```\nBye.')
    found({1}, "```", "``` ```json[1]```")
    found({}, ".", "It is {}.")
    found(42, "", " 42 ")
    found("x", "", '"x"')
    found(json.null, "", "null")
    found({a = 1}, "}}", '{{"a":1}}}')
  end)

  it("takes what is in a fence before others, and the longest", function()
    found({a = 1}, "\n```", 'As in [1, 2, 3, 4, 5, 6]:\n```\n{"a":1}\n```')
    found({x = {1, 2}}, " done", 'See [1] and {"x": [1,2]} done')
    found({1}, " [2]", "[1] [2]")
    found({a = 2}, "", 'I had {name: x}, [see below], now {"a":2}')
    found({a = 2}, " or", '```lua\nlocal x\n``` {"a":2} or')
  end)

  it("does not take a part for the whole", function()
    local value, err = json.extract 'So: {"people":[{"name":"Ann"},{"name":"B'
    assert.is_nil(value)
    assert.is_true(err.truncated)
    assert.same({people = {{name = "Ann"}, {name = "B"}}}, err.partial)
    value, err = json.extract '[1]\n```json\n{"people":[{"name":"Ann"} {"name":"Bob"}]}\n```'
    assert.is_nil(value)
    assert.equal("line 3, column 27: expected ',' or ']', got '{'", err.message)
    assert.same({people = {{name = "Ann"}}}, err.partial)
  end)

  it("says that there is none", function()
    for _, text in ipairs {"", "no", "no [such] thing", "1 2", "```json\n```", "{x}"} do
      local value, err = json.extract(text)
      assert.is_nil(value)
      assert.equal("json", err.kind)
    end
    assert.error_matches(function() json.extract() end, "json.extract: expected a string, got nil")
  end)

  it("is linear on hostile texts", function()
    for _, unit in ipairs {"[", "{", '{"a":', "```\n[", "``` ", "`", '["', "[1,2 ", '{"\\', ("["):rep(900) .. "x",
      "[1]",
                           "```json\n\n\n\n", " "} do
      json.extract(unit:rep(300000 // #unit))
    end
  end)
end)
