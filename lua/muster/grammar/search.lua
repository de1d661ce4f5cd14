--- Running a template: at a place, or anywhere in a text; and the matches this gives.
local lpeg = require "lpeg"
local offsets = require "muster.grammar.offsets"
local scan = require "muster.grammar.scan"

local M = {}

local match = lpeg.match

-- ---- matches ----

-- Offsets in codepoints are made when they are asked for.
local function codepoints(run, span, key)
  if key ~= "cp_first" and key ~= "cp_last" then return nil end
  run.offsets = run.offsets or offsets.new(run.text)
  if span.last < span.first then -- empty: it ends before it begins
    span.cp_first = run.offsets:codepoint(span.first)
    span.cp_last = span.cp_first - 1
  else
    span.cp_first = run.offsets:codepoint(span.first)
    span.cp_last = run.offsets:codepoint(span.last)
  end
  return rawget(span, key)
end

local function new_run(text, max_steps)
  local run = scan.run(text, max_steps)
  run.span = {__index = function(span, key) return codepoints(run, span, key) end}
  return run
end

local function value_of(run, list, i, first, stop)
  local desc = list[i]
  local shape = desc.shape
  if shape == "constant" then return desc.constant, i + 3 end
  if shape == "value" then return list[i + 3], i + 4 end
  if shape == "list" then
    local value = list[i + 3][1]
    if value == nil then value = run.text:sub(first, stop - 1) end
    return value, i + 4
  end
  local text = run.text:sub(first, stop - 1)
  return desc.convert and desc.convert(text) or text, i + 3
end

-- Reads captures from list[i] on; returns where it stopped.
local function read(run, list, i, fields, spans)
  while true do
    local desc = list[i]
    if type(desc) == "number" or desc.close then return i end
    local first, stop = list[i + 1], list[i + 2]
    local name = desc.name
    if desc.open then
      local inner, inner_spans = {}, {}
      i = read(run, list, i + 2, inner, inner_spans)
      fields[name] = inner
      spans[name] = setmetatable({first = first, last = list[i + 1] - 1, spans = inner_spans}, run.span)
      i = i + 3
    else
      fields[name], i = value_of(run, list, i, first, stop)
      spans[name] = setmetatable({first = first, last = stop - 1}, run.span)
    end
  end
end

local function made(run, list, first)
  local fields, spans = {}, {}
  local last = list[read(run, list, 1, fields, spans)] - 1
  return setmetatable({fields = fields, spans = spans, first = first, last = last}, run.span), first, last
end

-- ---- searching ----

-- By the literal in front, which the standard library finds fastest.
local function find_lead(patterns, run, at)
  local text, lead, try, find = run.text, patterns.lead, patterns.try, string.find
  while true do
    local first = find(text, lead, at, true)
    if not first then return nil end
    local list = match(try, text, first, run)
    if list then return list, first end
    scan.charge(run, 1)
    at = first + 1
  end
end

-- The first place from `at` on from which all bytes up to `stop` are ones that can be in a match before the literal.
local function reach(near, text, at, stop)
  local size = 64
  while true do
    local from = math.max(at, stop - size)
    local behind = match(near.tail, text:sub(from, stop - 1))
    if behind > 1 or from == at then return from + behind - 1 end
    size = size * 2
  end
end

-- Around a literal that is in every match.
local function find_near(near, run, at)
  local text = run.text
  while true do
    local literal = text:find(near.literal, at, true)
    if not literal then return nil end
    local first, list = match(near.search, text, reach(near, text, at, literal), run)
    if list then return list, first end
    scan.charge(run, 1)
    at = math.max(first, literal) + 1
  end
end

-- The next match at `at` or behind it: its list, and where it begins.
local function find(patterns, run, at)
  if at > #run.text + 1 then return nil end
  if patterns.lead then return find_lead(patterns, run, at) end
  if patterns.near then return find_near(patterns.near, run, at) end
  local first, list = match(patterns.search, run.text, at, run)
  return list, first
end

--- The match at `at`, if there is one: its record, beginning and end.
function M.match(patterns, text, at, max_steps)
  if at > #text + 1 then return nil end
  local run = new_run(text, max_steps)
  local list = match(patterns.match, text, at, run)
  if list then return made(run, list, at) end
end

--- The first match from `at` on.
function M.find(patterns, text, at, max_steps)
  local run = new_run(text, max_steps)
  local list, first = find(patterns, run, at)
  if list then return made(run, list, first) end
end

--- All of them, one behind the other.
function M.all(patterns, text, at, max_steps)
  local run = new_run(text, max_steps)
  return function()
    if not at then return nil end
    local list, first = find(patterns, run, at)
    if not list then
      at = nil
      return nil
    end
    local found, _, last = made(run, list, first)
    at = math.max(last, first) + 1
    return found, first, last
  end
end

return M
