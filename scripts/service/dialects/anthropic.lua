--- The messages of Anthropic.
local durations = require "service.durations"
local json = require "service.json"
local messages = require "service.messages"

local M = {name = "anthropic", stream_type = "text/event-stream; charset=utf-8", id_header = "request-id",
           id_prefix = "msg_", call_prefix = "toolu_"}

local quoted = json.scalar

-- ---- errors ----

local types = {[400] = "invalid_request_error", [401] = "authentication_error", [403] = "permission_error",
               [404] = "not_found_error", [405] = "invalid_request_error", [408] = "timeout_error",
               [409] = "invalid_request_error", [413] = "request_too_large", [422] = "invalid_request_error",
               [429] = "rate_limit_error", [504] = "timeout_error", [529] = "overloaded_error"}

local QUOTA = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
  .. "purchase credits."

local function error_text(kind, message, id)
  return ('{"type":"error","error":{"type":%s,"message":%s},"request_id":%s}'):format(quoted(kind), quoted(message),
    id and quoted(id) or "null")
end

--- The status and the body of a problem.
function M.failure(problem)
  if problem.quota then return 400, error_text("invalid_request_error", QUOTA, problem.id) end
  local message = problem.message
  if problem.limited then
    local l = problem.limited
    message = ("This request would exceed your organization's rate limit of %d %s per minute. Please try again "
      .. "later."):format(l.limit // 1, l.what == "requests" and "requests" or "input tokens")
  end
  return problem.status, error_text(problem.type or types[problem.status] or "api_error", message, problem.id)
end

function M.unauthorized(given)
  return {status = 401, message = given and "invalid x-api-key" or "x-api-key header is required"}
end

function M.key(req)
  return req.headers["x-api-key"] or (req.headers["authorization"] or ""):match "^[Bb]earer +(%S+)"
end

-- ---- what is asked ----

local function wrong(message) return {status = 400, message = message} end

local function read_tools(call, body)
  call.tools = {}
  for i, tool in ipairs(body.tools) do
    local at = ("tools.%d"):format(i - 1)
    if type(tool) ~= "table" or type(tool.name) ~= "string" then return wrong(at .. ".name: Field required") end
    if type(tool.input_schema) ~= "table" then return wrong(at .. ".input_schema: Field required") end
    call.tools[i] = {name = tool.name, schema = tool.input_schema}
  end
  if call.tools[1] then call.mode = "tools" end
end

local function choose(call, choice)
  if choice == nil or choice == json.null then return end
  local kind = type(choice) == "table" and choice.type
  if kind == "auto" then return end
  if kind == "none" then call.mode = "text" return end
  call.forced = true
  if kind == "any" then return end
  if kind ~= "tool" then return wrong "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'" end
  for _, tool in ipairs(call.tools or {}) do
    if tool.name == choice.name then call.tool = tool end
  end
  if not call.tool then return wrong(("Tool '%s' not found in provided tools"):format(tostring(choice.name))) end
end

local function check(body, req)
  if not req.headers["anthropic-version"] then return wrong "anthropic-version: header is required" end
  if type(body.model) ~= "string" then return wrong "model: Field required" end
  if type(body.max_tokens) ~= "number" then return wrong "max_tokens: Field required" end
  if body.max_tokens < 1 then return wrong "max_tokens: Input should be greater than or equal to 1" end
  if type(body.messages) ~= "table" then return wrong "messages: Field required" end
  if #body.messages == 0 then return wrong "messages: at least one message is required" end
  for i, message in ipairs(body.messages) do
    local role = type(message) == "table" and message.role
    if role == "system" then
      return wrong(('messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
        .. '"system" as an input message role.'))
    elseif role ~= "user" and role ~= "assistant" then
      return wrong(("messages.%d.role: Input should be 'user' or 'assistant'"):format(i - 1))
    end
  end
end

--- Structured output: {type = "json_schema", schema = …}
local function read_format(call, body)
  local format = type(body.output_config) == "table" and body.output_config.format or body.output_format
  if type(format) ~= "table" then return end
  if format.type ~= "json_schema" or type(format.schema) ~= "table" then
    return wrong "output_config.format: expected a type 'json_schema' and a schema"
  end
  call.mode, call.schema = "json_schema", format.schema
end

---@return table? call
---@return table? problem
function M.read(body, req)
  local problem = check(body, req)
  if problem then return nil, problem end
  local call = {model = body.model, mode = "text", stream = body.stream == true, max_tokens = body.max_tokens // 1}
  local place
  call.texts, place = messages.texts(body.messages)
  if place then return nil, wrong(place .. ": Input should be a valid string or a list of blocks") end
  problem = read_format(call, body)
  if not problem and type(body.tools) == "table" then problem = read_tools(call, body) end
  problem = problem or choose(call, body.tool_choice)
  if problem then return nil, problem end
  return call
end

-- ---- what is answered ----

local stops = {stop = "end_turn", length = "max_tokens", tool_calls = "tool_use", refusal = "refusal",
               content_filter = "refusal"}

local function input_of(arguments) return json.decode(arguments) ~= nil and arguments or "{}" end

local function blocks_of(answer)
  if not answer.calls then
    local text = answer.refusal or answer.content or ""
    return text == "" and {} or {'{"type":"text","text":' .. quoted(text) .. "}"}
  end
  local blocks = {}
  for i, one in ipairs(answer.calls) do
    blocks[i] = ('{"type":"tool_use","id":"%s","name":%s,"input":%s}'):format(one.id, quoted(one.name),
      input_of(one.arguments))
  end
  return blocks
end

local function usage_text(input, output)
  return ('{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":%d}'):format(
    input, output)
end

local function message_text(meta, blocks, stop, usage)
  return '{"id":"' .. meta.id .. '","type":"message","role":"assistant","model":' .. quoted(meta.model)
    .. ',"content":[' .. table.concat(blocks, ",") .. '],"stop_reason":' .. stop .. ',"stop_sequence":null'
    .. (usage and ',"usage":' .. usage or "") .. "}"
end

---@return string
function M.whole(_, answer, meta)
  local usage = not answer.no_usage and usage_text(answer.input_tokens, answer.output_tokens)
  return message_text(meta, blocks_of(answer), quoted(stops[answer.finish]), usage)
end

local function event(name, rest)
  return "event: " .. name .. '\ndata: {"type":"' .. name .. '"' .. rest .. "}\n\n"
end

local function add_block(pieces, index, start, delta, text, slices)
  pieces[#pieces + 1] = event("content_block_start", (',"index":%d,"content_block":%s'):format(index, start))
  if index == 0 then pieces[#pieces + 1] = event("ping", "") end
  for slice in slices(text) do
    pieces[#pieces + 1] = event("content_block_delta", (',"index":%d,"delta":{"type":"%s":%s}'):format(index, delta,
      quoted(slice)))
  end
  pieces[#pieces + 1] = event("content_block_stop", (',"index":%d'):format(index))
end

---@return string[]
function M.pieces(_, answer, meta, slices)
  local pieces = {event("message_start", ',"message":' .. message_text(meta, {}, "null",
    usage_text(answer.input_tokens, 1)))}
  for i, one in ipairs(answer.calls or {}) do
    local start = ('{"type":"tool_use","id":"%s","name":%s,"input":{}}'):format(one.id, quoted(one.name))
    add_block(pieces, i - 1, start, 'input_json_delta","partial_json', one.arguments, slices)
  end
  local text = answer.refusal or answer.content
  if not answer.calls and text and text ~= "" then
    add_block(pieces, 0, '{"type":"text","text":""}', 'text_delta","text', text, slices)
  end
  pieces[#pieces + 1] = event("message_delta", (',"delta":{"stop_reason":"%s","stop_sequence":null}%s'):format(
    stops[answer.finish], answer.no_usage and "" or ',"usage":{"output_tokens":' .. answer.output_tokens .. "}"))
  pieces[#pieces + 1] = event("message_stop", "")
  return pieces
end

function M.stream_failure(problem) return "event: error\ndata: " .. select(2, M.failure(problem)) .. "\n\n" end

-- ---- headers ----

local names = {requests = {"requests"}, tokens = {"tokens", "input-tokens"}}

function M.limit_headers(state, time)
  local headers = {}
  for what, s in pairs(state) do
    for _, name in ipairs(names[what]) do
      local before = "anthropic-ratelimit-" .. name .. "-"
      headers[before .. "limit"] = ("%d"):format(s.limit // 1)
      headers[before .. "remaining"] = ("%d"):format(s.remaining)
      headers[before .. "reset"] = durations.rfc3339(time + s.reset)
    end
  end
  return headers
end

return M
