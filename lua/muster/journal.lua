--- A journal of a run: which items it has, and how far each has come. A process that is killed at any instant loses
--- nothing that was acknowledged.
--
--   local journal <close> = assert(journal.open("run.journal", {fingerprint = {script = text, schema = schema}}))
--   local item = assert(journal:claim(key))
--   if item.todo then
--     local raw = item.raw or ask(key)
--     assert(journal:responded(key, raw))
--     assert(journal:done(key, parse(raw)))
--   end
--
-- The states: pending → leased → responded → done, failed or parked. Each call waits until what it says is
-- durable; calls of many tasks share one transaction. An item is done exactly once; that it is asked for again is
-- possible if the process ended between the answer and `responded`.
local async = require "muster"
local failure = require "muster.failure"
local file = require "muster.journal.file"
local group = require "muster.journal.group"
local json = require "muster.json"
local options = require "muster.options"
local store = require "muster.store"

local M = {}

---@class muster.journal
local Journal = {}
Journal.__index = Journal
Journal.__name = "journal"

local STATES = {"pending", "leased", "responded", "done", "failed", "parked"}

local kinds = options.kinds
local known = {
  fingerprint = {function(v) return type(v) == "string" or type(v) == "table" end, "a string or a table"},
  group_commit = {function(v) return kinds.seconds[1](v) and v <= 60 end, "a number of seconds, at most 60"},
  lease = {function(v) return type(v) == "number" and v > 0 and v < math.huge end, "a number of seconds, above 0"},
  fresh = kinds.flag, mixed = kinds.flag, share = kinds.flag,
}

-- ---- opening and closing ----

