--- Five ways to run one extractor over a data set, and what each of them costs.
--
--   muster people.lua [--items N] [--limit N] [--latency SECONDS] [--base-url URL] [--model NAME] [--provider NAME]
--
-- The extractor asks a language model over HTTP: a service that this program starts
-- for itself, which answers by grammars, or any other.

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s/../?/init.lua;%s"):format(here, here, here, package.path)

local async = require "muster"
local llm = require "muster.llm"
local schema = require "muster.schema"
local await, gather, as_completed = async.await, async.gather, async.as_completed

-- Who is it, how old, and what do they do? Nothing of it, for a sentence about nobody.
local Person = schema.object({
  name = schema.optional(schema.string()),
  age = schema.optional(schema.integer { min = 0, max = 150 }),
  job = schema.optional(schema.string()),
}):named "Person"

-- The extractor: each call of it makes a task, which asks the service.
local function extractor(client)
  return async(function(sentence)
    local person, err = client:extract(Person, sentence.text)
    if not person then error(err, 0) end
    if not person.name then return nil end
    person.id = sentence.id
    return person
  end)
end

-- Way 1, the for loop: one after the other.
local function for_loop(dataset, extract)
  local persons = {}
  for _, sentence in ipairs(dataset) do
    persons[#persons + 1] = await(extract(sentence))
  end
  return persons
end

-- For the other ways: the tasks of all sentences. None has started yet.
local function tasks_of(dataset, extract)
  local tasks = {}
  for i, sentence in ipairs(dataset) do tasks[i] = extract(sentence) end
  return tasks
end

-- Way 2, gather: all at once, the results in the order of the sentences.
local function gathered(dataset, extract)
  local results, persons = gather(tasks_of(dataset, extract)), {}
  for i = 1, results.n do persons[#persons + 1] = results[i] end   -- nil where nothing matched
  return persons
end

-- Way 3, as_completed: all at once, each result as soon as it is there.
local function completed(dataset, extract)
  local persons = {}
  for task in as_completed(tasks_of(dataset, extract)) do
    persons[#persons + 1] = await(task)
  end
  return persons
end

-- Ways 4 and 5 are ways 2 and 3 with an extractor that spares the service: a
-- semaphore lets at most `limit` calls run at a time.
local function rate_limited(extract_person, limit)
  local semaphore = async.semaphore(limit)
  return async(function(sentence)
    local permit <close> = semaphore:acquire()   -- luacheck: ignore permit
    return await(extract_person(sentence))
  end)
end

local function ways(extract_person, limit)
  local limited = rate_limited(extract_person, limit)
  return {
    { name = "for loop", run = for_loop, extract = extract_person, order = "input",
      published = 6.17 },
    { name = "gather", run = gathered, extract = extract_person, order = "input",
      published = 0.85 },
    { name = "as_completed", run = completed, extract = extract_person, order = "completion",
      published = 0.95 },
    { name = "gather, limit " .. limit, run = gathered, extract = limited, order = "input",
      published = 3.04 },
    { name = "as_completed, limit " .. limit, run = completed, extract = limited, order = "completion",
      published = 3.26 },
  }
end

-- The rest is the command line, the clock and the printing.

local options = require "options"
local sentences = require "people_data"
local service = require "service"

local help = [[
usage: people.lua [OPTIONS]

Extracts persons from made-up sentences in five ways, and compares their times.
The extractor asks a service of its own, which answers by grammars on this machine;
or, with --base-url or --provider, a real one, whose key is in OPENAI_API_KEY or
ANTHROPIC_API_KEY.

  --items N           only the first N sentences (default 7)
  --limit N           calls at a time in the rate-limited ways (default 2)
  --latency SECONDS   of its own service (default 0.40-0.50)
  --provider NAME     openai (the default), anthropic, ollama or llamacpp
  --base-url URL      where the service is, if not where that provider is
  --model NAME        the model to ask for (default: a small one of the provider)
  --quiet             only the table
  --help              this text
]]

local function up_to(most)
  local whole = options.whole(1)
  return function(value)
    local number = whole(value)
    return number and number <= most and number or nil
  end
end

local function text(value) return value ~= "" and value or nil end

-- "0.4" or "0.4-0.5"
local function range(value)
  local least, most = value:match "^([%d.]+)-([%d.]+)$"
  least, most = tonumber(least or value), tonumber(most or value)
  return least and most and least >= 0 and most >= least and { min = least, max = most } or nil
end

local known = {
  ["--limit"] = { key = "limit", expects = "a whole number from 1", read = options.whole(1) },
  ["--items"] = { key = "items", expects = "a whole number from 1 to " .. #sentences,
    read = up_to(#sentences) },
  ["--latency"] = { key = "latency", expects = "seconds, such as 0.1 or 0.4-0.5", read = range },
  ["--provider"] = { key = "provider", expects = "openai, anthropic, ollama or llamacpp",
    read = options.one_of("openai", "anthropic", "ollama", "llamacpp") },
  ["--base-url"] = { key = "base_url", expects = "a URL", read = text },
  ["--model"] = { key = "model", expects = "a name", read = text },
  ["--quiet"] = { key = "quiet" },
  ["--help"] = { key = "help" },
}

local defaults = { items = 7, limit = 2, latency = { min = 0.40, max = 0.50 } }

local models = { openai = "gpt-4o-mini", anthropic = "claude-3-5-haiku-latest", ollama = "llama3.2",
  llamacpp = "any" }

local function numbered(texts, count)
  local dataset = {}
  for i = 1, count do dataset[i] = { id = i, text = texts[i] } end
  return dataset
end

-- The numbers of the first sentences in the order of the results: "1 2 3 ...".
local function first_ids(persons)
  local ids = {}
  local shown = #persons > 7 and 5 or #persons
  for i = 1, shown do ids[i] = persons[i].id end
  return table.concat(ids, " ") .. (shown < #persons and " ..." or "")
end

-- All that a way found, whatever its order, as one string.
local function fingerprint(persons)
  local lines = {}
  for i, person in ipairs(persons) do
    lines[i] = ("%d %s %s %s"):format(person.id, person.name, person.age, person.job)
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function run(way, dataset)
  local started = async.now()
  way.persons = way.run(dataset, way.extract)
  way.seconds = async.now() - started
  return way
end

local row = "%-22s %7.2f s %6.1f x %10.1f x %9d   %-10s %s\n"
local heading = ("%-22s %9s %8s %12s %9s   %s\n"):format("method", "time", "speed-up", "published*",
  "persons", "order of results")

-- How the times relate is well known: that is what others measured.
local footnote = "* 7 items of about 0.9 s each, limit 2, in Python's asyncio: 6.17, 0.85, 0.95, 3.04 and 3.26 s\n"

local function print_row(way, first)
  io.write(row:format(way.name, way.seconds, first.seconds / way.seconds, first.published / way.published,
    #way.persons, way.order, first_ids(way.persons)))
  io.stdout:flush()
end

-- A bar of `length` characters and eighths.
local function bar(length)
  local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }
  local full = math.floor(length)
  return ("█"):rep(full) .. (eighths[math.floor((length - full) * 8)] or "")
end

local function print_chart(finished)
  for _, way in ipairs(finished) do
    local length = math.max(44 * way.seconds / finished[1].seconds, 0.125)
    io.write(("%-22s %s %.2f s\n"):format(way.name, bar(length), way.seconds))
  end
end

local function print_intro(dataset, person, url)
  io.write(#dataset, " sentences, each a request to ", url, ". The first, and what is\nextracted from it:\n\n  ",
    dataset[1].text, "\n")
  io.write(person and ("  name = %s, age = %s, job = %s\n\n"):format(person.name, person.age, person.job)
    or "  nobody\n\n")
end

local function agree(finished)
  for _, way in ipairs(finished) do
    if fingerprint(way.persons) ~= fingerprint(finished[1].persons) then return false end
  end
  return true
end

-- A client of somebody else's service; or of one of our own, which stops with its scope.
local function connect(settings)
  local own
  if not (settings.base_url or settings.provider) then
    own = assert(service.start { latency = settings.latency })
  end
  local client = llm.client {
    provider = settings.provider,
    base_url = own and own.url or settings.base_url,
    api_key = own and "none" or nil,
    model = settings.model or models[settings.provider or "openai"],
    retry = { attempts = 3 },
    concurrency = own and #sentences or nil,
  }
  return client, own
end

local function main(settings)
  local client <close>, own = connect(settings)
  local _ <close> = own
  local extract = extractor(client)
  local dataset, finished = numbered(sentences, settings.items), {}
  if not settings.quiet then print_intro(dataset, await(extract(dataset[1])), client.base_url) end
  io.write(heading)
  for i, way in ipairs(ways(extract, settings.limit)) do
    finished[i] = run(way, dataset)
    print_row(way, finished[1])
  end
  if not settings.quiet then
    io.write(footnote, "\n")
    print_chart(finished)
  end
  if agree(finished) then
    io.write("\nAll five found the same ", #finished[1].persons, " persons.\n")
  elseif own then
    io.stderr:write "people.lua: the five ways do not agree\n"
    os.exit(1)
  else
    io.write "\nThe five did not find the same: the model answers differently each time.\n"
  end
  if not own then
    local usage = client:usage()
    io.write(("%d requests, %d tokens in and %d out.\n"):format(usage.requests, usage.input, usage.output))
  end
end

local settings, mistake = options.parse(known, defaults, arg)
if settings and settings[1] then
  settings, mistake = nil, ("%s: expected no argument"):format(settings[1])
end
if not settings then
  io.stderr:write("people.lua: ", mistake, "\n")
  os.exit(2)
elseif settings.help then
  io.write(help)
else
  local ok, problem = pcall(main, settings)
  if not ok then
    if async.is_cancelled(problem) then error(problem, 0) end
    io.stderr:write("people.lua: ", tostring(problem), "\n")
    os.exit(1)
  end
end
