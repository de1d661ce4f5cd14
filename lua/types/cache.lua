---@meta muster.cache
-- Type stubs for LuaLS: what `require "muster.cache"` returns.

---Answers that have been paid for, kept on disk; and whole runs, recorded and replayed.
---@class muster.cache.module
local cache = {}

---A name for what a value says: the same for equal values, whatever the order of their keys.
---@param value any what JSON can say
---@return string key 64 hex digits
function cache.key(value) end

---Opens the cache in a directory, which is made if it is not there. Processes may share it.
---@async
---@param directory string
---@param options {ttl: number?}? ttl: seconds after which an answer is as good as none
---@return muster.cache? cache
---@return muster.error?
function cache.open(directory, options) end

---@class muster.cache
local Cache = {}

---The answer that is kept for a key.
---@async
---@param key string
---@return any value nil if there is none, or if it is damaged or too old
---@return muster.error? err if the system does not let us read it
function Cache:get(key) end

---Keeps an answer; when this returns, it is on the disk.
---@async
---@param key string
---@param value any what JSON can say; not nil
---@return true?
---@return muster.error?
function Cache:put(key, value) end

---@async
---@param key string
---@return true?
---@return muster.error?
function Cache:remove(key) end

---The answer that is kept, or what make(...) returns, which is kept then. Tasks that ask for the same at the same time
---share one call of make.
---@async
---@param key string
---@param make function
---@return any value or nil and what make returned as its second result
---@return boolean kept was it there before?
---@return muster.error? problem why it could not be kept
function Cache:fetch(key, make, ...) end

---@return {hits: integer, misses: integer}
function Cache:stats() end

---Begins a tape. It takes the place of an HTTP client (`llm.client {transport = tape}`), and asks one.
---@param path string a file that is there is replaced
---@param options {transport: table?}? transport: what has `request`; a new client of muster.http
---@return muster.cassette.recorder? recorder
---@return muster.error?
function cache.record(path, options) end

---Opens a tape to replay it, in the recorded order and time: at once on a virtual clock. It takes the place of an HTTP
---client, and asks nobody.
---@async
---@param path string
---@param options {speed: number?}? speed: 2 is twice as fast, math.huge does not wait; 1
---@return muster.cassette.player? player
---@return muster.error?
function cache.replay(path, options) end

---@class muster.cassette.recorder
local recorder = {}

---@async
---@param options http.request
---@return http.response?
---@return http.error?
function recorder:request(options) end

---Ends the recording; what is still being answered is not noted.
---@return true?
---@return muster.error? problem why the tape is not whole
function recorder:close() end

---@class muster.cassette.player
---@field left integer how many answers were not given yet
local player = {}

---The first answer to this request that was not given yet; an error of kind "cassette" if there is none.
---@async
---@param options http.request
---@return http.response?
---@return http.error?
function player:request(options) end

function player:close() end

return cache
