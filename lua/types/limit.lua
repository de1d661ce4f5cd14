---@meta muster.limit
-- Type stubs for LuaLS: what `require "muster.limit"` returns.

---@class muster.limit
local limit = {}

---@class muster.limit.options
---@field rpm number?
---@field tpm number?
---@field burst number?
---@field concurrency integer|{min?: integer, max?: integer, start?: integer}|nil
---@field learn boolean?
---@field name string?

---@class muster.limiter
local limiter = {}

---Limits for any resource: requests and tokens a minute, and so many at once. Who comes first goes first, whatever it
---costs. It adapts: to response headers (`learn`), to refusals (`permit:limited`), to what things cost in fact
---(`permit:settle`).
---@param opts? muster.limit.options
---rpm, tpm: none known if omitted; burst: about a second of the rate; concurrency: a number: exactly that many;
---a table: adapts within it, from 20, between 1 and 1,000; learn: false: nothing changes the rates
---@return muster.limiter
function limit.limiter(opts) end

---Calls fn(permit, ...) once it is let in; gives the permit back when fn ends, whichever way.
---@async
---@param cost number|{tokens?: number}|nil an estimate; one of more than a minute's tokens waits for a full bucket
---@param fn fun(permit: muster.limit.permit, ...: any): any
---@param ... any
---@return any ... what fn returns
function limiter:with(cost, fn, ...) end

---The same for one of a group: nothing, without a call of fn, if `turn_away` sends it away while it waits.
---@async
---@param group any not nil
---@param cost number|{tokens?: number}|nil
---@param fn fun(permit: muster.limit.permit, ...: any): any
---@param ... any
---@return any ...
function limiter:with_group(group, cost, fn, ...) end

---`local permit <close> = limiter:acquire(cost)`
---@async
---@param cost number|{tokens?: number}|nil
---@return muster.limit.permit
function limiter:acquire(cost) end

---Learns from headers of a response: x-ratelimit-*, anthropic-ratelimit-*. They can slow down, but never stop.
---@param headers table
function limiter:learn(headers) end

---Nothing starts for so long, or until `resume`; what is in flight goes on.
---@param seconds? number
function limiter:pause(seconds) end

---Ends a pause, and any cool-down.
function limiter:resume() end

---Those of a group that wait in `acquire` get nil at once, and take nothing of the limits.
---@param group any not nil
function limiter:turn_away(group) end

---@class muster.limit.wait
---@field who string the name of the task
---@field reason "cool-down"|"concurrency"|"requests"|"tokens"|"place"
---@field seconds number? how long still, as far as can be told; math.huge: until resume
---@field waited number seconds so far
---@field tokens number what it wants of the tokens
---@field place integer

---@class muster.limit.explanation
---@field name string?
---@field in_flight integer
---@field allowed number how many may be in flight
---@field waiting integer
---@field paused number? seconds of the cool-down that are left; math.huge: until resume
---@field [integer] muster.limit.wait those who wait, in their order

---What does each waiter wait for, and how long still? `print(limiter:explain())`.
---@return muster.limit.explanation
function limiter:explain() end

---@class muster.limit.stats
---@field requests integer let in so far
---@field succeeded integer
---@field failed integer
---@field limited integer refused
---@field episodes integer bursts of refusals
---@field tokens number settled
---@field in_flight integer
---@field waiting integer
---@field delayed integer how many had to wait
---@field waited number seconds, of all together
---@field concurrency number how many may be in flight
---@field rpm number? the rate in force
---@field tpm number?
---@field ratio number tokens to a unit of the estimates
---@field cooldown number seconds left

---Counters, and what was learned.
---@return muster.limit.stats
function limiter:stats() end

---A place in flight. How it went: what nobody says counts as success if the body ends without an error.
---@class muster.limit.permit
local permit = {}

---So many tokens it cost in fact; a later call replaces an earlier one. The estimates learn from it.
---@param tokens number
function permit:settle(tokens) end

function permit:succeeded() end

---It failed, not for being too much.
function permit:failed() end

---It was refused for being too much (HTTP: 429): one cool-down for all, one lesson for each burst of refusals.
---@param seconds? number how long the other side wants us to wait; at most two minutes of it are believed
function permit:limited(seconds) end

---Gives it back, before its `<close>` does. Raises if it was given back before.
function permit:release() end

return limit
