-- muster.test: orders that a seed decides, and explore, which looks for a seed under which a body fails.
local async = require "muster"
local host = require "muster.host"
local program = require "spec.support.program"
local test = require "muster.test"

local explore, seeded, virtual = test.explore, test.seeded, test.virtual

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

--- The order in which n tasks run that are ready at once, as a text.
local function order_of(n)
  local order = {}
  local tasks = {}
  for i = 1, n do tasks[i] = async.spawn(table.insert, order, i) end
  async.wait(tasks)
  return table.concat(order, " ")
end

local function in_order(n)
  local order = {}
  for i = 1, n do order[i] = i end
  return table.concat(order, " ")
end

local seed_before

--- Also under --seed.
local function in_order_of_start()
  seed_before = host.seed(0)
end

local function as_before()
  host.seed(seed_before)
end

describe("seeded", function()
  before_each(in_order_of_start)
  after_each(as_before)

  it("gives the same order for the same seed, and another for another", function()
    local first = seeded(7, order_of)(20)
    assert.equal(first, seeded(7, order_of)(20))
    assert.not_equal(first, seeded(8, order_of)(20))
    assert.equal(in_order(20), order_of(20))
  end)

  it("meets every order, none of them much more often", function()
    local met, different = {}, 0
    for seed = 1, 600 do
      local order = seeded(seed, order_of)(3)
      met[order] = (met[order] or 0) + 1
    end
    for _, n in pairs(met) do
      different = different + 1
      assert.is_true(n > 60 and n < 140, n)
    end
    assert.equal(6, different)
  end)

  it("lets each ready task run once a turn", seeded(3, function()
    local ran, tasks, early, late = {}, {}, 0, 0
    for i = 1, 100 do
      ran[i] = 0
      tasks[i] = function()
        for turn = 1, 20 do
          ran[i] = turn
          for _, n in ipairs(ran) do
            if n ~= turn and n ~= turn - 1 then early = early + 1 end
          end
          async.yield()
          for _, n in ipairs(ran) do
            if n ~= turn then late = late + 1 end
          end
          async.yield() -- the others have looked, too
        end
      end
    end
    async.gather(tasks)
    assert.same({0, 0}, {early, late})
  end))

  it("lets tasks be cancelled that are to run in the same turn, before their first run and later", function()
    for seed = 1, 20 do
      seeded(seed, function()
        local tasks, ran, early = {}, 0, nil
        for i = 1, 50 do
          tasks[i] = async.spawn(function()
            if i > 25 then async.yield() end
            ran = ran + 1
            for k = 1, 50, 2 do
              if k ~= i then tasks[k]:cancel() end
            end
            early = early or i
          end)
        end
        async.wait(tasks)
        assert.is_true(ran >= 25, ran)
        for i = 2, 50, 2 do assert.equal("done", tasks[i]:status()) end
        for i = 1, 50, 2 do assert.equal(i == early and "done" or "cancelled", tasks[i]:status()) end
      end)()
    end
  end)

  it("runs ten thousand tasks that are always ready", seeded(5, function()
    local turns = 0
    async.gather((function()
      local tasks = {}
      for i = 1, 10000 do
        tasks[i] = function()
          for _ = 1, 10 do async.yield() end
          turns = turns + 1
        end
      end
      return tasks
    end)())
    assert.equal(10000, turns)
  end))
end)

