--- The options of the service: checked, and made into what its parts want.
local extraction = require "service.extraction"
local faults = require "service.faults"
local latency = require "service.latency"
local limits = require "service.limits"

local M = {}

local function fail(name, expected, value)
  error(("service: option '%s' must be %s, got %s"):format(name, expected, tostring(value)), 0)
end

local function is_amount(v) return type(v) == "number" and v > 0 end
local function is_time(v) return type(v) == "number" and v >= 0 end
local function is_count(v) return math.type(v) == "integer" and v >= 1 end
local function is_flag(v) return type(v) == "boolean" end
local function is_share(v) return type(v) == "number" and v >= 0 and v <= 1 end

local function is_list_of(kind)
  return function(v)
    if type(v) ~= "table" then return false end
    for _, item in ipairs(v) do
      if type(item) ~= kind then return false end
    end
    return true
  end
end
local is_words = is_list_of "string"

local amount, time, count = {is_amount, "a number above 0"}, {is_time, "a number of seconds"},
  {is_count, "an integer of at least 1"}

local parts = {
  limits = {rpm = amount, tpm = amount, burst = amount, burst_tokens = amount},
  faults = {rate = {is_share, "a number from 0 to 1"}, kinds = {is_words, "a list of kinds"}},
  stream = {bytes = count, delay = time, split = count},
}

local anything = {function() return true end}
local part = {function(v) return type(v) == "table" end, "a table"}

local known = {
  host = {function(v) return type(v) == "string" end, "a string"},
  port = {function(v) return math.type(v) == "integer" and v >= 0 and v <= 65535 end, "a port from 0 to 65535"},
  seed = {function(v) return math.type(v) == "integer" end, "an integer"},
  log = {function(v) return is_flag(v) or is_count(v) end, "a boolean or how many requests"},
  headers = {function(v) return v == false or type(v) == "table" or type(v) == "function" end,
             "false, a table or a function"},
  keys = {is_words, "a list of keys"}, models = {is_words, "a list of names"},
  extractors = {is_list_of "table", "a list of extractors"},
  quota = amount, max_body = count, connections = count,
  latency = anything, limits = part, faults = part, stream = part,
}

local function check(values, names, before)
  for name, value in pairs(values) do
    local kind = names[name]
    if not kind then error(("service: unknown option '%s%s'"):format(before, tostring(name)), 0) end
    if not kind[1](value) then fail(before .. name, kind[2], value) end
  end
end

local function check_kinds(list)
  if #list == 0 then fail("faults.kinds", "a list of kinds", "none") end
  for _, name in ipairs(list) do
    if not faults.kinds[name] then
      fail("faults.kinds", "of " .. table.concat(faults.names(), ", "), "'" .. name .. "'")
    end
  end
end

local function check_extractors(list)
  for i, extractor in ipairs(list) do
    if type(extractor.matches) ~= "function" or type(extractor.extract) ~= "function" then
      fail(("extractors[%d]"):format(i), "a table with functions 'matches' and 'extract'", extractor)
    end
  end
end

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

local LATENCY = "a number of seconds, {min=, max=}, {median=, p99=} or a function"

--- Raises what is wrong with the options; else the settings.
---@param opts table?
---@return table
function M.of(opts)
  if opts ~= nil and type(opts) ~= "table" then
    error("service: options must be a table, got " .. type(opts), 0)
  end
  opts = opts or {}
  check(opts, known, "")
  for name, names in pairs(parts) do check(opts[name] or {}, names, name .. ".") end
  if opts.faults and opts.faults.kinds then check_kinds(opts.faults.kinds) end
  check_extractors(opts.extractors or {})
  local stream = opts.stream or {}
  return {
    latency = latency.of(opts.latency) or fail("latency", LATENCY, opts.latency),
    limits = limits.of(opts.limits), fault = faults.chooser(opts.faults), seed = opts.seed or 1,
    keys = opts.keys and set_of(opts.keys), models = opts.models, known_models = opts.models and set_of(opts.models),
    extractors = extraction.with_builtin(opts.extractors), headers = opts.headers, quota = opts.quota,
    stream = {bytes = stream.bytes or 24, delay = stream.delay or 0, split = stream.split},
    log = opts.log == true and 1000 or opts.log or nil,
    server = {host = opts.host, port = opts.port, max_body = opts.max_body or 64 * 1024 * 1024,
              connections = opts.connections or 20000},
  }
end

return M
