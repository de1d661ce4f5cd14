--- Grounding: are quotes in the text they are said to be from, and where?
local M = {}

local find, sub = string.find, string.sub

-- ---- spaces ----

-- White space of ASCII, and that of Unicode that models make plain: no-break and typographic spaces.
local wide = {"\u{A0}", "\u{1680}", "\u{202F}", "\u{205F}", "\u{3000}", "\u{2028}", "\u{2029}"}
for code = 0x2000, 0x200A do wide[#wide + 1] = utf8.char(code) end
local is_wide = {}
for _, space in ipairs(wide) do is_wide[space] = true end

--- The position behind the white space at `at`.
local function after_space(text, at)
  while true do
    local _, last = find(text, "^%s+", at)
    if last then
      at = last + 1
    elseif is_wide[sub(text, at, at + 2)] then
      at = at + 3
    elseif is_wide[sub(text, at, at + 1)] then
      at = at + 2
    else
      return at
    end
  end
end

local function words_of(quote)
  for _, space in ipairs(wide) do quote = quote:gsub(space, " ") end
  local words = {}
  for word in quote:gmatch "%S+" do words[#words + 1] = word end
  return words
end

--- Where the words that follow the first end, if they are there, whatever white space is between them.
local function match_rest(text, words, at)
  for i = 2, #words do
    local start = after_space(text, at)
    local word = words[i]
    if start == at or sub(text, start, start + #word - 1) ~= word then return nil end
    at = start + #word
  end
  return at - 1
end

local function find_words(text, words, from)
  local first = words[1]
  while true do
    local start, last = find(text, first, from, true)
    if not start then return nil end
    local stop = match_rest(text, words, last + 1)
    if stop then return start, stop end
    from = start + 1
  end
end

--- Where a quote is in a text: exactly, else with other white space. Positions of its first and last byte.
---@param text string
---@param quote string
---@param from integer?
---@return integer? first
---@return integer? last
function M.locate(text, quote, from)
  if quote == "" then return nil end
  from = from or 1
  local first, last = find(text, quote, from, true)
  if first then return first, last end
  local words = words_of(quote)
  if not words[1] then return nil end
  return find_words(text, words, from)
end

-- ---- codepoints ----

local BLOCK = 65536

local function count(text, first, last)
  local _, n = sub(text, first, last):gsub("[^\x80-\xBF]", "")
  return n
end

--- A function that tells the codepoint at a byte. It keeps the counts of blocks, as far as it was asked.
local function counter(text)
  local before = {[0] = 0} -- codepoints before each block
  return function(position)
    local block = (position - 1) // BLOCK
    for i = #before + 1, block do before[i] = before[i - 1] + count(text, (i - 1) * BLOCK + 1, i * BLOCK) end
    return before[block] + count(text, block * BLOCK + 1, position)
  end
end

-- ---- records ----

---@class muster.llm.span
---@field path string of the field, such as "people[2].quote"
---@field text string as it is in the source
---@field first integer its first byte
---@field last integer its last byte
---@field from integer its first codepoint
---@field to integer its last codepoint

local function step(path, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(path, key) end
  return path == "" and tostring(key) or path .. "." .. tostring(key)
end

--- The keys of a table in an order: of a list, else of the alphabet.
local function ordered_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- Calls visit(text, path, field) for each string; `field` is the path without positions.
local function each_string(value, path, field, visit)
  if type(value) == "string" then return visit(value, path, field) end
  if type(value) ~= "table" then return end
  for _, key in ipairs(ordered_keys(value)) do
    local inner = math.type(key) == "integer" and field or step(field, key)
    each_string(value[key], step(path, key), inner, visit)
  end
end

local function set_of(fields)
  local set = {}
  for _, name in ipairs(fields) do set[(name:gsub("%[%d*%]", ""))] = true end
  return set
end

local EXPECTED = "a quote from the text, word for word"

local function problem(path, quote)
  local shown = #quote > 60 and sub(quote, 1, utf8.offset(quote, 0, 61) - 1) .. "…" or quote
  return {path = path, kind = "grounding", expected = EXPECTED, got = ("%q"):format(shown),
          message = ("expected %s, got %q, which is not in it"):format(EXPECTED, shown)}
end

---@class muster.llm.ground a source, and which of its places were mentioned
local Ground = {}
Ground.__index = Ground

---@param source string
---@return muster.llm.ground
function M.new(source)
  return setmetatable({source = source, next_place = {}, last_place = {}, codepoint = counter(source)}, Ground)
end

--- The place of a quote of a field: the next one after the last that was mentioned; else that one again.
function Ground:place(field, quote)
  local key = field .. "\0" .. quote
  local first, last = M.locate(self.source, quote, self.next_place[key])
  if first then
    self.next_place[key], self.last_place[key] = last + 1, {first, last}
  elseif self.last_place[key] then
    first, last = table.unpack(self.last_place[key])
  end
  return first, last
end

--- Locates the quotes of a record. The second mention of a text is its second place in the source, and so on, also over
--- several records; one more than there are places is at the last.
---@param value any
---@param fields string[]|true paths of fields, such as "people.quote"; true: every string
---@return muster.llm.span[] spans in order
---@return table[] problems as those of a schema
function Ground:check(value, fields)
  local wanted = fields ~= true and set_of(fields)
  local spans, problems = {}, {}
  each_string(value, "", "", function(quote, path, field)
    if wanted and not wanted[field] then return end
    local first, last = self:place(field, quote)
    if not first then
      problems[#problems + 1] = problem(path, quote)
      return
    end
    spans[#spans + 1] = {path = path, text = sub(self.source, first, last), first = first, last = last,
                         from = self.codepoint(first), to = self.codepoint(last)}
  end)
  return spans, problems
end

--- The same for one record.
---@param value any
---@param source string
---@param fields string[]|true
function M.check(value, source, fields) return M.new(source):check(value, fields) end

return M
