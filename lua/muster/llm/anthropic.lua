--- The messages of Anthropic. Pure: no I/O.
local failure = require "muster.llm.failure"
local stream = require "muster.llm.anthropic_stream"
local wire = require "muster.llm.wire"

local M = {
  name = "anthropic",
  base_url = "https://api.anthropic.com",
  path = "/v1/messages",
  key_variables = {"ANTHROPIC_API_KEY"},
  url_variables = {"ANTHROPIC_BASE_URL"},
  framing = "events",
  modes = {"tools", "json_schema", "json"},
  max_tokens = 4096, -- required
}

local VERSION = "2023-06-01"

local typed = wire.typed

-- ---- requests ----

function M.headers(key)
  return {["Content-Type"] = "application/json", ["anthropic-version"] = VERSION, ["x-api-key"] = key}
end

--- The URL below a base that may or may not end in /v1.
---@return string
function M.url(base)
  base = base:gsub("/+$", "")
  return base .. (base:find "/v1$" and "/messages" or M.path)
end

--- A message with tool calls has blocks here; a tool's answer is a block of the user.
local function message_of(message)
  if message.role == "tool" then
    local block = {type = "tool_result", tool_use_id = message.tool_call_id, content = message.content}
    return {role = "user", content = {block}}
  end
  if not message.tool_calls then return {role = message.role, content = message.content} end
  local blocks = {}
  local text = wire.text_of(message.content)
  if text and text ~= "" then blocks[1] = {type = "text", text = text} end
  for _, call in ipairs(message.tool_calls) do
    local input = wire.decode(call.arguments)
    blocks[#blocks + 1] = {type = "tool_use", id = call.id, name = call.name,
                           input = type(input) == "table" and input or {}}
  end
  return {role = message.role, content = blocks}
end

--- The messages, and what those of the system say, which has a place of its own.
local function messages(call)
  local list, system = {}, {call.system}
  for _, message in ipairs(call.messages) do
    if message.role == "system" or message.role == "developer" then
      system[#system + 1] = wire.text_of(message.content)
    else
      list[#list + 1] = message_of(message)
    end
  end
  return list, system[1] and table.concat(system, "\n\n") or nil
end

local function tools(list)
  local made = {}
  for i, tool in ipairs(list) do
    made[i] = {name = wire.tool_name(tool.name), description = tool.description, input_schema = tool.parameters}
  end
  return made
end

--- The body of a request.
---@param call muster.llm.call
---@return table
function M.request(call)
  local list, system = messages(call)
  local body = {
    model = call.model, messages = list, system = system, max_tokens = call.max_tokens or M.max_tokens,
    temperature = call.temperature, stream = call.stream or nil,
  }
  if call.tools and call.tools[1] then
    body.tools = tools(call.tools)
    if call.tool then
      body.tool_choice = {type = "tool", name = wire.tool_name(call.tool), disable_parallel_tool_use = true}
    end
  end
  if call.mode == "json_schema" and call.response_schema then
    body.output_config = {format = {type = "json_schema", schema = call.response_schema.schema}}
  end
  return wire.extend(body, call.extra)
end

-- ---- responses ----

--- A result, or nil and an error.
---@param status integer
---@param headers table
---@param text string
---@return muster.llm.result?
---@return muster.llm.error?
function M.response(status, headers, text)
  if status < 200 or status >= 300 then return nil, failure.from_response(M.name, status, headers, text) end
  local body = wire.decode(text)
  if type(body) ~= "table" then return nil, failure.nonsense(M.name, "the answer is not JSON of a message", text) end
  local problem = failure.problem(body)
  if problem then return nil, failure.new(M.name, status, headers, problem) end
  local blocks = typed("table", body.content)
  if not blocks then return nil, failure.nonsense(M.name, "the answer has no content", text) end
  local texts, calls = {}, {}
  for _, raw in ipairs(blocks) do
    local block = typed("table", raw) or {}
    if block.type == "text" then texts[#texts + 1] = typed("string", block.text) end
    if block.type == "tool_use" then
      calls[#calls + 1] = {id = typed("string", block.id), name = typed("string", block.name) or "",
                           arguments = wire.arguments(block.input)}
    end
  end
  local usage = stream.usage(typed("table", body.usage))
  local result = stream.result(texts, calls, typed("string", body.stop_reason), usage)
  result.model, result.id, result.raw = typed("string", body.model), typed("string", body.id), body
  return result
end

--- What gathers a streamed answer.
M.stream = stream.new

return M
