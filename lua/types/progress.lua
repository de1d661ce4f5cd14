---@meta muster.progress
-- Type stubs for LuaLS: what `require "muster.progress"` returns.

---Progress of long work: a bar in the last row of a terminal, a plain line every few seconds elsewhere.
---@class muster.progress.module
local progress = {}

---@class muster.progress.options
---@field total integer? how many there will be; without it there is no share and no time left
---@field label string? what is done, before the counts
---@field quiet boolean? show nothing, but count
---@field every number? seconds between two plain lines; 5
---@field bar boolean? false: plain lines also on a terminal
---@field output file*? io.stderr
---@field limiter muster.limiter? whose waiters and requests in flight are shown
---@field client muster.llm.client? whose tokens and cost are shown: anything with :usage()

---Begins to show progress, until `finish` or the end of the scope: `local bar <close> = progress.start {total = 100}`.
---@param options muster.progress.options?
---@return muster.progress
function progress.start(options) end

---Goes over a list (index, value), or over what an iterator gives, and shows how far it has come.
---@param items table|function a list; or an iterator, with its state, control and closing value after the options
---@param options muster.progress.options?
---@return function
function progress.each(items, options, ...) end

---@class muster.progress
local bar = {}

---So many more are done.
---@param n integer? 1
function bar:done(n) end

---So many more have failed.
---@param n integer? 1
function bar:fail(n) end

---How many there will be, once that is known.
---@param total integer
function bar:set_total(total) end

---Calls fn: in flight until it returns; then done, or failed if it raised or returned nil and an error.
---@async
---@param fn function
---@return any ... what fn returned
function bar:run(fn, ...) end

---A function that does what fn does, counted as by `run`: `async.map(items, bar:wrap(fn))`.
---@param fn function
---@return function
function bar:wrap(fn) end

---Shows the last state as a line that stays.
function bar:finish() end

return progress
