local grounding = require "muster.llm.grounding"

local TEXT = "Ada met Bob.\nThen  Bob\u{A0}met\tAda — Zoë, too."

describe("llm.grounding.locate", function()
  it("finds a quote as it is", function()
    assert.same({1, 3}, {grounding.locate(TEXT, "Ada")})
    assert.same({9, 12}, {grounding.locate(TEXT, "Bob.")})
    assert.is_nil(grounding.locate(TEXT, "Eve"))
    assert.is_nil(grounding.locate(TEXT, ""))
    assert.is_nil(grounding.locate("", "x"))
  end)

  it("finds it with other white space", function()
    local first, last = grounding.locate(TEXT, "Then Bob met Ada")
    assert.equal("Then  Bob\u{A0}met\tAda", TEXT:sub(first, last))
    first, last = grounding.locate(TEXT, "  Ada   met Bob. Then ")
    assert.equal("Ada met Bob.\nThen", TEXT:sub(first, last))
    assert.equal(1, (grounding.locate("a b", "a\u{2003}\u{A0}b")))
  end)

  it("finds no words that are elsewhere", function()
    assert.is_nil(grounding.locate(TEXT, "Bob Ada"))
    assert.is_nil(grounding.locate("ab", "a b"))
    assert.is_nil(grounding.locate("a  bc a b", "a bd"))
    assert.equal(5, (grounding.locate("a x a  b", "a b")))
    assert.is_nil(grounding.locate("a b", " \u{A0} "))
  end)

  it("finds a quote of a thousand words", function()
    local words = ("word "):rep(1000)
    assert.equal(3, (grounding.locate("x " .. words:gsub(" ", "\n"), words)))
  end)
end)

describe("llm.grounding.check", function()
  it("tells where each quote is, in bytes and codepoints", function()
    local text = "Zoë met Zoë."
    local spans, problems = grounding.check({name = "met"}, text, {"name"})
    assert.same({}, problems)
    assert.same({{path = "name", text = "met", first = 6, last = 8, from = 5, to = 7}}, spans)
    assert.equal("Zoë", grounding.check({"Zoë"}, text, true)[1].text)
    assert.equal(3, grounding.check({"Zoë"}, text, true)[1].to)
  end)

  it("maps repeated mentions in order, and one too many to the last", function()
    local list = {{name = "Zoë"}, {name = "met"}, {name = "Zoë"}, {name = "Zoë"}}
    local spans = grounding.check(list, "Zoë met Zoë.", {"name"})
    assert.same({1, 6, 10, 10}, {spans[1].first, spans[2].first, spans[3].first, spans[4].first})
    assert.equal("[3].name", spans[3].path)
  end)

  it("gives one place to two fields of the same text", function()
    local spans = grounding.check({name = "Ada", alias = "Ada"}, "Ada, Ada", true)
    assert.same({1, 1}, {spans[1].first, spans[2].first})
  end)

  it("looks at the fields it is told, wherever lists are", function()
    local record = {kind = "x", people = {{quote = "Ada met", age = 3}, {quote = "Eve"}}}
    for _, field in ipairs {"people.quote", "people[].quote"} do
      local spans, problems = grounding.check(record, TEXT, {field})
      assert.equal(1, #spans)
      assert.equal(1, #problems)
      assert.equal("people[2].quote", problems[1].path)
      assert.equal("grounding", problems[1].kind)
      assert.truthy(problems[1].message:find("Eve", 1, true))
    end
    local _, problems = grounding.check(record, TEXT, true)
    assert.equal(2, #problems)
  end)

  it("shows a long quote short, and cuts no character", function()
    local _, problems = grounding.check({("é"):rep(1000)}, TEXT, true)
    assert.truthy(utf8.len(problems[1].message))
    assert.is_true(#problems[1].message < 300)
  end)

  it("counts codepoints of long texts, also of texts that are no UTF-8", function()
    local text = ("é"):rep(200000) .. "\xFFend" .. ("é"):rep(100) .. "END"
    local spans = grounding.check({"END", "end"}, text, true)
    assert.equal(200000 + 1 + 3 + 100 + 1, spans[1].from)
    assert.equal(200000 + 1 + 1, spans[2].from)
  end)

  it("takes 10 MB", function()
    local text = ("The quick brown fox. "):rep(500000) .. "Ada was here."
    local spans = grounding.check({"Ada  was here"}, text, true)
    assert.equal(#text - 12, spans[1].first)
  end)
end)
