--- Copyright statements of the simple kind, "Copyright (c) 1999-2004, 2007 Jane Doe <jane@example.org>"; of a text that
--- has none, its authors. And licences, by the words they are known by.
local re = require "re"

local M = {}

local grammar = re.compile [[
  found  <- {| (hit / .)* |}
  hit    <- {| {:first: {} :} mark (" "+ mark)* ","? " "* {:years: {| years |} :} " "*
               ("by" " "+)? holder {:after: {} :} |}
  mark   <- [Cc] "opyright" ":"? / "(" [Cc] ")" / "©"
  years  <- year (" "* [-,] " "* year)* ","?
  year   <- {| {:text: {[12] [0-9] [0-9] [0-9]} :} |}
  holder <- {:holder: (!(" "* ("<" / %nl / "." (%s / !.) / "All rights")) .)+ :}
]]

-- "Upstream Author(s): Jane Doe <jane@example.org>", "was written by Jane Doe": first, name, after.
local authors = {"[Aa]uthors?:%s*()(%u[^%c<>(),;:]*)()", "[Aa]uthor%(s%):%s*()(%u[^%c<>(),;:]*)()",
  "[Ww]ritten by%s+()(%u[%w.'-]* [%w .'-]*)()"}

-- What a text says that has no name for its licence, and what that is called.
local known = {
  {"granted to use or copy this program%s+for any purpose", "Boehm-GC"},
  {"grant permission to use, copy, modify, distribute,%s+and license this software", "TCL"},
}

local fields = {
  holder = "holder", owner = "holder", author = "holder",
  years = "years", year = "year", first_year = "year", last_year = "last_year",
  licence = "licence", license = "licence",
  statement = "quote", quote = "quote", source = "quote",
}

function M.matches(schema)
  local has = {}
  for name in pairs(schema.properties or {}) do has[fields[name] or ""] = true end
  if has.licence then return has.quote or false end
  return has.holder and (has.years or has.year or has.quote) and true or false
end

local function type_of(schema)
  local kind = type(schema) == "table" and schema.type
  return type(kind) == "table" and kind[1] or kind
end

--- The years as the schema wants them: a list of numbers or strings, a number, or a text.
local function years_as(schema, hit, text)
  local list = {}
  for i, year in ipairs(hit.years) do list[i] = math.tointeger(tonumber(year.text)) end
  if type_of(schema) ~= "array" then
    return text:sub(hit.first, hit.after - 1):match "[12]%d%d%d[%d%s,-]*%d" or tostring(list[1])
  end
  if type_of(schema.items) ~= "string" then return list end
  for i, year in ipairs(list) do list[i] = tostring(year) end
  return list
end

local function year_as(schema, year)
  return type_of(schema) == "string" and year.text or math.tointeger(tonumber(year.text))
end

local function named(schema, hit, text)
  local found = {}
  for name, wanted in pairs(schema.properties) do
    local field = fields[name]
    if field == "years" then found[name] = years_as(wanted, hit, text)
    elseif field == "year" then found[name] = year_as(wanted, hit.years[1])
    elseif field == "last_year" then found[name] = year_as(wanted, hit.years[#hit.years])
    elseif field == "holder" then found[name] = hit.holder
    elseif field == "quote" then found[name] = text:sub(hit.first, hit.after - 1) end
  end
  return found
end

local function is_of_licences(schema)
  for name in pairs(schema.properties) do
    if fields[name] == "licence" then return true end
  end
  return false
end

--- "the Info-ZIP license" is called Info-ZIP; else by the words of its text.
local function licences_in(text)
  local found = {}
  for first, name, after in text:gmatch "[Tt]he%s+()(%u[%w.+-]*)%s+[Ll]icen[cs]e()" do
    if name ~= "License" and name ~= "Licence" then found[1] = {name, first, after} break end
  end
  for _, one in ipairs(known) do
    local first, last = text:find(one[1])
    if first and not found[1] then found[1] = {one[2], first, last + 1} end
  end
  return found
end

local function all_licences(schema, text)
  local list = {}
  for i, hit in ipairs(licences_in(text)) do
    list[i] = {}
    for name in pairs(schema.properties) do
      if fields[name] == "licence" then list[i][name] = hit[1] end
      if fields[name] == "quote" then list[i][name] = text:sub(hit[2], hit[3] - 1) end
    end
  end
  return list
end

--- Hits without years.
local function authors_in(text)
  local hits = {}
  for _, pattern in ipairs(authors) do
    for first, name, after in text:gmatch(pattern) do
      local holder = name:gsub("[%s.]+$", "")
      hits[#hits + 1] = {holder = holder, years = {}, first = first, after = after - #name + #holder}
    end
  end
  return hits
end

local function wants_years(schema)
  for name in pairs(schema.properties) do
    if (fields[name] or ""):find "year" then return true end
  end
  return false
end

function M.extract_all(schema, text)
  if is_of_licences(schema) then return all_licences(schema, text) end
  local found, hits = {}, grammar:match(text)
  if not hits[1] and not wants_years(schema) then hits = authors_in(text) end
  for i, hit in ipairs(hits) do found[i] = named(schema, hit, text) end
  return found
end

function M.extract(schema, text) return M.extract_all(schema, text)[1] end

return M
