-- Chunks as tasks of the program `muster`, from outside: errors, deadlocks, os.exit, signals, the interactive mode.
local program = require "spec.support.program"

local run = program.run

local function run_code(code) return run { "-e", 'local async = require "muster" ' .. code } end

local function assert_output(expected, arguments)
  local output, errors, code = run(arguments)
  assert.equal("", errors)
  assert.equal(expected, output)
  assert.equal(0, code)
end

describe("an error in a chunk", function()
  after_each(program.remove_files)

  local function message(code) return (select(2, run { "-e", code })) end

  it("is reported with the traceback of the standard interpreter, but for the frame below ours", function()
    local script = program.file "local function f()\n  error 'broken'\nend\nlocal function g() f() end\ng()"
    local output, errors, code = run { script }
    assert.equal("", output)
    assert.equal(([[
muster: @:2: broken
stack traceback:
	[C]: in function 'error'
	@:2: in upvalue 'f'
	@:4: in local 'g'
	@:5: in main chunk
]]):gsub("@", script), errors)
    assert.equal(1, code)
  end)

  it("may be any value", function()
    assert.match("^muster: %(error object is a table value%)\nstack traceback:\n", message "error {}")
    assert.match("^muster: %(error object is a nil value%)\nstack traceback:\n", message "error()")
    assert.match("^muster: 42\nstack traceback:\n", message "error(42)")
    assert.match("^muster: as text\nstack traceback:\n",
      message "error(setmetatable({}, {__tostring = function() return 'as text' end}))")
    assert.match("^muster: %(error object is a table value%)\nstack traceback:\n",
      message "error(setmetatable({}, {__tostring = function() return 42 end}))")
  end)

  it("is described while the frames that failed are there", function()
    assert.match("^muster: 2\nstack traceback:\n", message [[
      local where = setmetatable({}, {__tostring = function() return tostring(debug.getinfo(4).currentline) end})
      error(where)]])
  end)

  it("has its last word from what it became on its way", function()
    assert.match("^muster: [^\n]*in tostring\n",
      message "error(setmetatable({}, {__tostring = function() error 'in tostring' end}))")
    assert.match("^muster: [^\n]*in close\n", message [[
      local _ <close> = setmetatable({}, {__close = function() error "in close" end})
      error "first"]])
  end)

  it("keeps later chunks from running", function()
    for _, arguments in ipairs { { "-e", "error(1)" }, { "-l", "/nowhere/" }, { env = "LUA_INIT='error(1)'" } } do
      table.move({ "-e", "print 'later'" }, 1, 2, #arguments + 1, arguments)
      local output, _, code = run(arguments)
      assert.same({ "", 1 }, { output, code })
    end
  end)

  it("cancels the other tasks, which clean up, after it was reported", function()
    local output, errors, code = run_code [[
      async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function()
          async.shield(async.sleep, 0.001)
          io.stderr:write "cleaned up\n"
        end})
        async.sleep(1e9)
      end)
      async.yield()
      error "broken"]]
    assert.equal("", output)
    assert.match("broken\nstack traceback:\n.*cleaned up\n$", errors)
    assert.equal(1, code)
  end)

  it("may be that the chunk was cancelled", function()
    local _, errors, code = run_code "async.current():cancel 'enough' async.yield()"
    assert.equal("muster: task was cancelled: enough\n", errors)
    assert.equal(1, code)
  end)
end)

describe("a chunk", function()
  after_each(program.remove_files)

  it("is a task, in LUA_INIT, -e, the script and a line of -i", function()
    local sleep = "require 'muster'.sleep(0) io.write 'x'"
    assert_output("xxx", { env = 'LUA_INIT="' .. sleep .. '"', "-e", sleep, "-", stdin = sleep })
    assert.match("\nx> \n$", (run { "-i", stdin = sleep }))
  end)

  it("is followed by a wait for the tasks that it started, not for daemons", function()
    assert_output("main done, task done, daemon cleans up", { "-e", [[
      local async = require "muster"
      async.spawn(function() async.sleep(0.001) io.write "task done, " end)
      async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function() io.write "daemon cleans up" end})
        async.sleep(1e9)
      end):daemon()
      io.write "main done, "]] })
  end)

  it("may leave its tasks to the chunks that follow", function()
    assert_output("12", { "-e", "async = require 'muster' task = async.spawn(function() async.yield() io.write(1) end)",
      "-e", "async.await(task) io.write(2)" })
  end)

  it("makes the exit code 1 by a task whose error nobody saw", function()
    local output, errors, code = run_code "async.spawn(function() error 'lost' end) async.sleep(0) print 'goes on'"
    assert.equal("goes on\n", output)
    assert.match("^muster: unhandled error in [^\n]*lost\nstack traceback:\n", errors)
    assert.equal(1, code)
  end)

  it("only gets a warning for a task that was never started", function()
    local _, errors, code = run_code "async(function() end)()"
    assert.match("never started", errors)
    assert.equal(0, code)
  end)
end)

