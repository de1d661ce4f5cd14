--- One request and its answer: the cache, the budget, the one loop of retries, the limiter and the hooks around it.
local core = require "muster.core"
local cost = require "muster.llm.cost"
local digest = require "muster.digest"
local hooks = require "muster.llm.hooks"
local json = require "muster.json"
local live = require "muster.llm.live"
local retry = require "muster.retry"
local wire = require "muster.llm.wire"

local M = {}

local fire = hooks.fire
local CANONICAL = {canonical = true, invalid_utf8 = "replace"}
local MOST_OUTPUT = 4096 -- tokens of an answer, where a budget asks for a limit, and nobody gave one

---@class muster.llm.exchange a request on its way
---@field job muster.llm.job
---@field call muster.llm.call
---@field client muster.llm.client
---@field text string the body
---@field key string? in the cache
---@field permit muster.limit.permit? of the attempt
---@field kept muster.limit.permit? the same, if a stream keeps it
---@field reservation muster.llm.reservation?
---@field last table? the error of the last attempt
---@field on_end fun(result: muster.llm.result?, usage: muster.llm.usage?, bytes: integer)? of a stream

-- ---- the cache ----

--- The name of a request: a stream has that of the same request without.
local function key_of(ex, body)
  local client = ex.client
  if not client.cache then return nil end
  local plain = {}
  for name, value in pairs(body) do plain[name] = value end
  plain.stream, plain.stream_options = nil, nil
  local request = {base_url = client.base_url, path = client.path, body = plain}
  return digest.sha256(json.encode(request, CANONICAL))
end

local function kept(ex)
  local text = ex.key and ex.client.cache:get(ex.key)
  local result = type(text) == "string" and json.decode(text, {null = false}) or nil
  if type(result) ~= "table" then return nil end
  result.cached, result.tool_calls = true, result.tool_calls or {}
  return result
end

local lasting = {"content", "tool_calls", "refusal", "finish_reason", "usage", "model", "id", "prompt_cut"}

