--- A file's bytes to its record, and a record to a line of JSON. Pure: no I/O.

local cjson = require "cjson"
local dep5 = require "copyrights.dep5"
local licences = require "copyrights.licences"
local schema = require "muster.schema"
local statements = require "copyrights.statements"
local utf = require "copyrights.utf"

local M = {}

---@class Record
---@field file string
---@field format "dep5"|"free"
---@field encoding? "latin1"    where the file is not UTF-8; spans count its own bytes
---@field bytes integer
---@field asked? string[]       those of "statements" and "licences" that a language model has answered
---@field statements Statement[]
---@field licences string[]

local some, place = schema.string {min_length = 1}, schema.integer {min = 1}
local year = schema.integer {min = 1900, max = 2099}

--- What every record has to be, wherever it comes from.
M.schema = schema.object({
  file = some, format = schema.enum {"dep5", "free"}, encoding = schema.optional(schema.literal "latin1"),
  bytes = place, asked = schema.optional(schema.list(schema.enum {"statements", "licences"})),
  statements = schema.list(schema.object {
    holder = schema.optional(some), emails = schema.list(some),
    years = schema.list(schema.object {from = year, to = schema.union {year, schema.literal "present"}}),
    first = place, last = place, text = some,
  }),
  licences = schema.list(some),
}):named "Record"

-- JSON is UTF-8: the texts of a Latin-1 file are converted, the spans are not.
local function convert(found)
  for _, statement in ipairs(found) do
    statement.holder = statement.holder and utf.of_latin1(statement.holder)
    statement.text = utf.of_latin1(statement.text)
  end
end

-- What keeps `source` from being text, if anything does.
local function objection(source)
  if source == "" then return "empty" end
  if source:find("\0", 1, true) then return "binary (it holds NUL bytes)" end
end

--- The record of the file named `file` that holds `source`; nil and why there is none.
---@param file string
---@param source string
---@return Record?
---@return string? problem
function M.of(file, source)
  local problem = objection(source)
  if problem then return nil, problem end
  local record = {file = utf8.len(file) and file or utf.of_latin1(file), bytes = #source}
  record.format = dep5.is(source) and "dep5" or "free"
  if record.format == "dep5" then
    record.statements, record.licences = dep5.read(source)
  else
    record.statements, record.licences = statements.of(source), licences.mentioned(source)
  end
  if not utf8.len(source) then
    record.encoding = "latin1"
    convert(record.statements)
    for i, name in ipairs(record.licences) do record.licences[i] = utf.of_latin1(name) end
  end
  return record
end

-- JSON by hand, for two things cjson does not give: keys in a fixed order, so
-- that two runs can be compared, and [] for an empty list.
local function quote(text)
  if not text:find '[%c"\\]' then return '"' .. text .. '"' end
  return (cjson.encode(text):gsub("\\/", "/"))
end

local function encode_list(list, encode)
  local parts = {}
  for i, item in ipairs(list) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_years(years)
  local to = years.to == "present" and '"present"' or years.to
  return ('{"from":%d,"to":%s}'):format(years.from, to)
end

local function encode_statement(statement)
  return ('{%s"emails":%s,"years":%s,"first":%d,"last":%d,"text":%s}'):format(
    statement.holder and '"holder":' .. quote(statement.holder) .. "," or "",
    encode_list(statement.emails, quote), encode_list(statement.years, encode_years),
    statement.first, statement.last, quote(statement.text))
end

--- One line of JSON for `record`.
---@param record Record
---@return string
function M.encode(record)
  return ('{"file":%s,"format":"%s",%s"bytes":%d,%s"statements":%s,"licences":%s}'):format(
    quote(record.file), record.format, record.encoding and '"encoding":"latin1",' or "", record.bytes,
    record.asked and '"asked":' .. encode_list(record.asked, quote) .. "," or "",
    encode_list(record.statements, encode_statement), encode_list(record.licences, quote))
end

return M
