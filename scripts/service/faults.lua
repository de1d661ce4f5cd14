--- What goes wrong on purpose.
--
-- A fault is one of three sorts: `problem`, an error in place of the answer; `spoil`, which changes the right answer;
-- and `transport`, which is about how the answer gets there.
local answering = require "service.answering"
local json = require "service.json"

local M = {}

local kinds = {}
M.kinds = kinds

-- ---- errors in place of the answer ----

local texts = {
  [400] = "The request was refused by a fault that was asked for.",
  [401] = "Incorrect API key provided.", [403] = "You are not allowed to do that.",
  [404] = "It is not there.", [408] = "Request timed out.", [409] = "The request conflicts with another.",
  [413] = "The request is too large.", [422] = "The request cannot be processed.",
  [429] = "Rate limit reached. Please try again later.",
  [500] = "The server had an error while processing your request. Sorry about that!",
  [502] = "Bad gateway.", [503] = "The engine is currently overloaded, please try again later.",
  [504] = "Gateway timeout.", [529] = "Overloaded",
}

for status, message in pairs(texts) do
  kinds[tostring(status)] = {problem = function() return {status = status, message = message} end}
end

kinds.quota = {problem = function() return {status = 429, quota = true} end}

--- Bodies that are errors, but not in the API's own shape.
local odd = {
  error_200 = {200, '{"error":{"message":"The upstream failed","type":"upstream_error","param":null,"code":502}}'},
  flat_error = {500, '{"message":"internal error","type":"internal","code":500,"object":"error"}'},
  text_error = {500, '{"error":"model runner has unexpectedly stopped"}'},
  integer_code = {503, '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'},
  html_error = {502, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n", "text/html"},
  empty_error = {500, ""},
}

for name, it in pairs(odd) do
  kinds[name] = {problem = function()
    return {status = it[1], body = it[2], content_type = it[3] or "application/json", message = name}
  end}
end

-- ---- answers that are wrong ----

local function spoiling(change)
  return {spoil = function(answer, call, random)
    local text, replace = answering.substance(answer)
    return change(answer, text, replace, call, random)
  end}
end

kinds.length = spoiling(function(answer, text, replace)
  replace(answering.cut(text, #text // 2))
  answer.finish = "length"
end)

kinds.invalid_json = spoiling(function(_, text, replace, _, random)
  replace(random:pick {
    (text:gsub("}%s*$", ",}")), (text:gsub('"', "'")), text:sub(1, -2), "Here it is: " .. text, text .. text,
  })
end)

kinds.fenced = spoiling(function(_, text, replace) replace("Here is the record:\n```json\n" .. text .. "\n```\n") end)

--- Each value of a wrong type, or left out.
local function twisted(value)
  if value == json.null then return {} end
  if type(value) == "number" then return ("about %g"):format(value) end
  if type(value) == "string" then return #value end
  if type(value) == "boolean" then return "maybe" end
  local changed = {}
  for key, inner in pairs(value) do changed[key] = twisted(inner) end
  return setmetatable(changed, getmetatable(value))
end

kinds.wrong_schema = spoiling(function(_, text, replace)
  local value = json.decode(text)
  if type(value) == "table" then value = twisted(value) else value = {unexpected = true} end
  replace(json.encode(value))
end)

local function say(answer, content, finish)
  answer.calls, answer.content, answer.finish = nil, content, finish
end

local refusal = "I'm sorry, but I can't help with that."

kinds.refusal = {spoil = function(answer)
  say(answer, nil, "refusal")
  answer.refusal = refusal
end}
kinds.content_filter = {spoil = function(answer) say(answer, "", "content_filter") end}
kinds.empty = {spoil = function(answer) say(answer, "", "stop") end}
kinds.no_tool = {spoil = function(answer) say(answer, "I would rather talk about it.", "stop") end}
kinds.no_usage = {spoil = function(answer) answer.no_usage = true end}

--- A call of a tool, if the answer has none.
local function with_calls(answer)
  if not answer.calls then
    answer.calls = {{id = answer.id or "call_0", name = "unasked", arguments = "{}"}}
    answer.content = nil
  end
  answer.finish = "tool_calls"
  return answer.calls
end

kinds.wrong_tool = {spoil = function(answer) with_calls(answer)[1].name = "no_such_tool" end}
kinds.two_tools = {spoil = function(answer)
  local calls = with_calls(answer)
  calls[2] = {id = calls[1].id .. "b", name = calls[1].name, arguments = calls[1].arguments}
end}

-- ---- answers that do not get there ----

-- reset: no answer, the connection is reset. closed: no answer, it is closed. truncated: cut in the middle of the body.
-- short: half of the body, as if that were all. stall: half of the body, and then nothing. silent: nothing at all.
-- stream_error: an error in the middle of a stream (of an answer that is none: a 500).
for _, name in ipairs {"reset", "closed", "truncated", "short", "stall", "silent", "stream_error"} do
  kinds[name] = {transport = name}
end

-- ---- choosing ----

--- All kinds, in order.
---@return string[]
function M.names()
  local names = {}
  for name in pairs(kinds) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local usual = {"500", "502", "503", "reset", "truncated", "invalid_json", "wrong_schema"}

--- Makes what chooses the fault of a request, by its random numbers: the name of a kind, or nil.
---@param spec {rate: number?, kinds: string[]?}?
---@return fun(random: service.random): string?
function M.chooser(spec)
  local rate, among = spec and (spec.rate or 0.05) or 0, spec and spec.kinds or usual
  return function(random)
    local drawn, kind = random:number(), random:pick(among)
    return drawn < rate and kind or nil
  end
end

return M
