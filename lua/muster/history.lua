--- The lines of earlier sessions: a file in the user's state directory, one entry a line.
local uv = require "luv"

local M = {}

--- At most so many entries stay.
M.LIMIT = 1000

--- $XDG_STATE_HOME/muster/history, or below ~/.local/state; nil if there is no home.
---@return string?
function M.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if state and state:sub(1, 1) == "/" then return state .. "/muster/history" end
  return home and home ~= "" and home .. "/.local/state/muster/history" or nil
end

local ESCAPES = {["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r"}
local MEANINGS = {["\\\\"] = "\\", ["\\n"] = "\n", ["\\r"] = "\r"}

local function escape(entry) return (entry:gsub("[\\\n\r]", ESCAPES)) end
local function unescape(line) return (line:gsub("\\.", MEANINGS)) end

local function lines_of(path)
  local lines, file = {}, path and io.open(path, "rb")
  if not file then return lines end
  for line in (file:read "a" or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  file:close()
  return lines
end

--- The entries, oldest first.
---@param path string?
---@return string[]
function M.load(path)
  local lines, entries = lines_of(path), {}
  for i = math.max(1, #lines - M.LIMIT + 1), #lines do entries[#entries + 1] = unescape(lines[i]) end
  return entries
end

local function make_directories(path)
  for directory in path:gmatch "()/" do
    if directory > 1 then uv.fs_mkdir(path:sub(1, directory - 1), tonumber("700", 8)) end
  end
end

--- Puts text in the place of the file at once: no reader sees half of it.
local function replace(path, text)
  local fd, temporary = uv.fs_mkstemp(path .. ".XXXXXX")
  if not fd then return nil, temporary end
  local written, err = uv.fs_write(fd, text)
  uv.fs_close(fd)
  local ok = written == #text
  if ok then ok, err = uv.fs_rename(temporary, path) end
  if not ok then uv.fs_unlink(temporary) end
  return ok, err
end

--- Adds an entry to the file, after those that other sessions have added meanwhile, unless it is the last there.
---@param path string
---@param entry string
---@return boolean? ok, string? err
function M.append(path, entry)
  local lines, line = lines_of(path), escape(entry)
  if lines[#lines] == line or line == "" then return true end
  lines[#lines + 1] = line
  make_directories(path)
  return replace(path, table.concat(lines, "\n", math.max(1, #lines - M.LIMIT + 1)) .. "\n")
end

return M