describe("a deadlock", function()
  after_each(program.remove_files)

  local function assert_deadlock(code)
    local output, errors, status = run_code(code)
    assert.match("^muster: deadlock: .* for an event\n", errors)
    assert.equal(13, status)
    return output
  end

  it("of the chunk exits 13, and lets it clean up", function()
    assert.equal("cleaned up\n", assert_deadlock [[
      local _ <close> = setmetatable({}, {__close = function() print "cleaned up" end})
      async.event():wait()
      print "not reached"]])
  end)

  it("of the tasks that are left exits 13, of daemons alone not", function()
    assert_deadlock "async.spawn(function() async.event():wait() end)"
    local _, errors, code = run_code "async.spawn(function() async.event():wait() end):daemon() async.yield()"
    assert.same({ "", 0 }, { errors, code })
  end)
end)

describe("os.exit", function()
  after_each(program.remove_files)

  it("gives its code, from any task", function()
    assert.equal(7, select(3, run { "-e", "os.exit(7)" }))
    assert.equal(1, select(3, run { "-e", "os.exit(false, true)" }))
    assert.equal(5, select(3, run_code "async.spawn(function() os.exit(5, true) end) async.sleep(1e9)"))
  end)

  it("closes the variables of its task and of others, and the state, if it is to", function()
    local output, errors, code = run_code [[
      anchored = setmetatable({}, {__gc = function() print "collected" end})
      local function closing(text)
        return setmetatable({}, {__close = function(_, err) assert(err == nil) print(text) end})
      end
      async.spawn(function()
        local _ <close> = setmetatable({}, {__close = function() print "other" end})
        async.sleep(1e9)
      end)
      async.yield()
      local outer <close> = closing "outer"
      do local inner <close> = closing "inner" os.exit(3, true) end]]
    assert.equal("", errors)
    local lines = {}
    for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("collected", table.remove(lines))
    assert.equal(3, #lines)
    assert.match("inner\n.*outer\n", output)
    assert.match("other\n", output)
    assert.equal(3, code)
  end)

  it("from a finalizer that runs while the state closes leaves the other finalizers to run", function()
    assert_output("2\n1\n", { program.file [[
      setmetatable({}, {__gc = function() print(1) end})
      setmetatable({}, {__gc = function() print(2) os.exit(0, true) end})]] })
  end)
end)

describe("SIGINT", function()
  after_each(program.remove_files)

  -- Runs code in the background; each line that it prints after "ready" is an answer to a signal, before the next one.
  local function interrupted(code, times)
    local output = program.file()
    code = 'io.stdout:setvbuf "no" local async = require "muster" print "ready"\n' .. code
    local _, errors, status = program.sh(([[
      wait_for_lines() { # at least this number; not for ever, and not if the program has ended
        for i in 1 2 3 4 5 6 7 8 9 10 20 30 40 50 60 70 80 90; do
          [ "$(wc -l <%s)" -ge "$1" ] && return
          kill -0 $pid 2>/dev/null || return
          sleep 0.$i
        done
      }
      %s >%s & pid=$!
      for n in $(seq %d); do wait_for_lines $n; kill -INT $pid; done
      wait $pid]]):format(output, program.command { "--slow", "0", "-e", code }, output, times or 1))
    return program.contents(output), errors, status
  end

  local function assert_interrupted(expected, code, times)
    local output, errors, status = interrupted(code, times)
    assert.equal("ready\n" .. expected, output)
    assert.equal("muster: interrupted\n", errors)
    assert.equal(130, status)
  end

  local closing = [[
    local _ <close> = setmetatable({}, {__close = function()
      async.shield(async.sleep, 0.001)
      print "cleaned up"
    end})
  ]]

  it("cancels a chunk that waits, and lets it clean up", function()
    assert_interrupted("cleaned up\n", closing .. "async.sleep(1e9)")
    assert_interrupted("cleaned up\n", closing .. "async.await(function() async.sleep(1e9) end)")
  end)

  it("cancels a chunk that never waits", function()
    assert_interrupted("cleaned up\n", closing .. "while true do end")
  end)

  it("cancels the other tasks too", function()
    for _, work in ipairs { "async.sleep(1e9)", "while true do end" } do
      assert_interrupted("cleaned up\n", ("async.spawn(function() %s %s end) async.sleep(1e9)"):format(closing, work))
    end
  end)

  it("cancels the tasks that are left after the chunk", function()
    for _, work in ipairs { "async.sleep(1e9)", "while true do end" } do
      assert_interrupted("cleaned up\n", ("async.spawn(function() %s %s end)"):format(closing, work))
    end
  end)

  it("exits 130 even if the chunk takes no notice", function()
    assert_interrupted("false\n", "print((pcall(async.sleep, 1e9)))")
  end)

  it("tells an error that clean-up made", function()
    local output, errors, status = interrupted "pcall(async.sleep, 1e9) error 'broken'"
    assert.equal("ready\n", output)
    assert.match("^muster: [^\n]*broken\nstack traceback:\n", errors)
    assert.equal(130, status)
  end)

  it("ends the program at once the second time", function()
    local output, errors, status = interrupted([[
      local _ <close> = setmetatable({}, {__close = function()
        print "cleaning up"
        async.shield(async.sleep, 1e9)
        print "not reached"
      end})
      while true do end]], 2)
    assert.equal("ready\ncleaning up\n", output)
    assert.equal("", errors)
    assert.equal(130, status)
  end)
end)

describe("SIGPIPE", function()
  after_each(program.remove_files)

  -- The output of the first line that head takes, the errors, and the exit code of the program.
  local function into_head(code)
    local status = program.file()
    local command = ("{ %s; echo $? >%s; } | head -n 1"):format(program.command { "-e", code }, status)
    local output, errors = program.sh(command)
    return output, errors, tonumber(program.contents(status))
  end

  it("ends a program whose output nobody reads, quietly", function()
    for _, write in ipairs { "print 'a line'", "print 'a line' require 'muster'.yield()" } do
      assert.same({ "a line\n", "", 128 + 13 }, { into_head("while true do " .. write .. " end") })
    end
    assert.same({ "a line\n", "", 128 + 13 }, { into_head [[
      local pipe = require "luv".new_pipe()
      pipe:open(1)
      while true do require "muster".suspend(function(resume) pipe:write("a line\n", resume) end) end]] })
  end)

  it("is but an error to one who writes to a child or a socket that is gone", function()
    local output, errors, code = run_code [[
      local child = io.popen("exec true", "w")
      local ok, err
      repeat ok, err = child:write(("x"):rep(1000)) until not ok
      print(err)
      local uv = require "luv"
      local ends = uv.socketpair(nil, nil, {nonblock = true}, {nonblock = true})
      local a, b = uv.new_pipe(), uv.new_pipe()
      a:open(ends[1]) b:open(ends[2])
      b:close()
      print((async.suspend(function(resume) a:write("x", resume) end)))
      a:close()]]
    assert.same({ "Broken pipe\nEPIPE\n", "", 0 }, { output, errors, code })
  end)

  it("is left to children as they would expect it", function()
    assert_output("signal\t13\n", { "-e", "print(select(2, os.execute 'kill -PIPE $$'))" })
  end)
end)

describe("the interactive mode", function()
  after_each(program.remove_files)

  -- What a session prints, without the banner and with prompts that do not show.
  local function session(lines)
    local output, errors, code = run { "-e", "_PROMPT, _PROMPT2 = '', ''", "-i", stdin = lines }
    assert.equal(0, code)
    return output:gsub("^[^\n]*\n", "", 1), errors
  end

  it("shows a prompt, its input and the values of expressions", function()
    local output = run { "-i", stdin = "1 + 1\nnil, 'x'\nlocal x = 1\n" }
    assert.match("PUC%-Rio\n> 1 %+ 1\n2\n> nil, 'x'\nnil\tx\n> local x = 1\n> \n$", output)
  end)

  it("asks for more of a chunk that is not complete", function()
    local output = run { "-i", stdin = "x =\n7\nx" }
    assert.match("> x =\n>> 7\n> x\n7\n> \n$", output)
    assert.equal("= f and\n3\nnil\n\n", (session "= f and\n3"))
  end)

  it("takes any _PROMPT, as tostring makes it", function()
    local prompt = "local n = 0 _PROMPT = setmetatable({}, {__tostring = function() n = n + 1 return n .. ': ' end})"
    assert.match("1: x = 1\n2: \n$", (run { "-e", prompt, "-i", stdin = "x = 1\n" }))
  end)

  it("reports errors without the program's name, and goes on", function()
    local output, errors = session "error 'broken'\n)(\nerror {}\nx = \n1"
    assert.match("^stdin:1: broken\nstack traceback:\n.*\nstdin:1: unexpected symbol near '%)'\n", errors)
    assert.match("\n%(error object is a table value%)\n", errors)
    assert.match("\n1\n\n$", output)
  end)

  it("reports a statement that never ends", function()
    local _, errors = session "f("
    assert.equal("stdin:1: unexpected symbol near <eof>\n", errors)
  end)

  it("says when print fails", function()
    local _, errors = session "print = nil\n1"
    assert.equal("error calling 'print' (attempt to call a nil value)\n", errors)
  end)

  it("takes lines of any length", function()
    assert.match("\n100000\n\n$", (session("#'" .. ("x"):rep(100000) .. "'")))
  end)

  it("comes after the script, and sees its globals", function()
    assert.match("script\n.*> a\n1\n", (run { "-i", program.file "print 'script' a = 1", stdin = "a" }))
  end)

  it("knows the names of the library, unless they are taken", function()
    local output = run { "-e", "gather = 'mine'", "-i", stdin = [[
      await(async(function(...) return ... end)(1, 2))
      sleep(0), gather, type(as_completed)]] }
    assert.match("\n1\t2\n", output)
    assert.match("\nnil\tmine\tfunction\n", output)
  end)

  it("goes on after a line that waits for ever", function()
    local output, errors = session "async.event():wait()\n'next'"
    assert.match("^muster: deadlock: ", errors)
    assert.match("\nnext\n", output)
  end)

  it("waits for the tasks of its lines in the end", function()
    assert.match("\n\ndone\n$", (session "_ = async.spawn(function() sleep(0.001) print 'done' end)"))
  end)
end)
