-- lua/muster/stream/file.lua and ready.lua: positions, which processes share; FIFOs, devices, and what has no size.
local async = require "muster"
local files = require "spec.support.files"
local fs = require "muster.fs"
local process = require "muster.process"
local program = require "spec.support.program"
local spec = require "spec.support.io"

local start, failed, cancel, turns, raises = spec.start, spec.failed, spec.cancel, spec.turns, spec.raises
local inside = files.inside

local function make_fifo(path)
  assert(os.execute("mkfifo " .. program.quoted(path)))
  return path
end

describe("a position", function()
  it("goes on in a child that has the file as its output, and afterwards here", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w+"))
    assert(file:write "before\n")
    assert(process.run({"echo", "child"}, {stdout = file}).ok)
    assert(file:write "after\n")
    assert.equal("before\nchild\nafter\n", fs.read(at "f"))
    file:seek "set"
    assert.equal("before", file:read_until "\n")
    assert(process.run({"printf", "CHILD"}, {stdout = file}).ok)
    assert.equal("\nafter\n", file:read_all())
  end))

  it("goes on in a child that has the file as its input, whatever was read ahead", inside(function(at)
    assert(fs.write(at "f", "head\nrest\nof it"))
    local file <close> = assert(fs.open(at "f"))
    assert.equal("head", file:read_until "\n")
    assert.equal("rest\nof it", process.run({"cat"}, {stdin = file}).stdout)
    assert.is_nil(file:read())
    file:seek("set", 2)
    assert.equal("ad\nrest\nof it", process.run({"cat"}, {stdin = file}).stdout)
  end))

  it("of a file to be added to is its end, and that of reading its beginning", inside(function(at)
    assert(fs.write(at "f", "12345"))
    local file <close> = assert(fs.open(at "f", "a"))
    assert.equal(5, file:seek())
    assert(fs.append(at "f", "6"))
    assert(file:write "7")
    assert.equal(7, file:seek())
    local both <close> = assert(fs.open(at "f", "a+"))
    assert.equal(0, both:seek())
    assert.equal("123", both:read(3))
    assert(both:write "8")
    assert.equal(8, both:seek())
    assert.is_nil(both:read())
    assert.equal("12345678", fs.read(at "f"))
  end))

  it("is not moved by a seek to where nothing can be", inside(function(at)
    assert(fs.write(at "f", "12345"))
    local file <close> = assert(fs.open(at "f"))
    assert.equal("12", file:read(2))
    failed("io", "EINVAL", file:seek("cur", -3))
    failed("io", "EINVAL", file:seek("end", -6))
    failed("io", "EINVAL", file:seek("set", math.mininteger))
    assert.equal("345", file:read())
  end))

  it("of a program's own input is where it read to", inside(function(at)
    assert(fs.write(at "f", "one\ntwo\n"))
    local script = [[local io = require "muster.stdio"
      io.stdin:read_until "\n"
      io.stdout:write(require "muster.process".run({"cat"}, {stdin = io.stdin}).stdout)]]
    local file <close> = assert(fs.open(at "f"))
    assert.equal("two\n", process.run({program.path, "-e", script}, {stdin = file}).stdout)
  end))
end)

describe("a FIFO", function()
  it("is read to the end, by whoever comes first", inside(function(at)
    make_fifo(at "fifo")
    local task = start(fs.read, at "fifo")
    turns(20)
    assert.equal("waiting", task:status())
    local text = ("0123456789"):rep(100000)
    assert(process.run({"sh", "-c", "cat > " .. program.quoted(at "fifo")}, {input = text}).ok)
    assert.is_true(task:await() == text)
    local writer <close> = assert(process.spawn({"sh", "-c", "echo late > " .. program.quoted(at "fifo")}))
    assert.equal("late\n", fs.read(at "fifo"))
    writer:wait()
  end))

  it("is written to as fast as it is read", inside(function(at)
    make_fifo(at "fifo")
    local file <close> = assert(fs.open(at "fifo", "r+"))
    local text = ("0123456789"):rep(100000)
    local writer = start(file.write, file, text)
    turns(20)
    assert.equal("waiting", writer:status())
    assert.is_true(file:read_exactly(#text) == text)
    assert.is_true(writer:await())
    failed("io", "ESPIPE", file:seek())
  end))

  it("that has no data: cancelled, closed meanwhile, one task reading and one writing", inside(function(at)
    make_fifo(at "fifo")
    local file = assert(fs.open(at "fifo", "r+"))
    local reader = start(file.read, file)
    turns(20)
    cancel(reader)
    reader = start(file.read, file)
    local writer = start(file.write, file, "x")
    assert.is_true(writer:await())
    assert.equal("x", reader:await())
    reader = start(file.read, file)
    writer = start(file.write, file, ("x"):rep(1000000))
    assert(#reader:await() > 0)
    reader = start(file.read_exactly, file, 10000000)
    turns(50)
    file:close()
    failed("closed", nil, reader:await())
    failed("closed", nil, writer:await())
  end))

  it("whose reader has gone is an error", inside(function(at)
    make_fifo(at "fifo")
    local reader = assert(fs.open(at "fifo"))
    local file <close> = assert(fs.open(at "fifo", "w"))
    local writer = start(file.write, file, ("x"):rep(1000000))
    turns(20)
    reader:close()
    failed("reset", "EPIPE", writer:await())
  end))

  it("waits without a thread of the pool", inside(function(at)
    local tasks = {}
    for i = 1, 20 do tasks[i] = start(fs.read, make_fifo(at(i))) end
    assert(fs.write(at "f", "others go on"))
    assert.equal("others go on", fs.read(at "f"))
    for _, task in ipairs(tasks) do cancel(task) end
  end))

  it("as a child's input is refused if what it held was read already", inside(function(at)
    make_fifo(at "fifo")
    local file <close> = assert(fs.open(at "fifo", "r+"))
    assert(file:write "ab")
    assert.equal("a", file:read(1))
    raises("stdin has been read from already", process.run, {"cat"}, {stdin = file})
  end))
end)

describe("what has no size, or not that one", function()
  it("/dev/stdin, as a pipe and as a file", inside(function(at)
    local command = {program.path, "-e", "io.write(require 'muster.fs'.read '/dev/stdin')"}
    local text = ("0123456789"):rep(100000)
    assert.is_true(process.run(command, {input = text}).stdout == text)
    assert(fs.write(at "f", "in a file"))
    local file <close> = assert(fs.open(at "f"))
    assert.equal("in a file", process.run(command, {stdin = file}).stdout)
    assert.equal("", process.run(command).stdout)
    local child <close> = assert(process.spawn(command))
    assert(child.stdin:write "slowly, ")
    async.yield()
    assert(child.stdin:write "in pieces")
    child.stdin:close()
    assert.equal("slowly, in pieces", child.stdout:read_all())
  end))

  it("files of /proc and /sys", inside(function()
    assert.matches("^%d+ ", fs.read "/proc/self/stat")
    assert.equal(io.open "/proc/self/status":read "a":match "Name:%C*", fs.read "/proc/self/status":match "Name:%C*")
    local path = "/sys/kernel/mm/transparent_hugepage/enabled"
    local file <close> = io.open(path)
    if not file then return end
    local text = file:read "a"
    assert.equal(text, fs.read(path))
    assert.equal(text, fs.read(path, {max = #text})) -- its size is said to be 4096
    failed("too_large", nil, fs.read(path, {max = #text - 1}))
  end))

  it("a file larger than memory is too large, at once", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w"))
    assert(file:truncate(1 << 42))
    failed("too_large", nil, fs.read(at "f", {max = 1000000}))
  end))
end)
