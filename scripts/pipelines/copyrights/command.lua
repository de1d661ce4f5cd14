--- The command line of copyrights.lua: what it may say, and what that makes of a run.

local asking = require "copyrights.asking"
local fs = require "muster.fs"
local journal = require "muster.journal"
local options = require "options"
local record = require "copyrights.record"

local M = {}

M.help = [[
usage: copyrights.lua [OPTIONS] [PATH...]

Extracts copyright statements and licences from copyright files, as JSON Lines.
A PATH is a file, or a directory whose copyright and */copyright files are read.
Without one, /usr/share/doc is read.

A grammar reads the files. Where it finds no statement or no licence in a file that
is not machine-readable, a language model is asked: a service that this program
starts for itself, which answers by grammars on this machine; or, with --base-url
or --provider, a real one, whose key is in OPENAI_API_KEY or ANTHROPIC_API_KEY.

  --out FILE       write to FILE, which appears when it is complete
  --journal FILE   keep what is done in FILE: the same command goes on where a run
                   was killed, and asks nothing twice that was answered
  --fresh          forget what the journal has
  --mixed          keep it, though this program or its options have changed
  --retry-failed   try the parked files again
  --status         tell where the run of that journal stands, and do nothing
  --report FILE    write a page about the run, to be opened in a browser
  --limit N        at most N files at once (default 16)
  --method M       records in input order ("ordered", the default) or as they are
                   completed ("completed")
  --max-bytes N    a larger file is parked (default 4194304)
  --llm on|off     ask about what the grammar could not settle (default on)
  --provider NAME  openai (the default), anthropic, ollama or llamacpp
  --base-url URL   where the service is, if not where that provider is
  --model NAME     the model to ask for (default: a small one of the provider)
  --quality        instead, measure: the structure of machine-readable files is
                   taken away, and what is found compared with what they declare
  --quiet          no progress and no summary on standard error
  --help           this text

Exit codes: 0, all done; 1, the run could not go on; 2, a wrong option; 3, done but
for files that were parked: those that could not be read, or not be asked about.
]]

local function text(value) return value ~= "" and value or nil end

local known = {
  ["--out"] = {key = "out", expects = "a file name", read = text},
  ["--journal"] = {key = "journal", expects = "a file name", read = text},
  ["--fresh"] = {key = "fresh"},
  ["--mixed"] = {key = "mixed"},
  ["--retry-failed"] = {key = "retry_failed"},
  ["--status"] = {key = "status"},
  ["--report"] = {key = "report", expects = "a file name", read = text},
  ["--limit"] = {key = "limit", expects = "a whole number from 1", read = options.whole(1)},
  ["--method"] = {key = "method", expects = "'ordered' or 'completed'", read = options.one_of("ordered", "completed")},
  ["--max-bytes"] = {key = "max_bytes", expects = "a whole number from 1", read = options.whole(1)},
  ["--llm"] = {key = "llm", expects = "'on' or 'off'", read = options.one_of("on", "off")},
  ["--provider"] = {key = "provider", expects = "openai, anthropic, ollama or llamacpp",
    read = options.one_of("openai", "anthropic", "ollama", "llamacpp")},
  ["--base-url"] = {key = "base_url", expects = "a URL", read = text},
  ["--model"] = {key = "model", expects = "a name", read = text},
  ["--quality"] = {key = "quality"},
  ["--quiet"] = {key = "quiet"},
  ["--help"] = {key = "help"},
}

local defaults = {limit = 16, method = "ordered", max_bytes = 4 * 1024 * 1024, llm = "on"}

--- The settings, or nil and what is wrong.
---@param arguments string[]
---@return table? settings
---@return string? problem
function M.parse(arguments)
  local settings, problem = options.parse(known, defaults, arguments)
  if not settings then return nil, problem end
  for _, name in ipairs {"--fresh", "--mixed", "--retry-failed", "--status"} do
    if settings[known[name].key] and not settings.journal then return nil, name .. " is of a --journal" end
  end
  if settings.fresh and settings.mixed then return nil, "--fresh and --mixed: one of them" end
  return settings
end

local parts = {"asking", "dep5", "grammar", "licences", "record", "statements", "words"}

--- What a record depends on, besides the main script.
---@return table
function M.fingerprint(settings)
  local made = {record = record.schema, answer = asking.schema, max_bytes = tostring(settings.max_bytes)}
  for _, name in ipairs(parts) do
    local file <close> = assert(io.open(assert(package.searchpath("copyrights." .. name, package.path)), "rb"))
    made[name .. ".lua"] = file:read "a"
  end
  made.service = settings.llm == "on" and table.concat({settings.provider or "", settings.base_url or "",
    settings.model or ""}, " ") or "off"
  return made
end

--- The options of the pipeline's run.
---@return table
function M.of_run(settings)
  return {quiet = settings.quiet, fresh = settings.fresh, mixed = settings.mixed, retry_failed = settings.retry_failed,
    report = settings.report}
end

--- Where the run of a journal stands, in a line.
---@async
---@param settings table
---@param files integer
---@return string?
---@return any error
function M.status(settings, files)
  if not fs.stat(settings.journal) then return nil, ("there is no journal %s"):format(settings.journal) end
  local counts, err = journal.status(settings.journal)
  if not counts then return nil, err end
  local under_way = counts.leased + counts.responded
  return ("%s: %d of %d files are done, %d parked, %d under way or interrupted\n"):format(settings.journal, counts.done,
    files, counts.parked + counts.failed, under_way)
end

--- An error of the run, and what can be done about it.
---@param err any
---@return string
function M.explained(err)
  local changed = type(err) == "table" and err.kind == "changed"
  return tostring(err) .. (changed and ": --fresh or --mixed" or "")
end

local SHOWN <const> = 5

local function line_of(paths, failure)
  local err = failure.error
  local message = type(err) == "table" and err.message or tostring(err)
  return ("  %s: %s: %s"):format(paths[failure.position], failure.stage or "an earlier run", message)
end

--- What is told of the files that were parked.
---@param paths string[] all files
---@param result muster.pipeline.summary
---@param journaled boolean? can they be tried again?
---@return string
function M.parked(paths, result, journaled)
  local lines = {("%d of %d files were parked:"):format(result.parked, result.items)}
  for i = 1, math.min(SHOWN, #result.failures) do lines[i + 1] = line_of(paths, result.failures[i]) end
  if result.parked > SHOWN then lines[#lines + 1] = ("  ... and %d more"):format(result.parked - SHOWN) end
  if journaled then lines[#lines + 1] = "the same command with --retry-failed tries them again" end
  return table.concat(lines, "\n")
end

return M
