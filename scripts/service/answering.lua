--- What is answered to a call, before it has any API's shape.
--
-- A call is {model, texts, mode ("text", "json", "json_schema", "tools"), schema, strict, tools = {{name, schema,
-- strict}…}, tool, forced, max_tokens, stream, include_usage, input_tokens}. An answer is {content, refusal,
-- calls = {{id, name, arguments}…}, finish ("stop", "length", "tool_calls", "content_filter", "refusal"),
-- input_tokens, output_tokens}.
local extraction = require "service.extraction"
local json = require "service.json"

local M = {}

--- An estimate: a quarter of the bytes.
---@return integer
function M.tokens(bytes) return (bytes + 3) // 4 end

local NOTHING <const> = "There is nothing of that kind in the text."

--- The tool to call: the one that is asked for, or that of which most is found.
local function choose_tool(call, extractors)
  if call.tool then
    return call.tool, (extraction.fill(call.tool.schema, call.texts, extractors)), true
  end
  for _, tool in ipairs(call.tools) do
    local value, found = extraction.fill(tool.schema, call.texts, extractors)
    if found then return tool, value, true end
  end
  local tool = call.tools[1]
  return tool, (extraction.fill(tool.schema, call.texts, extractors)), false
end

local function by_tool(call, extractors, id)
  local tool, value, found = choose_tool(call, extractors)
  if not found and not call.forced then return {content = NOTHING, finish = "stop"} end
  return {calls = {{id = id, name = tool.name, arguments = json.encode(value)}}, finish = "tool_calls"}
end

--- Without any schema: what is known of persons, and else nothing.
local any_schema = {type = "object", properties = {name = {type = "string"}, age = {type = "integer"},
                                                   job = {type = "string"}}}

local function in_words(call)
  local text = call.texts[#call.texts] or ""
  local person = M.persons.extract(any_schema, text)
  if not person then return "I have read " .. #text .. " bytes, and have nothing to say about them." end
  return ("%s is %d years old and works as: %s."):format(person.name, person.age, person.job)
end

M.persons = require "service.extractors.persons"

--- The right answer.
---@param call table
---@param extractors table[]
---@param id string for a tool call
---@return table answer
function M.answer(call, extractors, id)
  if call.mode == "tools" then return by_tool(call, extractors, id) end
  if call.mode == "text" then return {content = in_words(call), finish = "stop"} end
  local value = extraction.fill(call.schema or any_schema, call.texts, extractors)
  return {content = json.encode(value), finish = "stop"}
end

--- The one text of an answer that is its substance, and what puts another in its place.
function M.substance(answer)
  local call = answer.calls and answer.calls[1]
  if call then return call.arguments, function(text) call.arguments = text end end
  return answer.content or "", function(text) answer.content = text end
end

--- Not more than this many bytes, and whole characters.
local function cut(text, bytes)
  if #text <= bytes then return text end
  while bytes > 0 and (text:byte(bytes + 1) & 0xC0) == 0x80 do bytes = bytes - 1 end
  return text:sub(1, bytes)
end
M.cut = cut

--- Stops an answer that is longer than allowed, and counts its tokens.
function M.finish(call, answer)
  local text, replace = M.substance(answer)
  if call.max_tokens and M.tokens(#text) > call.max_tokens then
    replace(cut(text, call.max_tokens * 4))
    answer.finish = "length"
  end
  local bytes = #(answer.content or "") + #(answer.refusal or "")
  for _, one in ipairs(answer.calls or {}) do bytes = bytes + #one.name + #one.arguments end
  answer.input_tokens = answer.input_tokens or call.input_tokens
  answer.output_tokens = answer.output_tokens or M.tokens(bytes)
  return answer
end

return M
