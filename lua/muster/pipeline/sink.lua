--- Where the records of a pipeline go. A sink is a table: open() returns a writer, or nil and an error; a writer has
--- write(record, item, part), which returns nil and an error if it failed, and finish(ok, summary). If it has
--- failed(item), it is told of the items that were parked or skipped, too.
local csv = require "muster.csv"
local failure = require "muster.failure"
local fs = require "muster.fs"
local json = require "muster.json"

local M = {}

---@class muster.pipeline.sink
---@field open fun(): table?, muster.error?
---@field path string? the file it writes
local Sink = {}
Sink.__index = Sink
Sink.__name = "pipeline.sink"

local function sink(open, path) return setmetatable({open = open, path = path}, Sink) end

---@return boolean
function M.is(value) return getmetatable(value) == Sink end

-- ---- files ----

local BUFFER <const> = 64 * 1024 -- bytes that are written at once

---@class muster.pipeline.file_writer
local FileWriter = {}
FileWriter.__index = FileWriter

--- Is what is at the path still the file that is being written?
local function check_place(self)
  local stat, err = fs.stat(self.path)
  if not stat and err.kind ~= "not_found" then return nil, err end
  local own = self.file:stat()
  if stat and own and stat.ino == own.ino and stat.dev == own.dev then return true end
  return nil, failure.new("sink", "write " .. self.path, "it was removed or replaced while it was written",
    {path = self.path})
end

function FileWriter:flush()
  local text = table.concat(self.texts)
  self.texts, self.size = {}, 0
  local ok, err = check_place(self)
  if ok and text ~= "" then ok, err = self.file:write(text) end
  if not ok then self.broken = err end
  return ok, err
end

