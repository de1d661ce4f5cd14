--- Places in a source text: read from what grammars and grounding give, and turned into pieces of the text.
local M = {}

local DEEPEST <const> = 8
local INNERMOST <const> = 4 -- spans that are told of at one place

---@class muster.report.span
---@field path string of the field
---@field first integer its first byte
---@field last integer its last byte

local function step(path, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(path, key) end
  key = type(key) == "string" and key or type(key)
  return path == "" and key or path .. "." .. key
end

local function place_of(value)
  local first, last = rawget(value, "first"), rawget(value, "last")
  if first == nil and last == nil then first, last = rawget(value, 1), rawget(value, 2) end
  return math.tointeger(first), math.tointeger(last)
end

local function add(list, value, path, most, depth)
  if type(value) ~= "table" or depth > DEEPEST or #list >= most then return end
  local first, last = place_of(value)
  if not first or not last then
    for key, inner in next, value do add(list, inner, step(path, key), most, depth + 1) end
    return
  end
  local own = rawget(value, "path")
  path = type(own) == "string" and own or path
  if first >= 1 and last >= first then list[#list + 1] = {path = path:sub(1, 100), first = first, last = last} end
  add(list, rawget(value, "spans"), path, most, depth + 1)
end

local function before(a, b)
  if a.first ~= b.first then return a.first < b.first end
  if a.last ~= b.last then return a.last > b.last end
  return a.path < b.path
end

--- The spans, in order. As grounding gives them: a list of {path=, first=, last=}; as a grammar does: {field = {first=,
--- last=, spans=}}; or {field = {first, last}}, in lists and tables of any shape. What is no span is left out.
---@param spans any
---@param most integer no more than so many
---@return muster.report.span[]
function M.read(spans, most)
  local list = {}
  add(list, spans, "", most, 0)
  table.sort(list, before)
  return list
end

--- The text at its offsets, all spans clipped to it; positions that more than one span has are there once.
local function edges_of(length, offset, spans)
  local edges, known = {1, length + 1}, {[1] = true, [length + 1] = true}
  for _, span in ipairs(spans) do
    for _, at in ipairs {span.first - offset, span.last - offset + 1} do
      if at > 1 and at <= length and not known[at] then
        known[at] = true
        edges[#edges + 1] = at
      end
    end
  end
  table.sort(edges)
  return edges
end

--- Text in pieces, in order, so that each span begins and ends with one: {text, path, ...}, the paths of the spans that
--- it is in, the innermost last.
---@param text string
---@param offset integer bytes before it in the source
---@param spans muster.report.span[] in order
---@return table[]
function M.pieces(text, offset, spans)
  local edges, pieces = edges_of(#text, offset, spans), {}
  for i = 1, #edges - 1 do
    local first, last = edges[i], edges[i + 1] - 1
    local piece = {text:sub(first, last)}
    for _, span in ipairs(spans) do
      if span.first - offset > last then break end
      if span.last - offset >= first then
        if #piece > INNERMOST then table.remove(piece, 2) end
        piece[#piece + 1] = span.path
      end
    end
    if piece[1] ~= "" then pieces[#pieces + 1] = piece end
  end
  return pieces
end

return M
