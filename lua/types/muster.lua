---@meta muster
-- Type stubs for LuaLS (lua-language-server): point `workspace.library` at this directory.

---@class muster
---@overload fun(fn: function): fun(...: any): task makes an async function: each call returns a task not yet started
local async = {}

---An error that the runtime raises: a table that reads well.
---@class muster.error
---@field kind "cancelled"|"timeout"|"group"|"closed"|string
---@field message string
---@field retryable boolean
---@field reason any? of kind "cancelled": what was given to cancel
---@field seconds number? of kind "timeout"
---@field errors any[]? of kind "group": every error, the body's first

---@alias task.status "created"|"ready"|"running"|"waiting"|"done"|"failed"|"cancelled"

---@class task
---@field name string "task N", the Nth that was started, unless set; "task" before its start
local task = {}

---Starts the task if nobody has, waits for it, and returns all its results; raises its error unchanged.
---@async
---@return any ...
function task:await() end

---The same without raising: true and the results, or false and the error.
---@async
---@return boolean ok
---@return any ...
function task:pawait() end

---Requests cancellation: every suspending call of the task raises from now on, save inside `async.shield`.
---@param reason? any
---@return boolean effect false if the task had ended or been cancelled
function task:cancel(reason) end

---@return task.status
function task:status() end

---Where a failed task raised; where a task that has begun is, and where it was spawned; nil otherwise.
---@return string?
function task:traceback() end

---The program does not wait for this task, and cancels it at its end.
---@return task self
function task:daemon() end

---Waits for a task, starting it if need be, or runs a function as a task. Returns all results, or raises the error.
---If the caller is cancelled meanwhile, and nobody else awaits the task, it is cancelled too, and waited for.
---@async
---@param x task|function
---@param ... any arguments, for a function
---@return any ...
function async.await(x, ...) end

---The same as `await`, for those who come from `asyncio.run(main())`.
---@async
---@param fn task|function
---@param ... any
---@return any ...
function async.run(fn, ...) end

---Starts a task; it runs at the next turn, never inside `spawn`.
---@param x task|function
---@param ... any arguments, for a function
---@return task
function async.spawn(x, ...) end

---The running task, or nil outside of one.
---@return task?
function async.current() end

---The tasks that have started and not ended.
---@return task[]
function async.tasks() end

---Prints, on stderr, the tree of who awaits whom: of each task what it waits for, how long it has, who holds that, its
---line, and where it was spawned. Many that look the same are folded.
function async.dump() end

---@param x any
---@return boolean
function async.is_task(x) end

---Is this the error with which a cancelled task unwinds?
---@param err any
---@return boolean
function async.is_cancelled(err) end

---Calls fn(resume), and suspends only the running task until resume(...) is called, from any callback.
---@async
---@param fn fun(resume: fun(...: any): boolean): fun()? what it returns is called if the task is cancelled meanwhile
---@return any ... the arguments of resume
function async.suspend(fn) end

---Runs all concurrently. The first failure cancels the others, waits for them, and is raised.
---@async
---@param list (task|function)[]
---@param opts? {limit: integer}
---@return any[] results the first value of each, in input order; `n` is their number
---@overload fun(...: task|function): any[]
function async.gather(list, opts) end

---Iterates over tasks as they end: `for task, index in async.as_completed(list) do`. Leaving the loop cancels the rest.
---@async
---@param list (task|function)[]
---@param opts? {limit: integer}
---@return fun(): task, integer
function async.as_completed(list, opts) end

---@async
---@param list (task|function)[]
---@param opts? {limit: integer}
---@return {ok: boolean, value: any, error: any}[] results in input order, with `n`; never raises for a task
function async.gather_settled(list, opts) end

---The first to end wins, by a result or an error; the others are cancelled.
---@async
---@param list (task|function)[] at least one
---@return any ... its values (at least one), then its index
function async.first(list) end

---Waits without cancelling anything.
---@async
---@param list (task|function)[]
---@param opts? {mode?: "first"|"first_error"|"all", timeout?: number}
---@return task[] done
---@return task[] pending
function async.wait(list, opts) end

---@async
---@param items any[]|fun(): any a list, or an iterator, pulled as there is room
---@param fn fun(item: any): any plain or async
---@param opts? {limit?: integer, ordered?: boolean}
---@return any[] results with `n`
function async.map(items, fn, opts) end

---The same as an iterator over value, index, with bounded memory. A nil value is delivered as false.
---@async
---@param items any[]|fun(): any
---@param fn fun(item: any): any
---@param opts? {limit?: integer, ordered?: boolean, buffer?: integer, settle?: boolean}
---@return fun(): any, integer, any value, index; with settle, for a failure: false, index, error
function async.stream(items, fn, opts) end

---@class group
local group = {}

---Structured concurrency: `local g <close> = async.group()`. Leaving the scope waits for the tasks; an error in it, or
---in a task, cancels the others. Errors of tasks are raised as one error of kind "group".
---@param opts? {limit: integer}
---@return group
function async.group(opts) end

