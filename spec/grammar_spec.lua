-- lua/muster/grammar.lua: templates, what they find, and where.

local grammar = require "muster.grammar"
local lpeg = require "lpeg"

local function fields(template, text, options)
  local m = grammar.template(template, options):find(text)
  return m and m.fields
end

local function message_of(fn, ...)
  local fine, err = pcall(fn, ...)
  assert.is_false(fine)
  return err
end

-- All offsets of a match give back what they are said to be.
local function check_spans(text, m)
  local function check(span)
    local from, to = utf8.offset(text, span.cp_first), utf8.offset(text, span.cp_last + 1)
    assert.equal(span.first, from)
    assert.equal(span.last, to - 1)
  end
  check(m)
  for name, span in pairs(m.spans) do
    check(span)
    local value, there = m.fields[name], text:sub(span.first, span.last)
    if type(value) == "string" then assert.equal(value, there) end
    if type(value) == "number" then assert.equal(value, tonumber(there)) end
  end
end

describe("a template with a mistake", function()
  local function refused(expected, template, options)
    local err = message_of(grammar.template, template, options)
    assert.equal(expected, err:match "^[^\n]*")
    return err
  end

  it("is refused with the column", function()
    refused("template: column 18: unknown capture 'wrd' (did you mean 'word'?)", "My name is {name:wrd}")
    refused("template: column 4: unknown capture 'xyzzy'", "a {xyzzy}")
    refused("template: column 3: '{' is not closed", "a {b:word")
    refused("template: column 3: '}' without '{'; for a brace in the text write \\}", "a } b")
    refused("template: column 3: '[' is not closed", "a [b")
    refused("template: column 5: ')' where ']' should be", "a [b)")
    refused("template: column 3: ']' closes nothing; in the text write \\]", "a ] b")
    refused("template: column 3: nothing in '[ ]'", "a [ ] b")
    refused("template: column 1: a group needs alternatives, as in (a | b); for a parenthesis in the text write \\(",
            "(c)")
    refused("template: column 5: an empty alternative; what may be absent is [ ]", "(a || b)")
    refused("template: column 2: a capture needs its kind, such as {name:word}", "{}")
    refused("template: column 2: a capture's name is letters, digits and '_', got 'a b'", "{a b:word}")
    refused("template: column 12: 'a' is captured twice", "{a:int} x {a:int}")
    refused("template: column 4: an empty choice in 'one of'", "{a:one of b||c}")
    refused("template: column 4: 'end' is a place and has no text to capture", "{a:end}")
    refused("template: column 3: '\\n' is no escape: '\\' stands before { } [ ] ( ) | and \\", "a \\n")
    refused("template: column 2: nothing behind '\\'", "a\\")
  end)

  it("is shown, with a mark below the place", function()
    local err = refused("template: line 2, column 5: unknown capture 'foo'", "one\näö {foo} x\nthree")
    assert.equal("\n  äö {foo} x\n      ^", err:match "\n.*")
    refused("template: column 33: brackets are more than 32 deep", ("["):rep(40))
  end)

  it("can have one name in several alternatives", function()
    assert.same({a = 5}, fields("(x {a:int} | y {a:int})", "y 5"))
  end)
end)

describe("misuse", function()
  it("raises, naming function and argument", function()
    assert.equal("template: expected a string, got number", message_of(grammar.template, 5):match "template:.*")
    local t = grammar.template "a"
    assert.match("find: argument 1: expected a string, got nil", message_of(t.find, t))
    assert.match("match: argument 2: expected an integer, got 1.5", message_of(t.match, t, "a", 1.5))
    assert.match("template: unknown option 'fold'", message_of(grammar.template, "a", {fold = true}))
    assert.match("option 'define': 'x' must be a pattern of LPeg, a function or a template, got number",
                 message_of(grammar.template, "a", {define = {x = 1}}))
    assert.match("sequence: argument 2: expected a template", message_of(grammar.sequence, "a", 5))
    assert.match("choice: expected at least one piece", message_of(grammar.choice))
    assert.match("pattern: expected a pattern of LPeg or a function, got string", message_of(grammar.pattern, "a"))
  end)
end)

