-- A terminal (a window of tmux) in which the program runs: for specs that type, and look at what the screen shows.
local async = require "muster"
local program = require "spec.support.program"
local uv = require "luv"

local M = {}

local PATIENCE, PAUSE = 1000, 0.01 -- looks at a screen before it is given up, and seconds between two of them

local quoted = program.quoted
local Screen = {}
Screen.__index = Screen
local opened = {}

local function sh(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  return pipe:close() and output, output
end

function Screen:tmux(command)
  return assert(sh(("TMUX_TMPDIR=%s tmux -f /dev/null %s"):format(self.directory, command)))
end

--- What the screen shows: its lines, without blanks at their ends and empty lines at the end.
---@return string
function Screen:text() return (self:tmux "capture-pane -p":gsub("[ \t]+\n", "\n"):gsub("\n+$", "")) end

--- The same with the escape sequences for colours.
function Screen:colors() return self:tmux "capture-pane -p -e" end

--- Waits until the screen is as `is(text)` wants it.
function Screen:wait(what, is)
  local text
  for _ = 1, PATIENCE do
    text = self:text()
    if is(text) then return self end
    async.sleep(PAUSE)
  end
  error(("the screen never showed %s; but:\n%s"):format(what, text), 3)
end

--- Waits until the screen ends with these lines.
function Screen:shows(...)
  local wanted = "\n" .. table.concat({...}, "\n")
  return self:wait("at its end:" .. wanted, function(text) return ("\n" .. text):sub(-#wanted) == wanted end)
end

--- Waits until something on the screen matches.
function Screen:matches(pattern)
  return self:wait(pattern, function(text) return text:match(pattern) end)
end

--- Keys by their names: "Enter", "C-c", "Tab".
function Screen:keys(...)
  for _, key in ipairs {...} do self:tmux("send-keys " .. quoted(key)) end
  return self
end

function Screen:type(text)
  self:tmux("send-keys -l " .. quoted(text))
  return self
end

--- Types a line, and Enter.
function Screen:enter(text) return self:type(text):keys "Enter" end

function Screen:resize(width, height)
  self:tmux(("resize-window -x %d -y %d"):format(width, height))
  return self
end

--- The process of the program, once it shows its prompt.
function Screen:pid()
  local shell = self:tmux "display-message -p '#{pane_pid}'":match "%d+"
  return tonumber((sh(("cat /proc/%s/task/%s/children"):format(shell, shell)):match "%d+"))
end

--- A directory for the files of one test, gone after it.
function M.directory()
  local path = assert(uv.fs_mkdtemp "/tmp/muster-XXXXXX")
  opened[#opened + 1] = {close = function() sh("rm -rf " .. quoted(path)) end}
  return path
end

--- Opens a terminal. Fields: the list of arguments of the program; `env`, assignments; `state`, its XDG_STATE_HOME;
--- `width`, `height`; `shell`, a command to run instead, in which $MUSTER is the program.
--- When the program ends the screen says "status" and its exit code.
---@param options table?
function M.open(options)
  options = options or {}
  local self = setmetatable({directory = M.directory()}, Screen)
  local words = {}
  for i, word in ipairs(options) do words[i] = quoted(word) end
  local command = options.shell
    or ('trap : INT; "$MUSTER" %s; echo "status $?"; exec sleep 1000'):format(table.concat(words, " "))
  local state = options.state or self.directory
  opened[#opened + 1] = self
  self:tmux(("new-session -d -x %d -y %d env -u NO_COLOR -u LUA_INIT HOME=%s XDG_STATE_HOME=%s LC_ALL=C.UTF-8 %s"
    .. " MUSTER=%s sh -c %s"):format(options.width or 60, options.height or 20, state, state, options.env or "",
    quoted(program.path), quoted(command)))
  return self
end

--- Opens a terminal, and waits for the prompt.
function M.session(options)
  local self = M.open(options)
  self:shows ">"
  return self
end

function Screen:close() pcall(self.tmux, self, "kill-server") end

--- For after_each: closes what is open.
function M.close_all()
  for i = #opened, 1, -1 do opened[i]:close() end
  opened = {}
end

return M
