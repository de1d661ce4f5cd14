--- Transactions as scopes: `local tx <close> = db:transaction()`. What is not committed is rolled back.
local options = require "muster.options"
local scope = require "muster.store.scope"
local tasks = require "muster.core"

local Scope = scope.methods

---@class muster.store.transaction : muster.store.scope
---@field owner task
---@field outer muster.store.scope
---@field over (string|muster.error)? how it has ended
local Tx = setmetatable({}, {__index = Scope})
Tx.__index = Tx
Tx.__name = "store.transaction"

local modes = {deferred = "BEGIN DEFERRED", immediate = "BEGIN IMMEDIATE", exclusive = "BEGIN EXCLUSIVE"}
local known = {mode = {function(v) return modes[v] ~= nil end, '"deferred", "immediate" or "exclusive"'}}

local function finish(tx, how)
  if tx.inner then finish(tx.inner, how) end
  tx.over = tx.over or how
  if tx.outer.inner == tx then
    tx.outer.inner = nil
    tx.permit:release()
  end
end

--- SQLite has rolled back all of it by itself.
function scope.break_off(tx, err)
  while tx.owner do
    tx.over = tx.over or err
    tx = tx.outer
  end
end

--- Not waited for: the thread does it before whatever comes next.
local function undo(tx)
  if tx.depth == 0 then return tx.core:post "ROLLBACK" end
  tx.core:post(("ROLLBACK TO muster_%d; RELEASE muster_%d"):format(tx.depth, tx.depth))
end

--- Undoes what was done in it. More than once is fine.
function Tx:rollback()
  if self.outer.inner ~= self then return end
  undo(self)
  finish(self, "rolled back")
end

Tx.__close = Tx.rollback

--- Makes it stand. Once begun, that is not stopped by a cancellation. After a failure it may be tried again.
---@async
---@return true?
---@return muster.error?
function Tx:commit()
  local ok, err = scope.check_open(self, "commit")
  if not ok then return nil, err end
  if self.inner then error("store.commit: a transaction inside this one is open", 2) end
  ok, err = self.core:firmly(self.depth == 0 and "COMMIT" or "RELEASE muster_" .. self.depth)
  if not ok then
    if err.rolled_back then scope.break_off(self, err) end
    return nil, err
  end
  finish(self, "committed")
  return true
end

-- What is undone unless it has begun.
local Attempt = {__close = function(attempt)
  if attempt.tx then attempt.tx:rollback() end
end}

local function begin(outer, mode)
  local permit
  outer, permit = scope.enter(outer, true)
  local ok, err = scope.check_open(outer, "transaction", permit)
  if not ok then return nil, err end
  local tx = setmetatable({core = outer.core, outer = outer, owner = tasks.current(), permit = permit,
                           depth = outer.depth and outer.depth + 1 or 0}, Tx)
  outer.inner = tx
  local attempt <close> = setmetatable({tx = tx}, Attempt)
  ok, err = outer.core:exec(tx.depth == 0 and modes[mode] or "SAVEPOINT muster_" .. tx.depth)
  if not ok then return nil, err end
  attempt.tx = nil
  return tx
end

--- A function that returns nil and an error has failed, too.
local function settle(tx, ...)
  local result, err = ...
  if tx.over then return ... end
  if not result and err ~= nil then
    tx:rollback()
    return ...
  end
  local ok
  ok, err = tx:commit()
  if not ok then return nil, err end
  return ...
end

local function run(self, mode, fn)
  local tx <close>, err = begin(self, mode)
  if not tx then return nil, err end
  return settle(tx, fn(tx))
end

--- Begins a transaction, to be closed; or, given a function, calls it in one: if it returns, that stands, unless it
--- returns nil and an error. Inside another one of the task's it is a part of that.
---@async
---@param opts {mode: ("deferred"|"immediate"|"exclusive")?}|fun(tx: muster.store.transaction): ...
---@return muster.store.transaction?
---@return muster.error?
function Scope:transaction(opts)
  local mode = self.readonly and "deferred" or "immediate"
  if type(opts) == "function" then return run(self, mode, opts) end
  opts = options.check("store.transaction", opts, known)
  return begin(self, opts.mode or mode)
end

return Tx
