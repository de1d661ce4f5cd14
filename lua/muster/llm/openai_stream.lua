--- Streamed chat completions: deltas into one answer.
local failure = require "muster.llm.failure"
local wire = require "muster.llm.wire"

local M = {}

local NAME = "openai"
local given, typed = wire.given, wire.typed

-- ---- what answers have, streamed or not ----

local reasons = {
  stop = "stop", length = "length", tool_calls = "tool_calls", content_filter = "content_filter",
  function_call = "tool_calls", tool_call = "tool_calls", tool_use = "tool_calls", end_turn = "stop",
  stop_sequence = "stop", eos = "stop", eos_token = "stop", complete = "stop", completed = "stop",
  max_tokens = "length", model_length = "length", max_output_tokens = "length", safety = "content_filter",
  recitation = "content_filter", blocklist = "content_filter", prohibited_content = "content_filter",
}

--- A finish_reason as the four that there are.
---@return "stop"|"length"|"tool_calls"|"content_filter"
function M.finish(value, calls)
  local reason = type(value) == "string" and reasons[value:lower()]
  return reason or (calls[1] and "tool_calls" or "stop")
end

local broken = {error = true, abort = true, aborted = true, insufficient_system_resource = true, cancelled = true}

--- The problem of a choice that broke off on the server's side, or nil.
function M.failed(choice)
  local inner = typed("table", choice.error)
  if inner then return failure.problem {error = inner} end
  local reason = typed("string", choice.finish_reason)
  if reason and broken[reason:lower()] then
    return {message = "the server broke off the answer: " .. reason, type = "server_error"}
  end
end

function M.usage(usage)
  if type(usage) ~= "table" then return nil end
  local details = typed("table", usage.prompt_tokens_details) or {}
  return wire.usage(given(usage.prompt_tokens), given(usage.completion_tokens), given(usage.total_tokens),
    given(details.cached_tokens))
end

-- ---- the accumulator ----

---@class muster.llm.openai.stream : muster.llm.accumulator
local Stream = {}
Stream.__index = Stream

function M.new()
  return setmetatable({content = {}, refusal = {}, calls = {}, by_index = {}, last = nil, done = false}, Stream)
end

--- The call that a delta is part of: by index; without one by id; else the last.
function Stream:call_for(raw)
  local index, id = math.tointeger(tonumber(raw.index)), typed("string", raw.id)
  local call
  if index then
    call = self.by_index[index]
  elseif id and id ~= "" then
    for _, known in ipairs(self.calls) do
      if known.id == id then call = known end
    end
  else
    call = self.last
  end
  if not call then
    call = {name = "", pieces = {}, position = #self.calls + 1}
    self.calls[call.position] = call
    if index then self.by_index[index] = call end
  end
  self.last = call
  return call
end

function Stream:take_call(raw)
  local call, fn = self:call_for(raw), typed("table", raw["function"]) or {}
  local id, name = typed("string", raw.id), typed("string", fn.name)
  if id and id ~= "" then call.id = id end
  if name and name ~= "" then call.name = name end
  local piece = wire.arguments(fn.arguments)
  if type(fn.arguments) == "table" then call.pieces = {} end -- as a whole: whatever came before was the same
  if piece ~= "" then call.pieces[#call.pieces + 1] = piece end
  return {arguments = piece, name = call.name, index = call.position}
end

local function add(list, text)
  if text and text ~= "" then
    list[#list + 1] = text
    return text
  end
end

--- What a choice of a chunk adds, as one delta, or nil.
function Stream:take_choice(choice)
  local part = typed("table", choice.delta) or typed("table", choice.message) or {}
  local delta = {
    content = add(self.content, wire.text_of(part.content)), refusal = add(self.refusal, typed("string", part.refusal)),
    reasoning = typed("string", part.reasoning_content) or typed("string", part.reasoning),
  }
  for _, raw in ipairs(typed("table", part.tool_calls) or {}) do
    if type(raw) == "table" then
      delta.calls = delta.calls or {}
      delta.calls[#delta.calls + 1] = self:take_call(raw)
    end
  end
  self.reason = typed("string", choice.finish_reason) or self.reason
  return next(delta) and delta or nil
end

--- Takes an event: what it adds, or nil; and an error, if that is what it tells.
---@param event http.event
---@return muster.llm.delta?
---@return muster.llm.error?
function Stream:event(event)
  if event.data == "[DONE]" then
    self.done = true
    return nil
  end
  local body = wire.decode(event.data)
  if type(body) ~= "table" then
    if event.event == "error" then return nil, failure.new(NAME, nil, {}, {message = event.data}) end
    return nil, failure.nonsense(NAME, "the stream holds what is not JSON", event.data)
  end
  local problem = failure.problem(body, event.event == "error")
  if problem then return nil, failure.new(NAME, nil, {}, problem) end
  self.id, self.model = self.id or typed("string", body.id), typed("string", body.model) or self.model
  self.usage = M.usage(body.usage) or self.usage
  local choice = typed("table", typed("table", body.choices) and body.choices[1])
  if not choice or (tonumber(choice.index) or 0) ~= 0 then return nil end
  local failed = M.failed(choice)
  if failed then return nil, failure.new(NAME, nil, {}, failed) end
  return self:take_choice(choice)
end

--- Was the answer told to be over?
---@return boolean
function Stream:complete() return self.done or self.reason ~= nil end

--- The answer, or nil and an error if the stream ended before it did.
---@return muster.llm.result?
---@return muster.llm.error?
function Stream:finish()
  if not self:complete() then return nil, failure.cut(NAME) end
  local calls = {}
  for i, call in ipairs(self.calls) do
    calls[i] = {id = call.id, name = call.name, arguments = table.concat(call.pieces)}
  end
  return {
    content = self.content[1] and table.concat(self.content) or nil, tool_calls = calls,
    refusal = self.refusal[1] and table.concat(self.refusal) or nil, finish_reason = M.finish(self.reason, calls),
    usage = self.usage, model = self.model, id = self.id,
  }
end

return M
