--- Connecting to whichever of several addresses answers first (RFC 8305, "happy eyeballs"): each attempt has a head
--- start on the next one, so that an address that never answers costs no more than that.
local core = require "muster.core"
local uv = require "luv"

local M = {}

local HEAD_START = 0.25 -- seconds

--- The addresses with the families by turns, beginning with that of the first.
---@param addresses {host: string, family: string}[]
---@return {host: string, family: string}[]
function M.interleave(addresses)
  local first, others, list = {}, {}, {}
  for _, address in ipairs(addresses) do
    table.insert(address.family == addresses[1].family and first or others, address)
  end
  for i = 1, math.max(#first, #others) do
    table.insert(list, first[i])
    table.insert(list, others[i])
  end
  return list
end

---@class muster.race
---@field under_way table<userdata, boolean> handles
---@field winner userdata?
---@field problem string? why the last one that failed did
---@field news event
local Race = {}
Race.__index = Race

--- Closes those that have lost, and after a cancellation the winner, too.
function Race:__close()
  for handle in pairs(self.under_way) do handle:close() end
  self.under_way = {}
end

--- Begins an attempt. -> its handle
function Race:start(attempt)
  local handle = attempt.new()
  self.under_way[handle] = true
  local function ended(problem)
    if not self.under_way[handle] then return end -- it has been closed
    if problem then
      self.problem, self.under_way[handle] = problem, nil
      handle:close()
    else
      self.winner = self.winner or handle
    end
    self.news:set()
  end
  local request, problem = attempt.connect(handle, ended)
  if not request then ended(problem) end
  return handle
end

--- Waits until one has won, or this one has failed; or, without one, all have.
function Race:wait(handle)
  while not self.winner and (handle and self.under_way[handle] or not handle and next(self.under_way)) do
    self.news:clear()
    self.news:wait()
  end
end

---@class muster.attempt
---@field new fun(): userdata
---@field connect fun(handle: userdata, ended: fun(problem: string?)): userdata?, string?

--- Makes attempts until one succeeds: its handle, or nil and why the last one that failed did.
---@async
---@param attempts muster.attempt[] at least one
---@return userdata?
---@return string? problem
function M.first(attempts)
  local race <close> = setmetatable({under_way = {}, news = core.event()}, Race)
  for i, attempt in ipairs(attempts) do
    local handle = race:start(attempt)
    if i < #attempts then core.move_on_after(HEAD_START, race.wait, race, handle) else race:wait() end
    if race.winner then break end
  end
  local winner = race.winner
  if not winner then return nil, race.problem end
  race.under_way[winner] = nil
  return winner
end

--- An attempt to connect to an address.
---@return muster.attempt
function M.tcp(host, port)
  return {new = uv.new_tcp, connect = function(handle, ended) return handle:connect(host, port, ended) end}
end

--- The same for a UNIX socket.
---@return muster.attempt
function M.unix(path)
  return {new = function() return uv.new_pipe(false) end, connect = function(handle, ended)
    return handle:connect(path, ended)
  end}
end

return M
