--- A file's bytes to its record, and a record to a line of JSON. Pure: no I/O.

local cjson = require "cjson"
local dep5 = require "copyrights.dep5"
local licences = require "copyrights.licences"
local statements = require "copyrights.statements"

local M = {}

---@class Record
---@field file string
---@field format? "dep5"|"free"
---@field encoding? "latin1"    where the file is not UTF-8; spans count its own bytes
---@field bytes? integer
---@field statements? Statement[]
---@field licences? string[]
---@field error? string         the only other field of a file that could not be read

local function to_utf8(latin1)
  return (latin1:gsub("[\128-\255]", function(char) return utf8.char(char:byte()) end))
end

-- JSON is UTF-8: the texts of a Latin-1 file are converted, the spans are not.
local function convert(found)
  for _, statement in ipairs(found) do
    statement.holder = statement.holder and to_utf8(statement.holder)
    statement.text = to_utf8(statement.text)
  end
end

--- The record of a file that could not be read.
---@return Record
function M.failure(file, message)
  return { file = utf8.len(file) and file or to_utf8(file), error = message }
end

-- What keeps `source` from being text, if anything does.
local function objection(source)
  if source == "" then return "empty" end
  if source:find("\0", 1, true) then return "binary (it holds NUL bytes)" end
end

--- The record of the file named `file` that holds `source`.
---@param file string
---@param source string
---@return Record
function M.of(file, source)
  local problem = objection(source)
  if problem then return M.failure(file, problem) end
  local record = M.failure(file)
  record.format, record.bytes = dep5.is(source) and "dep5" or "free", #source
  if record.format == "dep5" then
    record.statements, record.licences = dep5.read(source)
  else
    record.statements, record.licences = statements.of(source), licences.mentioned(source)
  end
  if not utf8.len(source) then
    record.encoding = "latin1"
    convert(record.statements)
    for i, name in ipairs(record.licences) do record.licences[i] = to_utf8(name) end
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
  local file = quote(record.file)
  if record.error then return ('{"file":%s,"error":%s}'):format(file, quote(record.error)) end
  return ('{"file":%s,"format":"%s",%s"bytes":%d,"statements":%s,"licences":%s}'):format(
    file, record.format, record.encoding and '"encoding":"latin1",' or "", record.bytes,
    encode_list(record.statements, encode_statement), encode_list(record.licences, quote))
end

return M
