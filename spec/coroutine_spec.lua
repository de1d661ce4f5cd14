-- The script's own coroutines inside tasks: one that awaits suspends its task, and to all others it has not yielded.
-- What generators do with their values is in generator_spec.lua.
local async = require "muster"
local coroutines = require "spec.support.coroutines"
local host = require "muster.host"
local program = require "spec.support.program"
local virtual = require("muster.test").virtual

local closing, turns, start, awaiting, raises = coroutines.closing, coroutines.turns, coroutines.start,
  coroutines.awaiting, coroutines.raises
local create, resume, status, wrap, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.wrap,
  coroutine.yield

local DEAD = {false, "cannot resume dead coroutine", n = 2}
local AWAITS = {false, "cannot resume a coroutine that awaits", n = 2}

describe("A coroutine that awaits", function()
  it("is normal to all others: who resumes it is refused", virtual(function()
    local inner
    local c = awaiting(function()
      inner = create(function() async.sleep(1) return "inner" end)
      return resume(inner)
    end)
    for _, co in ipairs {c.co, inner} do
      assert.equal("normal", status(co))
      assert.same(AWAITS, table.pack(resume(co)))
      assert.same(AWAITS, table.pack(resume(co, 1, nil)))
      assert.is_true(coroutine.isyieldable(co))
    end
    assert.is_true(coroutine.close(create(print)), "others are as ever")
    c.task:await()
    assert.same({true, true, "inner", n = 3}, c.got)
    assert.equal("dead", status(c.co))
    assert.equal("dead", status(inner))
  end))

  it("if it is wrapped, raises where it was called, whatever the arguments", virtual(function()
    local step = wrap(function() async.sleep(1) return "value" end)
    local task = start(step)
    for n = 0, 3 do
      raises("^spec/coroutine_spec.lua:%d+: cannot resume a coroutine that awaits$", function()
        step(table.unpack({1, "x", false}, 1, n))
      end)
    end
    assert.equal("value", task:await())
  end))

  it("is running to itself, and can be yielded from", virtual(function()
    local seen
    local c = awaiting(function()
      local co, main = coroutine.running()
      async.sleep(1)
      seen = {same = co == coroutine.running(), main = main, status = status(co),
              yieldable = coroutine.isyieldable()}
      yield "once"
      async.sleep(1)
    end)
    c.task:await()
    assert.same({same = true, main = false, status = "running", yieldable = true}, seen)
    assert.same({true, "once", n = 2}, c.got)
    assert.equal("suspended", status(c.co), "a yield of its own")
    assert.same({true, n = 1}, table.pack(resume(c.co)))
    assert.equal("dead", status(c.co))
  end))

  it("that is cancelled is told inside, where its variables are closed and no wait helps", virtual(function()
    local order = {}
    local task = start(wrap(function()
      local _ <close> = closing(function(_, err)
        order[#order + 1] = err
        order[#order + 1] = select(2, pcall(async.yield))
        order[#order + 1] = async.shield(function() async.sleep(1) return "shielded" end)
      end)
      wrap(function() async.sleep(100) end)()
    end))
    task:cancel()
    local _, err = task:pawait()
    assert.equal("cancelled", task:status())
    assert.is_true(async.is_cancelled(err))
    assert.equal(err, order[1])
    assert.equal(err, order[2])
    assert.equal("shielded", order[3])
  end))

  it("blocks its task alone", virtual(function()
    local order = {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = function()
        wrap(function() async.sleep(4 - i) order[#order + 1] = i end)()
      end
    end
    async.gather(tasks)
    assert.same({3, 2, 1}, order)
  end))

  it("has a traceback", virtual(function()
    local c = awaiting(function()
      local function reader() async.sleep(1) end
      reader()
    end)
    assert.matches("in local 'reader'.*coroutine_spec.lua:%d+: in function", debug.traceback(c.co))
    assert.matches("in local 'reader'.*coroutine_spec.lua:%d+: in function.*coroutine_spec.lua", c.task:traceback())
    c.task:await()
  end))

  it("cannot wait outside a task", function()
    local uv = require "luv"
    local made = create(function(...)
      local got = table.pack(pcall(async.sleep, 0))
      yield(got[1], tostring(got[2]), ...)
      return "end"
    end)
    local got = async.suspend(function(done)
      local timer = uv.new_timer()
      timer:start(0, 0, function()
        timer:close()
        done {table.pack(resume(made, 1, nil)), table.pack(resume(made)), table.pack(resume(made))}
      end)
    end)
    assert.is_false(got[1][2])
    assert.matches("sleep: must be called from inside a task", got[1][3])
    assert.same({1, nil, n = 5}, {got[1][4], got[1][5], n = got[1].n})
    assert.same({true, "end", n = 2}, got[2])
    assert.same(DEAD, got[3])
  end)
end)

describe("Errors in a coroutine that has awaited", function()
  it("are what resume returns, as they are", virtual(function()
    local err = {}
    for _, value in ipairs {err, "text", 12, false} do
      assert.same({false, value, n = 2}, table.pack(resume(create(function() async.sleep(1) error(value, 0) end))))
    end
    assert.same({false, nil, n = 2}, table.pack(resume(create(function() async.sleep(1) error() end))))
  end))

  it("are raised by wrap, each level with its position, as without the await", virtual(function()
    local function nested(wait)
      return function()
        wrap(function()
          wait()
          wrap(function() wait() error "deep" end)()
        end)()
      end
    end
    local _, expected = pcall(nested(function() end))
    local _, found = pcall(nested(function() async.sleep(1) end))
    assert.equal(expected, found)
    local err = {}
    local _, same = pcall(wrap(function() async.sleep(1) error(err) end))
    assert.equal(err, same)
  end))

  it("close its variables when wrap raises, and not before when resume returns", virtual(function()
    local closed = {}
    local function fails(name)
      return function()
        local _ <close> = closing(function(_, err) async.sleep(1) closed[#closed + 1] = name .. err end)
        async.sleep(1)
        error("!", 0)
      end
    end
    raises("!", wrap(fails "wrap"))
    assert.same({"wrap!"}, closed)
    local co = create(fails "resume")
    resume(co)
    assert.same({"wrap!"}, closed)
    assert.same({false, "!", n = 2}, table.pack(coroutine.close(co)))
    assert.same({"wrap!", "resume!"}, closed)
  end))

  it("of a cancellation are seen by a pcall inside, and raised again by the next wait", virtual(function()
    local seen = {}
    local c = awaiting(function()
      for i = 1, 3 do seen[i] = select(2, pcall(async.sleep, 100)) end
      yield "still yields"
      async.sleep(1)
    end)
    c.task:cancel "reason"
    c.task:pawait()
    assert.same({true, "still yields", n = 2}, c.got)
    for i = 1, 3 do assert.equal("reason", seen[i].reason) end
    assert.same({true, n = 1}, table.pack(resume(c.co)), "in a task that is not cancelled it goes on")
  end))
end)

describe("Scopes and coroutines", function()
  it("a timeout around a consumer ends the await inside", virtual(function()
    local closed
    local step = wrap(function()
      local _ <close> = closing(function(_, err) closed = err end)
      yield(1)
      async.sleep(100)
    end)
    assert.equal(1, step())
    local err = raises("timeout after 1", async.timeout, 1, step)
    assert.equal("timeout", err.kind)
    assert.equal("timeout", closed.kind)
    async.sleep(1)
  end))

  it("a timeout inside ends its own await only, between yields", virtual(function()
    local step = wrap(function()
      yield((async.move_on_after(1, function() async.sleep(100) end)))
      yield(async.timeout(2, function() async.sleep(1) return "in time" end))
    end)
    assert.is_false(step())
    assert.equal("in time", step())
    assert.equal(0, host.stats().timers)
  end))

  it("a coroutine does not yield out of one that it has begun", virtual(function()
    local bodies = {
      function() async.timeout(1, yield) end,
      function() async.move_on_after(1, yield) end,
      function() async.shield(yield) end,
      function() local _ <close> = async.group() yield() end,
      function() async.timeout(1, function() async.sleep(0.5) pcall(error) yield() end) end,
    }
    for _, body in ipairs(bodies) do
      raises("yield: a coroutine does not yield out of a timeout, shield or group that it has begun", wrap(body))
      assert.equal(0, host.stats().timers)
      async.sleep(2) -- nothing is in force
    end
  end))

  it("but one inside it may, and one with the scope around it", virtual(function()
    local got = {}
    wrap(function()
      async.timeout(10, function()
        local g <close> = async.group()
        g:spawn(async.sleep, 1)
        for v in wrap(function() for i = 1, 3 do async.sleep(1) yield(i) end end) do got[#got + 1] = v end
      end)
    end)()
    assert.same({1, 2, 3}, got)
  end))

  it("one that fails with a group open has its tasks cancelled", virtual(function()
    local child
    local function fails()
      local g <close> = async.group()
      child = g:spawn(async.sleep, 100)
      async.sleep(1)
      error "boom"
    end
    raises("boom", wrap(fails))
    assert.equal("cancelled", child:status(), "waited for")
    async.sleep(1)
  end))

  it("one that is closed with groups open waits for their tasks, and tells their errors", virtual(function()
    local order = {}
    local function slow(name)
      local _ <close> = closing(function() async.shield(async.sleep, 1) order[#order + 1] = name end)
      async.sleep(100)
    end
    local c = awaiting(function()
      local g <close> = async.group()
      g:spawn(slow, "outer")
      async.timeout(50, function()
        local h <close> = async.group()
        h:spawn(slow, "inner")
        async.shield(async.sleep, 100)
      end)
    end)
    assert.is_true(coroutine.close(c.co))
    table.sort(order)
    assert.same({"inner", "outer"}, order)
    c.task:await()
    assert.same(DEAD, c.got)

    c = awaiting(function()
      local g <close> = async.group()
      g:spawn(function() local _ <close> = closing(function() error("bad", 0) end) async.sleep(100) end)
      async.sleep(100)
    end)
    turns(1)
    local ok, err = coroutine.close(c.co)
    assert.is_false(ok)
    assert.equal("group", err.kind)
    assert.same({"bad"}, err.errors)
    c.task:await()
  end))
end)

describe("A program", function()
  teardown(program.remove_files)

  local function run(code)
    local output, errors, exit = program.run {program.file(code)}
    assert.equal("", errors)
    assert.equal(0, exit)
    return output
  end

  it("whose coroutines nest too deep is told so", function()
    local output = run [[
      local async = require "muster"
      local deepest, err = 0, nil
      local function nest(n)
        deepest = n
        async.yield()
        local ok, problem = coroutine.resume(coroutine.create(nest), n + 1)
        if not ok then err = err or problem end
        async.yield()
      end
      nest(1)
      print(deepest > 150, err)
    ]]
    assert.matches("^true%s+.*C stack overflow\n$", output)
  end)
end)
