-- The program `muster` from outside: its command line, what it refuses, how it ends. The official test of the standard
-- interpreter (main.lua of the Lua test suite) passes too; here is what is ours, and what a stand-in must not lose.
local program = require "spec.support.program"

local run = program.run

local function assert_output(expected, arguments)
  local output, errors, code = run(arguments)
  assert.equal("", errors)
  assert.equal(expected, output)
  assert.equal(0, code)
end

--- Nothing but one line on stderr, and that exit code.
local function assert_refused(message, expected_code, arguments)
  local output, errors, code = run(arguments)
  assert.equal("", output)
  assert.equal("muster: " .. message .. "\n", errors)
  assert.equal(expected_code, code)
end

describe("bad input", function()
  after_each(program.remove_files)

  local function usage(message, ...) assert_refused(message .. " (try 'muster --help')", 2, { ... }) end

  it("names an unknown option, and exits 2", function()
    usage("unrecognized option '-h'", "-h")
    usage("unrecognized option '---'", "---")
    usage("unrecognized option '--sed'", "--sed", "1")
    usage("unrecognized option '--seeds'", "--seeds", "1")
    usage("unrecognized option '-Ex'", "-Ex")
    usage("unrecognized option '-iv'", "-iv")
    usage("unrecognized option '--stats=yes'", "--stats=yes")
  end)

  it("names an option whose argument is missing", function()
    usage("'-e' needs argument", "-e")
    usage("'-e' needs argument", "-e", "-v")
    usage("'-l' needs argument", "-l")
    usage("'--seed' needs argument", "--seed")
    usage("'--cleanup-limit' needs argument", "--stats", "--cleanup-limit")
  end)

  it("names an option with a bad value, and the value", function()
    for _, value in ipairs { "x", "", "-1", "1.5", "12x", "99999999999999999999" } do
      usage(("bad value for '--seed': '%s'"):format(value), "--seed", value)
      usage(("bad value for '--seed': '%s'"):format(value), "--seed=" .. value)
    end
    for _, value in ipairs { "x", "", "-1", "nan", "inf", "1s" } do
      usage(("bad value for '--cleanup-limit': '%s'"):format(value), "--cleanup-limit", value)
    end
  end)

  it("runs nothing before the whole command line is read", function()
    usage("unrecognized option '-z'", "-e", "print 'ran'", "-z")
  end)

  it("says why a script cannot be read", function()
    assert_refused("cannot open /nowhere/script.lua: No such file or directory", 1, { "/nowhere/script.lua" })
    assert_refused("cannot read /: Is a directory", 1, { "/" })
    assert_refused("cannot open /nowhere/init: No such file or directory", 1, { env = "LUA_INIT=@/nowhere/init" })
  end)

  it("says where the syntax is wrong", function()
    local script = program.file "local x = 1\nx = = 2\n"
    assert_refused(script .. ":2: unexpected symbol near '='", 1, { script })
    assert_refused("(command line):1: syntax error near <eof>", 1, { "-e", "x" })
    assert_refused("stdin:1: syntax error near <eof>", 1, { "-", stdin = "x" })
    assert_refused("LUA_INIT:1: syntax error near <eof>", 1, { env = "LUA_INIT=x" })
  end)

  it("says that 'arg' is no table any more", function()
    assert_refused("'arg' is not a table", 1, { "-e", "arg = 1", "-" })
  end)

  it("makes an error of it when memory runs out", function()
    local env = "ASAN_OPTIONS=allocator_may_return_null=1"
    local _, errors, code = run { "-e", "io.read(1 << 48)", env = env }
    assert.match("muster: not enough memory\n", errors, 1, true)
    assert.equal(1, code)
    local output = run { "-e", "print(pcall(io.read, 1 << 48))", env = env }
    assert.equal("false\tnot enough memory\n", output)
  end)
end)

