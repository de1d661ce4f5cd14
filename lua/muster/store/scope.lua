--- What a database and its transactions have in common: statements, and transactions inside.
--
-- While a task has a transaction open, what other tasks do with the same database, or the same transaction around it,
-- waits for its end, first come first served.
local core = require "muster.store.core"
local failure = require "muster.failure"
local tasks = require "muster.core"

local M = {}

local CHUNK = 1000 -- rows that go to the thread at a time

---@class muster.store.scope
---@field core userdata the connection
---@field inner muster.store.transaction? the one that is open inside
---@field gate semaphore? of which `inner` has the only permit
local Scope = {}
M.methods = Scope

--- The innermost transaction inside `scope` that is the running task's, or `scope` itself, once nobody else has one
--- open there. Then, if it had to wait or is told to take it, the permit of its gate, to be given back.
local function enter(scope, take)
  while scope.inner and scope.inner.owner == tasks.current() do scope = scope.inner end
  local gate = scope.gate
  if take or gate and gate:available() == 0 then
    scope.gate = gate or tasks.semaphore(1)
    return scope, scope.gate:acquire()
  end
  return scope
end

--- What has ended a transaction; raises if its own end has. A permit that was taken for it is given back.
local function check_open(scope, what, permit)
  local over = scope.over
  if over and permit then permit:release() end
  if type(over) == "string" then error(("store.%s: the transaction is over (%s)"):format(what, over), 3) end
  if not over then return true end
  return nil, failure.new(over.kind, "store." .. what, "the transaction was rolled back: " .. over.message)
end

--- An error that has ended the transaction, as some do, is the answer to whatever is tried in it.
local function note(scope, result, err)
  if result == nil and err and err.rolled_back and scope.owner then M.break_off(scope, err) end
  return result, err
end

local function call(scope, what, method, ...)
  if not (scope.gate or scope.owner) then return method(scope.core, ...) end
  local permit
  scope, permit = enter(scope)
  if permit then permit:release() end -- the thread goes by the order of calls
  local ok, err = check_open(scope, what)
  if not ok then return nil, err end
  return note(scope, method(scope.core, ...))
end

--- Runs a statement, or several that have no parameters. Parameters are values in their order, or one table: by name
--- and number.
---@async
---@param sql string
---@return {changes: integer, last_id: integer}?
---@return muster.error?
function Scope:exec(sql, ...) return call(self, "exec", self.core.exec, sql, ...) end

--- The first row.
---@async
---@return table? row
---@return muster.error?
function Scope:one(sql, ...) return call(self, "one", self.core.one, sql, ...) end

--- for row in db:query("SELECT …", …) do: rows as tables by the names of columns, fetched as they are read. What
--- fails raises. Leaving the loop ends the statement.
---@async
---@param sql string
---@return fun(): table?
function Scope:query(sql, ...)
  local query, err = call(self, "query", self.core.query, sql, ...)
  if not query then error(err, 0) end
  return core.next, query, nil, query
end

local function collect(query)
  local rows, n = {}, 0
  for row in core.next, query, nil, query do
    n = n + 1
    rows[n] = row
  end
  return rows
end

--- All rows.
---@async
---@return table[]?
---@return muster.error?
function Scope:all(sql, ...)
  local query, err = call(self, "all", self.core.query, sql, ...)
  if not query then return nil, err end
  local ok, rows = pcall(collect, query)
  if ok then return rows end
  if tasks.is_cancelled(rows) or type(rows) ~= "table" then error(rows, 0) end
  return note(self, nil, rows)
end

-- ---- many rows ----

--- Chunks of rows: of a list, which is one, or an iterator.
local function chunks(rows)
  if type(rows) == "table" then
    local given = false
    return function()
      if given then return nil end
      given = true
      return rows, #rows
    end
  end
  return function()
    local list, n = {}, 0
    for row in rows do
      n = n + 1
      list[n] = row
      if n == CHUNK then break end
    end
    if n > 0 then return list, n end
  end
end

local function add_done(total, done)
  total.changes, total.last_id = total.changes + done.changes, done.last_id
  if not done.rows then return end
  total.rows = total.rows or {}
  table.move(done.rows, 1, #done.rows, #total.rows + 1, total.rows)
end

--- Runs the rows of a list, as many at a time as the thread takes.
local function run_list(tx, sql, list, n, before, total)
  local first = 1
  while first <= n do
    local done, last = call(tx, "run_many", tx.core.batch, sql, list, first, math.min(first + CHUNK - 1, n), true)
    if not done then
      if last.row then last.row = before + first - 1 + last.row end
      return nil, last
    end
    add_done(total, done)
    first = last + 1
  end
  return true
end

local function run_chunks(self, sql, rows)
  local total, before = {changes = 0, last_id = 0}, 0
  local tx <close>, err = self:transaction()
  if not tx then return nil, err end
  local ok
  for list, n in chunks(rows) do
    ok, err = run_list(tx, sql, list, n, before, total)
    if not ok then return nil, err end
    before = before + n
  end
  ok, err = tx:commit()
  if not ok then return nil, err end
  return total
end

--- Runs a statement once for each row of a list or an iterator: a table of parameters. All of them, or none.
---@async
---@param sql string
---@param rows table[]|fun(): table?
---@return muster.store.done?
---@return muster.error? err its `row` is the number of the row that failed
function Scope:run_many(sql, rows)
  if type(rows) ~= "table" and type(rows) ~= "function" then
    error("store.run_many: rows must be a list or an iterator, got " .. type(rows), 2)
  end
  if type(rows) == "table" and #rows <= CHUNK then
    local done, err = call(self, "run_many", self.core.batch, sql, rows, 1, #rows)
    if done then return done end
    if done == nil then return nil, err end -- false: they are too large to go at a time
  end
  return run_chunks(self, sql, rows)
end

-- ---- prepared statements ----

---@class muster.store.statement
---@field sql string
---@field parameters integer
---@field columns string[]
local Statement = {}
Statement.__index = Statement
Statement.__name = "store.statement"

--- Checks a statement, to be run many times. (Those that db:exec and the like were given are kept compiled, too.)
---@async
---@param sql string
---@return muster.store.statement?
---@return muster.error?
function Scope:prepare(sql)
  local parameters, columns = call(self, "prepare", self.core.prepare, sql)
  if not parameters then return nil, columns end
  return setmetatable({scope = self, sql = sql, parameters = parameters, columns = columns}, Statement)
end

local function scope_of(statement, what)
  if not statement.scope then error(("statement:%s: the statement is closed"):format(what), 3) end
  return statement.scope
end

function Statement:run(...) return scope_of(self, "run"):exec(self.sql, ...) end
function Statement:query(...) return scope_of(self, "query"):query(self.sql, ...) end
function Statement:one(...) return scope_of(self, "one"):one(self.sql, ...) end
function Statement:all(...) return scope_of(self, "all"):all(self.sql, ...) end
function Statement:run_many(rows) return scope_of(self, "run_many"):run_many(self.sql, rows) end
function Statement:close() self.scope = nil end
Statement.__close = Statement.close

M.enter, M.check_open = enter, check_open

return M
