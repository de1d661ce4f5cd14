-- Pinned tasks and memory: the collector in every mood, finalizers, C stacks and coroutines that are used again.
local async = require "muster"
local host = require "muster.host"
local luv = require "luv"
local virtual = require "muster.test".virtual

local spawn, sleep = async.spawn, async.sleep

local function pin(fn, ...)
  local results, arguments = nil, table.pack(...)
  string.gsub("x", "x", function() results = table.pack(fn(table.unpack(arguments, 1, arguments.n))) end)
  return table.unpack(results, 1, results.n)
end

local function range(n, fn)
  local list = {}
  for i = 1, n do list[i] = fn(i) end
  return list
end

--- Makes garbage, and waits in C functions that hold values which nothing else refers to.
local function work(i)
  local list = range(20, function(k) return {k, tostring(k * i)} end)
  table.sort(list, function(a, b)
    local both = {a, b}
    if (a[1] + b[1]) % 7 == 0 then sleep(i % 5) end
    return tonumber(both[1][2]) < tonumber(both[2][2])
  end)
  for k = 1, 20 do assert(list[k][1] == k) end
  local text = ("a-b-c"):gsub("%w", function(c)
    async.yield()
    return c:rep(i)
  end)
  assert(#text == 3 * i + 2)
  local generate = coroutine.wrap(function()
    for k = 1, 5 do
      pin(sleep, k % 2)
      coroutine.yield({k})
    end
  end)
  for k = 1, 5 do assert(generate()[1] == k) end
  local pieces = {"return ", "{}", nil}
  assert(#load(function()
    pin(async.yield)
    return table.remove(pieces, 1)
  end)() == 0)
  setmetatable({}, {__gc = function() pcall(sleep, 1) end})
end

local modes = {
  ["generational"] = {"generational"},
  ["incremental, step by step"] = {"incremental", 1, 1000, 2},
  ["incremental, hasty"] = {"incremental", 10, 400, 5},
}

describe("the collector, while tasks are pinned,", function()
  for name, mode in pairs(modes) do
    it("may be " .. name, virtual(function()
      finally(function() collectgarbage("incremental", 200, 100) end)
      collectgarbage(table.unpack(mode))
      async.gather(range(40, function(i) return function() work(i) end end))
      local tasks = range(40, function(i) return spawn(work, i) end)
      sleep(2)
      for i = 1, 40, 2 do tasks[i]:cancel() end
      for i = 1, 40 do
        local ok, err = tasks[i]:pawait()
        assert(ok or async.is_cancelled(err), err)
      end
    end))
  end

  it("spares what only their C functions refer to, and frees it afterwards", virtual(function()
    local alive = setmetatable({}, {__mode = "k"})
    local task = spawn(function()
      return pin(function(object)
        alive[object] = true
        object = nil -- luacheck: ignore
        sleep(1)
      end, {})
    end)
    async.yield()
    collectgarbage()
    assert.is_truthy(next(alive))
    task:await()
    async.yield()
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(alive))
  end))

  it("frees tasks that were pinned, and their stacks serve others", virtual(function()
    local function burst() async.gather(range(50, function() return function() pin(sleep, 1) end end)) end
    burst()
    collectgarbage()
    local stacks, coroutines, memory = host.stats().stacks, host.stats().coroutines, collectgarbage "count"
    for _ = 1, 20 do burst() end
    collectgarbage()
    assert.is_true(host.stats().stacks <= stacks + 1)
    assert.is_true(host.stats().coroutines <= coroutines + 1)
    assert.is_true(collectgarbage "count" < memory * 1.2 + 50)
  end))
end)

describe("the pool of C stacks", function()
  --- Mappings as large as a C stack without its guard page.
  local function mapped()
    local count = 0
    for line in io.lines "/proc/self/maps" do
      local from, to = line:match "^(%x+)%-(%x+) rw"
      if from then count = count + (tonumber(to, 16) - tonumber(from, 16)) // (8 * 1024 * 1024 - 65536) end
    end
    return count
  end

  it("returns memory to the system once a burst is long over", virtual(function()
    local file = io.open "/proc/self/maps"
    if not file then pending "no /proc here" end
    file:close()
    async.gather(range(300, function() return function() pin(sleep, 1) end end))
    local most, most_mapped = host.stats().stacks, mapped()
    assert.is_true(most > 100)
    for _ = 1, 50 do sleep(60) end
    assert.is_true(host.stats().stacks < 10)
    assert.is_true(most_mapped - mapped() >= (most - 10) * 0.9)
  end))

  it("serves the next burst as the first", virtual(function()
    for _ = 1, 3 do
      local results = async.gather(range(100, function(i) return function() return pin(sleep, i % 3) or i end end))
      for i = 1, 100 do assert.equal(i, results[i]) end
      for _ = 1, 20 do sleep(60) end
    end
  end))
end)

