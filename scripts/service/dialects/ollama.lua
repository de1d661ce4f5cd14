--- The native chat of Ollama.
local json = require "service.json"
local messages = require "service.messages"

local M = {name = "ollama", stream_type = "application/x-ndjson", id_header = "x-request-id", id_prefix = "ollama-",
           call_prefix = "call_"}

local quoted = json.scalar

function M.failure(problem)
  local message = problem.message
  if problem.limited then message = "too many requests, please try again later" end
  if problem.quota then message = "you have reached your usage limit" end
  return problem.quota and 429 or problem.status, '{"error":' .. quoted(message) .. "}"
end

function M.unauthorized() return {status = 401, message = "unauthorized"} end
function M.key(req) return (req.headers["authorization"] or ""):match "^[Bb]earer +(%S+)" end

local function read_tools(call, tools)
  call.tools = {}
  for i, tool in ipairs(tools) do
    local fn = type(tool) == "table" and tool["function"]
    if type(fn) ~= "table" or type(fn.name) ~= "string" then
      return {status = 400, message = "invalid tool: a function with a name is required"}
    end
    call.tools[i] = {name = fn.name, schema = fn.parameters or {}}
  end
  if call.tools[1] then call.mode = "tools" end
end

---@return table? call
---@return table? problem
function M.read(body)
  if type(body.model) ~= "string" or body.model == "" then return nil, {status = 400, message = "model is required"} end
  local options = type(body.options) == "table" and body.options or {}
  local call = {model = body.model, mode = "text", stream = body.stream ~= false,
                max_tokens = type(options.num_predict) == "number" and options.num_predict > 0
                  and options.num_predict // 1 or nil}
  local place
  call.texts, place = messages.texts(type(body.messages) == "table" and body.messages or {})
  if place then return nil, {status = 400, message = "invalid message: " .. place} end
  if body.format == "json" then call.mode = "json"
  elseif type(body.format) == "table" then call.mode, call.schema = "json_schema", body.format
  elseif body.format ~= nil and body.format ~= "" and body.format ~= json.null then
    return nil, {status = 400, message = 'invalid format: expected "json" or a JSON schema'}
  end
  if type(body.tools) == "table" then
    local problem = read_tools(call, body.tools)
    if problem then return nil, problem end
  end
  return call
end

local dones = {length = "length"}

local function line(meta, message, rest)
  return '{"model":' .. quoted(meta.model) .. ',"created_at":"' .. os.date("!%Y-%m-%dT%H:%M:%SZ", meta.created)
    .. '","message":{"role":"assistant"' .. message .. "}" .. rest .. "}"
end

local function last_fields(answer, meta)
  local nanoseconds = math.floor((meta.seconds or 0) * 1e9)
  local done = (',"done":true,"done_reason":"%s","total_duration":%d,"load_duration":0'):format(
    dones[answer.finish] or "stop", nanoseconds)
  if answer.no_usage then return done end
  return done .. (',"prompt_eval_count":%d,"prompt_eval_duration":0,"eval_count":%d,"eval_duration":%d'):format(
    answer.input_tokens, answer.output_tokens, nanoseconds)
end

--- Arguments are an object here: a call whose arguments are none is text.
local function calls_text(answer)
  local list = {}
  for i, one in ipairs(answer.calls or {}) do
    if type(json.decode(one.arguments)) ~= "table" then return "", one.arguments end
    list[i] = '{"id":"' .. one.id .. '","function":{"index":' .. i - 1 .. ',"name":' .. quoted(one.name)
      .. ',"arguments":' .. one.arguments .. "}}"
  end
  local text = answer.refusal or answer.content or ""
  return list[1] and ',"tool_calls":[' .. table.concat(list, ",") .. "]" or "", text
end

function M.whole(_, answer, meta)
  local calls, text = calls_text(answer)
  return line(meta, ',"content":' .. quoted(text) .. calls, last_fields(answer, meta))
end

function M.pieces(_, answer, meta, slices)
  local pieces, calls, text = {}, calls_text(answer)
  if calls ~= "" then pieces[1] = line(meta, ',"content":""' .. calls, ',"done":false') .. "\n" end
  for slice in slices(text) do
    pieces[#pieces + 1] = line(meta, ',"content":' .. quoted(slice), ',"done":false') .. "\n"
  end
  pieces[#pieces + 1] = line(meta, ',"content":""', last_fields(answer, meta)) .. "\n"
  return pieces
end

function M.stream_failure(problem) return select(2, M.failure(problem)) .. "\n" end

function M.limit_headers() return {} end

return M
