-- scripts/pipelines/people.lua: its table, its order, its options, the services it asks.

local program = require "spec.support.program"

package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
local service = require "service"
local process = require "muster.process"

-- Runs the pipeline, while this process may answer it: its output, its errors, its exit code.
local function run(arguments, env)
  local command = { program.path, "--slow", "0", "scripts/pipelines/people.lua" }
  for word in arguments:gmatch "%S+" do command[#command + 1] = word end
  local result = assert(process.run(command, { env = env }))
  return result.stdout, result.stderr, result.status
end

-- The rows of the table: {name, seconds, speed-up, persons, order, first ids}.
local function rows_of(output)
  local rows = {}
  for name, seconds, speedup, published, persons, order, ids in
    output:gmatch "([%a_, %d]-) +([%d.]+) s +([%d.]+) x +([%d.]+) x +(%d+) +(%a+) +([%d .]+)\n" do
    rows[#rows + 1] = { name = name, seconds = tonumber(seconds), speedup = tonumber(speedup),
      published = tonumber(published), persons = tonumber(persons), order = order, ids = ids }
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
  local output, errors, code, rows

  setup(function()
    output, errors, code = run "--latency 0-0.02 --items 48 --limit 4"
    rows = rows_of(output)
  end)

  it("runs the five ways against a service of its own", function()
    assert.equal("", errors)
    assert.equal(0, code)
    assert.match("48 sentences, each a request to http://127.0.0.1:%d+/v1", output)
    assert.same({ "for loop", "gather", "as_completed", "gather, limit 4", "as_completed, limit 4" },
      column(rows, "name"))
    assert.same({ 1, 7.3, 6.5, 2, 1.9 }, column(rows, "published"))
  end)

  it("shows the order of results", function()
    assert.same({ "input", "input", "completion", "input", "completion" }, column(rows, "order"))
    for _, row in ipairs(rows) do assert.is_true(row.order ~= "input" or ascends(row.ids), row.name) end
  end)

  it("extracts the same persons in each way, and not from every sentence", function()
    assert.same({ 42, 42, 42, 42, 42 }, column(rows, "persons"))
    assert.match("All five found the same 42 persons", output)
    assert.match("name = Ada Marsh, age = 36, job = mathematician", output)
  end)

  it("draws a chart that fits a terminal, the longest bar for the slowest", function()
    local bars = {}
    for bar in output:gmatch "\n[%a_, %d]+ ([█▏▎▍▌▋▊▉]+) [%d.]+ s" do bars[#bars + 1] = utf8.len(bar) end
    assert.equal(5, #bars)
    assert.equal(44, bars[1])
    for line in output:gmatch "[^\n]+" do assert.is_true(utf8.len(line) <= 100, line) end
  end)

  it("takes --limit, --items and --quiet", function()
    local quiet, _, status = run "--limit 3 --items=10 --quiet --latency 0"
    local short = rows_of(quiet)
    assert.equal(0, status)
    assert.equal("gather, limit 3", short[4].name)
    assert.same({ 9, 9, 9, 9, 9 }, column(short, "persons"))
    assert.is_nil(quiet:find "█")
    assert.is_nil(quiet:find "sentences")
  end)

  it("runs on one item", function()
    local one, _, status = run "--items 1 --limit 1000 --latency 0"
    assert.equal(0, status)
    assert.same({ 1, 1, 1, 1, 1 }, column(rows_of(one), "persons"))
  end)

  it("answers a bad option in one line, with exit code 2", function()
    for arguments, message in pairs {
      ["--limit 0"] = "%-%-limit: expected a whole number from 1, got '0'",
      ["--items 1000"] = "%-%-items: expected a whole number from 1 to 48, got '1000'",
      ["--items"] = "%-%-items: expected a whole number from 1 to 48, got nothing",
      ["--latency 2-1"] = "%-%-latency: expected seconds, such as 0.1 or 0.4%-0.5, got '2%-1'",
      ["--base-url="] = "%-%-base%-url: expected a URL, got ''",
      ["--provider nobody"] = "%-%-provider: expected openai, anthropic, ollama or llamacpp, got 'nobody'",
      ["--fast"] = "%-%-fast: unknown option",
      ["Ada"] = "Ada: expected no argument",
    } do
      local _, text, status = run(arguments)
      assert.equal(2, status)
      assert.match("^people.lua: " .. message .. "[^\n]*\n$", text)
    end
  end)

  it("explains itself with --help", function()
    local text, _, status = run "--help"
    assert.equal(0, status)
    assert.match("^usage: people.lua", text)
  end)
end)

describe("people.lua with another service", function()
  local function start() return assert(service.start { keys = { "sk-right" }, latency = 0.01, log = true }) end

  it("asks it, with the key of the environment, for a person by a strict schema", function()
    local s <close> = start()
    local text, errors, status = run("--items 5 --limit 2 --model m1 --base-url " .. s.url,
      { OPENAI_API_KEY = "sk-right" })
    assert.equal("", errors)
    assert.equal(0, status)
    assert.same({ 4, 4, 4, 4, 4 }, column(rows_of(text), "persons"))
    assert.equal(26, s:stats().requests) -- the first sentence once more
    local body = s:requests()[1].body
    assert.equal("m1", body.model)
    assert.equal("Person", body.tools[1]["function"].name)
    assert.is_true(body.tools[1]["function"].strict)
    assert.same({ "age", "job", "name" }, body.tools[1]["function"].parameters.required)
    assert.equal(5, s:stats().max_in_flight)
  end)

  it("speaks Anthropic's protocol, too, and Ollama's", function()
    local s <close> = assert(service.start { log = true })
    for _, provider in ipairs { "anthropic", "ollama" } do
      local text, errors, status = run(("--items 2 --quiet --provider %s --base-url %s"):format(provider, s.root),
        { ANTHROPIC_API_KEY = "sk-ant" })
      assert.equal("", errors)
      assert.equal(0, status)
      assert.same({ 2, 2, 2, 2, 2 }, column(rows_of(text), "persons"))
      assert.match("10 requests, %d+ tokens in and %d+ out", text)
    end
    assert.equal("/v1/messages", s:requests()[1].path)
    assert.equal("/api/chat", s:requests()[20].path)
  end)

  it("says why it was refused, without the key", function()
    local s <close> = start()
    local _, errors, status = run("--base-url " .. s.url, { OPENAI_API_KEY = "sk-wrong" })
    assert.equal(1, status)
    assert.match("^people.lua: [^\n]*Incorrect API key[^\n]+\n$", errors)
    assert.is_nil(errors:find("sk-wrong", 1, true))
  end)

  it("says that nobody answers", function()
    local s <close> = start()
    s:stop()
    local _, errors, status = run("--base-url " .. s.url)
    assert.equal(1, status)
    assert.match("^people.lua: http://127.0.0.1:%d+/v1/chat/completions: .*onnect", errors)
  end)
end)
