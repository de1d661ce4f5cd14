-- The interactive mode on a terminal: what is typed, and what the screen shows.
local program = require "spec.support.program"
local screen = require "spec.support.screen"

after_each(function()
  screen.close_all()
  program.remove_files()
end)

describe("a session on a terminal", function()
  it("greets, and shows the values of expressions", function()
    local s = screen.session()
    assert.match("^Lua 5%.4", s:text())
    s:enter "1 + 1"
    s:shows("> 1 + 1", "2", ">")
    s:enter "nil, 'x'"
    s:shows("nil", '"x"', ">")
  end)

  it("awaits at top level", function()
    local s = screen.session()
    s:enter "await(async(function(...) sleep(0) return ... end)(1, 2))"
    s:shows("1", "2", ">")
  end)

  it("keeps locals, and the last value", function()
    local s = screen.session()
    s:enter "local x = 41":shows("> local x = 41", ">"):enter "x + 1":shows("> x + 1", "42", ">")
    s:enter "_ * 2":shows("> _ * 2", "84", ">")
  end)

  it("asks for more of a chunk that is not complete", function()
    local s = screen.session()
    s:enter "for i = 1, 2 do":enter "print(i)":enter "end"
    s:shows("> for i = 1, 2 do", ">> print(i)", ">> end", "1", "2", ">")
  end)

  it("reports errors, and goes on", function()
    local s = screen.session()
    s:enter "error 'broken'"
    s:matches "\nstdin:1: broken\nstack traceback:\n.*\n>$"
    s:enter ")("
    s:shows("> )(", "stdin:1: unexpected symbol near ')'", ">")
    s:enter "1"
    s:shows("> 1", "1", ">")
  end)

  it("takes any character, and edits by characters", function()
    local s = screen.session()
    s:type "x = '日本語é'":keys("Left", "Left", "Left", "BSpace", "End", "Enter"):enter "x, #x"
    s:shows("> x = '日語é'", "> x, #x", '"日語é"', "8", ">")
  end)

  it("takes any _PROMPT, with colours and lines", function()
    local s = screen.session()
    s:enter [[_PROMPT = "two\n\27[32mlines\27[0m> \27[0m"]]
    s:shows("two", "lines>")
    s:enter "1"
    s:shows("two", "lines> 1", "1", "two", "lines>")
    assert.match("\27%[32mlines\27%[39m> 1", s:colors())
  end)

  it("begins its prompt on a line of its own", function()
    local s = screen.session()
    s:enter "io.write 'abc'; x = 1"
    s:shows("abc", ">")
    s:enter "x = os.execute 'printf def'"
    s:shows("def", ">")
  end)

  it("comes after the script of -i, and sees its globals", function()
    local s = screen.session {"-i", program.file "print 'script' a = 1"}
    s:enter "a"
    s:matches "script\nmuster [%d.]+: await works here; .help says what else\n> a\n1\n>$"
  end)

  it("is not for a program whose input or output is no terminal", function()
    local s = screen.open {shell = [["$MUSTER" </dev/null; echo "status $?"; "$MUSTER" | cat; exec sleep 1000]]}
    s:matches "status 0\n.*PUC%-Rio\n>$"
    s:enter "{1}"
    s:matches "> {1}\ntable: 0x%x+\n>$"
  end)

  it("uses colours, unless NO_COLOR is set, or the terminal has none", function()
    for env, colored in pairs {["NO_COLOR="] = true, ["NO_COLOR=1"] = false, ["TERM=dumb"] = false} do
      local s = screen.session {env = env}
      s:enter "42"
      s:shows("42", ">")
      assert.equal(colored, s:colors():find "\27%[" ~= nil, env)
    end
  end)
end)