--- Extends the leases of what is at work here, so that others keep off.
local function keep_leases(self)
  while true do
    async.sleep(self.lease / 3)
    local rows, expires = {}, group.wall() + self.lease
    for _, item in pairs(self.live) do rows[#rows + 1] = {expires, item.id, item.token} end
    if rows[1] then self.db:run_many("UPDATE items SET expires = ? WHERE id = ? AND token = ?", rows) end
  end
end

--- Opens the journal in a file, which is made if it is not there.
---@async
---@param path string
---@param opts muster.journal.options?
---@return muster.journal?
---@return muster.error? err of kind "locked", "changed", "corrupt", or of the store
function M.open(path, opts)
  failure.check_path("journal.open", path)
  opts = options.check("journal.open", opts, known)
  local db, lock = file.open(path, opts)
  if not db then return nil, lock end
  local self = setmetatable({path = path, db = db, lock = lock, owner = file.owner(), live = {}, share = opts.share,
                             delay = opts.group_commit or 0.005, lease = opts.lease or 60}, Journal)
  if self.share then self.keeper = async.spawn(keep_leases, self):daemon() end
  return self
end

local function close(self)
  group.flush(self)
  if self.keeper then self.keeper:cancel() end
  self.db:close()
  self.lock:close()
end

--- Closes it, after what is being written. What is leased then is pending for whoever opens it next.
---@async
function Journal:close()
  if self.closed then return end
  self.closed = true
  async.shield(close, self)
end

Journal.__close = Journal.close

function Journal:__tostring() return "journal: " .. self.path end

-- ---- items ----

local function check(self, what, key)
  if type(key) ~= "string" or key == "" then
    error(("journal:%s: the key must be a string, not empty, got %s"):format(what, type(key)), 3)
  end
  if self.closed then return nil, failure.new("closed", "journal " .. self.path, "it is closed") end
  return true
end

local function encode(what, value)
  local ok, text, err = pcall(json.encode, value)
  if not ok or not text then error(("journal:%s: %s"):format(what, tostring(not ok and text or err)), 3) end
  return text
end

local function decoded(text)
  if text == nil then return nil end
  local value = json.decode(text)
  return value
end

local function not_granted(self, claim)
  local found = claim.found
  local state = found.state
  if state == "leased" or state == "responded" then state = "taken" end
  return {key = claim.key, state = state, todo = false, attempts = found.attempts, result = decoded(found.result),
          error = decoded(found.error), own = found.owner == self.owner}
end

--- Takes an item, to work on it. `todo` says whether there is anything to do: its state is then "leased", or
--- "responded", with the raw response that was saved. Else it is "done", with its result; "failed" or "parked", with
--- its error; or "taken": somebody is at work on it.
---@async
---@param key string
---@param info any? what JSON can say: kept with the item
---@return muster.journal.item?
---@return muster.error?
function Journal:claim(key, info)
  local ok, err = check(self, "claim", key)
  if not ok then return nil, err end
  local live = self.live[key]
  if live then return {key = key, state = "taken", todo = false, attempts = live.attempts, own = true} end
  local claim = {live = self.live, key = key, info = info ~= nil and encode("claim", info) or nil}
  self.live[key] = claim
  ok, err = group.claim(self, claim)
  if not ok then return file.fail(self.path, err) end
  local item = claim.item
  if not item then return not_granted(self, claim) end
  return {key = key, state = item.state, todo = true, attempts = item.attempts, raw = item.raw}
end

local function lost(self, key)
  self.live[key] = nil
  return nil, failure.new("lost", "journal " .. self.path, ("the lease of %q has gone to another process"):format(key))
end

local function move(self, what, key, state, raw, result, problem)
  local ok, err = check(self, what, key)
  if not ok then return nil, err end
  local item = self.live[key]
  if not item or not item.id then error(("journal:%s: the item %q is not claimed here"):format(what, key), 3) end
  local is_lost
  ok, err, is_lost = group.move(self, item, state, raw, result, problem)
  if not ok then return file.fail(self.path, err) end
  if is_lost then return lost(self, key) end
  if state ~= "responded" then self.live[key] = nil end
  return true
end

--- Saves the response to an item, so that nobody has to ask again.
---@async
---@param key string
---@param raw string
---@return true?
---@return muster.error?
function Journal:responded(key, raw)
  if type(raw) ~= "string" then error("journal:responded: the response must be a string, got " .. type(raw), 2) end
  return move(self, "responded", key, "responded", raw)
end

--- Saves the result of an item, which is done by that.
---@async
---@param key string
---@param result any what JSON can say
---@return true?
---@return muster.error?
function Journal:done(key, result) return move(self, "done", key, "done", nil, encode("done", result)) end

--- What an error says, whatever it is: its own __tostring may raise.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or "a " .. type(value)
end

local function describe(err)
  local text = {}
  if type(err) == "table" then
    text = {kind = err.kind, code = err.code, status = err.status, message = err.message}
  end
  if text.message == nil then text.message = text_of(err) end
  for name, value in pairs(text) do
    if type(value) ~= "string" and math.type(value) ~= "integer" then text[name] = text_of(value) end
  end
  return json.encode(text, {invalid_utf8 = "replace"})
end

--- The item has failed for good.
---@async
---@param key string
---@param err any
---@return true?
---@return muster.error?
function Journal:failed(key, err) return move(self, "failed", key, "failed", nil, nil, describe(err)) end

--- The item is set aside.
---@async
function Journal:parked(key, err) return move(self, "parked", key, "parked", nil, nil, describe(err)) end

--- Gives an item back, not done: it is pending again.
---@async
function Journal:release(key) return move(self, "release", key, "pending") end

-- ---- all of them ----

local RETRY = [[UPDATE items SET state = 'pending', token = token + 1, owner = NULL, expires = NULL
  WHERE state IN ('failed', 'parked')]]
local FORGET = "UPDATE payloads SET raw = NULL, error = NULL WHERE error IS NOT NULL AND id IN "
  .. "(SELECT id FROM items WHERE state IN ('failed', 'parked'))"

--- Makes what has failed or was parked pending again. Returns how many items.
---@async
---@return integer?
---@return muster.error?
function Journal:retry_failed()
  local ok, err = check(self, "retry_failed", "all")
  if not ok then return nil, err end
  local n
  ok, err = self.db:transaction(function(tx)
    local forgot, problem = tx:exec(FORGET)
    if not forgot then return nil, problem end
    local retried
    retried, problem = tx:exec(RETRY)
    n = retried and retried.changes
    return retried, problem
  end)
  if not ok then return file.fail(self.path, err) end
  return n
end

local function counts(db)
  local rows, err = db:all "SELECT state, count(*) AS n FROM items GROUP BY state"
  if not rows then return nil, err end
  local found, total = {}, 0
  for _, state in ipairs(STATES) do found[state] = 0 end
  for _, row in ipairs(rows) do
    found[row.state] = row.n
    total = total + row.n
  end
  found.total = total
  return found
end

--- How many items are in each state, and in `total`.
---@async
---@return table<string, integer>?
---@return muster.error?
function Journal:status()
  local ok, err = check(self, "status", "all")
  if not ok then return nil, err end
  local found
  found, err = counts(self.db)
  if not found then return file.fail(self.path, err) end
  return found
end

--- The same of a journal that may be at work in another process.
---@async
---@param path string
---@return table<string, integer>?
---@return muster.error?
function M.status(path)
  failure.check_path("journal.status", path)
  local db <close>, err = store.open(path, {readonly = true})
  if not db then return file.fail(path, err) end
  local found
  found, err = counts(db)
  if not found then return file.fail(path, err) end
  return found
end

local ITEMS = [[
  SELECT key, state, attempts, info, raw, result, error FROM items LEFT JOIN payloads USING (id)
  WHERE ?1 IS NULL OR state = ?1 ORDER BY id]]

local function read_items(path, state)
  local db <close>, err = store.open(path, {readonly = true})
  if not db then error(select(2, file.fail(path, err)), 0) end
  for row in db:query(ITEMS, state) do
    row.info, row.result, row.error = decoded(row.info), decoded(row.result), decoded(row.error)
    coroutine.yield(row)
  end
end

--- for item in journal:items("parked") do: the items in that state, or all, as they were first claimed, as the
--- journal is when the loop begins. What fails raises.
---@async
---@param state string?
---@return fun(): muster.journal.item?
function Journal:items(state)
  if state ~= nil and not table.concat(STATES, " "):find(tostring(state), 1, true) then
    error("journal:items: there is no state " .. tostring(state), 2)
  end
  local co = coroutine.create(read_items)
  local function step()
    local ok, item = coroutine.resume(co, self.path, state)
    if not ok then error(item, 0) end
    return item
  end
  return step, nil, nil, setmetatable({}, {__close = function() coroutine.close(co) end})
end

--- for key, result in journal:results() do: of what is done, in the order in which it was first claimed.
---@async
---@return fun(): string?, any
function Journal:results()
  local step, _, _, closing = self:items "done"
  return function()
    local item = step()
    if item then return item.key, item.result, item end
  end, nil, nil, closing
end

return M