describe("the options of the standard interpreter", function()
  after_each(program.remove_files)

  it("run chunks, modules and the script in their order", function()
    local script = program.file "print('script', ...)"
    assert_output("1\n2\nscript\ta\t-v\n", { "-eprint(1)", "-e", "print(2)", script, "a", "-v" })
    assert_output("0.0\t3\n", { "-l", "m=math", "-lstring", "-e", "print(m.sin(0), string.len 'abc')" })
  end)

  it("give `arg` its negative indices", function()
    local script = program.file "for i = -5, 3 do io.write(tostring(arg[i]), ' ') end print(#arg)"
    assert_output(("nil %s -E --seed 7 %s a b nil 2\n"):format(program.path, script),
      { slow = true, "-E", "--seed", "7", script, "a", "b" })
    assert_output(program.path .. "\t-e\tnil\n", { slow = true, "-e", "print(arg[0], arg[1], arg[3])" })
  end)

  it("take the script's arguments from `arg` as it is when the script begins", function()
    assert_output("x\t2\n", { "-e", "arg[1] = 'x'", "-", "1", "2", stdin = "print(...)" })
  end)

  it("pass any number of arguments", function()
    local arguments = { "-", stdin = "print(select('#', ...), (select(1000, ...)))" }
    for i = 1, 1000 do arguments[i + 1] = i end
    assert_output("1000\t1000\n", arguments)
  end)

  it("run stdin without arguments, and with '-'; after '--' it is a file", function()
    assert_output("7\n", { stdin = "print(7)" })
    assert_output("a\n", { "-", "a", stdin = "print(...)" })
    assert_refused("cannot open -: No such file or directory", 1, { "--", "-", stdin = "print(7)" })
  end)

  it("skip a first line that begins with '#'", function()
    assert_output("2\n", { program.file "#!/usr/bin/env muster\nprint(debug.getinfo(1).currentline)" })
    assert_output("", { program.file "#!/usr/bin/env muster" })
  end)

  it("read LUA_INIT_5_4 before LUA_INIT, as code or as a file, and `arg` is there", function()
    assert_output("10\n", { env = "LUA_INIT_5_4='X = 10' LUA_INIT='X = 3'", "-e", "print(X)" })
    assert_output("a\n", { env = "LUA_INIT=@" .. program.file "X = arg[1]", "-", "a", stdin = "print(X)" })
    assert_output("", { env = "LUA_INIT=", stdin = "" })
  end)

  it("ignore the environment with -E, but leave it to os.getenv", function()
    local env = "LUA_INIT='error(1)' LUA_PATH=x LUA_CPATH_5_4=y MUSTER_PATH=/nowhere"
    local show = "print(package.path:match '^x' or 'default', package.cpath == 'y', os.getenv 'LUA_PATH', "
      .. "os.getenv 'LUA_CPATH_5_4', os.getenv 'LUA_CPATH', (pcall(require, 'muster')))"
    assert_output("default\tfalse\tx\ty\tnil\ttrue\n", { env = env, "-E", "-e", show })
    assert_output("x\ttrue\tx\ty\tnil\tfalse\n", { env = env:gsub("error%(1%)", ""), "-e", show })
  end)

  it("turn warnings on with -W, from there", function()
    local _, errors = run { "-e", "warn 'a'", "-W", "-e", "warn 'b'" }
    assert.equal("Lua warning: b\n", errors)
  end)

  it("show the version with -v, and go on if there is something to run", function()
    assert.match("^Lua 5%.4%.%d .*PUC%-Rio\n$", (run { "-v", stdin = "print 'not run'" }))
    assert.match("PUC%-Rio\nhello\n$", (run { "-v", "-e", "print 'hello'" }))
  end)
end)

describe("the options of muster", function()
  after_each(program.remove_files)

  it("--help and --version print on stdout and run nothing", function()
    local output, errors, code = run { "--help", "/nowhere/script.lua" }
    assert.match("^usage: .*%[options%] %[script %[args%]%]\n", output)
    for _, option in ipairs { "-e", "-l", "-i", "-v", "-E", "-W", "--virtual-time", "--seed", "--stats",
      "--cleanup-limit", "--help", "--version", "MUSTER_PATH" } do
      assert.truthy(output:find(option, 1, true), option)
    end
    assert.same({ "", 0 }, { errors, code })
    assert.match("^muster %d+%.%d+%.%d+, Lua 5%.4%.%d+\n$", (run { "--version" }))
  end)

  it("--virtual-time jumps over sleeps", function()
    assert_output("3600.0\n", { "--virtual-time", "-e",
      "local async = require 'muster' local t = async.now() async.sleep(3600) print(async.now() - t)" })
  end)

  local order = [[
    local async = require "muster"
    for i = 1, 9 do async.spawn(function() io.write(i) end) end]]

  it("--seed shuffles reproducibly; 0 is the order of starting", function()
    local shuffled = run { "--seed", "7", "-e", order }
    assert.not_equal("123456789", shuffled)
    assert.equal(9, #shuffled)
    assert.equal(shuffled, (run { "--seed=7", "-e", order }))
    assert.not_equal(shuffled, (run { "--seed=8", "-e", order }))
    assert_output("123456789", { "--seed", "0", "-e", order })
  end)

  it("--stats prints counters at the end, also after an error", function()
    local pattern = "muster: statistics\n  tasks +10, .*; 0 unhandled\n.*\n$"
    assert.match("^" .. pattern, select(2, run { "--stats", "-e", order }))
    assert.match("broken\n.*" .. pattern, select(2, run { "--stats", "-e", order .. " error 'broken'" }))
  end)

  it("--cleanup-limit ends clean-up that takes longer", function()
    local code = [[
      local async = require "muster"
      async.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          async.shield(async.sleep, 1e9)
          print "cleaned up"
        end })
        async.sleep(1e9)
      end):daemon()
      async.yield()]]
    assert.equal("", (run { "--virtual-time", "--cleanup-limit", "1", "-e", code }))
    assert.equal("cleaned up\n", (run { "--virtual-time", "-e", code }))
  end)

  it("MUSTER_PATH replaces the library", function()
    local _, errors, code = run { env = "MUSTER_PATH=/nowhere", "-l", "muster" }
    assert.match("/nowhere/muster/init.lua", errors, 1, true)
    assert.equal(1, code)
    assert_output("", { env = "MUSTER_PATH=", "-l", "muster" })
    assert_output("function\n", { env = "MUSTER_PATH=lua", "-l", "muster", "-e", "print(type(muster.gather))" })
  end)
end)
