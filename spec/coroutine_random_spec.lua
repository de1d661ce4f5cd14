-- Random programs of coroutines that await, yield, fail, and are closed, resumed and cancelled by anybody: whatever
-- they do, nothing crashes, each coroutine is resumed by one at a time, and nothing is left in the end.
local async = require "muster"
local virtual = require("muster.test").virtual

local create, resume, status, wrap, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.wrap,
  coroutine.yield

local PROGRAMS, TASKS, DEPTH = 30, 20, 6

local random = math.random
local known, tasks, inside, semaphore, channel -- of the program that runs
local work

local function guard()
  return setmetatable({}, {__close = function()
    if random() < 0.3 then pcall(async.shield, async.yield) end
    if random() < 0.1 then error("in close", 0) end
  end})
end

local function remember(list, value)
  list[#list + 1] = value
  if #list > 20 then table.remove(list, random(#list)) end
  return value
end

--- For other tasks, whose errors nobody may be left to look at.
local function quietly(depth) pcall(work, depth) end

--- A generator that notices when it is entered twice.
local function generator(depth)
  return function()
    local _ <close> = guard()
    local me = coroutine.running()
    for i = 1, random(3) do
      assert(not inside[me], "entered twice")
      inside[me] = true
      local ok, err = pcall(work, depth)
      inside[me] = nil
      if not ok then error(err, 0) end
      if random() < 0.5 then yield(i) end
    end
  end
end

local function step(co)
  if not resume(co) and status(co) == "dead" then pcall(coroutine.close, co) end
end

local actions = {
  function() async.sleep(random(5)) end,
  async.yield,
  function() error("plain", 0) end,
  function() collectgarbage "step" end,
  function(depth) async.move_on_after(random(3), function() semaphore:with(work, depth) end) end,
  function() async.move_on_after(random(3), channel.recv, channel) end,
  function() async.move_on_after(random(3), channel.send, channel, 1) end,
  function(depth) async.shield(work, depth) end,
  function(depth)
    local g <close> = async.group()
    for _ = 1, random(3) do g:spawn(quietly, depth) end
    work(depth)
  end,
  function(depth) async.gather {function() quietly(depth) end, function() quietly(depth) end} end,
  function(depth)
    for _, i in async.as_completed {function() quietly(depth) end, async.yield} do
      if i == random(2) then break end
    end
  end,
  function()
    async.suspend(function(go_on)
      async.spawn(function() async.sleep(random(3)) go_on() end)
      return function() if random() < 0.3 then async.shield(async.yield) end end
    end)
  end,
  function(depth)
    local co = remember(known, create(generator(depth)))
    for _ = 1, random(4) do step(co) end
    if random() < 0.3 then pcall(coroutine.close, co) end
  end,
  function(depth)
    local next_value = wrap(generator(depth))
    for _ = 1, random(3) do next_value() end
  end,
  function() step(known[random(#known)]) end,
  function() pcall(coroutine.close, known[random(#known)]) end,
  function() debug.traceback(known[random(#known)]) end,
  function() if tasks[1] and random() < 0.3 then tasks[random(#tasks)]:cancel() end end,
  function(depth) remember(tasks, async.spawn(quietly, depth)):pawait() end,
  function(depth) pcall(table.sort, {3, 1, 2}, function(a, b) work(depth) return a < b end) end,
}

function work(depth)
  if depth > DEPTH then return async.yield() end
  local _ <close> = guard()
  for _ = 1, random(2) do actions[random(#actions)](depth + 1) end
end

local function program()
  known, tasks, inside = {create(print)}, {}, {}
  semaphore, channel = async.semaphore(2), async.channel(1)
  local all = {}
  for i = 1, TASKS do all[i] = function() for _ = 1, 3 do pcall(work, 0) end end end
  async.gather_settled(all)
  for _, co in ipairs(known) do
    if status(co) == "suspended" then pcall(coroutine.close, co) end
  end
end

--- The tasks that nobody waits for any more, as what awaited them was closed.
local function end_rest(before)
  local old = {}
  for _, task in ipairs(before) do old[task] = true end
  for _, task in ipairs(async.tasks()) do
    if not old[task] then
      task:cancel()
      task:pawait()
    end
  end
end

describe("Random programs of coroutines", function()
  for seed = 1, PROGRAMS do
    it("number " .. seed, virtual(function()
      local before = async.tasks()
      math.randomseed(seed)
      program()
      for _ = 1, 3 do end_rest(before) end
    end))
  end
end)
