--- A dry run: what a job will take, before anything is sent.
local cost = require "muster.llm.cost"
local plans = require "muster.llm.plan"
local wire = require "muster.llm.wire"

local M = {}

---@class muster.llm.forecast
---@field requests integer one for each text: no retries, no re-asks
---@field input integer tokens of the prompts
---@field output integer tokens of the answers
---@field tokens integer
---@field cost number? if there is a price
---@field seconds number? at the limits, as far as they are known
---@field bound "requests"|"tokens"|"concurrency"|nil what the seconds are owed to

local Forecast = {__name = "muster.llm.forecast"}
Forecast.__index = Forecast

function Forecast:__tostring()
  local money = self.cost and (", cost %.4g"):format(self.cost) or ""
  local time = self.seconds and (", %.3g s at least, by %s"):format(self.seconds, self.bound) or ""
  return ("%d requests, about %d tokens in and %d out%s%s"):format(self.requests, self.input, self.output, money, time)
end

local function slowest(bounds)
  local seconds, bound
  for _, pair in ipairs(bounds) do
    if pair[2] and (not seconds or pair[2] > seconds) then bound, seconds = pair[1], pair[2] end
  end
  return seconds, bound
end

--- How long so much takes at the limits that are known.
local function time_of(stats, requests, tokens, latency)
  return slowest {
    {"requests", stats.rpm and requests / stats.rpm * 60}, {"tokens", stats.tpm and tokens / stats.tpm * 60},
    {"concurrency", latency and requests * latency / math.min(stats.concurrency, requests)},
  }
end

--- The bytes of a request without its text.
local function overhead(client, plan, opts, model)
  local mode = opts.mode or client:endpoint(model).mode or client.adapter.modes[1]
  local call = plan:call(mode, {{role = "user", content = ""}}, opts)
  call.model, call.quirks = model, client:endpoint(model).quirks
  return #wire.encode(client.adapter.request(call))
end

---@param texts string|string[]|fun(): string?
local function each(texts)
  if type(texts) == "string" then texts = {texts} end
  if type(texts) ~= "table" then return texts end
  local i = 0
  return function()
    i = i + 1
    return texts[i]
  end
end

--- What it will take to extract a schema from texts: nothing is sent.
---@param opts table complete
---@return muster.llm.forecast
function M.estimate(client, node, texts, opts)
  local fixed = overhead(client, plans.of(node), opts, opts.model)
  local requests, input = 0, 0
  for text in each(texts) do requests, input = requests + 1, input + client.estimator:input(fixed + #text) end
  local each_output = opts.output_tokens or math.min(client.estimator:output(), opts.max_tokens or math.huge)
  local output, totals = math.ceil(requests * each_output), client.totals
  local latency = opts.latency or totals.answers > 0 and totals.seconds / totals.answers or nil
  local seconds, bound
  if requests > 0 then
    local stats = client:endpoint(opts.model).limiter:stats()
    seconds, bound = time_of(stats, requests, input + output, latency)
  end
  return setmetatable({
    requests = requests, input = input, output = output, tokens = input + output, seconds = seconds, bound = bound,
    cost = cost.of(cost.price(client.prices, opts.model), {input = input, output = output}),
  }, Forecast)
end

return M
