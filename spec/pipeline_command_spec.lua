-- Scripts that are pipelines: what their arguments do.
local fs = require "muster.fs"
local program = require "spec.support.program"

local script = [[
  local pipeline = require "muster.pipeline"
  local broken = os.getenv "BROKEN"
  local p = pipeline {
    name = "doubled", source = {1, 2, 3}, key = function(n) return n end,
    function(n)
      if broken == "stop" then return nil, {fatal = true, message = "no money"} end
      if n == 2 and broken then return nil, "two is broken" end
      return n * 2
    end,
    sink = os.getenv "OUT", journal = os.getenv "JOURNAL",
  }
  os.exit(p:main(arg))
]]

describe("pipeline:main", function()
  local directory, path

  before_each(function()
    directory = assert(fs.tmp_dir())
    path = directory.path .. "/doubled.lua"
    assert(fs.write(path, script))
  end)
  after_each(function()
    directory:close()
    program.remove_files()
  end)

  local function run(env, ...)
    local arguments = {path, ...}
    arguments.env = ("OUT=%s/out.jsonl %s"):format(directory.path, env)
    return program.run(arguments)
  end

  local function journal() return "JOURNAL=" .. directory.path .. "/j " end

  it("runs, says what came of it, and ends with 0", function()
    local output, errors, code = run("", "--quiet")
    assert.matches("^doubled: 3 items, 3 records; [%d.]+ s\n$", output)
    assert.same({"", 0}, {errors, code})
    assert.equal("2\n4\n6\n", fs.read(directory.path .. "/out.jsonl"))
  end)

  it("shows progress unless it is to be quiet", function()
    assert.matches("doubled: 3 of 3, in", select(2, run ""))
  end)

  it("says what failed, and ends with 3; tries again when told to", function()
    local output, errors, code = run(journal() .. "BROKEN=1", "--quiet")
    assert.matches("1 parked, 2 records", output)
    assert.same({"doubled: item 2: two is broken\n", 3}, {errors, code})
    assert.equal(3, select(3, run(journal(), "--quiet")))
    output, errors, code = run(journal(), "--retry-failed", "--quiet")
    assert.matches("3 items, 2 of them by earlier runs, 3 records", output)
    assert.same({"", 0}, {errors, code})
  end)

  it("tells where it stands", function()
    run(journal() .. "BROKEN=1", "--quiet")
    local output, _, code = run(journal(), "--status")
    assert.same({"doubled: 2 done, 1 parked\n", 0}, {output, code})
  end)

  it("notices a changed script, and goes on when told how", function()
    run(journal(), "--quiet")
    assert(fs.write(path, script .. "-- changed\n"))
    local _, errors, code = run(journal(), "--quiet")
    assert.equal(1, code)
    assert.matches("^doubled: journal .*script has changed.*fresh.*mixed.*\n$", errors)
    assert.matches("3 of them by earlier runs", (run(journal(), "--mixed", "--quiet")))
    assert.matches("^doubled: 3 items, 3 records", (run(journal(), "--fresh", "--quiet")))
  end)

  it("says why the run could not go on, and ends with 1", function()
    local _, errors, code = run("BROKEN=stop", "--quiet")
    assert.equal(1, code)
    assert.matches("^doubled: .*\n$", errors)
    _, errors, code = program.run {path, "--quiet", env = "OUT=/nowhere/out.jsonl"}
    assert.equal(1, code)
    assert.matches("^doubled: .*/nowhere/out.jsonl", errors)
  end)

  it("writes a report", function()
    assert.equal(0, select(3, run("", "--quiet", "--report", directory.path .. "/run.html")))
    assert.matches("^<!DOCTYPE html>", (fs.read(directory.path .. "/run.html")))
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: .*doubled.lua %[OPTIONS%]", (run("", "--help")))
    for arguments, message in pairs {
      ["--fats"] = "--fats: unknown option (--help lists them)",
      ["--status"] = "--status: the pipeline has no journal",
      ["--report"] = "--report: expected a file name, got nothing",
    } do
      local _, errors, code = run("", arguments)
      assert.same({"doubled: " .. message .. "\n", 2}, {errors, code})
    end
  end)
end)
