--- The few commands of a session that are not Lua: a dot and a word at the beginning of a line.
local async = require "muster"
local doc = require "muster.repl.doc"
local uv = require "luv"

local ipairs, os, pcall, require, table, tostring = ipairs, os, pcall, require, table, tostring

local M = {}

---@class muster.command
---@field name string
---@field argument string? as .help shows it
---@field takes "code"|"file"|nil what it completes
---@field about string
---@field run fun(session: muster.session, argument: string): function? returns a chunk to run, if there is one

---@type muster.command[]
local commands = {}

local function find(name)
  for _, command in ipairs(commands) do
    if command.name == name then return command end
  end
end

local function say(session, text) session.io.write(text .. "\n") end

local function help(session)
  for _, each in ipairs(commands) do
    local usage = "." .. each.name .. (each.argument and " " .. each.argument or "")
    say(session, ("%-12s  %s"):format(usage, each.about))
  end
  say(session, [[
Anything else is Lua: an expression shows its value, `_` is the last one, and top-level locals stay.
Tab completes; Ctrl-C cancels what runs; Ctrl-D ends the session.]])
end

local function list_tasks()
  local lines, this = {}, async.current()
  for _, task in ipairs(async.tasks()) do
    if task ~= this then lines[#lines + 1] = tostring(task) end
  end
  if not lines[1] then return "no tasks" end
  return table.concat(lines, "\n")
end

local function tasks(session)
  local known, diagnosis = pcall(require, "muster.diagnosis")
  local text = known and diagnosis.tasks and diagnosis.tasks() or list_tasks()
  say(session, (text:gsub("\n$", "")))
end

--- Reads the code here, so that it is complete before the clock starts.
local function time(session, code)
  local chunk = session:read_chunk(code)
  return function()
    local wall, cpu = uv.hrtime(), os.clock()
    local results = table.pack(chunk())
    wall, cpu = (uv.hrtime() - wall) / 1e9, os.clock() - cpu
    session:finish(table.unpack(results, 1, results.n))
    say(session, ("%.6f s, %.6f s of CPU"):format(wall, cpu))
  end
end

local function document(session, name)
  say(session, doc.text(session, name) or ("nothing is known of '%s'"):format(name))
end

local function load_file(session, path)
  local text = doc.read_file(path)
  if not text then return say(session, ("cannot read '%s'"):format(path)) end
  return session:load(text:gsub("^#[^\n]*", "", 1), "@" .. path)
end

commands = {
  {name = "help", about = "this", run = help},
  {name = "tasks", about = "the tasks that are alive", run = tasks},
  {name = "time", argument = "CODE", takes = "code", about = "runs it, and says how long it took", run = time},
  {name = "doc", argument = "NAME", takes = "code", about = "what is known of a function or a type", run = document},
  {name = "load", argument = "FILE", takes = "file", about = "runs a file as if it were typed here", run = load_file},
}

--- ".doc", ".help" ...
---@return string[]
function M.names()
  local list = {}
  for i, command in ipairs(commands) do list[i] = "." .. command.name end
  return list
end

--- What the argument of a command is, for completion.
---@param name string
---@return "code"|"file"|nil
function M.takes(name)
  local command = find(name)
  return command and command.takes
end

--- Does what a line says that begins with a dot and a letter. Returns a chunk to run, if there is one.
---@param session muster.session
---@param line string
---@return function?
function M.run(session, line)
  local name, argument = line:match "^%.(%a[%w_]*)%s*(.-)%s*$"
  local command = find(name)
  if not command then return say(session, (".%s: no such command; .help lists them"):format(name)) end
  if command.argument and argument == "" then
    return say(session, (".%s: expected %s"):format(name, command.argument))
  end
  if not command.argument and argument ~= "" then return say(session, (".%s takes no argument"):format(name)) end
  return command.run(session, argument)
end

return M
