--- Ollama's own /api/chat, which takes a schema as `format` and streams lines of JSON. Pure: no I/O.
local failure = require "muster.llm.failure"
local wire = require "muster.llm.wire"

local M = {
  name = "ollama",
  base_url = "http://127.0.0.1:11434",
  path = "/api/chat",
  key_variables = {"OLLAMA_API_KEY"},
  url_variables = {"OLLAMA_HOST"},
  framing = "lines",
  modes = {"json_schema", "json"}, -- a tool cannot be forced: use is made of them only when asked for
  more_modes = {tools = true},
}

local given, typed = wire.given, wire.typed

-- ---- requests ----

function M.headers(key)
  return {["Content-Type"] = "application/json", Authorization = key and "Bearer " .. key or nil}
end

--- The URL below a base: OLLAMA_HOST has no scheme, and those who used its other API have /v1 at the end.
---@return string
function M.url(base)
  base = base:gsub("/+$", ""):gsub("/v1$", ""):gsub("/api$", "")
  if not base:find "^%a+://" then base = "http://" .. base end
  if base:find "^http://[^:/]+$" then base = base .. ":11434" end
  return base .. M.path
end

local function messages(call)
  local list = {}
  if call.system then list[1] = {role = "system", content = call.system} end
  for _, message in ipairs(call.messages) do
    local calls
    for i, one in ipairs(message.tool_calls or {}) do
      calls = calls or {}
      calls[i] = {["function"] = {name = one.name, arguments = wire.decode(one.arguments) or {}}}
    end
    list[#list + 1] = {role = message.role, content = wire.text_of(message.content) or "", tool_calls = calls,
                       tool_name = message.tool_name}
  end
  return list
end

local function tools(list)
  local made = {}
  for i, tool in ipairs(list) do
    made[i] = {type = "function", ["function"] = {name = wire.tool_name(tool.name), description = tool.description,
                                                  parameters = tool.parameters}}
  end
  return made
end

local function format_of(call)
  if call.mode == "json_schema" and call.response_schema then return call.response_schema.schema end
  if call.mode == "json" then return "json" end
end

local top_level = {format = true, keep_alive = true, think = true, options = true}

--- What is extra are options of the model, such as num_ctx, save what has its place beside them.
local function extend(body, extra)
  for name, value in pairs(extra or {}) do
    if not top_level[name] then
      body.options[name] = value
    elseif name == "options" then
      wire.extend(body.options, value)
    else
      body[name] = value
    end
  end
  if next(body.options) == nil then body.options = nil end
  return body
end

--- The body of a request.
---@param call muster.llm.call
---@return table
function M.request(call)
  local body = {
    model = call.model, messages = messages(call), stream = call.stream or false, format = format_of(call),
    options = {num_predict = call.max_tokens, temperature = call.temperature},
  }
  if call.tools and call.tools[1] then body.tools = tools(call.tools) end
  return extend(body, call.extra)
end

-- ---- responses ----

local WORST = 16 -- bytes a token: no text has as many

local function bytes_of(call)
  local n = #(call.system or "")
  for _, message in ipairs(call.messages) do n = n + #(wire.text_of(message.content) or "") end
  return n
end

local function is_power_of_two(n) return n & (n - 1) == 0 end

--- Ollama drops what does not fit into its context, without a word: the count of the prompt's tokens tells.
---@param read integer? tokens of the prompt
---@param call muster.llm.call?
---@return boolean
function M.is_cut(read, call)
  if not read or not call then return false end
  local extra = call.extra or {}
  local limit = math.tointeger(extra.num_ctx or extra.options and extra.options.num_ctx)
  if limit then
    if read >= limit then return true end
  elseif read >= 2048 and is_power_of_two(read) then -- the defaults of its versions
    return true
  end
  local bytes = bytes_of(call)
  return bytes > 8192 and bytes > WORST * read
end

local function arguments_of(raw, calls)
  local fn = type(raw) == "table" and typed("table", raw["function"])
  if fn then
    calls[#calls + 1] = {id = typed("string", raw.id), name = typed("string", fn.name) or "",
                         arguments = wire.arguments(fn.arguments)}
    return calls[#calls]
  end
end

---@class muster.llm.ollama.stream : muster.llm.accumulator
local Stream = {}
Stream.__index = Stream

function M.stream(call) return setmetatable({call = call, texts = {}, calls = {}, done = false}, Stream) end

local function add_calls(self, list)
  local deltas
  for _, raw in ipairs(typed("table", list) or {}) do
    local call = arguments_of(raw, self.calls)
    if call then
      deltas = deltas or {}
      deltas[#deltas + 1] = {arguments = call.arguments, name = call.name, index = #self.calls}
    end
  end
  return deltas
end

--- Takes what a line or a whole answer holds.
function Stream:take(body)
  local problem = failure.problem(body)
  if problem then return nil, failure.new(M.name, nil, {}, problem) end
  local message = typed("table", body.message) or {}
  local content, thinking = typed("string", message.content), typed("string", message.thinking)
  if content == "" then content = nil end
  if thinking == "" then thinking = nil end
  self.texts[#self.texts + 1] = content
  local calls = add_calls(self, message.tool_calls)
  self.model = typed("string", body.model) or self.model
  if given(body.done) == true then
    self.done, self.reason = true, typed("string", body.done_reason)
    self.read, self.written = given(body.prompt_eval_count), given(body.eval_count)
  end
  if content or thinking or calls then return {content = content, reasoning = thinking, calls = calls} end
end

--- Takes a line: what it adds, or nil; and an error, if that is what it tells.
---@param line string
---@return muster.llm.delta?
---@return muster.llm.error?
function Stream:line(line)
  if not line:find "%S" then return nil end
  local body = wire.decode(line)
  if type(body) ~= "table" then return nil, failure.nonsense(M.name, "the stream holds what is not JSON", line) end
  return self:take(body)
end

---@return boolean
function Stream:complete() return self.done end

local function finish_reason(self)
  if self.reason == "length" then return "length" end
  return self.calls[1] and "tool_calls" or "stop"
end

--- The answer, or nil and an error if the stream ended before it did.
---@return muster.llm.result?
---@return muster.llm.error?
function Stream:finish()
  if not self.done then return nil, failure.cut(M.name) end
  return {
    content = self.texts[1] and table.concat(self.texts) or nil, tool_calls = self.calls,
    finish_reason = finish_reason(self), usage = wire.usage(self.read, self.written), model = self.model,
    prompt_cut = M.is_cut(math.tointeger(self.read), self.call) or nil,
  }
end

--- A result, or nil and an error.
---@param status integer
---@param headers table
---@param text string
---@param call muster.llm.call? what was asked, to see whether it was read to its end
---@return muster.llm.result?
---@return muster.llm.error?
function M.response(status, headers, text, call)
  if status < 200 or status >= 300 then return nil, failure.from_response(M.name, status, headers, text) end
  local body = wire.decode(text)
  if type(body) ~= "table" then return nil, failure.nonsense(M.name, "the answer is not JSON of a chat", text) end
  local stream = M.stream(call)
  local _, err = stream:take(body)
  if err then return nil, err end
  if not typed("table", body.message) then return nil, failure.nonsense(M.name, "the answer has no message", text) end
  stream.done = true
  local result = stream:finish()
  result.raw = body
  return result
end

return M
