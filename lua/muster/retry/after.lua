--- What a response says of trying again: retry-after-ms, Retry-After, x-should-retry, and its status.
local date = require "muster.date"

local M = {}

--- The value of a header, of http.headers or of a plain table in any case.
local function get(headers, name)
  local value = headers[name]
  if value ~= nil or getmetatable(headers) then return value end
  for key, v in pairs(headers) do
    if type(key) == "string" and key:lower() == name then return v end
  end
end

local function number(value)
  local n = type(value) == "number" and value
    or type(value) == "string" and value:find "^%s*%d*%.?%d+%s*$" and tonumber(value)
  if n and n >= 0 and n < math.huge then return n end
end

--- By the clock of the other side, if it tells its time.
local function until_date(headers, value, time)
  local at = date.http(value)
  return at and math.max(0, at - (date.http(get(headers, "date")) or time or os.time()))
end

local booleans = {["true"] = true, ["false"] = false}

--- retry_after: seconds, of retry-after-ms, else of Retry-After, a number or a date; should_retry: of x-should-retry.
-- What is not there, or cannot be read, is nil.
---@param headers table of http.headers, or plain
---@param time number? seconds since 1970, for a date, if the response does not tell its own
---@return {retry_after: number?, should_retry: boolean?}
function M.after(headers, time)
  if type(headers) ~= "table" then
    error(("retry.after: expected headers, got %s"):format(type(headers)), 2)
  end
  local ms, value = number(get(headers, "retry-after-ms")), get(headers, "retry-after")
  local should = get(headers, "x-should-retry")
  return {
    retry_after = ms and ms / 1000 or number(value) or until_date(headers, value, time) or nil,
    should_retry = booleans[type(should) == "string" and should:lower():match "^%s*(.-)%s*$"],
  }
end

--- Is a response with this status to be tried again? 408, 409, 429 and 500 and above are, unless x-should-retry says
-- otherwise; no status at all, which is a connection that failed, is.
---@param status integer? nil: there was no response
---@param headers table?
---@param time number?
---@return boolean retryable
---@return boolean limited it was refused for being too much: 429
---@return number? retry_after seconds
function M.classify(status, headers, time)
  if status == nil then return true, false, nil end
  if type(status) ~= "number" then
    error(("retry.classify: expected a status, got %s"):format(type(status)), 2)
  end
  local said = M.after(headers or {}, time)
  local retryable = status == 408 or status == 409 or status == 429 or status >= 500
  if said.should_retry ~= nil then retryable = said.should_retry end
  return retryable, status == 429, said.retry_after
end

return M
