--- One call of the user's: what it has used so far, over all its requests.
local core = require "muster.core"
local cost = require "muster.llm.cost"

local M = {}

---@class muster.llm.meta what a call took
---@field usage muster.llm.usage of all its requests
---@field cost number? if there is a price
---@field attempts integer requests that were sent
---@field reasks integer
---@field latency number seconds, from the call to its end
---@field finish_reason string? of the last answer
---@field mode string? in which the record was asked for
---@field model string as the service tells it
---@field cached boolean did every answer come from the cache?
---@field spans muster.llm.span[]? where the quotes are, if they were looked for
---@field rejects table[]? of `extract_many`: index, value and errors of what did not fit

---@class muster.llm.job
---@field client muster.llm.client
---@field model string
---@field free number seconds that do not count for the deadline: in a queue that moves
local Job = {}
Job.__index = Job

---@return muster.llm.job
function M.new(client, model)
  return setmetatable({
    client = client, model = model, endpoint = client:endpoint(model), price = cost.price(client.prices, model),
    usage = cost.zero(), attempts = 0, reasks = 0, answers = 0, kept = 0, started = core.now(), free = 0,
  }, Job)
end

--- Seconds that are left until its deadline.
function Job:time_left() return self.client.deadline - (core.now() - self.started - self.free) end

--- Counts an answer that was paid for.
---@param usage muster.llm.usage
---@return number? cost
function Job:pay(usage)
  cost.add(self.usage, usage)
  local client, money = self.client, cost.of(self.price, usage)
  cost.add(client.totals, usage)
  if money then
    self.cost, client.totals.cost = (self.cost or 0) + money, (client.totals.cost or 0) + money
  end
  return money
end

--- What its last answer was.
function Job:note(result)
  self.finish_reason, self.answered_by, self.id = result.finish_reason, result.model, result.id
  self.answers = self.answers + 1
  if result.cached then self.kept = self.kept + 1 end
end

---@return muster.llm.meta
function Job:meta()
  return {
    usage = self.usage, cost = self.cost, attempts = self.attempts, reasks = self.reasks,
    latency = core.now() - self.started, finish_reason = self.finish_reason, mode = self.mode,
    model = self.answered_by or self.model, id = self.id, cached = self.answers > 0 and self.kept == self.answers,
    spans = self.spans, rejects = self.rejects,
  }
end

--- An error, with what it took to get it.
---@param err table
---@return nil
---@return table err
function Job:fail(err)
  err = self.client.clean(err)
  self.client.totals.failed = self.client.totals.failed + 1
  if not err.fatal then rawset(err, "meta", self:meta()) end -- a fatal one is everybody's
  return nil, err
end

return M
