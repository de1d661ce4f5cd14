-- The words of Lua code, also of code that breaks off.
local lexer = require "muster.repl.lexer"

-- "kind:text", with a "?" for what lacks its end.
local function words(code)
  local list = {}
  for word in lexer.words(code) do
    list[#list + 1] = word.kind .. (word.whole == false and "?" or "") .. ":" .. code:sub(word.first, word.after - 1)
  end
  return list
end

describe("the words of code", function()
  it("are names, keywords, numbers, strings, symbols and comments", function()
    assert.same({ "keyword:local", "name:_a1", "symbol:=", "number:1", "symbol:..", 'string:"b"', "comment:-- c\n" },
      words 'local _a1 = 1 .. "b" -- c\n')
    assert.same({}, words "")
    assert.same({}, words " \t\r\n\v\f")
  end)

  it("are as long as Lua's", function()
    assert.same({ "number:0x1p-4", "symbol:+", "number:1e+5", "symbol:-", "number:.5", "symbol:*", "number:3." },
      words "0x1p-4+1e+5-.5*3.")
    assert.same({ "name:a", "symbol:..", "name:b", "symbol:...", "symbol:::", "name:c", "symbol:::", "symbol://" },
      words "a..b...::c:://")
    assert.same({ "name:a", "symbol:.", "name:b", "symbol::", "name:c" }, words "a.b:c")
    assert.same({ "name:ends", "name:_end", "keyword:end" }, words "ends _end end")
  end)

  it("are strings to their end", function()
    assert.same({ [[string:'a\'b"']], [[string:"a\\"]], "name:x" }, words [['a\'b"'"a\\"x]])
    assert.same({ "string:'a\\\nb'" }, words "'a\\\nb'")
    assert.same({ "string:'a\\\r\nb'" }, words "'a\\\r\nb'")
    assert.same({ "string:'a\\z \n b'" }, words "'a\\z \n b'")
    assert.same({ "string:[==[ ]] ]=] ]==]", "name:x" }, words "[==[ ]] ]=] ]==]x")
    assert.same({ "symbol:[", "symbol:=", "name:a" }, words "[=a")
    assert.same({ "comment:--[[ ]]", "name:x" }, words "--[[ ]]x")
    assert.same({ "comment:--[=[ ]] ]=]", "name:x" }, words "--[=[ ]] ]=]x")
  end)

  it("may lack their end", function()
    assert.same({ "string?:'abc" }, words "'abc")
    assert.same({ "string?:'abc\\" }, words "'abc\\")
    assert.same({ "string?:'abc", "name:d" }, words "'abc\nd")
    assert.same({ "string?:[[abc\n]" }, words "[[abc\n]")
    assert.same({ "comment?:--[==[abc]=]" }, words "--[==[abc]=]")
    assert.same({ "comment?:-- abc" }, words "-- abc")
    assert.same({ "comment:-- abc\n" }, words "-- abc\n")
    assert.same({ "comment?:--" }, words "--")
    assert.same({ "comment?:--[" }, words "--[")
  end)

  it("are anything else byte by byte", function()
    assert.same({ "symbol:\0", "symbol:\xFF", "symbol:\\", "symbol:$" }, words "\0\xFF\\$")
  end)
end)
