--- Top-level locals that outlive their chunk.
--
-- A chunk of a session is compiled inside a function whose locals are those of earlier chunks that it names, on the
-- same first line: `local keep, a, b return function(...) CODE end`. The upvalues are then joined to the variables
-- themselves, so that closures of earlier chunks share them. At its end the chunk hands over a closure of its own
-- locals: `keep(function() return x, y end)`.
local lexer = require "muster.repl.lexer"

local debug, ipairs, load, math, pairs, setmetatable, table = debug, ipairs, load, math, pairs, setmetatable, table

local M = {}

local MAX_GROUP <const> = 150

---@class muster.locals
---@field variables table<string, {holder: function, index: integer, constant: boolean}>
local Locals = {}
Locals.__index = Locals

local opens = {["do"] = 1, ["if"] = 1, ["function"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1}

--- Notes the names that a `local` declares; `words` stand after it. Returns the word after them.
local function read_declaration(words, found)
  local word = words()
  if word.text == "function" then
    found:declare(words().text, nil)
    return word
  end
  repeat
    local name, attribute = word.text, nil
    word = words()
    if word and word.text == "<" then
      attribute = words().text
      words()
      word = words()
    end
    found:declare(name, attribute)
    local is_list = word and word.text == ","
    if is_list then word = words() end
  until not is_list
  return word
end

---@class muster.scan what there is to know of a chunk
---@field names table<string, boolean> those that occur in it
---@field declared {name: string, constant: boolean}[] top-level locals
---@field finish integer where its top level ends: before its `return`, if it has one
local Scan = {}
Scan.__index = Scan

function Scan:declare(name, attribute)
  self.names[name] = true
  if name == "_ENV" then return end
  self.declared[#self.declared + 1] = {name = name, constant = attribute ~= nil}
end

--- Words that are not comments.
local function code_words(code)
  local words = lexer.words(code)
  return function()
    local word
    repeat word = words() until not word or word.kind ~= "comment"
    return word
  end
end

--- Reads valid code.
---@param code string
---@return muster.scan
local function scan(code)
  local found = setmetatable({names = {}, declared = {}, finish = #code + 1}, Scan)
  local words, depth = code_words(code), 0
  local word = words()
  while word do
    local unread
    if word.kind == "name" then found.names[word.text] = true end
    if word.kind == "keyword" then
      if depth == 0 and word.text == "local" then unread = read_declaration(words, found) end
      if depth == 0 and word.text == "return" then found.finish = word.first end
      depth = depth + (opens[word.text] or 0)
    end
    word = unread or words()
  end
  return found
end

--- A name that is not in the code.
local function unused_name(names)
  local name = "keep"
  while names[name] do name = name .. "_" end
  return name
end

--- What a chunk declares: each name once, as its last declaration has it.
local function last_declarations(declared)
  local last, list = {}, {}
  for _, each in ipairs(declared) do
    if not last[each.name] then list[#list + 1] = each.name end
    last[each.name] = each
  end
  return last, list
end

function Locals:used_in(names)
  local used = {}
  for name in pairs(self.variables) do
    if names[name] then used[#used + 1] = name end
  end
  table.sort(used)
  return used
end

--- Keeps the variables that `holder` returns, and refers to as upvalues unless they are constants of the compiler.
local function keep(self, last, list, holder)
  local index_of, values = {}, table.pack(holder())
  for i = 1, math.huge do
    local name = debug.getupvalue(holder, i)
    if not name then break end
    index_of[name] = i
  end
  for i, name in ipairs(list) do
    local value, owner, index = values[i], holder, index_of[name]
    if not index then owner, index = function() return value end, 1 end
    self.variables[name] = {holder = owner, index = index, constant = last[name].constant}
  end
end

--- Points the upvalues of a chunk at the variables.
function Locals:join(chunk, keep_name, keeper)
  for i = 1, math.huge do
    local name = debug.getupvalue(chunk, i)
    if not name then return end
    local variable = self.variables[name]
    if name == keep_name then debug.setupvalue(chunk, i, keeper)
    elseif variable then debug.upvaluejoin(chunk, i, variable.holder, variable.index) end
  end
end

--- What to put before a chunk and after it. A function may have 200 locals, a chunk may name 253 of others.
function Locals:wrapping(keep_name, used)
  local before, after = {"local ", keep_name}, "end"
  for i, name in ipairs(used) do
    local is_full = i % MAX_GROUP == 0
    if is_full then after = after .. " end)()" end
    before[#before + 1] = is_full and " return (function() local " or ","
    before[#before + 1] = name .. (self.variables[name].constant and " <const>" or "")
  end
  before[#before + 1] = " return function(...) "
  return table.concat(before), "\n" .. after
end

--- The code of a chunk that hands over its locals at its end.
local function with_handing_over(code, finish, keep_name, list)
  local call = (";%s(function() return %s end) "):format(keep_name, table.concat(list, ","))
  if finish > #code then return code .. "\n" .. call end
  return code:sub(1, finish - 1) .. call .. code:sub(finish)
end

--- Loads code that is known to be valid by itself.
function Locals:load_with(code, chunk_name, found)
  local used, keep_name = self:used_in(found.names), unused_name(found.names)
  local last, list = last_declarations(found.declared)
  if #used + #list == 0 then return load(code, chunk_name, "t") end
  local before, after = self:wrapping(keep_name, used)
  local outer, message
  if list[1] then
    local complete = with_handing_over(code, found.finish, keep_name, list)
    outer = load(before .. complete .. after, chunk_name, "t")
  end
  -- A label at the end of the code must be its end: then its locals are not kept.
  if not outer then outer, message = load(before .. code .. after, chunk_name, "t") end
  if not outer then return nil, message end
  local chunk = outer()
  self:join(chunk, keep_name, function(holder) keep(self, last, list, holder) end)
  return chunk
end

--- Compiles a chunk of the session.
---@param code string
---@param chunk_name string
---@return function? chunk
---@return string? message
function Locals:load(code, chunk_name)
  local chunk, message = load(code, chunk_name, "t")
  if not chunk then return nil, message end
  return self:load_with(code, chunk_name, scan(code))
end

--- The value of a variable, and whether there is one.
---@param name string
---@return any value
---@return boolean found
function Locals:get(name)
  local variable = self.variables[name]
  if not variable then return nil, false end
  local _, value = debug.getupvalue(variable.holder, variable.index)
  return value, true
end

---@return string[] names
function Locals:names()
  local names = {}
  for name in pairs(self.variables) do names[#names + 1] = name end
  return names
end

---@return muster.locals
function M.new() return setmetatable({variables = {}}, Locals) end

return M
