--- show: a value as text that one can read, cut to a window.
--
-- Tables are read raw: of a metatable only `__tostring` is called, guarded, and `__name` looked at. The work is linear
-- in what is looked at, and bounded for what is below it: lines are counted, and depth is limited.
local quote = require "muster.show.quote"

local debug, math, next, package, pcall, rawget, rawlen, setmetatable, string, table, tostring, type =
  debug, math, next, package, pcall, rawget, rawlen, setmetatable, string, table, tostring, type

local M = {}

local MAX_DEPTH <const> = 12
local MAX_LINES <const> = 200
local INDENT <const> = "  "

local codes = {string = "32", number = "36", boolean = "33", ["nil"] = "33", name = "34", hint = "2"}

---@class muster.shower
---@field width integer
---@field color boolean
---@field lines string[]
---@field path table<table, boolean> the tables around
---@field names table<function, string>? of the functions of loaded modules
---@field texts table<any, string> what values said of themselves
local Shower = {}
Shower.__index = Shower

function Shower:paint(text, kind)
  if not self.color then return text end
  return "\27[" .. codes[kind] .. "m" .. text .. "\27[m"
end

-- ---- what is not taken apart ----

local function metafield(value, name)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, name) or nil
end

--- tostring that never raises.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  if ok then return text end
  local told, message = pcall(tostring, text)
  return "<error in __tostring: " .. (told and message or type(text)) .. ">"
end

--- The text that a value gives of itself, asked for once; nil if it does not.
function Shower:own_text(value)
  if metafield(value, "__tostring") == nil then return nil end
  local text = self.texts[value] or text_of(value)
  self.texts[value] = text
  return text
end

--- "string.format" for what a loaded module offers under that name.
function Shower:name_of_function(f)
  if self.names then return self.names[f] end
  self.names = {}
  for module, content in next, package.loaded do
    for name, value in next, type(content) == "table" and type(module) == "string" and content or {} do
      if type(value) == "function" and type(name) == "string" then
        local known, full = self.names[value], module == "_G" and name or module .. "." .. name
        if not known or #full < #known or #full == #known and full < known then self.names[value] = full end
      end
    end
  end
  return self.names[f]
end

function Shower:describe_function(f)
  local info = debug.getinfo(f, "S")
  if info.what ~= "C" then return "function: " .. info.short_src .. ":" .. info.linedefined end
  local name = self:name_of_function(f)
  return name and "function: " .. name or tostring(f)
end

--- The text of a value on one line of at most `max` columns, cut if it is longer; columns; was it cut?
function Shower:leaf(value, max)
  local kind = type(value)
  if kind == "string" then
    local text, columns, cut = quote.string(value, max)
    return self:paint(text, "string"), columns, cut
  end
  local text = self:own_text(value) or kind == "function" and self:describe_function(value) or tostring(value)
  local shown, columns, cut = quote.plain(text, max)
  return self:paint(shown, codes[kind] and kind or "name"), columns, cut
end

local function is_open(value) return type(value) == "table" and metafield(value, "__tostring") == nil end

-- ---- entries of tables ----

local order_of_types = {number = 1, string = 2, boolean = 3}

local function before(a, b)
  local type_a, type_b = type(a), type(b)
  if type_a ~= type_b then
    local order_a, order_b = order_of_types[type_a] or 4, order_of_types[type_b] or 4
    if order_a ~= order_b then return order_a < order_b end
    return type_a < type_b
  end
  if type_a == "number" or type_a == "string" then return a < b end
  if type_a == "boolean" then return b and not a end
  return string.format("%p", a) < string.format("%p", b)
end

--- Puts a key into the sorted list of the `limit` first ones.
local function insert_key(keys, key, limit)
  local n = #keys
  if limit == 0 then return end
  if n >= limit and not before(key, keys[n]) then return end
  local low, high = 1, n + 1
  while low < high do
    local middle = (low + high) // 2
    if before(key, keys[middle]) then high = middle else low = middle + 1 end
  end
  table.insert(keys, low, key)
  keys[limit + 1] = nil
