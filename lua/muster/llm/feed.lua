--- Deltas into JSON as they come: the values that a streamed answer has closed, or what there is of it so far.
local json = require "muster.json"

local M = {}

---@class muster.llm.feed one text: that of a tool call, or the content
---@field held string? what came before the JSON began
---@field parser json.parser?
---@field list_key string? nil: the whole value is wanted
---@field err table?
local Feed = {}
Feed.__index = Feed

---@param list_key string? the field whose items are wanted
---@return muster.llm.feed
function M.new(list_key) return setmetatable({held = "", list_key = list_key}, Feed) end

--- The position where JSON begins: behind what was thought, and fences. Nil if it has not begun.
local function beginning(text)
  local from = 1
  if text:find "^%s*<" then
    local _, close = text:find("</think>", 1, true)
    if not close then return nil end
    from = close + 1
  end
  return text:find("[%[{]", from)
end

--- The list may be the answer itself, though an object with it was asked for.
local function new_parser(self, first)
  local path = self.list_key and first == "{" and {self.list_key} or self.list_key and {} or nil
  return json.parser {path = path, keep = not self.list_key}
end

local function start(self, text)
  self.held = self.held .. text
  local at = beginning(self.held)
  if not at then return nil end
  text, self.held = self.held:sub(at), nil
  self.parser = new_parser(self, text:sub(1, 1))
  return text
end

local NONE = {}

--- Takes a piece of text: the items that it closed.
---@param text string
---@return any[]
function Feed:take(text)
  if self.err then return NONE end
  if not self.parser then
    text = start(self, text)
    if not text then return NONE end
  end
  local items, err = self.parser:feed(text)
  if items then return items end
  self.err = err
  return NONE
end

--- What there is so far, with open strings and containers closed; nil if there is nothing.
function Feed:partial()
  if not self.parser then return nil end
  return self.parser:partial()
end

return M
