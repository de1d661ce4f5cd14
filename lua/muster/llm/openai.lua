--- The chat completions of OpenAI, and of the many servers that speak like it. Pure: no I/O.
local failure = require "muster.llm.failure"
local stream = require "muster.llm.openai_stream"
local wire = require "muster.llm.wire"

local M = {
  name = "openai",
  base_url = "https://api.openai.com/v1",
  path = "/chat/completions",
  key_variables = {"OPENAI_API_KEY"},
  url_variables = {"OPENAI_BASE_URL"},
  framing = "events",
  modes = {"tools", "json_schema", "json"},
}

local given, typed = wire.given, wire.typed

-- ---- requests ----

function M.headers(key)
  return {["Content-Type"] = "application/json", Authorization = key and "Bearer " .. key or nil}
end

--- Does a model want `max_completion_tokens`, and no `max_tokens`?
local function is_newer(model)
  local name = model:match "([^/]*)$"
  return name:find "^o%d" ~= nil or name:find "^gpt%-[5-9]" ~= nil or name:find "^chatgpt" ~= nil
end

local function tool_calls(list)
  local calls = {}
  for i, call in ipairs(list) do
    calls[i] = {id = call.id, type = "function", ["function"] = {name = call.name, arguments = call.arguments}}
  end
  return calls
end

