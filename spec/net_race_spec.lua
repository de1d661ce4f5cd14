-- lua/muster/net/race.lua: attempts that answer late, fail, or never end, in virtual time.
local async = require "muster"
local race = require "muster.net.race"
local spec = require "spec.support.io"
local uv = require "luv"
local virtual = require "muster.test".virtual

local start, cancel = spec.start, spec.cancel

--- Attempts from a script: "never", {seconds, problem?}, or a problem at once. -> them, and what was seen of them.
local function attempts_of(script)
  local list, seen = {}, {started = {}, handles = {}, answers = {}}
  for i, what in ipairs(script) do
    list[i] = {new = uv.new_tcp, connect = function(handle, ended)
      seen.handles[i] = handle
      table.insert(seen.started, async.now() - seen.from)
      if type(what) == "string" and what ~= "never" then return nil, what end
      if what ~= "never" then
        table.insert(seen.answers, async.spawn(function()
          async.sleep(what[1])
          ended(what[2])
        end))
      end
      return true
    end}
  end
  seen.from = async.now()
  return list, seen
end

--- Makes attempts: which one has won, the problem, when each began. All handles but the winner's are closed.
local function run(script)
  local list, seen = attempts_of(script)
  local winner, problem = race.first(list)
  local took, place = async.now() - seen.from, nil
  for _, answer in ipairs(seen.answers) do answer:cancel() end
  for i, handle in ipairs(seen.handles) do
    if handle == winner then place = i end
    assert.equal(handle ~= winner, handle:is_closing())
  end
  if winner then winner:close() end
  local started = {}
  for i, time in ipairs(seen.started) do started[i] = ("%.2f"):format(time) end
  return place, problem, table.concat(started, " "), took
end

describe("a race", function()
  it("has the families by turns", function()
    local function hosts(text)
      local list, names = {}, {}
      for name in text:gmatch "%S+" do table.insert(list, {host = name, family = name:sub(1, 1)}) end
      for i, address in ipairs(race.interleave(list)) do names[i] = address.host end
      return table.concat(names, " ")
    end
    assert.equal("6a 4a 6b 4b 6c", hosts "6a 6b 6c 4a 4b")
    assert.equal("4a 6a 4b 4c", hosts "4a 4b 4c 6a")
    assert.equal("4a 4b", hosts "4a 4b")
    assert.equal("", hosts "")
  end)

  it("of one: it wins, or its problem is told", virtual(function()
    assert.equal(1, run {{100}})
    assert.same({nil, "EMFILE", "0.00", 0, n = 4}, table.pack(run {"EMFILE"}))
    assert.equal("ETIMEDOUT", select(2, run {{100, "ETIMEDOUT"}}))
  end))

  it("begins the next attempt when one does not answer in time", virtual(function()
    local place, _, started, took = run {"never", "never", {0.1}}
    assert.same({3, "0.00 0.25 0.50"}, {place, started})
    assert.is_true(math.abs(took - 0.6) < 0.001)
  end))

  it("begins the next attempt at once when one fails", virtual(function()
    local place, _, started = run {"ENETUNREACH", {0.1, "ECONNREFUSED"}, {0.2}, "never"}
    assert.same({3, "0.00 0.00 0.10"}, {place, started})
  end))

  it("is won by an early attempt that answers late", virtual(function()
    local place, _, started = run {{0.4}, "never", {1}}
    assert.same({1, "0.00 0.25"}, {place, started})
    place = run {{0.4}, {0.1}}
    assert.equal(2, place)
  end))

  it("is lost when all have failed, and the last to fail says why", virtual(function()
    local place, problem, started = run {{1, "ETIMEDOUT"}, {0.1, "ECONNREFUSED"}, "ENETUNREACH"}
    assert.same({"ETIMEDOUT", "0.00 0.25 0.35"}, {problem, started})
    assert.is_nil(place)
  end))

  it("with two winners at once closes one", virtual(function()
    assert.equal(1, run {{0.5}, {0.25}})
  end))

  it("cancelled, closes all, also one that has just won", virtual(function()
    local list, seen = attempts_of {"never", "never"}
    local task = start(race.first, list)
    async.sleep(0.3)
    cancel(task)
    for _, handle in ipairs(seen.handles) do assert.is_true(handle:is_closing()) end
    local win
    list = {{new = uv.new_tcp, connect = function(handle, ended)
      seen.handles[1], win = handle, ended
      return true
    end}}
    task = start(race.first, list)
    win()
    task:cancel()
    assert.is_true(async.is_cancelled(select(2, task:pawait())))
    assert.is_true(seen.handles[1]:is_closing())
    win() -- too late
  end))
end)
