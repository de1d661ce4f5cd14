--- Group commit: what many tasks write within a short time goes into one transaction, for whose end they wait.
--
-- While one group is being written, the next collects. The one who writes is a daemon, so that no caller's
-- cancellation stops what others wait for.
local async = require "muster"
local failure = require "muster.failure"
local store = require "muster.store"
local uv = require "luv"

local M = {}

local NULL = store.null

local CLAIM = [[
  INSERT INTO items (key, state, token, attempts, owner, expires) VALUES (?1, 'leased', 1, 1, ?2, ?3)
  ON CONFLICT (key) DO UPDATE SET state = CASE state WHEN 'responded' THEN state ELSE 'leased' END,
    token = token + 1, attempts = attempts + 1, owner = excluded.owner, expires = excluded.expires
  WHERE state = 'pending' OR (state IN ('leased', 'responded') AND (?4 OR owner = excluded.owner OR expires < ?5))
  RETURNING key, id, state, token, attempts]]
local LOOK = [[
  SELECT items.key, items.state, owner, attempts, result, error FROM items LEFT JOIN payloads USING (id) WHERE key = ?]]
local RAW = "SELECT key, raw FROM items JOIN payloads USING (id) WHERE key = ?"
local INFO = "INSERT INTO payloads (id, info) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET info = excluded.info"
local MOVE = "UPDATE items SET state = ?1 WHERE id = ?2 AND token = ?3"
local HELD = "SELECT id FROM items WHERE id = ? AND token = ?"
local PAYLOAD = [[
  INSERT INTO payloads (id, raw, result, error) VALUES (?, ?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET raw = coalesce(excluded.raw, raw), result = excluded.result, error = excluded.error]]

--- Seconds since 1970.
function M.wall()
  local seconds, microseconds = uv.gettimeofday()
  return seconds + microseconds * 1e-6
end

--- Raises an error of the store, which ends the transaction.
local function run_many(tx, sql, rows)
  if not rows[1] then return {changes = 0, rows = {}} end
  local done, err = tx:run_many(sql, rows)
  if not done then error(err, 0) end
  done.rows = done.rows or {}
  return done
end

-- ---- claims ----

--- What was granted, by key.
local function grant(self, tx, claims)
  local rows, now = {}, M.wall()
  for i, claim in ipairs(claims) do rows[i] = {claim.key, self.owner, now + self.lease, not self.share, now} end
  local granted = {}
  for _, row in ipairs(run_many(tx, CLAIM, rows).rows) do granted[row.key] = row end
  return granted
end

local function add_raw(tx, granted)
  local keys = {}
  for key, item in pairs(granted) do
    if item.state == "responded" then keys[#keys + 1] = {key} end
  end
  for _, row in ipairs(run_many(tx, RAW, keys).rows) do granted[row.key].raw = row.raw end
end

local function claim_all(self, tx, claims)
  local granted, infos, others = grant(self, tx, claims), {}, {}
  add_raw(tx, granted)
  for _, claim in ipairs(claims) do
    local item = granted[claim.key]
    claim.item = item
    if not item then others[#others + 1] = {claim.key}
    elseif claim.info then infos[#infos + 1] = {item.id, claim.info} end
  end
  run_many(tx, INFO, infos)
  local found = {}
  for _, row in ipairs(run_many(tx, LOOK, others).rows) do found[row.key] = row end
  for _, claim in ipairs(claims) do claim.found = found[claim.key] end
end

-- ---- moves ----

--- Whose lease somebody else has taken over: a set of numbers of items. Their payloads are not to be written.
local function find_lost(tx, group)
  local rows, held, lost, payloads = {}, {}, {}, {}
  for i, move in ipairs(group.moves) do rows[i] = {move[2], move[3]} end
  for _, row in ipairs(run_many(tx, HELD, rows).rows) do held[row.id] = true end
  for _, move in ipairs(group.moves) do lost[move[2]] = not held[move[2]] or nil end
  for _, payload in ipairs(group.payloads) do
    if held[payload[1]] then payloads[#payloads + 1] = payload end
  end
  return lost, payloads
end

local function move_all(tx, group)
  local payloads = group.payloads
  if run_many(tx, MOVE, group.moves).changes < #group.moves then group.lost, payloads = find_lost(tx, group) end
  run_many(tx, PAYLOAD, payloads)
end

-- ---- groups ----

local function write(self, group)
  local tx <close>, err = self.db:transaction()
  if not tx then error(err, 0) end
  if group.claims[1] then claim_all(self, tx, group.claims) end
  if group.moves[1] then move_all(tx, group) end
  local ok
  ok, err = tx:commit()
  if not ok then error(err, 0) end
end

--- What was granted counts as held from here on, if anybody still waits for it.
local function settle(self, group)
  local live = self.live
  for _, claim in ipairs(group.claims) do
    live[claim.key] = not (claim.abandoned or group.err) and claim.item or nil
  end
end

local Ending = {__close = function(ending, err)
  local self, group = ending.journal, ending.group
  group.err = group.err or err
  if self.group == group then self.group = nil end
  settle(self, group)
  group.written:set()
end}

local function run(self, group)
  local _ <close> = setmetatable({journal = self, group = group}, Ending)
  if self.delay > 0 then async.sleep(self.delay) else async.yield() end
  if self.before then self.before.written:wait() end
  self.group, self.before = nil, group
  local ok, err = pcall(write, self, group)
  if ok then return end
  if type(err) ~= "table" or async.is_cancelled(err) then error(err, 0) end
  group.err = err
end

local function current(self)
  local group = self.group
  if group then return group end
  group = {claims = {}, moves = {}, payloads = {}, lost = {}, written = async.event()}
  self.group = group
  async.spawn(run, self, group):daemon()
  return group
end

local function outcome(group)
  local err = group.err
  if not err then return true end
  if type(err) == "table" and not async.is_cancelled(err) then return nil, err end
  return nil, failure.new("closed", "journal", "what writes it was ended: " .. tostring(err))
end

-- A claim whose task was cancelled while it waited: what it is granted, nobody has.
local Abandon = {__close = function(claim)
  if claim.written then return end
  claim.abandoned = true
  local live = claim.live
  if claim.item and live[claim.key] == claim.item then live[claim.key] = nil end
end}

--- Waits until the claim is decided: its `item`, or what was `found` instead.
---@async
function M.claim(self, claim)
  local group = current(self)
  group.claims[#group.claims + 1] = claim
  local _ <close> = setmetatable(claim, Abandon)
  group.written:wait()
  claim.written = true
  return outcome(group)
end

--- Waits until the item is in that state, with what comes with it, each a string or nil. Returns also whether its
--- lease has been lost.
---@async
function M.move(self, item, state, raw, result, err)
  local group, id = current(self), item.id
  group.moves[#group.moves + 1] = {state, id, item.token}
  if raw or result or err then
    group.payloads[#group.payloads + 1] = {id, raw or NULL, result or NULL, err or NULL}
  end
  group.written:wait()
  local ok, problem = outcome(group)
  return ok, problem, group.lost[id]
end

--- Waits until all is written that was asked for before.
---@async
function M.flush(self)
  while self.group or self.before and not self.before.written:is_set() do (self.group or self.before).written:wait() end
end

return M
