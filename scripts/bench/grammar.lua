--- The bench of grammars: searches with templates in text where matches are few, and in text dense with them, beside
--- a pattern of LPeg written by hand and Python's `re` in the same run.
---   build/muster scripts/bench/grammar.lua, or require it: run gives the figures, print prints them
local lpeg = require "lpeg"
local grammar = require "muster.grammar"
local process = require "muster.process"

local M = {}

local ROUNDS, MEGABYTES, AIM = 5, 16, 100

local filler = "The committee met again in spring, as it had done for years, and found that nothing much had changed; "
  .. "Mr. Moore made 12 remarks about it.\n"
local wanted = "My name is Person%d and I am %d years old.\n"

-- A text of the size, in which every n-th line is one that is looked for; and how many there are.
local function make(n)
  local list, size, found = {}, 0, 0
  local i = 0
  while size < MEGABYTES * 1e6 do
    i = i + 1
    local line = filler
    if i % n == 0 then
      line = wanted:format(i, 20 + i % 60)
      found = found + 1
    end
    list[i], size = line, size + #line
  end
  return table.concat(list), found
end

-- What one would write by hand: the same pattern, and as much of a record.
local function by_hand()
  local P, R, C, Cp, V = lpeg.P, lpeg.R, lpeg.C, lpeg.Cp, lpeg.V
  local space, word = lpeg.S " \t\r\n" ^ 1, (R("az", "AZ", "09") + R "\x80\xff") ^ 1
  local function words(text)
    local p
    for w in text:gmatch "%S+" do p = p and p * space * w or P(w) end
    return p
  end
  local record = Cp() * words "My name is" * space * C(word) * space * words "and I am" * space
    * (R "09" ^ 1 / math.tointeger) * space * words "years old" * Cp()
  return P {"search", search = (1 - P "M") ^ 0 * (record + 1 * V "search")}
end

local hand = by_hand()

local function count_by_hand(text)
  local n, at = 0, 1
  while true do
    local first, name, age, stop = hand:match(text, at)
    if not first then return n end
    local record = {first = first, last = stop - 1, fields = {name = name, age = age}}
    n, at = n + 1, record.last + 1
  end
end

local templates = {
  template = grammar.template "My name is {name:word} and I am {age:int} years old",
  folded = grammar.template("my name is {name:word} and i am {age:int} years old", {ignore_case = true}),
  capture_first = grammar.template "{name:word} and I am {age:int} years old",
  lazy = grammar.template "My name is {name:words} and I am {age:int} years old",
}

local function count(template, text)
  local n = 0
  for _ in template:matches(text) do n = n + 1 end
  return n
end

--- The best of several rounds, in MB a second of CPU time; the competitors take turns.
local function measure(text, found)
  local rates = {}
  local function round(name, fn)
    collectgarbage()
    local start = os.clock()
    local n = fn(text)
    rates[name] = math.max(rates[name] or 0, #text / 1e6 / (os.clock() - start))
    if n ~= found then error(("%s: %d matches instead of %d"):format(name, n, found)) end
  end
  for _ = 1, ROUNDS do
    for name, template in pairs(templates) do round(name, function() return count(template, text) end) end
    round("lpeg", count_by_hand)
  end
  return rates
end

local script = [[
import re, sys, time
text = sys.stdin.buffer.read().decode()
size = len(text.encode())
pattern = re.compile(r"My\s+name\s+is\s+(?P<name>\w+)\s+and\s+I\s+am\s+(?P<age>\d+)\s+years\s+old")
best = 0
for _ in range(%d):
    start = time.process_time()
    records = 0
    for m in pattern.finditer(text):
        record = {"first": m.start(), "last": m.end(), "fields": {"name": m["name"], "age": int(m["age"])}}
        records += 1
    best = max(best, size / 1e6 / (time.process_time() - start))
print(records, best)
]]

-- MB a second of Python's re, nil if there is no Python.
local function python(text, found)
  local result = process.run({"python3", "-c", script:format(ROUNDS)}, {input = text})
  if not result or result.status ~= 0 then return nil end
  local n, rate = result.stdout:match "(%d+) (%S+)"
  if tonumber(n) ~= found then error(("Python: %s matches instead of %d"):format(n, found)) end
  return tonumber(rate)
end

--- MB a second, of text with few matches (one in 10,000 lines) and dense text (every second line): with a template, one
--- that ignores case, one that begins with a capture, one with `words`; with LPeg by hand; with Python's re.
---@async
---@return {few: table<string, number>, dense: table<string, number>}
function M.run()
  local figures = {}
  for name, n in pairs {few = 10000, dense = 2} do
    local text, found = make(n)
    figures[name] = measure(text, found)
    figures[name].python = python(text, found)
  end
  return figures
end

local function row(title, value, aim, met)
  print((("%-52s %-28s %-24s %s"):format(title, value, aim, met):gsub("%s+$", "")))
end

local function rate(value) return value and ("%.0f MB/s"):format(value) or "not here" end

local rows = {
  {"template", "template search"}, {"folded", "  ignoring case"}, {"capture_first", "  that begins with a capture"},
  {"lazy", "  with words"}, {"lpeg", "  LPeg by hand"}, {"python", "  Python's re"},
}

--- Prints the figures beside the aim.
function M.print(figures)
  for _, kind in ipairs {"few", "dense"} do
    print(kind == "few" and "few matches" or "dense text, a record every second line")
    for _, r in ipairs(rows) do
      local value, aimed = figures[kind][r[1]], kind == "few" and r[1] == "template"
      local aim = aimed and ("at least %d MB/s"):format(AIM) or ""
      row(r[2], rate(value), aim, aimed and (value >= AIM and "yes" or "no") or "")
    end
  end
end

if arg and arg[0] and arg[0]:match "bench/grammar%.lua$" then M.print(M.run()) end

return M
