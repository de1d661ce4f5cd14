--- muster: async/await for Lua, on the C scheduler of the host. This file is a facade of names.
local core = require "muster.core"
local map = require "muster.map"
local wait = require "muster.wait"

local M = {
  _VERSION = "muster " .. require "muster.host".version,

  await = core.await,
  run = core.run,
  spawn = core.spawn,
  current = core.current,
  tasks = core.tasks,
  dump = function() require "muster.diagnosis".dump() end, -- few programs need it
  is_task = core.is_task,
  is_cancelled = core.is_cancelled,
  suspend = core.suspend,

  gather = core.gather,
  as_completed = core.as_completed,
  group = core.group,
  gather_settled = wait.gather_settled,
  first = wait.first,
  wait = wait.wait,
  map = map.map,
  stream = map.stream,

  timeout = core.timeout,
  move_on_after = core.move_on_after,
  shield = core.shield,

  semaphore = core.semaphore,
  lock = core.lock,
  event = core.event,
  condition = core.condition,
  barrier = core.barrier,
  channel = core.channel,
  select = core.select,

  sleep = core.sleep,
  yield = core.yield,
  now = core.now,
}

return setmetatable(M, {__call = function(_, fn) return core.async(fn) end})
