--- Chunks of text: cut between paragraphs, sentences or words, never within a character, with their places in it.
local cutter = require "muster.chunk.cutter"
local offsets = require "muster.grammar.offsets"
local options = require "muster.options"

local M = {}

-- ---- chunks ----

local Chunk = {}
Chunk.__index = Chunk

-- The counts of codepoints in a chunk, made when they are asked for.
local counts = setmetatable({}, {__mode = "k"})

local function counted(self)
  counts[self] = counts[self] or offsets.new(self.text)
  return counts[self]
end

local function check_offset(what, offset, most)
  if math.type(offset) ~= "integer" or offset < 1 or offset > most then
    error(("%s: expected a position in the chunk, from 1 to %d, got %s"):format(what, most, tostring(offset)), 3)
  end
end

function Chunk:locate(offset)
  check_offset("locate", offset, #self.text + 1)
  return self.first + offset - 1, self.cp_first + counted(self):codepoint(offset) - 1
end

function Chunk:to_source(span)
  if type(span) ~= "table" then error(("to_source: expected a span, got %s"):format(type(span)), 2) end
  check_offset("to_source: field 'first'", span.first, #self.text + 1)
  if span.last ~= span.first - 1 then check_offset("to_source: field 'last'", span.last, #self.text) end
  local first, cp_first = self:locate(span.first)
  local last, cp_last = first - 1, cp_first - 1
  if span.last >= span.first then last, cp_last = self:locate(span.last) end
  return {first = first, last = last, cp_first = cp_first, cp_last = cp_last}
end

local function make(fields) return setmetatable(fields, Chunk) end

-- ---- options ----

local known = {
  size = options.kinds.count,
  overlap = options.kinds.size,
  estimate = {function(v) return type(v) == "function" end, "a function of a text"},
}
local known_by = {
  by = {function(v) return v == "paragraphs" or v == "sentences" or v == "bytes" or v == "tokens" end,
        "'paragraphs', 'sentences', 'bytes' or 'tokens'"},
}
for name, kind in pairs(known) do known_by[name] = kind end

local PARAGRAPHS = {"paragraph", "sentence", "word"}
local ways = {
  paragraphs = {kinds = PARAGRAPHS, ratio = 1},
  sentences = {kinds = {"sentence", "word"}, ratio = 1},
  bytes = {kinds = {}, size = 4096, ratio = 1},
  tokens = {kinds = PARAGRAPHS, size = 1000, ratio = 4},
}

local function plan_of(what, by, opts)
  local way = ways[by]
  local size, overlap = opts.size or way.size, opts.overlap or 0
  if size == math.huge then size = nil end
  if by == "bytes" and opts.estimate then
    error(("%s: option 'estimate' is not for bytes"):format(what), 3)
  end
  if not size and (overlap > 0 or opts.estimate or by == "bytes" or by == "tokens") then
    error(("%s: option 'size' is needed, and not infinite"):format(what), 3)
  end
  if size and overlap >= size then
    error(("%s: option 'overlap' must be less than the size, %d, got %s"):format(what, size, overlap), 3)
  end
  return {kinds = way.kinds, size = size, overlap = overlap, estimate = opts.estimate, ratio = way.ratio}
end

-- ---- iterators ----

local function iterate(read, plan)
  local source = cutter.new(read, plan, make)
  return function() return source:next() end
end

local function once(text)
  return function()
    local given = text
    text = nil
    return given
  end
end

for name in pairs(ways) do
  M[name] = function(text, opts)
    if type(text) ~= "string" then error(("%s: expected a string, got %s"):format(name, type(text)), 2) end
    return iterate(once(text), plan_of(name, name, options.check(name, opts, known)))
  end
end

-- The pieces of an iterator, or of a reader: what fails raises.
local function pieces(reader)
  if type(reader) == "function" then return reader end
  local chunks = (type(reader) == "table" or type(reader) == "userdata") and reader.chunks
  if not chunks then
    error(("stream: expected an iterator of strings or a reader, got %s"):format(type(reader)), 3)
  end
  return (reader:chunks())
end

function M.stream(reader, opts)
  opts = options.check("stream", opts, known_by)
  return iterate(pieces(reader), plan_of("stream", opts.by or "paragraphs", opts))
end

function M.list(chunks)
  if type(chunks) ~= "function" then error(("list: expected an iterator, got %s"):format(type(chunks)), 2) end
  local list = {}
  for chunk in chunks do list[#list + 1] = chunk end
  return list
end

return M
