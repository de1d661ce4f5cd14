--- Where the items of a pipeline come from. A source is a table: open() returns an iterator over value, key (a string
--- that stays the same from run to run; nil: the position, and a fingerprint of the value), and what closes it, if
--- anything has to; `total`, if it is known.
local csv = require "muster.csv"
local failure = require "muster.failure"
local fs = require "muster.fs"
local json = require "muster.json"

local M = {}

---@class muster.pipeline.source
---@field name string
---@field total integer?
---@field open fun(): (fun(): any, string?), table?
local Source = {}
Source.__index = Source
Source.__name = "pipeline.source"

local function source(name, open, total) return setmetatable({name = name, open = open, total = total}, Source) end

---@return boolean
function M.is(value) return getmetatable(value) == Source end

-- ---- in memory ----

--- The values of a list, none of them nil.
---@param list any[]
---@return muster.pipeline.source
function M.list(list)
  if type(list) ~= "table" then error("source.list: expected a list, got " .. type(list), 2) end
  return source("a list", function()
    local i = 0
    return function()
      i = i + 1
      return list[i]
    end
  end, #list)
end

--- What an iterator gives: value, key. It can be gone through once.
---@param step fun(...): any, string?
---@param state any
---@param control any
---@param closing any
---@return muster.pipeline.source
function M.iterator(step, state, control, closing)
  local mt = type(step) ~= "function" and getmetatable(step)
  if type(step) ~= "function" and not (type(mt) == "table" and mt.__call) then
    error("source.iterator: expected a function, got " .. type(step), 2)
  end
  return source("an iterator", function()
    return function()
      local value, key = step(state, control)
      control = value
      if value == nil then return nil, key end -- the end; or what went wrong
      return value, type(key) == "string" and key or nil
    end, closing
  end)
end

-- ---- files ----

local function at_line(path, line, err)
  return failure.new("source", ("%s:%d"):format(path, line), err.message or tostring(err), {path = path, line = line})
end

--- What an iterator gives; what it raises, if it is of one of the kinds, says where: place() is a name in front of it.
local function placed(kinds, place, step, state, control)
  return function()
    local ok, value = pcall(step, state, control)
    if ok then return value end
    if type(value) == "table" and kinds[value.kind] then value = failure.new(value.kind, place(), value.message) end
    error(value, 0)
  end
end

--- Lines, of which one that is too long has a number.
local function numbered(path, step, state, control)
  local n = 0
  local lines = placed({too_large = true}, function() return ("%s:%d"):format(path, n + 1) end, step, state, control)
  return function()
    local line = lines()
    n = n + 1
    return line
  end
end

--- Values of lines of JSON; empty lines are left out.
local function jsonl_values(path, lines)
  local n = 0
  return function()
    for line in lines do
      n = n + 1
      if line:find "%S" then
        local value, err = json.decode(line)
        if value == nil then error(at_line(path, n, err), 0) end
        return value
      end
    end
  end
end

local function of_lines(name, path, read)
  failure.check_path("source." .. name, path)
  return source(path, function()
    local lines, state, control, closing = fs.lines(path)
    return read(path, numbered(path, lines, state, control)), closing
  end)
end

--- The values of a file of JSON lines.
---@param path string
---@return muster.pipeline.source
function M.jsonl(path) return of_lines("jsonl", path, jsonl_values) end

--- The lines of a file.
---@param path string
---@return muster.pipeline.source
function M.lines(path)
  return of_lines("lines", path, function(_, lines) return lines end)
end

--- The rows of a file of comma-separated values, as `muster.csv` reads them.
---@param path string
---@param opts {header: boolean?, separator: string?}?
---@return muster.pipeline.source
function M.csv(path, opts)
  failure.check_path("source.csv", path)
  csv.rows("", opts) -- raises what is wrong with them
  return source(path, function()
    local chunks, state, control, closing = fs.chunks(path)
    local rows = csv.rows(function() return chunks(state, control) end, opts)
    return placed({csv = true, too_large = true}, function() return path end, rows), closing
  end)
end

local function identity(path, stat) return ("%s %d %.6f"):format(path, stat.size, stat.mtime) end

--- Files, by a pattern of `fs.glob` or as a list of paths. The value is the path; the key also says its size and when
--- it was changed, so that a file that has changed is another item.
---@param pattern string|string[]
---@return muster.pipeline.source
function M.files(pattern)
  if type(pattern) ~= "string" and type(pattern) ~= "table" then
    error("source.files: expected a pattern or a list of paths, got " .. type(pattern), 2)
  end
  return source(type(pattern) == "string" and pattern or "files", function()
    local paths, i = type(pattern) == "table" and pattern or fs.glob(pattern), 0
    return function()
      i = i + 1
      local path = paths[i]
      if not path then return nil end
      local stat = fs.stat(path)
      return path, stat and identity(path, stat) or path
    end
  end, type(pattern) == "table" and #pattern or nil)
end

--- The rows of a query on an open `muster.store`.
---@param db muster.store
---@param sql string
---@param ... any its parameters
---@return muster.pipeline.source
function M.query(db, sql, ...)
  if type(sql) ~= "string" then error("source.query: expected SQL, got " .. type(sql), 2) end
  local parameters = table.pack(...)
  return source("a query", function()
    local step, state, control, closing = db:query(sql, table.unpack(parameters, 1, parameters.n))
    return function() return step(state, control) end, closing
  end)
end

--- Standard input, by lines: texts, or values of JSON.
---@param format "lines"|"jsonl"|nil
---@return muster.pipeline.source
function M.stdin(format)
  if format ~= nil and format ~= "lines" and format ~= "jsonl" then
    error('source.stdin: expected "lines" or "jsonl", got ' .. tostring(format), 2)
  end
  return source("standard input", function()
    local step, state, control, closing = require "muster.stdio".stdin:lines()
    local lines = numbered("standard input", step, state, control)
    return format == "jsonl" and jsonl_values("standard input", lines) or lines, closing
  end)
end

--- Makes a source of what a script gives: one already, a list, or an iterator.
---@return muster.pipeline.source?
function M.of(value)
  if M.is(value) then return value end
  local mt = getmetatable(value)
  if type(value) == "function" or type(mt) == "table" and mt.__call then return M.iterator(value) end
  if type(value) == "table" then return M.list(value) end
end

return M