local function messages(call)
  local list = {}
  if call.system then list[1] = {role = "system", content = call.system} end
  for _, message in ipairs(call.messages) do
    if message.tool_calls then
      local copy = {}
      for name, value in pairs(message) do copy[name] = value end
      copy.tool_calls = tool_calls(message.tool_calls)
      message = copy
    end
    list[#list + 1] = message
  end
  return list
end

local function tools(list, quirks)
  local made = {}
  for i, tool in ipairs(list) do
    made[i] = {type = "function", ["function"] = {
      name = wire.tool_name(tool.name), description = tool.description, parameters = tool.parameters,
      strict = not quirks.no_strict and tool.strict or nil,
    }}
  end
  return made
end

local kept_tools = {[true] = setmetatable({}, {__mode = "k"}), [false] = setmetatable({}, {__mode = "k"})}

--- The same for the tools of a call, which are made once if they stay what they are.
local function tools_of(call, quirks)
  if not call.keeps_tools then return tools(call.tools, quirks) end
  local kept = kept_tools[quirks.no_strict and true or false]
  local made = kept[call.tools]
  if not made then
    made = wire.prepare(tools(call.tools, quirks))
    kept[call.tools] = made
  end
  return made
end

--- llama.cpp used to look for the schema one level up.
local function schema_format(schema, quirks)
  return {
    type = "json_schema", schema = quirks.schema_above and schema.schema or nil,
    json_schema = {name = wire.tool_name(schema.name), schema = schema.schema,
                   strict = not quirks.no_strict and schema.strict or nil},
  }
end

local function response_format(call, quirks)
  if call.mode == "json_schema" and call.response_schema then return schema_format(call.response_schema, quirks) end
  if call.mode == "json" and not quirks.no_json_object then return {type = "json_object"} end
end

local function tool_choice(call, quirks)
  if not call.tool then return nil end
  if quirks.tool_required then return "required" end
  return {type = "function", ["function"] = {name = wire.tool_name(call.tool)}}
end

local function limit_of(call, quirks)
  local newer = quirks.max_completion_tokens
  if newer == nil then newer = is_newer(call.model) end
  return newer and "max_completion_tokens" or "max_tokens"
end

--- The body of a request.
---@param call muster.llm.call
---@return table
function M.request(call)
  local quirks = call.quirks or {}
  local body = {
    model = call.model, messages = messages(call), temperature = not quirks.no_temperature and call.temperature or nil,
    response_format = response_format(call, quirks),
  }
  if call.tools and call.tools[1] then
    body.tools, body.tool_choice = tools_of(call, quirks), tool_choice(call, quirks)
  end
  if call.max_tokens then body[limit_of(call, quirks)] = call.max_tokens end
  if call.stream then
    body.stream = true
    if not quirks.no_stream_options then body.stream_options = {include_usage = true} end
  end
  return wire.extend(body, call.extra)
end

-- ---- what a server does not know ----

local function mentions(err, word)
  return err.param == word or err.message:lower():find(word, 1, true) ~= nil
end

--- Quirks that a 400 shows: how to ask so that it does not come again. Each is tried once.
local adaptations = {
  {"max_completion_tokens", function(err)
    if not mentions(err, "max_completion_tokens") then return nil end
    return err.param == "max_tokens" or err.message:find("max_tokens", 1, true) ~= nil
  end},
  {"no_stream_options", function(err) return mentions(err, "stream_options") or nil end},
  {"no_strict", function(err) return mentions(err, "strict") or nil end},
  {"tool_required", function(err, call) return call.tool and mentions(err, "tool_choice") or nil end},
  {"no_temperature", function(err) return err.param == "temperature" or nil end},
  {"no_json_object", function(err, call) return call.mode == "json" and mentions(err, "response_format") or nil end},
}

--- Learns from an error how this server wants to be asked. True if asking again makes sense.
---@param err muster.llm.error
---@param call muster.llm.call with the quirks that it was sent with
---@param quirks table what is known of the server and model; changed
---@return boolean
function M.adapt(err, call, quirks)
  if err.status ~= 400 and err.status ~= 422 then return false end
  local used = call.quirks or {}
  for _, adaptation in ipairs(adaptations) do
    local name, value = adaptation[1], adaptation[2](err, call)
    if value ~= nil and used[name] == nil then
      if quirks[name] == nil then quirks[name] = value end -- else another call was quicker
      return true
    end
  end
  return false
end

-- ---- responses ----

local function call_of(raw)
  local fn = typed("table", raw["function"]) or raw
  return {id = typed("string", raw.id), name = typed("string", fn.name) or "", arguments = wire.arguments(fn.arguments)}
end

local function calls_of(message)
  local list = {}
  for _, raw in ipairs(typed("table", message.tool_calls) or {}) do
    if type(raw) == "table" then list[#list + 1] = call_of(raw) end
  end
  local old = typed("table", message.function_call) -- what tools were called once
  if not list[1] and old then list[1] = call_of(old) end
  return list
end

local function result_of(body, choice)
  local message = typed("table", choice.message) or typed("table", choice.delta) or {}
  local calls = calls_of(message)
  local refusal = typed("string", message.refusal)
  local result = {
    tool_calls = calls, finish_reason = stream.finish(choice.finish_reason, calls), usage = stream.usage(body.usage),
    model = typed("string", body.model), id = typed("string", body.id), raw = body,
  }
  result.content = wire.text_of(message.content) or typed("string", choice.text)
  if refusal ~= "" then result.refusal = refusal end
  return result
end

--- A result, or nil and an error.
---@param status integer
---@param headers table
---@param text string
---@return muster.llm.result?
---@return muster.llm.error?
function M.response(status, headers, text)
  if status < 200 or status >= 300 then return nil, failure.from_response(M.name, status, headers, text) end
  local body, wrong = wire.decode(text)
  if type(body) ~= "table" then
    return nil, failure.nonsense(M.name, "the answer is not JSON" .. (wrong and "" or " of a chat"), text)
  end
  local problem = failure.problem(body)
  if problem then return nil, failure.new(M.name, status, headers, problem) end
  local choice = type(given(body.choices)) == "table" and typed("table", body.choices[1])
  if not choice then return nil, failure.nonsense(M.name, "the answer has no choice", text) end
  local failed = stream.failed(choice)
  if failed then return nil, failure.new(M.name, status, headers, failed) end
  return result_of(body, choice)
end

--- What gathers a streamed answer: `:event(event)` → delta, or nil and maybe an error; `:finish()` → result.
M.stream = stream.new

return M
