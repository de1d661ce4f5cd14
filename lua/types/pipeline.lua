---@meta muster.pipeline
-- Type stubs for LuaLS: what `require "muster.pipeline"` returns.

---Makes a pipeline: a source, stages in one visible order, a sink. Memory is bounded, however long the source.
---
---A stage is a plain function: stage(value, item) returns the value for the next one; nil to leave the item out; nil
---and an error, or raises, if it failed. `{"name", fn, limit = n}` names it, and bounds how many are in it at once.
---@class muster.pipeline.module
---@field source muster.pipeline.sources
---@field sink muster.pipeline.sinks
---@field cache table for `llm.client {cache = pipeline.cache}`: the journal keeps answers with the item that asked; not
---those of tasks that a stage makes, by gather or spawn
---@overload fun(spec: muster.pipeline.spec): muster.pipeline
local pipeline = {}

---@class muster.pipeline.spec
---@field [integer] fun(value: any, item: muster.pipeline.item): any, any the stages
---@field name string? in progress and summaries
---@field source muster.pipeline.source|any[]|fun(): any, string?
---@field sink muster.pipeline.sink|fun(record: any, item: muster.pipeline.item)|string|nil a path ends in .jsonl
---@field key (fun(value: any): string|integer)? what an item is known by from run to run; what the source says, or else
---its place and a fingerprint of its value
---@field limit integer? items at once; 16
---@field buffer integer? results that may wait for the sink; as many as `limit`
---@field timeout number? seconds for all stages of one item
---@field on_error "park"|"skip"|"stop"|nil what a failure does: set the item aside (the default), let it go, end the
---run. An error with `fatal` ends it always
---@field give_up integer? so many failures that are `retryable`, without a success between them, end the run with an
---error of kind "outage": the service is down; 100. Those items are set aside as others are
---@field order "input"|"completion"|nil of the records; "input"
---@field many boolean? what the last stage returns is a list of records
---@field journal string? the path of a file that remembers what is done, so that a run can be resumed
---@field share boolean? with a journal: other processes may run the same pipeline on it at once; each item is done by
---one of them. The sink is one that several can write, such as a table: each writes what is done when it comes to it.
---What a process had at work that was killed is for others after 60 s
---@field fingerprint table<string, any>? what results depend on beside the script: texts, schemas, tables of options
---@field client muster.llm.client? whose tokens and cost progress shows
---@field limiter muster.limiter? whose waiters progress shows
---@field text (fun(item: muster.pipeline.item, record: any): string?, any)? the source text of an item, and the spans
---of its record, for the report; else what stages set as `item.text` and `item.spans`

---@class muster.pipeline
local Pipeline = {}

---Runs it: every item that the journal does not know to be done.
---@async
---@param options {fresh: boolean?, mixed: boolean?, retry_failed: boolean?, quiet: boolean?, report: string?}?
---report: the path of an HTML file on the run, which is written at its end, however that comes; fresh: forget what
---earlier runs have done; mixed: keep it, though the script or a schema has changed; retry_failed: try the parked and
---skipped items again; quiet: show no progress
---@return muster.pipeline.summary? summary tostring() reads well
---@return any error
---@return muster.pipeline.summary? summary how far the run has come, if it failed
function Pipeline:run(options) end

---How many items of the journal are in each state, and in `total`; of a run that may be at work in another process.
---@async
---@return table<string, integer>? counts pending, leased, responded, done, failed, parked, total
---@return muster.error?
function Pipeline:status() end

---Runs it as a script's arguments say: --fresh, --mixed, --retry-failed, --status, --report FILE, --quiet, --help. It
---prints the summary, and on stderr what failed. `os.exit(p:main(arg))`
---@async
---@param arguments string[]
---@return integer code 0; 1 if the run could not go on; 2 for a wrong option; 3 if items failed
function Pipeline:main(arguments) end

---@class muster.pipeline.summary
---@field items integer that were dealt with
---@field done integer
---@field recalled integer that the journal knew
---@field parked integer
---@field skipped integer
---@field repeated integer with the key of another item
---@field taken integer at work in another process that shares the journal
---@field records integer that were written
---@field seconds number
---@field failures {key: string, position: integer, stage: string, error: any}[] the first twenty

---@class muster.pipeline.item
---@field key string|integer
---@field position integer its place in the source
---@field value any what the source gave

---@class muster.pipeline.source

---Where items come from. Files are read as the items are wanted.
---@class muster.pipeline.sources
local source = {}

---@param list any[]
---@return muster.pipeline.source
function source.list(list) end

---An iterator, with its state, control and closing value. It gives value, key; it may await.
---@return muster.pipeline.source
function source.iterator(step, state, control, closing) end

---Values of lines of JSON.
---@param path string
---@return muster.pipeline.source
function source.jsonl(path) end

---@param path string
---@return muster.pipeline.source
function source.lines(path) end

---Rows, as of `muster.csv`.
---@param path string
---@param options {header: boolean?, separator: string?}?
---@return muster.pipeline.source
function source.csv(path, options) end

---Paths, by a pattern as of `fs.glob`, or as a list. A file that has changed is another item.
---@param pattern string|string[]
---@return muster.pipeline.source
function source.files(pattern) end

---Rows of a query on an open `muster.store`.
---@param db muster.store
---@param sql string
---@return muster.pipeline.source
function source.query(db, sql, ...) end

---Standard input: texts of lines, or values of JSON lines.
---@param format "lines"|"jsonl"|nil
---@return muster.pipeline.source
function source.stdin(format) end

---@class muster.pipeline.sink

---Where records go. Files are written anew by each run, as what earlier runs have done comes from the journal.
---@class muster.pipeline.sinks
local sink = {}

---@param path string
---@return muster.pipeline.sink
function sink.jsonl(path) end

---@param path string
---@param columns string[] names of fields
---@param options {header: boolean?, separator: string?}?
---@return muster.pipeline.sink
function sink.csv(path, columns, options) end

---A function, which may await. If it raises, or returns nil and an error, the run ends.
---@param fn fun(record: any, item: muster.pipeline.item): any, any
---@return muster.pipeline.sink
function sink.call(fn) end

---A table of an open `muster.store`, which is made if it is not there. Written again, a record takes its own place.
---@param db muster.store
---@param name string
---@param columns string[] names of fields
---@return muster.pipeline.sink
function sink.table(db, name, columns) end

---The response of an HTTP server: each record as a Server-Sent Event named "record", its data in JSON; each item that
---failed as one named "failed", with item, stage, state and error; then one named "end", with the counts.
---@param res muster.http.server.response
---@return muster.pipeline.sink
function sink.events(res) end

return pipeline
