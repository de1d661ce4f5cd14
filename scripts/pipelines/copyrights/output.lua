--- Where the records go: standard output, or a file that appears only when it
--- is complete.

local M = {}

---@class Sink
---@field private file file*
---@field private path? string       what the file is to be called
---@field private temporary? string  what it is called until then
local Sink = {}
Sink.__index = Sink

-- A device or a pipe is written to as it is; replacing it would be a surprise.
local function is_special(path)
  local stat = require("luv").fs_stat(path)
  return stat and stat.type ~= "file" and stat.type ~= "directory"
end

--- Opens the sink for `path` (standard output without one).
---@param path? string
---@return Sink? sink
---@return string? problem
function M.open(path)
  if not path then
    io.stdout:setvbuf "full"
    return setmetatable({ file = io.stdout }, Sink)
  end
  local temporary = not is_special(path) and path .. ".tmp" or nil
  local file, problem = io.open(temporary or path, "w")
  if not file then return nil, problem end
  return setmetatable({ file = file, path = path, temporary = temporary }, Sink)
end

--- Writes one line: true, or nil and the reason.
---@param line string
function Sink:write(line)
  local done, problem = self.file:write(line, "\n")
  return done and true, problem
end

-- The temporary file's last step, or nothing for the other kinds.
local function settle(self)
  if not self.temporary then return true end
  local done, problem = os.rename(self.temporary, self.path)
  if done then self.temporary = nil end
  return done, problem
end

--- Completes the output: true, or nil and the reason.
function Sink:finish()
  local done, problem = self.file:flush()
  if done and self.path then done, problem = self.file:close() end
  if not done then return nil, problem end
  return settle(self)
end

--- Removes what was not finished.
function Sink:__close()
  if io.type(self.file) == "file" and self.path then self.file:close() end
  if self.temporary then os.remove(self.temporary) end
end

return M