describe("the line being typed", function()
  it("lets tasks run", function()
    local s = screen.session()
    s:enter "_ = async.spawn(function() for _ = 1, 10 do sleep(0.001) end print 'all that' end)":type "x"
    s:shows("all that", "> x")
  end)

  it("stays below what tasks print, on stdout and stderr", function()
    local s = screen.session {height = 8}
    s:enter("task = async.spawn(function() for i = 1, 1000 do print('line ' .. i) async.yield() end "
      .. "io.stderr:write 'end\\n' end)")
    s:type "'typed"
    s:matches "line 999\nline 1000\nend\n> 'typed$"
    s:type "'":keys "Enter"
    s:shows("line 1000", "end", "> 'typed'", '"typed"', ">")
  end)

  it("stays below lines that tasks have not finished, which go on later", function()
    local s = screen.session()
    s:enter("e = async.event() t = async.spawn(function() "
      .. "for w in ('a b c'):gmatch '%a' do io.write(w) sleep(0.001) e:wait() end print 'd' end)")
    s:shows("a", ">")
    s:enter "e:set()"
    s:matches "d\n>$"
    s:enter "t = async.spawn(function() for i = 1, 30 do io.write(i, ' ') sleep(0.001) end print() end)"
    s:shows("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23", "24 25 26 27 28 29 30", ">")
  end)

  it("stays as it is, though longer than the window is wide, with the cursor amid it", function()
    local s = screen.session {width = 20, height = 12}
    s:enter "function f() async.spawn(function() sleep(0.001) print 'here' end) end"
    s:enter "f()":type "'0123456789012345678901234567890123456789":keys("Home", "Right", "Right")
    s:shows("here", "> '01234567890123456", "78901234567890123456", "789")
    s:type "x":keys("End"):type "'":keys "Enter"
    s:shows("> '0x123456789012345", "67890123456789012345", "6789'",
      '"0x12345678901234567', "89012345678901234567", '89"', ">")
  end)

  it("fits itself to the window", function()
    local s = screen.session {width = 40, height = 12}
    s:type "'012345678901234567890123456789"
    s:resize(20, 12):shows("> '01234567890123456", "7890123456789")
    s:type "ab":shows("> '01234567890123456", "7890123456789ab")
    s:resize(50, 12):shows "> '012345678901234567890123456789ab"
    s:type "'":keys "Enter"
    s:shows("> '012345678901234567890123456789ab'", '"012345678901234567890123456789ab"', ">")
  end)
end)

describe("Tab", function()
  it("completes what has one end", function()
    local s = screen.session()
    s:type "string.for":keys "Tab":type "('%d', 1)":keys "Enter"
    s:shows("> string.format('%d', 1)", '"1"', ">")
  end)

  it("inserts what all have in common, then lists them", function()
    local s = screen.session()
    s:enter "t = {abc1 = 1, abc2 = 2}":shows("> t = {abc1 = 1, abc2 = 2}", ">"):type "t.a":keys "Tab":shows "> t.abc"
    s:keys "Tab":shows("> t.abc", "abc1  abc2", "> t.abc")
    s:type "2":keys "Enter":shows("> t.abc2", "2", ">")
  end)

  it("lists no more than the window has room for", function()
    local s = screen.session {height = 8}
    s:enter "t = {} for i = 1000, 1999 do t['k' .. i] = i end":type "t.k1":keys "Tab"
    s:matches "\n… %d+ more\n> t%.k1$"
  end)

  it("indents at the beginning of a line", function()
    local s = screen.session()
    s:enter "do":keys "Tab":type "x = 1":shows("> do", ">>   x = 1")
  end)

  it("does nothing but beep if there is nothing, or an error", function()
    local s = screen.session()
    s:type "nosuch.":keys "Tab":type "x":shows "> nosuch.x"
  end)
end)

describe("the history", function()
  it("is there for the next session, without what was said twice in a row", function()
    local state = screen.directory()
    local s = screen.session {state = state}
    s:enter "'one'":shows('"one"', ">"):enter "'two'":shows('"two"', ">"):enter "'two'"
    s:shows('"two"', "> 'two'", '"two"', ">")
    s:keys("C-d"):shows "status 0"
    assert.equal("'one'\n'two'\n", program.contents(state .. "/muster/history"))
    s = screen.session {state = state}
    s:keys "Up":shows "> 'two'":keys "Up":shows "> 'one'":keys "Enter":shows("> 'one'", '"one"', ">")
  end)

  it("of two sessions goes into one file", function()
    local state = screen.directory()
    local a, b = screen.session {state = state}, screen.session {state = state}
    a:enter "1":shows("> 1", "1", ">")
    b:enter "2":shows("> 2", "2", ">")
    a:enter "3":shows("> 3", "3", ">")
    assert.equal("1\n2\n3\n", program.contents(state .. "/muster/history"))
  end)

  it("need not be writable", function()
    local s = screen.session {state = "/proc"}
    s:enter "1":shows("> 1", "1", ">"):keys "Up"
    s:shows("> 1", "1", "> 1")
  end)

  it("is searched by Ctrl-R", function()
    local s = screen.session()
    s:enter "'first'":shows('"first"', ">"):enter "'second'":shows('"second"', ">"):keys "C-r":type "irs"
    s:shows("> 'first'", "bck:irs"):keys "Enter"
    s:shows("> 'first'", '"first"', ">")
  end)
end)

