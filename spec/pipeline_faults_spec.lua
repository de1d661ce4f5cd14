-- What is wrong with items, files and disks, and what a pipeline makes of it.
local async = require "muster"
local fs = require "muster.fs"
local journal = require "muster.journal"
local pipeline = require "muster.pipeline"
local process = require "muster.process"
local program = require "spec.support.program"
local store = require "muster.store"

local directory, at
before_each(function()
  directory = assert(fs.tmp_dir())
  function at(name) return directory.path .. "/" .. name end
end)
after_each(function() directory:close() end)

--- Runs a pipeline, with a journal unless told otherwise: its records, and what run returned.
local function run(spec, opts)
  local records = {}
  spec.sink = spec.sink or function(record) records[#records + 1] = record end
  if spec.journal == nil then spec.journal = at "j" end
  spec.journal = spec.journal or nil
  opts = opts or {}
  opts.quiet = true
  return records, pipeline(spec):run(opts)
end

--- Runs 1, 2, 3 through a stage that does something else for 2, with a journal and without: what comes of 2.
local function second(bad, check, spec)
  for _, kept in ipairs {at "j", false} do
    local all = {source = {1, 2, 3}, journal = kept, function(x)
      if x == 2 then return bad() end
      return spec and spec.many and {x} or x
    end}
    for name, value in pairs(spec or {}) do all[name] = value end
    local records, summary, err = run(all)
    assert.is_nil(err)
    assert.same({1, 3}, records)
    assert.same({1, 2}, {summary.parked, summary.done})
    check(summary.failures[1].error)
    fs.rm(at "j", {missing_ok = true})
  end
end

describe("a poisoned item is set aside, and the others go on:", function()
  it("its stage raises nothing at all", function()
    second(function() error(nil) end, function(err) assert.matches("stage 1: it failed with nil", tostring(err)) end)
    second(function() error(false) end, function(err) assert.matches("it failed with false", tostring(err)) end)
    second(function() return nil, false end, function(err) assert.matches("failed with false", tostring(err)) end)
  end)

  it("its stage raises a table", function()
    second(function() error {} end, function(err) assert.same({}, err) end)
    second(function() error {kind = {}, message = {1}, status = 0 / 0} end, function(err) assert.is_table(err.kind) end)
  end)

  it("its error cannot say what it is", function()
    local mute = setmetatable({}, {__tostring = function() error "mute" end})
    second(function() error(mute) end, function(err) assert.equal(mute, err) end)
  end)

  it("its error is no UTF-8", function()
    second(function() error("bad \xff", 0) end, function(err) assert.equal("bad \xff", err) end)
    run {source = {"x"}, function() return nil, "bad \xff" end}
    local _, again = run {source = {"x"}, function() end}
    assert.matches("bad \u{fffd}", tostring(again.failures[1].error))
  end)

  it("it waited for a task that was cancelled", function()
    second(function()
      local other = async.spawn(async.sleep, 5)
      other:cancel()
      return other:await()
    end, function(err) assert.is_true(async.is_cancelled(err)) end)
  end)

  it("its result is no list where lists are expected", function()
    local function is(what)
      local text = "item 2: with 'many' its result must be a list, got " .. what
      return function(err) assert.matches(text, tostring(err)) end
    end
    second(function() return 5 end, is "number", {many = true})
    second(function() return {a = 1} end, is "a table with names", {many = true})
    local _, summary = run {source = {1, 2}, journal = false, many = true, function(x) return x == 1 and {} or nil end}
    assert.same({2, 0}, {summary.done, summary.records})
  end)

  it("its result is none that the journal can keep", function()
    for _, value in ipairs {"\xff", {["\xff"] = 1}, 0 / 0, print} do
      local records, summary = run {source = {1, 2}, function(x) return x == 1 and value or x end}
      assert.same({2}, records)
      assert.matches("item 1: its result is no JSON", tostring(summary.failures[1].error))
      fs.rm(at "j")
    end
  end)
end)

describe("a key", function()
  it("may be any text", function()
    local long = ("k"):rep(1000000)
    local keys = {"a\nb", "a\0b", "a\0c", "\xff", "\xfe", " ", long .. 1, long .. 2}
    for i = 1, 2 do
      local records, summary = run {source = keys, key = function(k) return k end, function(k) return #k end}
      assert.equal(#keys, #records)
      assert.equal((i - 1) * #keys, summary.recalled)
    end
  end)

  it("that is empty is refused, or made up for where it comes from the source", function()
    local ok, err = pcall(run, {source = {1, ""}, key = function(k) return k end})
    assert.is_false(ok)
    assert.matches("the function 'key' must return a string or a number, got an empty string for item 2", err)
    local values = {1, 2, 3}
    local function step()
      local value = table.remove(values)
      return value, value and ""
    end
    assert.same({3, 2, 1}, (run {source = step}))
  end)

  it("whose function raises is an error that names the item", function()
    local ok, err = pcall(run, {source = {{id = {1}}, {}}, key = function(value) return value.id[1] end})
    assert.is_false(ok)
    assert.matches("attempt to index a nil value.* %(the function 'key', of item 2%)", err)
  end)

  it("is the same for 1 and \"1\": the second is left out, and not taken for one of an earlier run", function()
    local records, summary = run {source = {1, "1"}, key = function(k) return k end}
    assert.same({1}, records)
    assert.same({1, 0}, {summary.repeated, summary.recalled})
  end)
end)

describe("a run that is resumed with other items", function()
  it("writes those that are asked for, in their order now", function()
    local calls = 0
    local function go(list)
      return (run {source = list, key = function(k) return k end, function(x)
        calls = calls + 1
        return x
      end})
    end
    assert.same({1, 2, 3, 4}, go {1, 2, 3, 4})
    assert.same({4, 2}, go {4, 2})
    assert.same({9, 1, 4, 3}, go {9, 1, 4, 3})
    assert.same({}, go {})
    assert.equal(5, calls)
  end)
end)

describe("a source that fails", function()
  local function failure_of(source)
    local ok, err = pcall(run, {source = source, function() return 1 end})
    assert.is_false(ok)
    return tostring(err)
  end

  it("by nil and an error has not come to its end", function()
    local n = 0
    local function step()
      n = n + 1
      if n < 3 then return n end
      return nil, "gone"
    end
    assert.equal("gone", failure_of(step))
    local records = run {source = {}, function() end}
    assert.same({}, records)
  end)

  it("says in which line: one that is too long, one that is no UTF-8", function()
    do
      local file <close> = assert(io.open(at "long", "w"))
      file:write "1\n2\n"
      local piece = ("x"):rep(1 << 20)
      for _ = 1, 65 do file:write(piece) end
    end
    assert.matches("/long:3: .*more than 67108864 bytes", failure_of(pipeline.source.lines(at "long")))
    assert.equal(2, pipeline({source = {}, journal = at "j"}):status().done)
    assert.matches("/long:3: .*more than 67108864 bytes", failure_of(pipeline.source.jsonl(at "long")))
    assert(fs.write(at "bad", '1\n"\xff"\n'))
    assert.matches("/bad:2: .*invalid UTF%-8", failure_of(pipeline.source.jsonl(at "bad")))
  end)

  it("says in which file of comma-separated values", function()
    assert(fs.write(at "bad.csv", 'a,b\n1,2\n3,"4\n'))
    assert.matches("/bad.csv: line 3: a quoted field does not end", failure_of(pipeline.source.csv(at "bad.csv")))
  end)
end)

describe("a sink", function()
  it("names the item whose record it cannot write", function()
    local _, _, err = run {source = {1, 2}, journal = false, sink = at "out.jsonl", function(x)
      return x == 2 and "\xff" or x
    end}
    assert.matches("out.jsonl: the record of item 2: json.encode: the string is not valid UTF%-8", tostring(err))
    _, _, err = run {source = {"text"}, journal = false, sink = pipeline.sink.csv(at "out.csv", {"a"})}
    assert.matches("out.csv: the record of item 1: it must be a table, got string", tostring(err))
  end)

  it("that raises ends the run; the journal keeps what was done", function()
    local calls = 0
    local function stage(x)
      calls = calls + 1
      return x
    end
    local ok, err = pcall(run, {source = {1, 2}, stage, limit = 1, sink = function() error("no", 0) end})
    assert.same({false, "no"}, {ok, err})
    local done = calls
    assert.same({1, 2}, (run {source = {1, 2}, stage}))
    assert.is_true(done >= 1)
    assert.equal(2, calls)
  end)
end)

-- ---- disks and processes ----

--- A file system of that size at "small"; nil if this user may not mount one.
local function small(size)
  if require "luv".getuid() ~= 0 then return pending "only root may mount" end
  assert(fs.mkdir(at "small"))
  local mounted = process.run {"mount", "-t", "tmpfs", "-o", "size=" .. size, "tmpfs", at "small"}
  if not mounted or mounted.status ~= 0 then return pending "nothing may be mounted here" end
  return setmetatable({grow = function(to)
    local done = process.run {"mount", "-o", "remount,size=" .. to, at "small"}
    assert.equal(0, done.status)
  end}, {__close = function() process.run {"umount", at "small"} end})
end

describe("a full disk", function()
  local items = {}
  for i = 1, 400 do items[i] = i end

  local function big(calls)
    return function(x)
      calls.n = calls.n + 1
      return {x = x, text = ("t"):rep(3000)}
    end
  end

  it("under the output: says so, and once there is room the output is made from the journal", function()
    local disk <close> = small "400k"
    if not disk then return end
    local calls = {n = 0}
    local spec = {source = items, sink = at "small/out.jsonl", limit = 4, big(calls)}
    local _, summary, err = run(spec)
    assert.is_nil(summary)
    assert.equal("full", err.kind)
    assert.matches("small/out.jsonl: no space left on device", tostring(err))
    local done = calls.n
    assert.is_true(done < 400)
    disk.grow "4m"
    local _, again = run(spec)
    assert.equal(400, again.records)
    assert.equal(400, calls.n)
    local _, lines = fs.read(at "small/out.jsonl"):gsub("\n", "")
    assert.equal(400, lines)
  end)

  it("under the journal: says so, and once there is room goes on with what was kept", function()
    local disk <close> = small "600k"
    if not disk then return end
    local calls = {n = 0}
    local spec = {source = items, sink = at "out.jsonl", journal = at "small/j", limit = 4, big(calls)}
    local _, summary, err = run(spec)
    assert.is_nil(summary)
    assert.equal("full", err.kind)
    assert.matches("small/j: .*database or disk is full", tostring(err))
    disk.grow "8m"
    local counts = pipeline(spec):status()
    assert.is_true(counts.done > 0)
    local before = calls.n
    local _, again = run(spec)
    assert.equal(400, again.records)
    assert.equal(counts.done, again.recalled)
    assert.equal(400 - counts.done, calls.n - before)
  end)

  it("under the journal from the start: says so before anything is asked", function()
    local disk <close> = small "16k"
    if not disk then return end
    local calls = {n = 0}
    local _, summary, err = run {source = items, journal = at "small/j", big(calls)}
    assert.is_nil(summary)
    assert.matches("small/j", tostring(err))
    assert.equal(0, calls.n)
  end)
end)

describe("an output that is read-only", function()
  it("is refused before anything is asked, and the journal is as it was", function()
    local calls = 0
    assert(fs.mkdir(at "out.jsonl"))
    local spec = {source = {1}, sink = at "out.jsonl", function(x)
      calls = calls + 1
      return x
    end}
    local _, summary, err = run(spec)
    assert.is_nil(summary)
    assert.equal("is_directory", err.kind)
    assert.equal(0, calls)
    assert(fs.rm(at "out.jsonl", {recursive = true}))
    assert.equal(1, select(2, run(spec)).records)
  end)
end)

local script = [[
  local async, pipeline = require "muster", require "muster.pipeline"
  local items = {}
  for i = 1, 40 do items[i] = i end
  local p = pipeline {
    source = items, key = function(i) return i end, limit = 4, journal = arg[1] .. "/j", sink = arg[1] .. "/out.jsonl",
    function(i)
      if arg[2] == "wait" and i == 20 then
        print "here"
        io.stdout:flush()
        async.sleep(100)
      end
      return i
    end,
  }
  local summary, err = p:run {quiet = true}
  if not summary then
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end
  print(summary.recalled, summary.records)
]]

local shared = [[
  local async, pipeline, store = require "muster", require "muster.pipeline", require "muster.store"
  local db <close> = assert(store.open(arg[1] .. "/db"))
  local items = {}
  for i = 1, 60 do items[i] = i end
  local p = pipeline {
    source = items, key = function(i) return i end, limit = 4, journal = arg[1] .. "/j", share = true,
    sink = pipeline.sink.table(db, "done", {"i"}),
    function(i)
      local file <close> = assert(io.open(arg[1] .. "/calls", "a"))
      file:write(i, "\n")
      async.sleep(0.002)
      return {i = i}
    end,
  }
  local summary, err = p:run {quiet = true}
  if not summary then error(tostring(err)) end
]]

describe("a journal that is shared", function()
  it("by several processes has each item done by one of them", function()
    assert(fs.write(at "script.lua", shared))
    local children = {}
    for i = 1, 3 do
      children[i] = async.spawn(process.run, {program.path, "--slow", "0", at "script.lua", directory.path})
    end
    for _, child in ipairs(children) do
      local ended = child:await()
      assert.equal(0, ended.status, ended.stderr)
    end
    local _, calls = fs.read(at "calls"):gsub("\n", "")
    assert.equal(60, calls)
    local db <close> = assert(store.open(at "db"))
    assert.equal(60, db:one "SELECT count(*) AS n FROM done".n)
  end)

  it("tells what another has at work, which it neither waits for nor writes", function()
    local other <close> = assert(journal.open(at "j", {share = true}))
    assert.is_true(other:claim("1").todo)
    local records, summary = run {source = {1, 2}, key = function(i) return i end, share = true}
    assert.same({2}, records)
    assert.same({1, 0, 0}, {summary.taken, summary.repeated, summary.recalled})
    assert.matches("1 at work elsewhere", tostring(summary))
  end)

  it("is not begun again under another's hands", function()
    local other <close> = assert(journal.open(at "j", {share = true}))
    assert(other:claim "1")
    local _, summary, err = run({source = {1}, share = true}, {fresh = true})
    assert.is_nil(summary)
    assert.equal("locked", err.kind)
    assert.is_true(other:done("1", 1))
  end)

  it("needs a journal, and a sink in which several may write", function()
    assert.error_matches(function() pipeline {source = {}, share = true} end,
      "pipeline: option 'share' needs a journal")
    assert.error_matches(function() pipeline {source = {}, share = true, journal = at "j", sink = at "x.jsonl"} end,
      "pipeline: option 'share' needs a sink in which several processes can write, such as a table, not .*x.jsonl")
  end)
end)

describe("a run in another process", function()
  local function start()
    assert(fs.write(at "script.lua", script))
    local child = assert(process.spawn({program.path, "--slow", "0", at "script.lua", directory.path, "wait"},
      {stdout = "pipe", stderr = "pipe"}))
    assert.equal("here", child.stdout:read_until "\n")
    return child
  end

  local function go()
    return process.run {program.path, "--slow", "0", at "script.lua", directory.path}
  end

  it("has the journal to itself: who comes second is told its number, and writes no output", function()
    local child <close> = start()
    assert(fs.write(at "out.jsonl", "kept"))
    local other = go()
    assert.equal(1, other.status)
    assert.matches("process " .. child.pid .. " on .* is at work on it", other.stderr)
    assert.equal("kept", fs.read(at "out.jsonl"))
    child:kill()
    child:wait()
    assert.equal(0, go().status)
  end)

  it("ends by Ctrl-C with 130, and the same command goes on", function()
    local child <close> = start()
    assert.is_true(child:signal "SIGINT")
    assert.equal(130, child:wait().status)
    local again = go()
    local recalled, records = again.stdout:match "(%d+)%s+(%d+)"
    assert.equal("40", records)
    assert.is_true(tonumber(recalled) > 0)
    local _, lines = fs.read(at "out.jsonl"):gsub("\n", "")
    assert.equal(40, lines)
  end)
end)

describe("a service that is down", function()
  local function down() return nil, {kind = "connect", message = "refused", retryable = true} end

  local function numbers(n)
    local list = {}
    for i = 1, n do list[i] = i end
    return list
  end

  it("ends the run after so many failures in a row; the items are set aside", function()
    local _, summary, err, so_far = run {source = numbers(1000), limit = 4, give_up = 10, down}
    assert.is_nil(summary)
    assert.equal("outage", err.kind)
    assert.matches("1%d items failed one after the other; the last: refused", err.message)
    assert.equal("connect", err.cause.kind)
    assert.is_true(so_far.parked >= 10 and so_far.parked < 30)
    local records = run({source = numbers(3), function(x) return x end}, {retry_failed = true, mixed = true})
    assert.same({1, 2, 3}, records)
  end)

  it("is up again with one success", function()
    local _, summary = run {source = numbers(60), limit = 1, give_up = 10, function(x)
      if x % 10 == 0 then return x end
      return down()
    end}
    assert.same({54, 6}, {summary.parked, summary.done})
  end)

  it("is not what items are that are wrong themselves", function()
    local _, summary = run {source = numbers(200), function() return nil, {kind = "invalid", message = "wrong"} end}
    assert.equal(200, summary.parked)
    _, summary = run {source = numbers(200), journal = false, give_up = math.huge, down}
    assert.equal(200, summary.parked)
    local _, none, err = run {source = numbers(200), journal = false, down}
    assert.is_nil(none)
    assert.matches("items failed one after the other", err.message)
  end)
end)
