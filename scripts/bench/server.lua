--- The bench of the HTTP server: a constant answer, beside nginx's, one process each, under wrk, with keep-alive.
--   build/muster scripts/bench/server.lua [--quick]
-- The two take turns, and the ratio is the median of neighbours.
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local async = require "muster"
local http = require "muster.http"
local uv = require "luv"

local CONNECTIONS, AIM = 64, 0.5

-- ---- the server's process ----

local record = {id = "chatcmpl-123", object = "chat.completion", created = 1677652288, model = "small",
                choices = {{index = 0, message = {role = "assistant", content = ("x"):rep(42)}}}}

local constant = ("x"):rep(200)

local handlers = {
  text = function() return constant end,
  json = function() return {json = record} end,
}

--- Prints the URL; ends with its stdin.
local function serve(kind)
  local server <close> = assert(http.serve {handler = handlers[kind]})
  io.write(server.url, "\n")
  io.flush()
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  async.suspend(function(resume) stdin:read_start(function(_, chunk) if not chunk then resume() end end) end)
  stdin:close()
end

if arg[1] == "serve" then return serve(arg[2]) end

-- ---- the bench ----

local nginx = require "nginx"
local process = require "process"
local report = require "report"

local quick = arg[1] == "--quick"
local ROUNDS, SECONDS = quick and 1 or 7, quick and 1 or 2

--- Starts our server; returns its URL, its process id, and what stops it.
local function start(kind)
  local stdin, stdout, exited = uv.new_pipe(false), uv.new_pipe(false), async.event()
  local handle, pid
  handle, pid = assert(uv.spawn(uv.exepath(), {args = {"--slow", "0", arg[0], "serve", kind},
                                               stdio = {stdin, stdout, 2}}, function()
    handle:close()
    exited:set()
  end))
  local url = async.suspend(function(resume) stdout:read_start(function(_, text) resume(text) end) end)
  return url:match "%S+", pid, function()
    stdin:close()
    stdout:close()
    exited:wait()
  end
end

--- Seconds of CPU that a process has used: fields 14 and 15, in hundredths.
local function cpu_of(pid)
  local file <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
  local fields = {}
  for word in file:read "a":match "%) (.*)":gmatch "%S+" do fields[#fields + 1] = tonumber(word) or 0 end
  return (fields[12] + fields[13]) / 100
end

--- Requests a second, and the server's CPU for one in microseconds.
local function load(url, pid)
  local before = cpu_of(pid)
  local said = process.run("wrk", {"-t1", "-c" .. CONNECTIONS, "-d" .. SECONDS, url})
  local spent = cpu_of(pid) - before
  assert(not said:find "Non%-2xx" and not said:find "Socket errors", said)
  return {rate = tonumber(said:match "Requests/sec:%s*(%S+)"),
          cpu = spent / tonumber(said:match "(%d+) requests in") * 1e6}
end

local function measure(url, pid, other)
  local ours, theirs, ratios = {}, {}, {}
  for i = 1, ROUNDS do
    if i % 2 == 1 then theirs[i] = load(other.url, other.pid) end
    ours[i] = load(url, pid)
    theirs[i] = theirs[i] or load(other.url, other.pid)
    ratios[i] = ours[i].rate / theirs[i].rate
  end
  return report.medians(ours), report.medians(theirs), report.median(ratios)
end

local function row(...) print(("%-28s %12s %12s %8s %10s %10s  %-14s %s"):format(...)) end

local function bench(kind, title, other)
  local url, pid, stop = start(kind)
  local ours, theirs, ratio = measure(url, pid, other)
  stop()
  row(title, ("%.0f"):format(ours.rate), ("%.0f"):format(theirs.rate), ("%.2f"):format(ratio),
      ("%.1f us"):format(ours.cpu), ("%.1f us"):format(theirs.cpu), ("%.2g x nginx"):format(AIM),
      ratio >= AIM and "yes" or "no")
end

local function have_wrk()
  for directory in os.getenv "PATH":gmatch "[^:]+" do
    if uv.fs_access(directory .. "/wrk", "X") then return true end
  end
end

local server <close> = have_wrk() and nginx.start() or nil
if not server then
  print "HTTP server: nginx or wrk is not here: scripts/tools/setup.sh --bench"
  return
end
local other = {url = server.url, pid = server.process:get_pid()}
row("HTTP server, a second", "muster", "nginx", "x nginx", "CPU", "nginx", "aim, at least", "met")
bench("text", "a text of 200 bytes", other)
bench("json", "a table as JSON, likewise", other)
