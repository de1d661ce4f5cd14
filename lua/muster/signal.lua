--- Signals of the system, awaited. While somebody waits for one it does nothing else; afterwards it does again what it
-- did before: Ctrl-C, for one, cancels the main task again.
local core = require "muster.core"
local failure = require "muster.failure"
local host = require "muster.host"
local names = require "muster.signal.names"
local reader = require "muster.stream.reader"
local uv = require "luv"

local M = {}

local uncatchable = {SIGKILL = true, SIGSTOP = true}

--- Of each signal that somebody waits for: how many do, and what puts back what it did.
local kept = {}

local function keep(number)
  kept[number] = kept[number] or {n = 0, restore = host.keep_signal(number)}
  kept[number].n = kept[number].n + 1
end

local function give_back(number)
  local entry = kept[number]
  entry.n = entry.n - 1
  if entry.n > 0 then return end
  kept[number] = nil
  entry.restore()
end

---@class muster.signal.receiver
---@field numbers table<integer, userdata> luv's handles
---@field news {list: string[], known: table<string, boolean>, resume: function?}
---@field closed boolean?
local Receiver = {}
Receiver.__index = Receiver
Receiver.__name = "muster.signal.receiver"

local function check_all(what, ...)
  local numbers = {}
  for i = 1, select("#", ...) do
    local number, name = names.check(what, (select(i, ...)))
    if uncatchable[name] then error(("%s: %s cannot be caught"):format(what, name), 3) end
    numbers[number] = name
  end
  if next(numbers) == nil then error(what .. ': expected a signal, such as "SIGTERM", got none', 3) end
  return numbers
end

--- Takes no notice of signals that come while an equal one has not been looked at.
local function listen(number, name, news)
  local handle = uv.new_signal()
  keep(number)
  local ok, problem = handle:start(number, function()
    if not news.known[name] then
      news.known[name] = true
      table.insert(news.list, name)
    end
    if news.resume then news.resume() end
  end)
  if ok then return handle end
  handle:close()
  give_back(number)
  return nil, problem
end

local function open(numbers)
  local news = {list = {}, known = {}}
  local self = setmetatable({numbers = {}, news = news}, Receiver)
  for number, name in pairs(numbers) do
    local handle, problem = listen(number, name, news)
    if not handle then
      self:close()
      error(failure.from("wait for " .. name, problem), 0)
    end
    handle:unref()
    self.numbers[number] = handle
  end
  return self
end

local function each_handle(self, method)
  for _, handle in pairs(self.numbers) do
    if not handle:is_closing() then handle[method](handle) end
  end
end

--- Waits for the next signal.
---@async
---@return string? name such as "SIGTERM"; nil once it is closed
function Receiver:next()
  local news = self.news
  reader.checkpoint()
  while not (self.closed or news.list[1]) do
    if news.resume then error("next: another task waits for these signals", 0) end
    local function leave()
      news.resume = nil
      each_handle(self, "unref")
    end
    each_handle(self, "ref")
    core.suspend(function(resume)
      news.resume = resume
      return leave
    end)
    leave()
  end
  if self.closed then return nil end
  local name = table.remove(news.list, 1)
  news.known[name] = nil
  return name
end

Receiver.__call = Receiver.next

--- Lets the signals do again what they did. Closing again is fine.
function Receiver:close()
  if self.closed then return end
  self.closed = true
  for number, handle in pairs(self.numbers) do
    if not handle:is_closing() then handle:close() end
    give_back(number)
  end
  if self.news.resume then self.news.resume() end
end

Receiver.__close = Receiver.close

function Receiver:__gc()
  if not self.closed then pcall(Receiver.close, self) end
end

--- Waits for the first of these signals: "SIGTERM", "term", 15. Before the next call, one that comes does what it
--- did before, such as to end the program: to lose none, use `iterate`.
---@async
---@param ... string|integer
---@return string name such as "SIGTERM"
function M.wait(...)
  local numbers = check_all("wait", ...)
  reader.checkpoint()
  local receiver <close> = open(numbers)
  return receiver:next()
end

--- Iterates over these signals as they come: `for name in signal.iterate("SIGHUP", "SIGTERM") do`. None is lost while
--- the body runs, but equal ones are one. The first value has `next` and `close`, too.
---@param ... string|integer
---@return muster.signal.receiver
function M.iterate(...)
  local receiver = open(check_all("iterate", ...))
  return receiver, nil, nil, receiver
end

--- Calls handler(name) in a task of its own, each time the signal comes, until the result is closed.
---@param which string|integer
---@param handler fun(name: string)
---@return muster.signal.receiver
function M.on(which, handler)
  local numbers = check_all("on", which)
  if type(handler) ~= "function" then error(("on: expected a function, got %s"):format(type(handler)), 2) end
  local receiver = open(numbers)
  core.spawn(function()
    for name in receiver, nil, nil, receiver do core.spawn(handler, name) end
  end):daemon()
  return receiver
end

--- Sends a signal to a process.
---@param pid integer
---@param which string|integer
---@return true? ok
---@return muster.error? error of kind "not_found", "permission"
function M.send(pid, which)
  local id = type(pid) == "number" and math.tointeger(pid) -- luv gives floats
  if not id then error(("send: expected the number of a process, got %s"):format(tostring(pid)), 2) end
  local number, name = names.check("send", which)
  local ok, problem = uv.kill(id, number)
  if not ok then return failure.fail(("send %s to %d"):format(name, id), problem) end
  return true
end

return M
