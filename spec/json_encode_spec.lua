local cases = require "spec.support.json_cases"
local cjson = require "cjson"
local json = require "muster.json"

local function refused(value, message, options)
  local ok, err = pcall(json.encode, value, options)
  assert.is_false(ok)
  assert.equal("json.encode: " .. message, err)
end

describe("json.encode", function()
  it("writes scalars", function()
    for text, value in pairs {
      ["null"] = json.null, ["true"] = true, ["false"] = false, ["0"] = 0, ["-1"] = -1,
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger, ['""'] = "",
      ['"a/b"'] = "a/b", ['"é€😀"'] = "é€😀", ['"\x7F"'] = "\x7F",
      [ [["\"\\\b\f\n\r\t\u0000\u0001\u001f"]] ] = '"\\\b\f\n\r\t\0\1\x1f',
      [ [["12345678\n12345678"]] ] = "12345678\n12345678",
    } do assert.equal(text, json.encode(value)) end
    assert.equal("null", json.encode(nil))
    assert.equal("null", json.encode(cjson.null))
  end)

  it("writes floats with the fewest digits that bring them back, and never as integers", function()
    for text, value in pairs {
      ["1.0"] = 1.0, ["-0.0"] = -0.0, ["100.0"] = 1e2, ["0.1"] = 0.1, ["12.34"] = 12.34, ["-2.5"] = -2.5,
      ["0.30000000000000004"] = 0.1 + 0.2, ["0.3333333333333333"] = 1 / 3, ["3.141592653589793"] = math.pi,
      ["9007199254740992.0"] = 2.0 ^ 53, ["1e+15"] = 1e15, ["999999999999999.0"] = 999999999999999.0,
      ["1e+300"] = 1e300,
      ["1.7976931348623157e+308"] = 1.7976931348623157e308, ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
      ["1e-05"] = 1e-5, ["0.0001"] = 1e-4, ["0.00012345"] = 0.00012345, ["123456.789"] = 123456.789,
      ["1.2345678901234568e+17"] = 123456789012345680.0, ["99999.99999"] = 99999.99999,
    } do assert.equal(text, json.encode(value)) end
  end)

  it("writes every double so that it comes back", function()
    local function check(x)
      if x ~= x or x == math.huge or x == -math.huge then return end
      local text = json.encode(x)
      local back = json.decode(text)
      assert(back == x and math.type(back) == "float" and #text <= 24, text)
      local short = tonumber(("%.15g"):format(x)) == x
      assert(#text:gsub("e.*", ""):gsub("^%-?0*%.?0*", ""):gsub("%.0$", ""):gsub("%.",
        "") <= (short and 15 or 17), text)
    end
    for _ = 1, 20000 do
      check(string.unpack("d", string.pack("j", math.random(0))))
      check(math.random(-1000000, 1000000) / 10 ^ math.random(0, 8))
      check(math.random() * 10 ^ math.random(-5, 16))
    end
    for e = -1074, 1023 do check(2.0 ^ e) check(-(2.0 ^ e) * 1.1) end
  end)

  it("writes lists and objects as they are marked, or as their keys say", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode(json.object()))
    assert.equal("[1,2,3]", json.encode {1, 2, 3})
    assert.equal('[[],{},[{"a":[1]}]]', json.encode {json.array(), {}, {{a = {1}}}})
    assert.equal("[null,null]", json.encode {json.null, json.null})
    local hashed = {}
    for i = 300, 1, -1 do hashed[i] = i end
    assert.equal(300, #json.decode(json.encode(hashed)))
    assert.same(hashed, json.decode(json.encode(hashed)))
    assert.equal('{"1":2}', json.encode {["1"] = 2})
  end)

  it("brings back what was decoded", function()
    for _, case in ipairs(cases.valid) do
      local value = json.decode(case[1])
      local text = json.encode(value, {canonical = true})
      assert.equal(text, json.encode(json.decode(text), {canonical = true}))
      assert.same(value, json.decode(text))
      assert.same(value, json.decode(json.encode(value, {pretty = true})))
    end
  end)

  it("sorts keys if asked", function()
    local value = {b = 1, a = {z = 1, y = {}}, [""] = 0, aa = 2, B = 3, ["é"] = 4, ["a\0b"] = 5}
    local text = '{"":0,"B":3,"a":{"y":{},"z":1},"a\\u0000b":5,"aa":2,"b":1,"é":4}'
    assert.equal(text, json.encode(value, {canonical = true}))
    local many, expected = {}, {}
    for i = 1, 1000 do many[("%04d"):format(i)], expected[i] = i, ('"%04d":%d'):format(i, i) end
    assert.equal("{" .. table.concat(expected, ",") .. "}", json.encode(many, {canonical = true}))
  end)

  it("takes the order of keys from the metafield __keys", function()
    local function keyed(keys, t) return setmetatable(t, {__keys = keys}) end
    assert.equal('{"z":1,"x":3}', json.encode(keyed({"z", "x"}, {x = 3, z = 1})))
    assert.equal('{"z":1,"a":2,"x":3}', json.encode(keyed({"z", "y", "z", 5}, {x = 3, z = 1, a = 2})))
    assert.equal("{}", json.encode(keyed({"z"}, {})))
    assert.equal('[{"b":{"d":1,"c":2},"a":0}]', json.encode {keyed({"b", "a"}, {a = 0, b = keyed({"d", "c"},
      {c = 2, d = 1})})})
    assert.equal('{"x":3,"z":1}', json.encode(keyed({"z", "x"}, {x = 3, z = 1}), {canonical = true}))
    refused({keyed({"z"}, {z = print})}, "[1].z: a function cannot be written")
    refused({keyed({"z"}, {1})}, "[1]: a key of an object must be a string")
  end)

  it("is pretty if asked", function()
    assert.equal('{\n  "a": [\n    1,\n    {\n      "x": 2\n    }\n  ],\n  "b": [],\n  "c": {}\n}',
      json.encode({a = {1, {x = 2}}, b = json.array(), c = {}}, {pretty = true, canonical = true}))
    assert.equal("1", json.encode(1, {pretty = true}))
  end)

  it("names the place of what JSON has not", function()
    refused(print, "a function cannot be written")
    refused({people = {{}, {age = print}}}, "people[2].age: a function cannot be written")
    refused({["first name"] = {[3] = 1}}, '["first name"]: the list has holes')
    refused({1, {x = 0 / 0}}, "[2].x: NaN is not a number of JSON")
    refused({math.huge}, "[1]: infinity is not a number of JSON")
    refused({-math.huge}, "[1]: infinity is not a number of JSON")
    refused({coroutine.create(print)}, "[1]: a thread cannot be written")
    refused({a = io.stdout}, "a: a userdata cannot be written")
    refused({a = "x\xFF"}, "a: the string is not valid UTF-8")
    refused({a = {["\xFF"] = 1}}, 'a["\xFF"]: the string is not valid UTF-8')
  end)

  it("refuses tables that are neither lists nor objects", function()
    refused({1, 2, nil, 4}, "the list has holes")
    refused({a = {[2] = 1}}, "a: the list has holes")
    refused({a = {[0] = 1, 2}}, "a: a position in a list is below 1")
    refused({a = {1, x = 2}}, "a: the table has positions, and keys that are none")
    refused({a = {[1.5] = 1}}, "a: a key of an object must be a string")
    refused({a = {[true] = 1}}, "a: a key of an object must be a string")
    refused({json.array {x = 1}}, "[1]: the table has positions, and keys that are none")
    refused({json.object {1}}, "[1]: a key of an object must be a string")
    refused({json.object {1}}, "[1]: a key of an object must be a string", {canonical = true})
  end)

  it("refuses what contains itself, and what is too deep", function()
    local loop = {a = {b = {}}}
    loop.a.b.c = loop.a
    refused(loop, "a.b.c: the table contains itself")
    loop = {}
    loop[1] = loop
    refused(loop, "[1]: the table contains itself")
    local deep = 1
    for _ = 1, 1000 do deep = {deep} end
    assert.equal(("["):rep(1000) .. "1" .. ("]"):rep(1000), json.encode(deep))
    assert.error_matches(function() json.encode {deep} end, "%[1%].*%.%.%.: nested deeper than 1000")
    assert.equal(2003, #json.encode({deep}, {max_depth = 1001}))
    local same = {1}
    assert.equal("[[1],[1]]", json.encode {same, same})
  end)

  it("replaces what is not UTF-8, if asked", function()
    local function replaced(text) return json.encode(text, {invalid_utf8 = "replace"}) end
    assert.equal('"a\u{FFFD}b"', replaced "a\xFFb")
    assert.equal('"\u{FFFD}\u{FFFD}"', replaced "\xE2\x82")
    assert.equal('"\u{FFFD}\u{FFFD}\u{FFFD}"', replaced "\xED\xA0\x80")
    assert.equal('"é\u{FFFD}é"', replaced "é\xC3é")
    assert.equal("{\"\u{FFFD}\":1}", replaced {["\xFF"] = 1})
  end)

  it("reads tables raw", function()
    local called = function() error "called" end
    local t = setmetatable({a = 1},
      {__index = called, __pairs = called, __len = called, __tostring = called, __name = "x"})
    assert.equal('{"a":1}', json.encode(t))
  end)

  it("writes long texts, and many values", function()
    local long = ("x\n"):rep(5000000)
    assert.equal(15000002, #json.encode(long))
    local list = {}
    for i = 1, 100000 do list[i] = {id = i, name = "n" .. i} end
    assert.same(list[77777], json.decode(json.encode(list))[77777])
  end)

  it("refuses misuse", function()
    assert.error_matches(function() json.encode() end, "bad argument #1 to 'encode' %(value expected%)")
    assert.error_matches(function() json.encode(1, {sorted = true}) end, "unknown option 'sorted'")
    assert.error_matches(function() json.encode(1, {canonical = 1}) end, "option 'canonical' must be a boolean")
    assert.error_matches(function() json.encode(1, {invalid_utf8 = "x"}) end, "invalid option 'x'")
  end)
end)

describe("json.prepare", function()
  local function ordered() return setmetatable({b = 1, a = {true}, c = "x"}, {__keys = {"c", "b"}}) end

  it("has a table written as it was then, wherever it is", function()
    local list, object = {1, {x = "\xFF"}}, ordered()
    assert.equal(list, json.prepare(list, {invalid_utf8 = "replace"}))
    assert.equal(object, json.prepare(object))
    assert.equal('[1,{"x":"\u{FFFD}"}]', json.encode(list))
    list[3], object.a = 2, nil
    assert.equal('[[1,{"x":"\u{FFFD}"}],{"k":{"c":"x","b":1,"a":[true]}},0]', json.encode {list, {k = object}, 0})
  end)

  it("writes anew what is canonical or pretty", function()
    local object = json.prepare(ordered())
    object.c = "y"
    assert.equal('[{"a":[true],"b":1,"c":"y"}]', json.encode({object}, {canonical = true}))
    assert.equal('{\n  "c": "y",\n  "b": 1,\n  "a": [\n    true\n  ]\n}', json.encode(object, {pretty = true}))
  end)

  it("does so again for a table that was prepared before", function()
    local object = json.prepare(ordered())
    object.b = 2
    assert.equal('{"c":"x","b":2,"a":[true]}', json.encode(json.prepare(object)))
  end)

  it("reads the text of a metatable, and no other value there", function()
    local function with(text) return json.encode {setmetatable({1}, {__json = text})} end
    assert.equal("[x]", with "x")
    assert.equal("[]", with "")
    for _, value in ipairs {1, false, {}} do assert.equal("[[1]]", with(value)) end
  end)

  it("takes no other tables, and nothing that cannot be written", function()
    local function fails(text, ...)
      local ok, err = pcall(json.prepare, ...)
      assert.is_false(ok)
      assert.truthy(err:find(text, 1, true), err)
    end
    fails("json.prepare: expected a table, got string", "x")
    for _, meta in ipairs {getmetatable(json.array()), getmetatable(json.object()), {__index = {}},
                           {__metatable = 1}} do
      fails("json.prepare: the table has a metatable already", setmetatable({}, meta))
    end
    fails("json.encode: a: a function cannot be written", {a = print})
    fails("json.encode: [1]: the string is not valid UTF-8", {"\xFF"})
    local t = json.prepare {1}
    t[1] = print
    fails("a function cannot be written", t)
    fails("a function cannot be written", t) -- and its text is gone
  end)
end)
