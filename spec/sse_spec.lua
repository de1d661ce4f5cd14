local sse = require "muster.http.sse"

--- What gives the pieces of a list, one a call.
local function pieces_of(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function collect(iterator)
  local list = {}
  for item in iterator do list[#list + 1] = item end
  return list
end

--- A text cut into pieces of n bytes.
local function cut(text, n)
  local list = {}
  for i = 1, #text, n do list[#list + 1] = text:sub(i, i + n - 1) end
  return list
end

local function data_of(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = event.data end
  return list
end

describe("sse.lines", function()
  it("splits at LF and CRLF, wherever chunks end", function()
    local text = "one\ntwo\r\n\r\nthree\rstill\n\nlast"
    local expected = {"one", "two", "", "three\rstill", "", "last"}
    for n = 1, #text do assert.same(expected, collect(sse.lines(pieces_of(cut(text, n))))) end
  end)

  it("has no line after the last end of line, and none of nothing", function()
    assert.same({"a"}, collect(sse.lines(pieces_of {"a\n"})))
    assert.same({}, collect(sse.lines(pieces_of {})))
    assert.same({}, collect(sse.lines(pieces_of {"", ""})))
    assert.same({""}, collect(sse.lines(pieces_of {"\n"})))
  end)
end)

describe("sse.events", function()
  local text = "\xEF\xBB\xBF: a comment\rdata: one\r\rdata:two\ndata:  three\n\nevent: thing\r\nid: 7\r\n" ..
    "retry: 250\r\ndata\r\n\r\ndata: four\n\nid\ndata:five\n\nevent: lost\n\n" ..
    "unknown: x\ndata: a: b\n\ndata: not ended\n"

  local expected = {
    {event = "message", data = "one", id = ""},
    {event = "message", data = "two\n three", id = ""},
    {event = "thing", data = "", id = "7", retry = 250},
    {event = "message", data = "four", id = "7", retry = 250},
    {event = "message", data = "five", id = "", retry = 250},
    {event = "message", data = "a: b", id = "", retry = 250},
  }

  it("parses as the standard says, wherever chunks end", function()
    for n = 1, #text do
      assert.same(expected, collect(sse.events(pieces_of(cut(text, n)))))
    end
  end)

  it("does not take CRLF for two ends of lines when a chunk ends between them", function()
    local events = collect(sse.events(pieces_of {"data: a\r", "\ndata: b\r", "", "\n\r", "\n"}))
    assert.same({"a\nb"}, data_of(events))
  end)

  it("gives an event as soon as its empty line is there", function()
    local next_event = sse.events(pieces_of {"data: a\n\n", function() end})
    assert.equal("a", next_event().data)
    next_event = sse.events(pieces_of {"data: a\r\r", function() end})
    assert.equal("a", next_event().data)
  end)

  it("ignores an id with a zero, and a retry that is no number", function()
    local events = collect(sse.events(pieces_of {"id: a\0b\nretry: 1x\nretry: -1\nretry:\ndata: x\n\n"}))
    assert.same({{event = "message", data = "x", id = ""}}, events)
  end)

  it("keeps a mark that is not the first thing, and text that begins like one", function()
    assert.same({"\xEF\xBB\xBFx"}, data_of(collect(sse.events(pieces_of {"data:\xEF\xBB\xBFx\n\n"}))))
    assert.same({}, collect(sse.events(pieces_of {"\xEF", "\xBBdata: x\n\n"})))
    assert.same({}, collect(sse.events(pieces_of {"\xEF\xBB"})))
  end)

  it("takes a line of a megabyte in small chunks", function()
    local chunks = {"data: "}
    for _ = 1, 1 << 14 do chunks[#chunks + 1] = ("x"):rep(64) end
    chunks[#chunks + 1] = "\n\n"
    assert.equal(1 << 20, #collect(sse.events(pieces_of(chunks)))[1].data)
  end)
end)
