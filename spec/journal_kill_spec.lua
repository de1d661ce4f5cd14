-- A process that is killed at random instants, and begun again until it is done: nothing that was acknowledged is
-- lost, and each item is in the output once.
local async = require "muster"
local journal = require "muster.journal"
local process = require "muster.process"
local program = require "spec.support.program"
local files = require "spec.support.files"
local fs = require "muster.fs"

local ITEMS, AT_ONCE, KILLS = 300, 8, 12

--- Works through all items; calls are told in a file, what is acknowledged on stdout.
local worker = [[
  local async = require "muster"
  local journal = require "muster.journal"
  local path, items, at_once = %q, %d, %d
  local j <close> = assert(journal.open(path, {group_commit = 0.002, fingerprint = "1"}))
  local calls = assert(io.open(path .. ".calls", "a"))
  local function say(...) io.write(...) io.flush() end
  local keys = {}
  for i = 1, items do keys[i] = ("item %%03d"):format(i) end
  async.map(keys, function(key)
    local item = assert(j:claim(key))
    if not item.todo then return end
    local raw = item.raw
    if not raw then
      calls:write(key, "\n")
      calls:flush()
      async.sleep(0.001)
      raw = "raw of " .. key
      assert(j:responded(key, raw))
      say("responded ", key, "\n")
    end
    assert(j:done(key, raw:upper()))
    say("done ", key, "\n")
  end, {limit = at_once})
  say "all\n"
]]

--- Runs it until it has said so many lines, and soon after kills it; nil: lets it end. What it acknowledged goes into
--- `said`.
local function run(path, lines, said)
  local child <close> = assert(process.spawn(
    {program.path, "--slow", "0", "-e", worker:format(path, ITEMS, AT_ONCE)}, {stderr = "inherit"}))
  local n, over = 0, false
  for line in child.stdout:lines() do
    n = n + 1
    over = over or line == "all"
    local state, key = line:match "^(%l+) (item %d+)$"
    if key then said[key] = state == "done" and "done" or said[key] or state end
    if n == lines then
      async.sleep(math.random() * 0.004)
      child:kill()
    end
  end
  child:wait()
  return over
end

local function check(path, said)
  local j <close> = assert(journal.open(path))
  local found = {}
  for item in j:items() do found[item.key] = item end
  for key, state in pairs(said) do
    local item = assert(found[key], key)
    assert(item.state == state or item.state == "done", ("%s was %s, and is %s"):format(key, state, item.state))
    assert.equal("raw of " .. key, item.raw)
    if item.state == "done" then assert.equal("RAW OF " .. key:upper(), item.result) end
  end
end

describe("a journal whose process is killed", function()
  it("at random instants loses nothing, and does nothing twice", files.inside(function(at)
    local path, said, kills = at "run.journal", {}, 0
    repeat
      local lines = kills < KILLS and math.random(1, ITEMS // KILLS) or nil
      local over = run(path, lines, said)
      if not over then kills = kills + 1 end
      check(path, said)
    until over
    local n = 0
    do
      local j <close> = assert(journal.open(path, {fingerprint = "1"}))
      for key, result in j:results() do
        n = n + 1
        assert.equal(("item %03d"):format(n), key)
        assert.equal("RAW OF " .. key:upper(), result)
      end
    end
    assert.equal(ITEMS, n)
    assert.equal(KILLS, kills)
    local calls = 0
    for _ in assert(fs.read(path .. ".calls")):gmatch "\n" do calls = calls + 1 end
    assert(calls >= ITEMS and calls <= ITEMS + kills * AT_ONCE, calls .. " calls")
  end))
end)
