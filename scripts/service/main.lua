--- Runs the chat-completions service until it is told to stop.
--
--   muster scripts/service/main.lua --port 8080 --rpm 600 --latency 0.05-0.15 --faults 500,reset --fault-rate 0.02

local here = arg[0]:match "^(.*)/" or "."
package.path = ("%s/../?.lua;%s/../?/init.lua;%s"):format(here, here, package.path)

local faults = require "service.faults"
local options = require "options"
local service = require "service"
local signal = require "muster.signal"

local help = [[
usage: main.lua [OPTIONS]

Serves POST /v1/chat/completions (OpenAI), /v1/messages (Anthropic) and
/api/chat (Ollama): extracts records from texts by grammars, not by a model.

  --host ADDRESS       where to listen (default 127.0.0.1)
  --port N             the port (default 8080; 0: any that is free)
  --latency SECONDS    0.1, a range as 0.05-0.15, or the median and the 99th
                       percentile of a log-normal one as 0.1~2 (default 0)
  --rpm N, --tpm N     requests and tokens a minute; more is answered 429
  --burst N            requests at once (default what a second of --rpm gives)
  --quota N            tokens, after which there are none
  --fault-rate SHARE   from 0 to 1 (default 0, or 0.05 with --faults)
  --faults KIND,...    which ones: %s
  --seed N             of what is left to chance (default 1)
  --keys KEY,...       the keys that are accepted (default any, or none)
  --models NAME,...    the models there are (default any)
  --help               this text
]]

local function wrapped(names)
  local lines, line = {}, ""
  for _, name in ipairs(names) do
    if #line + #name > 44 then
      lines[#lines + 1], line = line, ""
    end
    line = line .. name .. " "
  end
  lines[#lines + 1] = line
  return (table.concat(lines, "\n" .. (" "):rep(23)):gsub(" +%f[\n\0]", ""))
end

local function number(text)
  local value = tonumber(text)
  return value and value >= 0 and value < math.huge and value or nil
end

local function latency(text)
  local a, sign, b = text:match "^([%d.]+)([-~])([%d.]+)$"
  if not a then return number(text) end
  a, b = number(a), number(b)
  if not (a and b) or a > b then return nil end
  if sign == "-" then return {min = a, max = b} end
  return a > 0 and {median = a, p99 = b} or nil
end

local function kinds(text)
  local list = options.words(text)
  for _, name in ipairs(list or {}) do
    if not faults.kinds[name] then return nil end
  end
  return list
end

local function port(text)
  local value = options.whole(0)(text)
  return value and value <= 65535 and value or nil
end

local from_1 = {expects = "a whole number from 1", read = options.whole(1)}
local function with(key, of) return {key = key, expects = of.expects, read = of.read} end
local words = {expects = "words with commas between them", read = options.words}

local known = {
  ["--host"] = {key = "host", expects = "an address", read = function(text) return text ~= "" and text or nil end},
  ["--port"] = {key = "port", expects = "a port from 0 to 65535", read = port},
  ["--latency"] = {key = "latency", expects = "seconds, as 0.1, 0.05-0.15 or 0.1~2", read = latency},
  ["--rpm"] = with("rpm", from_1), ["--tpm"] = with("tpm", from_1), ["--burst"] = with("burst", from_1),
  ["--quota"] = with("quota", from_1),
  ["--fault-rate"] = {key = "rate", expects = "a number from 0 to 1", read = options.number(0, 1)},
  ["--faults"] = {key = "kinds", expects = "kinds of faults with commas between them", read = kinds},
  ["--seed"] = {key = "seed", expects = "a whole number from 0", read = options.whole(0)},
  ["--keys"] = with("keys", words), ["--models"] = with("models", words),
  ["--help"] = {key = "help"},
}

local function fail(code, message)
  io.stderr:write("main.lua: ", message, "\n")
  os.exit(code)
end

local function print_counts(stats)
  local statuses = {}
  for status, n in pairs(stats.by_status) do statuses[#statuses + 1] = ("%s: %d"):format(status, n) end
  table.sort(statuses)
  print(("%d requests, at most %d at once; %s; %d tokens in, %d out"):format(stats.requests, stats.max_in_flight,
    statuses[1] and table.concat(statuses, ", ") or "no answers", stats.input_tokens, stats.output_tokens))
end

local function main(values)
  local s, err = service.start {
    host = values.host, port = values.port, latency = values.latency, quota = values.quota, seed = values.seed,
    limits = {rpm = values.rpm, tpm = values.tpm, burst = values.burst}, keys = values.keys, models = values.models,
    faults = (values.rate or values.kinds) and {rate = values.rate, kinds = values.kinds} or nil,
  }
  if not s then fail(1, tostring(err)) end
  print("listening on " .. s.url)
  io.stdout:flush()
  signal.wait("SIGINT", "SIGTERM")
  s:stop(5)
  print_counts(s:stats())
end

local values, mistake = options.parse(known, {port = 8080}, arg)
if values and values[1] then mistake = ("%s: expected no argument"):format(values[1]) end
if mistake then
  fail(2, mistake)
elseif values.help then
  io.write((help:gsub("%%s", wrapped(faults.names()))))
else
  main(values)
end
