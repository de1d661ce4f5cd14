-- Kills a run of copyrights.lua in the middle, and resumes it.
--
--   muster copyrights_killed.lua DIRECTORY [OPTIONS of copyrights.lua] [PATH...]
--
-- The journals and outputs are in the directory: those of the run that is killed, and
-- of one that is not. Their outputs have to be the same.

local async = require "muster"
local fs = require "muster.fs"
local journal = require "muster.journal"
local process = require "muster.process"

local here = arg[0]:match "^(.*)/" or "."

local function stop(problem)
  io.stderr:write("copyrights_killed.lua: ", tostring(problem), "\n")
  os.exit(1)
end

-- What runs this script.
local function program()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

local directory = table.remove(arg, 1)
if not directory or directory:find "^%-" then
  io.stderr:write "usage: copyrights_killed.lua DIRECTORY [OPTIONS of copyrights.lua] [PATH...]\n"
  os.exit(2)
end

local function command(name)
  local words = {program(), "--slow", "0", here .. "/copyrights.lua", "--quiet", "--out",
    ("%s/%s.jsonl"):format(directory, name), "--journal", ("%s/%s.journal"):format(directory, name)}
  return table.move(arg, 1, #arg, #words + 1, words)
end

-- Without what earlier demonstrations have left.
local function clear(name)
  for _, suffix in ipairs {".jsonl", ".jsonl.tmp", ".journal", ".journal-wal", ".journal-shm", ".journal-lock"} do
    os.remove(("%s/%s%s"):format(directory, name, suffix))
  end
end

local function run(name)
  local result = assert(process.run(command(name), {stderr = "inherit"}))
  if result.status ~= 0 and result.status ~= 3 then stop(("a run has ended with status %s"):format(result.status)) end
end

-- Runs it until the journal says that so many files are done; then it is killed.
local function kill_at(enough, path)
  local child <close> = assert(process.spawn(command "killed", {stdin = "null", stdout = "null", stderr = "inherit"}))
  repeat
    if not child:is_running() then stop "the run has ended before it could be killed: there are too few files" end
    async.sleep(0.002)
    local counts = fs.stat(path) and journal.status(path) or {done = 0}
  until counts.done >= enough
  child:kill()
  child:wait()
end

local function records(path)
  local _, n = assert(fs.read(path)):gsub("\n", "")
  return n
end

local function main()
  assert(fs.mkdir(directory, {parents = true}))
  clear "killed"
  clear "whole"
  run "whole"
  local whole, killed = directory .. "/whole.jsonl", directory .. "/killed.jsonl"
  local path = directory .. "/killed.journal"
  kill_at(math.max(1, records(whole) // 3), path)
  local counts = assert(journal.status(path))
  if fs.stat(killed) then stop "a run that was killed has left an output" end
  print(("killed by SIGKILL with %d of %d files done and %d under way; the same command again"):format(counts.done,
    records(whole), counts.leased + counts.responded))
  run "killed"
  if assert(fs.read(whole)) ~= assert(fs.read(killed)) then stop(("%s and %s differ"):format(whole, killed)) end
  print(("the resumed run's output equals an uninterrupted one: %d records"):format(records(killed)))
end

local ok, problem = pcall(main)
if not ok then
  if async.is_cancelled(problem) then error(problem, 0) end
  stop(problem)
end
