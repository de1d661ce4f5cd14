--- Command-line options for a script: a table of them in, values out.

local M = {}

---@class Option
---@field key string             its name in the result
---@field expects? string        what its value must be, in words; a flag has none
---@field read? fun(value: string): any   the value, or nil if it is wrong

--- A reader of whole numbers from `least` up.
function M.whole(least)
  return function(value)
    local number = value:match "^%d+$" and math.tointeger(tonumber(value))
    return number and number >= least and number or nil
  end
end

--- A reader of numbers from `least` to `most`.
function M.number(least, most)
  return function(value)
    local number = tonumber(value)
    return number and number >= least and number <= (most or math.huge) and number or nil
  end
end

--- A reader of words with commas between them.
function M.words(value)
  local words = {}
  for word in value:gmatch "[^,]+" do words[#words + 1] = word end
  return words[1] and words or nil
end

--- A reader of one of the words given.
function M.one_of(...)
  local words = {}
  for _, word in ipairs { ... } do words[word] = word end
  return function(value) return words[value] end
end

-- Reads the option at arguments[i]; returns the index of its last word, or nil
-- and what is wrong.
local function take(known, values, arguments, i)
  local name, value = arguments[i]:match "^(%-%-[^=]+)=(.*)$"
  name = name or arguments[i]
  local option = known[name]
  if not option then return nil, ("%s: unknown option (--help lists them)"):format(name) end
  if not option.read then
    if value then return nil, ("%s takes no value"):format(name) end
    values[option.key] = true
    return i
  end
  local last = value and i or i + 1
  value = value or arguments[last]
  values[option.key] = value and option.read(value)
  if values[option.key] ~= nil then return last end
  return nil, ("%s: expected %s, got %s"):format(name, option.expects,
    value and "'" .. value .. "'" or "nothing")
end

--- Parses `arguments` by `known` (option name to Option) on top of `defaults`.
---@param known table<string, Option>
---@param defaults table
---@param arguments string[]
---@return table? values     what is no option is in its array part
---@return string? problem
function M.parse(known, defaults, arguments)
  local values, i, literal = {}, 1, false
  for key, value in pairs(defaults) do values[key] = value end
  while i <= #arguments do
    local word = arguments[i]
    if literal or not word:find "^%-." then
      values[#values + 1] = word
    elseif word == "--" then
      literal = true
    else
      local last, problem = take(known, values, arguments, i)
      if not last then return nil, problem end
      i = last
    end
    i = i + 1
  end
  return values
end

return M
