--- Answers that have been paid for, kept on disk; and whole runs, recorded and replayed.
--
--   local store = cache.open "cache"
--   local answer, kept = store:fetch(cache.key(request), function() return ask(request) end)
--
-- A file an answer, written atomically: processes may share a directory, and a crash leaves no half answers.
local async = require "muster"
local digest = require "muster.digest"
local failure = require "muster.failure"
local fs = require "muster.fs"
local json = require "muster.json"
local options = require "muster.options"
local record = require "muster.cache.record"
local replay = require "muster.cache.replay"

local M = {}

---@class muster.cache
---@field directory string
local Cache = {}
Cache.__index = Cache
Cache.__name = "cache"

--- A name for what a value says: the same for equal values, whatever the order of their keys.
---@param value any what JSON can say
---@return string key 64 hex digits
function M.key(value) return digest.sha256(json.encode(value, {canonical = true})) end

M.record, M.replay = record.open, replay.open

--- Opens the cache in a directory, which is made if it is not there.
---@async
---@param directory string
---@param opts {ttl: number?}? ttl: seconds after which an answer is as good as none
---@return muster.cache? cache
---@return muster.error?
function M.open(directory, opts)
  failure.check_path("cache.open", directory)
  opts = options.check("cache.open", opts, {ttl = options.kinds.seconds})
  local ok, err = fs.mkdir(directory, {parents = true})
  if not ok then return nil, err end
  return setmetatable({directory = directory, ttl = opts.ttl or math.huge, making = {}, hits = 0, misses = 0}, Cache)
end

local function check_key(what, key)
  if type(key) == "string" then return end
  error(("cache:%s: the key must be a string, got %s"):format(what, type(key)), 3)
end

-- Keys are of any length and any bytes; names of files are not.
local function place(self, key)
  local name = digest.sha256(key)
  local directory = self.directory .. "/" .. name:sub(1, 2)
  return directory .. "/" .. name .. ".json", directory, name
end

--- What a file says, if it is whole and says that it is of this name.
local function entry_of(text, name)
  local entry = text and json.decode(text)
  if type(entry) == "table" and entry.name == name and type(entry.at) == "number" then return entry end
end

--- The answer that is kept for a key. A file that is damaged is as good as none.
---@async
---@param key string
---@return any value nil if there is none
---@return muster.error? err if there may be one, but the system does not let us read it
function Cache:get(key)
  check_key("get", key)
  local path, _, name = place(self, key)
  local text, err = fs.read(path)
  local entry = entry_of(text, name)
  if entry and os.time() - entry.at <= self.ttl then
    self.hits = self.hits + 1
    return entry.value
  end
  self.misses = self.misses + 1
  if err and err.kind ~= "not_found" then return nil, err end
end

--- Keeps an answer. When this returns, it is on the disk.
---@async
---@param key string
---@param value any what JSON can say; not nil
---@return true?
---@return muster.error?
function Cache:put(key, value)
  check_key("put", key)
  if value == nil then error("cache:put: expected a value, got nil", 2) end
  local path, directory, name = place(self, key)
  local text = json.encode {name = name, at = os.time(), value = value}
  local ok, err = fs.write(path, text, {atomic = true})
  if ok or err.kind ~= "not_found" then return ok, err end
  ok, err = fs.mkdir(directory, {parents = true})
  if not ok then return nil, err end
  return fs.write(path, text, {atomic = true})
end

--- Forgets an answer. That there was none is fine.
---@async
---@param key string
---@return true?
---@return muster.error?
function Cache:remove(key)
  check_key("remove", key)
  return fs.rm((place(self, key)), {missing_ok = true})
end

-- Until it is closed, others who want this key wait.
local function claim(self, key)
  while self.making[key] do self.making[key]:wait() end
  local done = async.event()
  self.making[key] = done
  return setmetatable({}, {__close = function()
    self.making[key] = nil
    done:set()
  end})
end

--- The answer that is kept, or what make(...) returns, which is kept then. Of several tasks that ask for the same at
--- the same time one calls make, and the others wait for it; if it fails or is cancelled, the next one calls it. nil is
--- not kept.
---@async
---@param key string
---@param make function
---@return any value or nil and what make returned as its second result
---@return boolean kept was it there before?
---@return muster.error? problem why it could not be kept: the answer is worth more than the cache
function Cache:fetch(key, make, ...)
  check_key("fetch", key)
  if type(make) ~= "function" then error("cache:fetch: expected a function, got " .. type(make), 2) end
  local _ <close> = claim(self, key)
  local value = self:get(key)
  if value ~= nil then return value, true end
  local err
  value, err = make(...)
  if value == nil then return nil, err end
  local _, problem = self:put(key, value)
  return value, false, problem
end

--- How often `get` and `fetch` found an answer, and how often not.
---@return {hits: integer, misses: integer}
function Cache:stats() return {hits = self.hits, misses = self.misses} end

return M
