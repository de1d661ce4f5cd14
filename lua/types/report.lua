---@meta muster.report
-- Type stubs for LuaLS: what `require "muster.report"` returns.

---Reports of runs: one HTML file that needs nothing else: what was done, when, how long it took, what failed, what it
---cost, and the records in their source texts. Of a pipeline: `pipeline{…}:run{report = "run.html"}`.
---@class muster.report.module
local report = {}

---@class muster.report.options
---@field title string? what stands above it
---@field stages string[]? names of those that are known before, in their order
---@field client muster.llm.client? whose tokens and cost are told, from now on
---@field limiter muster.limiter? whose waits are told
---@field text (fun(item: muster.report.item, record: any): string?, any)? the source text of an item, and the spans of
---its record; called for items that are shown; it may await
---@field first integer? how many items are shown from the beginning; 200
---@field failures integer? how many failures are shown beside them; 500
---@field others integer? how many others, taken at random; 1,000
---@field bytes integer? about how many bytes their texts take, which are cut so that all fit; 4 MB

---Begins a report: times are told from now on.
---@param options muster.report.options?
---@return muster.report
function report.new(options) end

---@class muster.report
local Report = {}

---@class muster.report.item every field may be missing
---@field key any how it is named
---@field position integer? its place among the others
---@field status string? "done", "failed" or any other; else `state`, else what `error` tells
---@field started number? as `async.now()` told
---@field ended number?
---@field stages table? what it went through: name, start, end, name, start, end, …
---@field error any
---@field stage string? where it failed
---@field value any what it was made of
---@field result any the record
---@field text string? the source text
---@field spans any {path=, first=, last=} in a list, or {field = {first=, last=}} or {field = {first, last}}, in bytes
---@field recalled boolean? it was done by an earlier run: it is in no times

---Counts an item that has ended, and maybe keeps what is to be shown of it.
---@async
---@param item muster.report.item
function Report:add(item) end

---Calls fn(...) and adds what came of it as an item: done; failed, if it raised or returned nil and an error; or
---cancelled. The results, or the error, are passed on.
---@async
---@param name any how the item is named
---@param fn function
---@param ... any
---@return any ...
function Report:run(name, fn, ...) end

---Looks at the limiter a few times a second, also while no item ends: `local watching <close> = r:watch()`.
---@return table
function Report:watch() end

---The page.
---@param summary table? of a pipeline's run: records, recalled, seconds
---@param err any why the run did not come to its end
---@return string html
function Report:html(summary, err) end

---Writes the page: others see the old file, or the whole new one.
---@async
---@param path string
---@param summary table?
---@param err any
---@return true?
---@return muster.error?
function Report:write(path, summary, err) end

return report
