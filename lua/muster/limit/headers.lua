--- What a response says of limits: x-ratelimit-* (OpenAI and many others) and anthropic-ratelimit-*.
--
-- Values that are absent, negative, or no numbers are left out, and an unreadable reset too. Nothing here waits, and
-- nothing is believed yet: see rate.lua.
local date = require "muster.date"

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

--- Headers by their names in lower case. Those of http.headers are found in any case.
local function by_name(headers)
  if getmetatable(headers) then return headers end
  local found = {}
  for name, value in pairs(headers) do
    if type(name) == "string" then found[name:lower()] = value end
  end
  return found
end

local function count(value)
  local n = tonumber(value)
  if n and n >= 0 and n < math.huge then return n end
end

--- The first of the names that is there, as `read` reads it.
local function first(headers, names, read)
  for i = 1, #names do
    local value = headers[names[i]]
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
    local at = date.rfc3339(value)
    return at and math.max(0, at - (time or os.time()))
  end
end

local function read(headers, names, read_reset)
  local limit, remaining = first(headers, names.limit, count), first(headers, names.remaining, count)
  local found = {limit = limit, remaining = remaining, reset = first(headers, names.reset, read_reset)}
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
  headers = by_name(headers)
  local read_reset = reset_reader(time)
  local tokens = read(headers, known.tokens, read_reset)
  if not tokens then
    tokens = scarcest(read(headers, known["input-tokens"], read_reset),
                      read(headers, known["output-tokens"], read_reset))
  end
  return {requests = read(headers, known.requests, read_reset) or nil, tokens = tokens or nil}
end

-- What `numbers` reads, by its place in what it returns; 0: rarer ones, which it leaves to `parse`.
local places = {}
for _, names in pairs(known) do
  for _, field in ipairs {"limit", "remaining"} do
    for _, name in ipairs(names[field]) do places[name] = 0 end
  end
end
for i, name in ipairs {"limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens"} do
  places["x-ratelimit-" .. name] = i
end

local none <const> = {}

local MOST_NAMES, LONGEST_NAME = 1000, 64
local kept, n_kept = {}, 0 -- the places of names as they come, or false: services send the same in each answer

local function place_of(name)
  if type(name) ~= "string" or #name > LONGEST_NAME then return false end
  local place = places[name:lower()] or false
  if n_kept == MOST_NAMES then kept, n_kept = {}, 0 end
  kept[name], n_kept = place, n_kept + 1
  return place
end

--- The values of the four at their places, if they are all there is of limits; else a table that is empty, and whether
--- there is anything. One look at each header: most services say nothing of limits, and to look for each name would
--- take longer.
local function values_of(headers)
  local found
  for name, value in pairs(headers) do
    local place = kept[name]
    if place == nil then place = place_of(name) end
    if place then
      found = found or {}
      if place == 0 or found[place] ~= nil then return none, true end
      found[place] = value
    end
  end
  return found or none, false
end

--- The same as four numbers, without the resets, which tell a limiter nothing that it may rely on.
---@param headers table
---@return number? limit of requests
---@return number? remaining
---@return number? limit of tokens
---@return number? remaining
function M.numbers(headers)
  local values, more = values_of(headers)
  if more then
    local said = M.parse(headers)
    local requests, tokens = said.requests or none, said.tokens or none
    return requests.limit, requests.remaining, tokens.limit, tokens.remaining
  end
  if values == none then return nil end
  local limit, tokens = count(values[1]), count(values[3])
  return limit ~= 0 and limit or nil, count(values[2]), tokens ~= 0 and tokens or nil, count(values[4])
end

return M
