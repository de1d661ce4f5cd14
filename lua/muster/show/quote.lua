--- Text made safe for a terminal: control characters and what is not UTF-8 as escapes, cut to a number of columns.
local lexer = require "muster.repl.lexer"

local math, string, table, type, utf8 = math, string, table, type, utf8

local M = {}

local named = {[7] = "\\a", [8] = "\\b", [9] = "\\t", [10] = "\\n", [11] = "\\v", [12] = "\\f", [13] = "\\r"}

-- First and last of the characters that take two columns, roughly; and of those that do not show, or turn others about.
local wide = {0x1100, 0x115F, 0x2E80, 0xA4CF, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE30, 0xFE6F, 0xFF00, 0xFF60, 0xFFE0,
  0xFFE6, 0x1F300, 0x1F64F, 0x1F900, 0x1FAFF, 0x20000, 0x3FFFD}
local hidden = {0x80, 0x9F, 0xAD, 0xAD, 0x61C, 0x61C, 0x200B, 0x200F, 0x2028, 0x202E, 0x2060, 0x2069, 0xD800, 0xDFFF,
  0xFEFF, 0xFEFF, 0xFFF9, 0xFFFB, 0xE0000, 0xE007F, 0x110000, 0x7FFFFFFF}
local combining = {0x300, 0x36F, 0x1AB0, 0x1AFF, 0x20D0, 0x20FF, 0xFE00, 0xFE0F, 0xFE20, 0xFE2F}

local function is_in(ranges, code)
  for i = 1, #ranges, 2 do
    if code < ranges[i] then return false end
    if code <= ranges[i + 1] then return true end
  end
  return false
end

--- What to show for the character at a position, its columns, the position after it. `quoted`: as within a string.
local function character(text, position, quoted)
  local byte = text:byte(position)
  if byte == 34 and quoted then return '\\"', 2, position + 1 end
  if byte == 92 and quoted then return "\\\\", 2, position + 1 end
  if byte >= 32 and byte < 127 then return string.char(byte), 1, position + 1 end
  if byte < 128 or not utf8.len(text, position, position) then
    local escape = named[byte] or ("\\x%02X"):format(byte)
    return escape, #escape, position + 1
  end
  local code, after = utf8.codepoint(text, position), utf8.offset(text, 2, position)
  if is_in(hidden, code) then
    local escape = ("\\u{%X}"):format(code)
    return escape, #escape, after
  end
  return text:sub(position, after - 1), is_in(combining, code) and 0 or is_in(wide, code) and 2 or 1, after
end

--- Characters up to `max` columns, the columns, and the position after them.
local function characters(text, max, quoted)
  local parts, used, position = {}, 0, 1
  while position <= #text and #parts <= 4 * max do -- also those that take no column have an end
    local shown, columns, after = character(text, position, quoted)
    if used + columns > max then break end
    parts[#parts + 1], used, position = shown, used + columns, after
  end
  return table.concat(parts), used, position
end

--- In quotes, with escapes, cut to `max` columns or a little more.
---@param text string
---@param max integer
---@return string shown, integer columns, boolean cut
function M.string(text, max)
  if #text < 4 * max or text:find("[\x80-\xFF]") then
    local shown, used, position = characters(text, max - 2, true)
    if position > #text then return '"' .. shown .. '"', used + 2, false end
  end
  local hint = ("…\" (%d bytes)"):format(#text)
  local shown, used = characters(text, math.max(max - utf8.len(hint) - 1, 4), true)
  return '"' .. shown .. hint, used + 1 + utf8.len(hint), true
end

--- The same without quotes.
---@param text string
---@param max integer
---@return string shown, integer columns, boolean cut
function M.plain(text, max)
  local shown, used, position = characters(text, max, false)
  if position > #text then return shown, used, false end
  shown, used = characters(text, math.max(max - 1, 1), false)
  return shown .. "…", used + 1, true
end

--- May it stand in code without quotes, as a key?
---@param key any
---@return boolean
function M.is_name(key)
  return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil and not lexer.keywords[key]
end

return M