--- Keeps an answer. That it cannot be kept is no reason to lose it.
local function keep(ex, result)
  if not ex.key then return end
  local made = {}
  for _, name in ipairs(lasting) do made[name] = result[name] end
  made.tool_calls = json.array(table.move(made.tool_calls, 1, #made.tool_calls, 1, {}))
  local _, err = ex.client.cache:put(ex.key, wire.encode(made))
  if err then fire(ex.client, "error", err, {model = ex.job.model, where = "cache"}) end
end

-- ---- what it costs ----

--- Reserves what the answer may cost at most.
local function reserve(ex)
  local budget = ex.client.budget
  if not budget then return nil end
  local function measure()
    local most = {input = ex.client.estimator:most(#ex.text), output = ex.call.max_tokens or 0}
    return most.input + most.output, cost.of(ex.job.price, most) or 0
  end
  local tokens, money = measure()
  return budget:reserve(tokens, money, measure)
end

--- The answer has come: counts it, and puts right what was reserved for it.
---@param usage muster.llm.usage? nil if the service did not say
local function settle(ex, permit, reservation, usage, answer_bytes)
  local client = ex.client
  if usage then
    client.estimator:learn(#ex.text, usage)
  else
    usage = client.estimator:guess(#ex.text, answer_bytes)
  end
  local money, totals = ex.job:pay(usage), client.totals
  totals.answers, totals.seconds = totals.answers + 1, totals.seconds + core.now() - ex.sent
  if reservation then reservation:settle(usage.total, money or 0) end
  permit:settle(usage.total)
end

local function size_of(result)
  local n = #(result.content or "")
  for _, call in ipairs(result.tool_calls) do n = n + #call.arguments end
  return n
end

-- ---- one attempt ----

--- What the hooks are told; nothing if nobody listens.
local function info_of(ex, hook)
  if not ex.client.hooks[hook] then return nil end
  return {model = ex.job.model, mode = ex.call.mode, attempt = ex.job.attempts, url = ex.client.url,
          stream = ex.call.stream or false, bytes = #ex.text, body = ex.text}
end

local function post(ex)
  local client = ex.client
  fire(client, "request", info_of(ex, "request"))
  ex.sent = core.now()
  local response, err = client.transport:request {
    method = "POST", url = client.target(), headers = client.headers(), body = ex.text, timeout = client.timeout,
  }
  if response then ex.job.endpoint.limiter:learn(response.headers) end
  return response, err
end

local closing = {__close = function(guard) guard.response:close() end}

--- A response whose reading is cut short is closed, whatever the transport.
local function read_whole(ex, response)
  local _ <close> = setmetatable({response = response}, closing)
  local text, err = response:text()
  if not text then return nil, err end
  return ex.client.adapter.response(response.status, response.headers, text, ex.call)
end

--- An answer as a whole.
local function ask(ex)
  local response, err = post(ex)
  if not response then return nil, err end
  return read_whole(ex, response)
end

--- A stream, with its first delta there; or an answer as a whole, from a server that does not stream.
local function open(ex)
  local response, err = post(ex)
  if not response then return nil, err end
  local kind = response.headers["content-type"] or ""
  local streams = response.status < 300 and (ex.client.adapter.framing == "lines" or not kind:find "application/json")
  if streams then return live.open(ex, response) end
  local result
  result, err = read_whole(ex, response)
  if not result then return nil, err end
  ex.on_end(result, result.usage, size_of(result))
  return live.whole(ex, result)
end

--- Tells the limiter how it went.
local function judge(permit, err)
  if err.limited then
    permit:limited(err.retry_after)
  elseif not err.status or err.status >= 500 then
    permit:failed()
  end
end

--- Nothing is sent any more, until the client is resumed; all who wait for anything are told why.
local function stop(client, err)
  if client.stopped then return end
  client.stopped, client.stopped_by = err, err
  client.halt:set()
  for _, endpoint in pairs(client.endpoints) do
    if endpoint.limiter.turn_away then endpoint.limiter:turn_away(client) end
  end
  if client.budget then client.budget:turn_away(err) end
end

--- Phases of a connection in which the service has the request, and works on it: it may have to be paid for.
local at_work = {first_byte = true, body = true}

--- What came to nothing may be on the bill all the same: the budget counts its prompt. Not the usage, which is what was
--- told, or answered; it is in `lost`.
local function lose(ex)
  local client = ex.client
  local tokens = client.estimator:input(#ex.text)
  client.totals.lost = client.totals.lost + tokens
  if client.budget then client.budget:spend(tokens, cost.of(ex.job.price, {input = tokens, output = 0}) or 0) end
end

local function failed(ex, permit, err)
  local client = ex.client
  judge(permit, err)
  err = client.clean(err)
  ex.last = err
  if not err.status and at_work[err.phase] then lose(ex) end
  if err.fatal then stop(client, err) end
  fire(client, "error", err, info_of(ex, "error"))
  return nil, err
end

--- The error of the deadline, with that of the last try, which is what a person wants to know.
local function late(ex, phase)
  local last = ex.last and "; the last try ended with: " .. tostring(ex.last) or ""
  return core.error("timeout", ("llm: the deadline of %.6g seconds has passed%s"):format(ex.client.deadline, last),
    {retryable = false, deadline_exceeded = true, seconds = ex.client.deadline, last = ex.last,
     phase = phase})
end

--- Closes the permit of an attempt, unless a stream keeps it.
local Holding = {}
function Holding:__close(err)
  local permit = self.permit
  if self.ex.kept == permit then return end
  local close = getmetatable(permit).__close
  close(permit, err)
end

--- Sends, within what is left of the time. from: when it began to wait for the permit. That wait counts for the
--- deadline as far as the service made us wait: a long queue that moves is nobody's failure.
local function admitted(permit, ex, once, from, cooling)
  local client, job = ex.client, ex.job
  job.free = job.free + math.max(0, core.now() - from - cooling)
  if client.stopped then return nil, client.stopped end
  local result
  local err = client.budget and client.budget:crossed()
  if err then return nil, err end
  local left = job:time_left()
  if left <= 0 then return nil, late(ex) end
  job.attempts, client.totals.requests = job.attempts + 1, client.totals.requests + 1
  ex.permit = permit
  if left == math.huge then result, err = once(ex) else result, err = core.move_on_after(left, once, ex) end
  if result == false then err = late(ex, "body") end
  if not result then return failed(ex, permit, err) end
  if not result.live then
    fire(client, "response", result, info_of(ex, "response"))
  elseif not result.closed then
    ex.kept = permit
  end
  return result
end

local function attempt(ex, once)
  local client, job, limiter = ex.client, ex.job, ex.job.endpoint.limiter
  if client.stopped then return nil, client.stopped end
  local from, cooling = core.now(), job.attempts > 0 and limiter:stats().cooldown or 0
  if cooling > job:time_left() then return nil, late(ex) end
  local tokens = math.ceil(#ex.text / 4) + math.min(ex.call.max_tokens or 256, 256)
  if not ex.call.stream and limiter.with_group then
    local result, err = limiter:with_group(client, tokens, admitted, ex, once, from, cooling)
    return result, not result and (err or client.stopped_by) or nil
  end
  local permit = limiter:acquire(tokens, client)
  if not permit then return nil, client.stopped_by end
  local _ <close> = setmetatable({ex = ex, permit = permit}, Holding)
  return admitted(permit, ex, once, from, cooling)
end

-- ---- the loop ----

local function with_retries(ex, once)
  local client, given = ex.client, ex.client.retry
  local opts = {
    budget = client.retry_budget, on = given.on, deadline = function() return ex.job:time_left() end,
    sleep = function(seconds) core.move_on_after(seconds, client.halt.wait, client.halt) end,
    before_sleep = function(err, n, seconds)
      client.totals.retries = client.totals.retries + 1
      if given.before_sleep then given.before_sleep(err, n, seconds) end
      fire(client, "retry", err, {attempt = n, wait = seconds, model = ex.job.model})
    end,
  }
  if next(given) then
    opts.attempts, opts.backoff, opts.jitter, opts.random = given.attempts, given.backoff, given.jitter, given.random
  end
  return retry(function() return attempt(ex, once) end, opts)
end

--- The same within a budget of time.
local function in_time(ex, once)
  local budget = ex.client.budget
  local left = budget and budget:time_left() or math.huge
  if left == math.huge then return with_retries(ex, once) end
  local result, err = core.move_on_after(math.max(0, left), with_retries, ex, once)
  if result == false then return nil, budget:late() end
  return result, err
end

local function prepare(job, call)
  local client = job.client
  call.model, call.quirks = job.model, {}
  for name, value in pairs(job.endpoint.quirks) do call.quirks[name] = value end -- others learn meanwhile
  if client.budget and client.budget.counts then -- a hard limit needs to know the most that an answer can be
    call.max_tokens = call.max_tokens or client.adapter.max_tokens or MOST_OUTPUT
  end
  local body = client.adapter.request(call)
  local ex = {job = job, call = call, client = client, text = wire.encode(body)}
  ex.key = key_of(ex, body)
  return ex
end

--- Asks again in another way, if the service has told how it wants to be asked.
local function adapted(job, call, err)
  local adapt = job.client.adapter.adapt
  return adapt ~= nil and err.kind == "api" and adapt(err, call, job.endpoint.quirks)
end

local function ask_and_settle(ex)
  local result, err = ask(ex)
  if result then settle(ex, ex.permit, ex.reservation, result.usage, size_of(result)) end
  return result, err
end

local function send_once(ex)
  local client = ex.client
  if client.stopped then return nil, client.stopped end
  local result = kept(ex)
  if result then return result end
  local reservation <close>, err = reserve(ex)
  if err then return nil, err end
  ex.reservation = reservation
  result, err = in_time(ex, ask_and_settle)
  if not result then return nil, err end
  keep(ex, result)
  return result
end

--- Asks, and returns the answer.
---@async
---@param job muster.llm.job
---@param call muster.llm.call
---@return muster.llm.result?
---@return muster.llm.error?
function M.send(job, call)
  while true do
    local result, err = send_once(prepare(job, call))
    if result then
      job:note(result)
      return result
    end
    if not adapted(job, call, err) then return nil, err end
  end
end

-- ---- streams ----

--- What a stream does when its answer is there, or is not wanted any more.
local function on_end(ex, reservation)
  return function(result, usage, bytes)
    settle(ex, ex.permit, reservation, usage, bytes)
    if not result then return end
    ex.job:note(result)
    fire(ex.client, "response", result, info_of(ex, "response"))
    keep(ex, result)
  end
end

--- Keeps a reservation until the stream takes it.
local function guarded(reservation)
  return setmetatable({kept = false}, {__close = function(self)
    if reservation and not self.kept then reservation:settle(0, 0) end
  end})
end

local function open_once(ex)
  local client = ex.client
  if client.stopped then return nil, client.stopped end
  local result = kept(ex)
  if result then
    ex.job:note(result)
    return live.whole(ex, result)
  end
  local reservation, err = reserve(ex)
  if err then return nil, err end
  ex.reservation, ex.on_end = reservation, on_end(ex, reservation)
  local guard <close> = guarded(reservation)
  local stream
  stream, err = in_time(ex, open)
  if not stream then return nil, err end
  guard.kept = true
  return stream
end

--- Asks for a stream, which has to be closed.
---@async
---@param job muster.llm.job
---@param call muster.llm.call
---@return muster.llm.live?
---@return muster.llm.error?
function M.open(job, call)
  call.stream = true
  while true do
    local stream, err = open_once(prepare(job, call))
    if stream then return stream end
    if not adapted(job, call, err) then return nil, err end
  end
end

return M
