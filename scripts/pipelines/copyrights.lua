--- Who holds the copyrights on this machine?
--
--   muster copyrights.lua [OPTIONS] [PATH...]
--
-- Reads copyright files through libuv's thread pool, at most --limit at once,
-- extracts statements and licences with an LPeg grammar (copyrights/grammar.lua),
-- and writes JSON Lines: one record a file.

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s"):format(here, here, package.path)

local async = require "muster"
local files = require "copyrights.files"
local options = require "options"
local output = require "copyrights.output"
local record = require "copyrights.record"
local summary = require "copyrights.summary"

local help = [[
usage: copyrights.lua [OPTIONS] [PATH...]

Extracts copyright statements and licences from copyright files, as JSON Lines.
A PATH is a file, or a directory whose copyright and */copyright files are read.
Without one, /usr/share/doc is read.

  --limit N        at most N files open at once (default 16)
  --method M       records in input order ("ordered", the default) or as they are
                   completed ("completed")
  --out FILE       write to FILE, which appears when it is complete
  --max-bytes N    a larger file gives a record with an error (default 4194304)
  --quiet          no summary on standard error
  --help           this text
]]

local known = {
  ["--limit"] = { key = "limit", expects = "a whole number from 1", read = options.whole(1) },
  ["--method"] = { key = "method", expects = "'ordered' or 'completed'",
    read = options.one_of("ordered", "completed") },
  ["--out"] = { key = "out", expects = "a file name",
    read = function(value) return value ~= "" and value or nil end },
  ["--max-bytes"] = { key = "max_bytes", expects = "a whole number from 1", read = options.whole(1) },
  ["--quiet"] = { key = "quiet" },
  ["--help"] = { key = "help" },
}
local defaults = { limit = 16, method = "ordered", max_bytes = 4 * 1024 * 1024 }

local function stop(code, problem)
  io.stderr:write("copyrights.lua: ", problem, "\n")
  os.exit(code)
end

-- The files that the command line stands for, in its order.
local function inputs(settings)
  local paths = {}
  for _, path in ipairs(settings[1] and settings or { "/usr/share/doc" }) do
    local found = files.expand(path, settings.limit)
    table.move(found, 1, #found, #paths + 1, paths)
  end
  return paths
end

-- Extracts all of `paths` into `sink`, counted in `counts`: true, or nil and
-- why the output could not be written.
local function run(paths, settings, sink, counts)
  local function extract(path)
    local source, problem = files.read(path, settings.max_bytes)
    return source and record.of(path, source) or record.failure(path, problem)
  end
  local order = { limit = settings.limit, ordered = settings.method == "ordered" }
  for result in async.stream(paths, extract, order) do
    local written, problem = sink:write(record.encode(result))
    if not written then return nil, problem end
    counts:add(result)
  end
  return sink:finish()
end

-- The whole job: nil, or why the output could not be written.
local function main(settings)
  local started, counts = async.now(), summary.new()
  local sink <close>, problem = output.open(settings.out)
  if not sink then return problem end
  local done
  done, problem = run(inputs(settings), settings, sink, counts)
  if not done then return problem end
  if not settings.quiet then io.stderr:write(counts:text(async.now() - started)) end
end

local settings, mistake = options.parse(known, defaults, arg)
if not settings then stop(2, mistake) end
if settings.help then
  io.stdout:write(help)
  return
end
local problem = main(settings)
-- A reader that has seen enough (`| head`) is no failure.
if problem and not problem:find "[Bb]roken pipe" then
  stop(1, ("cannot write %s: %s"):format(settings.out or "standard output", problem))
end
