-- scripts/pipelines/limits.lua: nothing is lost, whatever the service does.

local process = require "muster.process"
local program = require "spec.support.program"

local function run(arguments)
  local command = { program.path, "--slow", "0", "scripts/pipelines/limits.lua" }
  for word in arguments:gmatch "%S+" do command[#command + 1] = word end
  local result = assert(process.run(command))
  return result.stdout, result.stderr, result.status
end

local function count(output, label) return tonumber(output:match("\n  " .. label .. " +(%d+)")) end

describe("limits.lua", function()
  it("gets every item through faults and limits, and says what it learned", function()
    local output, errors, status = run "--items 200 --rpm 12000 --faults 0.15 --quiet"
    assert.equal("", errors)
    assert.equal(0, status)
    assert.match("\n  dealt with +200 of 200, 175 of them about a person\n", output)
    assert.equal(0, count(output, "failed"))
    local faults = 0
    for n in output:gmatch "\n  fault: [%w_]+ +(%d+)" do faults = faults + n end
    assert.is_true(faults >= 20)
    assert.is_true(count(output, "requests") >= 200 + faults)
    assert.equal(12000, count(output, "requests a minute"))
    assert.is_true(count(output, "tried again") + count(output, "asked again, with what was wrong") > 0)
  end)

  it("works on one item, and without faults", function()
    local output, _, status = run "--items 1 --faults 0 --quiet"
    assert.equal(0, status)
    assert.match("dealt with +1 of 1, 1 of them about a person", output)
    assert.equal(1, count(output, "requests"))
  end)

  it("says which items failed when everything fails, and exits with 1", function()
    local output, errors, status = run "--items 1 --faults 1 --quiet --attempts 1"
    assert.equal(1, status)
    assert.match("dealt with +0 of 1", output)
    assert.match("^limits.lua: item 1: [^\n]+\n$", errors)
  end)

  it("shows progress on stderr", function()
    local _, errors = run "--items 2 --faults 0"
    assert.match("extracting: 2 of 2, in ", errors)
  end)

  it("answers a bad option in one line, with exit code 2", function()
    for arguments, message in pairs {
      ["--items 0"] = "%-%-items: expected a whole number from 1, got '0'",
      ["--faults 2"] = "%-%-faults: expected a number from 0 to 1, got '2'",
      ["x"] = "x: expected no argument",
    } do
      local _, errors, status = run(arguments)
      assert.equal(2, status)
      assert.match("^limits.lua: " .. message .. "\n$", errors)
    end
    assert.match("^usage: limits.lua", (run "--help"))
  end)
end)
