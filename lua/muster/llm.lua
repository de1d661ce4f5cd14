--- LLM services: answers, and records that fit a schema. `local llm = require "muster.llm"`.
--
--   local client = llm.client {provider = "openai", model = "gpt-4o-mini"}
--   local person, meta = client:extract(Person, "My name is Ada, I am 36.")
--
-- A provider is an adapter (llm/openai.lua and the like), which does no I/O. engine.lua sends one request: the cache,
-- the budget, the one loop of retries, the limiter and the hooks are there. extract.lua asks for a record, and asks
-- again; many.lua reads one that streams.
local Budget = require "muster.llm.budget"
local chat = require "muster.llm.chat"
local core = require "muster.core"
local dry = require "muster.llm.dry"
local endpoint = require "muster.llm.endpoint"
local estimate = require "muster.llm.estimate"
local extract = require "muster.llm.extract"
local limit = require "muster.limit"
local many = require "muster.llm.many"
local options = require "muster.llm.options"
local providers = require "muster.llm.providers"
local retry = require "muster.retry"
local secrets = require "muster.llm.secrets"

local M = {}

local DEADLINE = 600
local RETRIES = 100 -- of a run, before any success: failures may be quicker than the first answers
local TIMEOUT = {connect = 5, first_byte = 300, idle = 60} -- a long answer that does not stream begins late

---@class muster.llm.client
---@field adapter table
---@field base_url string without user and password
---@field url string the same of where requests go
---@field target fun(): string with user and password
---@field model string?
---@field totals table
---@field stopped table? the error after which nothing is sent any more
---@field stopped_by table? the last one of those
---@field halt event set while it is stopped
---@field endpoints table<string, muster.llm.endpoint> by models, so far
local Client = {}
Client.__index = Client
Client.__name = "llm.client"

-- ---- making one ----

--- The transport that is there unless another is given: an HTTP client, made at the first request. What is the same in
--- all requests is the client's own: it need not be read and checked for each.
---@param keeps_headers boolean are the headers the same in all requests?
local function own_transport(keeps_headers)
  local client
  return {
    request = function(_, opts)
      client = client or require "muster.http".client {timeout = opts.timeout,
                                                       headers = keeps_headers and opts.headers or nil}
      opts.timeout = nil
      if keeps_headers then opts.headers = nil end
      return client:request(opts)
    end,
    close = function()
      if client then client:close() end
    end,
  }
end

local function limiter_of(opts, model)
  local settings = {name = model, concurrency = opts.concurrency}
  for name, value in pairs(opts.limiter or {}) do settings[name] = value end
  return limit.limiter(settings)
end

--- How the endpoint of a model is found; those found are in `made`.
local function endpoints(opts, url, key, quirks, made)
  local given = opts.limiter
  local is_limiter = given and type(given.acquire) == "function"
  local own = not is_limiter and (given or opts.concurrency)
  if own then limiter_of(opts) end -- what is wrong with the options is told now
  return function(model)
    local found = made[model]
    if found then return found end
    if is_limiter then
      found = endpoint.new(given, quirks)
    elseif own then
      found = endpoint.new(limiter_of(opts, model), quirks)
    else
      found = endpoint.shared(url, key, model, quirks)
    end
    made[model] = found
    return found
  end
end

local function new_totals()
  return {requests = 0, answers = 0, seconds = 0, items = 0, failed = 0, retries = 0, reasks = 0, input = 0, output = 0,
          total = 0, lost = 0}
end

--- Times that are not given are those that there are.
local function timeout_of(given)
  if type(given) == "number" then return given end
  local made = {}
  for name, seconds in pairs(TIMEOUT) do made[name] = seconds end
  for name, seconds in pairs(given or {}) do made[name] = seconds end
  return made
end

local function make(opts)
  local adapter = providers.find(opts.provider or "openai")
  local base = opts.base_url or providers.base_url(adapter)
  local url = providers.url(adapter, base)
  local given = opts.retry or {}
  local hidden = secrets.of(adapter, opts, url)
  local made = {}
  local find = endpoints(opts, url, hidden.id, adapter.quirks, made)
  return setmetatable({
    adapter = adapter, base_url = providers.public(base), path = adapter.path, url = providers.public(url),
    model = opts.model, headers = hidden.headers, target = function() return url end, clean = hidden.clean,
    endpoint = function(_, model) return find(model) end, endpoints = made, halt = core.event(),
    retry = given, deadline = given.deadline or DEADLINE, retry_budget = given.budget or retry.budget {floor = RETRIES},
    cache = opts.cache, hooks = opts.hooks or {}, prices = opts.prices,
    budget = opts.budget and Budget.new(opts.budget), timeout = timeout_of(opts.timeout),
    transport = opts.transport or own_transport(type(opts.api_key or "") == "string"), owns = not opts.transport,
    extra = opts.extra, max_tokens = opts.max_tokens, temperature = opts.temperature,
    estimator = estimate.new(), totals = new_totals(),
  }, Client)
