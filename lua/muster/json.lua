--- JSON (RFC 8259): exact integers, null and empty lists kept, depth bounded; texts that come in chunks.
local core = require "muster.json.core"
local muster = require "muster.core"

local M = {}

--- What null is: the same as cjson's.
M.null = core.null
M.decode = core.decode
M.encode = core.encode
M.parser = core.parser

local function mark(what, t, metatable)
  if t == nil then t = {} end
  if type(t) ~= "table" then error(("%s: expected a table, got %s"):format(what, type(t)), 3) end
  local before = getmetatable(t)
  if before ~= nil and before ~= core.arrays and before ~= core.objects then
    error(what .. ": the table has a metatable already", 3)
  end
  return setmetatable(t, metatable)
end

--- Marks a table as a list, also if it is empty; a new one for nil. Returns it.
---@param t table?
---@return table
function M.array(t) return mark("json.array", t, core.arrays) end

--- Marks a table as an object, also if it is empty; a new one for nil. Returns it.
---@param t table?
---@return table
function M.object(t) return mark("json.object", t, core.objects) end

--- Is it marked as a list, as those are that were decoded?
---@return boolean
function M.is_array(t) return type(t) == "table" and getmetatable(t) == core.arrays end

--- The order of keys that the metatable of a table says. Raises if it says more.
local function keys_of(t)
  local meta = getmetatable(t)
  if meta == nil then return nil end
  for name in pairs(type(meta) == "table" and meta or {false}) do
    if name ~= "__keys" and name ~= "__json" then error("json.prepare: the table has a metatable already", 3) end
  end
  return meta.__keys
end

--- Writes a table once: from now on `encode` writes that text for it, wherever it is, and whatever becomes of it; but
--- what is canonical or pretty is written anew. For what is a part of many texts, as a schema is in requests.
---@param t table without a metatable, or with no more than `__keys`
---@param options table? of encode: invalid_utf8, max_depth
---@return table t
function M.prepare(t, options)
  if type(t) ~= "table" then error("json.prepare: expected a table, got " .. type(t), 2) end
  local meta = {__keys = keys_of(t)}
  meta.__json = core.encode(setmetatable(t, meta), options)
  return t
end

-- ---- JSON in the middle of prose ----

--- Position of the "[" or "{" that the fence before `from` encloses, if it encloses any.
local function fenced_begin(text, from)
  local name_end = text:find("[^%w_+-]", from)
  local begin = name_end and text:find("%S", name_end)
  return begin and text:find("^[%[{]", begin)
end

--- An iterator: positions after each fence.
local function fences(text)
  local from = 1
  return function()
    while true do
      local _, last = text:find("```", from, true)
      if not last then return nil end
      from = last + 1
      local begin = fenced_begin(text, from)
      if begin then return begin end
    end
  end
end

--- Is what could not be read meant to be JSON, or is it a bracket in prose?
local function is_serious(text, begin, err)
  return err.truncated or text:sub(begin, err.offset - 1):find("{", 1, true) ~= nil
end

--- Tries the text from `begin` on; what a try has read is not read again, inside of it there is nothing to be found.
--- `found` keeps the longest value, and the longest try that failed. Returns where to go on.
local function try(found, begin)
  local value, after = core.prefix(found.text, begin)
  if value ~= nil then
    if after - begin > found.size then found.value, found.size, found.after = value, after - begin, after end
    return after
  end
  local size = after.offset - begin
  if size > found.reached and is_serious(found.text, begin, after) then found.failed, found.reached = begin, size end
  return after.offset
end

local function search_fences(found)
  local done = 0
  for begin in fences(found.text) do
    if begin >= done then done = try(found, begin) end
  end
end

local function search_all(found)
  local begin = found.text:find "[%[{]"
  while begin do begin = found.text:find("[%[{]", try(found, begin)) end
end

local function not_found(found)
  if found.failed then return nil, select(2, core.prefix(found.text, found.failed, true)) end
  return nil, muster.error("json", "there is no list and no object in the text", {truncated = false})
end

--- The JSON in a text that has more than that, such as a model's answer: the longest list or object, those that are
--- the first thing in a fence (three back quotes) before others; or a text that is JSON as a whole.
--- A longer one that is broken, or cut by the end, is an error: no part of it is taken for the whole.
--- The work is linear in the text.
---@param text string
---@return any value nil if there is none
---@return string|json.error rest what comes after it
function M.extract(text)
  if type(text) ~= "string" then error("json.extract: expected a string, got " .. type(text), 2) end
  if text:find "^%s*[^%s%[{]" then
    local whole = core.decode(text)
    if whole ~= nil then return whole, "" end
  end
  local found = {text = text, size = 0, reached = 0}
  search_fences(found)
  if found.size == 0 then search_all(found) end
  if found.size <= found.reached then return not_found(found) end
  return found.value, text:sub(found.after)
end

return M
