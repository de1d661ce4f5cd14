--- Deltas into JSON as they come: the values that a streamed answer has closed, or what there is of it so far.
local json = require "muster.json"

local M = {}

---@class muster.llm.feed one text: that of a tool call, or the content
---@field held string? the end of what was thought so far
---@field state "thoughts"|"words"|nil what is before the JSON; nil: nothing but white space
---@field parser json.parser?
---@field list_key string? nil: the whole value is wanted
---@field err table?
local Feed = {}
Feed.__index = Feed

---@param list_key string? the field whose items are wanted
---@return muster.llm.feed
function M.new(list_key) return setmetatable({held = "", list_key = list_key}, Feed) end

--- The list may be the answer itself, though an object with it was asked for.
local function new_parser(self, first)
  local path = self.list_key and first == "{" and {self.list_key} or self.list_key and {} or nil
  return json.parser {path = path, keep = not self.list_key}
end

local CLOSE = "</think>"

--- What follows what was thought, or nil if that is not over. Of what is left out no more is kept than is looked at
--- again, for it may be long.
local function after_thoughts(self, text)
  text = self.held .. text
  local _, close = text:find(CLOSE, 1, true)
  if close then return text:sub(close + 1) end
  self.held = text:sub(-#CLOSE + 1)
end

--- The text from where JSON begins, behind what was thought, words and fences; nil if it has not begun.
local function beginning(self, text)
  if not self.state then
    local first = text:match "%S"
    if not first then return nil end
    self.state = first == "<" and "thoughts" or "words"
  end
  if self.state == "thoughts" then
    text = after_thoughts(self, text)
    if not text then return nil end
    self.state = "words"
  end
  local at = text:find "[%[{]"
  return at and text:sub(at)
end

local function start(self, text)
  text = beginning(self, text)
  if text then self.parser, self.held = new_parser(self, text:sub(1, 1)), nil end
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
