-- A transport for specs of time: it answers from a list, on whatever clock there is, and no I/O is done.
local async = require "muster"
local core = require "muster.core"
local json = require "muster.json"
local limit = require "muster.limit"
local llm = require "muster.llm"

local M = {}

--- A body of a chat that calls the tool of the request with a value.
function M.called(value, name, usage)
  return {id = "c", model = "m", usage = usage or {prompt_tokens = 10, completion_tokens = 5, total_tokens = 15},
          choices = {{index = 0, finish_reason = "tool_calls", message = {role = "assistant", content = json.null,
            tool_calls = {{id = "t", type = "function", ["function"] = {name = name or "Person",
              arguments = type(value) == "string" and value or json.encode(value)}}}}}}}
end

--- A body of a chat that says a text.
function M.said(text, finish, usage)
  return {id = "c", model = "m", usage = usage or {prompt_tokens = 10, completion_tokens = 5, total_tokens = 15},
          choices = {{index = 0, finish_reason = finish or "stop", message = {role = "assistant", content = text}}}}
end

--- An answer with a status that is an error.
function M.refused(status, message, headers)
  return {status = status, headers = headers, body = {error = {message = message or "no", type = "t"}}}
end

--- An error of the connection.
function M.broken(kind, retryable)
  return {err = core.error(kind or "reset", "the connection broke", {retryable = retryable ~= false, phase = "body"})}
end

--- The chunks of a streamed text, and the end.
function M.streamed(texts, finish, usage)
  local chunks = {}
  for i, text in ipairs(texts) do chunks[i] = {choices = {{index = 0, delta = {content = text}}}} end
  if finish ~= false then
    chunks[#chunks + 1] = {choices = {{index = 0, delta = {}, finish_reason = finish or "stop"}}}
    chunks[#chunks + 1] = {choices = json.array(), usage = usage or {prompt_tokens = 10, completion_tokens = 5}}
    chunks[#chunks + 1] = "[DONE]"
  end
  return {chunks = chunks, headers = {["content-type"] = "text/event-stream"}}
end

local Response = {}
Response.__index = Response

function Response:text()
  if self.step.body_delay then async.sleep(self.step.body_delay) end
  self:close()
  if self.step.body_err then return nil, self.step.body_err end
  return self.body
end

function Response:events()
  local i = 0
  return function()
    if self.step.delta_delay then async.sleep(self.step.delta_delay) end
    i = i + 1
    local chunk = (self.step.chunks or {})[i]
    if chunk == nil then
      self:close()
      if self.step.body_err then error(self.step.body_err, 0) end
      return nil
    end
    return {event = "message", data = type(chunk) == "string" and chunk or json.encode(chunk)}
  end
end

function Response:close()
  if self.closed then return end
  self.closed = true
  self.transport.open = self.transport.open - 1
end

--- A transport that gives the steps one after the other, and the last one again and again. A step: a table that is a
--- body; or one with any of status, headers, body, delay, body_delay, err, body_err, chunks; or a function of the
--- request that gives one.
function M.transport(steps)
  local self = {requests = {}, bodies = {}, open = 0, in_flight = 0, most = 0, times = {}}
  function self.request(_, opts)
    local n = #self.requests + 1
    self.requests[n], self.bodies[n], self.times[n] = opts, json.decode(opts.body), async.now()
    local step = steps[math.min(n, #steps)]
    if type(step) == "function" then step = step(self.bodies[n], n) end
    if step.choices then step = {body = step} end
    self.in_flight = self.in_flight + 1
    self.most = math.max(self.most, self.in_flight)
    do
      local _ <close> = setmetatable({}, {__close = function() self.in_flight = self.in_flight - 1 end})
      if step.delay then async.sleep(step.delay) end
    end
    if step.err then return nil, step.err end
    self.open = self.open + 1
    local body = type(step.body) == "table" and json.encode(step.body) or step.body or ""
    return setmetatable({status = step.status or 200, headers = step.headers or {}, body = body, step = step,
                         transport = self}, Response)
  end
  return self
end

--- A client over a transport that answers from a list; the transport, and the limiter.
function M.client(steps, opts)
  local transport = M.transport(steps)
  local made = {model = "m", base_url = "http://service/v1", api_key = "sk-secret-123", transport = transport,
                limiter = limit.limiter {name = "m"}}
  for name, value in pairs(opts or {}) do made[name] = value end
  return llm.client(made), transport, made.limiter
end

--- Raises if anything is still held.
function M.assert_idle(client, transport, limiter)
  assert(transport.open == 0, "a response is open")
  assert(transport.in_flight == 0, "a request is under way")
  assert(limiter:stats().in_flight == 0, "a permit is held")
  local budget = client.budget
  assert(not budget or budget.held.tokens == 0 and not budget.queue[1], "some of the budget is held")
end

return M
