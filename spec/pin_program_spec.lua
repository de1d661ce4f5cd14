-- Programs that end, one way or another, while tasks wait inside C functions.
local program = require "spec.support.program"

local PRELUDE = [[
local async = require "muster"
local function closing(...)
  local words = {...}
  return setmetatable({}, {__close = function() print(table.unpack(words)) end})
end
local function pin(fn, ...)
  local results, arguments = nil, table.pack(...)
  string.gsub("x", "x", function() results = table.pack(fn(table.unpack(arguments, 1, arguments.n))) end)
  return table.unpack(results, 1, results.n)
end
local function spawn_pinned(n, fn)
  for i = 1, n do
    async.spawn(function()
      local _ <close> = closing("closed", i)
      pin(fn or async.sleep, 100)
    end)
  end
  async.yield()
end
]]

--- Runs a script on a virtual clock: its output, its errors, its exit code.
local function run(script)
  return program.run {"--virtual-time", program.file(PRELUDE .. script)}
end

local function assert_ends(code, output, script)
  local out, errors, how = run(script)
  assert.same({output, code}, {out, how}, errors)
  return errors
end

describe("a program", function()
  after_each(program.remove_files)

  it("waits for pinned tasks when its main chunk ends", function()
    local errors = assert_ends(0, "main\nend 1\nend 2\n", [[
      for i = 2, 1, -1 do
        async.spawn(function()
          pin(async.sleep, i)
          print("end " .. i)
        end)
      end
      print "main"
    ]])
    assert.equal("", errors)
  end)

  it("cancels pinned daemons at its end", function()
    assert_ends(0, "closed\t1\n", [[
      local task = async.spawn(function()
        local _ <close> = closing("closed", 1)
        pin(async.sleep, 100)
      end)
      task:daemon()
      async.yield()
    ]])
  end)

  it("cancels pinned tasks when its main chunk fails, inside a C function too", function()
    local errors = assert_ends(1, "cleaned\t1\nclosed\t1\n", [[
      spawn_pinned(1, function()
        local _ <close> = setmetatable({}, {__close = function()
          async.shield(pin, async.sleep, 1)
          print("cleaned", 1)
        end})
        async.sleep(100)
      end)
      table.sort({1, 2}, function()
        async.sleep(1)
        error "main fails"
      end)
    ]])
    assert.matches("main fails", errors)
    assert.matches("'table.sort'", errors)
  end)

  it("exits at once from inside a C function", function()
    assert_ends(3, "", [[
      spawn_pinned(3)
      pin(function()
        async.sleep(1)
        os.exit(3)
      end)
    ]])
  end)

  it("exits from inside a C function, and closes all tasks", function()
    assert_ends(4, "main\nclosed\t1\nclosed\t2\nclosed\t3\n", [[
      spawn_pinned(3)
      local _ <close> = closing "main"
      pin(function()
        async.sleep(1)
        os.exit(4, true)
      end)
    ]])
  end)

  it("exits and closes pinned tasks that are nested in coroutines", function()
    assert_ends(5, "inner\nouter\n", [[
      async.spawn(pin, coroutine.wrap(function()
        local _ <close> = closing "outer"
        pin(coroutine.wrap(function()
          local _ <close> = closing "inner"
          async.sleep(100)
        end))
      end))
      async.spawn(load, function() async.sleep(100) end)
      async.yield()
      table.sort({1, 2}, function() os.exit(5, true) end)
    ]])
  end)

  it("exits and closes while hundreds are pinned, some of them ready", function()
    local out, _, code = run [[
      spawn_pinned(300, async.yield)
      spawn_pinned(300)
      os.exit(6, true)
    ]]
    assert.equal(6, code)
    assert.equal(300, select(2, out:gsub("closed\t", "")) // 2)
  end)

  it("exits amid the close of a coroutine that closes what is around it", function()
    assert_ends(8, "close\ttrue\n", [[
      local outer, inner
      async.spawn(function()
        outer = coroutine.create(function()
          inner = coroutine.create(function()
            local _ <close> = setmetatable({}, {__close = function() print("close", coroutine.close(outer)) end})
            local _ <close> = setmetatable({}, {__close = function() async.sleep(10) end})
            async.sleep(100)
          end)
          coroutine.resume(inner)
        end)
        coroutine.resume(outer)
      end)
      async.yield()
      async.spawn(function() coroutine.close(inner) end)
      async.sleep(1)
      os.exit(8, true)
    ]])
  end)

  it("exits from a __close that coroutine.close runs in a pinned task", function()
    assert_ends(7, "", [[
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, {__close = function()
          async.sleep(1)
          os.exit(7, true)
        end})
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    ]])
  end)

  it("reports a deadlock of pinned tasks, and where each waits", function()
    local errors = assert_ends(13, "", [[
      local channel = async.channel()
      async.spawn(function()
        table.sort({1, 2}, function() channel:recv() end)
      end)
      tostring(setmetatable({}, {__tostring = function() channel:recv() end}))
    ]])
    assert.matches("deadlock", errors)
    assert.matches("'table.sort'", errors)
    assert.matches("'tostring'", errors)
    assert.equal(2, select(2, errors:gsub("waits for a value from a channel", "")))
  end)

  it("reports a task that fails inside a C function, with its frames", function()
    local errors = assert_ends(1, "", [[
      async.spawn(function()
        string.gsub("x", "x", function()
          async.sleep(1)
          error "in the callback"
        end)
      end)
    ]])
    assert.matches("in the callback.*'string.gsub'", errors)
  end)

  it("reports an error whose __tostring waits, which it cannot outside of a task", function()
    local errors = assert_ends(1, "", [[
      async.spawn(error, setmetatable({}, {__tostring = function()
        async.sleep(1)
        return "late"
      end}))
    ]])
    assert.matches("unhandled error", errors)
  end)

  it("prints what a __tostring waits for", function()
    assert_ends(0, "slow\tfast\n", [[
      print(setmetatable({}, {__tostring = function()
        async.sleep(1)
        return "slow"
      end}), "fast")
    ]])
  end)

  it("warns of a finalizer that waits, and goes on", function()
    local errors = assert_ends(0, "end\n", [[
      warn "@on"
      setmetatable({}, {__gc = function() async.sleep(1) end})
      collectgarbage()
      pin(function()
        setmetatable({}, {__gc = function() pin(async.yield) end})
        collectgarbage()
      end)
      print "end"
    ]])
    assert.matches("cannot wait for sleep in a finalizer", errors)
    assert.matches("cannot wait for yield in a finalizer", errors)
  end)

  it("fails inside the C stack limit, in a pinned task as elsewhere", function()
    assert_ends(0, "end\n", [[
      local function overflow()
        local function again() return 1 + again() end
        local function sort() table.sort({1, 2, 3}, sort) end
        local function try(fn, ...)
          local ok, err = pcall(fn, ...)
          assert(not ok and tostring(err):find "overflow", err)
        end
        try(again)
        try(sort)
        try(function() assert(load(("("):rep(1000))) end)
        try(function()
          local deep = setmetatable({}, {__index = function(t, k) return t[k] end})
          return deep.x
        end)
      end
      overflow()
      pin(overflow)
      async.gather {
        function() pin(function() async.sleep(1) overflow() end) end,
        function() coroutine.wrap(pin)(function() async.sleep(1) overflow() end) overflow() end,
        overflow,
      }
      local function nest(n, wrap)
        if n == 0 then return async.sleep(1) end
        if n % 2 == 0 and wrap then return coroutine.wrap(nest)(n - 1, wrap) end
        pin(nest, n - 1, wrap)
      end
      async.gather {function() nest(180) end, function() nest(180, true) end, function() pin(async.sleep, 1) end}
      assert(not pcall(nest, 250))
      async.gather {function() nest(180, true) end, function() nest(180) end}
      print "end"
    ]])
  end)

  it("shuffles pinned tasks by its seed, the same way each time", function()
    local path = program.file(PRELUDE .. [[
      async.gather((function()
        local list = {}
        for i = 1, 8 do list[i] = function() pin(async.yield) io.write(i, " ") end end
        return list
      end)())
    ]])
    local first = program.run {"--seed", "5", path}
    assert.equal(first, (program.run {"--seed", "5", path}))
    assert.not_equal(first, (program.run {"--seed", "6", path}))
    assert.equal("1 2 3 4 5 6 7 8 ", (program.run {path}))
  end)

  it("keeps going when the system has no memory for another stack", function()
    local out, errors, code = program.sh(("ulimit -v 400000; %s"):format(program.command {
      "--virtual-time", program.file(PRELUDE .. [[
        local failed, done = 0, 0
        for i = 1, 200 do
          async.spawn(function()
            local ok, err = pcall(pin, async.sleep, 1)
            if ok then done = done + 1 else failed = failed + 1 end
            assert(ok or tostring(err):find "not enough memory", err)
          end)
        end
        async.sleep(2)
        assert(done > 5 and failed > 5 and done + failed == 200)
        pin(async.sleep, 1)
        print "end"
      ]]),
    }))
    if errors:find "Sanitizer" then return end -- which needs more address space than that
    assert.same({"end\n", 0}, {out, code}, errors)
  end)
end)
