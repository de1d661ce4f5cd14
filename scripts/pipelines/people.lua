--- Five ways to run one extractor over a data set, and what each of them costs.
--
--   muster people.lua [--limit N] [--items N] [--quiet]

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s"):format(here, here, package.path)

local async = require "muster"
local re = require "re"
local await, gather, as_completed = async.await, async.gather, async.as_completed

-- Who is it, how old, and what do they do? A sentence the grammar does not know
-- gives nil.
local person_grammar = re.compile([[
  person <- {| introduction / portrait |} !.
  introduction <- "My name is " name ", I am " age " years old and I work as " a job "."
                / "I'm " name ". I'm " age " and I earn my living as " a job "."
                / "Hello, " name " here: " job ", " age " years of age."
  portrait <- "At " age ", " name " works as " a job "."
            / "Meet " name ", " a job " of " age "."
            / "The " job " " name " turned " age " last week."
            / name " is " a age "-year-old " job "."
            / name ", " age ", is " a job "."
  name <- {:name: [A-Z] [a-zA-Z']+ (" " [A-Z] [a-zA-Z']+)* :}
  age  <- {:age: [0-9]+ -> tonumber :}
  job  <- {:job: [a-z]+ (" " !"of " [a-z]+)* :}
  a    <- "a" "n"? " "
]], { tonumber = tonumber })

-- How long the answer to this sentence takes: always the same 0.05 to 0.15 s.
local function latency(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 1009 end
  return 0.05 + sum / 1009 * 0.10
end

-- The extractor. It sleeps in the place of a call to a slow service.
local extract_person = async(function(sentence)
  async.sleep(latency(sentence.text))
  local person = person_grammar:match(sentence.text)
  if person then person.id = sentence.id end
  return person
end)

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
local function rate_limited(limit)
  local semaphore = async.semaphore(limit)
  return async(function(sentence)
    local permit <close> = semaphore:acquire()   -- luacheck: ignore permit
    return await(extract_person(sentence))
  end)
end

local function ways(limit)
  local limited = rate_limited(limit)
  return {
    { name = "for loop", run = for_loop, extract = extract_person, order = "input" },
    { name = "gather", run = gathered, extract = extract_person, order = "input" },
    { name = "as_completed", run = completed, extract = extract_person, order = "completion" },
    { name = "gather, limit " .. limit, run = gathered, extract = limited, order = "input" },
    { name = "as_completed, limit " .. limit, run = completed, extract = limited, order = "completion" },
  }
end

-- The rest is the command line, the clock and the printing.

local options = require "options"
local sentences = require "people_data"

local help = [[
usage: people.lua [OPTIONS]

Extracts persons from made-up sentences in five ways, and compares their times.

  --limit N   calls at a time in the rate-limited ways (default 4)
  --items N   only the first N sentences (default all of them)
  --quiet     only the table
  --help      this text
]]

local function up_to(most)
  local whole = options.whole(1)
  return function(value)
    local number = whole(value)
    return number and number <= most and number or nil
  end
end

local known = {
  ["--limit"] = { key = "limit", expects = "a whole number from 1", read = options.whole(1) },
  ["--items"] = { key = "items", expects = "a whole number from 1 to " .. #sentences,
    read = up_to(#sentences) },
  ["--quiet"] = { key = "quiet" },
  ["--help"] = { key = "help" },
}

local function numbered(texts, count)
  local dataset = {}
  for i = 1, count do dataset[i] = { id = i, text = texts[i] } end
  return dataset
end

-- The numbers of the first sentences in the order of the results: "1 2 3 ...".
local function first_ids(persons)
  local ids = {}
  for i = 1, math.min(7, #persons) do ids[i] = persons[i].id end
  return table.concat(ids, " ") .. (#persons > 7 and " ..." or "")
end

-- All that a way found, whatever its order, as one string.
local function fingerprint(persons)
  local lines = {}
  for i, person in ipairs(persons) do
    lines[i] = ("%d %s %d %s"):format(person.id, person.name, person.age, person.job)
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

local row = "%-24s %7.2f s %7.1f x %9d   %-10s %s\n"
local heading = ("%-24s %9s %9s %9s   %s\n"):format("method", "time", "speed-up", "persons",
  "order of results")

local function print_row(way, slowest)
  io.write(row:format(way.name, way.seconds, slowest / way.seconds, #way.persons, way.order,
    first_ids(way.persons)))
  io.stdout:flush()
end

-- A bar of `length` characters and eighths.
local function bar(length)
  local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }
  local full = math.floor(length)
  return ("█"):rep(full) .. (eighths[math.floor((length - full) * 8)] or "")
end

local function print_chart(finished, slowest)
  for _, way in ipairs(finished) do
    local length = math.max(44 * way.seconds / slowest, 0.125)
    io.write(("%-24s %s %.2f s\n"):format(way.name, bar(length), way.seconds))
  end
end

local function print_intro(dataset)
  local person = person_grammar:match(dataset[1].text)
  io.write(#dataset, " sentences. No service is called here: each extraction sleeps 0.05 to 0.15 s\n",
    "in its place. The first sentence, and what is extracted from it:\n\n  ", dataset[1].text, "\n",
    ("  name = %s, age = %d, job = %s\n\n"):format(person.name, person.age, person.job))
end

local function agree(finished)
  for _, way in ipairs(finished) do
    if fingerprint(way.persons) ~= fingerprint(finished[1].persons) then return false end
  end
  return true
end

local function main(settings)
  local dataset, finished = numbered(sentences, settings.items), {}
  if not settings.quiet then print_intro(dataset) end
  io.write(heading)
  for i, way in ipairs(ways(settings.limit)) do
    finished[i] = run(way, dataset)
    print_row(way, finished[1].seconds)
  end
  if not settings.quiet then
    io.write "\n"
    print_chart(finished, finished[1].seconds)
  end
  if agree(finished) then
    io.write("\nAll five found the same ", #finished[1].persons, " persons.\n")
  else
    io.stderr:write "people.lua: the five ways do not agree\n"
    os.exit(1)
  end
end

local settings, mistake = options.parse(known, { limit = 4, items = #sentences }, arg)
if settings and settings[1] then
  settings, mistake = nil, ("%s: expected no argument"):format(settings[1])
end
if not settings then
  io.stderr:write("people.lua: ", mistake, "\n")
  os.exit(2)
elseif settings.help then
  io.write(help)
else
  main(settings)
end
