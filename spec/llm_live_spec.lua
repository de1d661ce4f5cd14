-- Streams over bytes that end anywhere: inside a character, a string, a line, an event.
local core = require "muster.core"
local json = require "muster.json"
local limit = require "muster.limit"
local llm = require "muster.llm"
local response = require "muster.cache.response"
local schema = require "muster.schema"
local virtual = require "muster.test".virtual

local Person = schema.object({name = schema.string()}):named "Person"
local NAMES = {"Zoë \"Z\" Ñandú", "李\\明", "😀"}

local function items(n)
  local list = {}
  for i = 1, n do list[i] = {name = NAMES[i]} end
  return json.encode {items = list}
end

local function events(list)
  local lines = {}
  for i, event in ipairs(list) do lines[i] = "data: " .. (event.text or json.encode(event)) .. "\n\n" end
  return table.concat(lines)
end

--- The bytes of a streamed answer, in deltas of a few characters, as each provider sends them.
local function pieces(text)
  local list = {}
  for at = 1, utf8.len(text), 5 do
    list[#list + 1] = text:sub(utf8.offset(text, at), (utf8.offset(text, at + 5) or #text + 1) - 1)
  end
  return list
end

local wires = {}

function wires.openai(text)
  local list = {}
  for i, piece in ipairs(pieces(text)) do list[i] = {choices = {{index = 0, delta = {content = piece}}}} end
  list[#list + 1] = {choices = {{index = 0, delta = json.object {}, finish_reason = "stop"}}}
  list[#list + 1] = {text = "[DONE]"}
  return events(list)
end

function wires.anthropic(text)
  local list = {{type = "message_start", message = {id = "m"}},
                {type = "content_block_start", index = 0, content_block = {type = "text", text = ""}}}
  for _, piece in ipairs(pieces(text)) do
    list[#list + 1] = {type = "content_block_delta", index = 0, delta = {type = "text_delta", text = piece}}
  end
  list[#list + 1] = {type = "message_delta", delta = {stop_reason = "end_turn"}}
  list[#list + 1] = {type = "message_stop"}
  return events(list)
end

function wires.ollama(text)
  local lines = {}
  for i, piece in ipairs(pieces(text)) do lines[i] = json.encode {message = {content = piece}, done = false} end
  lines[#lines + 1] = json.encode {message = {content = ""}, done = true, done_reason = "stop", eval_count = 3}
  return table.concat(lines, "\n") .. "\n"
end

--- A transport whose body comes in chunks; then it ends, or breaks off with an error.
local function transport(chunks, err)
  local self = {open = 0, requests = 0}
  function self.request(_, opts)
    self.requests, self.open = self.requests + 1, self.open + 1
    local i, open = 0, true
    local function done()
      if open then self.open, open = self.open - 1, false end
    end
    return response.new({status = 200, headers = {"content-type", "text/event-stream"}, version = "1.1", wait = 0},
      opts.url, function()
        i = i + 1
        if chunks[i] then return chunks[i] end
        done()
        return nil, err
      end, done)
  end
  return self
end

--- Reads all records; what came of it, and the error that broke it off.
local function read_all(provider, chunks, err)
  local through, limiter = transport(chunks, err), limit.limiter()
  local client = llm.client {provider = provider, base_url = "http://h/v1", model = "m", transport = through,
                             limiter = limiter, retry = {attempts = 1}, budget = {tokens = 1e6}}
  local list = {}
  local ok, problem = pcall(function()
    for person in client:extract_many(Person, "x", {mode = "json_schema"}) do list[#list + 1] = person.name end
  end)
  assert.equal(0, through.open)
  assert.equal(0, limiter:stats().in_flight)
  assert.equal(0, client.budget.held.tokens)
  assert.equal(1, through.requests)
  return list, not ok and problem or nil
end

local function chunks_of(bytes, n)
  local list = {}
  for i = 1, #bytes, n do list[#list + 1] = bytes:sub(i, i + n - 1) end
  return list
end

--- Are these the first of the names?
local function assert_first(list)
  for i, name in ipairs(list) do assert.equal(NAMES[i], name) end
end

for provider, wire in pairs(wires) do
  describe("llm.live, " .. provider, function()
    local bytes = wire(items(3))

    it("gives the same records wherever chunks end", virtual(function()
      for n = 1, 40 do
        local list, err = read_all(provider, chunks_of(bytes, n))
        assert.is_nil(err)
        assert.same(NAMES, list)
      end
    end))

    it("gives the same with CRLF, CR and comments between", virtual(function()
      for _, ending in ipairs(provider == "ollama" and {"\r\n"} or {"\r\n", "\r", "\n: hello\n"}) do
        local list, err = read_all(provider, chunks_of((bytes:gsub("\n", ending)), 7))
        assert.is_nil(err)
        assert.same(NAMES, list)
      end
    end))

    it("cut at any byte gives the records that were whole, whole, and an error", virtual(function()
      local most, fields = 0, {retryable = true, phase = "body"}
      local function reset() return core.error("reset", "the connection broke", fields) end
      for at = 0, #bytes do
        local list, problem = read_all(provider, {bytes:sub(1, at)}, at % 2 == 0 and reset() or nil)
        assert_first(list)
        assert.is_true(#list >= most, "a record that was there before is gone")
        most = #list
        if problem then
          assert.is_true(type(problem) == "table" and problem.kind ~= nil, tostring(problem))
        else
          assert.equal(3, #list)
        end
      end
      assert.equal(3, most)
    end))
  end)
end
