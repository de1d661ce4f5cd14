--- What names stand for: "a.b[1]:c" evaluated without calling what it names, save `__index`, and that guarded.
local async = require "muster"
local lexer = require "muster.repl.lexer"

local coroutine, debug, error, ipairs, load, package, pcall, rawget, table, tonumber, type =
  coroutine, debug, error, ipairs, load, package, pcall, rawget, table, tonumber, type

local M = {}

local MAX_STEPS <const> = 100 -- in a chain of names, and of tables through __index
local MAX_COUNT <const> = 1000000 -- instructions of an __index function
local MAX_WAIT <const> = 0.2 -- seconds that it may await

---@class muster.chain
---@field base string|nil a variable
---@field value any if there is no variable: what it begins with
---@field steps any[] keys

-- ---- reading a chain, from its end ----

local function literal(word, code)
  if word.kind == "number" then return tonumber(code:sub(word.first, word.after - 1)) end
  if word.kind ~= "string" or not word.whole then return nil end
  local chunk = load("return " .. code:sub(word.first, word.after - 1), "=literal", "t")
  return chunk and chunk()
end

local function text_at(words, i) return words[i] and words[i].text end

local function ends_value(word)
  return word and (word.kind == "name" or word.kind == "string" or word.text == ")" or word.text == "]")
end

--- A chain that begins with a literal: ("text"), or require "module".
local function literal_chain(words, i, code, steps)
  local in_parentheses = text_at(words, i) == ")" and text_at(words, i - 2) == "("
  local word, before = words[i], words[i - 1]
  if in_parentheses then word, before = words[i - 1], words[i - 3] end
  if not word or word.kind ~= "string" then return nil end
  local value = literal(word, code)
  if before and before.text == "require" then return {value = package.loaded[value], steps = steps} end
  if ends_value(before) then return nil end
  return {value = value, steps = steps}
end

--- The chain that ends with word `i`; nil if it is something else, such as a call.
---@param words muster.word[]
---@param i integer
---@param code string
---@return muster.chain?
function M.chain(words, i, code)
  local steps = {}
  while words[i] do
    local word, key = words[i]
    if word.kind == "name" then
      if text_at(words, i - 1) == ":" then return nil end
      if text_at(words, i - 1) ~= "." then return {base = word.text, steps = steps} end
      key, i = word.text, i - 2
    elseif word.text == "]" and text_at(words, i - 2) == "[" then
      key, i = literal(words[i - 1], code), i - 3
      if key == nil then return nil end
    else
      return literal_chain(words, i, code, steps)
    end
    if #steps == MAX_STEPS then return nil end
    table.insert(steps, 1, key)
  end
end

-- ---- evaluating it ----

--- Calls f in a coroutine that may not take long. Returns its first result, or nil.
local function guarded(f, ...)
  local co = coroutine.create(f)
  debug.sethook(co, function()
    debug.sethook(co, function() error "too long" end, "", 1) -- whoever catches it gets it again
    error "too long"
  end, "", MAX_COUNT)
  local _, value = nil, nil
  local function run(...)
    local ok, result = coroutine.resume(co, ...)
    if ok and coroutine.status(co) == "dead" then value = result end
  end
  if async.current() then pcall(async.move_on_after, MAX_WAIT, run, ...) else pcall(run, ...) end
  if coroutine.status(co) == "suspended" then pcall(coroutine.close, co) end
  return value
end

local function metatable(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and meta or {}
end

--- value[key], without an error, an endless loop or a long wait.
---@param value any
---@param key any
---@return any
function M.field(value, key)
  for _ = 1, MAX_STEPS do
    if type(value) == "table" then
      local found = rawget(value, key)
      if found ~= nil then return found end
    end
    local index = rawget(metatable(value), "__index")
    if index == nil then return nil end
    if type(index) == "function" then return guarded(index, value, key) end
    value = index
  end
end

--- The value of a chain; nil if there is none.
---@param session muster.session
---@param chain muster.chain
---@return any
function M.value(session, chain)
  local value = chain.value
  if chain.base then
    local found
    value, found = session.locals:get(chain.base)
    if not found then value = M.field(session.globals(), chain.base) end
  end
  for _, key in ipairs(chain.steps) do
    if value == nil then return nil end
    value = M.field(value, key)
  end
  return value
end

--- The words of code, comments left out, and the last one of all.
---@param code string
---@return muster.word[] words, muster.word? last
function M.words(code)
  local list, last = {}, nil
  for word in lexer.words(code) do
    last = word
    if word.kind ~= "comment" then list[#list + 1] = word end
  end
  return list, last
end

--- The tables in which fields of a value are looked up, one after another.
---@param value any
---@return fun(): table?
function M.tables(value)
  local steps = 0
  return function()
    while value ~= nil and steps < MAX_STEPS do
      steps = steps + 1
      local this, index = value, rawget(metatable(value), "__index")
      value = type(index) ~= "function" and index or nil
      if type(this) == "table" then return this end
    end
  end
end

--- What the metatable calls values of its kind: "task".
---@param value any
---@return string?
function M.class(value)
  local name = rawget(metatable(value), "__name")
  return type(name) == "string" and name or nil
end

---@param value any
---@return boolean
function M.is_callable(value)
  return type(value) == "function" or rawget(metatable(value), "__call") ~= nil
end

return M
