--- The bench of journals: what an item costs over its whole life (claimed, responded, done), durably.
---   build/muster scripts/bench/journal.lua, or require it: run gives the figures, print prints them
local async = require "muster"
local fs = require "muster.fs"
local journal = require "muster.journal"

local M = {}

local N, ROUNDS, AIM = 10000, 3, 30
local AT_ONCE = {1000, 100}

local raw = ("x"):rep(500)

local function live(j, key)
  local item = assert(j:claim(key))
  assert(item.todo)
  assert(j:responded(key, raw))
  assert(j:done(key, {name = "Alice", age = 30}))
end

local function measure(path, at_once)
  local keys = {}
  for i = 1, N do keys[i] = "source:" .. i end
  local j <close> = assert(journal.open(path))
  collectgarbage()
  local start, cpu = async.now(), os.clock()
  async.map(keys, function(key) live(j, key) end, {limit = at_once})
  cpu = os.clock() - cpu
  assert(j:status().done == N)
  return {cpu = cpu / N * 1e6, rate = N / (async.now() - start)}
end

--- By how many items are at work at a time: cpu, microseconds of all threads an item; rate, items a second. The best of
--- three rounds.
---@return table<integer, {cpu: number, rate: number}>
function M.run()
  local directory <close> = assert(fs.tmp_dir())
  local best = {}
  for round = 1, ROUNDS do
    for _, at_once in ipairs(AT_ONCE) do
      local figures = measure(("%s/%d.%d"):format(directory.path, at_once, round), at_once)
      local kept = best[at_once] or figures
      best[at_once] = {cpu = math.min(kept.cpu, figures.cpu), rate = math.max(kept.rate, figures.rate)}
    end
  end
  return best
end

--- Prints the figures beside their aims.
function M.print(figures)
  for i, at_once in ipairs(AT_ONCE) do
    local found = figures[at_once]
    local aim = i == 1 and ("at most %d us"):format(AIM) or ""
    local met = i == 1 and (found.cpu <= AIM and "yes" or "no") or ""
    print((("%-52s %-28s %-24s %s"):format(("journal: CPU of an item, %d of them, %d at a time"):format(N, at_once),
      ("%.1f us, %.0f items/s"):format(found.cpu, found.rate), aim, met):gsub("%s+$", "")))
  end
end

if arg and arg[0] and arg[0]:match "bench/journal%.lua$" then M.print(M.run()) end

return M
