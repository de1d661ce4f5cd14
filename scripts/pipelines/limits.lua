--- A thousand items through a service that is limited, faulty and at times slow: nothing is lost.
--
--   muster limits.lua [--items N] [--rpm N] [--faults SHARE] [--seed N] [--quiet]
--
-- The client is not told the service's limit. It learns it, from headers and refusals.

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s/../?/init.lua;%s"):format(here, here, here, package.path)

local async = require "muster"
local limit = require "muster.limit"
local llm = require "muster.llm"
local options = require "options"
local progress = require "muster.progress"
local schema = require "muster.schema"
local sentences = require "people_data"
local service = require "service"

local Person = schema.object({
  name = schema.optional(schema.string()),
  age = schema.optional(schema.integer { min = 0, max = 150 }),
  job = schema.optional(schema.string()),
}):named "Person"

-- What goes wrong, as often as the service is told: a failure of each sort that is worth another attempt.
local FAULTS = { "500", "502", "503", "529", "reset", "closed", "truncated", "invalid_json", "wrong_schema", "no_tool" }

-- Sentences, numbered, so that no two are the same.
local function dataset(count)
  local items = {}
  for i = 1, count do items[i] = ("Note %d. %s"):format(i, sentences[(i - 1) % #sentences + 1]) end
  return items
end

local function start_service(settings)
  return assert(service.start {
    latency = { median = 0.05, p99 = 1 },
    limits = { rpm = settings.rpm },
    faults = { rate = settings.faults, kinds = FAULTS },
    seed = settings.seed,
  })
end

-- ---- the report ----

local function section(title, rows)
  io.write("\n", title, "\n")
  for _, row in ipairs(rows) do io.write(("  %-34s %s\n"):format(row[1], row[2]:format(table.unpack(row, 3)))) end
end

local function report_items(results, seconds, settings)
  local persons, failed = 0, 0
  for i = 1, results.n do
    if not results[i].ok then failed = failed + 1
    elseif results[i].value.name then persons = persons + 1 end
  end
  local ideal = (results.n - 1) / settings.rpm * 60
  section("Items", {
    { "dealt with", "%d of %d, %d of them about a person", results.n - failed, results.n, persons },
    { "failed", "%d", failed },
    { "time", "%.1f s, %.0f a second", seconds, results.n / seconds },
    { "at the limit itself", "%.1f s", ideal },
  })
  return failed
end

local function report_service(stats)
  local rows = { { "requests", "%d", stats.requests },
    { "answered 429, too many", "%d (%.1f %%)", stats.limited, 100 * stats.limited / stats.requests },
    { "at once, at most", "%d", stats.max_in_flight } }
  local kinds = {}
  for kind in pairs(stats.faults) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do rows[#rows + 1] = { "fault: " .. kind, "%d", stats.faults[kind] } end
  section("What the service did", rows)
end

local function report_limiter(stats)
  section("What the limiter learned", {
    { "requests a minute", "%s", stats.rpm and ("%.0f"):format(stats.rpm) or "no limit" },
    { "requests at once", "%.0f", stats.concurrency },
    { "tokens to an estimated one", "%.2f", stats.ratio },
    { "bursts of refusals", "%d, with %d refusals", stats.episodes, stats.limited },
    { "waited for it", "%d requests, %.2f s each", stats.delayed, stats.waited / math.max(stats.delayed, 1) },
  })
end

local function report_client(usage)
  section("What the client did", {
    { "tried again", "%d times", usage.retries },
    { "asked again, with what was wrong", "%d times", usage.reasks },
    { "tokens", "%d in, %d out", usage.input, usage.output },
  })
end

-- ---- the command line ----

local help = [[
usage: limits.lua [OPTIONS]

Extracts persons from a thousand sentences through a service of its own that allows
so many requests a minute, fails at times and is slow at times; then reports what
happened, and what the limiter learned. The client is not told the limit.

  --items N        how many sentences (default 1000)
  --rpm N          requests a minute that the service allows (default 6000)
  --faults SHARE   of requests that fail, from 0 to 1 (default 0.05)
  --attempts N     at most, for one item (default 6)
  --seed N         of what is left to chance (default 1)
  --quiet          no progress
  --help           this text
]]

local function share(value)
  local number = tonumber(value)
  return number and number >= 0 and number <= 1 and number or nil
end

local known = {
  ["--items"] = { key = "items", expects = "a whole number from 1", read = options.whole(1) },
  ["--rpm"] = { key = "rpm", expects = "a whole number from 1", read = options.whole(1) },
  ["--faults"] = { key = "faults", expects = "a number from 0 to 1", read = share },
  ["--attempts"] = { key = "attempts", expects = "a whole number from 1", read = options.whole(1) },
  ["--seed"] = { key = "seed", expects = "a whole number", read = options.whole(0) },
  ["--quiet"] = { key = "quiet" },
  ["--help"] = { key = "help" },
}

-- How the extraction of one text went: never an error, so that one item does not end the run.
local function outcome(client, text)
  local person, err = client:extract(Person, text, { reasks = 4 })
  if person then return { ok = true, value = person } end
  return { ok = false, error = err }
end

local function main(settings)
  local s <close> = start_service(settings)
  local limiter = limit.limiter { name = "the service" }
  local client <close> = llm.client { base_url = s.url, api_key = "none", model = "muster-extract", limiter = limiter,
    retry = { attempts = settings.attempts } }
  local items, started = dataset(settings.items), async.now()
  local bar <close> = progress.start { total = #items, label = "extracting", limiter = limiter, client = client,
    quiet = settings.quiet }
  local results = async.map(items, bar:wrap(function(text) return outcome(client, text) end), { limit = 1000 })
  bar:finish()
  local failed = report_items(results, async.now() - started, settings)
  report_service(s:stats())
  report_limiter(limiter:stats())
  report_client(client:usage())
  for i = 1, results.n do
    if not results[i].ok then io.stderr:write(("limits.lua: item %d: %s\n"):format(i, results[i].error)) end
  end
  return failed == 0
end

local settings, mistake = options.parse(known, { items = 1000, rpm = 6000, faults = 0.05, seed = 1, attempts = 6 }, arg)
if settings and settings[1] then
  settings, mistake = nil, ("%s: expected no argument"):format(settings[1])
end
if not settings then
  io.stderr:write("limits.lua: ", mistake, "\n")
  os.exit(2)
elseif settings.help then
  io.write(help)
elseif not main(settings) then
  os.exit(1)
end
