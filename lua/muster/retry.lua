--- One loop of retries, for any function. `local retry = require "muster.retry"`, then `retry(fn, opts)`.
--
-- What is tried again: a failure that fn returns (`nil, err`) or raises, if `on` says so, or if `on` says nothing and
-- err is a table with `retryable` set to true. Cancellation, and what unwinds for a timeout outside, passes untouched.
-- Retries do not multiply: a retry inside the fn of another, in the same task, makes one attempt, and leaves the rest
-- to the outer one, which sees its error.
local after = require "muster.retry.after"
local Backoff = require "muster.retry.backoff"
local budget = require "muster.retry.budget"
local core = require "muster.core"
local options = require "muster.options"

local M = {after = after.after, classify = after.classify, budget = budget.new}

local ATTEMPTS, DEADLINE = 6, 600
local PARK = 120                           -- a wait asked for that is longer parks the item
local LIMITED_FIRST, LIMITED_MOST = 0.05, 1 -- after refusals, at least: they are not counted, and must not spin

local now_of = core.now

local is_open = core.event()
is_open:set()

--- Raises if the running task, or a part of it that it is in, is being cancelled.
local function check_cancelled() is_open:wait() end

-- ---- attempts ----

local inside = setmetatable({}, {__mode = "k"}) -- tasks in an attempt

local mark = {}
function mark:__close() inside[self.task] = nil end

local function call(fn, attempt) return true, fn(attempt) end

--- Runs an attempt, no longer than to the deadline.
-- -> false and an error raised; true, false if the deadline has passed; true, true and the results
local function attempt_once(run)
  local task <const> = core.current()
  local _ <close> = task and not inside[task] and setmetatable({task = task}, mark) or nil
  if task then inside[task] = true end
  if run.ends == math.huge then return pcall(call, run.fn, run.calls) end
  return pcall(core.move_on_after, math.max(0, run.ends - now_of()), call, run.fn, run.calls)
end

--- Raises what is none of our business: a cancellation, or an error while one unwinds.
local function pass_cancellation(err)
  if core.is_cancelled(err) or not pcall(check_cancelled) then error(err, 0) end
end

local function deadline_error(run)
  local seconds = run.opts.deadline or DEADLINE
  return core.error("timeout", ("retry: the deadline of %g s passed in attempt %d"):format(seconds, run.calls),
                    {seconds = seconds, retryable = false, deadline_exceeded = true, last = run.last})
end

-- ---- deciding ----

local function time_left(run) return run.clock and run.clock() or run.ends - now_of() end

local function field(err, name) return type(err) == "table" and err[name] or nil end

--- How long the error says to wait.
local function asked_wait(err)
  local seconds = field(err, "retry_after")
  if type(seconds) == "number" and seconds >= 0 then return seconds end
end

--- Is it to be tried again? true, false, or after so many seconds.
local function verdict_of(run, err)
  local verdict
  if run.opts.on then verdict = run.opts.on(err, run.calls) end
  if verdict == nil then return field(err, "retryable") == true end
  local is_wait = type(verdict) == "number" and verdict >= 0 and verdict < math.huge
  if type(verdict) == "boolean" or is_wait then return verdict end
  error(("retry: 'on' returned %s, expected true, false or a number of seconds"):format(tostring(verdict)), 0)
end

local function give_up(err, why)
  if why and type(err) == "table" then rawset(err, why, true) end
  return nil
end

--- How long to wait; nil: give up, for the time asked for is too long.
local function wait_of(run, err, verdict, limited)
  local opts, wait = run.opts
  run.backoff = run.backoff or Backoff.new(opts.backoff, opts.jitter, opts.random)
  local asked = type(verdict) ~= "number" and asked_wait(err)
  if type(verdict) == "number" then
    wait = verdict
  elseif asked then
    if asked > PARK then return give_up(err, "parked") end
    wait = run.backoff:asked(asked)
  else
    wait = run.backoff:wait((limited and run.refusals or run.failures) - 1)
  end
  if not limited then return wait end
  return math.max(wait, math.min(LIMITED_MOST, LIMITED_FIRST * 2.0 ^ (run.refusals - 1)))
end

--- -> seconds to wait before the next attempt; nil: no more
local function decide(run, err)
  local verdict, limited = verdict_of(run, err), field(err, "limited") == true
  if not verdict or run.single then return nil end
  if limited then run.refusals = run.refusals + 1 else run.failures = run.failures + 1 end
  local wait = wait_of(run, err, verdict, limited)
  if not wait or run.failures >= (run.opts.attempts or ATTEMPTS) then return nil end
  if wait >= time_left(run) then return give_up(err, "deadline_exceeded") end
  if not limited and run.opts.budget and not run.opts.budget:take() then return give_up(err, "budget_exhausted") end
  return wait
end

-- ---- the loop ----

