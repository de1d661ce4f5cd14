--- What the adapters of providers share: JSON, texts, names, and values that may be null.
local json = require "muster.json"

local type = type -- each answer asks for it often

local M = {}

M.null = json.null

--- The value of a JSON text, or nil and what is wrong with it.
---@param text string
---@return any value
---@return string? problem
function M.decode(text)
  local value, err = json.decode(text)
  if err then return nil, err.message end
  return value
end

--- What is no UTF-8 becomes U+FFFD: no service takes it.
local as_sent = {invalid_utf8 = "replace"}

---@return string
function M.encode(value) return json.encode(value, as_sent) end

--- The same table, which is written once, and not in each request again. It must not change any more.
---@param t table
---@return table t
function M.prepare(t) return json.prepare(t, as_sent) end

--- The value, or nil where JSON had null.
function M.given(value)
  if value == json.null then return nil end
  return value
end

--- The value if it is of that type, else nil.
---@param kind string
function M.typed(kind, value)
  return type(value) == kind and value or nil
end

local MOST_NAME = 64

--- A name that every provider takes for a tool: letters, digits, `_` and `-`, 64 at most.
---@param name string?
---@return string
function M.tool_name(name)
  local clean = (name or ""):gsub("[^%w_-]+", "_"):gsub("^_+", ""):gsub("_+$", ""):sub(1, MOST_NAME)
  return clean ~= "" and clean or "record"
end

local REPLACEMENT = "\u{FFFD}"

--- The text with U+FFFD in the place of each byte that is not UTF-8, which no service takes.
---@param text string
---@return string
function M.clean(text)
  local length, bad = utf8.len(text)
  if length then return text end
  local pieces, from = {}, 1
  while not length do
    pieces[#pieces + 1] = text:sub(from, bad - 1)
    pieces[#pieces + 1] = REPLACEMENT
    from = bad + 1
    length, bad = utf8.len(text, from)
  end
  pieces[#pieces + 1] = text:sub(from)
  return table.concat(pieces)
end

--- The text of a message: a string, or the text parts of a list of parts.
---@return string? text nil if there is none
function M.text_of(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return nil end
  local pieces = {}
  for _, part in ipairs(content) do
    local text = type(part) == "string" and part or type(part) == "table" and part.text
    if type(text) == "string" then pieces[#pieces + 1] = text end
  end
  return pieces[1] and table.concat(pieces) or nil
end

--- The arguments of a tool call as a text: some servers give the object itself.
---@return string
function M.arguments(value)
  if type(value) == "string" then return value end
  return type(value) == "table" and M.encode(value) or ""
end

--- Adds the keys of `extra` to a request's body; they win.
function M.extend(body, extra)
  for name, value in pairs(extra or {}) do body[name] = value end
  return body
end

local function count(value)
  local n = tonumber(value)
  return n and n >= 0 and math.tointeger(n) or nil
end

--- Usage as the engine counts it, or nil if the service did not say.
---@param input any tokens of the prompt
---@param output any tokens of the answer
---@param total any
---@param cached any those of the prompt that were cached, and so cheaper
---@return muster.llm.usage?
function M.usage(input, output, total, cached)
  input, output, total = count(input), count(output), count(total)
  if not input and not output then
    if not total then return nil end
    return {input = total, output = 0, total = total, cached = count(cached)}
  end
  input, output = input or 0, output or 0
  return {input = input, output = output, total = math.max(total or 0, input + output), cached = count(cached)}
end

return M
