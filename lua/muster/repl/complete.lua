--- What may stand before the cursor: names, fields, methods, modules, commands, files.
local commands = require "muster.repl.commands"
local doc = require "muster.repl.doc"
local lexer = require "muster.repl.lexer"
local modules = require "muster.repl.modules"
local names = require "muster.repl.names"
local quote = require "muster.show.quote"

local ipairs, next, setmetatable, table, type = ipairs, next, setmetatable, table, type

local M = {}

local MAX_KEYS <const> = 100000 -- looked at, of a table
local MAX_CANDIDATES <const> = 2000

---@class muster.candidates
---@field prefix string
---@field list string[]
---@field seen table<string, boolean>
local Candidates = {}
Candidates.__index = Candidates

local function new_candidates(prefix) return setmetatable({prefix = prefix, list = {}, seen = {}}, Candidates) end

function Candidates:add(name)
  if type(name) ~= "string" or self.seen[name] or #self.list >= MAX_CANDIDATES then return end
  if name:sub(1, #self.prefix) ~= self.prefix then return end
  self.seen[name] = true
  self.list[#self.list + 1] = name
end

function Candidates:add_all(list)
  for _, name in ipairs(list) do self:add(name) end
end

function Candidates:sorted()
  table.sort(self.list)
  return self.list
end

--- Adds the keys of a table that are names.
function Candidates:add_fields(t, accepts)
  local looked_at = 0
  for key, value in next, t do
    looked_at = looked_at + 1
    if looked_at > MAX_KEYS then break end
    if quote.is_name(key) and (not accepts or accepts(value)) then self:add(key) end
  end
end

local function add_fields_of(candidates, value, is_method)
  for t in names.tables(value) do candidates:add_fields(t, is_method and names.is_callable) end
  local class = type(value) == "userdata" and names.class(value)
  if class then candidates:add_all(doc.methods(class)) end
end

local function add_variables(session, candidates)
  candidates:add_all(session.locals:names())
  for t in names.tables(session.globals()) do candidates:add_fields(t) end
  for keyword in next, lexer.keywords do candidates:add(keyword) end
end

--- Within a string that has no end yet: the name of a module, if it is the argument of require.
local function complete_string(words, code)
  local n = #words
  local before = words[n - 1]
  if before and before.text == "(" then before = words[n - 2] end
  local opening = code:sub(words[n].first):match "^[\"']"
  if not opening or not before or before.text ~= "require" then return #code + 1, {} end
  local prefix = code:sub(words[n].first + 1)
  local candidates = new_candidates(prefix)
  candidates:add_all(modules.names(prefix))
  return words[n].first + 1, candidates:sorted()
end

--- Completes the last word of code. Returns the position where it begins.
local function complete_code(session, code)
  local words, last = names.words(code)
  local is_open = last and last.after > #code
  if is_open and last.kind == "comment" and not last.whole then return #code + 1, {} end
  if is_open and last.kind == "string" and not last.whole then return complete_string(words, code) end
  if is_open and last.kind == "number" then return #code + 1, {} end
  local first, n = #code + 1, #words
  if is_open and (last.kind == "name" or last.kind == "keyword") then first, n = last.first, n - 1 end
  local candidates = new_candidates(code:sub(first))
  local mark = words[n] and words[n].text
  if mark == "." or mark == ":" then
    local chain = names.chain(words, n - 1, code)
    if chain then add_fields_of(candidates, names.value(session, chain), mark == ":") end
  elseif first <= #code then
    add_variables(session, candidates)
  end
  return first, candidates:sorted()
end

--- A line that is, or becomes, a dot-command; nil if it is not.
local function complete_command(session, line)
  if line:find "^%.%a*$" then
    local candidates = new_candidates(line)
    candidates:add_all(commands.names())
    return 1, candidates:sorted()
  end
  local head, name, argument = line:match "^(%.(%a+)%s+)(.*)$"
  if not head then return nil end
  local kind = commands.takes(name)
  local first, list = 1, {}
  if kind == "code" then first, list = complete_code(session, argument) end
  if kind == "file" then list = modules.files(argument) end
  return first + #head, list
end

--- Completes a line at the cursor; `before` are the lines of the chunk before it.
---@param session muster.session
---@param before string?
---@param line string
---@param cursor integer bytes before the cursor
---@return integer first where in the line the candidates begin
---@return string[] candidates sorted
function M.complete(session, before, line, cursor)
  line = line:sub(1, cursor)
  if not before then
    local first, list = complete_command(session, line)
    if first then return first, list end
  end
  local earlier = before and before .. "\n" or ""
  local first, list = complete_code(session, earlier .. line)
  first = first - #earlier
  if first < 1 then return #line + 1, {} end
  return first, list
end

return M
