--- JSON, as the service reads and writes it. The one module that knows the library.
local cjson = require "cjson"

local M = {}

local decode, encode = cjson.decode, cjson.encode
local array = {}

--- What stands for null in a table.
M.null = cjson.null

--- Marks a list, so that it is one even if it is empty.
---@generic T: table
---@param list T
---@return T
function M.array(list) return setmetatable(list, array) end

---@param text string
---@return any? value
---@return string? problem
function M.decode(text)
  local ok, value = pcall(decode, text)
  if ok then return value end
  return nil, tostring(value)
end

local function is_list(value) return getmetatable(value) == array or #value > 0 end

local function append_list(out, value, append)
  out[#out + 1] = "["
  for i = 1, #value do
    if i > 1 then out[#out + 1] = "," end
    append(out, value[i])
  end
  out[#out + 1] = "]"
end

local function append_object(out, value, append)
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  out[#out + 1] = "{"
  for i, name in ipairs(names) do
    out[#out + 1] = (i > 1 and "," or "") .. encode(name) .. ":"
    append(out, value[name])
  end
  out[#out + 1] = "}"
end

local function append(out, value)
  if type(value) ~= "table" then out[#out + 1] = encode(value)
  elseif is_list(value) then append_list(out, value, append)
  else append_object(out, value, append) end
end

--- The text of a value, always the same for the same value: names are in order.
---@return string
function M.encode(value)
  if type(value) ~= "table" then return encode(value) end
  local out = {}
  append(out, value)
  return table.concat(out)
end

--- Of a string, a number or a boolean: what `encode` gives, sooner.
M.scalar = encode

return M
