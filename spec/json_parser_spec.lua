local cases = require "spec.support.json_cases"
local async = require "muster"
local json = require "muster.json"

--- What can be compared of a value or an error: the text of one has to be that of the other.
local function outcome(value, err)
  if err == nil then return json.encode(value, {canonical = true}) end
  return ("%s at %d %s %s"):format(err, err.offset, err.truncated, json.encode(err.partial, {canonical = true}))
end

--- An iterator over the pieces of a text, of the lengths that `size` gives.
local function pieces(text, size)
  local from = 1
  return function()
    if from > #text then return nil end
    local begin = from
    from = from + size()
    return text:sub(begin, from - 1)
  end
end

--- Feeds it all -> the value; or nil, error; the elements.
local function parse(options, text, size)
  local parser, elements = json.parser(options), {}
  for chunk in pieces(text, size) do
    local closed, err = parser:feed(chunk)
    if not closed then return nil, err, elements end
    table.move(closed, 1, #closed, #elements + 1, elements)
  end
  local value, err = parser:finish()
  return value, err, elements
end

local function always(n) return function() return n end end
local function once(n)
  local lengths = {n, 1000}
  return function() return table.remove(lengths, 1) end
end
local function up_to(n) return function() return math.random(n) end end

--- Every way to cut a text in two, byte by byte, and at random: the outcome is that of the whole.
local function check_cuts(text)
  local expected = outcome(json.decode(text))
  if #text < 100 then
    for at = 1, #text - 1 do assert.equal(expected, outcome(parse({}, text, once(at))), text) end
  end
  assert.equal(expected, outcome(parse({}, text, always(1))), text)
  assert.equal(expected, outcome(parse({}, text, always(math.max(1, #text)))), text)
  for _ = 1, 10 do assert.equal(expected, outcome(parse({}, text, up_to(7))), text) end
end

-- ---- texts at random ----

local strings = {'"a"', '""', [["\n\"\\"]], [["\u00e9\ud83d\ude00\ud800"]],
  '"é€😀"', '"' .. ("long "):rep(9) .. '"'}
local scalars = {"1", "-0.5e3", "9223372036854775807", "true", "false", "null"}
local spaces = {"", "", "", " ", "\n", " \t\r\n"}
local function any(list) return list[math.random(#list)] end
local function space() return any(spaces) end

local function random_text(depth)
  local kind = math.random(depth > 0 and 4 or 2)
  if kind == 1 then return any(scalars) end
  if kind == 2 then return any(strings) end
  local items = {}
  for i = 1, math.random(0, 6) do
    local key = kind == 4 and any(strings) .. space() .. ":" or ""
    items[i] = space() .. key .. space() .. random_text(depth - 1) .. space()
  end
  local text = table.concat(items, ",")
  return kind == 3 and "[" .. text .. "]" or "{" .. text .. "}"
end

local function mutate(text)
  local at, byte = math.random(#text), string.char(math.random(0, 255))
  local ways = {
    text:sub(1, at - 1) .. text:sub(at + 1), text:sub(1, at) .. byte .. text:sub(at + 1), text:sub(1, at),
    text:sub(1, at - 1) .. byte .. text:sub(at + 1), text:sub(1, at) .. text:sub(math.random(#text)),
    text:sub(1, at) .. any {"[", "]", "{", "}", ",", ":", '"', "\\", "\\ud800", "0", "-", "e"} .. text:sub(at + 1),
  }
  return any(ways)
end

describe("json.parser", function()
  it("comes to the same as decode, wherever chunks end", function()
    for _, case in ipairs(cases.valid) do check_cuts(case[1]) end
    for _, text in ipairs(cases.invalid) do check_cuts(text) end
  end)

  it("does so with texts at random, right and wrong", function()
    for _ = 1, 300 do
      local text = random_text(4)
      assert.is_nil(select(2, json.decode(text)), text)
      check_cuts(text)
      for _ = 1, 3 do check_cuts(mutate(text)) end
    end
  end)

  it("gives each element of a list as it closes", function()
    local parser = json.parser {path = {"people"}}
    assert.same({}, parser:feed '{"n":[0],"people":[{"name":"Ann"')
    assert.same({{name = "Ann"}}, parser:feed "}")
    assert.same({}, parser:feed ",")
    assert.same({{name = "Bob"}, 5, "x"}, parser:feed '{"name":"Bob"},5 ,"x",')
    assert.same({}, parser:feed "[1,2,3")
    assert.same({{1, 2, 3}}, parser:feed '],"')
    assert.same({"", json.null, {}}, parser:feed '",null,{}],"more":[1,2')
    assert.same({}, parser:feed "]}")
    assert.same({n = {0}, people = {{name = "Ann"}, {name = "Bob"}, 5, "x", {1, 2, 3}, "", json.null, {}},
      more = {1, 2}},
      parser:finish())
  end)

  it("gives the elements of the list at the path, and of no other", function()
    for _, case in ipairs {
      {nil, "[1,[2],3]", {1, {2}, 3}}, {{}, "[1]", {1}}, {{}, '{"a":[1]}', {}}, {{"a"}, "[1]", {}}, {{"a"},
        '{"a":1}', {}},
      {{"a"}, '{"a":{"a":[1]}}', {}}, {{"a", "a"}, '{"a":{"a":[1]}}', {1}}, {{"a", "b"},
      '{"b":[0],"a":{"c":[0],"b":[1]}}', {1}},
      {{"a", 2, "b"}, '{"a":[{"b":[0]},{"b":[1,2]},{"b":[0]}]}', {1, 2}}, {{1}, "[[1],[2]]", {1}}, {{2}, "[[1],[2]]",
      {2}},
      {{70}, "[" .. ("[0],"):rep(69) .. "[1]]", {1}}, {{1}, '{"1":[1]}', {}}, {{"1"}, '{"1":[1]}', {1}}, {{"é"},
      '{"\\u00e9":[1]}', {1}},
      {{""}, '{"":[1]}', {1}}, {{"a"}, '{"a":[1],"b":[0],"a":[2]}', {1, 2}}, {{"a"}, '{"b":{"a":[0]},"a":[1]}', {1}},
      {{"a"}, '[{"a":[1]}]', {}}, {{"choices", 1, "x"}, '{"choices":[{"y":[0],"x":[1]}]}', {1}},
    } do
      for _, size in ipairs {always(1), always(1000), up_to(5)} do
        local value, err, elements = parse({path = case[1]}, case[2], size)
        assert.is_nil(err)
        assert.same(json.decode(case[2]), value)
        assert.same(case[3], elements, case[2])
      end
    end
  end)

  it("drops elements that were given, if asked", function()
    local parser = json.parser {path = {"list"}, keep = false}
    assert.same({1}, parser:feed '{"list":[1,')
    assert.same({}, parser:feed '{"a":"x')
    assert.same({list = {{a = "x"}}}, parser:partial())
    assert.same({{a = "xy"}, 2}, parser:feed 'y"},2,"z')
    assert.same({list = {"z"}}, parser:partial())
    assert.same({"z"}, parser:feed '"],"n":[1]}')
    assert.same({list = {}, n = {1}}, parser:finish())
  end)

  it("reads an unbounded list in constant memory", function()
    local parser, n = json.parser {keep = false}, 0
    local chunk = ('{"name":"Ann","tags":["a","b"]},'):rep(100)
    parser:feed "["
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 500 do n = n + #parser:feed(chunk) end
    collectgarbage()
    assert.equal(50000, n)
    assert.is_true(collectgarbage "count" - before < 100)
  end)

  it("shows what there is so far", function()
    for text, expected in pairs {
      ['{'] = {}, ["["] = {}, ['{"a'] = {}, ['{"a"'] = {}, ['{"a":'] = {}, ['{"a":"'] = {a = ""},
      ['{"a":"x'] = {a = "x"},
      ['{"a":1'] = {}, ['{"a":1,'] = {a = 1}, ['{"a":1}'] = {a = 1}, ['{"a":1,"b'] = {a = 1}, ['{"a":tru'] = {},
      ['{"a":true'] = {a = true}, ['{"a":nul'] = {}, ['{"a":null'] = {a = json.null}, ["[12"] = {}, ["[12 "] = {12},
      ['["\\'] = {""}, ['["\\u00e'] = {""}, ['["\\u00e9'] = {"é"}, ['["a\\ud83d'] = {"a"},
      ['["a\\ud83d\\ude0'] = {"a"},
      ['["a\\ud83d\\ude00'] = {"a😀"}, ['["a\xC3'] = {"a"}, ['["a\xC3\xA9'] = {"aé"}, ['["a\xF0\x9F\x98'] = {"a"},
      ['"te'] = "te", ['"text"'] = "text", ['[[["x'] = {{{"x"}}}, ['{"a":[{"b":{"c":"d'] = {a = {{b = {c = "d"}}}},
      ['{"a":1,"a":"x'] = {a = "x"}, ['{"a":[1,2],"b":[3,'] = {a = {1, 2}, b = {3}}, ["[1,[2,[3,"] = {1, {2, {3}}},
    } do
      for _, size in ipairs {always(1), always(1000), up_to(3)} do
        local parser = json.parser()
        for chunk in pieces(text, size) do assert(parser:feed(chunk)) end
        assert.same(expected, parser:partial(), text)
        assert.same(expected, parser:partial(), text)
      end
    end
    local parser = json.parser()
    for _, text in ipairs {"", " ", "1", "2"} do
      parser:feed(text)
      assert.is_nil(parser:partial())
    end
    assert.equal(12, parser:finish())
    assert.equal(12, parser:partial())
  end)

  it("is not disturbed by looking at it", function()
    for _ = 1, 100 do
      local text = random_text(4)
      local parser = json.parser {path = {any {1, "a"}}}
      for chunk in pieces(text, up_to(3)) do
        assert(parser:feed(chunk))
        parser:partial()
      end
      assert.equal(outcome(json.decode(text)), outcome(parser:finish()))
      assert.equal(outcome(json.decode(text)), outcome(parser:partial()))
    end
  end)

  it("shows the same tables again, which grow", function()
    local parser = json.parser()
    parser:feed '{"a":[1,'
    local first = parser:partial()
    parser:feed '2,"x'
    assert.equal(first, parser:partial())
    assert.same({a = {1, 2, "x"}}, first)
    parser:feed 'y"]}'
    assert.equal(first, parser:finish())
    assert.same({a = {1, 2, "xy"}}, first)
  end)

  it("says that a text was cut, and keeps what there is", function()
    local parser = json.parser()
    parser:feed '{"people":[{"name":"Ann"},{"na'
    local value, err = parser:finish()
    assert.is_nil(value)
    assert.is_true(err.truncated)
    assert.same({people = {{name = "Ann"}, {}}}, err.partial)
    assert.same({nil, err}, {parser:feed "x"})
    assert.same({nil, err}, {parser:finish()})
    assert.same(err.partial, parser:partial())
  end)

  it("gives elements before the error that follows them", function()
    local parser = json.parser()
    assert.same({1, 2}, parser:feed "[1,2,x")
    local closed, err = parser:feed ",3]"
    assert.is_nil(closed)
    assert.equal("line 1, column 6: expected a value, got 'x'", err.message)
    assert.same({1, 2}, err.partial)
    assert.equal(err, select(2, parser:finish()))
  end)

  it("refuses text after the value, but white space", function()
    local parser = json.parser()
    assert.same({1}, parser:feed "[1]")
    assert.same({1}, parser:finish())
    assert.same({}, parser:feed " \n")
    assert.same({1}, parser:finish())
    assert.equal("line 2, column 1: expected nothing more, got ','", select(2, parser:feed ",").message)
  end)

  it("bounds depth and length", function()
    local _, err = parse({max_depth = 2}, "[[[]]]", always(1))
    assert.equal("line 1, column 3: nested deeper than 2", err.message)
    _, err = parse({max_bytes = 5}, "[1,2,3]", always(2))
    assert.equal("line 1, column 6: longer than 5 bytes", err.message)
    assert.same({1, 2}, (parse({max_bytes = 5}, "[1,2]", always(2))))
    _, err = parse({}, ("["):rep(1000000), always(1000))
    assert.matches("nested deeper than 1000", err.message)
  end)

  it("reads deep texts, and long strings, in small chunks", function()
    local deep = ("["):rep(20000) .. ("]"):rep(20000)
    assert.is_table(parse({max_depth = 20000}, deep, always(1000)))
    local long = '"' .. ("x\\u00e9"):rep(1000000) .. '"'
    assert.equal(json.decode(long), (parse({}, long, always(64))))
  end)

  it("goes on in another task, or coroutine", function()
    local parser = json.parser()
    for i, chunk in ipairs {'{"a":[1,', '2,{"b":', '"c"}', "]}"} do
      if i % 2 == 0 then async.spawn(function() assert(parser:feed(chunk)) end):await()
      else coroutine.wrap(function() assert(parser:feed(chunk)) end)() end
    end
    assert.same({a = {1, 2, {b = "c"}}}, parser:finish())
  end)

  it("takes null for what is asked", function()
    assert.same({false, {false}}, (parse({null = false}, "[null,[null]]", always(1))))
  end)

  it("refuses misuse", function()
    assert.error_matches(function() json.parser {pth = {}} end, "unknown option 'pth'")
    assert.error_matches(function() json.parser {path = "people"} end, "option 'path' must be a list")
    assert.error_matches(function() json.parser {path = {{}}} end, "option 'path' must be a list of keys and positions")
    assert.error_matches(function() json.parser {keep = 1} end, "option 'keep' must be a boolean")
    assert.error_matches(function() json.parser {max_bytes = 0} end, "option 'max_bytes' must be an integer")
    assert.error_matches(function() json.parser():feed() end, "string expected")
    assert.error_matches(function() json.parser().feed({}, "") end, "json.parser expected")
  end)
end)
