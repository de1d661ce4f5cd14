--- Times as protocols write them, in seconds since 1970. What is no time is nil.
local M = {}

local function days_before(year, month, day) -- since 1970-01-01, by the civil calendar
  if month <= 2 then year, month = year - 1, month + 12 end
  local before = 365 * year + year // 4 - year // 100 + year // 400
  return before + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

--- Seconds since 1970 of a time in UTC.
---@return number?
function M.utc(year, month, day, hour, minute, second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 24 or minute > 59 or second >= 62 then return nil end
  return days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

--- As RFC 3339 writes it: `2026-01-02T03:04:05Z`, `2026-01-02t03:04:05.678+01:30`.
---@param text any
---@return number?
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

local months = {jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11,
                dec = 12}

--- A year of two digits is none that lies more than 50 years ahead.
local function full_year(two, now)
  local year = tonumber(os.date("!%Y", now))
  local guess = year - year % 100 + two
  return guess > year + 50 and guess - 100 or guess
end

local function parts(text, now)
  local day, month, year, clock = text:match "^%s*%a+, (%d%d?) (%a%a%a) (%d%d%d%d) (%d%d:%d%d:%d%d) %a+%s*$"
  if day then return day, month, year, clock end
  day, month, year, clock = text:match "^%s*%a+, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d:%d%d:%d%d) %a+%s*$"
  if day then return day, month, full_year(tonumber(year), now), clock end
  month, day, clock, year = text:match "^%s*%a%a%a (%a%a%a) +(%d%d?) (%d%d:%d%d:%d%d) (%d%d%d%d)%s*$"
  return day, month, year, clock
end

--- As HTTP writes it, in any of its three forms: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
-- `Sun Nov  6 08:49:37 1994`.
---@param text any
---@param now integer? for years of two digits
---@return number?
function M.http(text, now)
  if type(text) ~= "string" then return nil end
  local day, month, year, clock = parts(text, now)
  month = month and months[month:lower()]
  if not month then return nil end
  local hour, minute, second = clock:match "(%d+):(%d+):(%d+)"
  return M.utc(tonumber(year), month, tonumber(day), tonumber(hour), tonumber(minute), tonumber(second))
end

return M
