--- Texts of other encodings, and cut ones, as UTF-8.

local M = {}

--- Each byte is a character of Latin-1.
---@param text string
---@return string
function M.of_latin1(text)
  return (text:gsub("[\128-\255]", function(char) return utf8.char(char:byte()) end))
end

--- At most so many bytes of UTF-8, and whole characters.
---@param text string
---@param bytes integer
---@return string
function M.cut(text, bytes)
  if #text <= bytes then return text end
  return text:sub(1, utf8.offset(text, 0, bytes + 1) - 1)
end

return M
