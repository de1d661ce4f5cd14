--- The formats of strings: by name, a check, and words for errors. They are those of JSON Schema.
local M = {}

local MONTHS = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local function is_date(s)
  local y, m, d = s:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not y then return false end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  local leap = y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)
  local days = m == 2 and leap and 29 or MONTHS[m]
  return days ~= nil and d >= 1 and d <= days
end

--- Minutes from UTC, or nil.
local function offset_of(zone)
  if zone == "Z" or zone == "z" then return 0 end
  local sign, h, m = zone:match "^([+-])(%d%d):(%d%d)$"
  if not h then return nil end
  h, m = tonumber(h), tonumber(m)
  if h > 23 or m > 59 then return nil end
  return (h * 60 + m) * (sign == "-" and -1 or 1)
end

local function is_time(s)
  local h, m, sec, rest = s:match "^(%d%d):(%d%d):(%d%d)(.*)$"
  if not h then return false end
  local offset = offset_of((rest:gsub("^%.%d+", "")))
  if not offset then return false end
  h, m, sec = tonumber(h), tonumber(m), tonumber(sec)
  if h > 23 or m > 59 or sec > 60 then return false end
  return sec < 60 or (h * 60 + m - offset) % 1440 == 1439 -- a leap second
end

local function is_date_time(s)
  return #s > 11 and s:find "^..........[Tt]" ~= nil and is_date(s:sub(1, 10)) and is_time(s:sub(12))
end

--- Are the letters in this order, each after a number, and at least one?
local function in_order(text, letters)
  local at, found = 0, false
  for digits, letter in text:gmatch "(%d*)(%D)" do
    local place = letters:find(letter, at + 1, true)
    if digits == "" or not place then return false end
    at, found = place, true
  end
  return found and not text:find "%d$"
end

local function is_duration(s)
  if s:find "^P%d+W$" then return true end
  local date, mark, time = s:match "^P([^T]*)(T?)(.*)$"
  if not date then return false end
  if date ~= "" and not in_order(date, "YMD") then return false end
  if mark == "" then return date ~= "" end
  return in_order(time, "HMS")
end

local function is_hostname(s)
  if s == "" then return false end
  for label in (s .. "."):gmatch "([^.]*)%." do
    if #label > 63 or not label:find "^%w[%w-]*$" or label:sub(-1) == "-" then return false end
  end
  return true
end

local function is_ipv4(s)
  local n = 0
  for part in (s .. "."):gmatch "([^.]*)%." do
    if not part:find "^%d%d?%d?$" or tonumber(part) > 255 or part:find "^0%d" then return false end
    n = n + 1
  end
  return n == 4
end

--- How many groups of 16 bits, or nil. The last may be an IPv4 address.
local function groups(s, last_may_be_ipv4)
  if s == "" then return 0 end
  local n = 0
  for part, after in (s .. ":"):gmatch "([^:]*):()" do
    if last_may_be_ipv4 and after > #s + 1 and is_ipv4(part) then
      n = n + 2
    elseif part:find "^%x%x?%x?%x?$" then
      n = n + 1
    else
      return nil
    end
  end
  return n
end

local function is_ipv6(s)
  local left, right = s:match "^(.-)::(.*)$"
  if not left then return groups(s, true) == 8 end
  local a, b = groups(left, false), groups(right, true)
  return a ~= nil and b ~= nil and a + b <= 7
end

local function is_email(s)
  local name, domain = s:match "^(.+)@([^@]+)$"
  if not name or #name > 64 then return false end
  if name:find "^%." or name:find "%.$" or name:find("..", 1, true) then return false end
  if not name:find "^[%w!#$%%&'*+/=?^_`{|}~.\128-\255-]+$" then return false end
  return is_hostname(domain) and domain:find(".", 2, true) ~= nil
end

local function is_uri(s)
  local rest = s:match "^%a[%w+.-]*:(.+)$"
  if not rest or rest:find "[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]" then return false end
  if rest:gsub("%%%x%x", ""):find("%", 1, true) then return false end
  local authority = rest:match "^//([^/?#]*)"
  return authority ~= "" or s:find "^[Ff][Ii][Ll][Ee]:" ~= nil
end

local function is_uuid(s)
  return s:find "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$" ~= nil
end

--- The check, for texts of at most so many bytes: hostile ones must not keep it busy.
local function up_to(longest, check)
  return function(s) return #s <= longest and check(s) end
end

--- name -> {check, words}
M.known = {
  date = {up_to(10, is_date), "a date such as 2024-02-29"},
  time = {up_to(100, is_time), "a time with its zone such as 09:30:00Z"},
  ["date-time"] = {up_to(111, is_date_time), "a date and time such as 2024-02-29T09:30:00Z"},
  duration = {up_to(200, is_duration), "an ISO 8601 duration such as P1DT12H"},
  email = {up_to(320, is_email), "an e-mail address"},
  hostname = {up_to(253, is_hostname), "a host name"},
  ipv4 = {up_to(15, is_ipv4), "an IPv4 address"},
  ipv6 = {up_to(45, is_ipv6), "an IPv6 address"},
  uri = {is_uri, "a URI such as https://example.org/a"},
  uuid = {up_to(36, is_uuid), "a UUID"},
}

return M
