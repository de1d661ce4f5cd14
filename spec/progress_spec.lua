local async = require "muster"
local host = require "muster.host"
local progress = require "muster.progress"
local screens = require "spec.support.screen"
local virtual = require("muster.test").virtual

local function contents(file)
  file:seek "set"
  return file:read "a"
end

--- Progress into a file: the options, and the file.
local function into_file(opts)
  opts.output = assert(io.tmpfile())
  return opts, opts.output
end

local function shown_by(opts, work)
  local with, file = into_file(opts)
  local bar <close> = progress.start(with)
  work(bar)
  bar:finish()
  return contents(file)
end

describe("progress", function()
  it("ends in a line with what was done, and how fast", virtual(function()
    local text = shown_by({total = 1200, label = "people"}, function(bar)
      bar:done(1000)
      bar:fail()
      async.sleep(10)
      bar:fail(199)
    end)
    assert.equal("people: 1,200 of 1,200, 200 failed, in 10 s, 120/s\n", text)
  end))

  it("needs no total", virtual(function()
    assert.equal("0, in 0.0 s\n", shown_by({}, function() end))
    assert.equal("3, in 2.0 s, 1.50/s\n", shown_by({}, function(bar)
      bar:done(3)
      async.sleep(2)
    end))
  end))

  it("is told of a total later", virtual(function()
    assert.equal("1 of 7, in 1.0 s, 1.00/s\n", shown_by({}, function(bar)
      bar:done()
      bar:set_total(7)
      async.sleep(1)
    end))
  end))

  it("prints a line every few seconds where there is no terminal", function()
    local with, file = into_file {total = 10, every = 0.001}
    local bar <close> = progress.start(with)
    bar:done(4)
    local text
    repeat
      async.sleep(0.001)
      text = contents(file)
    until text:find "4 of 10"
    assert.matches("^[04] of 10, ", text)
  end)

  it("is silent when told so, and counts all the same", function()
    local text = shown_by({quiet = true}, function(bar)
      bar:done()
      assert.equal(5, bar:run(function() return 5 end))
      assert.equal(2, bar.meter.done)
    end)
    assert.equal("", text)
  end)

  it("finishes once", function()
    local with, file = into_file {}
    do
      local bar <close> = progress.start(with)
      bar:finish()
      bar:finish()
    end
    assert.equal(1, select(2, contents(file):gsub("\n", "")))
  end)

  it("that is dropped finishes when it is collected, and leaves no timer", function()
    local with, file = into_file {every = 1000}
    progress.start(with)
    with = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.matches("^0, in", contents(file))
  end)

  it("keeps no program alive, and hides no deadlock", function()
    local program = require "spec.support.program"
    local code = [[
      local async = require "muster"
      local bar <close> = require("muster.progress").start {label = "x"}
      async.event():wait()]]
    local _, errors, status = program.run {"-e", code}
    assert.equal(13, status)
    assert.matches("deadlock", errors)
    assert.equal(0, select(3, program.run {"-e", "x = require('muster.progress').start {label = 'x'}"}))
  end)

  it("shows what a limiter and a client say", virtual(function()
    local limiter = {stats = function() return {waiting = 1480, in_flight = 20} end}
    local client = {usage = function() return {total = 1234567, cost = 1.5} end}
    local bar <close> = progress.start {quiet = true, limiter = limiter, client = client}
    assert.same({"0", "0.00/s", "20 in flight", "1,480 wait for the limit", "1.23 M tokens", "$1.50"},
      bar.meter:parts())
    assert.same({"0", "in 0.0 s", "1.23 M tokens", "$1.50"}, bar.meter:parts(true))
  end))

  it("goes on without being shown if a limiter's stats raise", function()
    local with, file = into_file {every = 0.001, limiter = {stats = function() error "no" end}}
    local bar <close> = progress.start(with)
    while bar.shown.timer:is_active() do async.sleep(0.001) end
    bar:done()
    bar:finish()
    assert.matches("^1, in ", contents(file))
  end)
end)

