local wire = require "muster.llm.wire"

describe("llm.wire.tool_name", function()
  it("keeps what every provider takes, and 64 bytes of it", function()
    local names = {
      {"Person", "Person"}, {"get_weather-2", "get_weather-2"}, {"two words", "two_words"}, {"Größe", "Gr_e"},
      {"a.b/c", "a_b_c"}, {"", "record"}, {"…", "record"}, {"  x  ", "x"}, {("x"):rep(100), ("x"):rep(64)},
    }
    for _, case in ipairs(names) do assert.equal(case[2], wire.tool_name(case[1])) end
    assert.equal("record", wire.tool_name(nil))
  end)
end)

describe("llm.wire.clean", function()
  it("leaves what is UTF-8 alone", function()
    for _, text in ipairs {"", "plain", "é→😀", "\0", "\u{FFFD}"} do assert.equal(text, wire.clean(text)) end
  end)

  it("puts U+FFFD for each byte that is not", function()
    local texts = {
      {"a\xFFb", "a\u{FFFD}b"}, {"\xC3", "\u{FFFD}"}, {"x\xE2\x82", "x\u{FFFD}\u{FFFD}"},
      {"\xED\xA0\x80", "\u{FFFD}\u{FFFD}\u{FFFD}"}, {"\xC0\xAF!", "\u{FFFD}\u{FFFD}!"}, {"é\xE9é", "é\u{FFFD}é"},
    }
    for _, case in ipairs(texts) do assert.equal(case[2], wire.clean(case[1])) end
  end)

  it("takes 10 MB of anything", function()
    local text = ("abc\xFF"):rep(2500000)
    assert.equal(2500000 * 6, #wire.clean(text))
  end)
end)

describe("llm.wire.text_of", function()
  it("takes a string, or the text parts of a list", function()
    assert.equal("a", wire.text_of "a")
    assert.equal("ab", wire.text_of {{type = "text", text = "a"}, {type = "image"}, {type = "text", text = "b"}})
    assert.equal("x", wire.text_of {"x"})
    assert.is_nil(wire.text_of(wire.null))
    assert.is_nil(wire.text_of {})
  end)
end)

describe("llm.wire.arguments", function()
  it("is a text, whatever the server made of it", function()
    assert.equal('{"a":1}', wire.arguments '{"a":1}')
    assert.same({a = 1}, wire.decode(wire.arguments {a = 1}))
    assert.equal("", wire.arguments(wire.null))
    assert.equal("", wire.arguments(nil))
  end)
end)

describe("llm.wire.usage", function()
  it("counts what it was told", function()
    assert.same({input = 3, output = 4, total = 7}, wire.usage(3, 4))
    assert.same({input = 3, output = 4, total = 9, cached = 2}, wire.usage(3, 4, 9, 2))
    assert.same({input = 3, output = 0, total = 3}, wire.usage(3))
    assert.same({input = 8, output = 0, total = 8}, wire.usage(nil, nil, 8))
    assert.same({input = 3, output = 4, total = 7}, wire.usage(3.0, "4"))
  end)

  it("is nil where nobody counted", function()
    assert.is_nil(wire.usage())
    assert.is_nil(wire.usage(-1, "many"))
  end)
end)