--- A line of the history: no more of an error than tells what it was.
local function record(run, err)
  run.history = run.history or {}
  run.last = err
  run.history[#run.history + 1] = {
    attempt = run.calls, message = field(err, "message") or tostring(err), kind = field(err, "kind"),
    status = field(err, "status"), limited = field(err, "limited"),
  }
end

local function annotate(run, err)
  if type(err) ~= "table" then return end
  rawset(err, "attempts", run.calls)
  rawset(err, "history", run.history)
end

local function sleep(run, err, wait)
  run.history[#run.history].waited = wait
  if run.opts.before_sleep then run.opts.before_sleep(err, run.calls, wait) end
  local pause = run.opts.sleep or core.sleep
  pause(wait)
end

--- The end of it: raises what was raised, returns what was returned.
local function fail(run, err, raised, first)
  if not (raised and first) then annotate(run, err) end
  if raised then error(err, 0) end
  return nil, err
end

local function succeed(run, ...)
  local shared = run.opts.budget
  if shared and not run.single then shared:succeeded() end
  return ...
end

local next_attempt

--- What an attempt ended with, as attempt_once returns it: the end of the loop, or the next attempt.
local function judge(run, ok, in_time, ...)
  local value, err = ...
  if ok and in_time and (value ~= nil or err == nil) then return succeed(run, ...) end
  if not ok then
    err = in_time
    pass_cancellation(err)
  elseif not in_time then
    err = deadline_error(run)
  end
  record(run, err)
  local wait = (not ok or in_time) and decide(run, err)
  if not wait then return fail(run, err, not ok, run.calls == 1) end
  sleep(run, err, wait)
  return next_attempt(run)
end

function next_attempt(run)
  run.calls = run.calls + 1
  return judge(run, attempt_once(run))
end

-- ---- options ----

local kinds = options.kinds
local function is_function(v) return type(v) == "function" end
local a_function = {is_function, "a function"}

local known = {
  attempts = kinds.count,
  deadline = {function(v) return kinds.seconds[1](v) or is_function(v) end, kinds.seconds[2] .. ", or a function"},
  backoff = {function(v) return type(v) == "table" end, "a table of first, max, factor"},
  jitter = {function(v) return v == "full" or v == "none" or is_function(v) end, '"full", "none" or a function'},
  on = a_function, before_sleep = a_function, random = a_function, sleep = a_function,
  budget = {budget.is, "a budget made by retry.budget"},
}

local function is_wait(v) return type(v) == "number" and v >= 0 and v < math.huge end

local known_backoff = {
  first = {is_wait, "a number of seconds"},
  max = {is_wait, "a number of seconds"},
  factor = {function(v) return is_wait(v) and v >= 1 end, "a number of at least 1"},
}

local function new_run(fn, opts)
  local deadline = opts.deadline or DEADLINE
  local clock = is_function(deadline) and deadline or nil
  return {fn = fn, opts = opts, ends = clock and math.huge or now_of() + deadline, clock = clock,
          single = inside[core.current()], calls = 0, failures = 0, refusals = 0, history = nil}
end

--- Raises what is wrong with options, which someone else takes for a retry; else returns them.
---@param what string whose they are, for the error
---@param opts table?
---@return table
function M.check(what, opts)
  opts = options.check(what, opts, known)
  options.check(what .. ": backoff", opts.backoff, known_backoff)
  return opts
end

--- Calls fn(attempt) until it succeeds: until it returns without `nil, err`.
--
-- At most `attempts` (6) failures, and `deadline` (600) seconds in all, which also bound an attempt; or a function that
-- tells how many are left, by a clock that stands still at times: no wait goes beyond it. Between the attempts it
-- waits err.retry_after seconds, and a little more; or else anything up to 0.5 s, 1 s, 2 s … 60 s (`backoff`,
-- `jitter`). Refusals for being too much (err.limited) use up the deadline only. An err.retry_after of more than two
-- minutes ends it at once, with err.parked.
--
-- In the end it returns nil and the last error, or raises it, if it was raised. The error, if it is a table, then has
-- `attempts` and `history`; and `parked`, `deadline_exceeded` or `budget_exhausted` if one of those was the reason.
---@async
---@param fn fun(attempt: integer): any
---@param opts table? attempts, deadline, backoff={first=, max=, factor=}, jitter="full"|"none"|function(seconds, n);
--- on(err, attempt): true, false, a number of seconds, or nil for the usual; before_sleep(err, attempt, seconds);
--- budget: of `retry.budget`; random: a function like math.random; sleep(seconds): how to wait, if not as usual
---@return any ...
function M.retry(fn, opts)
  if type(fn) ~= "function" then error(("retry: expected a function, got %s"):format(type(fn)), 2) end
  opts = options.check("retry", opts, known)
  options.check("retry: backoff", opts.backoff, known_backoff)
  return next_attempt(new_run(fn, opts))
end

return setmetatable(M, {__call = function(_, ...) return M.retry(...) end})
