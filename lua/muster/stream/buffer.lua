--- Bytes that have come and not been taken yet: a queue of strings, of which only what is taken is copied.
---@class muster.buffer
---@field size integer bytes
---@field parts string[] parts[first] to parts[last]
---@field first integer
---@field last integer
---@field at integer the first byte in parts[first] that has not been taken
local Buffer = {}
Buffer.__index = Buffer

local M = {}

---@return muster.buffer
function M.new() return setmetatable({size = 0, parts = {}, first = 1, last = 0, at = 1}, Buffer) end

---@param text string
function Buffer:push(text)
  if text == "" then return end
  self.last = self.last + 1
  self.parts[self.last] = text
  self.size = self.size + #text
end

function Buffer:clear() self.size, self.parts, self.first, self.last, self.at = 0, {}, 1, 0, 1 end

--- The part that is taken from is at its end.
local function next_part(self)
  self.parts[self.first] = nil
  self.first, self.at = self.first + 1, 1
  if self.first > self.last then self.first, self.last = 1, 0 end
end

--- At most n bytes of the first part.
local function take_some(self, n)
  local part, at = self.parts[self.first], self.at
  local left = #part - at + 1
  if n < left then
    self.at, self.size = at + n, self.size - n
    return part:sub(at, at + n - 1)
  end
  self.size = self.size - left
  next_part(self)
  return at == 1 and part or part:sub(at)
end

--- At most n bytes, at least one: what can be had without joining strings.
---@param n integer
---@return string? text nil if there are none
function Buffer:take_some(n)
  if self.size > 0 then return take_some(self, n) end
end

--- Exactly n bytes, which must be there.
---@param n integer
---@return string
function Buffer:take(n)
  if n == 0 then return "" end
  local text = take_some(self, n)
  if #text == n then return text end
  local list, have = {text}, #text
  while have < n do
    text = take_some(self, n - have)
    list[#list + 1], have = text, have + #text
  end
  return table.concat(list)
end

---@return string
function Buffer:take_all() return self:take(self.size) end

--- Where a search stands: what is known not to be there is not looked at again when more has come.
---@class muster.search
---@field text string
---@field part integer the next part to look at
---@field before integer bytes in the parts before it
---@field tail string of those the last, that may be the beginning of the text

---@param text string what is searched for
---@return muster.search
function M.search(text) return {text = text, before = 0, tail = ""} end

--- How many bytes there are before the text; nil if it is not there. Nothing must be taken during a search.
---@param search muster.search
---@return integer?
function Buffer:find(search)
  local text, most = search.text, #search.text - 1
  local i = search.part or self.first
  while i <= self.last do
    local part, from = self.parts[i], i == self.first and self.at or 1
    if search.tail ~= "" then -- across the border
      local at = (search.tail .. part:sub(1, most)):find(text, 1, true)
      if at then return search.before - #search.tail + at - 1 end
    end
    local at = part:find(text, from, true)
    if at then return search.before + at - from end
    search.before = search.before + #part - from + 1
    if most > 0 then search.tail = (search.tail .. part:sub(math.max(from, #part - most + 1))):sub(-most) end
    i = i + 1
    search.part = i
  end
end

return M
