--- One work of the bench of extraction, in a process of its own. Prints figures: name, value.
--   extract_work.lua items URL N AT_ONCE      N records, by the tool of a schema with 3 fields
--   extract_work.lua paced URL SECONDS AFTER  records for so long; figures of the time after AFTER seconds
--   extract_work.lua answer SECONDS           a service of one answer, after so long
--   extract_work.lua service RPM HEADERS      that of scripts/service, with a limit; HEADERS: does it tell of it?
-- A service prints its URL, and ends with its stdin.
local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s/../?/init.lua;%s"):format(here, here, here, package.path)

local answer = require "extract_answer"
local async = require "muster"
local llm = require "muster.llm"
local schema = require "muster.schema"
local uv = require "luv"

local function cpu()
  local r = uv.getrusage()
  return r.utime.sec + r.stime.sec + (r.utime.usec + r.stime.usec) * 1e-6
end

local function say(figures)
  for name, value in pairs(figures) do print(name, value) end
end

local function until_stdin_ends()
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  async.suspend(function(resume) stdin:read_start(function(_, chunk) if not chunk then resume() end end) end)
  stdin:close()
end

local Person = schema.object({
  name = schema.string {min_length = 1},
  age = schema.integer {min = 0, max = 150},
  job = schema.optional(schema.string()),
}):named "Person"

local TEXT = "My name is Ada Lovelace, I am %d years old and I work as a programmer."

local function is_right(person) return person ~= nil and person.name == "Ada Lovelace" end

local works = {}

function works.items(url, n, at_once)
  n, at_once = tonumber(n), tonumber(at_once)
  local client <close> = llm.client {base_url = url, api_key = "none", model = "bench", concurrency = at_once}
  local texts, failed = {}, 0
  for i = 1, n do texts[i] = TEXT:format(i % 90) end
  local before = async.now()
  async.map(texts, function(text)
    if not is_right(client:extract(Person, text, {mode = "tools"})) then failed = failed + 1 end
  end, {limit = at_once})
  say {cpu = cpu() / n * 1e6, seconds = async.now() - before, failed = failed}
end

--- What happens from second to second: answers, and refusals.
local function watched(url)
  local began, counts = async.now(), {answers = {}, refusals = {}}
  local function count(what)
    local second = (async.now() - began) // 1
    counts[what][second] = (counts[what][second] or 0) + 1
  end
  return counts, llm.client {base_url = url, api_key = "none", model = "bench", hooks = {
    response = function() count "answers" end,
    error = function(err) count(err.limited and "refusals" or "answers") end,
  }}
end

local function sum(counts, from, to)
  local total = 0
  for second = from, to - 1 do total = total + (counts[second] or 0) end
  return total
end

function works.paced(url, seconds, after)
  seconds, after = tonumber(seconds), tonumber(after)
  local counts, client <close> = watched(url)
  local began, items, failed = async.now(), 0, 0
  local function worker()
    while async.now() - began < seconds do
      items = items + 1
      local person = client:extract(Person, TEXT:format(items % 90), {mode = "tools"})
      if not is_right(person) then failed = failed + 1 end
    end
  end
  local workers = {}
  for i = 1, 200 do workers[i] = worker end
  async.gather(workers)
  local answers, refusals = sum(counts.answers, after, seconds), sum(counts.refusals, after, seconds)
  say {rate = answers / (seconds - after), refused = refusals / (answers + refusals) * 100, failed = failed,
       items = items, early = sum(counts.refusals, 0, after)}
  if os.getenv "BENCH_SECONDS" then
    for second = 0, seconds + 2 do
      print(("# %d: %d answers, %d refusals"):format(second, counts.answers[second] or 0, counts.refusals[second] or 0))
    end
  end
end

function works.answer(seconds)
  seconds = tonumber(seconds)
  local server <close> = assert(require "muster.http".serve {connections = 2000, handler = function(req)
    req:body()
    async.sleep(seconds)
    return {headers = {["content-type"] = "application/json"}, body = answer}
  end})
  io.write(server.url, "/v1\n")
  io.flush()
  until_stdin_ends()
end

function works.service(rpm, headers)
  local options = {latency = 0.05, limits = {rpm = tonumber(rpm)}}
  if headers == "false" then options.headers = false end
  local s <close> = assert(require "service".start(options))
  io.write(s.url, "\n")
  io.flush()
  until_stdin_ends()
end

works[arg[1]](table.unpack(arg, 2))
