-- lua/muster/stdio.lua: in programs whose streams are pipes, files, devices, closed, sockets and terminals.
local async = require "muster"
local process = require "muster.process"
local program = require "spec.support.program"
local spec = require "spec.support.io"

local checked = spec.checked
local PRELUDE = "local async, stdio = require 'muster', require 'muster.stdio'\n"

local function command(script) return {program.path, "-e", PRELUDE .. script} end

local function run(script, opts)
  local result = assert(process.run(command(script), opts))
  assert.equal("", result.stderr or "")
  assert.is_true(result.ok)
  return result.stdout
end

local COPY = "for chunk in stdio.stdin:chunks() do assert(stdio.stdout:write(chunk)) end"

describe("stdio", function()
  it("pipes: binary, empty, large", checked(function()
    for _, text in ipairs {"", "x", "\0\n\xff", ("0123456789"):rep(300000)} do
      assert.is_true(run(COPY, {input = text}) == text)
    end
  end))

  it("files and devices", checked(function()
    local fs = require "muster.fs"
    local directory <close> = assert(fs.tmp_dir())
    local from, to = directory.path .. "/from", directory.path .. "/to"
    local text = ("line\n"):rep(200000)
    assert(fs.write(from, text))
    local input <close> = assert(fs.open(from))
    local output <close> = assert(fs.open(to, "a"))
    run(COPY, {stdin = input, stdout = output})
    assert.is_true(fs.read(to) == text)
    assert.equal("nil\n", run("print((stdio.stdin:read()))", {stdin = "null"}))
    run(COPY, {input = "x", stdout = "null"})
  end))

  it("a file: what C writes at the end is not lost", checked(function()
    local fs = require "muster.fs"
    local output <close> = assert(fs.tmp_file())
    run("print 'one'; stdio.stdout:write 'two\\n'; io.write 'three'", {stdout = output})
    assert.equal("one\ntwo\nthree", fs.read(output.path))
  end))

  it("lines, and what is no stream", checked(function()
    assert.equal("<a><><b>", run("for line in stdio.stdin:lines() do io.write('<', line, '>') end", {input = "a\n\nb"}))
    assert.equal("nil\n", run "print(stdio.stdlog)")
  end))

  it("waiting for input suspends only its task", checked(function()
    local child <close> = assert(process.spawn(command [[
      local reader = async.spawn(function() return stdio.stdin:read_until "\n" end)
      for i = 1, 3 do async.sleep(0.001); stdio.stdout:write(i .. "\n") end
      stdio.stdout:write(reader:await() .. "\n")]]))
    for i = 1, 3 do assert.equal(tostring(i), child.stdout:read_until "\n") end
    assert(child.stdin:write "typed\n")
    assert.equal("typed", child.stdout:read_until "\n")
    assert.is_true(child:wait().ok)
  end))

  it("cancelling a read loses nothing", checked(function()
    local child <close> = assert(process.spawn(command [[
      print(async.move_on_after(0.01, stdio.stdin.read, stdio.stdin))
      stdio.stdout:write "ready\n"
      print(stdio.stdin:read_until "\n")]]))
    assert.equal("false", child.stdout:read_until "\n")
    assert.equal("ready", child.stdout:read_until "\n")
    assert(child.stdin:write "late\n")
    assert.equal("late", child.stdout:read_until "\n")
    child:wait()
  end))

  it("writing waits for a slow reader, and others go on", checked(function()
    local child <close> = assert(process.spawn(command [[
      local writer = async.spawn(function() assert(stdio.stdout:write(("x"):rep(1000000))) end)
      for _ = 1, 20 do async.yield() end
      stdio.stderr:write(writer:status() .. "\n")]]))
    assert.equal("waiting", child.stderr:read_until "\n")
    assert.equal(1000000, #child.stdout:read_all())
    assert.is_true(child:wait().ok)
  end))

  it("print and write keep their order, and print never fails on a full pipe", checked(function()
    assert.equal("1\n2\n3\n4\n", run [[
      print(1) stdio.stdout:write "2\n" io.write "3\n" stdio.stdout:write "4\n"]])
    local child <close> = assert(process.spawn(command [[
      stdio.stdout:write ""
      for _ = 1, 20000 do assert(io.write(("y"):rep(99), "\n")) end]]))
    assert.equal(2000000, #child.stdout:read_all())
  end))

  it("a reader who has gone ends the program as usual, or is an error", checked(function()
    local child <close> = assert(process.spawn(command [[
      stdio.stdin:read()
      local ok, err = stdio.stdout:write "x"
      stdio.stderr:write(tostring(err and err.kind))]]))
    child.stdout:close()
    assert(child.stdin:write "go")
    local said = child.stderr:read_all()
    local result = child:wait()
    assert.is_true(result.signal == "SIGPIPE" or said == "reset", said)
  end))

  it("closed: an error, and the descriptor stays", checked(function()
    assert.equal("closed\nstill\n", run [[
      stdio.stdout:close()
      print(select(2, stdio.stdout:write "x").kind)
      print "still"]])
    local output = program.sh(("%s -e %s <&-"):format(program.quoted(program.path),
      program.quoted(PRELUDE .. "print((stdio.stdin:read()))")))
    program.remove_files()
    assert.equal("nil\n", output)
  end))

  it("a socket", checked(function()
    local net = require "muster.net"
    local listener <close> = assert(net.listen("127.0.0.1", 0))
    local client <close> = assert(net.connect("127.0.0.1", listener.port))
    local accepted <close> = assert(listener:accept())
    local task = async.spawn(process.run, command(COPY), {input = "over a socket", stdout = accepted})
    assert.equal("over a socket", client:read_all())
    assert.is_true(task:await().ok)
  end))

  it("a terminal", checked(function()
    local script = PRELUDE .. 'stdio.stdout:write("tty " .. stdio.stdin:read_until "\\n" .. "\\n")'
    local inner = ("%s -e %s"):format(program.quoted(program.path), program.quoted(script))
    local child <close> = assert(process.spawn({"script", "-qec", inner, "/dev/null"}, {stderr = "null"}))
    assert(child.stdin:write "typed\n")
    assert.matches("tty typed", child.stdout:read_all())
    child:wait()
  end))
end)
