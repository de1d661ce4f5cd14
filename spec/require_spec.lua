-- require: as in stock Lua, and modules that await while they load: one task loads, the others wait in turn.
local async = require "muster"
local host = require "muster.host"
local program = require "spec.support.program"
local virtual = require "muster.test".virtual

local spawn = async.spawn

local made = {}

--- Puts a loader for a module of that name into package.preload, until the spec has ended.
local function module(name, loader)
  made[name] = true
  package.preload[name] = loader
end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function settle()
  for _ = 1, 5 do async.yield() end
end

--- Calls fn outside of any task, in a callback: true and its results, or false and its error.
local function outside(fn)
  local luv = require "luv"
  local timer, results = luv.new_timer(), nil
  async.suspend(function(resume)
    timer:start(0, 0, function()
      results = table.pack(pcall(fn))
      timer:close(resume)
    end)
  end)
  return table.unpack(results, 1, results.n)
end

describe("require", function()
  local seed
  before_each(function() seed = host.seed(0) end) -- first in, first out, also under --seed

  after_each(function()
    host.seed(seed)
    for name in pairs(made) do
      package.preload[name], package.loaded[name], made[name] = nil, nil, nil
    end
    program.remove_files()
  end)

  describe("as in stock Lua", function()
    it("returns what the loader returned and what the searcher said, later only the former", function()
      local seen
      module("m", function(...) seen = table.pack(...) return "value" end)
      assert.same({n = 2, "value", ":preload:"}, table.pack(require "m"))
      assert.same({n = 2, "m", ":preload:"}, seen)
      assert.same({n = 1, "value"}, table.pack(require "m"))
    end)

    it("takes true for a loader that returns nothing, and what the loader put into package.loaded", function()
      module("m", function() end)
      assert.same({true, ":preload:"}, {require "m"})
      module("n", function(name) package.loaded[name] = "set" end)
      assert.same({"set", ":preload:"}, {require "n"})
    end)

    it("loads a module that is false again", function()
      local loads = 0
      module("m", function() loads = loads + 1 return false end)
      for _ = 1, 2 do assert.same({false, ":preload:"}, {require "m"}) end
      assert.equal(2, loads)
    end)

    it("names everything that it tried", function()
      local path, cpath = package.path, package.cpath
      package.path, package.cpath = "?.none;?/none", "?.so.none"
      finally(function() package.path, package.cpath = path, cpath end)
      assert.equal("module 'no.m' not found:\n\tno field package.preload['no.m']\n\tno file 'no/m.none'\n"
        .. "\tno file 'no/m/none'\n\tno file 'no/m.so.none'\n\tno file 'no.so.none'", failure(require, "no.m"))
    end)

    it("asks the searchers in order", function()
      local searchers = package.searchers
      finally(function() package.searchers = searchers end)
      package.searchers = {
        function(name) return "\n\tfirst has no " .. name end,
        function() end,
        function(name) return name == "m" and function(...) return {...} end, "data" end,
        function() error "is not asked" end,
      }
      made.m = true
      assert.same({{"m", "data"}, "data"}, {require "m"})
      package.searchers[4] = nil
      assert.equal("module 'n' not found:\n\t\n\tfirst has no n", failure(require, "n"))
      package.searchers = nil
      assert.equal("'package.searchers' must be a table", failure(require, "n"))
    end)

    it("checks its argument", function()
      assert.matches("bad argument #1 to 'require' %(string expected, got no value%)", failure(require))
      assert.matches("bad argument #1 to 'require' %(string expected, got table%)", failure(require, {}))
      module("7", function(name) return name end)
      assert.equal("7", (require(7)))
    end)

    it("passes the error of a loader on, whatever it is, and loads anew the next time", function()
      local err, loads = {}, 0
      module("m", function() loads = loads + 1 return loads > 1 and loads or error(err) end)
      assert.equal(err, failure(require, "m"))
      assert.equal(2, (require "m"))
    end)

    it("lets a module that requires itself see the same module, if it has put it into package.loaded", function()
      module("m", function(name) package.loaded[name] = "early" return {itself = require(name)} end)
      assert.same({itself = "early"}, (require "m"))
    end)

    it("loads again what is required recursively", function()
      local loads = 0
      module("m", function(name)
        loads = loads + 1
        async.yield()
        return loads < 50 and require(name) or loads
      end)
      assert.equal(50, (require "m"))
      assert.equal(50, loads)
    end)

    it("ends a recursion without end by an error", function()
      module("m", function(name) return require(name) end)
      assert.matches("stack overflow", failure(require, "m"))
      module("n", function(name) async.yield() return require(name) end)
      assert.matches("circular require: module 'n' requires itself", failure(require, "n"))
      module("n", function() return "recovered" end)
      assert.equal("recovered", (require "n"))
    end)
  end)

  describe("of a module that awaits", function()
    it("loads a file with a loop of awaits at its top level, in nested requires too", virtual(function()
      local inner = program.file [[
        local async = require "muster"
        local sum = 0
        for i = 1, 10 do sum = sum + async.await(function() async.sleep(1) return i end) end
        return {sum = sum}
      ]]
      local outer = program.file [[
        local async = require "muster"
        async.sleep(1)
        local inner, where = require "inner"
        async.sleep(1)
        return {sum = inner.sum * 2, where = where, args = {...}}
      ]]
      local searchers = package.searchers
      package.searchers = {searchers[1], function(name) return name == "inner" and loadfile(inner), inner end}
      finally(function() package.searchers = searchers end)
      made.inner = true
      module("outer", assert(loadfile(outer)))
      local before = async.now()
      local loaded = require "outer"
      assert.same({sum = 110, where = inner, args = {"outer", ":preload:"}}, loaded)
      assert.equal(12, async.now() - before)
    end))

    it("keeps the traceback of an error in the module", function()
      module("m", function() async.yield() error "broken" end)
      local task = spawn(require, "m")
      task:pawait()
      assert.matches("in function 'error'\n\t[^\n]*require_spec.lua:%d", task:traceback())
    end)

    it("works as stock where nothing can be awaited", function()
      assert.is_false((outside(function() return require "m" end)))
      module("m", function() return "value" end)
      assert.same({true, "value", ":preload:"}, {outside(function() return require "m" end)})
      module("n", function() async.sleep(0) end)
      local _, err = outside(function() return require "n" end)
      assert.matches("must be called from inside a task", err)
    end)

    it("does not make code outside of tasks wait", function()
      local gate, loads = async.event(), 0
      module("m", function()
        loads = loads + 1
        if async.current() then gate:wait() end
        return loads
      end)
      local task = spawn(require, "m")
      settle()
      assert.same({true, 2, ":preload:"}, {outside(function() return require "m" end)})
      gate:set()
      assert.equal(2, (task:await()))
    end)

  end)

  describe("by several tasks at once", function()
    local gate, loads

    --- A module that waits for the gate, then ends as `finish` does.
    local function gated(name, finish)
      gate, loads = async.event(), 0
      module(name, function()
        loads = loads + 1
        local n = loads
        gate:wait()
        return finish and finish(n) or {load = n}
      end)
    end

    --- Tasks that require the module, each noting its number when it has it; all wait, or load.
    local function requirers(n, name, order)
      local tasks = {}
      for i = 1, n do
        tasks[i] = spawn(function()
          local results = table.pack(pcall(require, name))
          table.insert(order, i)
          if not results[1] then error(results[2], 0) end
          return table.unpack(results, 2, results.n)
        end)
      end
      settle()
      return tasks
    end

    it("loads it once, and gives it to all in the order they came", function()
      gated "m"
      local order = {}
      local tasks = requirers(5, "m", order)
      assert.same({}, order)
      gate:set()
      local modules = async.gather(tasks)
      assert.equal(1, loads)
      assert.same({1, 2, 3, 4, 5}, order)
      for i = 1, 5 do assert.equal(modules[1], modules[i]) end
      assert.equal(1, select("#", tasks[2]:await()))
    end)

    it("lets who comes when package.loaded is set have that", function()
      gate = async.event()
      module("m", function(name) package.loaded[name] = "early" gate:wait() return "late" end)
      local task = spawn(require, "m")
      settle()
      assert.equal("early", (require "m"))
      gate:set()
      assert.equal("late", (task:await()))
    end)

    it("lets the next one try when the load fails, each time the first that waits", function()
      gated("m", function(n)
        return n > 2 and n or error("failed " .. n, 0)
      end)
      local order = {}
      local tasks = requirers(5, "m", order)
      assert.equal(1, loads)
      gate:set()
      assert.same({false, "failed 1"}, {tasks[1]:pawait()})
      assert.same({false, "failed 2"}, {tasks[2]:pawait()})
      for i = 3, 5 do assert.equal(3, (tasks[i]:await())) end
      assert.same({{1, 2, 3, 4, 5}, 3}, {order, loads})
    end)

    it("lets the next one load when the task that loads is cancelled", function()
      gated "m"
      local tasks = requirers(3, "m", {})
      tasks[1]:cancel()
      settle()
      assert.equal("cancelled", tasks[1]:status())
      assert.equal(2, loads)
      gate:set()
      assert.equal(2, tasks[3]:await().load)
      assert.equal(2, tasks[2]:await().load)
    end)

    it("lets a task that waits be cancelled, and the load go on", function()
      gated "m"
      local tasks = requirers(3, "m", {})
      tasks[2]:cancel()
      settle()
      assert.equal("cancelled", tasks[2]:status())
      gate:set()
      assert.equal(1, tasks[3]:await().load)
      assert.equal(1, tasks[1]:await().load)
    end)

    it("passes the turn on when the next one is cancelled before it runs", function()
      gated("m", function(n)
        return n > 1 and n or error "failed"
      end)
      local tasks
      local canceller = spawn(function()
        failure(require, "m")
        tasks[2]:cancel() -- who has been woken, and has not run
      end)
      settle()
      tasks = requirers(3, "m", {})
      tasks[2], tasks[1] = tasks[1], tasks[2]
      gate:set()
      canceller:await()
      assert.equal(2, (tasks[1]:await()))
      assert.equal(2, (tasks[3]:await()))
      assert.equal("cancelled", tasks[2]:status())
      assert.equal(2, loads)
    end)

    it("lets a wait time out", virtual(function()
      gated "m"
      local task = spawn(require, "m")
      settle()
      assert.is_false(async.move_on_after(5, require, "m"))
      gate:set()
      assert.equal(task:await(), (require "m"))
    end))

    it("raises in a cancelled task only if it has to wait", function()
      gated "m"
      local loading = spawn(require, "m")
      settle()
      local known, waited
      spawn(function()
        async.current():cancel()
        known, waited = require "muster", pcall(require, "m")
      end):pawait()
      assert.same({async, false}, {known, waited})
      gate:set()
      loading:await()
    end)

    it("can take turns for a module that is false", function()
      local n = 0
      module("m", function() n = n + 1 async.yield() return false end)
      async.gather(requirers(3, "m", {}))
      assert.equal(3, n)
    end)

    local function in_coroutine(name) return coroutine.wrap(require)(name) end

    for how, req in pairs {["of two"] = require, ["through coroutines"] = in_coroutine} do
      it("refuses circles " .. how, function()
        module("x", function() settle() return {y = req "y"} end)
        module("y", function() settle() return {x = select(2, pcall(req, "x"))} end)
        local first, second = spawn(req, "x"), spawn(req, "y")
        first.name = "the first"
        local y = second:await()
        assert.matches("circular require: module 'x' is being loaded by the first, "
          .. "which waits for the module 'y' and so for this task", y.x)
        assert.equal(y, first:await().y)
      end)
    end

    it("refuses circles of many, however their tasks wait", function()
      module("a", function() settle() return {require "b"} end)
      module("b", function() settle() return {async.await(function() return require "c" end)} end)
      module("c", function() settle() return {require "a"} end)
      local tasks, circles = {spawn(require, "a"), spawn(require, "b"), spawn(require, "c")}, 0
      for _, task in ipairs(tasks) do
        local ok, err = task:pawait()
        assert.is_false(ok)
        if err:match "circular require: module '[abc]' is being loaded by task %d+" then circles = circles + 1 end
      end
      assert.is_true(circles > 0)
    end)

    it("refuses a module that awaits a task which requires it", function()
      module("m", function() return async.await(function() return require "m" end) end)
      assert.matches("circular require: module 'm' .* waits for a task and so", failure(require, "m"))
      assert.matches("circular require", failure(async.await, require, "m"))
    end)

    it("waits inside coroutines of the script's, and where Lua cannot yield", function()
      gated "m"
      local loading = spawn(require, "m")
      settle()
      local generator = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(require "m") end)
      local inside = spawn(function() return {generator(), generator()} end)
      local text = spawn(string.gsub, "m", "m", function(name) return tostring(require(name).load) end)
      local list = {2, 3, 1}
      local sorted = spawn(table.sort, list, function(a, b) return require "m" and a < b end)
      settle()
      assert.equal("waiting", inside:status())
      gate:set()
      assert.same({1, {load = 1}}, inside:await())
      assert.equal("1", (text:await()))
      sorted:await()
      assert.same({1, 2, 3}, list)
      assert.equal(1, loading:await().load)
    end)

    it("loads inside a coroutine of the script's, whose resumers see only its yields", function()
      gated "m"
      local generator = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(require "m") end)
      local inside = spawn(function() return {generator(), generator()} end)
      settle()
      local others = requirers(2, "m", {})
      gate:set()
      local m = others[2]:await()
      assert.same({1, m, ":preload:"}, inside:await())
      assert.equal(m, others[1]:await())
    end)

    it("passes the turn on when the coroutine that loads, or waits, is closed", function()
      gated "m"
      local first, second = coroutine.create(require), coroutine.create(require)
      local tasks = {spawn(coroutine.resume, first, "m"), spawn(coroutine.resume, second, "m")}
      settle()
      tasks[3] = spawn(require, "m")
      settle()
      assert.equal(1, loads)
      -- The second is chosen, and closed before it runs.
      assert.same({true, true}, {coroutine.close(first), coroutine.close(second)})
      settle()
      assert.equal(2, loads)
      gate:set()
      assert.equal(2, tasks[3]:await().load)
      assert.is_false((tasks[1]:await()))
      assert.is_false((tasks[2]:await()))
    end)

    it("asks a searcher that awaits once at a time", function()
      local searchers, searches = package.searchers, 0
      finally(function() package.searchers = searchers end)
      package.searchers = {function(name)
        searches = searches + 1
        async.yield()
        return function() return name .. searches end
      end}
      made.m = true
      local tasks = requirers(3, "m", {})
      for i = 1, 3 do assert.equal("m1", (tasks[i]:await())) end
    end)

    it("loads more modules at once than there are C stacks to keep", function()
      local event, tasks = async.event(), {}
      for i = 1, 12000 do
        module("m" .. i, function() event:wait() return i end)
        tasks[i] = spawn(require, "m" .. i)
      end
      settle()
      event:set()
      for i, value in ipairs(async.gather(tasks)) do assert.equal(i, value) end
    end)

    it("forgets a load whose coroutine was collected, or left behind by a task that has ended", function()
      module("m", coroutine.yield)
      local dropper = spawn(function()
        coroutine.wrap(require)("m")
        settle()
        collectgarbage()
        settle()
      end)
      async.yield()
      module("m", function() return "loaded" end)
      assert.equal("loaded", (require "m"))
      assert.not_equal("done", dropper:status())
      module("n", coroutine.yield)
      local kept = coroutine.create(require)
      async.await(coroutine.resume, kept, "n")
      module("n", function() return "loaded" end)
      assert.equal("loaded", (require "n"))
      dropper:await()
    end)

    it("lets nobody come in between when the turn passes", function()
      gated("m", function(n) return n > 1 and n or error "failed" end)
      local order = {}
      local tasks = requirers(2, "m", order)
      gate:set()
      assert.equal(2, (async.await(function() -- it runs in the turn of the failure
        return require "m", table.insert(order, 3)
      end)))
      assert.same({1, 2, 3}, order)
      assert.is_false((tasks[1]:pawait()))
      assert.equal(2, (tasks[2]:await()))
    end)
  end)

  it("says in the report of a deadlock which module a task waits for", function()
    local script = [[
      local async = require "muster"
      package.preload.slow = function() async.event():wait() end
      async.gather(function() require "slow" end, function() require "slow" end)
    ]]
    local _, errors, code = program.run {"-e", script}
    assert.equal(13, code)
    assert.matches("waits for the module 'slow'", errors)
  end)

  it("lets a program end while modules are loading", function()
    local script = [[
      local async = require "muster"
      package.preload.slow = function() async.sleep(1e6) end
      for _ = 1, 3 do async.spawn(require, "slow") end
      async.yield() async.yield()
      os.exit(3, true)
    ]]
    local output, errors, code = program.run {"-e", script}
    assert.same({"", "", 3}, {output, errors, code})
  end)
end)
