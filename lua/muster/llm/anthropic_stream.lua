--- Streamed messages of Anthropic: blocks that begin, grow and end.
local failure = require "muster.llm.failure"
local wire = require "muster.llm.wire"

local M = {}

local NAME = "anthropic"
local given, typed = wire.given, wire.typed

-- ---- what answers have, streamed or not ----

local reasons = {
  end_turn = "stop", stop_sequence = "stop", pause_turn = "stop", max_tokens = "length", tool_use = "tool_calls",
  model_context_window_exceeded = "length", refusal = "stop",
}

--- Usage, where what was read from a cache, or put into one, is told beside the other input.
function M.usage(usage)
  if not usage then return nil end
  local cached, made = tonumber(given(usage.cache_read_input_tokens)), given(usage.cache_creation_input_tokens)
  local input = tonumber(given(usage.input_tokens))
  if input then input = input + (cached or 0) + (tonumber(made) or 0) end
  return wire.usage(input, given(usage.output_tokens), nil, cached)
end

---@return muster.llm.result
function M.result(texts, calls, reason, usage)
  local content = texts[1] and table.concat(texts) or nil
  local refusal
  if reason == "refusal" then refusal = content and content ~= "" and content or "the provider gave no answer" end
  return {
    content = content, tool_calls = calls, refusal = refusal, usage = usage,
    finish_reason = reasons[reason] or (calls[1] and "tool_calls" or "stop"),
  }
end

-- ---- the accumulator ----

---@class muster.llm.anthropic.stream : muster.llm.accumulator
local Stream = {}
Stream.__index = Stream

function M.new() return setmetatable({blocks = {}, order = {}, counted = {}, done = false}, Stream) end

--- Counts are cumulative: the last of each is the one.
function Stream:count(usage)
  for name, value in pairs(typed("table", usage) or {}) do
    if type(value) == "number" then self.counted[name] = value end
  end
end

--- Adds to a block, and gives the delta that this is.
local function grow(block, text)
  if not text or text == "" then return nil end
  block.pieces[#block.pieces + 1] = text
  if block.kind == "text" then return {content = text} end
  if block.kind == "tool_use" then return {calls = {{arguments = text, name = block.name, index = block.position}}} end
end

local handlers = {}

function handlers.message_start(self, body)
  local message = typed("table", body.message) or {}
  self.id, self.model = typed("string", message.id), typed("string", message.model)
  self:count(message.usage)
end

function handlers.content_block_start(self, body)
  local raw = typed("table", body.content_block) or {}
  local block = {kind = raw.type, id = typed("string", raw.id), name = typed("string", raw.name) or "", pieces = {}}
  self.blocks[body.index or #self.order] = block
  self.order[#self.order + 1] = block
  if block.kind == "text" then return grow(block, typed("string", raw.text)) end
  if block.kind == "tool_use" then
    self.calls = (self.calls or 0) + 1
    block.position = self.calls
    local input = typed("table", raw.input)
    if input and next(input) ~= nil then block.whole = wire.encode(input) end
    return {calls = {{arguments = "", name = block.name, index = block.position}}}
  end
end

function handlers.content_block_delta(self, body)
  local block, delta = self.blocks[body.index or #self.order - 1], typed("table", body.delta) or {}
  if delta.type == "thinking_delta" then return {reasoning = typed("string", delta.thinking)} end
  if not block then return nil end
  return grow(block, typed("string", delta.text) or typed("string", delta.partial_json))
end

--- A tool's input may have come at the start of its block, as a whole.
function handlers.content_block_stop(self, body)
  local block = self.blocks[body.index or #self.order - 1]
  if block and block.whole and not block.pieces[1] then return grow(block, block.whole) end
end

function handlers.message_delta(self, body)
  local delta = typed("table", body.delta) or {}
  self.reason = typed("string", delta.stop_reason) or self.reason
  self:count(body.usage)
end

function handlers.message_stop(self) self.done = true end

--- Takes an event: what it adds, or nil; and an error, if that is what it tells.
---@param event http.event
---@return muster.llm.delta?
---@return muster.llm.error?
function Stream:event(event)
  local body = wire.decode(event.data)
  if type(body) ~= "table" then
    return nil, failure.nonsense(NAME, "the stream holds what is not JSON", event.data)
  end
  local problem = failure.problem(body, event.event == "error")
  if problem then return nil, failure.new(NAME, nil, {}, problem) end
  local handler = handlers[typed("string", body.type) or event.event]
  if handler then return handler(self, body) end
end

---@return boolean
function Stream:complete() return self.done or self.reason ~= nil end

--- The answer, or nil and an error if the stream ended before it did.
---@return muster.llm.result?
---@return muster.llm.error?
function Stream:finish()
  if not self:complete() then return nil, failure.cut(NAME) end
  local texts, calls = {}, {}
  for _, block in ipairs(self.order) do
    local text = table.concat(block.pieces)
    if block.kind == "text" then texts[#texts + 1] = text end
    if block.kind == "tool_use" then
      calls[#calls + 1] = {id = block.id, name = block.name, arguments = text ~= "" and text or block.whole or "{}"}
    end
  end
  local result = M.result(texts, calls, self.reason, M.usage(next(self.counted) and self.counted or nil))
  result.model, result.id = self.model, self.id
  return result
end

return M
