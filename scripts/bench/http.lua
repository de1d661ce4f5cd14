--- The bench of HTTP: what a request costs, beside a plain C program on libcurl and the clients of other languages,
--- against an nginx on loopback.
--   build/muster scripts/bench/http.lua [--quick]
-- Each measurement is a process of its own; the two sides take turns, and the ratio is the median of neighbours.
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local async = require "muster"
local uv = require "luv"
local nginx = require "nginx"
local process = require "process"
local report = require "report"
local rivals = require "rivals"

local build = uv.exepath():match "^(.*)/"
local quick = arg[1] == "--quick"
local N, AT_ONCE = 20000, 100
local ROUNDS, RIVAL_ROUNDS = quick and 1 or 7, quick and 1 or 3

local function figures_of(program, args, env)
  local figures, output = {}, process.run(program, args, env)
  for name, value in output:gmatch "(%S+)%s+(%S+)[^\n]*\n" do figures[name] = tonumber(value) end
  return figures
end

local function work(...)
  return figures_of(build .. "/muster", {"--slow", "0", here .. "/http_work.lua", ...})
end

local function plain(url) return figures_of(build .. "/bench/plain_http", {url, tostring(N), tostring(AT_ONCE)}) end

local function row(title, value, aim, met)
  local verdict = type(met) == "boolean" and (met and "yes" or "no") or met or ""
  print((("%-52s %-28s %-24s %s"):format(title, value, aim or "", verdict):gsub("%s+$", "")))
end

-- ---- beside other clients ----

local function versus(format, ...) print((("  " .. format):format(...):gsub("%s+$", ""))) end

--- One row of the table: the medians of a rival, and of ours as neighbours; ratios of neighbours.
local function bench_rival(rival, url)
  local title, run = rivals.open(rival)
  if not title then return versus("%-50s %s", rival.name, "not here: scripts/tools/setup.sh --bench") end
  local ours, theirs, rates, costs = {}, {}, {}, {}
  for i = 1, RIVAL_ROUNDS do
    theirs[i], ours[i] = figures_of(run(url, tostring(N), tostring(AT_ONCE))), work("get", url, N, AT_ONCE)
    assert(theirs[i].bytes == ours[i].bytes, rival.name)
    rates[i], costs[i] = ours[i].rate / theirs[i].rate, theirs[i].cpu / ours[i].cpu
  end
  local rate, medians = report.median(rates), report.medians(theirs)
  versus("%-50s %10.0f %12.1f %10.2f x %12.2f x   %-16s %s", title, medians.rate, medians.cpu, rate,
         report.median(costs), rival.aim and ("at least %g x"):format(rival.aim) or "",
         rival.aim and (rate >= rival.aim and "yes" or "no") or "")
end

local function bench_rivals(url)
  print(("\n%d GETs of the same URL, %d at a time"):format(N, AT_ONCE))
  versus("%-50s %10s %12s %12s %14s   %-16s %s", "client", "GETs/s", "CPU, us/GET", "our GETs/s", "its CPU", "aim",
         "met")
  for _, rival in ipairs(rivals) do bench_rival(rival, url) end
end

-- ---- beside plain C ----

--- Medians of the fields, and of the ratio of the CPU of neighbours.
local function measure_requests(url)
  local ours, theirs, ratios = {}, {}, {}
  for i = 1, ROUNDS do
    if i % 2 == 1 then theirs[i] = plain(url) end
    ours[i] = work("get", url, N, AT_ONCE)
    theirs[i] = theirs[i] or plain(url)
    ratios[i] = ours[i].cpu / theirs[i].cpu
  end
  return report.medians(ours), report.medians(theirs), report.median(ratios)
end

local function bench_requests(url)
  local ours, theirs, ratio = measure_requests(url)
  row(("CPU of a GET, %d of them, %d at a time"):format(N, AT_ONCE),
      ("%.1f us, plain C %.1f us"):format(ours.cpu, theirs.cpu), "at most 1.2 x plain C", ratio <= 1.2)
  print(("%52s %.2f x plain C"):format("", ratio))
  row("GETs a second", ("%.0f, plain C %.0f"):format(ours.rate, theirs.rate))
end

local function bench_stream(server)
  local file = assert(io.open(server.dir .. "/large", "w"))
  file:seek("set", (1 << 30) - 1)
  file:write "x"
  file:close()
  local figures = work("stream", server.url .. "files/large")
  assert(figures.bytes == 1 << 30)
  row("1 GB in chunks", ("%.0f MB a second, +%.1f MB"):format(figures.rate, figures.grown), "constant memory",
      figures.grown < 8)
end

--- Starts a service that answers after a second; returns its URL and what stops it.
local function start_service()
  local stdin, stdout, exited = uv.new_pipe(false), uv.new_pipe(false), async.event()
  local handle
  handle = assert(uv.spawn(build .. "/muster", {args = {"--slow", "0", here .. "/http_work.lua", "serve", "1"},
                                                stdio = {stdin, stdout, 2}}, function()
    handle:close()
    exited:set()
  end))
  local url = async.suspend(function(resume) stdout:read_start(function(_, text) resume(text) end) end)
  return url:match "%S+", function()
    stdin:close()
    stdout:close()
    exited:wait()
  end
end

local function bench_flight()
  local url, stop = start_service()
  local figures = work("flight", url, 10000)
  stop()
  row("10,000 in flight to a service that takes 1 s", ("%.2f s, %.1f KB a request"):format(figures.seconds,
    figures.kilobytes), "under 2 s, under 40 KB", figures.seconds < 2 and figures.kilobytes < 40)
end

local server <close> = nginx.start()
if not server then
  print "HTTP: nginx is not here: scripts/tools/setup.sh --bench"
  return
end
row("HTTP", "muster", "aim", "met")
bench_requests(server.url)
bench_flight()
bench_stream(server)
bench_rivals(server.url)
