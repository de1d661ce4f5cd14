--- Messages of a chat: what the user has said.
local json = require "service.json"

local M = {}

--- The text of a content: a string, or a list of parts of which some are text. nil if it is neither.
---@return string?
function M.text(content)
  if type(content) == "string" then return content end
  if content == nil or content == json.null then return "" end
  if type(content) ~= "table" then return nil end
  local texts = {}
  for _, part in ipairs(content) do
    if type(part) ~= "table" then return nil end
    if type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

--- The texts of the user's messages, in order; or nil and the place of a message that is none.
---@return string[]? texts
---@return string? place
function M.texts(messages)
  local texts = {}
  for i, message in ipairs(messages) do
    local place = ("messages[%d]"):format(i - 1)
    if type(message) ~= "table" or type(message.role) ~= "string" then return nil, place end
    local text = M.text(message.content)
    if not text then return nil, place .. ".content" end
    if message.role == "user" then texts[#texts + 1] = text end
  end
  return texts
end

--- Is the word in any of the messages?
function M.mention(messages, word)
  for _, message in ipairs(messages) do
    if (type(message) == "table" and M.text(message.content) or ""):lower():find(word, 1, true) then return true end
  end
  return false
end

return M
