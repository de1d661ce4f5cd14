-- show: values as text, cut to a window.
local async = require "muster"
local show = require "muster.show".show

local function lines_of(text) return select(2, text:gsub("\n", "")) + 1 end

local function raising() error "called" end

describe("show, of what is not a table,", function()
  it("writes nil, booleans and numbers as Lua does", function()
    for _, value in pairs { true, false, 1, 1.0, -0.0, 1e100, 1 / 0, math.mininteger } do
      assert.equal(tostring(value), show(value))
    end
    assert.equal("nil", show(nil))
    assert.match("nan", show(0 / 0))
  end)

  it("quotes strings", function()
    assert.equal('""', show "")
    assert.equal([["it's \"quoted\" \\ \n\t\r\x00\x1B[31m\x7F"]], show "it's \"quoted\" \\ \n\t\r\0\27[31m\x7F")
  end)

  it("keeps UTF-8, and escapes what is not, or does not show", function()
    assert.equal('"é漢😀"', show "é漢😀")
    assert.equal([["\xFF\xC3(\xC0\x80\xED\xA0\x80\xF5"]], show "\xFF\xC3(\xC0\x80\xED\xA0\x80\xF5")
    assert.equal([["\u{85}\u{200B}\u{202E}\u{FEFF}"]], show "\u{85}\u{200B}\u{202E}\u{FEFF}")
    assert.equal([["cut \xE6\xBC"]], show(("cut 漢"):sub(1, -2)))
  end)

  it("cuts long strings, and says how long they are", function()
    local text = show(("x"):rep(1e7))
    assert.match('^"x+…" %(10000000 bytes%)$', text)
    assert.truthy(#text < 80 * 24)
    assert.truthy(#show(("\u{300}"):rep(1e6)) < 80 * 24 * 10)
    assert.truthy(#show(("\xFF"):rep(1e6)) < 80 * 24)
  end)

  it("names functions by where they are", function()
    assert.equal("function: string.format", show(string.format))
    assert.equal("function: print", show(print))
    assert.equal("function: muster.sleep", show(async.sleep))
    assert.match("^function: spec/show_spec.lua:%d+$", show(raising))
    assert.match("^function: builtin", show(string.gmatch("", "")):gsub("0x%x+", "builtin"))
  end)

  it("has tasks, threads and userdata describe themselves", function()
    local task <const> = async.spawn(function() end)
    task.name = "worker"
    assert.equal("worker (ready)", show(task))
    task:await()
    assert.match("^thread: 0x", show(coroutine.create(print)))
    assert.match("^file %(0x", show(io.stdout))
  end)
end)

describe("show, of a table,", function()
  it("writes a short one on one line, sequence first, keys in order", function()
    assert.equal("{}", show {})
    assert.equal("{1, 2, 3}", show { 1, 2, 3 })
    assert.equal('{1, {2}, [-1] = 0, [2.5] = "x", a = {}, b = {c = {d = 1}}, ["b c"] = 1, [true] = 3}',
      show({ 1, { 2 }, [2.5] = "x", [-1] = 0, b = { c = { d = 1 } }, a = {}, [true] = 3, ["b c"] = 1 },
        { width = 100 }))
    assert.equal('{["\\n"] = 1, ["end"] = 3, ["é"] = 2}', show { ["\n"] = 1, ["é"] = 2, ["end"] = 3 })
    assert.equal("{1, [3] = 3}", show { 1, nil, 3 })
  end)

  it("indents a long one", function()
    local text = ("x"):rep(50)
    assert.equal(([[
{
  "@",
  first = "@",
  second = {
    inner = "@",
    other = "@"
  },
  third = {1, 2}
}]]):gsub("@", text), show { text, first = text, second = { inner = text, other = text }, third = { 1, 2 } })
  end)

  it("sets short elements beside each other", function()
    local list = {}
    for i = 1, 40 do list[i] = i * 100 end
    local text = show(list)
    assert.match("^{\n  100, 200, 300, [^\n]+,\n  1500, .*, 4000\n}$", text)
    assert.equal(5, lines_of(text))
  end)

  it("never writes lines longer than the window, nor more of them", function()
    math.randomseed(42)
    local function random(depth)
      local kind = math.random(depth > 0 and 5 or 3)
      if kind == 1 then return math.random(1e6) end
      if kind == 2 then return ("é"):rep(math.random(0, 100)) end
      if kind == 3 then return math.random(2) == 1 end
      local t = {}
      for i = 1, math.random(0, 30) do t[kind == 4 and i or ("k"):rep(math.random(1, 30))] = random(depth - 1) end
      return t
    end
    for _ = 1, 50 do
      local height = math.random(8, 40)
      local text = show(random(4), { width = 60, height = height })
      assert.truthy(lines_of(text) <= height - 3, text)
      for line in text:gmatch "[^\n]+" do
        if text:sub(1, 1) == "{" then assert.truthy(utf8.len(line) <= 62, line) end
      end
    end
  end)

  it("cuts to the window, and says how much is left", function()
    local t = {}
    for i = 1, 100 do t["key" .. i] = i end
    local text = show(t, { height = 10 })
    assert.match("^{\n  key1 = 1,\n  key10 = 10,\n  key100 = 100,\n  key11 = 11,\n  … 96 more\n}$", text)
    assert.equal(7, lines_of(text))
  end)

  it("gives inner tables the lines that the others leave", function()
    local long = {}
    for i = 1, 50 do long["k" .. i] = i end
    local text = show({ a = long, b = 1, c = long, d = 2 }, { height = 15 })
    assert.match("\n  b = 1,\n", text)
    assert.match("\n  d = 2\n", text)
    assert.match("\n    … %d+ more\n", text)
    assert.match("\n  c = {… 50 more},\n", text)
    assert.equal(12, lines_of(text))
  end)

  it("shows cycles", function()
    local t = { name = "t" }
    t.self, t.list = t, { t }
    assert.equal('{list = {<cycle>}, name = "t", self = <cycle>}', show(t))
    local twice = { 1 }
    assert.equal("{{1}, {1}}", show { twice, twice })
    t[t] = 1
    assert.match("%[table: 0x%x+%] = 1", show(t))
  end)

  it("is quick with large ones", function()
    local list, map = {}, {}
    for i = 1, 300000 do list[i], map["k" .. 300000 - i] = i, i end
    assert.match("… %d+ more\n}$", show(list))
    assert.match("^{\n  k0 = 300000,\n  k1 = 299999,\n  k10 = ", show(map))
    assert.truthy(lines_of(show({ list, map, { list, { map } } })) <= 21)
  end)

  it("is quick with deep ones, and those that are many if counted by path", function()
    local deep, shared = {}, { 1 }
    local t = deep
    for _ = 1, 100000 do
      t.next = {}
      t = t.next
    end
    for _ = 1, 100 do shared = { left_of_the_two = shared, right_of_the_two = shared } end
    assert.match("^{\n  next = {\n    next = .*{…}.*}$", show(deep))
    assert.truthy(lines_of(show(shared)) <= 21)
  end)

  it("is not taken in by sparse ones", function()
    local t = {}
    for i = 0, 62 do t[1 << i] = i end
    t[math.maxinteger], t[math.mininteger], t[0] = 1, 2, 3
    assert.match("^{\n  0, 1,\n  %[%-9223372036854775808%] = 2,\n  %[0%] = 3,\n  %[4%] = 2,\n", show(t))
  end)
end)

describe("show, of a value with a metatable,", function()
  local function with(meta) return setmetatable({ 1, a = 2 }, meta) end

  it("calls no metamethod but __tostring", function()
    local meta = {}
    for _, event in ipairs { "index", "newindex", "len", "pairs", "eq", "lt", "le", "call", "concat", "close" } do
      meta["__" .. event] = raising
    end
    meta.__metatable = "locked"
    assert.equal("{1, a = 2}", show(with(meta)))
    assert.equal("{{1, a = 2}, [1.5] = {}}", show { with(meta), [1.5] = {} })
    assert.equal("{1, a = 2}", show(with(setmetatable({}, { __index = raising }))))
  end)

  it("shows the __name", function()
    assert.equal("point {1, a = 2}", show(with { __name = "point" }))
    assert.equal("point {}", show(setmetatable({}, { __name = "point" })))
    assert.equal("{1, a = 2}", show(with { __name = {} }))
    assert.equal("\\x1B[31m {1, a = 2}", show(with { __name = "\27[31m" }))
  end)

  it("uses __tostring, once, lines and all", function()
    local calls = 0
    local value = with { __tostring = function()
      calls = calls + 1
      return "one\n\27two"
    end }
    assert.equal("one\n\\x1Btwo", show(value))
    assert.equal(1, calls)
    assert.equal("{x = {one\\n\\x1Btwo}}", show { x = { value } })
    assert.truthy(lines_of(show(with { __tostring = function() return ("x\n"):rep(1e5) end })) <= 21)
  end)

  it("shows errors of __tostring", function()
    local function message(fn) return show { with { __tostring = fn } } end
    assert.match("^{<error in __tostring: .*called>}$", message(raising))
    assert.equal("{<error in __tostring: nil>}", message(function() error() end))
    assert.equal("{<error in __tostring: table>}",
      message(function() error(setmetatable({}, { __tostring = raising })) end))
    assert.match("must return a string", message(function() return {} end))
    assert.match("^{<error in __tostring: .*stack overflow", message(function(t) return tostring(t) end))
  end)
end)

describe("show's options", function()
  it("are colours if asked", function()
    local value = { 1, "x", a = true, f = print }
    local text = show(value, { color = true })
    assert.match("\27%[32m\"x\"\27%[m", text)
    assert.equal(show(value), (text:gsub("\27%[%d*m", "")))
    local long = {}
    for i = 1, 1000 do long[i] = { i, "x", { long } } end
    assert.equal(show(long), (show(long, { color = true }):gsub("\27%[%d*m", "")))
  end)

  it("may be anything", function()
    for _, size in ipairs { 0, -1, 1, 1e300, math.huge, math.mininteger, "x", {} } do
      local text = show({ ("x"):rep(1000), ("y"):rep(1000) }, { width = size, height = size })
      assert.match("^{.*x+….*}$", text)
    end
  end)
end)