---@param x function|task
---@param ... any arguments, for a function
---@return task
function group:spawn(x, ...) end

---Cancels its tasks; the scope goes on.
function group:cancel() end

---Waits for the tasks so far.
---@async
function group:wait() end

---Leaves the group, as the end of its scope does.
---@async
function group:close() end

---Runs fn in this task; past `seconds` the await in progress raises an error of kind "timeout".
---@async
---@param seconds number
---@param fn function
---@param ... any
---@return any ...
function async.timeout(seconds, fn, ...) end

---The same, but returns false instead of raising.
---@async
---@param seconds number
---@param fn function
---@param ... any
---@return any ...
function async.move_on_after(seconds, fn, ...) end

---Runs fn in this task; a cancellation of the task waits until it has finished.
---@async
---@param fn function
---@param ... any
---@return any ...
function async.shield(fn, ...) end

---@class permit
local permit = {}

---Gives it back; so does leaving the scope of a `<close>` variable. Raises if it was given back before.
function permit:release() end

---@class semaphore
local semaphore = {}

---@param n integer permits, at least 1
---@return semaphore
function async.semaphore(n) end

---@async
---@param k? integer
---@return permit
function semaphore:acquire(k) end

---@param k? integer
---@return permit? permit nil if it would have to wait
function semaphore:try_acquire(k) end

---@param k? integer
function semaphore:release(k) end

---Calls fn with a permit held.
---@async
---@param fn function
---@param ... any
---@return any ...
function semaphore:with(fn, ...) end

---@return integer
function semaphore:available() end

---@class lock
local lock = {}

---@return lock
function async.lock() end

---@async
---@return permit
function lock:acquire() end

---@return permit?
function lock:try_acquire() end

---Raises unless the running task holds it.
function lock:release() end

---@async
---@param fn function
---@param ... any
---@return any ...
function lock:with(fn, ...) end

---@return boolean
function lock:locked() end

---@class event
local event = {}

---@return event
function async.event() end

function event:set() end

function event:clear() end

---@return boolean
function event:is_set() end

---@async
function event:wait() end

---@class condition
local condition = {}

---@param l lock
---@return condition
function async.condition(l) end

---Gives the lock up, waits to be notified, and takes the lock again, also when cancelled.
---@async
function condition:wait() end

---@param n? integer how many to wake, 1 if omitted
---@return integer woken
function condition:notify(n) end

---@return integer woken
function condition:notify_all() end

---@class barrier
local barrier = {}

---@param n integer
---@return barrier
function async.barrier(n) end

---@async
---@return integer place of arrival, from 1 to n; the last opens it, and it starts anew
function barrier:wait() end

---@return integer
function barrier:waiting() end

---@class channel
---@operator len: integer values in the buffer
local channel = {}

---@param capacity? number 0 (the default): a sender waits for its receiver; math.huge: a sender never waits
---@return channel
function async.channel(capacity) end

---Raises an error of kind "closed" if the channel is closed.
---@async
---@param value any not nil
function channel:send(value) end

---@async
---@return any value nil once the channel is closed and drained
function channel:recv() end

---@param value any not nil
---@return boolean sent
function channel:try_send(value) end

---@return boolean received
---@return any value
function channel:try_recv() end

---`for value in channel:iter() do`, until it is closed and drained.
---@return fun(): any
function channel:iter() end

function channel:close() end

---@return boolean
function channel:is_closed() end

---Waits for the first of several receives, sends, and a time limit: `async.select{a, {send=b, value=v}, timeout=1}`.
---@async
---@param cases table channels to receive from, {recv=channel}, {send=channel, value=any}; timeout=seconds
---@return integer? index nil on timeout
---@return any value received, or "timeout"
function async.select(cases) end

---@async
---@param seconds number at least 0
function async.sleep(seconds) end

---Lets the other tasks run.
---@async
function async.yield() end

---Monotonic seconds.
---@return number
function async.now() end

---What `require "muster.test"` returns.
---@class muster.test
local test = {}

---Makes a function that runs fn on a virtual clock: time jumps to the next deadline as soon as nothing can run.
---@param fn function
---@return function
function test.virtual(fn) end

---Makes a function that runs fn with the ready queue shuffled, the same way for the same seed.
---@param seed integer not 0
---@param fn function
---@return function
function test.seeded(seed, fn) end

---Runs fn as a task under one seed after the other, each time until the tasks that it started have ended. The first run
---that fails ends it: its error is raised, a string with the seed at its end, and a report says how to repeat it.
---@async
---@param fn fun()
---@param opts? {runs?: integer, seed?: integer} 100 runs, and 1 as the first seed, from which they count up
function test.explore(fn, opts) end

---As in stock Lua, and a module may await while it loads. Another task that requires it meanwhile waits until it has
---been loaded; if that fails the first of those who wait loads it. Tasks whose modules wait for each other are refused.
---@async
---@param name string
---@return any module
---@return any where what the searcher said; nothing if the module was loaded before
function require(name) end

return async
