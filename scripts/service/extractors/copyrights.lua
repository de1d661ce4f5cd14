--- Copyright statements of the simple kind: "Copyright (c) 1999-2004, 2007 Jane Doe <jane@example.org>".
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

local fields = {
  holder = "holder", owner = "holder", author = "holder",
  years = "years", year = "year", first_year = "year", last_year = "last_year",
  statement = "quote", quote = "quote", source = "quote",
}

function M.matches(schema)
  local has = {}
  for name in pairs(schema.properties or {}) do has[fields[name] or ""] = true end
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

function M.extract_all(schema, text)
  local found = {}
  for i, hit in ipairs(grammar:match(text)) do found[i] = named(schema, hit, text) end
  return found
end

function M.extract(schema, text) return M.extract_all(schema, text)[1] end

return M
