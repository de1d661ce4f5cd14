--- What is whole of a JSON text that was cut.
local M = {}

local byte, find, sub = string.byte, string.find, string.sub
local closers = {["{"] = "}", ["["] = "]"}

--- The position behind the string that begins at `at`, or nil if it does not end.
local function after_string(text, at)
  at = at + 1
  while true do
    at = find(text, '["\\]', at)
    if not at then return nil end
    if byte(text, at) == 34 then return at + 1 end
    at = at + 2
  end
end

--- The next bracket or comma outside of strings: the character and its position.
local function next_mark(text, at)
  while at do
    at = find(text, '[%[%]{},"]', at)
    if not at then return nil end
    local mark = sub(text, at, at)
    if mark ~= '"' then return mark, at end
    at = after_string(text, at)
  end
end

---@class muster.llm.cut where a text may end, and what it lacks then
---@field at integer
---@field depth integer how many brackets are open

--- Where the text is whole: after a value of an object, or an item of the outermost list.
local function whole_until(text, from)
  local stack, list, cut, at = {}, nil, nil, from - 1
  local function whole(position)
    if not list or #stack <= list then cut = {at = position, depth = #stack} end
  end
  while true do
    local mark
    mark, at = next_mark(text, at + 1)
    if not mark then return cut, stack end
    if closers[mark] then
      stack[#stack + 1] = closers[mark]
      if mark == "[" and not list then list = #stack end
      whole(at)
    elseif mark == "," then
      whole(at - 1)
    else
      if list == #stack then list = nil end
      stack[#stack] = nil
      whole(at)
    end
    if #stack == 0 then return cut, stack end
  end
end

--- The start of a JSON text that was cut, closed so that it is JSON: with all the whole items of its outermost list,
--- and all the whole fields before it. Nil if there is nothing.
---@param text string
---@return string?
function M.salvage(text)
  local from = find(text, "[%[{]")
  if not from then return nil end
  local cut, stack = whole_until(text, from)
  if not cut then return nil end
  local pieces = {sub(text, from, cut.at)}
  for i = cut.depth, 1, -1 do pieces[#pieces + 1] = stack[i] end
  return table.concat(pieces)
end

return M
