--- The bench of extraction: what a record costs, beside a Python program that does the same, at a service that takes
--- its time; how near to a limit it goes; what validation, the incremental parser and the limiter take.
--   build/muster scripts/bench/extract.lua [--quick]
-- Each measurement of records is a process of its own; the two sides take turns, and the ratio is the median of
-- neighbours. Both ask the same server, which always gives the same answer: scripts/service would need more of the
-- machine for an answer than the client does, and a machine of two cores has no more.
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local child = require "child"
local json = require "json"
local limit_overhead = require "limit_overhead"
local nginx = require "nginx"
local process = require "process"
local report = require "report"
local rivals = require "rivals"
local schema = require "schema"
local uv = require "luv"

local quick = arg[1] == "--quick"
local N, AT_ONCE, LATENCY = 10000, 500, 0.05
local IDEAL = N / AT_ONCE * LATENCY
local ROUNDS = quick and 1 or 5
local RPM, SECONDS, LEARNED = 6000, quick and 12 or 24, 6
local work = here .. "/extract_work.lua"

local rival = {name = "Python", program = "/usr/bin/python3", args = {here .. "/rivals/aiohttp_extract.py"}}

local function row(title, value, aim, met)
  local verdict = type(met) == "boolean" and (met and "yes" or "no") or met or ""
  print((("%-52s %-28s %-24s %s"):format(title, value, aim or "", verdict):gsub("%s+$", "")))
end

local function figures_of(program, args, env)
  local figures, output = {}, process.run(program, args, env)
  for name, value in output:gmatch "(%S+)%s+(%S+)[^\n]*\n" do figures[name] = tonumber(value) end
  return figures
end

local function ours(...) return figures_of(uv.exepath(), {"--slow", "0", work, ...}) end

-- ---- records ----

--- A server of one answer: nginx, which needs the least of the machine, or our own.
local function start_server()
  local server = nginx.start {latency = LATENCY, answer = require "extract_answer"}
  if server and server.slow_url then return server, server.slow_url, "nginx" end
  if server then getmetatable(server).__close(server) end
  local own = child.start(work, "answer", tostring(LATENCY))
  return own, own.url, "a server of ours (no nginx with its module echo: scripts/tools/setup.sh --bench)"
end

--- Figures of ours and of the rival, in turns; without a rival, those of ours alone.
local function measure(url, run)
  local mine, theirs = {}, {}
  for i = 1, ROUNDS do
    if run and i % 2 == 1 then theirs[i] = figures_of(run(url, tostring(N), tostring(AT_ONCE))) end
    mine[i] = ours("items", url, N, AT_ONCE)
    if run then theirs[i] = theirs[i] or figures_of(run(url, tostring(N), tostring(AT_ONCE))) end
    assert(mine[i].failed == 0 and (not run or theirs[i].failed == 0), "records were lost")
  end
  return mine, theirs
end

local function print_rival(title, mine, theirs)
  local ratios = {}
  for i, figures in ipairs(mine) do ratios[i] = theirs[i].cpu / figures.cpu end
  local ratio, medians = report.median(ratios), report.medians(theirs)
  row("  " .. title, ("%.0f us, %.2f s"):format(medians.cpu, medians.seconds))
  table.sort(ratios)
  row("  its CPU to ours", ("%.2f x (%.2f to %.2f)"):format(ratio, ratios[1], ratios[#ratios]), "at least 4 x",
      ratio >= 4)
end

local function bench_records()
  local server, url, name = start_server()
  local _ <close> = server
  local title, run = rivals.open(rival)
  local mine, theirs = measure(url, run)
  local medians = report.medians(mine)
  row(("%d records, %d at once, at %g ms"):format(N, AT_ONCE, LATENCY * 1e3),
      ("%.2f s, ideal %.2f s"):format(medians.seconds, IDEAL), "at most 1.05 x ideal", medians.seconds <= 1.05 * IDEAL)
  row("  CPU of a record", ("%.0f us"):format(medians.cpu), "at most 60 us", medians.cpu <= 60)
  if title then print_rival(title, mine, theirs) else row("  Python", "not here: scripts/tools/setup.sh --bench") end
  print("  both at " .. name)
end

-- ---- a limit ----

local function bench_limit(title, headers)
  local server <close> = child.start(work, "service", tostring(RPM), headers)
  local figures = ours("paced", server.url, SECONDS, LEARNED)
  local share = figures.rate / (RPM / 60) * 100
  row(("%d requests a minute, %s"):format(RPM, title), ("%.1f %% of it"):format(share), "at least 95 %", share >= 95)
  row("  refused once learned", ("%.2f %%, %d before"):format(figures.refused, figures.early), "under 1 %",
      figures.refused < 1)
  row("  records that failed", ("%d of %d"):format(figures.failed, figures.items), "none", figures.failed == 0)
end

-- ---- parts ----

local function bench_limiter()
  for _, part in ipairs(limit_overhead.run()) do
    row(part.name, ("%.2f us a request"):format(part.value / 1e3), ("at most %g us"):format(part.most / 1e3),
        part.value <= part.most)
  end
end

row("Extraction", "muster", "aim", "met")
bench_records()
bench_limit("told by headers", "true")
bench_limit("learned from refusals", "false")
schema.run()
json.print(json.run())
bench_limiter()
