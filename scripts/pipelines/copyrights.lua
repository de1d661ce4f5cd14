-- Who holds the copyrights on this machine?
--
--   muster copyrights.lua [OPTIONS] [PATH...]
--
-- A pipeline over copyright files. Rules first: a grammar (copyrights/grammar.lua)
-- reads statements and licences. What it could not settle is asked of a language
-- model. The records are JSON Lines, one a file, in the order of the files. With
-- --journal the run can be killed at any instant; the same command goes on.

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/?.lua;%s/../?.lua;%s/../?/init.lua;%s"):format(here, here, here, package.path)

local asking = require "copyrights.asking"
local async = require "muster"
local command = require "copyrights.command"
local files = require "copyrights.files"
local output = require "copyrights.output"
local pipeline = require "muster.pipeline"
local quality = require "copyrights.quality"
local record = require "copyrights.record"
local summary = require "copyrights.summary"

local UNFINISHED <const> = 3 -- the exit code when files were parked

-- ---- the stages, in their order; an item is a path, then a draft: {record=, source=, answer=} ----

local function read(settings)
  return function(path)
    local source, err = files.read(path, settings.max_bytes)
    return source and {path = path, source = source}, err
  end
end

local function parse(draft)
  local made, err = record.of(draft.path, draft.source)
  draft.record = made
  return made and draft, err
end

local function ask(client)
  return function(draft)
    draft.missing = client and asking.missing(draft.record)
    if not draft.missing then return draft end
    local answer, err = asking.ask(client, draft.source, draft.record.encoding)
    draft.answer = answer
    return answer and draft, err
  end
end

local function merge(draft)
  if draft.answer then asking.merge(draft.record, draft.answer, draft.missing) end
  return draft.record
end

local function validate(made)
  return record.schema:validate(made)
end

--- For the report: the text of a file, and where in it the statements are.
local function places(settings)
  return function(item, made)
    local source = files.read(item.value, settings.max_bytes)
    return source, made and {statements = made.statements}
  end
end

local function copyrights(settings, paths, client, sink)
  return pipeline {
    name = "copyrights", source = pipeline.source.files(paths),
    {"read", read(settings)}, {"parse", parse}, {"ask", ask(client)}, {"merge", merge}, {"validate", validate},
    sink = sink, limit = settings.limit, order = settings.method == "ordered" and "input" or "completion",
    client = client, journal = settings.journal, fingerprint = command.fingerprint(settings),
    text = settings.report and places(settings),
  }
end

-- ---- the run ----

local function stop(code, problem)
  io.stderr:write("copyrights.lua: ", problem, "\n")
  os.exit(code)
end

--- The files that the command line stands for, in its order.
local function inputs(settings)
  local paths = {}
  for _, path in ipairs(settings[1] and settings or {"/usr/share/doc"}) do
    local found = files.expand(path, settings.limit)
    table.move(found, 1, #found, #paths + 1, paths)
  end
  return paths
end

--- Runs it into an open output: what has come of it; nil, and why it could not go on.
local function run(settings, client, out, counts)
  settings.paths = inputs(settings)
  local job = copyrights(settings, settings.paths, client, function(made)
    counts:add(made)
    return out:write(record.encode(made))
  end)
  local result, err = job:run(command.of_run(settings))
  if not result then return nil, command.explained(err) end
  local ok, problem = out:finish()
  if not ok then return nil, ("cannot write %s: %s"):format(settings.out or "standard output", problem) end
  return result
end

local function main(settings)
  local started, counts = async.now(), summary.new()
  local client, own = asking.connect(settings)
  local _ <close> = own
  local _ <close> = client
  local out <close>, problem = output.open(settings.out)
  if not out then return nil, ("cannot write %s: %s"):format(settings.out, problem) end
  local result
  result, problem = run(settings, client, out, counts)
  if not result then return nil, problem end
  if not settings.quiet then io.stderr:write(counts:text(async.now() - started, result)) end
  return result
end

--- Instead of records: how good they are.
local function measure(settings)
  local client, own = asking.connect(settings)
  local _ <close> = own
  local _ <close> = client
  settings.paths = inputs(settings)
  local score, result = quality.of(settings, settings.paths, client)
  if not score then return nil, tostring(result) end
  io.stdout:write(score:text(result))
  return result
end

local function status(settings)
  local line, err = command.status(settings, #inputs(settings))
  if not line then stop(1, tostring(err)) end
  io.stdout:write(line)
end

local settings, mistake = command.parse(arg)
if not settings then stop(2, mistake) end
if settings.help then
  io.stdout:write(command.help)
  return
end
if settings.status then return status(settings) end
local result, problem = (settings.quality and measure or main)(settings)
-- A reader that has seen enough (`| head`) is no failure.
if not result and not problem:find "[Bb]roken pipe" then stop(1, problem) end
if result and result.parked > 0 then
  stop(UNFINISHED, command.parked(settings.paths, result, settings.journal ~= nil))
end
