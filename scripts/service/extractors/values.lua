--- For schemas that no extractor knows: single values, found by their name or by their look.

local M = {}

local formats = {
  email = "[%w.+-]+@[%w-]+%.[%w.-]*%w",
  uri = "%a[%w+.-]*://[^%s<>\"]+",
  date = "%d%d%d%d%-%d%d%-%d%d",
  ["date-time"] = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%w:.+-]*",
  time = "%d%d:%d%d:?%d?%d?",
  ipv4 = "%d+%.%d+%.%d+%.%d+",
}

local function either_case(letter) return ("[%s%s]"):format(letter:lower(), letter:upper()) end

--- As a pattern that takes "first_name" for "First name" too. nil if there are no words in it.
local function pattern_of(name)
  local words = {}
  for word in name:gmatch "%w+" do words[#words + 1] = word:gsub("%a", either_case) end
  return words[1] and table.concat(words, "[%s_-]+")
end

--- What follows "name:" or "name =", to the end of the line.
---@param name string?
---@param text string
---@return string?
function M.labelled(name, text)
  local pattern = name and pattern_of(name)
  if not pattern then return nil end
  local found = ("\n" .. text):match("[^%w_]" .. pattern .. "[ \t]*[:=][ \t]*([^\n]+)")
  found = found and found:gsub("[%s,;]+$", "")
  return found ~= "" and found or nil
end

local function whole(number) return math.tointeger(number) end

--- The number after the name, or else the first of the text.
local function number(schema, name, text)
  local digits = (M.labelled(name, text) or text):match "%-?%d[%d]*%.?%d*"
  local value = tonumber((digits or ""):match "^(.-)%.?$")
  if schema.type == "integer" then return value and whole(value // 1) end
  return value
end

local truths = {yes = true, ["true"] = true, no = false, ["false"] = false}

local function boolean(_, name, text)
  local word = (M.labelled(name, text) or ""):match "^%a+"
  return word and truths[word:lower()]
end

--- The first sentence, cut to 200 bytes at most, and never inside a character.
local function sentence(text)
  local first = text:match "^%s*([^\n]-[.!?])%s" or text:match "^%s*([^\n]*)"
  if #first <= 200 then return first end
  return first:sub(1, utf8.offset(first, 0, 201) - 1)
end

local function text_value(schema, name, text)
  local labelled = M.labelled(name, text)
  if schema.format and formats[schema.format] then return (labelled or text):match(formats[schema.format]) end
  if labelled then return (labelled:gsub("^\"(.*)\"$", "%1")) end
end

--- One of the words of an enum that is in the text as a word.
---@return any?
function M.one_of(choices, name, text)
  for _, place in ipairs {M.labelled(name, text) or "", text} do
    local lower = " " .. place:lower() .. " "
    for _, choice in ipairs(choices) do
      local word = tostring(choice):lower():gsub("%W", "%%%0")
      if lower:find("[^%w_]" .. word .. "[^%w_]") then return choice end
    end
  end
end

local finders = {integer = number, number = number, boolean = boolean, string = text_value}

--- What the text has for a schema of a single value, or nil.
---@param schema table with `type`
---@param name string? of the property
---@param text string
---@return any?
function M.find(schema, name, text)
  local finder = finders[schema.type]
  return finder and finder(schema, name, text)
end

--- What stands in for a value that was not found, where there must be one.
---@return any
function M.substitute(schema, text)
  if schema.enum then return schema.enum[1] end
  if schema.type == "string" then return schema.format and "" or sentence(text) end
  if schema.type == "integer" or schema.type == "number" then return 0 end
  if schema.type == "boolean" then return false end
end

return M
