--- A chat, from the request to the answer, in any dialect.
local answering = require "service.answering"
local async = require "muster"
local delivery = require "service.delivery"
local faults = require "service.faults"
local json = require "service.json"
local schemas = require "service.schemas"
local script = require "service.script"

local M = {}

-- ---- headers ----

local function adjust(headers, change, call)
  if type(change) == "function" then change(headers, call) return end
  for name, value in pairs(change) do headers[name] = value or nil end
end

--- Those of every answer, with the state of the limits.
local function headers_of(x, call)
  local settings, dialect = x.settings, x.dialect
  local headers = {}
  if settings.headers ~= false then
    headers = dialect.limit_headers(settings.limits:state(async.now()), os.time())
  end
  headers[dialect.id_header] = "req_" .. x.id
  if dialect.clock_header then
    headers[dialect.clock_header] = ("%d"):format((async.now() - x.started) * 1000 // 1)
  end
  if settings.headers then adjust(headers, settings.headers, call) end
  return headers
end

-- ---- problems ----

local function add_wait(headers, limited, dialect)
  if limited.never then return end
  headers["retry-after"] = ("%d"):format(math.max(1, math.ceil(limited.wait)))
  if dialect.name == "openai" then headers["retry-after-ms"] = ("%d"):format(math.ceil(limited.wait * 1000)) end
end

--- Answers with an error.
function M.fail(x, problem, call)
  local headers = headers_of(x, call)
  if problem.limited then add_wait(headers, problem.limited, x.dialect) end
  for name, value in pairs(problem.headers or {}) do headers[name] = value end
  headers["content-type"] = headers["content-type"] or problem.content_type or "application/json"
  problem.id, problem.model = "req_" .. x.id, call and call.model
  local status, body = x.dialect.failure(problem)
  x.status = status
  return {status = status, headers = headers, body = problem.body or body}
end

local UNREADABLE = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
  .. "HTTP library correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"

local function unknown_model(x, model)
  if x.dialect.name == "ollama" then
    return {status = 404, message = ("model '%s' not found"):format(model)}
  elseif x.dialect.name == "anthropic" then
    return {status = 404, message = "model: " .. model}
  end
  return {status = 404, code = "model_not_found",
          message = ("The model `%s` does not exist or you do not have access to it."):format(model)}
end

--- What is wrong with the schemas of a call, if something is.
local function check_schemas(call)
  local problem = call.schema and not call.strict and schemas.check(call.schema)
  for _, tool in ipairs(call.tools or {}) do problem = problem or not tool.strict and schemas.check(tool.schema) end
  return problem and {status = 400, message = "Invalid schema: " .. problem}
end

--- Who asks, and what: the call, or nil and a problem.
local function read(x, text)
  local body = json.decode(text)
  if type(body) ~= "table" then return nil, {status = 400, message = UNREADABLE} end
  local call, problem = x.dialect.read(body, x.req)
  problem = problem or check_schemas(call)
  if problem then return nil, problem end
  call.body, call.input_tokens = body, answering.tokens(#text)
  if x.settings.known_models and not x.settings.known_models[call.model] then
    return nil, unknown_model(x, call.model)
  end
  return call
end

--- Is it within quota and limits? Else the problem.
local function admit(x, call)
  local settings = x.settings
  if settings.quota and x.stats.input_tokens + x.stats.output_tokens >= settings.quota then return {quota = true} end
  local limited = settings.limits:take(call.input_tokens, async.now())
  if not limited then return nil end
  x.stats.limited = x.stats.limited + 1
  return {status = 429, limited = limited}
end

-- ---- answers ----

--- The answer, right or not.
local function make_answer(x, call, step, fault)
  local id = x.dialect.call_prefix .. x.id
  local answer = script.answer(step, call, id, json.encode) or answering.answer(call, x.settings.extractors, id)
  if fault and fault.spoil then fault.spoil(answer, call, x.random) end
  if step.finish then answer.finish = step.finish end
  local usage = step.usage or {}
  answer.input_tokens, answer.output_tokens = usage.input, usage.output
  answering.finish(call, answer)
  x.settings.limits:charge(answer.output_tokens, async.now())
  x.stats.input_tokens = x.stats.input_tokens + answer.input_tokens
  x.stats.output_tokens = x.stats.output_tokens + answer.output_tokens
  return answer
end

local function deliver(x, call, answer, step, transport)
  local dialect = x.dialect
  local meta = {id = dialect.id_prefix .. x.id, created = os.time(), model = call.model,
                seconds = async.now() - x.started}
  local headers = headers_of(x, call)
  for name, value in pairs(step.headers or {}) do headers[name] = value end
  x.status = transport or 200
  if not call.stream then return delivery.whole(x, dialect.whole(call, answer, meta), headers, transport) end
  headers["content-type"] = dialect.stream_type
  local pieces = dialect.pieces(call, answer, meta, delivery.slicer(x.settings.stream.bytes))
  local failure = dialect.stream_failure {status = 500, message = "The server had an error in the middle of a stream.",
                                          id = "req_" .. x.id}
  delivery.stream(x, pieces, headers, transport, failure)
end

--- What happens to this one: a step of the script, or a fault by chance.
local function next_step(x)
  local steps = x.service.steps
  local drawn = x.settings.fault(x.random)
  if steps[1] then return table.remove(steps, 1) end
  return {fault = drawn}
end

--- Answers a request for a chat.
---@async
function M.handle(x)
  local text = x.req:body()
  if not text then return nil end -- the client has gone, or the server refuses it
  local call, problem = read(x, text)
  x.call = call
  problem = problem or admit(x, call)
  if problem then return M.fail(x, problem, call) end
  local step = next_step(x)
  local fault = faults.kinds[step.fault]
  if fault then
    x.fault = step.fault
    x.stats.faults[step.fault] = (x.stats.faults[step.fault] or 0) + 1
  end
  local drawn = x.settings.latency(x.random, call)
  local seconds = step.latency or drawn
  if seconds > 0 then async.sleep(seconds) end
  problem = script.problem(step)
  if problem then return M.fail(x, problem, call) end
  local transport = fault and fault.transport
  if transport == "stream_error" and not call.stream then
    return M.fail(x, faults.kinds["500"].problem(), call)
  end
  if transport then x.status = transport end
  if transport and delivery.without_answer(x, transport) then return nil end
  return deliver(x, call, make_answer(x, call, step, fault), step, transport)
end

return M
