-- Pipelines with a journal: what is done stays done, whatever happens to the process.
local async = require "muster"
local fs = require "muster.fs"
local http = require "muster.http"
local pipeline = require "muster.pipeline"
local process = require "muster.process"
local program = require "spec.support.program"

local directory, at
before_each(function()
  directory = assert(fs.tmp_dir())
  function at(name) return directory.path .. "/" .. name end
end)
after_each(function() directory:close() end)

--- Runs a pipeline with the journal "j": its records, and what run returned.
local function run(spec, opts)
  local records = {}
  spec.sink = spec.sink or function(record) records[#records + 1] = record end
  spec.journal = spec.journal or at "j"
  spec.key = spec.key or function(v) return v end
  opts = opts or {}
  opts.quiet = true
  return records, pipeline(spec):run(opts)
end

describe("a pipeline with a journal", function()
  it("does nothing twice, and writes all of it each time", function()
    local calls = 0
    local function stage(x)
      calls = calls + 1
      return {x = x, list = {}, float = 1.0}
    end
    local first, one = run {source = {"a", "b", "c"}, stage}
    local second, two = run {source = {"a", "b", "c", "d"}, stage}
    assert.equal(4, calls)
    assert.same({3, 0, 4, 3}, {one.done, one.recalled, two.done, two.recalled})
    assert.same({x = "a", list = {}, float = 1.0}, second[1])
    assert.same(first[3], second[3])
    assert.equal(4, #second)
  end)

  it("knows what was left out, too", function()
    local calls = 0
    for _ = 1, 2 do
      local records, summary = run {source = {"a", "b"}, function(x)
        calls = calls + 1
        return x == "b" and x or nil
      end}
      assert.same({"b"}, records)
      assert.equal(2, summary.done)
    end
    assert.equal(2, calls)
  end)

  it("sets aside what failed, until told to try it again", function()
    local broken, calls = true, 0
    local function stage(x)
      calls = calls + 1
      if broken and x == "b" then error {kind = "dns", message = "no such name", status = 5} end
      return x
    end
    local _, one = run {source = {"a", "b"}, stage}
    assert.equal(1, one.parked)
    broken = false
    local records, two = run {source = {"a", "b"}, stage}
    assert.same({"a"}, records)
    assert.same({1, 1, 2}, {two.parked, two.done, calls})
    local err = two.failures[1].error
    assert.same({"dns", 5}, {err.kind, err.status})
    assert.matches("no such name", tostring(err))
    records = run({source = {"a", "b"}, stage}, {retry_failed = true})
    assert.same({"a", "b"}, records)
    assert.equal(3, calls)
  end)

  it("tells what has been skipped from what was parked", function()
    local p = pipeline {source = {"a"}, journal = at "j", on_error = "skip", function() return nil, "no" end}
    assert.equal(1, p:run({quiet = true}).skipped)
    assert.equal(1, p:run({quiet = true}).skipped)
    assert.equal(1, p:status().failed)
    assert.equal(1, p:status().total)
  end)

  it("tries again what was stopped", function()
    local calls = 0
    local function stage(x)
      calls = calls + 1
      if calls == 1 then return nil, "no" end
      return x
    end
    local _, summary, err = run {source = {"a"}, on_error = "stop", stage}
    assert.is_nil(summary)
    assert.equal("no", err)
    assert.same({"a"}, (run {source = {"a"}, on_error = "stop", stage}))
  end)

  it("takes items with one key for one", function()
    local calls = 0
    local records, summary = run {source = {"a", "a", "b", "a"}, limit = 2, function(x)
      calls = calls + 1
      async.yield()
      return x
    end}
    assert.same({"a", "b"}, records)
    assert.same({2, 2, 2}, {calls, summary.done, summary.repeated})
  end)

  it("has keys of its own for values without one", function()
    local calls = 0
    local function stage(v)
      calls = calls + 1
      return v
    end
    for _ = 1, 2 do
      local spec = {source = {{a = 1}, {a = 1}, "x"}, journal = at "j", stage}
      assert.equal(3, pipeline(spec):run({quiet = true}).done)
    end
    assert.equal(3, calls)
    pipeline({source = {{a = 1}, {a = 2}, "x"}, journal = at "j", stage}):run {quiet = true}
    assert.equal(4, calls)
  end)

  it("notices that what results depend on has changed", function()
    local function with(prompt, opts)
      return run({source = {"a"}, fingerprint = {prompt = prompt}, string.upper}, opts)
    end
    assert.same({"A"}, (with "one"))
    local _, summary, err = with "two"
    assert.is_nil(summary)
    assert.equal("changed", err.kind)
    assert.matches("prompt has changed", err.message)
    local _, mixed = with("two", {mixed = true})
    assert.equal(1, mixed.recalled)
    local _, fresh = with("three", {fresh = true})
    assert.equal(0, fresh.recalled)
    assert.same({"A"}, (with "three"))
  end)

  it("is refused to a second run, and says who has it", function()
    local inside = async.event()
    local go = async.event()
    local first = async.spawn(run, {source = {"a"}, function(x)
      inside:set()
      go:wait()
      return x
    end})
    inside:wait()
    local _, summary, err = run {source = {"a"}}
    assert.is_nil(summary)
    assert.equal("locked", err.kind)
    go:set()
    assert.same({"a"}, (first:await()))
  end)

  it("parks a result that is no JSON", function()
    local _, summary = run {source = {"a", "b"}, function(x) return x == "a" and {print} or x end}
    assert.same({1, 1}, {summary.parked, summary.done})
    assert.matches("its result is no JSON: ", tostring(summary.failures[1].error))
  end)

  it("survives an output that cannot be written: the journal keeps what was done", function()
    local calls = 0
    local function stage(x)
      calls = calls + 1
      return x
    end
    local _, summary, err = run {source = {"a", "b"}, stage, sink = function() return nil, "disk full" end}
    assert.is_nil(summary)
    assert.equal("disk full", err)
    assert.same({"a", "b"}, (run {source = {"a", "b"}, stage}))
    assert.equal(2, calls)
  end)

  it("that is none is an error", function()
    assert(fs.write(at "j", ("no database "):rep(1000)))
    local _, summary, err = run {source = {"a"}}
    assert.is_nil(summary)
    assert.equal("corrupt", err.kind)
    assert.error_matches(function() pipeline({source = {}}):status() end, "the pipeline has no journal")
  end)
end)

describe("pipeline.cache", function()
  it("keeps answers with the item that asked", function()
    local asked = 0
    local function ask(question)
      local answer = pipeline.cache:get(question)
      if answer then return answer end
      asked = asked + 1
      answer = question .. "!"
      assert(pipeline.cache:put(question, answer))
      return answer
    end
    local fail = true
    local function stage(x)
      local answer = ask(x .. 1) .. ask(x .. 2)
      if fail then return nil, "later" end
      return answer
    end
    local _, one = run {source = {"a"}, on_error = "stop", stage}
    assert.is_nil(one)
    fail = false
    assert.same({"a1!a2!"}, (run {source = {"a"}, on_error = "stop", stage}))
    assert.equal(2, asked)
  end)

  it("keeps nothing outside of a pipeline with a journal", function()
    assert.is_true(pipeline.cache:put("k", "v"))
    assert.is_nil(pipeline.cache:get "k")
  end)
end)

-- ---- killed ----

local script = [[
  local http = require "muster.http"
  local pipeline = require "muster.pipeline"
  local url, path, journal = arg[1], arg[2], arg[3]
  local items = {}
  for i = 1, 60 do items[i] = i end
  local client = http.client {base_url = url}
  local p = pipeline {
    source = items, key = function(i) return i end, limit = 8, journal = journal,
    {"ask", function(i)
      local kept = pipeline.cache:get "answer"
      if kept then return {id = i, answer = kept} end
      local response = assert(client:get("/" .. i))
      local text = response:text()
      assert(pipeline.cache:put("answer", text))
      return {id = i, answer = text}
    end},
    {"check", function(record) return record.id % 10 ~= 0 and record or nil end},
    sink = path,
  }
  local ok, err = p:run {quiet = true}
  if not ok then io.stderr:write(tostring(err)) os.exit(1) end
]]

describe("a run that is killed", function()
  local KILLS <const> = 12

  local function expected()
    local lines = {}
    for i = 1, 60 do
      if i % 10 ~= 0 then lines[#lines + 1] = ('{"answer":"answer %d","id":%d}\n'):format(i, i) end
    end
    return table.concat(lines)
  end

  it("at any instant has each item exactly once in the end; of those in flight one more call is made", function()
    local seed = os.time()
    math.randomseed(seed)
    local calls, total, child = {}, 0, nil
    local kill_at
    local server <close> = http.serve {handler = function(req)
      local id = tonumber(req.path:match "%d+")
      calls[id] = (calls[id] or 0) + 1
      total = total + 1
      if total == kill_at then child:kill() end
      return "answer " .. id
    end}
    assert(fs.write(at "script.lua", script))
    local killed = 0
    repeat
      kill_at = killed < KILLS and total + math.random(1, 8) or nil
      child = assert(process.spawn({program.path, "--slow", "0", at "script.lua", server.url, at "out.jsonl", at "j"},
        {stderr = "inherit"}))
      child:wait()
      if kill_at and total >= kill_at then killed = killed + 1 end
    until not kill_at or total < kill_at
    assert.equal(expected(), fs.read(at "out.jsonl"), "seed " .. seed)
    assert.is_true(total <= 60 + killed * 8, ("%d calls, %d kills, seed %d"):format(total, killed, seed))
    for i = 1, 60 do assert.is_true(calls[i] >= 1, i) end
    assert.is_true(killed > 0)
    server:stop(0)
  end)
end)
