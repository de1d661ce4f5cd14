--- What has changed on this machine? Which bugs were closed, which CVEs fixed, by whom, and when?
--
--   muster changelogs.lua [--out FILE.jsonl] [PATH...]
--   muster changelogs.lua --serve [--port N] [PATH...]
--
-- A pipeline over the changelogs of the packages: files, unpacked by gzip, an LPeg grammar (changelogs/grammar.lua),
-- one record a release; to a file, or as Server-Sent Events to a page in the browser, as the files are done.

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s"):format(here, here, package.path)

local files = require "changelogs.files"
local job = require "changelogs.job"
local json = require "muster.json"
local options = require "options"
local pipeline = require "muster.pipeline"
local signal = require "muster.signal"
local stdio = require "muster.stdio"
local summary = require "changelogs.summary"
local web = require "changelogs.web"

local help = [[
usage: changelogs.lua [OPTIONS] [PATH...]

Extracts the releases from Debian changelogs: package, version, date, maintainer,
bugs that were closed, CVEs that are named, changes. A PATH is a changelog, or a
directory in which and below which are some. Without one, /usr/share/doc is read.

  --out FILE.jsonl   write the records to FILE, not to standard output
  --serve            stream them to a page in the browser, until Ctrl-C
  --port N           of the page (default 8360; 0: any that is free)
  --limit N          at most N files at once (default 4)
  --quiet            no progress and no summary
  --help             this text
]]

local function jsonl(value) return value:find "%.jsonl$" and value end

local function port(value)
  local number = options.whole(0)(value)
  return number and number <= 65535 and number or nil
end

local known = {
  ["--out"] = { key = "out", expects = "the name of a file, with .jsonl at its end", read = jsonl },
  ["--serve"] = { key = "serve" },
  ["--port"] = { key = "port", expects = "a port from 0 to 65535", read = port },
  ["--limit"] = { key = "limit", expects = "a whole number from 1", read = options.whole(1) },
  ["--quiet"] = { key = "quiet" },
  ["--help"] = { key = "help" },
}

local function stop(code, problem)
  io.stderr:write("changelogs.lua: ", tostring(problem), "\n")
  os.exit(code)
end

-- The changelogs that the paths stand for.
local function inputs(settings)
  local found = {}
  for _, path in ipairs(settings) do
    local some, err = files.find(path)
    if err then stop(1, err) end
    table.move(some, 1, #some, #found + 1, found)
  end
  if not found[1] then stop(1, "no changelog found in " .. table.concat(settings, ", ")) end
  return found
end

local function sink_of(settings)
  if settings.out then return pipeline.sink.jsonl(settings.out) end
  return pipeline.sink.call(function(record) return stdio.stdout:write(json.encode(record) .. "\n") end)
end

local function print_summary(counts, found)
  io.stderr:write(tostring(counts), "\n")
  for _, failure in ipairs(counts.failures) do io.stderr:write("  parked: ", tostring(failure.error), "\n") end
  io.stderr:write(tostring(found))
end

local function write_records(settings)
  local found = summary.new()
  local run = job.of(inputs(settings), sink_of(settings), { limit = settings.limit, order = "input",
    watch = function(record) found:add(record) end })
  local counts, err = run:run { quiet = settings.quiet }
  if not counts then
    -- A reader that has seen enough (`| head`) is no failure.
    if not settings.out and type(err) == "table" and err.kind == "reset" then return end
    stop(1, err)
  end
  if not settings.quiet then
    counts.records = found.releases -- without those that another file turned out to have, too
    print_summary(counts, found)
  end
  if counts.done == 0 then stop(1, "none of the files could be read") end
end

local function serve(settings)
  inputs(settings)
  local signals <close> = signal.iterate("SIGINT", "SIGTERM")
  local server <close>, err = web.serve(settings, here .. "/changelogs/page.html")
  if not server then stop(1, err) end
  if not settings.quiet then
    io.write("the changelogs are at ", server.url, "/ (and as JSON lines at /records.jsonl); Ctrl-C ends\n")
    io.flush()
  end
  signals:next()
end

local settings, mistake = options.parse(known, { port = 8360, limit = 4 }, arg)
if settings and settings.serve and settings.out then settings, mistake = nil, "--serve and --out: one of them" end
if not settings then stop(2, mistake) end
if not settings[1] then settings[1] = "/usr/share/doc" end
if settings.help then
  io.write(help)
elseif settings.serve then
  serve(settings)
else
  write_records(settings)
end