end

local function sequence_length(t)
  if rawlen(t) == 0 then return 0 end
  local n = 0
  while rawget(t, n + 1) ~= nil do n = n + 1 end
  return n
end

--- Length of the sequence, the first of the other keys in order, number of all entries.
local function survey(t, limit)
  local n, keys, others = sequence_length(t), {}, 0
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then
      others = others + 1
      insert_key(keys, key, limit)
    end
  end
  return n, keys, n + others
end

local function has_more_than(t, n)
  local key
  for _ = 0, n do
    key = next(t, key)
    if key == nil then return false end
  end
  return true
end

function Shower:label(key, max)
  if quote.is_name(key) then return key .. " = ", #key + 3 end
  local text, columns = self:leaf(key, max)
  return "[" .. text .. "] = ", columns + 5
end

--- "name " before the brace of a table whose metatable has a name.
local function title(t)
  local name = metafield(t, "__name")
  if type(name) ~= "string" then return "" end
  return (quote.plain(name, 40)) .. " "
end

-- ---- on one line ----

--- The entries, with commas, or nil if they do not fit.
function Shower:inline_entries(t, max, depth)
  local n, keys = survey(t, max)
  local parts, used = {}, 0
  for i = 1, n + #keys do
    local key = i > n and keys[i - n] or i
    local label, label_columns = "", 0
    if i > n then label, label_columns = self:label(key, max) end
    local gap = i > 1 and 2 or 0
    local text, columns = self:inline(rawget(t, key), max - used - gap - label_columns, depth)
    if not text then return nil end
    used = used + gap + label_columns + columns
    parts[i] = label .. text
  end
  return table.concat(parts, ", "), used
end

