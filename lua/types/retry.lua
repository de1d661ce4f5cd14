---@meta muster.retry
-- Type stubs for LuaLS: what `require "muster.retry"` returns.

---@class muster.retry
---@overload fun(fn: (fun(attempt: integer): any), opts?: muster.retry.options): any
local retry = {}

---@class muster.retry.options
---@field attempts integer? failures at most, 6; refusals for being too much (err.limited) do not count
---@field deadline number|nil|fun(): number seconds in all, 600; bounds an attempt, too. Or what tells how many are left
---@field backoff {first?: number, max?: number, factor?: number}? 0.5 s, 60 s, 2
---@field jitter "full"|"none"|fun(seconds: number, n: integer): number|nil
---@field on nil|fun(err: any, attempt: integer): boolean|number|nil again? or after so many seconds; nil: the usual
---@field before_sleep nil|fun(err: any, attempt: integer, seconds: number)
---@field budget muster.retry.budget?
---@field random nil|fun(): number from 0 to 1
---@field sleep nil|fun(seconds: number) how to wait; it may come back earlier

---Calls fn(attempt) until it returns something else than `nil, err`. Tried again is what `on` says, or an error,
---returned or raised, that is a table with `retryable` set to true; after err.retry_after seconds, if there is such a
---field.
---
---In the end it returns nil and the last error, or raises it if it was raised; a table then has `attempts`, `history`
---and maybe `parked` (a wait of more than two minutes was asked for), `deadline_exceeded`, `budget_exhausted`.
---Cancellation passes untouched. Inside the fn of another retry, in the same task, it makes one attempt only.
---@async
---@param fn fun(attempt: integer): any
---@param opts? muster.retry.options
---@return any ...
function retry.retry(fn, opts) end

---Raises what is wrong with options that will be given to a retry later; else returns them.
---@param what string whose they are, for the error
---@param opts? muster.retry.options
---@return muster.retry.options
function retry.check(what, opts) end

---@class muster.retry.budget
---@field successes integer
---@field retries integer
---@field refused integer
local budget = {}

---Retries left.
---@return number
function budget:left() end

---A budget for a whole run, to be given to each retry: at most `ratio` (0.2) of the successes, plus `floor` (10).
---@param opts? {ratio?: number, floor?: number}
---@return muster.retry.budget
function retry.budget(opts) end

---What headers say of trying again: retry-after-ms, Retry-After (seconds or a date), x-should-retry.
---@param headers table
---@param time? number seconds since 1970
---@return {retry_after: number?, should_retry: boolean?}
function retry.after(headers, time) end

---Is a response with this status to be tried again? 408, 409, 429, 500 and above; unless x-should-retry says otherwise.
---@param status integer? nil: there was no response
---@param headers? table
---@param time? number
---@return boolean retryable
---@return boolean limited 429
---@return number? retry_after
function retry.classify(status, headers, time) end

return retry
