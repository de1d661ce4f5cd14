local csv = require "muster.csv"

local function collect(...)
  local rows = {}
  for row in csv.rows(...) do rows[#rows + 1] = row end
  return rows
end

local function plain(text, opts)
  opts = opts or {}
  opts.header = false
  return collect(text, opts)
end

describe("csv.rows", function()
  it("reads fields, quoted and not, with any line end", function()
    assert.same({{"a", "b"}, {"c", "d"}}, plain "a,b\nc,d\n")
    assert.same({{"a", "b"}, {"c", "d"}}, plain "a,b\r\nc,d")
    assert.same({{"a", "b"}, {"c", "d"}}, plain "a,b\rc,d\r")
    assert.same({{"", "", ""}}, plain ",,\n")
    assert.same({{'say "hi"', "1,5", "two\nlines", ""}}, plain '"say ""hi""","1,5","two\nlines",""\n')
    assert.same({{' "a"', " b "}}, plain ' "a", b ')
    assert.same({}, plain "")
    assert.same({}, plain "\n\r\n\n")
    assert.same({{"ä\0b", "\xff"}}, plain "ä\0b,\xff")
  end)

  it("names fields by the first row", function()
    local rows = collect "name,age\nAda,36\n\nBob,\n"
    assert.equal(2, #rows)
    assert.same({"Ada", "36", name = "Ada", age = "36"}, rows[1])
    assert.equal("", rows[2].age)
    assert.same({}, collect "name,age\n")
  end)

  it("takes another separator", function()
    assert.same({{"a,b", "c"}}, plain("a,b;c\n", {separator = ";"}))
    assert.same({{"a", "b"}}, plain("a\tb", {separator = "\t"}))
    assert.same({{"a", "b"}}, plain("a^b", {separator = "^"}))
    assert.same({{"a", "b"}}, plain("a]b", {separator = "]"}))
  end)

  it("does not mind where pieces end", function()
    local text = 'a,"b ""x"" ",c\r\n"d\r\ne",,f\n"","g"\r\n\r\nlast,"",""'
    local expected = plain(text)
    assert.same({{"a", 'b "x" ', "c"}, {"d\r\ne", "", "f"}, {"", "g"}, {"last", "", ""}}, expected)
    for size = 1, #text do
      local at = 1
      local rows = plain(function()
        if at > #text then return nil end
        local piece = text:sub(at, at + size - 1)
        at = at + size
        return piece
      end)
      assert.same(expected, rows)
    end
  end)

  it("skips pieces that are empty", function()
    local pieces = {"", "a,", "", "b", "", "\n", ""}
    local i = 0
    assert.same({{"a", "b"}}, plain(function()
      i = i + 1
      return pieces[i]
    end))
  end)

  it("says in which line it is no CSV", function()
    for text, why in pairs {
      ['a\nb\n"c'] = "line 3: a quoted field does not end",
      ['"a"b\n'] = "line 1: after a closing quote expected a separator or the end of the line",
      ['"x\ny"\n"a" ,b'] = "line 3: after a closing quote",
    } do
      local ok, err = pcall(plain, text)
      assert.is_false(ok)
      assert.equal("csv", err.kind)
      assert.truthy(err.message:find(why, 1, true), err.message)
    end
    local ok, err = pcall(collect, "a,b\n1,2\n3\n")
    assert.is_false(ok)
    assert.matches("expected 2 fields as in the head, got 1", err.message)
  end)

  it("is linear in a field that does not end", function()
    local n = 0
    local ok = pcall(plain, function()
      n = n + 1
      return n == 1 and '"' or n < 2000 and ('x'):rep(100) or nil
    end)
    assert.is_false(ok)
    assert.equal(2000, n)
  end)

  it("says what was expected", function()
    assert.error_matches(function() csv.rows(5) end, "csv.rows: expected a text or a function")
    assert.error_matches(function() csv.rows("", {separator = '"'}) end, "option 'separator' must be one byte")
    assert.error_matches(function() csv.rows("", {head = true}) end, "unknown option 'head'")
  end)
end)

describe("csv.line", function()
  it("quotes what needs it", function()
    assert.equal("a,5,1.5,true\n", csv.line {"a", 5, 1.5, true})
    assert.equal('"a,b","say ""x""","two\nlines"\n', csv.line {"a,b", 'say "x"', "two\nlines"})
    assert.equal("a,,c\n", csv.line {n = 3, "a", nil, "c"})
    assert.equal("a,b;\"c;d\"\n", csv.line({"a,b", "c;d"}, {separator = ";"}))
    assert.equal("\"\"\n", csv.line {""})
    assert.equal("\n", csv.line {})
  end)

  it("is read back as it was", function()
    local values = {"", "a", '"', '""', ",", "\n", "\r\n", " x ", "ä", "\0", ";"}
    for _, a in ipairs(values) do
      for _, b in ipairs(values) do
        assert.same({{a, b}}, plain(csv.line {a, b}))
        if a ~= "" then assert.same({{a}}, plain(csv.line {a})) end
      end
    end
  end)

  it("refuses what is no field", function()
    assert.error_matches(function() csv.line {1, {}} end, "csv.line: field 2 must be a string, a number or a boolean")
  end)
end)