describe("Ctrl-C", function()
  it("drops the line being typed", function()
    local s = screen.session {"--slow", "0"}
    s:type "error(":shows("> error("):keys "C-c":shows("> error(^C", ">")
    s:enter "do":type "error(":shows(">> error("):keys "C-c":shows(">> error(^C", ">")
    s:enter "1":shows("> 1", "1", ">")
  end)

  it("cancels a chunk that waits, or never does", function()
    local s = screen.session {"--slow", "0"}
    for _, work in ipairs {"sleep(1e9)", "while true do end",
      "table.sort({1, 2}, function() while true do end end)"} do
      s:enter("print 'go' " .. work):matches "go$"
      s:keys "C-c":shows("go", "^C", "interrupted", ">")
      s:keys "C-l"
    end
    s:enter "1":shows("> 1", "1", ">")
  end)

  it("cancels neither the session nor its tasks", function()
    local s = screen.session {"--slow", "0"}
    s:enter "n = 0 task = async.spawn(function() while true do sleep(0.001) n = n + 1 end end)"
    s:shows("001) n = n + 1 end end)", ">"):keys("C-c", "C-c", "C-c", "C-c", "C-c")
    s:enter "sleep(0.01)":shows("> sleep(0.01)", ">"):enter "n > 0, task:status() == 'cancelled'"
    s:shows("true", "false", ">")
  end)

  it("leaves the program the third time, if a chunk takes no notice", function()
    local s = screen.session {"--slow", "0"}
    s:enter "i = 0":enter "while true do pcall(function() i = i + 1 print(i) while true do end end) end"
    s:matches "1$":keys "C-c":matches "2$":keys "C-c":matches "3$":keys "C-c":matches "status 130$"
  end)
end)

describe("Ctrl-D", function()
  it("ends the session", function()
    local s = screen.session()
    s:keys "C-d":shows("> ^D", "status 0")
  end)

  it("ends it also when typed ahead", function()
    local s = screen.session()
    s:enter "print 'go' sleep(0.2)":matches("\ngo"):keys "C-d"
    s:shows("go", "> ^D", "status 0")
  end)

  it("asks first if tasks are alive, and then cancels them", function()
    local s = screen.session()
    s:enter "closing = setmetatable({}, {__close = function() print 'cleaned up' end})"
    s:enter "t = async.spawn(function() local _ <close> = closing sleep(1e9) end)"
    s:keys "C-d":shows("> ^D", "1 task is still running; Ctrl-D again ends it", ">")
    s:enter "1":shows("> 1", "1", ">")
    s:keys("C-d", "C-d"):shows("1 task is still running; Ctrl-D again ends it", "> ^D", "cleaned up", "status 0")
  end)
end)

describe("the terminal", function()
  -- A session in a shell that then shows how it finds its terminal.
  local function in_shell(options)
    options.shell = [[
      before=$(stty -g); "$MUSTER"; echo "status $?"; [ "$before" = "$(stty -g)" ] && echo "as before"; exec cat]]
    return screen.session(options)
  end

  it("is left as it was found", function()
    for _, code in ipairs {"os.exit(3)", "os.exit(3, true)",
      "t = async.spawn(function() sleep(0.001) os.exit(3) end)",
      "t = async.spawn(function() sleep(0.001) os.exit(3, true) end)"} do
      local s = in_shell {}
      s:enter(code):matches "\nstatus 3\nas before$"
    end
    local s = in_shell {}
    s:keys "C-d":matches "\nstatus 0\nas before$"
  end)

  it("is left as it was found by a signal that ends the program", function()
    for signal, status in pairs {TERM = 143, HUP = 129} do
      local s = in_shell {}
      program.sh(("kill -%s %d"):format(signal, s:pid()))
      s:matches(("\nstatus %d\nas before$"):format(status))
    end
  end)

  it("may go away", function()
    local s = screen.session()
    local pid = s:pid()
    s:close()
    assert.equal("", (program.sh(("while kill -0 %d 2>/dev/null; do sleep 0.01; done"):format(pid))))
  end)

  it("is another's while the program is stopped", function()
    local s = screen.open {shell = "exec env PS1='$ ' sh -i"}
    s:matches "%$$":enter '"$MUSTER"':matches ">$":type("'typ"):shows("> 'typ"):keys "C-z":matches "Stopped.*%$$"
    s:enter "echo 'in the shell'":matches "in the shell\n%$$":enter "fg":matches "> 'typ$"
    s:type "ed'":keys "Enter":shows("> 'typed'", '"typed"', ">")
  end)
end)
