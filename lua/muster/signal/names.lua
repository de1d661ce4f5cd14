--- Signals by name and by number.
local uv = require "luv"

local M = {}

local by_name, by_number = {}, {}
local other_names = {SIGIOT = true, SIGPOLL = true} -- of SIGABRT and SIGIO
for name, number in pairs(uv.constants) do
  if name:find "^SIG%u" then
    by_name[name] = number
    if not other_names[name] then by_number[number] = name end
  end
end

--- The name of a number, such as "SIGTERM"; "signal N" for one that has no name.
---@param number integer
---@return string
function M.name(number) return by_number[number] or "signal " .. number end

--- The number and the name of a signal, however it is written: "SIGTERM", "TERM", "sigterm", 15. Raises otherwise.
---@param what string the function, for the message
---@param signal string|integer
---@return integer number
---@return string name
function M.check(what, signal)
  local number = signal
  if type(signal) == "string" then
    local upper = signal:upper()
    number = by_name[upper] or by_name["SIG" .. upper]
  end
  if math.type(number) ~= "integer" or not by_number[number] then
    local got = type(signal) == "string" and ("%q"):format(signal) or tostring(signal)
    error(("%s: expected a signal, such as \"SIGTERM\", got %s"):format(what, got), 3)
  end
  return number, by_number[number]
end

return M
