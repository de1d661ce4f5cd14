--- What is known of a name: the library's stubs, signatures of standard Lua, comments above functions.
local async = require "muster"
local host = require "muster.host"
local names = require "muster.repl.names"
local standard = require "muster.repl.standard"

local debug, io, ipairs, next, table, type = debug, io, ipairs, next, table, type

local M = {}

---@class muster.doc.entry
---@field title string "async.sleep(seconds)"
---@field lines string[]

-- ---- the stubs ----

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

--- The text of an embedded file, or of the one that replaces it.
local function embedded(name)
  local text, path = host.source(name)
  return text or path and read_file(path) or nil
end

--- A line of a doc comment, for people.
local function readable(line)
  local optional, name, rest = line:match "^@param (%??)([%w_.]+%??) ?(.*)$"
  if name then return "  " .. name .. optional .. ": " .. rest end
  local result = line:match "^@return (.*)$"
  if result then return "  returns " .. result end
  local field = line:match "^@field (.*)$"
  if field then return "  ." .. field:gsub(" ", ": ", 1) end
  if line == "@async" then return "  suspends" end
  if line:find "^@" then return nil end
  return line
end

local function entry(title, comment)
  local lines = {}
  for _, line in ipairs(comment) do lines[#lines + 1] = readable(line) end
  return {title = title, lines = lines}
end

--- Adds the declarations of a file of stubs by name: "async.sleep", "task:cancel", "task".
local function read_stubs(found, text)
  local comment, title = {}, nil -- the class that the comment is about
  for line in text:gmatch "[^\n]*" do
    local said = line:match "^%-%-%- ?(.*)$"
    local name, parameters = line:match "^function ([%w_.:]+)(%b())"
    local class = said and said:match "^@class ([%w_.]+)"
    if said then comment[#comment + 1] = said end
    if name then found[name] = entry(name .. parameters, comment) end
    if class then title = class end
    if not said then
      if title then found[title] = entry(title, comment) end
      comment, title = {}, nil
    end
  end
end

local stubs

local function library()
  if stubs then return stubs end
  stubs = {}
  for _, name in next, host.modules(true) do read_stubs(stubs, embedded(name) or "") end
  return stubs
end

--- How to call what the stubs have below a name.
local function titles(prefix)
  local list = {}
  for name, known in next, library() do
    if name:sub(1, #prefix) == prefix then list[#list + 1] = "  " .. known.title end
  end
  table.sort(list)
  return list
end

--- The methods of a class of the library.
---@param class string
---@return string[] sorted
function M.methods(class)
  local list = {}
  for _, title in ipairs(titles(class .. ":")) do list[#list + 1] = title:match ":([%w_]+)%(" end
  return list
end

-- ---- functions written in Lua ----

--- The text of the file in which a function was defined. The chunks of embedded files are called "=" and the path.
local function source_of(info)
  local kind, path = info.source:match "^([@=])(.*)$"
  if not kind then return info.source end
  if kind == "@" then return read_file(path) end
  return embedded((path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")))
end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\r?\n" do lines[#lines + 1] = line end
  return lines
end

--- The lines of the comment that ends above line `n`.
local function comment_above(lines, n)
  local first = n
  while first > 1 and lines[first - 1]:find "^%s*%-%-" do first = first - 1 end
  local comment = {}
  for i = first, n - 1 do comment[#comment + 1] = lines[i]:match "^%s*%-%-+ ?(.*)$" end
  return comment
end

local function document_source(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return nil end
  local place = info.short_src .. ":" .. info.linedefined
  local text = source_of(info)
  local lines = text and lines_of(text) or {}
  local definition = lines[info.linedefined]
  if not definition then return {title = "function: " .. place, lines = {}} end
  local found = entry(definition:match "^%s*(.-)%s*$", comment_above(lines, info.linedefined))
  found.lines[#found.lines + 1] = "  " .. place
  return found
end

-- ---- looking up ----

--- The stub of a function of the library, whatever name it goes by.
local function document_library_value(value)
  for name, known in next, async do
    if known == value then return library()["async." .. name] end
  end
  return value == async and {title = "async", lines = titles "async."} or nil
end

local function document_value(value)
  local found = document_library_value(value)
  if found or type(value) ~= "function" then return found end
  local signature = standard.signature(value)
  return signature and {title = signature, lines = {}} or document_source(value)
end

--- Splits "a.b:c" after its last mark.
local function split(name) return name:match "^(.*)([.:])([%a_][%w_]*)$" end

local function evaluate(session, name)
  local words = names.words(name)
  local chain = names.chain(words, #words, name)
  if chain then return names.value(session, chain) end
end

--- "object:method" for an object of a class that the stubs know.
local function document_method(session, name)
  local object, _, method = split(name)
  local value = object and evaluate(session, object)
  if value == nil then return nil end
  local class = names.class(value)
  local known = class and library()[class .. ":" .. method]
  return known or document_value(names.field(value, method))
end

local function document_class(value)
  local class = type(value) == "userdata" and names.class(value)
  local known = class and library()[class]
  if not known then return nil end
  local methods, lines = titles(class .. ":"), {}
  table.move(known.lines, 1, #known.lines, 1, lines)
  table.move(methods, 1, #methods, #lines + 1, lines)
  return {title = known.title, lines = lines}
end

--- What there is to say of a name, or nil.
---@param session muster.session
---@param name string
---@return string?
function M.text(session, name)
  local value = evaluate(session, name)
  local found = document_method(session, name) or document_value(value) or document_class(value)
  if not found then found = library()[name] or library()["async." .. name] end
  if not found then return nil end
  return table.concat({found.title, table.unpack(found.lines)}, "\n")
end

M.read_file = read_file

return M