end

--- A client of a service.
--
-- provider: "openai" (and what speaks like it), "anthropic", "ollama", "llamacpp", or an adapter of your own. base_url,
-- api_key (a string, or a function that gives one): as the provider's environment variables say, unless told.
-- cache: answers are kept as they came, right or wrong; the same request gets the same answer, and pays nothing.
-- limiter: a limiter, or options for one; one for each service, key and model unless told. retry: options of
-- muster.retry; deadline (600 s) is for the whole of a call, without the time in a queue that moves. budget: {tokens=,
-- money=, seconds=} that are not crossed: each request reserves the most that it may be (a token a byte, until answers
-- tell better, and max_tokens); money needs prices. prices: {model = {input=, output=, cached=}} for a million tokens.
---@param opts muster.llm.client.options
---@return muster.llm.client
function M.client(opts)
  options.checked(options.of_client, opts)
  local client = options.checked(make, opts)
  return client
end

-- ---- asking ----

--- Asks, and returns the answer as it is.
---@async
---@param opts string|table a text, a list of messages, or options: messages, system, max_tokens, temperature, tools…
---@return muster.llm.result?
---@return muster.llm.meta|muster.llm.error
function Client:chat(opts)
  opts = options.checked(options.chat, "chat", self, opts)
  return chat.chat(self, opts)
end

--- The same as an iterator over deltas: `for delta in client:stream "…" do io.write(delta.content or "") end`.
---@async
---@return muster.llm.stream
function Client:stream(opts)
  opts = options.checked(options.chat, "stream", self, opts)
  return chat.stream(self, opts)
end

--- A record of a schema, out of a text or messages.
--
-- opts: mode ("tools", "json_schema", "json"; the first that works unless told), instructions, reasks (2), grounding
-- (true, or a list of fields that have to be quotes of the text), source, coerce, max_tokens, temperature, model,
-- extra.
---@async
---@param node muster.schema.node
---@param input string|table[]
---@param opts table?
---@return any record nil if there is none
---@return muster.llm.meta|muster.llm.error error kinds: "invalid" (with value, errors, raw), "truncated", "refusal",
--- "content_filter", "budget", "api", and those of HTTP; each has `meta`
function Client:extract(node, input, opts)
  local complete, messages = options.checked(options.extract, "extract", self, node, input, opts)
  return extract.extract(self, node, messages, complete)
end

--- An iterator over the records of a list, each as its item of the answer closes: `record, index`. What does not fit is
--- left out, and is in `rejects` of `meta`, which the iterator has at its end; with `settle` it comes as
--- `false, index, err`.
---@async
---@return muster.llm.many
function Client:extract_many(node, input, opts)
  local complete, messages = options.checked(options.extract, "extract_many", self, node, input, opts)
  return many.extract_many(self, node, messages, complete)
end

--- An iterator over what there is of a record while it streams; the last one is checked.
---@async
---@return muster.llm.partial
function Client:partial(node, input, opts)
  local complete, messages = options.checked(options.extract, "partial", self, node, input, opts)
  return many.partial(self, node, messages, complete)
end

-- ---- accounts ----

--- What will it take to extract a schema from texts? Nothing is sent.
---@param node muster.schema.node
---@param texts string|string[]|fun(): string?
---@param opts table? of extract, and output_tokens (of an answer), latency (seconds of a request)
---@return muster.llm.forecast
function Client:estimate(node, texts, opts)
  opts = options.checked(options.estimate, "estimate", self, node, texts, opts)
  return dry.estimate(self, node, texts, opts)
end

--- What all calls so far have used: requests, answers, seconds (of requests, one after the other), items, failed,
--- retries, reasks, input, output, total, cached, cost; lost: tokens, as estimated, of prompts that came to nothing
--- when the service had them, which may be on the bill. Budgets count those too.
---@return table
function Client:usage()
  local copy = {}
  for name, value in pairs(self.totals) do copy[name] = value end
  return copy
end

--- Goes on after an error that stopped it: a quota, a key that was refused.
function Client:resume()
  self.stopped = nil
  self.halt:clear()
end

--- Closes its connections.
function Client:close()
  if self.owns then self.transport:close() end
end
Client.__close = Client.close

function Client:__tostring() return ("llm client of %s at %s"):format(self.adapter.name, self.base_url) end

return M
