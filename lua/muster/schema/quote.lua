--- Values as they are shown in errors: short, on one line, and valid UTF-8 whatever they hold.
local null = require("muster.schema.json").null

local M = {}

local LONGEST = 60 -- bytes of a string, and of the keys of an object

local short = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\"}

local function escape_control(c) return short[c] or ("\\u%04x"):format(c:byte()) end

--- The bytes that are no UTF-8 are replaced.
local function clean(s)
  local parts, from = {}, 1
  while true do
    local length, bad = utf8.len(s, from)
    if length then break end
    table.insert(parts, s:sub(from, bad - 1))
    table.insert(parts, "\u{fffd}")
    from = bad + 1
  end
  table.insert(parts, s:sub(from))
  return table.concat(parts)
end

--- At most `longest` bytes, cut where a character begins, and whether anything was cut.
local function cut(s, longest)
  if #s <= longest then return s, false end
  local last = longest
  while last > 0 and s:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return s:sub(1, last), true
end

---@param s string
---@return string
function M.string(s)
  local text, shortened = cut(s, LONGEST)
  text = '"' .. clean(text):gsub('[%c"\\]', escape_control)
  return shortened and text .. '…" (' .. #s .. " bytes)" or text .. '"'
end

function M.number(n)
  if math.type(n) == "integer" then return tostring(n) end
  if n ~= n then return "not a number" end
  local text = ("%.14g"):format(n)
  if tonumber(text) ~= n then text = ("%.17g"):format(n) end
  return text:find "^-?%d+$" and text .. ".0" or text
end

---@return string[] the keys that are strings, sorted
function M.sorted_keys(t)
  local keys = {}
  for key in next, t do
    if type(key) == "string" then table.insert(keys, key) end
  end
  table.sort(keys)
  return keys
end

local function show_key(key) return key:find "^[%w_-]+$" and key or M.string(key) end

--- "name, age, …": as many as fit.
---@param names string[]
---@param longest integer? bytes
---@return string
function M.names(names, longest)
  local text = ""
  for i, name in ipairs(names) do
    local more = (i > 1 and ", " or "") .. show_key(name)
    if #text + #more > (longest or LONGEST) then return text .. (", … (%d in all)"):format(#names) end
    text = text .. more
  end
  return text
end

local function show_table(t)
  if next(t) == nil then return "an empty table" end
  local n = #t
  if n > 0 then return n == 1 and "a list of 1 item" or ("a list of %d items"):format(n) end
  local keys = M.sorted_keys(t)
  if not keys[1] then return "a table whose keys are not strings" end
  return "an object with " .. M.names(keys)
end

--- What a value is, in a few words.
---@return string
function M.value(v)
  if v == nil then return "nothing" end
  if v == null then return "null" end
  local kind = type(v)
  if kind == "string" then return M.string(v) end
  if kind == "number" then return M.number(v) end
  if kind == "boolean" then return tostring(v) end
  if kind == "table" then return show_table(v) end
  return "a " .. kind
end

return M
