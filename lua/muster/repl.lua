--- The interactive session: reads chunks, runs them, shows their values. How lines come and where text goes is the
--- matter of an `io` object, so that a terminal and a pipe are served alike.
--
-- A step is `next`, the call of the chunk that it returns, and `finish` with the results: whoever wants no frames of
-- the session below those of the chunk makes the three calls; `step` makes them all. Each may be cancelled, and the
-- session goes on with the next step.
local async = require "muster"
local commands = require "muster.repl.commands"
local complete = require "muster.repl.complete"
local host = require "muster.host"
local locals = require "muster.repl.locals"
local show = require "muster.show"

local debug, error, io, load, pairs, pcall, rawget, rawset, select, setmetatable, table, tostring, type =
  debug, error, io, load, pairs, pcall, rawget, rawset, select, setmetatable, table, tostring, type

local M = {}

local CHUNK_NAME <const> = "=stdin"
local LAST_VALUE <const> = "_" -- the global

---@class muster.repl.io
---@field terminal boolean pretty values, completion, dot-commands, locals that persist
---@field read async fun(prompt: string): string? a line without its end; nil at the end of the input
---@field write fun(text: string)
---@field width? fun(): integer
---@field height? fun(): integer
---@field color boolean?
---@field remember? fun(line: string) for the history

---@class muster.session
---@field io muster.repl.io
---@field locals muster.locals
---@field pending string? the lines of a chunk that is not complete
---@field asked boolean? the last line was the end of input, and it has said that tasks are alive
local Session = {}
Session.__index = Session

--- What a chunk that does not compile raises: a message that has no traceback.
local SyntaxError = {__name = "syntax error"}
function SyntaxError.__tostring(e) return e.message end

local LUA_RIDX_GLOBALS <const> = 2

--- The table of globals, whatever `_G` is now.
local function globals() return debug.getregistry()[LUA_RIDX_GLOBALS] end

-- ---- reading ----

local function prompt(first)
  local text = first and "> " or ">> "
  local ok, own = pcall(function() return globals()[first and "_PROMPT" or "_PROMPT2"] end)
  if not ok or own == nil then return text end
  local is_text, shown = pcall(tostring, own)
  return is_text and shown or text
end

function Session:read_line(first)
  local line = self.io.read(prompt(first))
  if line and self.io.remember and line:find "%S" then self.io.remember(line) end
  return line
end

Session.globals = globals

function Session:compile(code)
  if self.io.terminal then return self.locals:load(code, CHUNK_NAME) end
  return load(code, CHUNK_NAME, "t")
end

local function raise_syntax_error(message) error(setmetatable({message = message}, SyntaxError), 0) end

--- Compiles code that is not typed, but belongs to the session. Raises the message if that fails.
---@param code string
---@param chunk_name string
---@return function
function Session:load(code, chunk_name)
  local chunk, message = self.locals:load(code, chunk_name)
  return chunk or raise_syntax_error(message)
end

local function breaks_off(message) return message:sub(-5) == "<eof>" end

--- May more lines make it a chunk? Not if it is a string that lacks its end: the parser knows at the end of the line.
--- The second result is what the parser says there.
local function is_incomplete(code)
  local _, message = load(code, CHUNK_NAME, "t")
  if not message or not breaks_off(message) then return false, message end
  _, message = load(code .. "\n", CHUNK_NAME, "t")
  return not message or breaks_off(message), message
end

--- Compiles code as an expression or as statements. Without a chunk: a message, and whether more lines may help.
function Session:parse(code)
  local chunk = self:compile("return " .. code .. ";")
  if chunk then return chunk end
  local statements, message = self:compile(code)
  if statements then return statements end
  if not self.io.terminal then return nil, message, breaks_off(message) end
  local more, at_line_end = is_incomplete(code)
  if more or is_incomplete("return " .. code) then return nil, message, true end
  return nil, at_line_end or message, false
end

--- "=x" is an old way to write "return x".
local function without_equals(line) return (line:gsub("^=", "return ", 1)) end