describe("explore", function()
  before_each(in_order_of_start)
  after_each(function()
    as_before()
    program.remove_files()
  end)

  local three = [[
    local async, test = require "muster", require "muster.test"
    local function order_of_three()
      local order = {}
      async.gather(function() order[#order + 1] = 1 end, function() order[#order + 1] = 2 end,
        function() order[#order + 1] = 3 end)
      return table.concat(order)
    end
  ]]

  --- Runs a script that has `async`, `test` and `order_of_three`.
  local function run(script) return program.run {"-e", three .. script} end

  it("runs a body a hundred times, in orders that differ", function()
    local runs, orders = 0, {}
    explore(function()
      runs = runs + 1
      orders[order_of(6)] = true
    end)
    assert.equal(100, runs)
    local different = 0
    for _ in pairs(orders) do different = different + 1 end
    assert.is_true(different > 50, different)
    assert.equal(in_order(6), order_of(6))
  end)

  it("runs it as often as it is told, and counts the seeds up from the first", function()
    local orders = {}
    explore(function() table.insert(orders, order_of(20)) end, {runs = 3, seed = 41})
    assert.same({seeded(41, order_of)(20), seeded(42, order_of)(20), seeded(43, order_of)(20)}, orders)
  end)

  it("runs each body in a task of its own, which may await", virtual(function()
    local tasks = {}
    explore(function()
      tasks[async.current()] = true
      async.sleep(1)
      async.await(async.sleep, 1)
    end, {runs = 5})
    local n = 0
    for task in pairs(tasks) do
      n = n + 1
      assert.not_equal(async.current(), task)
      assert.equal("done", task:status())
    end
    assert.equal(5, n)
  end))

  it("takes a body that has a virtual clock", function()
    explore(virtual(function()
      local before = async.now()
      async.sleep(3600)
      assert.equal(3600, async.now() - before)
    end), {runs = 3})
  end)

  it("ends at the first run that fails, with the seed in the message and how to repeat it in a report", function()
    local output, errors, code = run [[
      local runs = 0
      local function body()
        runs = runs + 1
        if order_of_three() == "321" then error("the wrong order", 0) end
      end
      print(pcall(test.explore, body))
      print(runs, order_of_three(), pcall(test.seeded(runs, body)))
    ]]
    local seed = tonumber(output:match "^false\tthe wrong order %(seed (%d+)%)\n")
    assert.equal(("%d\t123\tfalse\tthe wrong order\n"):format(seed), output:match "\n(.*)")
    assert.equal(("muster: explore: run %d of 100 failed, with seed %d: repeat it by --seed %d, "
      .. "or by seeded(%d, fn) of muster.test\n"):format(seed, seed, seed, seed), errors)
    assert.equal(0, code)
    assert.equal("321\n", (program.run {"--seed", seed, "-e", three .. "print(order_of_three())"}))
  end)

  it("leaves an error that is a table as it is", function()
    local output, errors = run [[
      local err = setmetatable({}, {__tostring = function() return "broken" end})
      local ok, raised = pcall(test.explore, function() error(err) end, {seed = 1234, runs = 7})
      print(ok, raised == err)
      print(select(2, pcall(test.explore, error, {seed = 5})))
    ]]
    assert.equal("false\ttrue\nnil\n", output)
    assert.matches("^muster: explore: run 1 of 7 failed, with seed 1234: .*\nmuster: explore: .* seed 5: ", errors)
  end)

  it("names the seed of a run that ends in a deadlock", function()
    local output, errors, code = run [[
      local n = 0
      test.explore(function()
        n = n + 1
        local event, set = async.event(), nil
        async.gather(function() set = true end, function() if set and n > 3 then event:set() end end, function()
          if n > 3 then event:wait() end
        end)
      end, {seed = 20})
    ]]
    assert.equal("", output)
    assert.equal(13, code)
    local seed, again, same = errors:match("\nmuster: the order was that of seed (%d+): "
      .. "repeat it by %-%-seed (%d+), or by seeded%((%d+), fn%) of muster.test\n$")
    assert.is_true(tonumber(seed) >= 23 and seed == again and seed == same)
  end)

  it("says nothing of seeds in the report of a deadlock without one", function()
    local script = [[
      test.seeded(9, async.yield)()
      async.event():wait()
    ]]
    local _, errors, code = run(script)
    assert.equal(13, code)
    assert.is_nil(errors:find "seed")
    _, errors, code = program.run {"--seed", "99", "-e", "require 'muster'.event():wait()"}
    assert.equal(13, code)
    assert.matches("that of seed 99: repeat it by %-%-seed 99", errors)
  end)

  it("waits for the tasks that a run has started, and for theirs", virtual(function()
    local ended, runs = 0, 0
    explore(function()
      runs = runs + 1
      assert.equal((runs - 1) * 2, ended)
      async.spawn(function()
        async.sleep(1)
        async.spawn(function()
          async.sleep(1)
          ended = ended + 1
        end)
        ended = ended + 1
      end)
    end, {runs = 4})
    assert.equal(8, ended)
  end))

  it("fails when one of these fails", function()
    local output, errors = run [[
      print(pcall(test.explore, function()
        async.spawn(function() async.yield() async.yield() error("left behind", 0) end)
      end, {runs = 2}))
    ]]
    assert.equal("false\tleft behind (seed 1)\n", output)
    assert.matches("^muster: explore: run 1 of 2 failed[^\n]*\n$", errors)
  end)

  it("cancels daemons, and what a failed run has left, and waits for their end", function()
    local output = run [[
      local function forever(name)
        local _ <close> = setmetatable({}, {__close = function() async.shield(async.yield) print(name) end})
        async.event():wait()
      end
      local runs = 0
      print(pcall(test.explore, function()
        runs = runs + 1
        async.spawn(forever, "daemon"):daemon()
        if runs == 2 then
          async.spawn(forever, "task")
          async.yield()
          error("failed", 0)
        end
        async.yield()
      end))
      print(#async.tasks())
    ]]
    local lines = {}
    for line in output:gmatch "[^\n]+" do table.insert(lines, line) end
    table.sort(lines)
    assert.same({"1", "daemon", "daemon", "false\tfailed (seed 2)", "task"}, lines)
  end)

  it("ends when its task is cancelled, without a report of a seed", function()
    local output, errors, code = run [[
      local closed = 0
      local task = async.spawn(test.explore, function()
        local _ <close> = setmetatable({}, {__close = function() closed = closed + 1 end})
        async.spawn(async.sleep, 1e6)
        async.sleep(1e6)
      end)
      async.yield() async.yield() async.yield()
      task:cancel()
      task:pawait()
      print(task:status(), closed, #async.tasks(), order_of_three())
    ]]
    assert.same({"cancelled\t1\t1\t123\n", "", 0}, {output, errors, code})
  end)

  it("refuses what it does not know, by name", function()
    assert.matches("explore: expected a function, got nil", failure(explore))
    assert.matches("explore: unknown option 'count'", failure(explore, print, {count = 1}))
    for _, value in ipairs {0, -1, 1.5, math.huge, "1"} do
      assert.matches("explore: option 'runs' must be an integer of at least 1", failure(explore, print, {runs = value}))
      assert.matches("explore: option 'seed' must be an integer of at least 1", failure(explore, print, {seed = value}))
    end
    assert.matches("explore: option 'seed' is too large", failure(explore, print, {seed = math.maxinteger}))
  end)
end)
