--- Times, as headers say them.

local M = {}

--- As Go writes a duration: "17ms", "1.5s", "6m0s", "1h0m0s". Whole milliseconds, rounded up.
---@param seconds number
---@return string
function M.go(seconds)
  local ms = math.ceil(seconds * 1000 - 1e-6)
  if ms <= 0 then return "0s" end
  if ms < 1000 then return ms .. "ms" end
  local text = ("%.3f"):format(ms % 60000 / 1000):gsub("%.?0+$", "")
  text = (text == "" and "0" or text) .. "s"
  local minutes = ms // 60000
  if minutes == 0 then return text end
  if minutes < 60 then return ("%dm%s"):format(minutes, text) end
  return ("%dh%dm%s"):format(minutes // 60, minutes % 60, text)
end

--- As RFC 3339 has it: "2026-01-31T12:00:00Z". Whole seconds, rounded up.
---@param time number seconds since 1970
---@return string
function M.rfc3339(time) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(time - 1e-6)) end

return M
