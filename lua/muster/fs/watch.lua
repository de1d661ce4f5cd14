--- Being told of changes to a file, or in a directory, by inotify.
local core = require "muster.core"
local failure = require "muster.failure"
local reader = require "muster.stream.reader"
local uv = require "luv"

local M = {}

local MOST = 10000 -- changes that wait for the script: then it is told that some are lost

---@class muster.fs.change
---@field name string? the file in the directory, or the file itself
---@field kind "changed"|"renamed"|"overflow" renamed: also made or removed; overflow: more changes than could be kept

---@class muster.watcher
---@field path string
---@field handle userdata
---@field news {list: muster.fs.change[], known: table<string, boolean>, resume: function?, problem: string?}
---@field closed boolean?
local Watcher = {}
Watcher.__index = Watcher
Watcher.__name = "muster.watcher"

--- Adds a change, unless the same one waits already.
local function add(news, name, kind)
  local key = kind .. (name or "")
  if news.known[key] then return end
  if #news.list >= MOST then name, kind, key = nil, "overflow", "overflow" end
  if news.known[key] then return end
  news.known[key] = true
  table.insert(news.list, {name = name, kind = kind})
end

---@param path string
---@return muster.watcher?
---@return muster.error?
function M.new(path)
  local handle, news = uv.new_fs_event(), {list = {}, known = {}}
  local ok, problem = handle:start(path, {}, function(problem, name, events)
    if problem then news.problem = problem
    else add(news, name, events.rename and "renamed" or "changed") end
    if news.resume then news.resume() end
  end)
  if not ok then
    handle:close()
    return failure.fail("watch " .. path, problem, {path = path})
  end
  handle:unref() -- while nobody waits for changes, they keep nobody
  return setmetatable({path = path, handle = handle, news = news}, Watcher)
end

local function wait(self)
  local news, handle = self.news, self.handle
  if news.resume then error(("next: another task watches %s"):format(self.path), 0) end
  local function leave()
    news.resume = nil
    if not handle:is_closing() then handle:unref() end
  end
  handle:ref()
  core.suspend(function(resume)
    news.resume = resume
    return leave
  end)
  leave()
end

--- Waits for the next change. Equal ones that nobody has asked for yet are one.
---@async
---@return muster.fs.change? change
---@return muster.error? error of kind "closed" once it is closed
function Watcher:next()
  local news = self.news
  reader.checkpoint()
  while not (self.closed or news.problem or news.list[1]) do wait(self) end
  if self.closed then return failure.closed("watch " .. self.path) end
  local change = table.remove(news.list, 1)
  if not change then return failure.fail("watch " .. self.path, news.problem, {path = self.path}) end
  news.known[change.kind == "overflow" and "overflow" or change.kind .. (change.name or "")] = nil
  return change
end

--- So that it is an iterator, too; it ends when it is closed, and a failure raises.
function Watcher:__call()
  local change, err = self:next()
  if err and err.kind ~= "closed" then error(err, 0) end
  return change
end

--- Stops watching, and wakes who waits. Closing again is fine.
function Watcher:close()
  if self.closed then return end
  self.closed = true
  if not self.handle:is_closing() then self.handle:close() end
  if self.news.resume then self.news.resume() end
end

Watcher.__close = Watcher.close

function Watcher:__gc()
  if not self.closed then pcall(Watcher.close, self) end
end

return M
