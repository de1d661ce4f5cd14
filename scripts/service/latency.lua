--- How long an answer takes.

local M = {}

local P99 <const> = 2.3263478740408408 -- of the normal distribution: 99 % are below

local function is_time(value) return type(value) == "number" and value >= 0 and value < math.huge end

local function by_function(fn)
  return function(_, call)
    local seconds = fn(call)
    if is_time(seconds) then return seconds end
    error(("service: latency must give a number of seconds, got %s"):format(tostring(seconds)), 0)
  end
end

--- 99 % are below p99, half below the median; the tail goes on.
local function log_normal(median, p99)
  local deviation = math.log(p99 / median) / P99
  return function(random) return median * math.exp(deviation * random:normal()) end
end

local function uniform(min, max)
  return function(random) return min + (max - min) * random:number() end
end

local function only(spec, a, b)
  for name in pairs(spec) do
    if name ~= a and name ~= b then return false end
  end
  return is_time(spec[a]) and is_time(spec[b]) and spec[a] <= spec[b]
end

--- Makes a function of a sequence of random numbers and a call, which gives seconds. nil if `spec` is none of a number,
--- {min=, max=}, {median=, p99=} (log-normal) and a function of the call.
---@param spec any
---@return fun(random: service.random, call: table): number
function M.of(spec)
  if spec == nil then spec = 0 end
  if is_time(spec) then return function() return spec end end
  if type(spec) == "function" then return by_function(spec) end
  if type(spec) ~= "table" then return nil end
  if only(spec, "min", "max") then return uniform(spec.min, spec.max) end
  if only(spec, "median", "p99") and spec.median > 0 then return log_normal(spec.median, spec.p99) end
end

return M
