--- The chat completions of OpenAI, and of the many servers that follow it.
local durations = require "service.durations"
local json = require "service.json"
local messages = require "service.messages"
local strict = require "service.strict"

local M = {name = "openai", stream_type = "text/event-stream", id_header = "x-request-id", id_prefix = "chatcmpl-",
           call_prefix = "call_", clock_header = "openai-processing-ms"}

local quoted = json.scalar

-- ---- errors ----

local types = {[429] = "requests", [500] = "server_error", [502] = "server_error", [503] = "server_error",
               [504] = "server_error", [529] = "server_error"}

local QUOTA = "You exceeded your current quota, please check your plan and billing details. For more information on "
  .. "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."

local function or_null(value) return value == nil and "null" or quoted(value) end

local function error_body(message, kind, param, code)
  return ('{"error":{"message":%s,"type":%s,"param":%s,"code":%s}}'):format(quoted(message), quoted(kind),
    or_null(param), or_null(code))
end

--- How much longer to wait, as in "Please try again in 1.5s".
local function limited(problem)
  local l = problem.limited
  local unit = l.what == "requests" and "requests per min (RPM)" or "tokens per min (TPM)"
  local numbers = ("Limit %d, Used %d, Requested %d"):format(l.limit // 1, l.used // 1, l.requested // 1)
  if l.never then
    return ("Request too large for %s on %s: %s. The input or output tokens must be reduced in order to run "
      .. "successfully."):format(problem.model, unit, numbers)
  end
  return ("Rate limit reached for %s on %s: %s. Please try again in %s."):format(problem.model, unit, numbers,
    durations.go(l.wait))
end

--- The status and the body of a problem.
---@return integer status
---@return string body
function M.failure(problem)
  if problem.quota then
    return 429, error_body(QUOTA, "insufficient_quota", nil, "insufficient_quota")
  elseif problem.limited then
    return 429, error_body(limited(problem), problem.limited.what, nil, "rate_limit_exceeded")
  end
  local kind = problem.type or types[problem.status] or "invalid_request_error"
  local code = problem.code or problem.status == 429 and "rate_limit_exceeded" or nil
  return problem.status, error_body(problem.message, kind, problem.param, code)
end

function M.unauthorized(given)
  local message = given and "Incorrect API key provided: ***. You can find your API key in the settings."
    or "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    .. "(i.e. Authorization: Bearer YOUR_KEY)."
  return {status = 401, message = message, code = given and "invalid_api_key" or nil}
end

function M.key(req) return (req.headers["authorization"] or ""):match "^[Bb]earer +(%S+)" end

-- ---- what is asked ----

local function missing(param)
  return {status = 400, message = ("Missing required parameter: '%s'."):format(param), param = param,
          code = "missing_required_parameter"}
end

local function wrong(param, expected, code)
  return {status = 400, message = ("Invalid value for '%s': expected %s."):format(param, expected), param = param,
          code = code or "invalid_type"}
end

local function read_tools(call, body)
  call.tools = {}
  if type(body.tools) ~= "table" then return wrong("tools", "an array of tools") end
  for i, tool in ipairs(body.tools) do
    local fn = type(tool) == "table" and tool["function"]
    local at = ("tools[%d].function"):format(i - 1)
    if type(fn) ~= "table" then return missing(at) end
    if type(fn.name) ~= "string" then return missing(at .. ".name") end
    if not fn.name:find "^[%w_-]+$" or #fn.name > 64 then
      return wrong(at .. ".name", "a name that matches ^[a-zA-Z0-9_-]{1,64}$", "invalid_value")
    end
    local schema = fn.parameters or {}
    local problem = fn.strict == true and strict.check(schema)
    if problem then
      return {status = 400, param = at .. ".parameters", code = "invalid_function_parameters",
              message = ("Invalid schema for function '%s': %s"):format(fn.name, problem)}
    end
    call.tools[i] = {name = fn.name, schema = schema, strict = fn.strict == true}
  end
end

local function choose(call, choice)
  if choice == nil or choice == json.null or choice == "auto" then return end
  if choice == "none" then call.tools = nil return end
  call.forced = true
  if choice == "required" then return end
  local name = type(choice) == "table" and type(choice["function"]) == "table" and choice["function"].name
  if not name then return wrong("tool_choice", "'none', 'auto', 'required' or a function") end
  for _, tool in ipairs(call.tools) do
    if tool.name == name then call.tool = tool end
  end
  if not call.tool then
    return {status = 400, param = "tool_choice", code = nil,
            message = ("Tool choice '%s' not found in 'tools' parameter."):format(name)}
  end
end

local function read_json_schema(call, format)
  local given = format.json_schema
  if type(given) ~= "table" then return missing "response_format.json_schema" end
  if type(given.name) ~= "string" then return missing "response_format.json_schema.name" end
  call.mode, call.schema = "json_schema", type(given.schema) == "table" and given.schema or {}
  call.strict = given.strict == true
  local problem = call.strict and strict.check(call.schema)
  if problem then
    return {status = 400, param = "response_format", code = "invalid_json_schema",
            message = ("Invalid schema for response_format '%s': %s"):format(given.name, problem)}
  end
end

local function read_format(call, body)
  local format = body.response_format
  if format == nil or format == json.null then return end
  local kind = type(format) == "table" and format.type
  if kind == "json_schema" then return read_json_schema(call, format) end
  if kind == "text" then return end
  if kind ~= "json_object" then
    return wrong("response_format.type", "one of 'json_object', 'json_schema' and 'text'", "invalid_value")
  end
  call.mode = "json"
  if not messages.mention(body.messages, "json") then
    return {status = 400, param = "messages", message = "'messages' must contain the word 'json' in some form, to "
      .. "use 'response_format' of type 'json_object'."}
  end
end

local function check(body)
  if type(body.model) ~= "string" then
    return {status = 400, message = "you must provide a model parameter"}
  elseif body.messages == nil then
    return missing "messages"
  elseif type(body.messages) ~= "table" then
    return wrong("messages", "an array of objects")
  elseif #body.messages == 0 then
    return {status = 400, param = "messages", code = "empty_array", message = "Invalid 'messages': empty array. "
      .. "Expected an array with minimum length 1, but got an empty array instead."}
  end
end

--- The most tokens of an answer, under either of their names.
local function read_most(call, body)
  for _, name in ipairs {"max_completion_tokens", "max_tokens"} do
    local most = body[name]
    if most ~= nil and most ~= json.null then
      if type(most) ~= "number" or most < 1 then return wrong(name, "an integer of at least 1", "invalid_value") end
      call.max_tokens = call.max_tokens or most // 1
    end
  end
end

--- Reads the body of a request.
---@return table? call
---@return table? problem
function M.read(body)
  local problem = check(body)
  if problem then return nil, problem end
  local call = {model = body.model, mode = "text", stream = body.stream == true}
  call.include_usage = type(body.stream_options) == "table" and body.stream_options.include_usage == true
  call.texts, problem = messages.texts(body.messages)
  if problem then return nil, wrong(problem, "a message with a role and content") end
  problem = read_most(call, body) or read_format(call, body)
  if not problem and body.tools ~= nil and body.tools ~= json.null then
    problem = read_tools(call, body) or choose(call, body.tool_choice)
    if not problem and call.tools and call.tools[1] then call.mode = "tools" end
  end
  if problem then return nil, problem end
  return call
end

-- ---- what is answered ----

local finishes = {refusal = "stop"}

local function usage_text(answer)
  return ('{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":0,'
    .. '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    .. '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'):format(answer.input_tokens,
    answer.output_tokens, answer.input_tokens + answer.output_tokens)
end

local function head(meta, object)
  return '{"id":"' .. meta.id .. '","object":"' .. object .. '","created":' .. meta.created .. ',"model":'
    .. quoted(meta.model)
end

local function calls_text(calls)
  local list = {}
  for i, one in ipairs(calls) do
    list[i] = '{"id":"' .. one.id .. '","type":"function","function":{"name":' .. quoted(one.name)
      .. ',"arguments":' .. quoted(one.arguments) .. '}}'
  end
  return ',"tool_calls":[' .. table.concat(list, ",") .. "]"
end

--- The whole answer.
---@return string
function M.whole(_, answer, meta)
  return head(meta, "chat.completion") .. ',"choices":[{"index":0,"message":{"role":"assistant","content":'
    .. or_null(answer.content) .. (answer.calls and calls_text(answer.calls) or "") .. ',"refusal":'
    .. or_null(answer.refusal) .. ',"annotations":[]},"logprobs":null,"finish_reason":"'
    .. (finishes[answer.finish] or answer.finish) .. '"}]'
    .. (answer.no_usage and "" or ',"usage":' .. usage_text(answer))
    .. ',"service_tier":"default","system_fingerprint":"fp_muster"}'
end

local function add_deltas(pieces, answer, delta, slices)
  for i, one in ipairs(answer.calls or {}) do
    local first = i == 1 and '"role":"assistant","content":null,' or ""
    delta(('{%s"tool_calls":[{"index":%d,"id":"%s","type":"function","function":{"name":%s,"arguments":""}}]%s}')
      :format(first, i - 1, one.id, quoted(one.name), i == 1 and ',"refusal":null' or ""))
    for slice in slices(one.arguments) do
      delta(('{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}'):format(i - 1, quoted(slice)))
    end
  end
  if answer.calls then return pieces end
  local field = answer.refusal and "refusal" or "content"
  delta(answer.refusal and '{"role":"assistant","content":null,"refusal":""}'
    or '{"role":"assistant","content":"","refusal":null}')
  for slice in slices(answer.refusal or answer.content or "") do
    delta('{"' .. field .. '":' .. quoted(slice) .. "}")
  end
end

--- The answer as events of a stream.
---@return string[]
function M.pieces(call, answer, meta, slices)
  local usage = call.include_usage and not answer.no_usage
  local before = "data: " .. head(meta, "chat.completion.chunk")
    .. ',"service_tier":"default","system_fingerprint":"fp_muster","choices":['
  local after = "]" .. (usage and ',"usage":null' or "") .. "}\n\n"
  local pieces = {}
  local function delta(text, finish)
    pieces[#pieces + 1] = before .. '{"index":0,"delta":' .. text .. ',"logprobs":null,"finish_reason":'
      .. or_null(finish) .. "}" .. after
  end
  add_deltas(pieces, answer, delta, slices)
  delta("{}", finishes[answer.finish] or answer.finish)
  if usage then pieces[#pieces + 1] = before .. '],"usage":' .. usage_text(answer) .. "}\n\n" end
  pieces[#pieces + 1] = "data: [DONE]\n\n"
  return pieces
end

function M.stream_failure(problem) return "data: " .. select(2, M.failure(problem)) .. "\n\n" end

-- ---- headers ----

--- The headers that tell the state of the limits.
function M.limit_headers(state)
  local headers = {}
  for what, s in pairs(state) do
    headers["x-ratelimit-limit-" .. what] = ("%d"):format(s.limit // 1)
    headers["x-ratelimit-remaining-" .. what] = ("%d"):format(s.remaining)
    headers["x-ratelimit-reset-" .. what] = durations.go(s.reset)
  end
  return headers
end

return M