--- Reads on until the code that begins with a line is a chunk. Raises the message if it cannot become one.
---@async
---@param line string
---@return function chunk
function Session:read_chunk(line)
  local code = line
  while true do
    local chunk, message, more = self:parse(without_equals(code))
    if chunk then return chunk end
    self.pending = code
    local next_line = more and self:read_line(false)
    if not next_line then raise_syntax_error(message) end
    code = code .. "\n" .. next_line
  end
end

-- ---- values ----

--- An error in one line, as the standard interpreter words it.
local function in_short(err)
  local meta = debug.getmetatable(err)
  local own = type(meta) == "table" and rawget(meta, "__tostring")
  local ok, text = pcall(tostring, err)
  if not ok or not own and type(err) ~= "string" and type(err) ~= "number" then
    return ("(error object is a %s value)"):format(type(err))
  end
  return text:match "^[^\n]*"
end

local function print_values(...)
  local ok, err = pcall(globals().print, ...)
  if ok then return end
  if async.is_cancelled(err) then error(err, 0) end
  io.stderr:write(("error calling 'print' (%s)\n"):format(in_short(err)))
end

function Session:show_values(...)
  local options = {width = self.io.width and self.io.width(), height = self.io.height and self.io.height(),
    color = self.io.color}
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = show.show((select(i, ...)), options) end
  self.io.write(table.concat(texts, "\n") .. "\n")
  local first = ...
  if first ~= nil then rawset(globals(), LAST_VALUE, first) end
end

function Session:finish(...)
  if select("#", ...) == 0 then return end
  if self.io.terminal then self:show_values(...) else print_values(...) end
end

-- ---- the end of the input ----

--- Tasks that the program would wait for, but this one.
local function others_alive()
  local stats = host.stats()
  return stats.alive - stats.daemons - (async.current() and 1 or 0)
end

local function nothing() end

--- A chunk that does nothing, if the session goes on: at a terminal it asks once if tasks are alive.
function Session:at_end(has_asked)
  local n = others_alive()
  if not self.io.terminal or has_asked or n <= 0 then return nil end
  self.asked = true
  self.io.write(("\n%d %s still running; Ctrl-D again ends %s\n"):format(n, n == 1 and "task is" or "tasks are",
    n == 1 and "it" or "them"))
  return nothing
end

-- ---- the session ----

--- Reads the next chunk. Raises the message of one that does not compile.
---@async
---@return function? chunk to be called, and its results given to `finish`; nil at the end
function Session:next()
  local has_asked = self.asked
  self.pending, self.asked = nil, nil
  local line = self:read_line(true)
  if not line then return self:at_end(has_asked) end
  if self.io.terminal and line:find "^%.%a" then return commands.run(self, line) or nothing end
  return self:read_chunk(line)
end

--- Reads a chunk, runs it, shows its values. Errors of the chunk are passed on.
---@async
---@return boolean goes_on false at the end of the input
function Session:step()
  local chunk = self:next()
  if chunk then self:finish(chunk()) end
  return chunk ~= nil
end

--- What may stand before the cursor. Never raises.
---@param line string
---@param cursor integer bytes before the cursor
---@return integer first the candidates replace line:sub(first, cursor)
---@return string[] candidates sorted
function Session:complete(line, cursor)
  local ok, first, candidates = pcall(complete.complete, self, self.pending, line, cursor)
  if not ok then return cursor + 1, {} end
  return first, candidates
end

--- The names that a session starts with, unless the script has given them a meaning.
local function predefine()
  local names = globals()
  for name, value in pairs {async = async, await = async.await, gather = async.gather,
    as_completed = async.as_completed, sleep = async.sleep} do
    if rawget(names, name) == nil then rawset(names, name, value) end
  end
end

---@param user muster.repl.io
---@return muster.session
function M.session(user)
  predefine()
  return setmetatable({io = user, locals = locals.new()}, Session)
end

--- The io object for input that nobody types: shows prompts and lines, so that the output reads like a session.
---@return muster.repl.io
function M.plain()
  local echoes = require "luv".guess_handle(0) ~= "tty"
  local function write(text)
    io.stdout:write(text)
    io.stdout:flush()
  end
  local function read(text)
    write(text)
    local line = io.type(io.stdin) == "file" and io.stdin:read "l"
    if line and echoes then write(line .. "\n") end
    return line or nil
  end
  return {terminal = false, read = read, write = write}
end

return M
