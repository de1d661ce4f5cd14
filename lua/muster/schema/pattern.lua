--- Lua patterns: are they well formed, and what do they mean as a regular expression of ECMA 262? Lua matches bytes,
--- and a regular expression characters: a pattern is translated if both take the same of all valid UTF-8, else not.
local M = {}

local classes = { -- in the C locale
  a = "A-Za-z", d = "0-9", l = "a-z", u = "A-Z", w = "A-Za-z0-9", x = "0-9A-Fa-f", s = " \\t\\n\\v\\f\\r",
  c = "\\x00-\\x1f\\x7f", z = "\\x00", g = "!-~", p = "!-\\/:-@\\[-`{-~",
}

local function literal(c, inside)
  if c:find "^[%w_ ]$" then return c end
  local byte = c:byte()
  if byte < 32 or byte == 127 then return ("\\x%02x"):format(byte) end
  if byte >= 128 then return c end
  if inside then return c:find "[%]%[\\^-]" and "\\" .. c or c end
  return c:find "[%^%$\\%.%*%+%?%(%)%[%]{}|/]" and "\\" .. c or c
end

--- One class such as %d, as the inside of a set; and whether it takes bytes beyond ASCII.
local function class_of(letter)
  local lower = letter:lower()
  if not classes[lower] then return nil end
  return classes[lower], letter ~= lower
end

local function malformed(what) error({malformed = what}, 0) end

--- A range such as a-z, or a character, at `i` of a set: its text, or nil if it has none; and what comes next.
local function set_member(p, i)
  local c = p:sub(i, i)
  if c == "%" then
    c = p:sub(i + 1, i + 1)
    if c == "" then malformed "ends with '%'" end
    local inside, wide = class_of(c)
    if inside then return not wide and inside or nil, i + 2 end
    return c:byte() < 128 and literal(c, true) or nil, i + 2
  end
  local last = p:sub(i + 2, i + 2)
  if p:sub(i + 1, i + 1) == "-" and last ~= "]" and last ~= "" then
    if last == "%" then return nil, i + 2 end -- Lua takes the "%" itself as the end of the range
    local fine = c:byte() < 128 and last:byte() < 128 and c <= last
    return fine and literal(c, true) .. "-" .. literal(last, true) or nil, i + 3
  end
  return c:byte() < 128 and literal(c, true) or nil, i + 1
end

--- The set at `i`, where the "[" is: an item, and what comes next.
local function parse_set(p, i)
  local negated = p:sub(i + 1, i + 1) == "^"
  local parts, exact = {}, true
  i = i + (negated and 2 or 1)
  local first = i
  while i == first or p:sub(i, i) ~= "]" do
    if i > #p then malformed "misses a ']'" end
    local text
    text, i = set_member(p, i)
    exact = exact and text ~= nil
    table.insert(parts, text)
  end
  local text = exact and ("[%s%s]"):format(negated and "^" or "", table.concat(parts)) or nil
  return {text = text, wide = negated}, i + 1
end

local function parse_escape(p, i)
  local c = p:sub(i + 1, i + 1)
  if c == "" then malformed "ends with '%'" end
  if c == "b" then
    if #p < i + 3 then malformed "misses the arguments of '%b'" end
    return {special = true}, i + 4
  end
  if c == "f" then
    if p:sub(i + 2, i + 2) ~= "[" then malformed "misses a '[' after '%f'" end
    local _, after = parse_set(p, i + 2)
    return {special = true}, after
  end
  if c:find "%d" then return {special = true, back = tonumber(c)}, i + 2 end
  local inside, wide = class_of(c)
  if inside then return {text = ("[%s%s]"):format(wide and "^" or "", inside), wide = wide}, i + 2 end
  return {text = literal(c), byte = c:byte()}, i + 2
end

--- One item at `i`, without what repeats it.
local function parse_single(p, i)
  local c = p:sub(i, i)
  if c == "%" then return parse_escape(p, i) end
  if c == "[" then return parse_set(p, i) end
  if c == "." then return {text = "[\\s\\S]", wide = true}, i + 1 end
  return {text = literal(c), byte = c:byte()}, i + 1
end

--- Captures open and close; a back reference has to name one that is closed.
local function check_capture(item, open, closed)
  if item.open then
    table.insert(open, #open + #closed + 1)
  elseif item.close then
    if not open[1] then malformed "has a ')' without its '('" end
    table.insert(closed, table.remove(open))
  elseif item.back then
    for _, n in ipairs(closed) do
      if n == item.back then return end
    end
    malformed(("refers to the capture %%%d, which is not closed there"):format(item.back))
  end
end

local function parse_item(p, i)
  local c = p:sub(i, i)
  if c == "(" then
    if p:sub(i + 1, i + 1) == ")" then return {special = true}, i + 2 end
    return {open = true, text = "(?:"}, i + 1
  end
  if c == ")" then return {close = true, text = ")"}, i + 1 end
  if c == "$" and i == #p then return {text = "$"}, i + 1 end
  local item, after = parse_single(p, i)
  local repeated = p:sub(after, after)
  if not item.special and repeated:find "^[*+?-]" then
    item.times = repeated
    after = after + 1
  end
  return item, after
end

--- The items of a pattern. Raises {malformed = text}.
local function parse(p)
  local items, open, closed, i = {}, {}, {}, 1
  if p:sub(1, 1) == "^" then
    items[1] = {text = "^"}
    i = 2
  end
  while i <= #p do
    local item
    item, i = parse_item(p, i)
    check_capture(item, open, closed)
    table.insert(items, item)
  end
  if open[1] then malformed "has a '(' without its ')'" end
  return items
end

--- Why the item cannot be translated exactly, given how many characters its neighbours need; or the new count.
-- In a run of items that take bytes beyond ASCII, one may ask for "at least one": with two, the bytes of a single
-- character would satisfy both.
local function count_wide(item, needed)
  if item.special or not item.text then return nil end
  local beyond = item.byte and item.byte >= 128
  if beyond then return not item.times and 0 or nil end
  if item.wide then
    if item.times == "*" or item.times == "-" then return needed end
    if item.times ~= "+" or needed > 0 then return nil end
    return 1
  end
  local may_be_empty = item.open or item.close or (item.times and item.times ~= "+")
  return may_be_empty and needed or 0
end

local times = {["*"] = "*", ["+"] = "+", ["?"] = "?", ["-"] = "*"}

---@param p string a Lua pattern
---@return string|false|nil ecma the regular expression; false if there is none that means the same; nil if malformed
---@return string? problem what is malformed
function M.translate(p)
  local fine, items = pcall(parse, p)
  if not fine then
    if type(items) ~= "table" then error(items, 0) end
    return nil, items.malformed
  end
  if not utf8.len(p) then return false end
  local parts, needed = {}, 0
  for _, item in ipairs(items) do
    needed = count_wide(item, needed)
    if not needed then return false end
    table.insert(parts, item.text .. (times[item.times] or ""))
  end
  return table.concat(parts)
end

return M
