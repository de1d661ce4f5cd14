--- The bench of JSON: decode, encode and the incremental parser on typical records, beside cjson in the same run.
---   build/muster scripts/bench/json.lua, or require it: run gives the figures, print prints them
local cjson = require "cjson"
local json = require "muster.json"

local M = {}

local RECORDS, ROUNDS, AIM = 20000, 7, 100

local record = '{"name":"Person %d Example","age":%d,"email":"person%d@example.com","city":"Sankt Gallen",' ..
  '"score":%.2f,"active":true,"tags":["alpha","beta"],' ..
  '"quote":"She said it was \\"fine\\", that is all there was to it.","note":null}'

local function make_text()
  local list = {}
  for i = 1, RECORDS do list[i] = record:format(i, 20 + i % 60, i, i / 7) end
  return '{"people":[' .. table.concat(list, ",") .. "]}"
end

local function cut(text, size)
  local chunks = {}
  for i = 1, #text, size do chunks[#chunks + 1] = text:sub(i, i + size - 1) end
  return chunks
end

local function parse(chunks)
  local parser, n = json.parser {path = {"people"}, keep = false}, 0
  for i = 1, #chunks do n = n + #assert(parser:feed(chunks[i])) end
  assert(parser:finish())
  assert(n == RECORDS)
end

local function parse_looking(chunks)
  local parser = json.parser {path = {"people"}}
  for i = 1, #chunks do
    assert(parser:feed(chunks[i]))
    assert(parser:partial())
  end
end

--- The best of several rounds, in MB a second of CPU time; the competitors take turns.
local function measure(megabytes, competitors)
  local rates = {}
  for _ = 1, ROUNDS do
    for name, fn in pairs(competitors) do
      collectgarbage()
      local start = os.clock()
      fn()
      rates[name] = math.max(rates[name] or 0, megabytes / (os.clock() - start))
    end
  end
  return rates
end

--- MB a second: of decode, encode, and the parser with chunks of 16 KB and of 64 bytes (the same with a look at the
--- partial value after each chunk); of cjson's decode and encode.
---@return table<string, number>
function M.run()
  local text = make_text()
  local large, small = cut(text, 16384), cut(text, 64)
  local value, theirs = json.decode(text), cjson.decode(text)
  return measure(#text / 1e6, {
    decode = function() assert(json.decode(text)) end,
    cjson_decode = function() cjson.decode(text) end,
    encode = function() json.encode(value) end,
    cjson_encode = function() cjson.encode(theirs) end,
    canonical = function() json.encode(value, {canonical = true}) end,
    parser_16k = function() parse(large) end,
    parser_64 = function() parse(small) end,
    partial_64 = function() parse_looking(small) end,
  })
end

local function row(title, value, aim, met) print(("%-52s %-28s %-24s %s"):format(title, value, aim, met)) end

local function rate(value, other)
  return ("%.0f MB/s"):format(value) .. (other and (", cjson %.0f"):format(other) or "")
end

--- Prints the figures beside their aims.
function M.print(figures)
  local aim = ("at least %d MB/s"):format(AIM)
  local function met(value) return value >= AIM and "yes" or "no" end
  row("incremental parser, chunks of 16 KB", rate(figures.parser_16k), aim, met(figures.parser_16k))
  row("incremental parser, chunks of 64 bytes", rate(figures.parser_64), aim, met(figures.parser_64))
  row("  and the partial value after each chunk", rate(figures.partial_64), "", "")
  row("decode", rate(figures.decode, figures.cjson_decode), "", "")
  row("encode", rate(figures.encode, figures.cjson_encode), "", "")
  row("  with sorted keys", rate(figures.canonical), "", "")
end

if arg and arg[0] and arg[0]:match "bench/json%.lua$" then M.print(M.run()) end

return M
