--- The file of a journal: whose it is, what is in it, and what it was begun with.
local async = require "muster"
local digest = require "muster.digest"
local failure = require "muster.failure"
local json = require "muster.json"
local store = require "muster.store"
local uv = require "luv"

local M = {}

local ID, VERSION = 0x6d75736a, 1 -- "musj"
local SIDE = {"", "-wal", "-shm"}

local schema = ([[
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
  CREATE TABLE items (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL, token INTEGER NOT NULL,
    attempts INTEGER NOT NULL, owner TEXT, expires REAL);
  CREATE TABLE payloads (id INTEGER PRIMARY KEY, info TEXT, raw TEXT, result TEXT, error TEXT);
  PRAGMA application_id = %d;
  PRAGMA user_version = %d;
]]):format(ID, VERSION)

--- Says of an error of the store what it means here.
---@return nil
---@return muster.error
function M.fail(path, err)
  if type(err) ~= "table" or err.path == path and not err.code then return nil, err end
  local kind, text = err.kind, err.message
  if err.code == "SQLITE_NOTADB" or (err.code or ""):find "^SQLITE_CORRUPT" then
    kind, text = "corrupt", ("it is damaged (%s): bring back a copy, or remove it"):format(text)
  elseif err.code == "SQLITE_FULL" then
    kind = "full" -- as files have it
  end
  return nil, failure.new(kind, "journal " .. path, text, {code = err.code, path = path, retryable = err.retryable})
end

-- ---- whose it is ----

local function me() return {pid = uv.os_getpid(), host = uv.os_gethostname()} end

--- Who holds it, as far as the journal says.
local function holder(path)
  local db <close> = store.open(path, {readonly = true, busy_timeout = 1})
  local row = db and db:one "SELECT value FROM meta WHERE name = 'holder'"
  return row and json.decode(row.value) or {}
end

local function locked(path)
  local who = holder(path)
  local text = "another process is at work on it"
  if who.pid then text = ("process %d on %s is at work on it"):format(who.pid, who.host) end
  return nil, failure.new("locked", "journal " .. path, text, {path = path, pid = who.pid, host = who.host})
end

--- A lock that the system takes away from a process that is killed: that of SQLite on a file beside. Those who share
--- it only read.
local function lock(path, share)
  local db, err = store.open(path .. "-lock", {wal = false, busy_timeout = 0})
  local tx, ok
  if db then
    tx, err = db:transaction {mode = share and "deferred" or "exclusive"}
    ok = tx
    if tx and share then ok, err = tx:one "SELECT count(*) FROM sqlite_master" end
  end
  if ok then return db end
  if db then db:close() end
  if err.kind == "busy" then return locked(path) end
  return M.fail(path, err)
end

-- ---- what is in it ----

--- Is the file one of ours, as its head says? True also if there is none.
local function is_journal(path)
  local file <close> = io.open(path, "rb")
  local head = file and file:read(100)
  if not head then return true end
  return #head == 100 and head:sub(1, 16) == "SQLite format 3\0" and (">I4"):unpack(head, 69) == ID
end

local function not_ours(path, text)
  return nil, failure.new("corrupt", "journal " .. path, text, {path = path})
end

local function remove(path)
  if not is_journal(path) then return not_ours(path, "it is not a journal, and is not removed") end
  for _, side in ipairs(SIDE) do uv.fs_unlink(path .. side) end
  return true
end

--- In one transaction: of processes that share a journal and begin at once, one makes it.
local function prepare(db, path)
  local tx <close>, err = db:transaction {mode = "immediate"}
  if not tx then return nil, err end
  local id
  id, err = tx:one "PRAGMA application_id"
  if not id then return nil, err end
  local version = tx:one("PRAGMA user_version").user_version
  if id.application_id == ID then
    if version == VERSION then return true end
    return not_ours(path, ("it is of version %d, not %d"):format(version, VERSION))
  end
  local tables = assert(tx:one "SELECT count(*) AS n FROM sqlite_master").n
  if tables > 0 then return not_ours(path, "it is a database, but not a journal") end
  local ok
  ok, err = tx:exec(schema)
  if not ok then return nil, err end
  return tx:commit()
end

-- ---- what it was begun with ----

--- A digest of each part: of the whole, if it is no table.
local function digests(fingerprint)
  local parts = {}
  if type(fingerprint) ~= "table" then fingerprint = {fingerprint = fingerprint} end
  for name, value in pairs(fingerprint) do
    parts[tostring(name)] = digest.sha256(json.encode(value, {canonical = true}))
  end
  return parts
end

local function differing(before, now)
  local names = {}
  for name, value in pairs(now) do
    if before[name] ~= value then names[#names + 1] = name end
  end
  for name in pairs(before) do
    if now[name] == nil then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function changed(path, names)
  local what = ("%s %s changed since it was begun"):format(table.concat(names, ", "), #names > 1 and "have" or "has")
  return nil, failure.new("changed", "journal " .. path,
    what .. ": begin again (fresh), or go on with what is done already (mixed)", {path = path, changed = names})
end

local set_meta = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

local function check_fingerprint(db, path, opts)
  if opts.fingerprint == nil then return true end
  local now = digests(opts.fingerprint)
  local row, err = db:one "SELECT value FROM meta WHERE name = 'fingerprint'"
  if err then return nil, err end
  local names = row and differing(json.decode(row.value), now) or {}
  if names[1] and not opts.mixed then return changed(path, names) end
  if row and not names[1] then return true end
  return db:exec(set_meta, "fingerprint", json.encode(now))
end

local function set_up(db, path, opts)
  local ok, err = prepare(db, path)
  if ok then ok, err = check_fingerprint(db, path, opts) end
  if ok and opts.share then ok, err = db:exec "DELETE FROM meta WHERE name = 'holder'"
  elseif ok then ok, err = db:exec(set_meta, "holder", json.encode(me())) end
  if not ok then return nil, err end
  return true
end

--- Removes a journal that is to be shared, if nobody is at work on it.
local function remove_unshared(path)
  local held <close>, err = lock(path)
  if not held then return nil, err end
  return remove(path)
end

--- Opens the database of a journal, and takes the lock that goes with it.
---@return muster.store? db
---@return (muster.store|muster.error)? lock
function M.open(path, opts)
  if opts.fresh and opts.share then
    local removed, problem = remove_unshared(path)
    if not removed then return nil, problem end
  end
  local held, err = lock(path, opts.share)
  if not held then return nil, err end
  local db, ok
  local _ <close> = setmetatable({}, {__close = function()
    if ok then return end
    async.shield(function()
      if db then db:close() end
      held:close()
    end)
  end})
  if opts.fresh and not opts.share then
    ok, err = remove(path)
    if not ok then return nil, err end
    ok = nil
  end
  db, err = store.open(path, {synchronous = "full"})
  if not db then return M.fail(path, err) end
  local fine
  fine, err = set_up(db, path, opts)
  if not fine then return M.fail(path, err) end
  ok = true
  return db, held
end

--- A name for this process, and this opening of a journal in it.
function M.owner()
  local who = me()
  return ("%s:%d:%08x"):format(who.host, who.pid, (("I4"):unpack(uv.random(4))))
end

M.holder = holder

return M