describe("a finalizer", function()
  local ways = {
    ["sleep"] = function() sleep(1) end,
    ["yield"] = async.yield,
    ["await"] = function(task) task:await() end,
    ["gather"] = function() async.gather {function() end} end,
    ["the next task to end"] = function() async.map({1}, function() end) end,
    ["a value from a channel"] = function() async.channel():recv() end,
    ["room in a channel"] = function() async.channel():send(1) end,
    ["a permit"] = function()
      local semaphore = async.semaphore(1)
      semaphore:acquire()
      semaphore:acquire()
    end,
    ["an event"] = function() async.event():wait() end,
    ["barrier:wait"] = function() async.barrier(2):wait() end,
    ["suspend"] = function() async.suspend(function() end) end,
  }

  local wrappers = {
    [""] = function(fn, ...) fn(...) end,
    [" through a C function"] = pin,
    [" in a coroutine"] = function(fn, ...) coroutine.wrap(fn)(...) end,
    [" in a coroutine that is closed"] = function(fn, ...)
      local arguments = table.pack(...)
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, {__close = function() fn(table.unpack(arguments, 1, arguments.n)) end})
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert(coroutine.close(co))
    end,
    [" in a timeout"] = function(fn, ...) async.timeout(1, fn, ...) end,
    [" in a shield"] = function(fn, ...) async.shield(fn, ...) end,
  }

  --- What waiting in a finalizer raised; the collector runs inside `where`.
  local function raised(where, fn, ...)
    local message
    local arguments = table.pack(...)
    setmetatable({}, {__gc = function()
      local _, err = pcall(fn, table.unpack(arguments, 1, arguments.n))
      message = tostring(err)
    end})
    where(collectgarbage)
    return message
  end

  for what, way in pairs(ways) do
    for how, wrapper in pairs(wrappers) do
      it("cannot wait for " .. what .. how, function()
        local task = spawn(async.yield)
        for _, where in ipairs {function(fn) fn() end, pin, function(fn) coroutine.wrap(fn)() end} do
          local message = raised(where, wrapper, way, task)
          assert.matches("cannot wait for " .. what .. " in a finalizer (__gc)", message, 1, true)
        end
        task:await()
      end)
    end
  end

  it("may spawn, and wake who waits", virtual(function()
    local event, spawned = async.event(), false
    local task = spawn(pin, event.wait, event)
    async.yield()
    raised(pin, function()
      event:set()
      spawn(function() spawned = pin(sleep, 1) or true end)
    end)
    task:await()
    sleep(2)
    assert.is_true(spawned)
  end))

  it("may cancel the pinned task in which it runs", virtual(function()
    local task
    task = spawn(pin, function()
      async.yield()
      raised(pin, function() task:cancel() end)
      sleep(1)
      error "not reached"
    end)
    task:pawait()
    assert.equal("cancelled", task:status())
  end))
end)

describe("a callback of the event loop", function()
  --- Runs the loop once inside the task, which some libraries do.
  local function message_of(fn)
    local message
    local timer = luv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      local _, err = pcall(fn)
      message = tostring(err)
    end)
    while not message do luv.run "once" end
    return message
  end

  it("cannot wait, also when a task runs the loop", function()
    local expected = "cannot wait for sleep in a callback that runs in the main state"
    local function wait() sleep(1) end
    assert.matches(expected, message_of(wait), 1, true)
    assert.matches(expected, message_of(function() pin(wait) end), 1, true)
    assert.matches(expected, pin(message_of, wait), 1, true)
  end)

  it("may spawn a task that waits", function()
    local task
    message_of(function() task = spawn(pin, async.yield) end)
    task:await()
  end)
end)
