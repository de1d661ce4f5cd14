--- The fields of a machine-readable (DEP-5) copyright file, and what they say.

local re = require "re"
local grammar = require "copyrights.grammar"
local licences = require "copyrights.licences"
local statements = require "copyrights.statements"

local M = {}

-- A file is fields, and lines that are none (blank ones part the paragraphs).
-- A field goes on over the lines that begin with space.
local fields = re.compile([[
  file   <- {| (field / line)* |}
  field  <- {| {:name: name :} ":" [ %tab]* {:first: {} :} rest (%nl [ %tab] rest)* {:after: {} :} |}
            (%nl / !.)
  name   <- [A-Za-z] [A-Za-z0-9-]*
  rest   <- [^%nl]*
  line   <- rest %nl / . rest
]], { tab = "\t" })

--- True if `source` declares itself machine-readable, near its beginning.
---@param source string
function M.is(source)
  return ("\n" .. source:sub(1, 2000)):find "\n\239?\187?\191?[Ff]ormat[%a-]*:" ~= nil
end

--- The fields of a file, in their order: names in lower case, values as they are written.
---@param source string
---@return {name: string, value: string}[]
function M.fields(source)
  local list = {}
  for i, field in ipairs(fields:match(source)) do
    list[i] = {name = field.name:lower(), value = source:sub(field.first, field.after - 1)}
  end
  return list
end

-- Appends the statements of source:sub(first, last), with spans in `source`.
local function collect(found, source, first, last, way)
  for _, statement in ipairs(statements.of(source:sub(first, last), way)) do
    statement.first, statement.last = statement.first + first - 1, statement.last + first - 1
    found[#found + 1] = statement
  end
end

--- The statements and the licence names of a DEP-5 file. A Copyright field is
--- a list of holders; what is between two of them is read as free text.
---@param source string
---@return Statement[] statements
---@return string[] licences
function M.read(source)
  local found, names, seen, after = {}, {}, {}, 1
  for _, field in ipairs(fields:match(source)) do
    local name = field.name:lower()
    if name == "copyright" then
      collect(found, source, after, field.first - #field.name - 2)
      collect(found, source, field.first, field.after - 1, grammar.field)
      after = field.after
    elseif name == "license" then
      local value = source:sub(field.first, field.after - 1)
      for _, licence in ipairs(licences.named(value)) do licences.add(names, seen, licence) end
    end
  end
  collect(found, source, after, #source)
  return found, names
end

return M
