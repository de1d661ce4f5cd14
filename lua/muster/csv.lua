--- Comma-separated values, as RFC 4180 has them: read from texts that come in pieces, and written.
--
--   for row in csv.rows(read) do print(row.name, row[1]) end
--   out:write(csv.line {"a", 5, "with \"quotes\""})
local failure = require "muster.failure"
local options = require "muster.options"

local M = {}

local byte, find, sub = string.byte, string.find, string.sub
local QUOTE <const> = 34
local MOST <const> = 64 * 1024 * 1024 -- bytes of a row: a quote that nothing closes does not read all there is

local known = {
  header = options.kinds.flag,
  separator = {function(v) return type(v) == "string" and #v == 1 and not v:find '["\r\n]' end,
    "one byte, neither a quote nor a line end"},
}

-- ---- reading ----

--- What a reader has: text that was read and not yet used, and where in it the next field begins.
---@class muster.csv.reader
local Reader = {}
Reader.__index = Reader

--- More text; false at the end.
local function more(self)
  local piece = self.read()
  if not piece then return false end
  self.text = sub(self.text, self.at) .. piece
  if #self.text > MOST + #piece then
    error(failure.new("too_large", "line " .. self.line, ("a row of more than %d bytes"):format(MOST)), 0)
  end
  self.at = 1
  return true
end

local function fail(self, text)
  error(failure.new("csv", "line " .. self.line, text, {line = self.line}), 0)
end

--- The end of a quoted field: where its closing quote is.
local function closing_quote(self)
  local from = self.at + 1
  while true do
    local at = find(self.text, '"', from, true)
    if at and (byte(self.text, at + 1) or self.over) then
      if byte(self.text, at + 1) ~= QUOTE then return at end
      from = at + 2
    else
      local used = (at or #self.text + 1) - self.at
      if not self.over and not more(self) then self.over = true end
      if self.over and not at then fail(self, "a quoted field does not end") end
      from = self.at + used
    end
  end
end

local function take_quoted(self)
  local last = closing_quote(self)
  local field = sub(self.text, self.at + 1, last - 1)
  self.at = last + 1
  self.line = self.line + select(2, field:gsub("\n", ""))
  return (field:gsub('""', '"'))
end

--- Up to the separator or the line's end, which stays.
local function take_plain(self)
  local from = self.at
  while true do
    local at = find(self.text, self.stop, from)
    if at then
      local field = sub(self.text, self.at, at - 1)
      self.at = at
      return field
    end
    local used = #self.text + 1 - self.at
    if self.over or not more(self) then
      self.over = true
      local field = sub(self.text, self.at)
      self.at = #self.text + 1
      return field
    end
    from = self.at + used
  end
end

--- Is there a byte to look at?
local function peek(self)
  local c = byte(self.text, self.at)
  if c or self.over then return c end
  if more(self) then return peek(self) end
  self.over = true
end

--- What comes after a field: true if the row goes on.
local function take_end(self)
  local c = peek(self)
  self.at = self.at + 1
  if c == self.separator then return true end
  if c == 13 then
    if peek(self) == 10 then self.at = self.at + 1 end
  elseif c and c ~= 10 then
    fail(self, "after a closing quote expected a separator or the end of the line")
  end
  self.line = self.line + 1
  return false
end

--- The fields of the next row; nil at the end.
local function take_row(self)
  if not peek(self) then return nil end
  local row, n = {}, 0
  repeat
    n = n + 1
    row[n] = peek(self) == QUOTE and take_quoted(self) or take_plain(self)
  until not take_end(self)
  return row
end

--- Names for the fields of a row, beside their positions.
local function name_fields(self, row)
  if #row ~= #self.names then
    fail(self, ("expected %d fields as in the head, got %d"):format(#self.names, #row))
  end
  for i, name in ipairs(self.names) do row[name] = row[i] end
  return row
end

local function is_empty(row) return #row == 1 and row[1] == "" end

function Reader:__call()
  local row
  repeat row = take_row(self) until not row or not is_empty(row)
  if not row then return nil end
  if not self.header then return row end
  if self.names then return name_fields(self, row) end
  self.names = row
  return self()
end

--- Iterates over the rows of a text that comes in pieces: each a list of strings, which has them by the names of the
--- first row, too. Empty lines are left out. What is not CSV raises an error of kind "csv", with its line.
---@param read fun(): string? the next piece, nil at the end; or the whole text
---@param opts {header: boolean?, separator: string?}? header=false: the first row is one as the others
---@return fun(): table?
function M.rows(read, opts)
  opts = options.check("csv.rows", opts, known)
  local text = ""
  if type(read) == "string" then
    text, read = read, function() end
  elseif type(read) ~= "function" then
    error("csv.rows: expected a text or a function that gives pieces of it, got " .. type(read), 2)
  end
  local separator = opts.separator or ","
  return setmetatable({read = read, text = text, at = 1, line = 1, header = opts.header ~= false,
    separator = byte(separator), stop = "[\r\n%" .. separator .. "]"}, Reader)
end

-- ---- writing ----

local function field_text(value, i)
  if value == nil then return "" end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    error(("csv.line: field %d must be a string, a number or a boolean, got %s"):format(i, kind), 3)
  end
  return tostring(value)
end

--- A row as a line, with its end. Nil is an empty field.
---@param row table a list; `n`, if it is there, says how long it is
---@param opts {separator: string?}?
---@return string
function M.line(row, opts)
  local separator = opts and options.check("csv.line", opts, known).separator or ","
  local fields, n = {}, row.n or #row
  for i = 1, n do
    local text = field_text(row[i], i)
    if find(text, '["\r\n]') or find(text, separator, 1, true) or n == 1 and text == "" then
      text = '"' .. text:gsub('"', '""') .. '"'
    end
    fields[i] = text
  end
  return table.concat(fields, separator) .. "\n"
end

return M
