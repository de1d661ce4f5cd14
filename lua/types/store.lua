---@meta muster.store
-- Type stubs of `require "muster.store"`: SQLite databases whose calls suspend only their task.

---@class muster.store.module
---@field null lightuserdata NULL as a value, where nil would leave a hole; the same as that of muster.json
local store = {}

---readonly: false; create: the file, if it is not there; true; wal: write-ahead log; true. busy_timeout: seconds for
---which the lock of another process is waited for; 5. synchronous: what a commit waits for; as SQLite: "full".
---@class muster.store.options
---@field readonly boolean?
---@field create boolean?
---@field wal boolean?
---@field busy_timeout number?
---@field synchronous "off"|"normal"|"full"|"extra"?

---What went wrong: a muster error. Its kind is "busy" (another process holds the lock: retryable), "closed", or
---"sqlite".
---@class muster.store.error : muster.error
---@field kind "busy"|"closed"|"sqlite"
---@field code string? of SQLite, such as "SQLITE_CONSTRAINT_UNIQUE"
---@field sql string?
---@field path string? if there is no SQL: of the file
---@field table string? of a constraint that is broken, if SQLite tells
---@field columns string[]? likewise
---@field row integer? of run_many: the number of the row that failed
---@field rolled_back boolean? the failure has ended the transaction

---A value of a statement. Booleans become 0 and 1; strings are text, byte by byte as they are; nil and null are
---NULL; NaN becomes NULL. In rows, NULL is absent, and a blob is a string.
---@alias muster.store.value string|number|boolean|nil|lightuserdata|muster.store.blob

---@class muster.store.blob

---@class muster.store.done
---@field changes integer rows
---@field last_id integer of the row that was inserted last
---@field rows table[]? of run_many: what its statement gave, such as RETURNING does

---Opens the database in a file, or, if the path is ":memory:", one that is nowhere else. It has a thread of its own,
---which does one thing at a time. It is closed by `<close>`, or when it is collected.
---@async
---@param path string
---@param options muster.store.options?
---@return muster.store? db
---@return muster.store.error? err
function store.open(path, options) end

---Bytes to be stored as a blob.
---@param bytes string
---@return muster.store.blob
function store.blob(bytes) end

---What a database and a transaction can do. While a task has a transaction open, what other tasks do with the same
---database waits for its end, first come first served; what the task itself does belongs to the transaction. A task
---that is cancelled stops its statement.
---@class muster.store.scope
local scope = {}

---Runs a statement; or several, if there are no parameters. Parameters are values for all of its places in their
---order; or one table: by name (without its `:`, `@` or `$`) or number, and what is not there is NULL.
---@async
---@param sql string
---@param ... muster.store.value|table
---@return muster.store.done?
---@return muster.store.error?
function scope:exec(sql, ...) end

---for row in db:query("SELECT …", …) do: rows as tables by the names of columns (of two of the same name, the last).
---They are fetched while they are read, so memory is bounded, and changes of other tasks may show. What fails
---raises. Leaving the loop ends the statement.
---@async
---@param sql string
---@param ... muster.store.value|table
---@return fun(): table?
function scope:query(sql, ...) end

---All rows.
---@async
---@return table[]?
---@return muster.store.error?
function scope:all(sql, ...) end

---The first row, or nil.
---@async
---@return table? row
---@return muster.store.error?
function scope:one(sql, ...) end

---Runs a statement once for each row of a list or an iterator: a list of values, or a table by name. All of them or
---none. A thousand rows go to the thread at a time: many times as fast as one by one.
---@async
---@param sql string
---@param rows table[]|fun(): table?
---@return muster.store.done?
---@return muster.store.error?
function scope:run_many(sql, rows) end

---Checks a statement that will be run many times. It stays compiled, as do the last 64 that were run.
---@async
---@param sql string
---@return muster.store.statement?
---@return muster.store.error?
function scope:prepare(sql) end

---Begins a transaction; inside another one of this task it is a part of that, to be undone by itself. Given a
---function, calls it in one: if it returns, that is committed, unless it returns nil and an error, or raises. mode:
---"immediate", unless the database is read only.
---@async
---@param options {mode: ("deferred"|"immediate"|"exclusive")?}|fun(tx: muster.store.transaction): ...
---@return muster.store.transaction?
---@return muster.store.error?
function scope:transaction(options) end

---@class muster.store : muster.store.scope
---@field path string
local db = {}

---Closes it, and waits for that. What other tasks are doing with it fails with kind "closed"; what was not committed
---is rolled back.
---@async
function db:close() end

---`local tx <close> = db:transaction()`: what is not committed when the scope is left is rolled back. Tasks that are
---given it may work in it.
---@class muster.store.transaction : muster.store.scope
local tx = {}

---Makes it stand. Once begun, a cancellation does not stop it. If it fails because others are busy, it may be tried
---again.
---@async
---@return true?
---@return muster.store.error?
function tx:commit() end

---Undoes what was done in it. More than once is fine.
function tx:rollback() end

---@class muster.store.statement
---@field sql string
---@field parameters integer how many
---@field columns string[] the names
local statement = {}

---As the database's or transaction's exec, query, one, all and run_many, where it was prepared.
---@async
---@return muster.store.done?
---@return muster.store.error?
function statement:run(...) end

---@async
---@return fun(): table?
function statement:query(...) end

---@async
---@return table?
---@return muster.store.error?
function statement:one(...) end

---@async
---@return table[]?
---@return muster.store.error?
function statement:all(...) end

---@async
---@param rows table[]|fun(): table?
---@return muster.store.done?
---@return muster.store.error?
function statement:run_many(rows) end

function statement:close() end

return store
