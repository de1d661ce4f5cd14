--- A chat-completions service, for demos, benchmarks and specs: OpenAI's API, Anthropic's and Ollama's, on our own HTTP
--- server. It really extracts, by grammars; and it is as slow, as limited and as faulty as it is told to be.
--
--   local service = require "service"
--   local s <close> = service.start {latency = {median = 0.1, p99 = 2}, limits = {rpm = 6000}, faults = {rate = 0.05}}
--   local response = http.post(s.url .. "/chat/completions", {json = …})
local async = require "muster"
local chat = require "service.chat"
local http = require "muster.http"
local json = require "service.json"
local random = require "service.random"
local routing = require "service.routing"
local script = require "service.script"
local settings = require "service.settings"

local M = {null = json.null, array = json.array}

---@class service
---@field url string "http://127.0.0.1:PORT/v1"
---@field root string "http://127.0.0.1:PORT", the base URL of Anthropic's and Ollama's clients
---@field port integer
local Service = {}
Service.__index = Service
Service.__name = "service"

-- ---- one request ----

local Exchange = {}
Exchange.__index = Exchange

--- A request is done with, whatever has happened.
function Exchange:__close(err)
  local stats = self.stats
  stats.in_flight = stats.in_flight - 1
  local status = err == nil and self.status or (err == nil or async.is_cancelled(err)) and "gone" or 500
  stats.by_status[status] = (stats.by_status[status] or 0) + 1
  local log, most = self.service.log, self.settings.log
  if not most then return end
  log[#log + 1] = {n = self.n, method = self.req.method, path = self.req.path, headers = self.req.headers,
                   body = self.call and self.call.body, text = self.call and self.call.texts[#self.call.texts],
                   status = status, fault = self.fault}
  if #log > most then table.remove(log, 1) end
end

local function begin(self, req, res)
  local stats = self.counts
  stats.requests = stats.requests + 1
  stats.in_flight = stats.in_flight + 1
  stats.max_in_flight = math.max(stats.max_in_flight, stats.in_flight)
  local sequence = random.of(self.settings.seed, stats.requests)
  return setmetatable({service = self, settings = self.settings, stats = stats, stopping = self.stopping, req = req,
                       res = res, n = stats.requests, started = async.now(), id = sequence:id(), random = sequence},
                      Exchange)
end

local function send(x, body)
  x.status = 200
  return {headers = {["content-type"] = "application/json"}, body = body}
end

local actions = {chat = chat.handle}

function actions.health(x) return send(x, '{"status":"ok"}') end

local DEFAULT_MODELS = {"muster-extract"}

function actions.models(x)
  local list = {}
  for i, name in ipairs(x.settings.models or DEFAULT_MODELS) do
    list[i] = ('{"id":%s,"object":"model","created":1700000000,"owned_by":"muster"}'):format(json.scalar(name))
  end
  return send(x, '{"object":"list","data":[' .. table.concat(list, ",") .. "]}")
end

function actions.tags(x)
  local list = {}
  for i, name in ipairs(x.settings.models or DEFAULT_MODELS) do
    list[i] = ('{"name":%s,"model":%s,"size":0}'):format(json.scalar(name), json.scalar(name))
  end
  return send(x, '{"models":[' .. table.concat(list, ",") .. "]}")
end

local function is_allowed(x, action)
  local keys = x.settings.keys
  if not keys or action == "health" then return true end
  local key = x.dialect.key(x.req)
  return key and keys[key], key ~= nil
end

local function handle(self, req, res)
  local x <close> = begin(self, req, res)
  local action, problem
  x.dialect, action, problem = routing.find(req.method, req.path)
  if not problem then
    local allowed, given = is_allowed(x, action)
    if not allowed then problem = x.dialect.unauthorized(given) end
  end
  if problem then return chat.fail(x, problem) end
  return actions[action](x)
end

-- ---- services ----

local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = copied(inner) end
  return copy
end

--- What has happened so far: requests; by_status, of which faults without a status have their names, and clients that
--- went away are "gone"; input_tokens, output_tokens; limited; faults, by kind; in_flight, max_in_flight.
---@return table
function Service:stats() return copied(self.counts) end

--- What the next chats get, whatever the faults by chance: a list of "ok", a fault, a status, or a table of any of
--- fault, status, message, type, code, param, retry_after, retry_after_ms, headers, body (a raw one), latency, value
--- (what is answered instead of what is found), content, arguments (raw), calls (a list of {name, value or arguments}),
--- refusal, finish, usage ({input, output}). Limits come first: what they refuse takes nothing from the list.
---@param list table
function Service:script(list)
  if type(list) ~= "table" then error("script: expected a list, got " .. type(list), 2) end
  local steps = {}
  for i, step in ipairs(list) do
    local ok, made = pcall(script.step, step)
    if not ok then error(made, 2) end
    steps[i] = made
  end
  table.move(steps, 1, #steps, #self.steps + 1, self.steps)
end

--- How many steps of scripts are left.
---@return integer
function Service:left() return #self.steps end

--- The last requests, if they are logged: tables of n, method, path, headers, body (decoded), text, status, fault.
---@return table[]
function Service:requests() return table.move(self.log, 1, #self.log, 1, {}) end

--- Stops: at once, or after at most so many seconds in which what is there is answered. Again is fine.
---@async
---@param seconds number?
function Service:stop(seconds)
  self.stopping:set()
  if seconds and seconds > 0 then self.server:stop(seconds) else self.server:close() end
end

function Service:__close() self:stop() end

function Service:__tostring() return "chat-completions service on " .. self.url end

--- Starts a service. All options may be left out: host, port (0: the system chooses); latency (seconds, {min=, max=},
--- {median=, p99=} or a function of the call), limits {rpm=, tpm=, burst=, burst_tokens=}, quota (tokens, after which
--- all is refused), faults {rate=, kinds=} (see faults.lua), seed, keys (which alone are accepted), models (the same),
--- extractors (see extraction.lua), headers (false: none of limits; a table that replaces some, false for none; or a
--- function that changes them), stream {bytes= of a delta, delay= between two, split= bytes of a packet}, log (true, or
--- how many requests to remember), max_body, connections.
---@async
---@param opts table?
---@return service? service
---@return muster.error? error as of http.serve
function M.start(opts)
  local ok, made = pcall(settings.of, opts)
  if not ok then error(made, 2) end
  local self = setmetatable({
    settings = made, stopping = async.event(), steps = {}, log = {},
    counts = {requests = 0, by_status = {}, input_tokens = 0, output_tokens = 0, limited = 0, faults = {},
              in_flight = 0, max_in_flight = 0},
  }, Service)
  made.server.handler = function(req, res) return handle(self, req, res) end
  local server, err = http.serve(made.server)
  if not server then return nil, err end
  self.server, self.port, self.root = server, server.port, server.url
  self.url = server.url .. "/v1"
  return self
end

return M
