-- Random programs under a thousand seeds, held against simple models: of a semaphore an exact one, that says after
-- every step who holds what; of channels an account of every value. Programs run in families: parents that gather
-- children, so that one cancellation strikes several at once. A failure names its seed, which repeats it.
local async = require "muster"
local test = require "muster.test"

local PROGRAMS, FAMILIES, CHILDREN, STEPS = 1000, 3, 3, 6

--- Numbers from 1 to n that depend on the seed only (Lehmer's generator).
local function random(seed)
  local state = seed * 69621 % 0x7fffffff
  return function(n)
    state = state * 48271 % 0x7fffffff
    return state // 8 % n + 1
  end
end

--- pcall for what may fail by a cancellation, or by an error of a kind that is expected; any other is raised.
local function attempt(kind, fn, ...)
  local results = table.pack(pcall(fn, ...))
  local err = results[2]
  if not results[1] and not async.is_cancelled(err) and not (type(err) == "table" and err.kind == kind) then
    error(err, 0)
  end
  return table.unpack(results, 1, results.n)
end

-- ---- families --------------------------------------------------------------------------------------------------

--- Yields or sleeps; true unless cancelled.
local function pause(p)
  local n = p.random(5)
  if n <= 3 then return (attempt(nil, async.yield)) end
  return (attempt(nil, async.sleep, n - 3))
end

local function live(p, actor)
  actor.task = async.current()
  for _ = 1, STEPS do
    local steps = p.steps
    steps[p.random(#steps)](p, actor)
    p:check()
  end
end

local function family(p)
  local children = {}
  for i = 1, CHILDREN do
    children[i] = {last = {}}
  end
  local task = async.spawn(function()
    local tasks = {}
    for i, actor in ipairs(children) do
      tasks[i] = function() if p.random(2) == 1 then pause(p) end live(p, actor) end
    end
    attempt(nil, async.gather, tasks)
  end)
  return {task = task, children = children}
end

--- Cancels a task, or with its parent a whole family; p:struck(actor) tells the model of each.
local function cancel(p)
  local parent = p.parents[p.random(#p.parents)]
  local struck = parent.children
  if p.random(3) > 1 then
    struck = {struck[p.random(#struck)]}
    if not struck[1].task or not struck[1].task:cancel() then return end
  elseif not parent.task:cancel() then
    return
  end
  for _, actor in ipairs(struck) do
    if not actor.cancelled then p:struck(actor) end
    actor.cancelled = true
  end
end

--- Makes the families of program p, and waits for all to end; meanwhile() watches. A hang is a failure.
local function play(p, meanwhile)
  p.parents = {}
  for i = 1, FAMILIES do p.parents[i] = family(p) end
  async.timeout(1e6, function()
    if meanwhile then meanwhile() end
    for _, parent in ipairs(p.parents) do attempt(nil, async.await, parent.task) end
  end)
end

--- Runs one program for each seed, every second one with the ready queue shuffled, and names the seed of a failure.
local function programs(run, first)
  return test.virtual(function()
    for seed = first, first + PROGRAMS - 1 do
      local shuffled = seed % 2 == 0
      local ok, err = pcall(test.seeded(shuffled and seed or 0, run), seed, shuffled)
      if not ok then error(("seed %d: %s"):format(seed, err), 0) end
    end
  end)
end

-- ---- the semaphore and its model ---------------------------------------------------------------------------------

local Model = {}
Model.__index = Model

local function model(n) return setmetatable({n = n, free = n, queue = {}, grants = 0}, Model) end

--- Serves the queue from its front as far as the permits go.
function Model:serve()
  while self.queue[1] and self.queue[1].k <= self.free do
    local request = table.remove(self.queue, 1)
    self.free, self.grants = self.free - request.k, self.grants + 1
    request.granted = self.grants
  end
end

function Model:acquire(k)
  local request = {k = k}
  table.insert(self.queue, request)
  self:serve()
  request.waits = not request.granted
  return request
end

function Model:release(k)
  self.free = self.free + k
  assert(self.free <= self.n)
  self:serve()
end

--- A cancelled request leaves the queue; if it had been granted already, its permits go on.
function Model:leave(request)
  request.left = true
  if request.granted then return self:release(request.k) end
  for i, other in ipairs(self.queue) do
    if other == request then table.remove(self.queue, i) end
  end
  self:serve()
end

local Semaphore = {}
Semaphore.__index = Semaphore

function Semaphore:struck(actor)
  if actor.request then self.model:leave(actor.request) end
end

function Semaphore:check()
  assert(self.sem:available() == self.model.free,
         ("%d free, by the model %d"):format(self.sem:available(), self.model.free))
  assert(self.held >= 0 and self.held <= self.model.n)
end

local function hold(p, permit, k)
  p.held = p.held + k
  p:check()
  pause(p)
  p.held = p.held - k
  if p.random(2) == 1 then permit:release() else p.sem:release(k) end
  p.model:release(k)
  p:check()
end

--- In a run that is not shuffled, those who waited also wake in the order of their grants.
local function check_grant(p, request)
  assert(request.granted and not request.left, "acquired, but not by the model")
  if p.shuffled or not request.waits then return end
  assert(request.granted > p.last_grant, "not first come, first served")
  p.last_grant = request.granted
end

local function acquire(p, actor)
  local k = p.random(p.model.n)
  local request = not actor.cancelled and p.model:acquire(k)
  actor.request = request
  local ok, permit = attempt(nil, p.sem.acquire, p.sem, k)
  actor.request = nil
  if ok then
    assert(request, "acquired though cancelled")
    check_grant(p, request)
    hold(p, permit, k)
  else
    assert(not request or request.left, "cancelled, but not by the model")
  end
end

local function try_acquire(p)
  local k, m = p.random(p.model.n), p.model
  local expected = m.free >= k and not m.queue[1]
  local permit = p.sem:try_acquire(k)
  assert((permit ~= nil) == expected, "try_acquire and the model differ")
  if not permit then return end
  m:acquire(k)
  hold(p, permit, k)
end

local function run_semaphore(seed, shuffled)
  local r = random(seed)
  local n = r(4)
  local p = setmetatable({random = r, shuffled = shuffled, sem = async.semaphore(n), model = model(n), held = 0,
                          last_grant = 0, steps = {acquire, acquire, acquire, try_acquire, pause, cancel}}, Semaphore)
  play(p)
  p:check()
  assert(p.sem:available() == n and not p.model.queue[1], "permits are lost")
end

--- Deadlines cannot be foreseen by the model: here only what must hold in any case is checked.
local function run_timeouts(seed)
  local r = random(seed)
  local n, held = r(4), 0
  local sem = async.semaphore(n)
  local p = {random = r, struck = function() end, check = function() end}
  local function timed()
    local k = r(n)
    local ok, permit = attempt(nil, async.move_on_after, r(4) - 1, sem.acquire, sem, k)
    if not ok or not permit then return end
    held = held + k
    assert(held <= n and sem:available() <= n - held)
    pause(p)
    held = held - k
    permit:release()
  end
  p.steps = {timed, timed, timed, pause, cancel}
  play(p)
  assert(sem:available() == n, "permits are lost")
end

describe("a semaphore", function()
  it("does what the model does, whoever is cancelled when", programs(run_semaphore, 1))
  it("loses no permit to timeouts", programs(run_timeouts, 100001))
end)

-- ---- channels, and an account of every value ---------------------------------------------------------------------

local function new_value(p, actor, ch)
  actor.serial = (actor.serial or 0) + 1
  local value = {sender = actor, serial = actor.serial, channel = ch, state = "sending", received = 0}
  table.insert(p.values, value)
  return value
end

--- Without cancellations every receiver sees the values of a sender in the order in which they were sent.
local function take(p, actor, value, ch)
  if value == nil then return assert(ch:is_closed(), "nil from an open channel") end
  assert(value.channel == ch, "a value of another channel")
  value.received = value.received + 1
  assert(value.received == 1, "received twice")
  assert(value.state ~= "failed", "received, though its sender was told that it was not sent")
  local last = actor.last[ch] or {}
  assert(not p.calm or value.serial > (last[value.sender] or 0), "out of order")
  last[value.sender], actor.last[ch] = value.serial, last
end

local function settle(value, sent)
  assert(sent or value.received == 0, "its sender is told that it was not sent, but it was received")
  value.state = sent and "sent" or "failed"
end

--- Calls fn while it counts as waiting on the channel, perhaps with a time limit: whether it returned, and its result.
local function wait(p, ch, kind, fn, ...)
  local waiting = p.waiting[ch]
  waiting[kind] = waiting[kind] + 1
  local ok, result
  if p.calm or p.random(3) > 1 then ok, result = attempt("closed", fn, ...)
  else ok, result = attempt("closed", async.move_on_after, p.random(3) - 1, fn, ...) end
  waiting[kind] = waiting[kind] - 1
  return ok and result ~= false, result
end

local function any_channel(p) return p.channels[p.random(#p.channels)] end

local function send(p, actor)
  local ch = any_channel(p)
  local value = new_value(p, actor, ch)
  settle(value, (wait(p, ch, "send", ch.send, ch, value)))
end

local function recv(p, actor)
  local ch = any_channel(p)
  local ok, value = wait(p, ch, "recv", ch.recv, ch)
  if ok then take(p, actor, value, ch) end
end

local function try_send(p, actor)
  local ch = any_channel(p)
  local value = new_value(p, actor, ch)
  local ok, sent = attempt("closed", ch.try_send, ch, value)
  settle(value, ok and sent)
end

local function try_recv(p, actor)
  local ch = any_channel(p)
  local did, value = ch:try_recv()
  if did then take(p, actor, value, ch) end
end

--- Some cases, and what each would send.
local function cases(p, actor)
  local list, values = {}, {}
  for i = 1, p.random(4) do
    local ch = any_channel(p)
    values[i] = p.random(2) == 1 and new_value(p, actor, ch)
    list[i] = values[i] and {send = ch, value = values[i]} or ch
  end
  if p.random(2) == 1 then list.timeout = p.random(3) - 1 end
  return list, values
end

local function choose(p, actor)
  local list, values = cases(p, actor)
  local ok, index, value = attempt("closed", async.select, list)
  local chosen = ok and index
  for i, sent in pairs(values) do
    if sent then settle(sent, i == chosen) end
  end
  if chosen and not values[chosen] then take(p, actor, value, list[chosen]) end
  assert(chosen or not ok or (list.timeout and value == "timeout"))
end

local function close(p)
  if p.random(4) == 1 then any_channel(p):close() end
end

--- Nothing can run: then nobody waits for what is there.
local function check_quiet(p)
  for _, ch in ipairs(p.channels) do
    local senders, receivers = p.waiting[ch].send, p.waiting[ch].recv
    assert(not (senders > 0 and receivers > 0), "senders and receivers wait for each other")
    assert(receivers == 0 or (#ch == 0 and not ch:is_closed()), "a receiver sleeps beside a value")
    assert(senders == 0 or (#ch >= p.capacity[ch] and not ch:is_closed()), "a sender sleeps beside a place")
  end
end

local function check_account(p)
  for _, value in ipairs(p.values) do
    if value.state == "sent" then assert(value.received == 1, "a value is lost")
    else assert(value.state == "failed" and value.received == 0) end
  end
end

local function drain(p)
  for _, ch in ipairs(p.channels) do
    local collector = {last = {}}
    while true do
      local did, value = ch:try_recv()
      assert(did, "closed, but try_recv would wait")
      if value == nil then break end
      take(p, collector, value, ch)
    end
    assert(#ch == 0)
  end
end

local function add_channels(p)
  local capacities = {0, 0, 1, 2, math.huge}
  for i = 1, p.random(2) do
    local capacity = capacities[p.random(#capacities)]
    local ch = async.channel(capacity)
    p.channels[i], p.capacity[ch], p.waiting[ch] = ch, capacity, {send = 0, recv = 0}
  end
end

local function run_channels(seed)
  local p = {random = random(seed), calm = seed % 3 == 0, values = {}, channels = {}, capacity = {}, waiting = {},
             struck = function() end, check = function() end}
  add_channels(p)
  p.steps = {send, send, recv, recv, choose, choose, try_send, try_recv, pause, p.calm and pause or cancel, close}
  play(p, function()
    async.sleep(1000)
    check_quiet(p)
    for _, ch in ipairs(p.channels) do ch:close() end
  end)
  drain(p)
  check_account(p)
end

describe("channels", function()
  it("deliver each value once, in order, or tell its sender", programs(run_channels, 200001))
end)

-- ---- modules that await, fail, require each other, and are required by tasks that are cancelled ----

local MODULES = {"modelled a", "modelled b", "modelled c"}

--- A module that only one task loads at a time; it may end in an error, its own or that of a circle.
local function loader(r, loading)
  return function(name)
    local me, outer = async.current(), loading[name]
    if outer and outer ~= me then error(name .. ": loaded by two tasks at once", 0) end
    local _ <close> = setmetatable({}, {__close = function() loading[name] = outer end})
    loading[name] = me
    for _ = 2, r(3) do async.sleep(r(2)) end
    if r(3) == 1 then error("failed", 0) end
    if r(3) == 1 then require(MODULES[r(#MODULES)]) end
    if r(5) == 1 then async.await(require, MODULES[r(#MODULES)]) end
    return {name = name}
  end
end

--- Ways to require: in a task, in a coroutine, where Lua cannot yield, and for a while.
local ways = {
  require,
  function(name) return coroutine.wrap(require)(name) end,
  function(name)
    local found
    string.gsub("x", "x", function() found = require(name) end)
    return found
  end,
  function(name) return async.move_on_after(2, require, name) or package.loaded[name] end,
}

local function run_modules(seed)
  local r, loading, tasks = random(seed), {}, {}
  for _, name in ipairs(MODULES) do package.preload[name], package.loaded[name] = loader(r, loading), nil end
  for i = 1, 8 do
    tasks[i] = async.spawn(function()
      async.sleep(r(3))
      local name = MODULES[r(#MODULES)]
      local found = ways[r(#ways)](name)
      if found and found ~= package.loaded[name] then error(name .. ": not what is loaded", 0) end
    end)
  end
  for _ = 2, r(4) do
    async.sleep(r(3))
    tasks[r(#tasks)]:cancel()
  end
  for _, task in ipairs(tasks) do
    local ok, err = task:pawait()
    local expected = ok or async.is_cancelled(err) or err:find "failed" or err:find "circular" or err:find "overflow"
    if not expected then error(err, 0) end
  end
  for _, name in ipairs(MODULES) do package.preload[name], package.loaded[name] = nil, nil end
end

describe("modules", function()
  it("are loaded by one task at a time, and nobody waits for ever", programs(run_modules, 300001))
end)