describe("progress:run and wrap", function()
  local bar
  before_each(function() bar = progress.start {quiet = true} end)

  local function counts() return {bar.meter.done, bar.meter.failed, bar.meter.in_flight} end

  it("pass on results, nil among them", function()
    assert.same({n = 3, nil, nil, 3}, table.pack(bar:run(function(...) return nil, nil, ... end, 3)))
    assert.same({1, 0, 0}, counts())
  end)

  it("count nil and an error as failed", function()
    assert.same({n = 2, nil, "why"}, table.pack(bar:wrap(function() return nil, "why" end)()))
    assert.same({0, 1, 0}, counts())
  end)

  it("count an error as failed, and pass it on unchanged", function()
    local mistake = {}
    local ok, err = pcall(bar.run, bar, function() error(mistake) end)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.same({0, 1, 0}, counts())
  end)

  it("count what is in flight; what was cancelled is neither done nor failed", function()
    local task = async.spawn(bar:wrap(function() async.event():wait() end))
    async.yield()
    assert.same({0, 0, 1}, counts())
    task:cancel()
    task:pawait()
    assert.same({0, 0, 0}, counts())
  end)

  it("work in map", function()
    local results = async.map({1, 2, 3, 4}, bar:wrap(function(x)
      async.yield()
      return x > 1 and x * 2 or false
    end), {limit = 2})
    assert.same({false, 4, 6, 8, n = 4}, results)
    assert.same({4, 0, 0}, counts())
  end)
end)

