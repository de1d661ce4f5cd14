---@meta muster.journal
-- Type stubs of `require "muster.journal"`: which items a run has, and how far each has come, durably.

---@class muster.journal.module
local journal = {}

---@class muster.journal.options
---@field fingerprint string|table? of what the results depend on, such as {script=, schema=, options=}: what JSON can
---say; another one than the journal was begun with is refused
---@field fresh boolean? begin again, without what is there
---@field mixed boolean? go on in spite of another fingerprint, which is then the journal's
---@field share boolean? with other processes that share it, by lease
---@field lease number? seconds after which what a process has leased, that does not live any more, is for others; 60
---@field group_commit number? seconds for which writes are collected before they are committed; 0.005

---@class muster.journal.item
---@field key string
---@field state "pending"|"leased"|"responded"|"done"|"failed"|"parked"|"taken"
---@field todo boolean? of claim: is it for the caller to do?
---@field own boolean? of claim, if there is nothing to do: was this opening of the journal the last to claim it?
---@field attempts integer how often it was claimed
---@field info any as it was claimed with
---@field raw string? the response that was saved
---@field result any
---@field error {kind: string?, message: string, code: string|integer|nil, status: string|integer|nil}?

---Opens the journal in a file, which is made if it is not there. It is closed by `<close>`.
---@async
---@param path string
---@param options muster.journal.options?
---@return muster.journal?
---@return muster.error? err of kind "locked", with `pid` and `host` of who is at work; "changed", with the list
--`changed`;
---"corrupt"; or of the store
function journal.open(path, options) end

---How many items of a journal, which may be at work in another process, are in each state, and in `total`.
---@async
---@param path string
---@return table<string, integer>?
---@return muster.error?
function journal.status(path) end

---Its methods wait until what they say is durable; a process that is killed loses nothing of that.
---@class muster.journal
---@field path string
local j = {}

---Takes an item, to work on it: `todo` says whether there is anything to do. Its state is then "leased", or
---"responded", with `raw`. Else it is "done", with its result; "failed" or "parked", with its error; or "taken":
---somebody is at work on it.
---@async
---@param key string what the item is known by: of its source, place and contents
---@param info any? what JSON can say; kept with it
---@return muster.journal.item?
---@return muster.error?
function j:claim(key, info) end

---Saves the response, so that nobody has to ask again.
---@async
---@param key string
---@param raw string
---@return true?
---@return muster.error? err kind "lost": the lease was over, and another process has the item
function j:responded(key, raw) end

---Saves the result; by that the item is done.
---@async
---@param key string
---@param result any what JSON can say
---@return true?
---@return muster.error?
function j:done(key, result) end

---The item has failed for good.
---@async
---@param key string
---@param err any
---@return true?
---@return muster.error?
function j:failed(key, err) end

---The item is set aside.
---@async
---@param key string
---@param err any
---@return true?
---@return muster.error?
function j:parked(key, err) end

---Gives an item back, not done.
---@async
---@param key string
---@return true?
---@return muster.error?
function j:release(key) end

---Makes what has failed or was parked pending again, without its response. Returns how many items.
---@async
---@return integer?
---@return muster.error?
function j:retry_failed() end

---How many items are in each state, and in `total`.
---@async
---@return table<string, integer>?
---@return muster.error?
function j:status() end

---for item in journal:items("parked") do: the items in that state, or all, as they were first claimed. The journal
---may be written meanwhile; they are as when the loop began. What fails raises.
---@async
---@param state string?
---@return fun(): muster.journal.item?
function j:items(state) end

---for key, result in journal:results() do: of what is done, in the order in which it was first claimed.
---@async
---@return fun(): string?, any, muster.journal.item?
function j:results() end

---Closes it, after what is being written.
---@async
function j:close() end

return journal
