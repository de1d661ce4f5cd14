--- The bench: what the core costs, beside the floor (floor.c) and the limit (limit.c). `make bench` builds and runs it.
--   build/muster scripts/bench/core.lua [--quick] [--only NAME]
-- Each work runs in a process of its own, on muster and on the floor in turns; the figures are medians, and the ratios
-- are medians of the ratios of neighbours. Each run follows one like it that is not counted: on a virtual machine,
-- memory that no process has used for some seconds costs several times as much at its first touch.
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local uv = require "luv"
local process = require "process"
local report = require "report"
local works = require "works"

local build = uv.exepath():match "^(.*)/"
local interpreters = {muster = build .. "/muster", floor = "lua5.4"}
local env = {
  "PATH=" .. os.getenv "PATH",
  ("LUA_PATH=%s/?.lua;;"):format(here),
  ("LUA_CPATH=%s/bench/?.so;;"):format(build),
}

local function usage(problem)
  io.stderr:write("bench: ", problem, "\nusage: core.lua [--quick] [--only NAME]\n")
  os.exit(2)
end

local function options()
  local opts, i = {rounds = 5}, 1
  while arg[i] do
    if arg[i] == "--quick" then
      opts.rounds = 1
    elseif arg[i] == "--only" and arg[i + 1] then
      i = i + 1
      opts.only = arg[i]
    else
      usage("unknown option " .. arg[i])
    end
    i = i + 1
  end
  return opts
end

--- The figures that a program prints: name, value.
local function figures_of(program, args)
  local figures = {}
  for name, value in process.run(program, args, env):gmatch "(%S+) (%S+)[^\n]*\n" do figures[name] = tonumber(value) end
  return figures
end

local function run_work(side, work)
  local args = {here .. "/work.lua", side, work.name, tostring(work.n)}
  if side == "muster" then table.move({"--slow", "0"}, 1, 2, 1, table.move(args, 1, #args, 3)) end -- they never suspend
  figures_of(interpreters[side], args)
  return figures_of(interpreters[side], args)
end

--- A start takes about a millisecond: the median of many.
local function run_starts(side)
  local list = {}
  for i = 1, 15 do
    local _, seconds = process.run(interpreters[side], {"-e", ""}, env)
    list[i] = seconds * 1e3
  end
  return {ms = report.median(list)}
end

--- One round: a measurement of each side, begun by one or the other.
local function measure(work, floor_first)
  local run = work.n and run_work or run_starts
  local floor = floor_first and run("floor", work)
  local muster = run("muster", work)
  return {muster = muster, floor = floor or run("floor", work)}
end

local function measure_limit(rounds)
  local all = {}
  for i = 1, rounds do all[i] = figures_of(build .. "/bench/limit", {}) end
  return report.medians(all)
end

local function is_chosen(work, only) return not only or work.name == only end

local function check_name(only)
  for _, work in ipairs(works) do
    if is_chosen(work, only) then return end
  end
  usage("no work is called " .. only)
end

local opts = options()
check_name(opts.only)
local limit = measure_limit(opts.rounds)
report.head()
for _, work in ipairs(works) do
  if is_chosen(work, opts.only) then
    local rounds = {}
    for i = 1, opts.rounds do rounds[i] = measure(work, i % 2 == 1) end
    for _, row in ipairs(work.rows) do report.row(row, rounds, limit) end
  end
end
report.foot(limit, opts.rounds)