function FileWriter:write(record, item)
  if self.broken then return nil, self.broken end
  local ok, text = pcall(self.text_of, record)
  if not ok then
    text = ("the record of item %d: %s"):format(item.position, (tostring(text):gsub("^%S+%.lua:%d+: ", "")))
    return nil, failure.new("sink", "write " .. self.path, text, {path = self.path})
  end
  self.texts[#self.texts + 1] = text
  self.size = self.size + #text
  if self.size >= BUFFER then return self:flush() end
  return true
end

--- Puts what there is on the disk.
function FileWriter:finish()
  local ok, err = true, self.broken
  if not err then ok, err = self:flush() end
  if ok and not err then ok, err = self.file:sync() end
  self.file:close()
  if err then return nil, err end
  return ok
end

local function file_sink(what, path, text_of)
  failure.check_path(what, path)
  return sink(function()
    local file, err = fs.open(path, "w")
    if not file then return nil, err end
    return setmetatable({path = path, file = file, text_of = text_of(), texts = {}, size = 0}, FileWriter)
  end, path)
end

--- A file of JSON lines, one a record, its keys sorted. It is written anew by each run: what earlier runs have done is
--- in the journal.
---@param path string
---@return muster.pipeline.sink
function M.jsonl(path)
  return file_sink("sink.jsonl", path, function()
    return function(record) return json.encode(record, {canonical = true}) .. "\n" end
  end)
end

--- A file of comma-separated values.
---@param path string
---@param columns string[] names of fields, in their order
---@param opts {header: boolean?, separator: string?}?
---@return muster.pipeline.sink
function M.csv(path, columns, opts)
  if type(columns) ~= "table" or #columns == 0 then error("sink.csv: expected a list of columns", 2) end
  opts = opts or {}
  local form = {separator = opts.separator}
  csv.line(columns, form)
  return file_sink("sink.csv", path, function()
    local first = opts.header ~= false
    return function(record)
      if type(record) ~= "table" then error("it must be a table, got " .. type(record), 0) end
      local row = {n = #columns}
      for i, name in ipairs(columns) do
        local value = record[name]
        if type(value) == "table" then value = json.encode(value) end
        if value ~= json.null then row[i] = value end
      end
      local head = first and csv.line(columns, form) or ""
      first = false
      return head .. csv.line(row, form)
    end
  end)
end

-- ---- others ----

--- A function that is called with each record, and the item it is of. It may await; what it raises, or nil and an
--- error, ends the run.
---@param fn fun(record: any, item: muster.pipeline.item): any, any
---@return muster.pipeline.sink
function M.call(fn)
  if type(fn) ~= "function" then error("sink.call: expected a function, got " .. type(fn), 2) end
  return sink(function()
    return {
      write = function(_, record, item)
        local ok, err = fn(record, item)
        if ok == nil and err ~= nil then return nil, err end
        return true
      end,
      finish = function() return true end,
    }
  end)
end

-- ---- databases ----

local ROWS <const> = 1000 -- that are inserted at once

---@class muster.pipeline.table_writer
local TableWriter = {}
TableWriter.__index = TableWriter

local function flush_rows(self)
  local rows = self.rows
  if #rows == 0 then return true end
  self.rows = {}
  return self.db:run_many(self.insert, rows)
end

function TableWriter:write(record, item, part)
  if type(record) ~= "table" then
    return nil, failure.new("sink", "write " .. self.name, "a record must be a table, got " .. type(record))
  end
  local row = {item.key, part}
  for i, column in ipairs(self.columns) do
    local value = record[column]
    if type(value) == "table" then value = json.encode(value) end
    if value == nil or value == json.null then value = self.null end
    row[i + 2] = value
  end
  self.rows[#self.rows + 1] = row
  if #self.rows >= ROWS then return flush_rows(self) end
  return true
end

function TableWriter:finish() return flush_rows(self) end

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local function statements(name, columns)
  local names, marks = {}, {}
  for i, column in ipairs(columns) do names[i], marks[i] = quoted(column), "?" end
  local list = table.concat(names, ", ")
  local create = "CREATE TABLE IF NOT EXISTS %s (item TEXT, part INTEGER, %s, PRIMARY KEY (item, part))"
  local insert = "INSERT OR REPLACE INTO %s (item, part, %s) VALUES (?, ?, %s)"
  return create:format(quoted(name), list), insert:format(quoted(name), list, table.concat(marks, ", "))
end

--- A table of an open `muster.store`, which is made if it is not there. Its key is the item's, and which of the item's
--- records it is, so that a record that is written again takes its own place. Fields that are tables are kept as JSON.
---@param db muster.store
---@param name string of the table
---@param columns string[] names of fields
---@return muster.pipeline.sink
function M.table(db, name, columns)
  if type(name) ~= "string" or type(columns) ~= "table" or #columns == 0 then
    error("sink.table: expected a database, the name of a table and a list of columns", 2)
  end
  local create, insert = statements(name, columns)
  return sink(function()
    local ok, err = db:exec(create)
    if not ok then return nil, err end
    local null = require "muster.store".null
    return setmetatable({db = db, name = name, columns = columns, insert = insert, rows = {}, null = null}, TableWriter)
  end)
end

-- ---- browsers ----

---@class muster.pipeline.event_writer
local EventWriter = {}
EventWriter.__index = EventWriter

function EventWriter:write(record, item)
  return self.res:event {event = "record", id = tostring(item.position), data = json.encode(record)}
end

function EventWriter:failed(item)
  local told = {item = item.key, stage = item.stage, state = item.state, error = tostring(item.error)}
  local data = json.encode(told, {canonical = true, invalid_utf8 = "replace"})
  return self.res:event {event = "failed", id = tostring(item.position), data = data}
end

function EventWriter:finish(ok, summary)
  if not ok then return true end
  local counts = {}
  for _, name in ipairs {"items", "records", "done", "parked", "skipped"} do counts[name] = summary[name] end
  return self.res:event {event = "end", data = json.encode(counts, {canonical = true})}
end

--- The response of an HTTP server: each record as a Server-Sent Event named "record", its data in JSON; each item that
--- failed as one named "failed"; then one named "end", with the counts. Its id is the item's position.
---@param res muster.http.server.response
---@return muster.pipeline.sink
function M.events(res)
  return sink(function() return setmetatable({res = res}, EventWriter) end)
end

--- Makes a sink of what a script gives: one already, a function, or the path of a file: .jsonl.
---@return muster.pipeline.sink?
function M.of(value)
  if M.is(value) then return value end
  if type(value) == "function" then return M.call(value) end
  if type(value) == "string" and value:find "%.jsonl$" then return M.jsonl(value) end
end

return M