function Shower:inline_table(t, max, depth)
  if next(t) == nil then
    local text = title(t) .. "{}"
    if #text <= max then return text, #text end
    return nil
  end
  if depth >= MAX_DEPTH then return "{…}", 3 end
  local head = title(t)
  local room = max - #head - 2
  if room < 1 or has_more_than(t, room // 2 + 1) then return nil end
  self.path[t] = true
  local text, columns = self:inline_entries(t, room, depth + 1)
  self.path[t] = nil
  if text then return head .. "{" .. text .. "}", columns + #head + 2 end
end

--- The whole value within `max` columns, and how many it takes; nil if it does not fit.
function Shower:inline(value, max, depth)
  if max < 1 then return nil end
  if self.path[value] then return self:paint("<cycle>", "hint"), 7 end
  if is_open(value) then return self:inline_table(value, max, depth) end
  local text, columns, cut = self:leaf(value, max)
  if not cut then return text, columns end
end

-- ---- on several lines ----

function Shower:emit(text) self.lines[#self.lines + 1] = text end

---@class muster.show.block a table on several lines
---@field left integer lines that it may still take, but for its braces
---@field row string? of elements of the sequence, not yet emitted
---@field columns integer of the row
local Block = {}
Block.__index = Block

function Block:flush()
  if self.row then self.shower:emit(self.indent .. self.row) end
  self.row = nil
end

--- Takes a line, if there is one besides that for the hint.
function Block:take_line(is_last)
  if self.left < (is_last and 1 or 2) then return false end
  self:flush()
  self.left = self.left - 1
  return true
end

--- An element that is short goes beside others.
function Block:add_to_row(text, columns, is_last)
  if self.row and self.columns + columns + 2 <= self.room then
    self.row, self.columns = self.row .. " " .. text, self.columns + columns + 2
    return true
  end
  if not self:take_line(is_last) then return false end
  self.row, self.columns = text, columns + 1
  return true
end

--- How many lines a table may take besides its first: those that the entries after it do not need. Elements of a
--- sequence are alike, so that half of what is left is better spent on one of them.
function Block:lines_for_table(is_element, after)
  if after == 0 then return self.left end
  local spare = self.left - math.min(after, self.left)
  if not is_element then return spare end
  return math.max(spare, self.left // 2)
end

--- A table that is too long for a line: as a block of its own, if there are lines for it.
function Block:add_table(label, value, comma, is_element, after)
  if not self:take_line(after == 0) then return false end
  local lines = self:lines_for_table(is_element, after)
  if lines < 2 or self.depth >= MAX_DEPTH then
    local _, _, total = survey(value, 0)
    local hint = self.shower:paint(("… %d more"):format(total), "hint")
    self.shower:emit(self.indent .. label .. title(value) .. "{" .. hint .. "}" .. comma)
    return true
  end
  local used = self.shower:block(self.indent .. label, value, comma, self.indent, self.depth, lines + 1)
  self.left = self.left - used + 1
  return true
end

--- Adds an entry, before `after` others; false if there is no line left for it.
function Block:add(key, value, is_element, after)
  local is_last = after == 0
  local label, columns, comma = "", 0, is_last and "" or ","
  if not is_element then label, columns = self.shower:label(key, self.room // 2) end
  local room = math.max(self.room - columns - 1, 16)
  local text, width = self.shower:inline(value, room, self.depth)
  if text and is_element and type(value) ~= "table" then return self:add_to_row(text .. comma, width, is_last) end
  if not text and is_open(value) then return self:add_table(label, value, comma, is_element, after) end
  if not self:take_line(is_last) then return false end
  self.shower:emit(self.indent .. label .. (text or (self.shower:leaf(value, room))) .. comma)
  return true
end

--- Adds entries as long as there is room: how many.
function Block:add_entries(t, n, keys, total)
  for i = 1, n + #keys do
    local key = i > n and keys[i - n] or i
    if not self:add(key, rawget(t, key), i <= n, total - i) then return i - 1 end
  end
  return n + #keys
end

--- Emits a table within so many lines, at least 3: how many it took.
function Shower:block(head, t, tail, indent, depth, lines)
  local inner, first = indent .. INDENT, #self.lines
  local n, keys, total = survey(t, lines)
  local block = setmetatable({shower = self, indent = inner, room = math.max(self.width - #inner, 16), left = lines - 2,
    depth = depth + 1}, Block)
  self:emit(head .. title(t) .. "{")
  self.path[t] = true
  local shown = block:add_entries(t, n, keys, total)
  self.path[t] = nil
  block:flush()
  if shown < total then self:emit(inner .. self:paint(("… %d more"):format(total - shown), "hint")) end
  self:emit(indent .. "}" .. tail)
  return #self.lines - first
end

-- ---- the whole ----

--- A value's own text may have several lines; each is painted by itself.
local function own_lines(self, text, max)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if #lines == max then
      lines[max] = self:paint("…", "hint")
      break
    end
    lines[#lines + 1] = self:paint((quote.plain(line, self.width * 4)), "name")
  end
  return table.concat(lines, "\n")
end

local function show_whole(self, value, lines)
  local own = type(value) ~= "string" and self:own_text(value)
  if own then return own_lines(self, own, lines) end
  local text = self:inline(value, self.width, 0)
  if text then return text end
  if not is_open(value) then return (self:leaf(value, self.width * lines // 2)) end
  self:block("", value, "", "", 0, lines)
  return table.concat(self.lines, "\n")
end

local function whole_number(value, default, low, high)
  local number = type(value) == "number" and math.tointeger(value) or default
  return math.max(low, math.min(number, high))
end

--- The value as text: tables with their keys in order, cut to a window with a hint at what is left out.
---@param value any
---@param options {width: integer?, height: integer?, color: boolean?}? 80 by 24 unless said; colours only if asked
---@return string
function M.show(value, options)
  options = options or {}
  local self = setmetatable({width = whole_number(options.width, 80, 20, 1000), color = options.color, lines = {},
    path = {}, texts = {}}, Shower)
  return show_whole(self, value, whole_number(options.height, 24, 8, MAX_LINES) - 3)
end

return M