describe("progress.each", function()
  local function passed(...)
    local seen = {}
    for a, b in progress.each(...) do seen[#seen + 1] = {a, b} end
    return seen
  end

  it("goes over a list, over none and over one", function()
    for _, list in ipairs {{}, {"a"}, {"a", "b", "c"}} do
      local with, file = into_file {}
      local expected = {}
      for i, v in ipairs(list) do expected[i] = {i, v} end
      assert.same(expected, passed(list, with))
      assert.matches(("^%d of %d, in"):format(#list, #list), contents(file))
    end
  end)

  it("goes over an iterator, with its state, control and closing value", function()
    local closed
    local closing = setmetatable({}, {__close = function() closed = true end})
    local function step(limit, i)
      if i < limit then return i + 1, "v" end
    end
    local with, file = into_file {}
    assert.same({{1, "v"}, {2, "v"}, {3, "v"}}, passed(step, with, 3, 0, closing))
    assert.is_true(closed)
    assert.matches("^3, in", contents(file))
  end)

  it("left early has counted what was gone through", function()
    local with, file = into_file {}
    for i in progress.each({1, 2, 3, 4}, with) do
      if i == 3 then break end
    end
    assert.matches("^2 of 4, in", contents(file))
  end)

  it("left by an error closes, too", function()
    local with, file = into_file {}
    pcall(function()
      for _ in progress.each({1, 2}, with) do error "out" end
    end)
    assert.matches("^0 of 2, in", contents(file))
  end)
end)

describe("progress, misused,", function()
  it("says what was expected", function()
    assert.error_matches(function() progress.start {totl = 1} end, "progress.start: unknown option 'totl'")
    assert.error_matches(function() progress.start {total = -1} end, "option 'total' must be an integer of at least 0")
    assert.error_matches(function() progress.start {every = 0} end, "'every' must be a number of seconds above 0")
    assert.error_matches(function() progress.start {limiter = 1} end, "option 'limiter' must be a limiter")
    assert.error_matches(function() progress.each(5) end, "progress.each: expected a list or an iterator, got number")
    local bar = progress.start {quiet = true}
    assert.error_matches(function() bar:done(-1) end, "progress:done: expected how many")
    assert.error_matches(function() bar:fail "x" end, "progress:fail: expected how many")
    assert.error_matches(function() bar:run(5) end, "progress:run: expected a function, got number")
    assert.error_matches(function() bar:wrap() end, "progress:wrap: expected a function, got nil")
    assert.error_matches(function() bar:set_total(1.5) end, "progress:set_total: expected an integer")
    assert.equal(0, host.stats().timers)
  end)
end)

describe("the rate", function()
  local meter = require "muster.progress.meter"

  it("follows what happens lately, and is smooth", function()
    local now = 0
    local m = meter.new({total = 100000}, function() return now end)
    for _ = 1, 600 do
      now = now + 0.1
      m:add("done", 10)
      m:rate()
    end
    assert.is_true(math.abs(m:rate() - 100) < 1)
    for _ = 1, 600 do
      now = now + 0.1
      m:add("done", 1)
      m:rate()
    end
    assert.is_true(math.abs(m:rate() - 10) < 1)
  end)

  it("of the first look is what was done", function()
    local now = 0
    local m = meter.new({}, function() return now end)
    now = 0.1
    m:add("done", 5)
    assert.is_true(math.abs(m:rate() - 50) < 1e-6)
  end)
end)

describe("a bar", function()
  local bar = require "muster.progress.bar"
  local meter = require "muster.progress.meter"

  it("has the width it is given, and leaves out what matters least", function()
    local now = 0
    local m = meter.new({total = 1000, label = "names"}, function() return now end)
    m:add("done", 450)
    m:add("failed", 50)
    m.in_flight, now = 7, 5
    for width = 1, 150 do
      assert.is_true(utf8.len(bar.draw(m, width)) < math.max(width, 2), width)
    end
    assert.equal("names: ▕███████████████               ▏ 50% 500 of 1,000 · 50 failed · 100/s · 5.0 s left"
      .. " · 7 in flight", bar.draw(m, 120))
    assert.equal("names: ▕██████▌   ", bar.draw(m, 60):sub(1, #"names: ▕██████▌   "))
    assert.equal("names: 500 of 1,000", bar.draw(m, 30))
    assert.equal("names: 5…", bar.draw(m, 10))
  end)

  it("has eighths of a column", function()
    assert.equal("    ", bar.blocks(0, 4))
    assert.equal("▏   ", bar.blocks(1 / 32, 4))
    assert.equal("█▌  ", bar.blocks(3 / 8, 4))
    assert.equal("████", bar.blocks(1, 4))
  end)

  it("of invalid UTF-8 does not raise", function()
    local m = meter.new({label = "\xff\xfe", total = 3}, function() return 0 end)
    for width = 1, 40 do bar.draw(m, width) end
  end)
end)

describe("on a terminal", function()
  after_each(screens.close_all)

  local code = [[
    local async = require "muster"
    local progress = require "muster.progress"
    local stdin = require("muster.stdio").stdin
    local bar = progress.start {total = 4, label = "items"}
    for i = 1, 3 do
      bar:done()
      io.write("half a line, ") io.flush()
      assert(stdin:read_until "\n")
      print("item " .. i)
    end
    bar:finish()]]

  local function session(height, other, width)
    local directory = screens.directory()
    local path = directory .. "/script.lua"
    local file <close> = assert(io.open(path, "w"))
    file:write(other or code)
    return screens.open {path, width = width or 60, height = height or 10}
  end

  it("it stays in the last row while lines, and half lines, are printed above it", function()
    local screen = session()
    screen:matches "half a line,\n.*items: ▕█.*25%% 1 of 4"
    screen:keys "Enter"
    screen:matches "half a line,\n?.*item 1\nhalf a line,.*\nitems: ▕█.*50%% 2 of 4"
    screen:keys "Enter"
    screen:matches "items: ▕.*75%% 3 of 4"
    screen:keys "Enter"
    screen:matches "item 3\nitems: 3 of 4, in .*\nstatus 0$"
    assert.is_nil(screen:text():find("▕", 1, true))
  end)

  local limited = [[
    local async = require "muster"
    local limit, progress = require "muster.limit", require "muster.progress"
    local stdin = require("muster.stdio").stdin
    local limiter = limit.limiter {concurrency = 2}
    local client = {usage = function() return {total = 1234, cost = 0.5} end}
    local bar <close> = progress.start {total = 5, limiter = limiter, client = client}
    local go = async.event()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = async.spawn(bar:wrap(function()
        limiter:with(nil, function() go:wait() end)
        print("done with " .. i)
        if i == 5 then return nil, "no" end
        return i
      end))
    end
    assert(stdin:read_until "\n")
    go:set()
    async.wait(tasks)]]

  it("it tells of a limiter and a client, and is not torn by what is printed meanwhile", function()
    local screen = session(12, limited, 100)
    screen:matches "0%% 0 of 5 · .*2 in flight · 3 wait for the limit · 1,234 tokens · %$0.50"
    screen:keys "Enter"
    screen:matches "done with 5\n5 of 5, 1 failed, in .*1,234 tokens, %$0.50\nstatus 0$"
    for i = 1, 5 do assert.truthy(screen:text():find("\ndone with " .. i .. "\n", 1, true)) end
    assert.is_nil(screen:text():find("▕", 1, true))
  end)

  it("it follows the terminal's size", function()
    local screen = session(20)
    screen:matches "items: ▕"
    screen:resize(50, 12)
    screen:matches "items: ▕[^\n]*$"
    screen:keys("Enter", "Enter", "Enter")
    screen:matches "status 0$"
  end)

  it("a program that is interrupted leaves the terminal whole", function()
    local screen = session()
    screen:matches "items: ▕"
    screen:keys "C-c"
    screen:matches "status 130$"
    assert.is_nil(screen:text():find("▕", 1, true))
  end)
end)
