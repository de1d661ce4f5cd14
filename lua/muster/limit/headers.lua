--- What a response says of limits: x-ratelimit-* (OpenAI and many others) and anthropic-ratelimit-*.
--
-- Values that are absent, negative, or no numbers are left out, and an unreadable reset too. Nothing here waits, and
-- nothing is believed yet: see rate.lua.
local M = {}

local units = {h = 3600, m = 60, s = 1, ms = 1e-3, us = 1e-6, ["µs"] = 1e-6, ["μs"] = 1e-6, ns = 1e-9}

--- Seconds of a duration as Go writes it: `17ms`, `6m0s`, `1h2m3.5s`, `0s`; or of a plain number of seconds.
---@param text any
---@return number? seconds nil if it is none
function M.duration(text)
  if type(text) ~= "string" then return nil end
  local plain = text:match "^%s*(%d+%.?%d*)%s*$"
  if plain then return tonumber(plain) end
  local total, at = 0, text:match "^%s*()"
  repeat
    local number, unit, after = text:match("^(%d*%.?%d*)([^%d%.%s]+)()", at)
    local value = number and tonumber(number)
    if not value or not units[unit] then return nil end
    total, at = total + value * units[unit], after
  until text:find("^%s*$", at)
  return total
end

local function days_before(year, month, day) -- since 1970-01-01, by the civil calendar
  if month <= 2 then year, month = year - 1, month + 12 end
  local era = 365 * year + year // 4 - year // 100 + year // 400
  return era + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

--- Seconds since 1970 of a time in UTC; nil if there is no such time.
---@return number?
function M.utc(year, month, day, hour, minute, second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 24 or minute > 59 or second >= 62 then return nil end
  return days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

--- Seconds since 1970 of a time as RFC 3339 writes it: `2026-01-02T03:04:05Z`, `2026-01-02t03:04:05.678+01:30`.
---@param text any
---@return number? time nil if it is none
function M.rfc3339(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, hour, minute, second, zone =
    text:match "^%s*(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d%.?%d*)(%S+)%s*$"
  if not year then return nil end
  local time = M.utc(tonumber(year), tonumber(month), tonumber(day),
                     tonumber(hour), tonumber(minute), tonumber(second))
  if zone == "Z" or zone == "z" then return time end
  local sign, hours, minutes = zone:match "^([+-])(%d%d):?(%d%d)$"
  if not sign or not time then return nil end
  local offset = tonumber(hours) * 3600 + tonumber(minutes) * 60
  return sign == "+" and time - offset or time + offset
end

--- The value of a header, of http.headers or of a plain table in any case.
---@param headers table
---@param name string lower case
---@return any
function M.get(headers, name)
  local value = headers[name]
  if value ~= nil or getmetatable(headers) then return value end
  for key, v in pairs(headers) do
    if type(key) == "string" and key:lower() == name then return v end
  end
end

local function count(value)
  local n = tonumber(value)
  if n and n >= 0 and n < math.huge then return n end
end

--- The first of the names that is there, as `read` reads it.
local function first(headers, names, read)
  for i = 1, #names do
    local value = M.get(headers, names[i])
    if value ~= nil then
      value = read(value)
      if value then return value end
    end
  end
end

local function names_of(what, field)
  return {"x-ratelimit-" .. field .. "-" .. what, "anthropic-ratelimit-" .. what .. "-" .. field}
end

local known = {}
for _, what in ipairs {"requests", "tokens", "input-tokens", "output-tokens"} do
  known[what] = {}
  for _, field in ipairs {"limit", "remaining", "reset"} do known[what][field] = names_of(what, field) end
end

local function reset_reader(time)
  return function(value)
    local seconds = M.duration(value)
    if seconds then return seconds end
    local at = M.rfc3339(value)
    return at and math.max(0, at - time)
  end
end

local function read(headers, names, read_reset)
  local found = {
    limit = first(headers, names.limit, count),
    remaining = first(headers, names.remaining, count),
    reset = first(headers, names.reset, read_reset),
  }
  if found.limit == 0 then found.limit = nil end
  return next(found) and found
end

--- Of the kinds of tokens the one of which least is left.
local function scarcest(a, b)
  if not a or not b then return a or b end
  local left_a, left_b = a.remaining or math.huge, b.remaining or math.huge
  return left_b < left_a and b or a
end

--- What the headers say: `requests` and `tokens`, each with limit, remaining, and reset, the seconds to a full refill
-- (not the time to wait); each only if it is there and can be read.
---@param headers table
---@param time number? seconds since 1970, of which times of reset are counted
---@return {requests: table?, tokens: table?}
function M.parse(headers, time)
  local read_reset = reset_reader(time or os.time())
  local tokens = read(headers, known.tokens, read_reset)
  if not tokens then
    tokens = scarcest(read(headers, known["input-tokens"], read_reset),
                      read(headers, known["output-tokens"], read_reset))
  end
  return {requests = read(headers, known.requests, read_reset) or nil, tokens = tokens or nil}
end

return M