describe("a search", function()
  it("finds nothing in nothing, or behind the end", function()
    for _, kind in ipairs {"word", "words", "text", "line", "int", "quoted", "url"} do
      local t = grammar.template("{a:" .. kind .. "}")
      assert.is_nil(t:find "")
      assert.is_nil(t:find("a", 5))
      assert.is_nil(t:match("", 2))
      assert.is_nil(t:matches ""())
    end
  end)

  it("takes any run of white space for white space", function()
    for _, space in ipairs {" ", "\n", "\r\n", " \t\n  ", "\u{A0}", "\u{2003}\u{3000}", "\n\n\n"} do
      assert.same({n = 5}, fields("a {n:int} b", ("x a%s5%sb"):format(space, space)))
    end
    assert.is_nil(fields("a {n:int} b", "a5 b"))
    assert.same({n = 5}, fields("\n  a {n:int}\n", "a 5"))
  end)

  it("does not begin or end within words and numbers, unless told to", function()
    assert.is_nil(fields("is {n:int}", "this 5"))
    assert.is_nil(fields("{n:int}", "3.14 x4y"))
    assert.is_nil(fields("year", "years"))
    assert.is_nil(fields("year", "ünyear"))
    assert.same({n = 5}, fields("is {n:int}", "this 5", {whole_words = false}))
    assert.same({}, fields("year", "“year”—1"))
  end)

  it("starts at a position, also from the end", function()
    local t = grammar.template "{n:int}"
    local m, first, last = t:find("1 2 33", 4)
    assert.same({33, 5, 6}, {m.fields.n, first, last})
    assert.equal(33, t:find("1 2 33", -2).fields.n)
    assert.equal(2, t:match("1 2 33", 3).fields.n)
    assert.is_nil(t:match(" 1"))
  end)

  it("survives NUL bytes and what is not UTF-8", function()
    assert.same({a = "x"}, fields("\0 {a:word}", "\0 x\0"))
    assert.same({a = "x\xFFy"}, fields("is {a:word}", "is x\xFFy \x80"))
    local m = grammar.template("is {a:word}"):find "\xFF\x80\x80 é is x"
    assert.equal(8, m.spans.a.cp_first)
  end)

  it("ignores case if told to", function()
    assert.same({n = 1, c = "Red"}, fields("Say {n:int} {c:one of Red|blue}", "sAY 1 RED", {ignore_case = true}))
    assert.is_nil(fields("Say {n:int}", "say 1"))
  end)

  it("gives each match once, in their order", function()
    local list = {}
    for m, first, last in grammar.template("{n:int}"):matches "1, 22 x 333" do
      list[#list + 1] = {m.fields.n, first, last}
    end
    assert.same({{1, 1, 1}, {22, 4, 5}, {333, 9, 11}}, list)
    local n = 0
    for _ in grammar.template("[x]"):matches "- x" do n = n + 1 end
    assert.equal(4, n) -- nothing before "-" and " ", the "x", nothing at the end
  end)
end)

describe("a capture", function()
  local function values(kind, cases)
    for text, value in pairs(cases) do
      local found = fields("v: {v:" .. kind .. "}", "v: " .. text)
      if value == false then
        assert.is_nil(found, text)
      else
        assert.same({text, value}, {text, found and found.v})
      end
    end
  end

  it("of a word takes letters of all kinds", function()
    values("word", {["O'Brien,"] = "O'Brien", ["Jean-Luc."] = "Jean-Luc", ["naïve "] = "naïve",
                    ["e\u{301}a!"] = "e\u{301}a", ["Łódź”"] = "Łódź", ["日本、x"] = "日本",
                    ["👩\u{200D}👧 x"] = "👩\u{200D}👧", ["a-"] = "a", ["!a"] = false})
  end)

  it("of words is as short as what follows allows", function()
    assert.same({a = "Ann Lee", b = "Bob"}, fields("{a:words} and {b:words}.", "Ann Lee and Bob."))
    assert.same({a = "a b\nc"}, fields("{a:words}", "a b\nc, d"))
    assert.same({a = "a"}, fields("{a:words}", "a\n\nb"))
    assert.same({a = "Main", n = 5}, fields("{a:words} {n:int}", "Main 5"))
    assert.same({a = "Old Main Street", n = 5}, fields("{a:words} [No. ]{n:int}", "Old Main Street 5"))
    assert.same({a = "a b", c = "d"}, fields("{a:words} [c {c:words}]", "a b c d"))
    assert.same({a = "a b"}, fields("{a:words} [c {c:words}]", "a b"))
  end)

  it("of text stays in its paragraph", function()
    assert.same({a = "b, c. D"}, fields("x {a:text} y", "x b, c. D\ny"))
    assert.is_nil(fields("x {a:text} y", "x b\n \nc y"))
    assert.same({a = "b, c"}, fields("x {a:text}", "x b, c \n\nd"))
  end)

  it("of a line or the rest goes to the end", function()
    assert.same({a = "b c", d = 5}, fields("x: {a:line} y {d:int}", "x:  b c \r\ny 5"))
    assert.is_nil(fields("x:{a:line}", "x: \r\ny"))
    assert.is_nil(fields("x: {a:line}", "x: \n y"))
    values("rest", {["a\n\nb "] = "a\n\nb "})
  end)

  it("of a number has a value", function()
    values("int", {["5"] = 5, ["-5"] = -5, ["+007"] = 7, ["9223372036854775807"] = math.maxinteger,
                   ["9223372036854775808"] = false, ["5.5"] = false, ["x"] = false, ["5th"] = false})
    values("number", {["5"] = 5, ["-.5"] = -0.5, ["1.5e3"] = 1500.0, ["5."] = 5, ["1e999"] = false, ["1.2.3"] = false})
    assert.equal("integer", math.type(fields("{n:int}", "5").n))
    assert.same({a = 10, b = 20}, fields("{a:int}-{b:int}", "10-20"))
    assert.same({v = 1.5}, fields("v{v:number}", "v1.5"))
    assert.same({a = 5}, fields("{a:int}kg", "5kg"))
  end)

  it("of a date is written as in ISO 8601", function()
    local day = "2024-02-29"
    values("date", {["2024-02-29"] = day, ["2024/02/29"] = day, ["29.2.2024"] = day, ["29 February 2024"] = day,
                    ["Feb. 29th, 2024"] = day, ["february 29 2024"] = day, ["2023-02-29"] = false,
                    ["2024-13-01"] = false,
                    ["31 Apr 2024"] = false, ["2024-02-291"] = false})
  end)

  it("of an address ends where the sentence goes on", function()
    values("email", {["a.b+c@x-y.example.org."] = "a.b+c@x-y.example.org", ["a@b"] = false, ["@b.c"] = false})
    values("url", {["http://a.b/c?d=e#f). x"] = "http://a.b/c?d=e#f", ["HTTPS://a/b_(c), x"] = "HTTPS://a/b_(c)",
                   ["http://"] = false, ["http://..."] = false})
  end)

  it("of quoted text is what is within the quotes", function()
    values("quoted", {['"a \\" b" c'] = 'a \\" b', ["'it's' x"] = "it's", ["“a”"] = "a", ["„a b“"] = "a b",
                      ["»a«"] = "a", ['""'] = "", ['"a'] = false, ['"a\n\nb"'] = false, ["‘don’t’"] = "don’t"})
  end)

  it("of one of several takes the longest, as the template has it", function()
    assert.same({a = "light green"}, fields("{a:one of light|light green}", "light\n green"))
    assert.same({a = "light"}, fields("{a:one of light|light green} green", "light green"))
  end)

  it("without a name captures nothing", function()
    assert.same({b = 5}, fields("{word} {words}: {text} ({date}|{url}|{quoted}) {b:int}", "x y z: a, b 'q' 5"))
  end)
end)

describe("parts", function()
  it("may be absent, with their white space", function()
    for _, text in ipairs {"a 5 years old", "a 5 old"} do
      assert.same({n = 5}, fields("a {n:int} [years] old", text))
      assert.same({n = 5}, fields("a {n:int} [ years ] old", text))
      assert.same({n = 5}, fields("[b] a {n:int} [very] [years] old", text))
    end
    assert.same({n = 5}, fields("a {n:int} [years]", "a 5."))
    assert.same({n = "X"}, fields("[Dr. ]{n:word}", "Dr. X"))
    assert.same({a = 1, b = 2}, fields("x [{a:int} [{b:int}]]", "x 1 2"))
    assert.same({a = 1}, fields("x [{a:int} [{b:int}]]", "x 1 z"))
  end)

  it("and alternatives are tried in turn until all fits", function()
    assert.same({}, fields("( a | a b ) c", "a b c"))
    assert.same({}, fields("[a] a b", "a b"))
    assert.same({n = 3}, fields("([x] a | b {n:int}) c", "x b 3 c"))
    assert.same({}, fields("a | b", "b"))
  end)

  it("are meant as they are behind a backslash", function()
    assert.same({n = 5}, fields([[\(c\) \{\}\[\]\|\\ {n:int}]], [[(c) {}[]|\ 5]]))
  end)
end)

describe("pieces of one's own", function()
  it("are patterns of LPeg, functions and templates", function()
    local define = {
      hex = lpeg.R("09", "af") ^ 1 / function(s) return tonumber(s, 16) end, plain = lpeg.P "x" ^ 1,
      twice = function(text, at)
        local last = select(2, text:find("^(%w)%1", at))
        return last and last + 1, last and text:sub(at, at)
      end,
      pair = grammar.template "{a:int}/{b:int}",
    }
    local text = "v ff xx ää 3/4 zz"
    local m = grammar.template("v {h:hex} {p:plain} {word} {q:pair} {t:twice}", {define = define}):find(text)
    assert.same({h = 255, p = "xx", q = {a = 3, b = 4}, t = "z"}, m.fields)
    assert.equal("3/4", text:sub(m.spans.q.first, m.spans.q.last))
    assert.equal(16, m.spans.q.spans.b.first)
    assert.equal(14, m.spans.q.spans.b.cp_first)
  end)

  it("that return a wrong position raise", function()
    local t = grammar.template("a {x:bad}", {define = {bad = function() return 99 end}})
    assert.equal("template: capture 'bad': expected the position behind the match, from 3 to 3, got 99",
                 message_of(t.find, t, "a "))
  end)

  it("compose", function()
    local a, b = grammar.template "a {x:int}", grammar.pattern(lpeg.R "az" ^ 1, "y")
    assert.same({x = 1, y = "foo"}, (a .. " " .. b):find "a 1 foo".fields)
    assert.same({y = "foo"}, ((a .. "!") + b):find "1 foo".fields)
    assert.same({x = 1}, grammar.sequence(a, grammar.optional " z"):find "a 1".fields)
    local m = grammar.sequence("<", grammar.capture("in_", a), ">"):find "<a 7>"
    assert.same({in_ = {x = 7}}, m.fields)
    assert.same({q = 3}, grammar.capture("q", grammar.template "{int}"):find "x 3".fields)
  end)
end)

describe("work", function()
  it("is stopped at a limit", function()
    local t = grammar.template("{a:far} zz", {define = {far = lpeg.P(1) ^ 1}, max_steps = 1000})
    assert.match("^grammar: stopped after 1000 steps", message_of(t.find, t, ("a "):rep(1000)))
    t = grammar.template("{a:text} zz", {max_steps = 100})
    assert.match("^grammar: stopped", message_of(t.find, t, ("a "):rep(1000) .. "zz"))
  end)

  -- A search that is not linear would take many minutes here.
  it("is linear on hostile texts", function()
    local n = 100000
    local texts = {
      ("a"):rep(n), ("a "):rep(n), (" "):rep(n), ("\u{A0}"):rep(n), ("a-"):rep(n), ("'a "):rep(n), ('"'):rep(n),
      ("1."):rep(n), ('"\\'):rep(n), ("a@b."):rep(n), ("http://"):rep(n), ("http://a)"):rep(n), ("\xFF"):rep(n),
      ("\x80"):rep(n), ("1"):rep(n),
      "a" .. (" "):rep(n) .. "b", ("is x "):rep(n), "\"" .. ("\\"):rep(n), ("\r\n"):rep(n), ("\xE2\x80"):rep(n),
    }
    for _, template in ipairs {"({a:words} is | {b:text} zz | {c:line} zz) {int}", "a{a:word}zz",
                               "({a:quoted} | {b:url} | {c:email} | {number}) zz {text} {date}"} do
      local t = grammar.template(template, {max_steps = 40 * n})
      for _, text in ipairs(texts) do assert.is_nil((t:find(text))) end
    end
  end)

  it("is nothing to speak of for a huge text", function()
    local text = ("x"):rep(20000000) .. " My name is Ann.\n"
    local m = grammar.template "My name is {n:word}":find(text)
    assert.equal("Ann", m.fields.n)
    assert.equal(20000013, m.spans.n.cp_first)
  end)
end)

-- A matcher of regular patterns that tries everything, for templates whose captures are single words and numbers.
local function naive(text, at, nodes, i, found)
  local node = nodes[i]
  if not node then return at end
  if node.kind == "optional" or node.kind == "choice" then
    for _, way in ipairs(node) do
      local rest = table.move(nodes, i + 1, #nodes, #way + 1, table.move(way, 1, #way, 1, {}))
      local mine = setmetatable({}, {__index = found})
      local stop = naive(text, at, rest, 1, mine)
      if stop then
        for name, value in pairs(mine) do found[name] = value end
        return stop
      end
    end
    return nil
  end
  local first, last, value = text:find("^" .. node.pattern, at)
  if not first then return nil end
  local stop = naive(text, last + 1, nodes, i + 1, found)
  if stop and node.name then found[node.name] = value end
  return stop
end

describe("random templates", function()
  local function generator(seed)
    math.randomseed(seed)
    local names = 0
    local sequence
    local function node(depth)
      local pick = math.random(depth > 2 and 4 or 6)
      if pick <= 2 then
        local word = ({"a", "b", "ab"})[math.random(3)]
        return word, {pattern = word}
      end
      if pick <= 4 then
        names = names + 1
        local kind, name = pick == 3 and "word" or "int", "n" .. names
        local pattern = pick == 3 and "(%w+)%f[^%w]" or "(%d+)%f[^%d]"
        return ("{%s:%s}"):format(name, kind), {name = name, pattern = pattern}
      end
      local text, nodes = sequence(depth + 1)
      if pick == 5 then
        local inside = {{pattern = "<"}, {kind = "choice", nodes}, {pattern = ">"}}
        return "[<" .. text .. ">]", {kind = "optional", inside, {}}
      end
      local other_text, other = sequence(depth + 1)
      return ("(%s | %s)"):format(text, other_text), {kind = "choice", nodes, other}
    end
    function sequence(depth)
      local texts, nodes = {}, {}
      for i = 1, math.random(3) do
        local text, made = node(depth)
        if i > 1 then nodes[#nodes + 1] = {pattern = ","} end
        texts[i], nodes[#nodes + 1] = text, made
      end
      return table.concat(texts, ","), nodes
    end
    return sequence(1)
  end

  it("find what a matcher that tries everything finds", function()
    local matched = 0
    for seed = 1, 1500 do
      local template, nodes = generator(seed)
      local t = grammar.template(template)
      for _ = 1, 5 do
        local parts = {}
        for i = 1, math.random(6) do parts[i] = ({"a", "b", "ab", "5", "17", "<a>", "<5>", "<", ""})[math.random(9)] end
        local text = table.concat(parts, ",") .. ";"
        local m = t:match(text)
        local found = {}
        local stop = naive(text, 1, nodes, 1, found)
        if stop and stop > 1 and text:find("^%w%w", stop - 1) then stop = nil end
        local expected = stop and {stop - 1, found}
        local got = m and {m.last, {}}
        for name, value in pairs(m and m.fields or {}) do got[2][name] = tostring(value) end
        local both = expected and got
        assert.same({seed, template, text, both and expected[1] or expected ~= nil, both and expected[2]},
                    {seed, template, text, both and got[1] or got ~= nil, both and got[2]})
        if m then
          matched = matched + 1
          check_spans(text, m)
        end
      end
    end
    assert.is_true(matched > 500)
  end)

  it("have spans that give back their values", function()
    local text = "Ünï said “hé 😀” to Łódź on 3 May 2020, e\u{301}t al. paid 17.5 € to a.b@c.de, see https://x.y/z."
    for _, template in ipairs {"{a:word} {b:word}", "{q:quoted}", "{a:words} on {date}", "{e:email}", "{u:url}",
                               "{n:number}", "{a:text} {q:quoted}", "{l:line}", "{r:rest}"} do
      local n = 0
      for m in grammar.template(template):matches(text) do
        check_spans(text, m)
        n = n + 1
      end
      assert.is_true(n > 0, template)
    end
  end)

  it("are found first where they fit first", function()
    local parts = {"{a:word}", "{a:words}", "{a:int}", "{a:text}", "[x] {a:word}", "(x {a:int} | y)",
                   "{a:one of x|x y}", "y"}
    local words = {"x", "y", "zz", "5", "ab", ",", ".", "\n", "é", "zz!", "“"}
    local found = 0
    for seed = 1, 1500 do
      math.randomseed(seed)
      local template = parts[math.random(#parts)] .. " " .. ({"zz", "x", "zz {b:words}", "{b:int}"})[math.random(4)]
      local t, list = grammar.template(template), {}
      for i = 1, math.random(20) do list[i] = words[math.random(#words)] end
      local text = table.concat(list, " ")
      local m = t:find(text)
      local first
      for at = 1, #text do -- what begins within a word or in the midst of white space is no match of a search
        local alone = t:match(text, at)
        local inside = text:find("^%w", at) and at > 1 and text:find("^[%w\x80-\xFF]", at - 1)
        if alone and not inside and not text:find("^[\x80-\xBF]", at) then
          first = at
          break
        end
      end
      assert.same({seed, template, text, first}, {seed, template, text, m and m.first})
      found = found + (m and 1 or 0)
    end
    assert.is_true(found > 300)
  end)
end)
