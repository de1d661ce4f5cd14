--- A model of a service with limits, for specs in virtual time: it takes time to answer, and refuses what is too much.
local async = require "muster"

local M = {}

local Server = {}
Server.__index = Server

--- Numbers from 0 to 1, the same ones for the same seed.
function M.random(seed)
  local state = seed
  return function()
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 11) * 2.0 ^ -53
  end
end

--- rpm; window: "bucket" (holds `capacity` requests, fills evenly) or "minute" (so many in each minute of the clock);
-- places: more than that at once are refused, slots: or queue up; latency: seconds; headers: what it says of its
-- limits, nil, "true", or a function of the server; after: a function that gives Retry-After, in seconds.
function M.new(opts)
  local self = setmetatable({
    rpm = opts.rpm or math.huge, window = opts.window or "bucket",
    capacity = opts.capacity or (opts.rpm or math.huge) / 60,
    latency = opts.latency or 0.05, places = opts.places or math.huge, headers = opts.headers, after = opts.after,
    random = M.random(opts.seed or 1), at = async.now(), start = async.now(), slots = opts.slots,
    busy = 0, most = 0, answered = 0, refused = 0, requests = 0,
  }, Server)
  self.level = self.capacity
  self.slot = opts.slots and async.semaphore(opts.slots)
  return self
end

local function refill(self)
  local now = async.now()
  if self.window == "bucket" then
    self.level = math.min(self.capacity, self.level + (now - self.at) * self.rpm / 60)
  elseif (now - self.start) // 60 ~= (self.at - self.start) // 60 or self.requests == 1 then
    self.level = self.rpm
  end
  self.at = now
end

--- Seconds until there is room again.
function Server:until_room()
  if self.window == "bucket" then return math.max(0, (1 - self.level) * 60 / self.rpm) end
  return 60 - (async.now() - self.start) % 60
end

local function head(self)
  local said = {}
  if self.headers == true then
    said["x-ratelimit-limit-requests"] = tostring(math.floor(self.rpm))
    said["x-ratelimit-remaining-requests"] = tostring(math.max(0, math.floor(self.level)))
  elseif self.headers then
    said = self.headers(self)
  end
  return said
end

local function work(self)
  local tail = self.random() < 0.02 and 10 or 1
  async.sleep(self.latency * tail * (0.5 + self.random()))
end

--- -> status, headers, seconds to wait
function Server:request()
  self.requests = self.requests + 1
  refill(self)
  if self.level < 1 or self.busy >= self.places then
    self.refused = self.refused + 1
    local after, said = self.after and self.after(self), head(self)
    async.sleep(self.latency / 10)
    return 429, said, after
  end
  self.level = self.level - 1
  self.busy = self.busy + 1
  self.most = math.max(self.most, self.busy)
  if self.slot then self.slot:with(work, self) else work(self) end
  self.busy = self.busy - 1
  self.answered = self.answered + 1
  return 200, head(self)
end

--- Tasks that keep a limiter busy for so many seconds; each tries again what was refused.
function M.drive(limiter, server, seconds, tasks)
  local stop = async.now() + seconds
  local function once(permit)
    local status, said, after = server:request()
    limiter:learn(said)
    if status == 429 then permit:limited(after) else permit:succeeded() end
  end
  local list = {}
  for i = 1, tasks or 400 do
    list[i] = function()
      while async.now() < stop do limiter:with(nil, once) end
    end
  end
  async.gather(list)
end

return M
