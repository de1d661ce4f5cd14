-- Runs the program under test as a child, for specs that look at it from outside.

local M = {}

--- The program's path.
M.path = os.getenv "MUSTER" or "build/muster"

--- A word for the shell.
---@param text string
---@return string
function M.quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local temporary = {}

--- The path of a file with this text, which is there until `remove_files`.
---@param text string?
---@return string
function M.file(text)
  local path = os.tmpname()
  temporary[#temporary + 1] = path
  local file <close> = assert(io.open(path, "wb"))
  file:write(text or "")
  return path
end

function M.remove_files()
  for _, path in ipairs(temporary) do os.remove(path) end
  temporary = {}
end

---@param path string
---@return string
function M.contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function words(list)
  local all = {}
  for i, word in ipairs(list) do all[i] = M.quoted(tostring(word)) end
  return table.concat(all, " ")
end

--- What stderr said, the program's name cut down to "muster".
local function said(path)
  local text = "\n" .. M.contents(path)
  return (text:gsub("\n[^\n:]*/muster: ", "\nmuster: "):gsub("'[^\n']*/muster ", "'muster "):sub(2))
end

--- Runs a shell command: its output, its errors, its exit code.
---@param command string
---@return string output, string errors, integer code
function M.sh(command)
  local errors = M.file()
  local pipe = assert(io.popen("{ " .. command .. "; } 2>" .. errors))
  local output = pipe:read "a"
  local _, _, code = pipe:close()
  return output, said(errors), code
end

--- The command that runs the program. Fields of `arguments`: the list of them; `env`, assignments; `stdin`, a text;
--- `slow`, true to be told of slow tasks, of which a busy machine makes many.
---@param arguments table
---@return string
function M.command(arguments)
  local program = M.quoted(M.path) .. (arguments.slow and "" or " --slow 0")
  return ("env %s %s %s <%s"):format(arguments.env or "", program, words(arguments), M.file(arguments.stdin))
end

--- Runs the program to its end.
---@param arguments table as of `command`
---@return string output, string errors, integer code
function M.run(arguments) return M.sh(M.command(arguments)) end

return M
