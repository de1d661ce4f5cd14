-- lua/muster/process.lua: with the programs that every machine has.
local async = require "muster"
local fs = require "muster.fs"
local process = require "muster.process"
local program = require "spec.support.program"
local spec = require "spec.support.io"
local uv = require "luv"

local start, raises, failed, cancel, turns = spec.start, spec.raises, spec.failed, spec.cancel, spec.turns
local run, spawn = process.run, process.spawn

--- There is no such process, not even as a zombie.
local function is_gone(pid) return uv.kill(pid, 0) == nil end

local function has_children()
  local file <close> = io.open(("/proc/self/task/%d/children"):format(uv.os_getpid()))
  return file and file:read "a" ~= "" or false
end

--- As checked, and no child is left.
local function checked(fn)
  local body = spec.checked(fn)
  return function()
    body()
    assert.is_false(has_children(), "a child is left")
  end
end

local function shell(script) return {"sh", "-c", script} end

--- Ignores SIGTERM, says so, and sleeps.
local STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"

local function wait_until_stopped(pid)
  while not assert(fs.read(("/proc/%d/stat"):format(pid))):find "%) T " do async.yield() end
end

--- Init may not have buried it yet.
local function wait_until_dead(pid)
  local path = ("/proc/%d/stat"):format(pid)
  repeat
    async.yield()
    local text = fs.read(path)
  until not text or text:find "%) [ZX]"
end

describe("process: wrong arguments", function()
  it("are refused, by run and spawn", checked(function()
    for name, fn in pairs {run = run, spawn = spawn} do
      raises(name .. ": expected a list of the program", fn)
      raises(name .. ": expected a list of the program", fn, "ls")
      raises(name .. ": expected a list of the program.*an empty table", fn, {})
      raises(name .. ": argument 2 must be a string", fn, {"ls", true})
      raises(name .. ": argument 2 must be a string", fn, {"ls", 1.5})
      raises(name .. ": argument 2 must be a string without zero bytes", fn, {"ls", "a\0b"})
      raises(name .. ": 'cwd' in the list of arguments", fn, {"ls", cwd = "/"})
      raises(name .. ": '3' in the list of arguments", fn, {"ls", [3] = "x"})
      raises(name .. ": the name of the program is empty", fn, {""})
      raises(name .. ": unknown option 'shell'", fn, {"ls"}, {shell = true})
      raises(name .. ": options must be a table", fn, {"ls"}, "x")
      for option, value in pairs {stdin = 1, stdout = "file", stderr = {}, cwd = "", env = {1}, clear_env = 1,
                                  group = 0, grace = -1} do
        raises(("%s: option '%s' must be"):format(name, option), fn, {"ls"}, {[option] = value})
      end
      for _, env in ipairs {{["a=b"] = "c"}, {a = "b\0"}, {a = true}, {[""] = "x"}, {"a=b"}} do
        raises("option 'env' must be", fn, {"ls"}, {env = env})
      end
    end
    raises("run: option 'input' must be a string", run, {"ls"}, {input = 1})
    raises("run: of the options 'input' and 'stdin' only one", run, {"cat"}, {input = "x", stdin = "null"})
    raises("run: option 'timeout' must be", run, {"ls"}, {timeout = "1"})
    raises("spawn: unknown option 'input'", spawn, {"ls"}, {input = "x"})
    raises("spawn: unknown option 'timeout'", spawn, {"ls"}, {timeout = 1})
  end))

  it("are refused by the methods", checked(function()
    local child <close> = assert(spawn {"cat"})
    raises("signal: expected a signal", child.signal, child)
    raises("signal: expected a signal", child.signal, child, "SIGNOSUCH")
    raises("signal: expected a signal", child.signal, child, 1000)
    raises("stop: option 'grace' must be", child.stop, child, "x")
  end))
end)

