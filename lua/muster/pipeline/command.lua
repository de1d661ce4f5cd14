--- The command line of a pipeline's script.
local async = require "muster"

local M = {}

local HELP <const> = [[
usage: %s [OPTIONS]

  --fresh          forget what earlier runs have done
  --mixed          keep it, though the script or a schema has changed
  --retry-failed   try what failed again
  --status         say where the run stands, and do nothing
  --report FILE    write a page on the run
  --quiet          show no progress
  --help           this text

Exit codes: 0, all done; 1, the run could not go on; 2, a wrong option; 3, done, but
for items that failed.
]]

local flags = {["--fresh"] = "fresh", ["--mixed"] = "mixed", ["--retry-failed"] = "retry_failed", ["--quiet"] = "quiet",
  ["--status"] = "status", ["--help"] = "help"}

--- What the arguments say; nil and what is wrong with them.
local function parse(arguments)
  local said, i = {}, 1
  while i <= #arguments do
    local word = arguments[i]
    if flags[word] then
      said[flags[word]] = true
    elseif word == "--report" or word:find "^%-%-report=." then
      said.report = word:match "=(.*)$"
      if not said.report then
        i = i + 1
        said.report = arguments[i]
      end
      if not said.report then return nil, "--report: expected a file name, got nothing" end
    else
      return nil, ("%s: unknown option (--help lists them)"):format(word)
    end
    i = i + 1
  end
  return said
end

local STATES <const> = {"pending", "leased", "responded", "done", "failed", "parked"}

local function show_status(pipeline)
  local counts, err = pipeline:status()
  if not counts then return nil, err end
  local parts = {}
  for _, state in ipairs(STATES) do
    if counts[state] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[state], state) end
  end
  if not parts[1] then parts[1] = "nothing yet" end
  print(("%s: %s"):format(pipeline.name, table.concat(parts, ", ")))
  return 0
end

local FAILED <const> = 3

local function run(pipeline, said)
  local summary, err = pipeline:run {fresh = said.fresh, mixed = said.mixed, retry_failed = said.retry_failed,
    quiet = said.quiet, report = said.report}
  if not summary then return nil, err end
  print(summary)
  for _, failure in ipairs(summary.failures) do
    io.stderr:write(("%s: item %s: %s\n"):format(pipeline.name, failure.key, tostring(failure.error)))
  end
  return summary.parked + summary.skipped > 0 and FAILED or 0
end

--- What is wrong when a flag is given that only a journal gives a meaning.
local function without_journal(pipeline, said)
  if pipeline.journal_path then return nil end
  for _, word in ipairs {"--fresh", "--mixed", "--retry-failed", "--status"} do
    if said[flags[word]] then return word .. ": the pipeline has no journal" end
  end
end

--- Runs a pipeline as the arguments say.
---@async
---@param pipeline muster.pipeline
---@param arguments string[]
---@return integer code of the exit
function M.main(pipeline, arguments)
  local said, mistake = parse(arguments)
  mistake = mistake or without_journal(pipeline, said)
  if mistake then
    io.stderr:write(pipeline.name, ": ", mistake, "\n")
    return 2
  elseif said.help then
    io.write(HELP:format(arguments[0] or "SCRIPT"))
    return 0
  end
  local ok, code, err = pcall(said.status and show_status or run, pipeline, said)
  if ok and code then return code end
  if not ok and async.is_cancelled(code) then error(code, 0) end
  io.stderr:write(pipeline.name, ": ", tostring(ok and err or code), "\n")
  return 1
end

return M
