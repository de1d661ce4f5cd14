-- What is wrong with items, files and disks, and what a pipeline makes of it.
local async = require "muster"
local fs = require "muster.fs"
local pipeline = require "muster.pipeline"

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
  for _, journal in ipairs {at "j", false} do
    local all = {source = {1, 2, 3}, journal = journal, function(x)
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
      return function(err) assert.matches("item 2: with 'many' its result must be a list, got " .. what, tostring(err)) end
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