describe("process: run", function()
  it("a program that is not there, or cannot be run, or in no directory", checked(function()
    local err = failed("not_found", "ENOENT", run {"no-such-program"})
    assert.equal("run no-such-program: no such file or directory", tostring(err))
    failed("permission", "EACCES", run {"/etc/passwd"})
    failed("permission", "EACCES", run {"/"})
    err = failed("not_found", "ENOENT", run({"ls"}, {cwd = "/nowhere"}))
    assert.equal("run ls in /nowhere: no such file or directory", tostring(err))
    assert.equal("/nowhere", err.path)
    err = failed("not_directory", "ENOTDIR", spawn({"ls"}, {cwd = "/dev/null"}))
    assert.equal("spawn ls in /dev/null: not a directory", tostring(err))
    err = failed("not_found", "ENOENT", run({"no-such-program"}, {cwd = "/"}))
    assert.equal("run no-such-program: no such file or directory", tostring(err))
    failed("not_found", "ENOENT", spawn {"no-such-program"})
  end))

  it("gives status, signal and output", checked(function()
    assert.same({ok = true, status = 0, stdout = "out\n", stderr = ""}, run {"echo", "out"})
    assert.same({ok = false, status = 7, stdout = "", stderr = "err\n"}, run(shell "echo err >&2; exit 7"))
    assert.same({ok = false, signal = "SIGKILL", stdout = "", stderr = ""}, run(shell "kill -9 $$"))
    assert.same({ok = false, signal = "SIGABRT", stdout = "", stderr = ""}, run(shell "ulimit -c 0; kill -6 $$"))
  end))

  it("passes arguments as they are, numbers too", checked(function()
    local words = {"a b", "", "$HOME", "*", "'\"\\", "\n", "\xff", 7}
    local result = run {"printf", "<%s>", table.unpack(words)}
    assert.equal("<" .. table.concat(words, "><") .. ">", result.stdout)
  end))

  it("gives input, of any size, binary, whether it is read or not", checked(function()
    local all = {}
    for i = 0, 255 do all[i] = string.char(i) end
    local text = table.concat(all, "", 0):rep(10000)
    assert.is_true(run({"cat"}, {input = text}).stdout == text)
    assert.equal("", run({"cat"}, {input = ""}).stdout)
    assert.equal("", run({"cat"}).stdout)
    assert.same({ok = true, status = 0, stdout = "", stderr = ""}, run({"true"}, {input = text}))
    assert.equal("12345", run({"head", "-c", "5"}, {input = "1234567890"}).stdout)
    assert.equal("x", run(shell "cat /dev/stdin", {input = "x"}).stdout) -- a pipe, not a socket
  end))

  it("env, clear_env, cwd", checked(function()
    local function echo(opts) return run(shell "echo $HOME,$MUSTER_A", opts).stdout end
    local home = os.getenv "HOME" or ""
    assert.equal(home .. ",\n", echo())
    assert.equal(home .. ",1\n", echo {env = {MUSTER_A = 1}})
    assert.equal(",1 = 2\n", echo {env = {MUSTER_A = "1 = 2", HOME = false}})
    assert.equal(",x\n", echo {env = {MUSTER_A = "x"}, clear_env = true})
    assert.equal("A=1\n", run({"/usr/bin/env"}, {env = {A = "1"}, clear_env = true}).stdout)
    assert.equal("/\n", run({"pwd"}, {cwd = "/"}).stdout)
  end))

  it("stdout and stderr: together, null, inherited", checked(function()
    assert.same({ok = true, status = 0, stdout = "a\nb\n"}, run(shell "echo a; echo b >&2", {stderr = "stdout"}))
    assert.same({ok = true, status = 0}, run(shell "echo a; echo b >&2", {stdout = "null", stderr = "null"}))
    assert.same({ok = true, status = 0}, run(shell "echo a >&2", {stdout = "null", stderr = "stdout"}))
    finally(program.remove_files)
    local output, errors = program.run {"-e", [[
      local r = require "muster.process".run({"sh", "-c", "read x; echo got $x; echo err >&2"},
                                             {stdin = "inherit", stdout = "inherit", stderr = "inherit"})
      assert(r.ok and not r.stdout)]], stdin = "line\n"}
    assert.same({"got line\n", "err\n"}, {output, errors})
  end))

  it("more output than is wanted ends it", checked(function()
    local err = failed("too_large", nil, run({"yes"}, {max_output = 100000}))
    assert.matches("more than 100000 bytes", tostring(err))
    failed("too_large", nil, run(shell "yes >&2", {max_output = 1000, stdout = "null"}))
    assert.equal(6, #run({"echo", "12345"}, {max_output = 6}).stdout)
  end))

  it("a time limit ends it, and keeps what it had written", checked(function()
    local err = failed("timeout", "ETIMEDOUT", run(shell "echo some; exec sleep 100", {timeout = 0.2}))
    assert.equal("some\n", err.stdout)
    assert.equal("run sh: timed out", tostring(err))
    assert.is_true(err.retryable)
  end))

  it("a child that ignores SIGTERM is killed", checked(function()
    failed("timeout", "ETIMEDOUT", run(shell(STUBBORN), {timeout = 0.2, grace = 0.1}))
  end))

  it("is cancelled: the child has ended when the task has", checked(function()
    cancel(start(run, {"sleep", "100"}))
    cancel(start(run, {"sleep", "100"}, {input = ("x"):rep(1000000)}))
    cancel(start(run, {"yes"}, {stdout = "null"}))
    cancel(start(run, shell(STUBBORN), {grace = 0}))
  end))

  it("a timeout around it does the same", checked(function()
    assert.is_false(async.move_on_after(0.05, run, {"sleep", "100"}))
  end))

  it("in a cancelled task starts nothing", checked(function()
    local task = async.spawn(function()
      pcall(async.sleep, 10)
      run(shell "echo not me >&2")
    end)
    turns()
    cancel(task)
  end))

  it("a hundred at once", checked(function()
    local list = {}
    for i = 1, 100 do list[i] = i end
    local results = async.map(list, function(i) return run {"echo", i} end)
    for i, result in ipairs(results) do assert.equal(i .. "\n", result.stdout) end
  end))

  it("a lack of descriptors is an error, and leaves none open", checked(function()
    finally(program.remove_files)
    local script = program.file [[
      local process, uv = require "muster.process", require "luv"
      assert(process.run{"true"}.ok)
      local fds = {}
      for fd in function() return (uv.fs_open("/dev/null", "r", 0)) end do table.insert(fds, fd) end
      for left = 0, 7 do
        local result, err = process.run{"true"}
        assert(result and result.ok or err.kind == "too_many", err)
        print(left, result and "ran" or err.kind)
        if result then break end
        uv.fs_close(table.remove(fds))
      end]]
    local output, errors, code = program.sh(("ulimit -n 40; %s %s"):format(program.path, script))
    assert.same({"", 0}, {errors, code})
    assert.matches("^0\ttoo_many\n.*ran\n$", output)
  end))
end)

describe("process: spawn", function()
  it("talks through pipes", checked(function()
    local child <close> = assert(spawn {"cat"})
    assert.is_true(child:is_running())
    for i = 1, 10 do
      assert(child.stdin:write("line " .. i .. "\n"))
      assert.equal("line " .. i, child.stdout:read_until "\n")
    end
    child.stdin:close()
    assert.equal("", child.stdout:read_all())
    assert.equal("", child.stderr:read_all())
    assert.same({ok = true, status = 0}, child:wait())
    assert.same({ok = true, status = 0}, child:wait())
    assert.is_false(child:is_running())
    assert.matches("ended", tostring(child))
    assert.is_true(is_gone(child.pid))
  end))

  it("reading what it does not write fails on the right stream only", checked(function()
    local child <close> = assert(spawn {"cat"})
    assert.is_nil(child.stdin:read())
    assert.is_nil((child.stdout:write "x"))
  end))

  it("a child that floods its output has to wait", checked(function()
    local child <close> = assert(spawn({"yes"}, {stdin = "null"}))
    assert.equal("y\n", child.stdout:read_exactly(2))
    turns(100)
    assert.is_true(child.stdout.input.size < 1024 * 1024)
    collectgarbage()
    local before, n = collectgarbage "count", 0
    for chunk in child.stdout:chunks() do
      n = n + #chunk
      if n > 100e6 then break end
    end
    assert.is_true(collectgarbage "count" - before < 16 * 1024)
  end))

  it("a child that does not read makes the writer wait, and its end is a reset", checked(function()
    local child <close> = assert(spawn({"sleep", "100"}, {stdout = "null", stderr = "null"}))
    local writer = start(child.stdin.write, child.stdin, ("x"):rep(10000000))
    assert.equal("waiting", writer:status())
    child:kill()
    failed("reset", "EPIPE", writer:await())
    assert.same({ok = false, signal = "SIGKILL"}, child:wait())
  end))

  it("signals: by name and number, and none to what has ended", checked(function()
    local child <close> = assert(spawn(shell "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done"))
    assert.equal("ready", child.stdout:read_until "\n")
    assert.is_true(child:signal "usr1")
    assert.equal("got", child.stdout:read_until "\n")
    assert.same({ok = false, status = 3}, child:wait())
    assert.is_false(child:signal(10))
    assert.is_false(child:terminate())
    assert.is_false(child:kill())
    assert.same({ok = false, status = 3}, child:stop())
  end))

  it("stop: at once if it heeds SIGTERM, killed if it does not", checked(function()
    local child <close> = assert(spawn {"sleep", "100"})
    assert.same({ok = false, signal = "SIGTERM"}, child:stop())
    local stubborn <close> = assert(spawn(shell(STUBBORN)))
    assert.equal("ready", stubborn.stdout:read_until "\n")
    assert.same({ok = false, signal = "SIGKILL"}, stubborn:stop(0.05))
    local stopped <close> = assert(spawn {"sleep", "100"})
    stopped:signal "SIGSTOP"
    wait_until_stopped(stopped.pid) -- of two pending signals the lower number is first
    assert.same({ok = false, signal = "SIGKILL"}, stopped:stop(0))
  end))

  it("shutdown of its input: it reads the end", checked(function()
    local child <close> = assert(spawn {"cat"})
    assert(child.stdin:write "last")
    assert.is_true(child.stdin:shutdown())
    assert.equal("last", child.stdout:read_all())
    failed("closed", nil, child.stdin:write "x")
  end))

  it("a stream that was read from is refused, and no pipe is left open", checked(function()
    local child <close> = assert(spawn {"echo", "two words"})
    child.stdout:read(3)
    raises("run cat: stderr has been read from already", run, {"cat"}, {input = "x", stderr = child.stdout})
  end))

  it("stop, cut short, kills", checked(function()
    local child <close> = assert(spawn(shell(STUBBORN)))
    assert.equal("ready", child.stdout:read_until "\n")
    cancel(start(child.stop, child, 100))
    assert.same({ok = false, signal = "SIGKILL"}, child:wait())
  end))

  it("leaving the scope closes the pipes and ends it", checked(function()
    local pid, stdout
    do
      local child <close> = assert(spawn {"sleep", "100"})
      pid, stdout = child.pid, child.stdout
    end
    assert.is_true(is_gone(pid))
    assert.is_true(stdout:is_closed())
  end))

  it("an error in the scope does the same", checked(function()
    local pid
    raises("oops", function()
      local child <close> = assert(spawn {"sleep", "100"})
      pid = child.pid
      error "oops"
    end)
    assert.is_true(is_gone(pid))
  end))

  it("wait: by many, cancelled, in time", checked(function()
    local child <close> = assert(spawn {"cat"})
    local tasks = {start(child.wait, child), start(child.wait, child)}
    cancel(start(child.wait, child))
    assert.is_false(async.move_on_after(0, child.wait, child))
    child.stdin:close()
    for _, task in ipairs(tasks) do assert.same({ok = true, status = 0}, task:await()) end
  end))

  it("a group: its children end too", checked(function()
    local child <close> = assert(spawn(shell "trap '' TERM; sleep 100 & echo $!; wait; sleep 100",
      {group = true, grace = 0}))
    local grandchild = tonumber(child.stdout:read_until "\n")
    child:close()
    assert.same({ok = false, signal = "SIGKILL"}, child:wait())
    wait_until_dead(grandchild)
  end))

  it("a group: those who outlive the first get signals, and end with the scope", checked(function()
    local grandchild
    do
      local child <close> = assert(spawn(shell "(trap '' HUP; sleep 100) <&- >&- 2>&- & echo $!", {group = true}))
      grandchild = tonumber(child.stdout:read_all())
      assert.is_true(child:wait().ok)
      assert.is_true(child:signal "HUP")
    end
    wait_until_dead(grandchild)
  end))

  it("a group: a time limit ends those who outlive the first, and keep its output open", checked(function()
    local err = failed("timeout", "ETIMEDOUT", run(shell "sleep 100 & echo $!", {group = true, timeout = 0.3}))
    wait_until_dead(tonumber(err.stdout))
  end))

  it("a group of which nobody is left gets no signals", checked(function()
    local child <close> = assert(spawn({"true"}, {group = true}))
    child:wait()
    assert.is_false(child:signal "HUP")
    assert.is_false(child:kill())
  end))

  it("a pipe between processes, whose end is seen on both sides", checked(function()
    local a <close> = assert(spawn({"seq", "100000"}, {stdin = "null", stderr = "inherit"}))
    local b <close> = assert(spawn({"wc", "-l"}, {stdin = a.stdout, stderr = "inherit"}))
    assert.is_true(a.stdout:is_closed())
    assert.equal("100000", b.stdout:read_all():match "%d+")
    assert.same({true, true}, {a:wait().ok, b:wait().ok})
    local yes <close> = assert(spawn({"yes"}, {stdin = "null", stderr = "null"}))
    assert.equal("y\ny\n", run({"head", "-n", "2"}, {stdin = yes.stdout}).stdout)
    assert.equal("SIGPIPE", yes:wait().signal)
  end))

  it("a stream that has been read from, or is closed, is not handed over", checked(function()
    local a <close> = assert(spawn {"echo", "hello"})
    assert.equal("h", a.stdout:read(1))
    raises("stdin has been read from", spawn, {"cat"}, {stdin = a.stdout})
    a.stdout:close()
    failed("closed", nil, spawn({"cat"}, {stdin = a.stdout}))
  end))

  it("a socket becomes a child's stream", checked(function()
    local net = require "muster.net"
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local client <close> = assert(net.connect("127.0.0.1", listener.port))
    local accepted <close> = assert(listener:accept())
    assert(run({"echo", "from a child"}, {stdout = accepted}).ok)
    assert.equal("from a child\n", client:read_all())
  end))

  it("that nobody holds: its pipes are closed, and nothing is left of it", checked(function()
    local pid = assert(spawn {"cat"}).pid
    for _ = 1, 200 do
      collectgarbage()
      if is_gone(pid) then return end
      async.sleep(0.01)
    end
    error "it lives"
  end))

  it("does not keep the program, which does not wait for it", checked(function()
    finally(program.remove_files)
    local output, errors, code = program.run {"-e", [[
      local child = require "muster.process".spawn({"sleep", "1"}, {stdout = "null", stderr = "null"})
      print(child:is_running())]]}
    assert.same({"true\n", "", 0}, {output, errors, code})
  end))

  it("an interrupt that comes while it is started cancels, and does no harm later", checked(function()
    finally(program.remove_files)
    local _, errors, code = program.run {"-e", [[
      local async, process, uv = require "muster", require "muster.process", require "luv"
      local spawn = uv.spawn
      function uv.spawn(...)
        local handle, pid = spawn(...)
        uv.spawn = spawn
        uv.kill(uv.os_getpid(), "sigint")
        return handle, pid
      end
      local ok, err = pcall(process.run, {"true"})
      assert(not ok and async.is_cancelled(err))
      async.shield(process.run, {"sleep", "0.2"}) -- the other has ended by then
      error(err, 0)]]}
    assert.same({"muster: interrupted\n", 130}, {errors, code})
  end))
end)
