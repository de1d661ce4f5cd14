-- lua/muster/chunk.lua: where text is cut, and that nothing is lost.

local chunk = require "muster.chunk"

local function texts(chunks)
  local list = {}
  for c in chunks do list[#list + 1] = c.text end
  return list
end

local function message_of(fn, ...)
  local fine, err = pcall(fn, ...)
  assert.is_false(fine)
  return err
end

-- The text in pieces of at most n bytes, some of them empty.
local function in_pieces(text, n)
  local at = 1
  return function()
    if at > #text then return nil end
    local piece = text:sub(at, at + math.random(0, n) - 1)
    at = at + #piece
    return piece
  end
end

describe("misuse of chunk", function()
  it("raises, naming function and argument", function()
    assert.match("paragraphs: expected a string, got nil", message_of(chunk.paragraphs))
    assert.match("bytes: option 'size' must be an integer of at least 1", message_of(chunk.bytes, "", {size = 0}))
    assert.match("tokens: unknown option 'by'", message_of(chunk.tokens, "", {by = "bytes"}))
    assert.match("sentences: option 'overlap' must be less than the size, 5, got 5",
                 message_of(chunk.sentences, "", {size = 5, overlap = 5}))
    assert.match("paragraphs: option 'size' is needed", message_of(chunk.paragraphs, "", {overlap = 5}))
    assert.match("bytes: option 'estimate' is not for bytes", message_of(chunk.bytes, "", {estimate = print}))
    assert.match("stream: expected an iterator of strings or a reader, got string", message_of(chunk.stream, "x"))
    assert.match("stream: option 'by' must be 'paragraphs'", message_of(chunk.stream, print, {by = "lines"}))
    assert.match("list: expected an iterator, got string", message_of(chunk.list, "x"))
    local c = chunk.bytes "abc"()
    assert.match("locate: expected a position in the chunk, from 1 to 4, got 5", message_of(c.locate, c, 5))
    assert.match("to_source: field 'last': expected a position", message_of(c.to_source, c, {first = 1, last = 9}))
  end)

  it("shows when the chunks are asked for, if it is the source's", function()
    local chunks = chunk.stream(function() return 5 end)
    assert.equal("chunk: the source gave a number where a string should be", message_of(chunks))
    chunks = chunk.stream(function() error("gone", 0) end)
    assert.equal("gone", message_of(chunks))
    chunks = chunk.tokens("abc", {size = 1, estimate = function() return "5" end})
    assert.equal("chunk: option 'estimate': expected a number, got 5", message_of(chunks))
  end)
end)

describe("paragraphs", function()
  it("of nothing are none", function()
    for _, by in ipairs {"paragraphs", "sentences", "bytes", "tokens"} do
      assert.same({}, texts(chunk[by] ""))
      assert.same({}, texts(chunk.stream(function() end, {by = by, size = 5})))
    end
  end)

  it("end behind empty lines", function()
    assert.same({"a\nb\n\n", "c\n \t\n\n", "d"}, texts(chunk.paragraphs "a\nb\n\nc\n \t\n\nd"))
    assert.same({"a\r\n\r\n", "b"}, texts(chunk.paragraphs "a\r\n\r\nb"))
    assert.same({"\n\n a"}, texts(chunk.paragraphs "\n\n a"))
    assert.same({" \n\n\n"}, texts(chunk.paragraphs " \n\n\n"))
  end)

  it("are merged up to the size, and cut where they are longer", function()
    assert.same({"a\n\nb\n\n", "c"}, texts(chunk.paragraphs("a\n\nb\n\nc", {size = 6})))
    assert.same({"One. ", "Two two ", "two."}, texts(chunk.paragraphs("One. Two two two.", {size = 9})))
    assert.same({"abcdef", "gh ij"}, texts(chunk.paragraphs("abcdefgh ij", {size = 6})))
  end)
end)

describe("sentences", function()
  it("end behind marks, but not behind abbreviations", function()
    assert.same({"Dr. Ann and J. R. Lee met, e.g. at 5 p.m. in Rome. ", "“Really?” she said. ", "Yes! ", "“No.” ",
                 "End"},
                texts(chunk.sentences("Dr. Ann and J. R. Lee met, e.g. at 5 p.m. in Rome. “Really?” she said. Yes! "
                                      .. "“No.” End")))
    assert.same({"Am 3. Mai, z.B. um 4.5 Uhr, usw. Ende. ", "Ja… ", "Nein."},
                texts(chunk.sentences "Am 3. Mai, z.B. um 4.5 Uhr, usw. Ende. Ja… Nein."))
    assert.same({"これ。", "それ！", "あれ"}, texts(chunk.sentences "これ。それ！あれ"))
    assert.same({"Title\n\n", "a.b.c. "}, texts(chunk.sentences "Title\n\na.b.c. "))
  end)
end)

describe("bytes", function()
  it("are not cut within a character, nor within CRLF", function()
    assert.same({"aé", "é", "😀", "b"}, texts(chunk.bytes("aéé😀b", {size = 3})))
    assert.same({"a", "\r\n", "b\r", "c\n"}, texts(chunk.bytes("a\r\nb\rc\n", {size = 2})))
    assert.same({"\r\n", "\r\n"}, texts(chunk.bytes("\r\n\r\n", {size = 1})))
  end)

  it("may be no UTF-8", function()
    assert.same({"\xFF\x80", "\x80\x80", "\xE2\x82", "\xE2"},
                texts(chunk.bytes("\xFF\x80\x80\x80\xE2\x82\xE2", {size = 2})))
    assert.same({"\0\0", "\0"}, texts(chunk.bytes("\0\0\0", {size = 2})))
    assert.equal(500, #texts(chunk.bytes(("\x80"):rep(1000), {size = 2})))
  end)
end)

describe("tokens", function()
  it("are a fourth of the bytes, or what the estimate says", function()
    assert.same({"aaaa ", "bbb cc"}, texts(chunk.tokens("aaaa bbb cc", {size = 2})))
    local function words(text) return select(2, text:gsub("%S+", "")) end
    assert.same({"a bb ", "ccc dddd ", "e"}, texts(chunk.tokens("a bb ccc dddd e", {size = 2, estimate = words})))
  end)

  it("that are estimated to be nothing end all the same", function()
    local n = 0
    for c in chunk.tokens(("x"):rep(1000), {size = 1, estimate = function() return 0 end}) do
      assert.is_true(#c.text <= 64)
      n = n + 1
    end
    assert.equal(16, n)
    assert.equal(3, #texts(chunk.tokens("abc", {size = 1, estimate = function() return math.huge end})))
  end)
end)

describe("a chunk", function()
  it("knows where it comes from", function()
    local list = chunk.list(chunk.paragraphs "äöü.\n\nMy age: 5")
    local c = list[2]
    assert.same({10, 7, 2, 0}, {c.first, c.cp_first, c.index, c.overlap})
    assert.same({9, 6}, {list[1].last, list[1].cp_last})
    assert.same({3, 2}, {list[1]:locate(3)})
    assert.same({first = 18, last = 18, cp_first = 15, cp_last = 15}, c:to_source {first = 9, last = 9})
    assert.same({first = 10, last = 9, cp_first = 7, cp_last = 6}, c:to_source {first = 1, last = 0})
  end)

  it("repeats the end of the one before, from a word on", function()
    local list = chunk.list(chunk.paragraphs("one two three four five", {size = 10, overlap = 6}))
    local found, overlaps = {}, {}
    for i, c in ipairs(list) do found[i], overlaps[i] = c.text, c.overlap end
    assert.same({"one two ", "two three ", "three four", "four five"}, found)
    assert.same({0, 4, 6, 4}, overlaps)
  end)
end)

describe("a stream", function()
  it("keeps about one chunk", function()
    local line, given, most = ("word "):rep(20) .. "\n\n", 0, 0
    collectgarbage()
    local before = collectgarbage "count"
    local function source()
      given = given + 1
      if given <= 20000 then return line end
    end
    local size = 0
    for c in chunk.stream(source, {size = 1000}) do
      size = size + #c.text
      if c.index % 500 == 0 then
        collectgarbage()
        most = math.max(most, collectgarbage "count" - before)
      end
    end
    assert.equal(20000 * #line, size)
    assert.is_true(most < 200, most)
  end)

  it("reads no further than it has to", function()
    local given = 0
    local chunks = chunk.stream(function()
      given = given + 1
      return ("x "):rep(50)
    end, {size = 100})
    chunks()
    assert.is_true(given <= 3)
  end)

  it("comes from a reader too", function()
    local reader = {chunks = function() return in_pieces("a\n\nb", 1) end}
    assert.same({"a\n\n", "b"}, texts(chunk.stream(reader)))
  end)
end)

describe("random chunks", function()
  local alphabet = {"a", "b", " ", " ", "\n", "\n", "\r\n", ".", "! ", "? ", "é", "😀", "\xFF", "\x80", "\xE2", "\0",
                    "A",
                    "1. ", "“", "。", "foo bar. ", "\r", "\n\n", "\t", "e\u{301}", "Dr. ", "\u{A0}"}

  local function random_text()
    local parts = {}
    for i = 1, math.random(0, 60) do parts[i] = alphabet[math.random(#alphabet)] end
    return table.concat(parts)
  end

  local function random_options()
    local by, size = ({"paragraphs", "sentences", "bytes", "tokens"})[math.random(4)], math.random(40)
    local opts = {by = by, size = size, overlap = math.random(0, size - 1)}
    if by == "tokens" and math.random(2) == 1 then opts.estimate = function(x) return utf8.len(x) or #x / 2 end end
    if (by == "paragraphs" or by == "sentences") and math.random(3) == 1 then opts.size, opts.overlap = nil, nil end
    return opts
  end

  local function check(text, opts)
    local list, fresh = chunk.list(chunk.stream(in_pieces(text, 100), opts)), {}
    for i, c in ipairs(list) do
      assert.equal(text:sub(c.first, c.last), c.text)
      assert.equal(i, c.index)
      fresh[i] = c.text:sub(c.overlap + 1)
      assert.is_true(#fresh[i] > 0)
      if utf8.len(text) then
        assert.is_truthy(utf8.len(c.text))
        assert.equal(utf8.len(text, 1, c.first), c.cp_first)
      end
      assert.is_false(text:sub(c.last, c.last + 1) == "\r\n")
      local most = opts.by ~= "tokens" and opts.size or math.huge
      assert.is_true(#c.text <= math.max(most, c.overlap + 4))
    end
    assert.equal(text, table.concat(fresh))
    assert.same(list, chunk.list(chunk.stream(in_pieces(text, 3), opts)))
  end

  it("lose nothing, and do not depend on how the text comes", function()
    for seed = 1, 3000 do
      math.randomseed(seed)
      local text, opts = random_text(), random_options()
      local fine, err = pcall(check, text, opts)
      if not fine then error(("seed %d: %s"):format(seed, tostring(err.message or err)), 0) end
    end
  end)

  -- What is not linear would take many minutes here.
  it("of hostile texts are cut in linear time", function()
    local n = 100000
    for _, piece in ipairs {"a", " ", "\n", ".", ". ", "\x80", "\xE2", "\r", '"', "\n ", "。", "Dr. ", "\r\n"} do
      local text = piece:rep(n)
      for _, by in ipairs {"paragraphs", "sentences"} do
        for _, opts in ipairs {{}, {size = 1000, overlap = 100}} do
          local size = 0
          for c in chunk[by](text, opts) do size = size + #c.text - c.overlap end
          assert.equal(#text, size)
        end
      end
    end
  end)
end)
