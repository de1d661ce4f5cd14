-- scripts/pipelines/people.lua, under a virtual clock: its table, its order, its options.

local muster = os.getenv "MUSTER" or "build/muster"

-- Runs the pipeline: its output and its exit code.
local function run(arguments)
  local pipe = io.popen(("%s --virtual-time scripts/pipelines/people.lua %s 2>&1"):format(muster, arguments))
  local output = pipe:read "a"
  local _, _, code = pipe:close()
  return output, code
end

-- The rows of the table: {name, seconds, speed-up, persons, order, first ids}.
local function rows_of(output)
  local rows = {}
  for name, seconds, speedup, persons, order, ids in
    output:gmatch "([%a_, %d]-) +([%d.]+) s +([%d.]+) x +(%d+) +(%a+) +([%d .]+)\n" do
    rows[#rows + 1] = { name = name, seconds = tonumber(seconds), speedup = tonumber(speedup),
      persons = tonumber(persons), order = order, ids = ids }
  end
  return rows
end

local function column(rows, key)
  local values = {}
  for i, row in ipairs(rows) do values[i] = row[key] end
  return values
end

local function ascends(ids)
  local last = 0
  for id in ids:gmatch "%d+" do
    if tonumber(id) <= last then return false end
    last = tonumber(id)
  end
  return true
end

describe("people.lua", function()
  local output, code = run ""
  local rows = rows_of(output)

  it("runs the five ways and says that it sleeps", function()
    assert.equal(0, code)
    assert.match("No service is called here: each extraction sleeps", output)
    assert.same({ "for loop", "gather", "as_completed", "gather, limit 4", "as_completed, limit 4" },
      column(rows, "name"))
  end)

  it("shows the order of results", function()
    assert.same({ "input", "input", "completion", "input", "completion" }, column(rows, "order"))
    for _, row in ipairs(rows) do assert.equal(row.order == "input", ascends(row.ids), row.name) end
  end)

  it("extracts the same persons in each way, and not from every sentence", function()
    assert.same({ 42, 42, 42, 42, 42 }, column(rows, "persons"))
    assert.match("48 sentences", output)
    assert.match("All five found the same 42 persons", output)
    assert.match("name = Ada Marsh, age = 36, job = mathematician", output)
  end)

  it("takes the time that each way should", function()
    local loop, gather, completed, limited, limited_completed = table.unpack(column(rows, "seconds"))
    assert.is_true(loop > 4 and loop < 6)
    assert.is_true(gather <= 0.16 and completed == gather)
    assert.is_true(limited > loop / 4 and limited < loop / 3.5)
    assert.equal(limited, limited_completed)
    for _, row in ipairs(rows) do assert.near(loop / row.seconds, row.speedup, row.speedup * 0.05) end
  end)

  it("draws a chart that fits a terminal, the longest bar for the slowest", function()
    local bars = {}
    for bar in output:gmatch "\n[%a_, %d]+ ([█▏▎▍▌▋▊▉]+) [%d.]+ s" do bars[#bars + 1] = utf8.len(bar) end
    assert.equal(5, #bars)
    assert.equal(44, bars[1])
    for line in output:gmatch "[^\n]+" do assert.is_true(utf8.len(line) <= 100, line) end
  end)

  it("takes --limit, --items and --quiet", function()
    local quiet, status = run "--limit 2 --items=10 --quiet"
    local short = rows_of(quiet)
    assert.equal(0, status)
    assert.equal("gather, limit 2", short[4].name)
    assert.near(2, short[4].speedup, 0.3)
    assert.same({ 9, 9, 9, 9, 9 }, column(short, "persons"))
    assert.is_nil(quiet:find "█")
    assert.is_nil(quiet:find "sentences")
  end)

  it("runs on one item", function()
    local one, status = run "--items 1 --limit 1000"
    assert.equal(0, status)
    assert.same({ 1, 1, 1, 1, 1 }, column(rows_of(one), "persons"))
  end)

  it("answers a bad option in one line, with exit code 2", function()
    for arguments, message in pairs {
      ["--limit 0"] = "%-%-limit: expected a whole number from 1, got '0'",
      ["--items 1000"] = "%-%-items: expected a whole number from 1 to 48, got '1000'",
      ["--items"] = "%-%-items: expected a whole number from 1 to 48, got nothing",
      ["--fast"] = "%-%-fast: unknown option",
      ["Ada"] = "Ada: expected no argument",
    } do
      local text, status = run(arguments)
      assert.equal(2, status)
      assert.match("^people.lua: " .. message .. "[^\n]*\n$", text)
    end
  end)

  it("explains itself with --help", function()
    local text, status = run "--help"
    assert.equal(0, status)
    assert.match("^usage: people.lua", text)
  end)
end)
