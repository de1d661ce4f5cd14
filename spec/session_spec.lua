-- A session, through an io object: reading, locals that persist, values, errors, the end. Locals: spec/locals_spec.lua.
local async = require "muster"
local program = require "spec.support.program"
local screens = require "spec.support.session"

describe("a session at a terminal", function()
  local screen

  before_each(function() screen = screens.open() end)
  after_each(screens.forget)

  local function assert_shows(expected, lines) assert.equal(expected, screen:run(lines)) end

  it("shows values of expressions, and nothing for statements", function()
    assert_shows("2\n", "1 + 1")
    assert_shows('nil\n"x"\n', "nil, 'x'")
    assert_shows("", "x = 1")
    assert_shows("1\n", "x")
    assert_shows("1\n", "=x")
    assert_shows("1\n2\n", "return x, 2")
    assert_shows("5\n", "if x then return 5 end")
    assert_shows("", "\n   \n;\n-- comment\n--[[ long ]]\nreturn\n(function() end)()")
    assert_shows("1\n", "x -- comment")
    assert_shows("{{1}}\n", "{{1}}")
  end)

  it("fits values into the window as it is now", function()
    local size = 40
    screen = screens.open { width = function() return size end, height = function() return 10 end, color = true }
    assert.match("^{\n.*more.*\n}\n$", screen:run "t = {} for i = 1, 200 do t[i] = 'text' end return t")
    size = 400
    assert.equal('\27[32m"' .. ("x"):rep(300) .. '"\27[m\n', screen:run "('x'):rep(300)")
  end)

  it("keeps the last value in _", function()
    assert_shows("7\n7\n8\n8\n", "7\n_\n_ + 1\n_")
    assert_shows("nil\n8\n", "nil\n_")
    assert_shows("8\n", "x = 5\n_")
    assert_shows("1\n2\n1\n", "1, 2\n_")
    assert_shows("false\nfalse\n", "false\n_")
  end)

  it("sets _ also if _G is guarded", function()
    finally(function() setmetatable(_G, nil) end)
    assert_shows("5\n5\n", "setmetatable(_G, {__newindex = error, __index = function(_, k) error(k) end}); return 5\n_")
    assert_shows("6\n", "local x = 6 return x")
  end)

  it("asks for more as long as the parser does", function()
    for code, value in pairs {
      ["1 +\n2"] = "3", ["(\n1\n)"] = "1", ["{\n}"] = "{}", ["function f()\nreturn 1\nend\nf()"] = "1",
      ["[[a\nb]]"] = '"a\\nb"', ["--[[\n]] 5"] = "5",
      ["x = [==[\n]]\n]==]\nx"] = '"]]\\n"',
      ["'a' .. -- no\n'b'"] = '"ab"',
      ["for i = 1, 2 do\nlocal x = i\nend\n3"] = "3",
      ["x =\n\n\n4\nx"] = "4",

      ["if true then\nreturn 1\nelse\nreturn 2\nend"] = "1", ["not\nnil"] = "true", ["= 1 +\n1"] = "2",

      ["'a\\\nb'"] = '"a\\nb"',
    } do
      assert_shows(value .. "\n", code)
    end
    assert.truthy(screen.prompts[1] == "> " and table.concat(screen.prompts):find(">> ", 1, true))
  end)

  it("reports what cannot be code, without a traceback, and goes on", function()
    assert_shows("! stdin:1: unexpected symbol near ')'\n1\n", ")(\n1")
    assert_shows("! stdin:1: unfinished string near ''x'\n", "'x")
    assert_shows("! stdin:1: unexpected symbol near '1'\n1\n", "1 .. 'x\n1")
    assert_shows("! stdin:1: malformed number near '3x'\n", "3x")
    assert_shows("! stdin:2: syntax error near 'end'\n", "do\nx end")
    assert.match("^! stdin:1: no visible label 'a' for [^\n]*\n$", screen:run "goto a")
    assert.match("^! stdin:1: break outside [^\n]*\n$", screen:run "break")
    assert_shows("! stdin:1: unexpected symbol near '<\\1>'\n", "\1")
    assert_shows("! attempt to load a binary chunk (mode is 't')\n", "\27Lua")
    assert_shows("! stdin:1: cannot use '...' outside a vararg function near '...'\n", "function f() return ... end")
  end)

  it("has the message stay as it is if the input ends amid a chunk", function()
    assert_shows("! stdin:1: unexpected symbol near <eof>\n", "f(")
    assert_shows("1\n", "1")
  end)

  it("passes errors on unchanged", function()
    local err = {}
    _G.fail = function() error(err) end
    screen.lines = { "fail()", "error('text', 0)", "error()" }
    local function failure() return select(2, pcall(screen.session.step, screen.session)) end
    assert.equal(err, failure())
    assert.equal("text", failure())
    assert.is_nil(failure())
    assert.equal("", screen:text())
  end)

  it("may be cancelled, and goes on", function()
    screen.lines = { "async.sleep(1e9)", "1" }
    local task = async.spawn(function() screen.session:step() end)
    async.yield()
    task:cancel()
    assert.is_true(async.is_cancelled(select(2, task:pawait())))
    assert_shows("1\n", "1")
  end)

  it("may be cancelled while it reads", function()
    screen = screens.open { read = function() async.sleep(1e9) end }
    local task = async.spawn(function() return screen.session:step() end)
    async.yield()
    task:cancel()
    assert.is_false((task:pawait()))
  end)

  it("awaits at top level", function()
    assert_shows("1\n2\n", "await(async(function(...) sleep(0) return ... end)(1, 2))")
    assert_shows("{1, 2, n = 2}\n", "gather {function() return 1 end, function() yield = async.yield() return 2 end}")
  end)

  it("awaits while it shows a value", function()
    assert_shows("{waited}\n", "{setmetatable({}, {__tostring = function() sleep(0) return 'waited' end})}")
  end)

  it("runs in three calls, without frames of its own", function()
    screen.lines = { "local depth = 1 return debug.traceback 'here'" }
    local session = screen.session
    local chunk = session:next()
    local trace
    local co = coroutine.create(function() trace = chunk() end)
    assert(coroutine.resume(co))
    assert.match("^here\nstack traceback:\n[^\n]*\n\tspec/session_spec.lua:%d+: in function <[^\n]*>$",
      (trace:gsub("\n[^\n]*C]: in function 'debug.traceback'", "")))
    session:finish(trace, nil)
    assert.match('^"here.*"\nnil\n$', screen:text())
  end)

  it("is not led astray by chunks that look like others", function()
    assert_shows('"local x = 1 return x"\n', "'local x = 1 return x'")
    assert_shows("! stdin:1: <eof> expected near 'end'\n", "end local x = 1 do")
    assert_shows("! stdin:1: unexpected symbol near '1'\n", "1) (2")
    assert_shows("", "... ")
    assert_shows("0\n", "select('#', ...)")
    assert_shows("0\n", "local n = select('#', ...) return n")
  end)

  it("takes lines of any length", function()
    assert_shows("100000\n", "#'" .. ("x"):rep(100000) .. "'")
    assert_shows("50000\n", "#{" .. ("1,"):rep(50000) .. "}")
    assert.match("overflow", screen:run(("("):rep(1000) .. "1" .. (")"):rep(1000)))
    assert.match("^! ", screen:run(("do "):rep(1000) .. ("end "):rep(1000)))
  end)

  it("takes any _PROMPT, as tostring makes it, and the usual one if it cannot", function()
    finally(function() _PROMPT, _PROMPT2 = nil, nil end) -- luacheck: ignore
    screen:run "_PROMPT, _PROMPT2 = 'one', setmetatable({}, {__tostring = function() return 'two' end})\n(\n1)"
    assert.same({ "> ", "one", "two" }, screen.prompts)
    screen:run "_PROMPT = setmetatable({}, {__tostring = error})\n1"
    assert.equal("> ", screen.prompts[#screen.prompts])
    screen:run "_PROMPT = 5\n1"
    assert.equal("5", screen.prompts[#screen.prompts])
  end)

  it("remembers the lines that say something", function()
    local remembered = {}
    screen.io.remember = function(line) table.insert(remembered, line) end
    screen:run "1\n\n  \n(\n2)\n)\n.help\n.nope"
    assert.same({ "1", "(", "2)", ")", ".help", ".nope" }, remembered)
  end)

  it("knows the names of the library, unless they are taken", function()
    assert.equal(async, _G.async)
    assert.equal(async.as_completed, _G.as_completed)
    screens.forget()
    _G.gather = "mine"
    screens.open()
    assert.equal("mine", _G.gather)
  end)

  it("goes on if the script has done away with every global", function()
    local globals, before, next_of = _G, {}, next
    for name, value in pairs(globals) do before[name] = value end
    finally(function()
      for name, value in next_of, before do globals[name] = value end
    end)
    local function erase_and_run(...)
      for name in next_of, before do globals[name] = nil end
      local ok, text = before.pcall(screen.run, screen, ...)
      local first, list = screen.session:complete(".doc some_l", 11)
      for name, value in next_of, before do globals[name] = value end
      assert.is_true(ok, text)
      assert.same({ 6, { "some_local" } }, { first, list })
      return text
    end
    local text = erase_and_run "1, {a = {}}\n_\nlocal some_local = 2\nsome_local\n)\n.tasks\n.time 1\n.doc _"
    assert.match("^1\n{a = {}}\n1\n2\n! stdin:1: [^\n]*\n.*CPU\nnothing is known of '_'\n$", text)
  end)
end)

describe("the end of input at a terminal", function()
  after_each(screens.forget)

  local function assert_steps(screen, ...)
    for i = 1, select("#", ...) do
      assert.equal((select(i, ...)), screen.session:step())
    end
  end

  it("ends the session", function()
    local screen = screens.open()
    assert_steps(screen, false, false)
    assert.equal("", screen:text())
  end)

  it("asks once if tasks are alive", function()
    local screen = screens.open()
    local tasks = { async.spawn(async.sleep, 1e9) }
    assert_steps(screen, true)
    assert.match("1 task is still running; Ctrl%-D again ends it\n$", screen:text())
    tasks[2] = async.spawn(async.sleep, 1e9)
    screen.lines = { "1" }
    assert_steps(screen, true, true)
    assert.match("2 tasks are still running; Ctrl%-D again ends them\n$", screen:text())
    assert_steps(screen, false)
    for _, task in ipairs(tasks) do task:cancel() end
  end)

  it("does not wait for daemons, nor for those that have ended", function()
    local screen = screens.open()
    local daemon = async.spawn(async.sleep, 1e9):daemon()
    local ended = async.spawn(function() end)
    async.await(ended)
    assert_steps(screen, false)
    daemon:cancel()
  end)

  it("counts the tasks besides that of the step, whichever it is", function()
    local screen = screens.open()
    assert.is_false(async.await(function() return screen.session:step() end) and nil or false)
  end)
end)

describe("a session without a terminal", function()
  local printed, print_before

  before_each(function()
    printed, print_before = {}, print
    _G.print = function(...) table.insert(printed, table.pack(...)) end
  end)
  after_each(function()
    _G.print = print_before
    screens.forget()
  end)

  it("prints values, and has no commands, no _ and no locals that persist", function()
    local screen = screens.open { terminal = false }
    assert.match("^! [^\n]*near '%.'\n$", screen:run "local x = 1\n_, x, {}\nreturn nil\n=2\n.help")
    assert.equal(3, #printed)
    assert.is_nil(printed[1][1])
    assert.equal(3, printed[1].n)
    assert.same({ { n = 1 }, { 2, n = 1 } }, { printed[2], printed[3] })
  end)

  it("takes an expression for complete where lua does", function()
    local screen = screens.open { terminal = false }
    assert.match("^! stdin:1: [^\n]*\n$", screen:run "1 +\n2")
    assert.same({ { 2, n = 1 } }, printed)
  end)

  it("passes on that it was cancelled while it printed", function()
    _G.print = function() async.sleep(1e9) end
    local screen = screens.open { terminal = false }
    screen.lines = { "1" }
    local task = async.spawn(function() screen.session:step() end)
    async.yield()
    task:cancel()
    assert.is_true(async.is_cancelled(select(2, task:pawait())))
  end)

  it("ends with its input", function()
    local screen = screens.open { terminal = false }
    local task = async.spawn(async.sleep, 1e9)
    assert.is_false(screen.session:step())
    assert.equal("", screen:text())
    task:cancel()
  end)
end)

describe("plain io", function()
  after_each(program.remove_files)

  local driver = [[
    local repl = require "muster.repl"
    local session = repl.session(repl.plain())
    repeat local ok, go_on = pcall(session.step, session) until ok and not go_on]]

  it("shows prompts, its input and the values", function()
    local output, errors, code = program.run { "-e", driver, stdin = "1 + 1\nnil, 'x'\nx =\n7\nx" }
    assert.same({ "> 1 + 1\n2\n> nil, 'x'\nnil\tx\n> x =\n>> 7\n> x\n7\n> ", "", 0 }, { output, errors, code })
  end)

  it("says when print fails", function()
    local function errors(value)
      return (select(2, program.run { "-e", driver, stdin = "print = " .. value .. "\n1" }))
    end
    assert.equal("error calling 'print' (attempt to call a nil value)\n", errors "nil")
    assert.equal("error calling 'print' (x)\n", errors "function() error('x\\ny', 0) end")
    assert.equal("error calling 'print' ((error object is a table value))\n", errors "function() error {} end")
  end)

  it("leaves lines to chunks that read, and ends when there is no stdin", function()
    local output = program.run { "-e", driver, stdin = "x = io.read()\na line\nx\nio.stdin = nil\n1" }
    assert.equal("> x = io.read()\n> x\na line\n> io.stdin = nil\n> ", output)
  end)
end)
