--- The bench of pipelines: what an item takes that nothing is done with, without a journal and with one; whether memory
--- depends on how many there are; templates and stores beside Python.
--   build/muster scripts/bench/pipeline.lua
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local fs = require "muster.fs"
local grammar = require "grammar"
local journal = require "journal"
local pipeline = require "muster.pipeline"
local store = require "store"

local ROUNDS <const> = 3

local function row(title, value, aim, met)
  local verdict = met == nil and "" or met and "yes" or "no"
  print((("%-52s %-28s %-24s %s"):format(title, value, aim or "", verdict):gsub("%s+$", "")))
end

local function numbers(n)
  local i = 0
  return function()
    i = i + 1
    return i <= n and i or nil
  end
end

--- A run over n items: CPU seconds, and the most memory that Lua had.
local function measure(n, opts)
  local most, written = 0, 0
  local spec = {source = numbers(n), function(x) return x end, limit = 100, sink = function()
    written = written + 1
    if written % 1000 == 0 then most = math.max(most, collectgarbage "count") end
  end}
  for name, value in pairs(opts or {}) do spec[name] = value end
  collectgarbage()
  local start = os.clock()
  assert(pipeline(spec):run {quiet = true})
  return os.clock() - start, most
end

local function best(n, opts)
  local seconds, most = math.huge, 0
  for _ = 1, ROUNDS do
    local s, m = measure(n, opts and opts())
    seconds, most = math.min(seconds, s), math.max(most, m)
  end
  return seconds, most
end

local function plain()
  local few, few_memory = best(10000)
  local many, many_memory = best(1000000)
  local rate, megabytes = 1e6 / many, ("%.1f MB, %.1f MB"):format(few_memory / 1024, many_memory / 1024)
  row("items without a journal, 1,000,000", ("%.0f items/s"):format(rate), "at least 100000/s", rate >= 1e5)
  row("Lua's memory at 10,000 and at 1,000,000 items", megabytes, "at most 1.5 x", many_memory <= 1.5 * few_memory)
  return few
end

local function with_journal(few)
  local directory <close> = assert(fs.tmp_dir())
  local n = 0
  local durable = best(10000, function()
    n = n + 1
    return {journal = directory.path .. "/" .. n, key = function(x) return x end}
  end)
  local more = (durable - few) / 10000 * 1e6
  row("what a journal adds to an item, durable, 10,000", ("%.1f us"):format(more), "at most 30 us", more <= 30)
end

print(("%-52s %-28s %-24s %s"):format("", "", "aim", "met"))
with_journal(plain())
journal.print(journal.run())
for _, part in ipairs {grammar, store} do
  local figures = part.run()
  if part.print then part.print(figures) end
end
