-- Retries: what is tried again, when, how often; and what passes untouched.
local async = require "muster"
local core = require "muster.core"
local retry = require "muster.retry"
local test = require "muster.test"

local function virtual(fn)
  return test.virtual(test.seeded(0, function() return async.timeout(86400 * 10, fn) end))
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error, but expected: " .. pattern)
  assert.matches(pattern, tostring(err))
  return err
end

local function failure(fields)
  local all = {retryable = true}
  for k, v in pairs(fields or {}) do all[k] = v end
  return core.error("test", "it failed", all)
end

--- A function that fails so many times, and then returns "done"; and how often it was called, when.
local function failing(times, fields)
  local log, start = {}, async.now()
  return function(attempt)
    log[#log + 1] = async.now() - start
    assert.equal(#log, attempt)
    if #log <= times then return nil, failure(fields) end
    return "done", #log
  end, log
end

local function none(opts)
  opts.jitter = "none"
  return opts
end

describe("retry", function()
  it("refuses what makes no sense", function()
    raises("retry: expected a function, got nil", retry)
    raises("retry: unknown option 'tries'", retry, print, {tries = 5})
    for _, opts in ipairs {{attempts = 0}, {attempts = "6"}, {deadline = -1}, {backoff = 5}, {backoff = {least = 1}},
                           {backoff = {first = -1}}, {backoff = {max = math.huge}}, {backoff = {factor = 0.5}},
                           {jitter = "half"}, {on = true}, {before_sleep = 5}, {budget = {}}, {random = 5}} do
      raises("retry: ", retry, print, opts)
    end
    raises("retry.budget", retry.budget, {ratio = -1})
    raises("retry.budget", retry.budget, {share = 1})
  end)

  it("returns what a success returns, also nothing, nil and false", virtual(function()
    assert.equal(0, select("#", retry(function() end)))
    assert.same({n = 3, 1, nil, nil}, table.pack(retry(function() return 1, nil, nil end)))
    assert.same({n = 1}, table.pack(retry(function() return nil end)))
    assert.same({n = 2, false, "no error"}, table.pack(retry(function() return false, "no error" end)))
  end))

  it("doubles its waits up to a bound, and counts attempts", virtual(function()
    local fn, log = failing(100)
    local value, err = retry(fn, none {attempts = 10, backoff = {first = 1, max = 20}})
    assert.is_nil(value)
    for i, at in ipairs {0, 1, 3, 7, 15, 31, 51, 71, 91, 111} do assert.near(at, log[i], 1e-6) end
    assert.equal(10, #log)
    assert.equal(10, err.attempts)
    assert.equal(10, #err.history)
    assert.same({attempt = 1, message = "it failed", kind = "test", waited = 1}, err.history[1])
    assert.is_nil(err.history[10].waited)
  end))

  it("makes six attempts unless told otherwise, one if told so, and stops at a success", virtual(function()
    local fn, log = failing(100)
    retry(fn)
    assert.equal(6, #log)
    fn, log = failing(100)
    retry(fn, {attempts = 1})
    assert.equal(1, #log)
    fn = failing(2)
    assert.same({"done", 3}, {retry(fn)})
  end))

  it("waits anything up to the bound, by full jitter, or what a function says", virtual(function()
    local fn, log = failing(2)
    retry(fn, {random = function() return 0.25 end})
    assert.near(0.125, log[2], 1e-6)
    assert.near(0.375, log[3], 1e-6)
    fn, log = failing(2)
    retry(fn, {jitter = function(seconds, n) return seconds * 10 + n end})
    assert.near(5, log[2], 1e-6)
    assert.near(5 + 11, log[3], 1e-6)
    raises("'jitter' returned %-1", retry, failing(2), {jitter = function() return -1 end})
    raises("'jitter' returned nil", retry, failing(2), {jitter = function() end})
  end))

  it("waits as long as the error says, and a little more", virtual(function()
    local fn, log = failing(1, {retry_after = 7})
    retry(fn, {random = function() return 1 end})
    assert.near(7.7, log[2], 1e-6)
    fn, log = failing(1, {retry_after = 100})
    retry(fn, {random = function() return 1 end})
    assert.near(101, log[2], 1e-6)
    fn, log = failing(1, {retry_after = 0})
    retry(fn)
    assert.near(0, log[2], 1e-6)
  end))

  it("parks what is to wait for more than two minutes", virtual(function()
    for _, limited in ipairs {true, false} do
      local fn, log = failing(1, {retry_after = 121, limited = limited})
      local value, err = retry(fn)
      assert.is_nil(value)
      assert.is_true(err.parked)
      assert.equal(121, err.retry_after)
      assert.equal(1, #log)
    end
    local _, err = retry(failing(1, {retry_after = math.huge}))
    assert.is_true(err.parked)
  end))

  it("lets refusals use up the deadline, not the attempts, and never spins", virtual(function()
    local fn, log = failing(50, {limited = true, retry_after = 2})
    assert.equal("done", (retry(fn, {attempts = 2})))
    assert.equal(51, #log)
    fn, log = failing(math.huge, {limited = true, retry_after = 0})
    local _, err = retry(fn, {deadline = 60})
    assert.is_true(err.deadline_exceeded)
    assert.is_true(#log > 50 and #log < 80, tostring(#log))
    assert.equal(#log, err.attempts)
  end))

  it("does not try again what is not retryable", virtual(function()
    for _, err in ipairs {failure {retryable = false}, "text", 5, {}, {retryable = 1}} do
      local calls = 0
      local value, got = retry(function()
        calls = calls + 1
        return nil, err
      end)
      assert.is_nil(value)
      assert.equal(err, got)
      assert.equal(1, calls)
    end
  end))

  it("asks `on` first: yes, no, or how long", virtual(function()
    local fn, log = failing(2, {retryable = false, retry_after = 500})
    retry(fn, {on = function(err, attempt)
      assert.equal("it failed", err.message)
      return attempt * 10
    end})
    assert.near(10, log[2], 1e-6)
    assert.near(30, log[3], 1e-6)
    fn, log = failing(2)
    retry(fn, {on = function() return false end})
    assert.equal(1, #log)
    assert.equal("done", (retry(failing(2, {retryable = false}), {on = function() return true end})))
    fn, log = failing(2)
    assert.equal("done", (retry(fn, {on = function() end})))
    assert.equal(3, #log)
    local n = 0
    assert.equal("ok", retry(function()
      n = n + 1
      if n < 3 then return nil, "busy" end
      return "ok"
    end, {on = function(err) return err == "busy" end}))
  end))

  it("raises the errors of callbacks, and what they return wrongly", virtual(function()
    local problem = {}
    for _, name in ipairs {"on", "before_sleep"} do
      local ok, err = pcall(retry, failing(1), {[name] = function() error(problem) end})
      assert.is_false(ok)
      assert.equal(problem, err)
    end
    for _, value in ipairs {"yes", -1, 0 / 0, math.huge} do
      raises("retry: 'on' returned", retry, failing(1), {on = function() return value end})
    end
  end))

  it("tells before it sleeps, and not when it gives up", virtual(function()
    local told = {}
    retry(failing(9), none {attempts = 3, before_sleep = function(err, attempt, seconds)
      table.insert(told, {err.message, attempt, seconds})
    end})
    assert.same({{"it failed", 1, 0.5}, {"it failed", 2, 1}}, told)
  end))
end)

describe("errors that are raised", function()
  it("are raised again unchanged, if they are not retryable", virtual(function()
    for _, err in ipairs {"text", {retryable = false}, {}, 5} do
      local calls = 0
      local ok, got = pcall(retry, function()
        calls = calls + 1
        error(err, 0)
      end)
      assert.is_false(ok)
      assert.equal(err, got)
      assert.equal(1, calls)
      if type(err) == "table" then assert.is_nil(err.attempts) end
    end
  end))

  it("are tried again if they are tables that say so, and raised in the end", virtual(function()
    local calls, problem = 0, {retryable = true}
    local ok, err = pcall(retry, function()
      calls = calls + 1
      error(problem)
    end, {attempts = 3})
    assert.same({false, 3, 3}, {ok, calls, err.attempts})
    assert.equal(problem, err)
    assert.equal("done", retry(function(attempt)
      if attempt < 3 then error {retryable = true} end
      return "done"
    end))
  end))

  it("are asked about, too", virtual(function()
    assert.equal("done", retry(function(attempt)
      if attempt < 3 then error "busy" end
      return "done"
    end, {on = function(err) return err:find "busy" ~= nil end}))
  end))
end)

describe("the deadline of a retry", function()
  it("ends it before a wait that would pass it", virtual(function()
    local fn, log = failing(9)
    local start = async.now()
    local _, err = retry(fn, none {deadline = 5, backoff = {first = 2}})
    assert.is_true(err.deadline_exceeded)
    assert.equal(2, #log)
    assert.near(2, async.now() - start, 1e-6)
    assert.equal("test", err.kind)
  end))

  it("cuts an attempt", virtual(function()
    local start = async.now()
    local value, err = retry(function(attempt)
      if attempt == 2 then async.sleep(1000) end
      return nil, failure()
    end, none {deadline = 10})
    assert.is_nil(value)
    assert.near(10, async.now() - start, 1e-6)
    assert.equal("timeout", err.kind)
    assert.matches("deadline of 10 s passed in attempt 2", err.message)
    assert.equal("test", err.last.kind)
    assert.same({2, 2}, {err.attempts, #err.history})
  end))

  it("may be told by a clock of one's own, and no wait goes beyond it", virtual(function()
    local start, left = async.now(), 100
    local fn, log = failing(9)
    local _, err = retry(fn, none {attempts = 99, backoff = {first = 30, factor = 1},
                                   deadline = function() left = left - 30 return left end})
    assert.is_true(err.deadline_exceeded)
    assert.equal("test", err.kind)
    assert.equal(3, #log)
    assert.near(60, async.now() - start, 1e-6)
  end))

  it("and the wait may be another's", virtual(function()
    local waits, start = {}, async.now()
    assert.equal("done", (retry(failing(3), none {sleep = function(s) waits[#waits + 1] = s end})))
    assert.same({0.5, 1}, {waits[1], waits[2]})
    assert.equal(start, async.now())
  end))

  it("may be none", virtual(function()
    local fn = failing(3000, {limited = true})
    assert.equal("done", (retry(fn, {deadline = math.huge})))
    local _, err = retry(function() async.sleep(1) end, {deadline = 0})
    assert.equal("timeout", err.kind)
  end))
end)

describe("cancellation of a retry", function()
  local function cancelled_after(seconds, fn, opts)
    local calls = 0
    local task = async.spawn(retry.retry, function(...)
      calls = calls + 1
      return fn(...)
    end, opts)
    async.sleep(seconds)
    task:cancel "enough"
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(async.is_cancelled(err))
    assert.equal("enough", err.reason)
    return calls, err
  end

  it("passes untouched, in an attempt and between them", virtual(function()
    local asked = false
    local opts = {on = function() asked = true return true end}
    local calls, err = cancelled_after(1, function() async.sleep(5) end, opts)
    assert.same({1, false}, {calls, asked})
    assert.is_nil(err.attempts)
    calls = cancelled_after(1, function() return nil, failure {retry_after = 5} end)
    assert.equal(1, calls)
    cancelled_after(1, function() async.sleep(5) end, {deadline = math.huge})
  end))

  it("is not tried again where the attempt makes another error of it", virtual(function()
    local calls = 0
    local task = async.spawn(retry.retry, function()
      calls = calls + 1
      local ok = pcall(async.sleep, 5)
      if not ok then error(failure()) end
    end)
    async.sleep(1)
    task:cancel()
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.equal("test", err.kind)
    assert.equal(1, calls)
  end))

  it("lets timeouts outside pass, and tries those inside again only if asked", virtual(function()
    local calls = 0
    local function slow()
      calls = calls + 1
      async.sleep(50)
    end
    local err = raises("timed? ?out", async.timeout, 5, retry.retry, slow, {on = function() return true end})
    assert.equal("timeout", err.kind)
    assert.equal(1, calls)
    raises("timed? ?out", retry, function() async.timeout(5, slow) end)
    assert.equal(2, calls)
    raises("timed? ?out", retry, function() async.timeout(5, slow) end,
      {attempts = 3, on = function(e) return e.kind == "timeout" end})
    assert.equal(5, calls)
  end))
end)

describe("a retry inside a retry", function()
  it("makes one attempt, and leaves the rest to the outer one", virtual(function()
    local calls = 0
    local function inner()
      return retry(function()
        calls = calls + 1
        return nil, failure()
      end)
    end
    local _, err = retry(inner, {attempts = 4})
    assert.equal(4, calls)
    assert.equal(4, err.attempts)
    calls = 0
    retry(coroutine.wrap(function() return inner() end), {attempts = 1})
    assert.equal(1, calls)
    retry(function() return nil, "first" end)
    calls = 0
    inner()
    assert.equal(6, calls)
  end))

  it("still has its deadline", virtual(function()
    local _, err = retry(function()
      return retry(function() async.sleep(100) end, {deadline = 5})
    end)
    assert.equal("timeout", err.kind)
    assert.matches("5 s", err.message)
  end))

  it("is another's in another task, and one in a callback is of its own", virtual(function()
    local calls = 0
    local function fail()
      calls = calls + 1
      return nil, failure()
    end
    retry(function() return async.await(function() return retry(fail, {attempts = 3}) end) end, {attempts = 1})
    assert.equal(3, calls)
    calls = 0
    retry(failing(1), {before_sleep = function() retry(fail, {attempts = 3}) end})
    assert.equal(3, calls)
  end))

  it("is over with a coroutine that is closed in the middle of it", virtual(function()
    local co = coroutine.create(function()
      retry(function() coroutine.yield() end, {deadline = math.huge})
    end)
    coroutine.resume(co)
    coroutine.close(co)
    local fn, log = failing(9)
    retry(fn, {attempts = 3})
    assert.equal(3, #log)
  end))
end)

describe("a budget of retries", function()
  it("ends retries of a whole run at 20 % of the successes and a floor", virtual(function()
    local budget, refused = retry.budget {floor = 3}, 0
    for _ = 1, 10 do retry(function() return 1 end, {budget = budget}) end
    assert.equal(5, budget:left())
    local calls = 0
    for _ = 1, 10 do
      local _, err = retry(function()
        calls = calls + 1
        return nil, failure()
      end, {budget = budget, attempts = 3})
      if err.budget_exhausted then refused = refused + 1 end
    end
    assert.equal(15, calls)
    assert.equal(8, refused)
    assert.same({10, 5, 0}, {budget.successes, budget.retries, budget:left()})
  end))

  it("has a floor of 10, and does not count refusals, nor what is not tried again", virtual(function()
    local budget = retry.budget()
    assert.equal(10, budget:left())
    retry(failing(20, {limited = true}), {budget = budget})
    retry(failing(1, {retryable = false}), {budget = budget})
    retry(failing(9), {budget = budget, attempts = 1})
    assert.same({1, 0}, {budget.successes, budget.retries})
  end))
end)
