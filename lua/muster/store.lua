--- SQLite databases. Each has a thread of its own; each call suspends only its task.
--
--   local db <close> = assert(store.open "people.db")
--   assert(db:exec("INSERT INTO people (name, age) VALUES (?, ?)", "Alice", 30))
--   for row in db:query("SELECT * FROM people WHERE age > :age", {age = 20}) do print(row.name) end
local core = require "muster.store.core"
local failure = require "muster.failure"
local options = require "muster.options"
local scope = require "muster.store.scope"
require "muster.store.transaction"

local M = {null = core.null}

---@class muster.store : muster.store.scope
---@field path string
local Store = setmetatable({}, {__index = scope.methods})
Store.__index = Store
Store.__name = "store"

local words = {off = true, normal = true, full = true, extra = true}
local flag = options.kinds.flag
local known = {
  readonly = flag, create = flag, wal = flag, busy_timeout = options.kinds.seconds,
  synchronous = {function(v) return words[v] ~= nil end, '"off", "normal", "full" or "extra"'},
}

--- Opens the database in a file, or, if the path is ":memory:", one that is nowhere else.
---@async
---@param path string
---@param opts muster.store.options?
---@return muster.store?
---@return muster.error?
function M.open(path, opts)
  failure.check_path("store.open", path)
  opts = options.check("store.open", opts, known)
  local connection, err = core.open(path, opts.readonly, opts.create ~= false, opts.wal ~= false,
                                    opts.busy_timeout or 5, opts.synchronous)
  if not connection then return nil, err end
  return setmetatable({core = connection, path = path, readonly = opts.readonly}, Store)
end

--- Closes it. What other tasks are doing with it fails; what was not committed is rolled back.
---@async
function Store:close() self.core:close() end
Store.__close = Store.close

function Store:__tostring() return "store: " .. self.path end

--- Bytes, to be stored as a blob; a string is stored as text. Either is read as a string.
---@param bytes string
---@return muster.store.blob
function M.blob(bytes)
  if type(bytes) ~= "string" then error("store.blob: expected a string, got " .. type(bytes), 2) end
  return setmetatable({bytes}, core.blob)
end

return M
