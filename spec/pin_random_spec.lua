-- Random programs that wait for everything, everywhere, and cancel each other meanwhile: in the end nothing is left,
-- and every permit, lock and stack is back. A program repeats by its seed.
local async = require "muster"
local contexts = require "spec.support.contexts"
local host = require "muster.host"
local test = require "muster.test"

local sleep, spawn = async.sleep, async.spawn

local names = {}
for name in pairs(contexts) do
  if name ~= "a hook" then table.insert(names, name) end -- there is one at a time
end
table.sort(names)

--- Numbers from 1 to n that repeat.
local function dice(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return (seed >> 8) % n + 1
  end
end

local function closing(fn) return setmetatable({}, {__close = fn}) end

--- What a program does: each is called with the depth that is left, and may call `p.go(depth)`.
local actions = {
  function(p) sleep(p.random(5) - 1) end,
  function() async.yield() end,
  function() collectgarbage "step" end,
  function(p, depth) async.await(p.go, depth) end,
  function(p, depth) async.gather {p.go_to(depth), p.go_to(depth)} end,
  function(p, depth) async.gather({p.go_to(depth), p.go_to(depth), p.go_to(0)}, {limit = 1}) end,
  function(p, depth)
    for _ in async.as_completed {p.go_to(depth), p.go_to(0)} do
      if p.random(2) == 1 then break end
    end
  end,
  function(p, depth)
    for _ in async.stream({depth, depth, 0}, p.go, {limit = 2}) do
      if p.random(4) == 1 then break end
    end
  end,
  function(p, depth) async.map({0, depth, 0}, p.go, {limit = 2}) end,
  function(p, depth) async.first {p.go_to(depth), p.go_to(0)} end,
  function(p, depth)
    local _, pending = async.wait({p.go_to(depth)}, {timeout = p.random(3)})
    for _, task in ipairs(pending) do task:await() end
  end,
  function(p) p.semaphore:with(sleep, p.random(3)) end,
  function(p) async.move_on_after(p.random(4), p.lock.with, p.lock, async.yield) end,
  function(p) async.move_on_after(p.random(4), p.channel.send, p.channel, 1) end,
  function(p) async.select {p.channel, timeout = p.random(3)} end,
  function(p) async.move_on_after(p.random(3), p.event.wait, p.event) end,
  function(p)
    p.event:set()
    p.event:clear()
  end,
  function(p, depth) async.move_on_after(p.random(6), p.go, depth) end,
  function(p, depth) async.shield(p.go, depth) end,
  function(p, depth)
    local group <close> = async.group()
    group:spawn(p.go, depth)
    group:spawn(p.go, 0)
  end,
  function(p, depth)
    for i in coroutine.wrap(function()
      for i = 1, 3 do
        p.go(depth)
        coroutine.yield(i)
      end
    end) do
      if p.random(5) == i then break end
    end
  end,
  function(p, depth)
    local task = spawn(p.go, depth)
    local _ <close> = closing(function() task:cancel() end)
    async.yield()
    task:cancel()
    task:pawait()
  end,
  function(p) p.tasks[p.random(#p.tasks)]:cancel() end,
  function(p, depth)
    pcall(function()
      p.go(depth)
      error "caught"
    end)
  end,
  function(p, depth)
    local _ <close> = closing(function() async.shield(p.go, 0) end)
    p.go(depth)
  end,
  function(p)
    async.suspend(function(resume)
      spawn(function()
        sleep(p.random(3))
        resume()
      end)
    end)
  end,
  function(p, depth)
    local co = coroutine.create(function()
      p.go(depth)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end,
  function(p, depth)
    local co = coroutine.create(p.go)
    local task = spawn(function()
      coroutine.resume(co, depth)
      coroutine.close(co)
    end)
    async.yield()
    pcall(coroutine.close, co)
    pcall(coroutine.resume, co)
    task:pawait()
  end,
}

--- Runs a program of ten tasks.
local function run(random, lock, semaphore)
  local p = {random = random, lock = lock, semaphore = semaphore, tasks = {}}
  p.channel, p.event = async.channel(2), async.event()
  function p.go(depth)
    if depth <= 0 then return sleep(random(3) - 1) end
    for _ = 1, random(3) do
      local action = actions[random(#actions)]
      local function act() action(p, depth - 1) end
      if random(2) == 1 then contexts[names[random(#names)]](act) else act() end
    end
  end
  function p.go_to(depth) return function() p.go(depth) end end
  for i = 1, 10 do p.tasks[i] = spawn(pcall, p.go, 5) end
  for i = 1, 10 do p.tasks[i]:pawait() end
end

describe("random programs of pinned tasks", function()
  for seed = 1, 8 do
    it("leave nothing, with seed " .. seed, test.virtual(test.seeded(seed, function()
      local random, alive = dice(seed), host.stats().alive
      local lock, semaphore = async.lock(), async.semaphore(3)
      for _ = 1, 25 do run(random, lock, semaphore) end
      for _ = 1, 100 do sleep(60) end
      assert.equal(alive, host.stats().alive)
      assert.is_false(lock:locked())
      assert.equal(3, semaphore:available())
      assert.is_true(host.stats().stacks < 10)
    end)))
  end
end)
