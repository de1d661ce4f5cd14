--- Removing a directory with all that is in it.
---
--- Each directory is held by its descriptor while it is emptied: whatever others put in the place of its path, a link
--- for one, nothing outside is touched. Only the deepest few are held: on the way up those above are found by "..",
--- and known by their number. So neither depth nor the length of a path is limited.
local call = require "muster.stream.file".call
local checkpoint = require "muster.stream.reader".checkpoint
local core = require "muster.core"
local uv = require "luv"

local M = {}

local HELD = 16 -- directories, at most
local constants = uv.constants
local LOOK = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

--- A problem, unless it is that something is not there any more.
local function gone(problem) return problem and not problem:find "^ENOENT" and problem or nil end

--- Calls which a cancellation does not cut short: a thread that went on would use a descriptor closed meanwhile.
local function step(name, ...)
  checkpoint()
  return core.shield(call, nil, name, ...)
end

--- The same without waiting.
local function step_now(name, ...) return uv["fs_" .. name](...) end

---@class muster.remove the way from the top to where it is
---@field levels muster.remove.level[]
---@field top string the path of the first
---@field step fun(name: string, ...): any, string?
local Removal = {}
Removal.__index = Removal

---@class muster.remove.level a directory
---@field name string in the one above it
---@field fd integer? while it is held
---@field stat table what it is known by
---@field names string[] what is left in it, and `next`
---@field next integer

local function release(level)
  if level.fd then uv.fs_close(level.fd) end
  level.fd = nil
end

function Removal:__close()
  for _, level in ipairs(self.levels) do release(level) end
end

function Removal:drop() release(table.remove(self.levels)) end

--- How to get to a name in the directory that is being emptied.
function Removal:place(name)
  local level = self.levels[#self.levels]
  return level and ("/proc/self/fd/%d/%s"):format(level.fd, name) or self.top
end

--- For messages.
function Removal:path(name)
  local parts = {self.top}
  for i = 2, #self.levels do table.insert(parts, self.levels[i].name) end
  if self.levels[1] then table.insert(parts, name) end
  return table.concat(parts, "/")
end

local function same(a, b) return a.ino == b.ino and a.dev == b.dev end

--- Opens a directory: its level. Not what a link leads to that took its place: nil, and no problem.
function Removal:hold(place, name)
  local fd, problem = self.step("open", place, LOOK, 0)
  if not fd then return nil, problem end
  local level = {fd = fd, name = name}
  local _ <close> = setmetatable({}, {__close = function() if not level.stat then release(level) end end})
  local stat, there = self.step("fstat", fd), self.step("lstat", place)
  if not (stat and there and there.type == "directory" and same(stat, there)) then return nil end
  level.stat = stat
  return level
end

local function names_in(self, level)
  local request, problem = self.step("scandir", "/proc/self/fd/" .. level.fd)
  if not request then return nil, problem end
  local names = {}
  for name in uv.fs_scandir_next, request do table.insert(names, name) end
  return names
end

--- Goes into a directory. -> problem
function Removal:enter(name)
  local level, problem = self:hold(self:place(name), name)
  if not level then return gone(problem) end
  table.insert(self.levels, level)
  level.names, problem = names_in(self, level)
  level.next = 1
  local above = self.levels[#self.levels - HELD]
  if above then release(above) end
  if not gone(problem) then
    level.names = level.names or {}
    return nil
  end
  self:drop()
  return problem
end

--- The directory above is held again, if it is the one that it was. -> problem
function Removal:hold_above(level, above)
  if not above or above.fd then return nil end
  local held, problem = self:hold(("/proc/self/fd/%d/.."):format(level.fd), above.name)
  if not held then return problem or "EBUSY: it has been moved" end
  if same(held.stat, above.stat) then above.fd = held.fd else release(held) end
  return not above.fd and "EBUSY: it has been moved" or nil
end

--- Goes up, and removes the directory left, which is empty. -> problem
function Removal:leave()
  local level = self.levels[#self.levels]
  local problem = self:hold_above(level, self.levels[#self.levels - 1])
  self:drop()
  if problem then return problem end
  return gone(select(2, self.step("rmdir", self:place(level.name))))
end

--- Removes one thing, or goes into it. -> problem
function Removal:take(name)
  local ok, problem = self.step("unlink", self:place(name))
  if ok or not gone(problem) then return nil end
  if not problem:find "^EISDIR" and not problem:find "^EPERM" then return problem end
  local depth = #self.levels
  local why = self:enter(name)
  if why or #self.levels > depth then return why end
  why = select(2, self.step("rmdir", self:place(name))) -- a link took its place; or a file must not be removed
  return why and why:find "^ENOTDIR" and problem or gone(why)
end

local function remove(path, do_step)
  local self <close> = setmetatable({levels = {}, top = path, step = do_step}, Removal)
  local problem = self:take(path)
  while not problem and self.levels[1] do
    local level = self.levels[#self.levels]
    local name = level.names[level.next]
    level.next = level.next + 1
    if name then problem = self:take(name) else problem = self:leave() end
    if problem then return problem, self:path(name or level.name) end
  end
  if problem then return problem, path end
end

--- Removes what is there, a directory with all that is in it; links are not followed. What others remove meanwhile is
--- no problem. -> problem, and where
---@async
---@param path string
---@return string? problem
---@return string? path
function M.remove(path) return remove(path, step) end

--- The same at once, for finalizers, which cannot wait.
---@param path string
function M.remove_now(path) remove(path, step_now) end

return M
