--- The value in an answer: in the arguments of a tool call, or in a text that may have more in it.
local json = require "muster.json"
local reask = require "muster.llm.reask"

local M = {}

-- ---- texts ----

--- JSON within a string of JSON is unpacked.
local function decode(text)
  local value, err = json.decode(text)
  if type(value) ~= "string" or not value:find "^%s*[%[{]" then return value, err end
  local inner = json.decode(value)
  return type(inner) == "table" and inner or value
end

--- The value of a text, which should be JSON, but may have it behind what was thought, in fences or among words.
---@param text string
---@return any value nil if there is none
---@return table? problems
function M.parse(text)
  if text:find("<think>", 1, true) then text = text:gsub("^%s*<think>.-</think>", "") end
  if not text:find "%S" then return nil, reask.problem("json", "the answer is empty") end
  local value, err = decode(text)
  if not err then return value end
  value = json.extract(text)
  if value ~= nil then return value end
  return nil, reask.problem("json", "the answer is not JSON: " .. err.message)
end

-- ---- tool calls ----

---@class muster.llm.reading what was read of an answer
---@field text string? the answer, as it came
---@field values any[] what it may mean, the likelier first
---@field problems table? why there is no value
---@field no_call boolean? a tool should have been called, and was not

local function is_named(call, name) return call.name == name end

local function texts_of(calls)
  local list = {}
  for i, call in ipairs(calls) do list[i] = call.arguments end
  return list
end

local function same(list)
  for i = 2, #list do
    if list[i] ~= list[1] then return false end
  end
  return true
end

--- One list of the items of several calls, or nil if they are no such.
local function merged(values, key)
  if not key then return nil end
  local all = {}
  for _, value in ipairs(values) do
    local items = type(value) == "table" and value[key]
    if type(items) ~= "table" then return nil end
    table.move(items, 1, #items, #all + 1, all)
  end
  return {[key] = all}
end

local function parsed_all(texts)
  local values = {}
  for i, text in ipairs(texts) do
    local value, problems = M.parse(text)
    if problems then return nil, problems end
    values[i] = value
  end
  return values
end

--- Of several calls, those with the right name, if there are any.
local function choose(calls, name)
  local right = {}
  for _, call in ipairs(calls) do
    if is_named(call, name) then right[#right + 1] = call end
  end
  return right[1] and right or calls, right[1] ~= nil
end

--- What is to be expected: one call, of the right tool.
local function from_call(text)
  local value, problems = M.parse(text)
  return {text = text, values = {value}, problems = problems}
end

local function from_calls(calls, name, list_key)
  local chosen, is_right = choose(calls, name)
  local texts = texts_of(chosen)
  local reading = {text = table.concat(texts, "\n"), values = {}}
  if same(texts) then texts = {texts[1]} end
  local values, problems = parsed_all(texts)
  if not values then
    reading.problems = problems
  elseif #values == 1 then
    reading.values = values
  else
    local whole = merged(values, list_key)
    reading.values = whole and {whole} or {}
    if not whole then
      reading.problems = reask.problem("tool", ("%d tool calls, expected exactly one of %s"):format(#values, name))
      reading.several = values
    end
  end
  if not is_right then reading.wrong_name = chosen[1].name end
  return reading
end

--- Reads a result.
---@param result muster.llm.result
---@param mode "tools"|"json_schema"|"json"
---@param name string of the tool
---@param list_key string? the field of the list, if the answer is nothing but one
---@return muster.llm.reading
function M.read(result, mode, name, list_key)
  local calls = result.tool_calls
  if calls[1] and not calls[2] and calls[1].name == name then return from_call(calls[1].arguments) end
  if calls[1] then return from_calls(calls, name, list_key) end
  local text = result.content or ""
  local value, problems = M.parse(text)
  local reading = {text = text, values = {value}, problems = problems, no_call = mode == "tools"}
  if problems and mode == "tools" then
    reading.problems = reask.problem("tool", ("the tool %s was not called"):format(name))
  end
  return reading
end

return M
