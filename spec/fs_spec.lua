-- lua/muster/fs.lua and what is below lua/muster/fs: in a directory of its own for each spec.
-- luacheck: ignore 542 (loops that only read)
local async = require "muster"
local files = require "spec.support.files"
local fs = require "muster.fs"
local program = require "spec.support.program"
local spec = require "spec.support.io"
local uv = require "luv"

local start, raises, failed, cancel, turns = spec.start, spec.raises, spec.failed, spec.cancel, spec.turns
local inside, make = files.inside, files.make

local BYTES = {}
for i = 0, 255 do BYTES[i + 1] = string.char(i) end
BYTES = table.concat(BYTES)

--- Runs a command without root's power over permissions, if there is that.
local function as_nobody(script)
  local command = ("%s -e %s"):format(program.quoted(program.path), program.quoted(script))
  if uv.getuid() == 0 then
    command = "setpriv --reuid 65534 --regid 65534 --clear-groups " .. command
  end
  return program.sh(command)
end

describe("fs: wrong arguments", function()
  it("paths", function()
    for _, name in ipairs {"open", "read", "write", "append", "lines", "chunks", "stat", "exists", "list", "walk",
                           "glob", "mkdir", "rm", "rename", "watch"} do
      for _, path in ipairs {"", "a\0b", 1, {}} do raises(name .. ": expected a ", fs[name], path, "") end
      raises(name .. ": expected a path", fs[name])
    end
    raises("rename: expected a ", fs.rename, "a", "")
  end)

  it("options", function()
    for name, opts in pairs {open = {mode = -1}, read = {max = 0}, write = {atomic = 1}, append = {mode = "644"},
                             lines = {max = 1.5}, chunks = {size = 0}, stat = {follow = 0}, walk = {depth = 0},
                             glob = {root = ""}, mkdir = {parents = 1}, rm = {recursive = "yes"}} do
      local second = (name == "open" or name == "write" or name == "append") and "r" or nil
      local function call(o)
        if second then return fs[name]("x", second, o) end
        return fs[name]("x", o)
      end
      raises(name .. ": option '" .. next(opts) .. "' must be", call, opts)
      raises(name .. ": unknown option 'wrong'", call, {wrong = true})
      raises(name .. ": options must be a table", call, 1)
    end
    for _, name in ipairs {"tmp_file", "tmp_dir"} do
      raises(name .. ": option 'dir' must be", fs[name], {dir = ""})
      raises(name .. ": option 'prefix' must be", fs[name], {prefix = "a/b"})
      raises(name .. ": unknown option", fs[name], {mode = 1})
    end
    for _, mode in ipairs {"", "rw", "z", 1, {}} do raises("open: expected a mode", fs.open, "x", mode) end
    raises("write: expected a string", fs.write, "x", 1)
    raises("append: expected a string", fs.append, "x")
  end)
end)

describe("fs: failures", function()
  it("what is not there", inside(function(at)
    local path = at "missing"
    local err = failed("not_found", "ENOENT", fs.read(path))
    assert.equal(("read %s: no such file or directory"):format(path), tostring(err))
    assert.equal(path, err.path)
    assert.is_false(err.retryable)
    failed("not_found", "ENOENT", fs.open(path))
    failed("not_found", "ENOENT", fs.open(path, "r+"))
    failed("not_found", "ENOENT", fs.stat(path))
    failed("not_found", "ENOENT", fs.list(path))
    failed("not_found", "ENOENT", fs.rm(path))
    failed("not_found", "ENOENT", fs.rm(path, {recursive = true}))
    failed("not_found", "ENOENT", fs.rename(path, at "x"))
    failed("not_found", "ENOENT", fs.write(path .. "/x", ""))
    failed("not_found", "ENOENT", fs.write(path .. "/x", "", {atomic = true}))
    failed("not_found", "ENOENT", fs.mkdir(path .. "/x"))
    failed("not_found", "ENOENT", nil, select(2, pcall(fs.watch, path)))
    raises("watch .*: no such file or directory", function() for _ in fs.watch(path) do end end)
    failed("not_found", "ENOENT", fs.tmp_file {dir = path})
    failed("not_found", "ENOENT", fs.tmp_dir {dir = path})
    raises("no such file", fs.lines, path)
    raises("no such file", fs.chunks, path)
    raises("no such file", fs.walk(path))
    assert.is_true(fs.rm(path, {missing_ok = true}))
    assert.is_false(fs.exists(path))
    assert.same({}, fs.glob(path .. "/*"))
  end))

  it("what is of another kind", inside(function(at)
    assert(fs.write(at "file", "x"))
    failed("is_directory", "EISDIR", fs.read(at()))
    failed("is_directory", "EISDIR", fs.write(at(), "x"))
    failed("is_directory", "EISDIR", fs.write(at(), "x", {atomic = true}))
    failed("not_directory", "ENOTDIR", fs.list(at "file"))
    failed("not_directory", "ENOTDIR", fs.read(at "file/x"))
    failed("not_directory", "ENOTDIR", fs.mkdir(at "file/x", {parents = true}))
    failed("exists", "EEXIST", fs.mkdir(at "file", {parents = true}))
    failed("exists", "EEXIST", fs.mkdir(at()))
    failed("exists", "EEXIST", fs.open(at "file", "x"))
    failed("io", "EINVAL", fs.rename(at(), at "file"))
    assert.is_false(fs.exists(at "file/x"))
    assert.equal("file", table.concat(fs.list(at()), " "))
    make(at, "full/x")
    failed("not_empty", "ENOTEMPTY", fs.rm(at "full"))
    failed("too_large", "ENAMETOOLONG", fs.write(at(("x"):rep(300)), ""))
    assert(uv.fs_symlink("loop", at "loop"))
    failed("loop", "ELOOP", fs.read(at "loop"))
  end))

  it("what is not allowed", inside(function(at)
    finally(program.remove_files)
    make(at, "closed/x file")
    uv.fs_chmod(at(), 493) -- 0755
    uv.fs_chmod(at "closed", 0)
    uv.fs_chmod(at "file", 0)
    local output, errors, code = as_nobody(([[
      local fs, at = require "muster.fs", %q
      local function show(result, err) print(result, err and err.kind, err and err.code) end
      show(fs.read(at .. "/file"))
      show(fs.list(at .. "/closed"))
      show(fs.exists(at .. "/closed/x"))
      show(fs.mkdir(at .. "/new"))
      show(fs.write(at .. "/new", "", {atomic = true}))
      show(fs.rm(at .. "/file"))
      show(pcall(function() for _ in fs.walk(at) do end end))
      fs.walk(at, {on_error = function(err) show(nil, err) end})
      for _ in fs.walk(at, {on_error = function(err) show(nil, err) end}) do end
      show(#fs.glob(at .. "/**"))]]):format(at()))
    local denied = "permission\tEACCES\n"
    assert.same({("nil\t"):rep(1) .. denied .. "nil\t" .. denied .. "false\t" .. denied .. "nil\t" .. denied ..
      "nil\t" .. denied .. "nil\t" .. denied .. "false\t" .. denied .. "nil\t" .. denied .. "2\tnil\tnil\n", "", 0},
      {output, errors, code})
    uv.fs_chmod(at "closed", 448) -- 0700
  end))

  it("a device that is full", inside(function()
    failed("full", "ENOSPC", fs.write("/dev/full", "x"))
    failed("full", "ENOSPC", fs.append("/dev/full", "x"))
  end))

  it("a pipe that nobody reads", inside(function(at)
    assert(os.execute("mkfifo " .. program.quoted(at "fifo")))
    failed("io", "ENXIO", fs.write(at "fifo", "x"))
  end))

  it("no descriptor is left: an error, which leaves nothing", spec.checked(function()
    finally(program.remove_files)
    local script = program.file [[
      local fs, uv = require "muster.fs", require "luv"
      assert(fs.exists "/")
      local fds = {}
      for fd in function() return (uv.fs_open("/dev/null", "r", 0)) end do table.insert(fds, fd) end
      local text, err = fs.read "/dev/null"
      print(text, err.kind, err.retryable)
      print(select(2, fs.list "/").kind)
      uv.fs_close(table.remove(fds))
      print(fs.read "/dev/null" == "", fs.read "/dev/null" == "")]]
    local output, errors, code = program.sh(("ulimit -n 40; %s %s"):format(program.path, script))
    assert.same({"nil\ttoo_many\ttrue\ntoo_many\ntrue\ttrue\n", "", 0}, {output, errors, code})
  end))
end)

describe("fs: read and write", function()
  it("binary, empty, large", inside(function(at)
    for _, text in ipairs {"", "x", BYTES, BYTES:rep(20000)} do
      assert.is_true(fs.write(at "f", text))
      assert.is_true(fs.read(at "f") == text)
      assert.is_true(fs.write(at "f", text, {atomic = true}))
      assert.is_true(fs.read(at "f") == text)
    end
    assert.equal("f", table.concat(fs.list(at()), " "))
  end))

  it("read: at the limit, beyond it, without a size, while it grows", inside(function(at)
    assert(fs.write(at "f", "12345"))
    assert.equal("12345", fs.read(at "f", {max = 5}))
    for _, n in ipairs {6, math.maxinteger, math.huge} do assert.equal("12345", fs.read(at "f", {max = n})) end
    raises("chunks: option 'size' must be an integer of at least 1, got inf", fs.chunks, at "f", {size = math.huge})
    failed("too_large", nil, fs.read(at "f", {max = 4}))
    failed("too_large", nil, fs.read("/dev/zero", {max = 1000000}))
    assert.matches("^%d+ ", fs.read "/proc/self/stat")
    failed("too_large", nil, fs.read("/proc/self/maps", {max = 10}))
    assert.equal("", fs.read "/dev/null")
  end))

  it("append makes it, and adds", inside(function(at)
    assert(fs.append(at "f", "a"))
    assert(fs.append(at "f", "b", {sync = true}))
    assert.equal("ab", fs.read(at "f"))
    async.map({1, 2, 3, 4, 5, 6, 7, 8, 9}, function() assert(fs.append(at "f", "c")) end)
    assert.equal("ab" .. ("c"):rep(9), fs.read(at "f"))
  end))

  it("permissions: given, of the umask, kept by atomic", inside(function(at)
    assert(fs.write(at "a", "", {mode = 384})) -- 0600
    assert.equal(384, fs.stat(at "a").mode)
    assert(fs.write(at "b", ""))
    assert(fs.write(at "c", "", {atomic = true}))
    assert.equal(fs.stat(at "b").mode, fs.stat(at "c").mode)
    uv.fs_chmod(at "a", 510) -- 0776
    assert(fs.write(at "a", "new", {atomic = true}))
    assert.equal(510, fs.stat(at "a").mode)
    assert.equal("new", fs.read(at "a"))
  end))

  it("atomic: through a link, which stays one", inside(function(at)
    make(at, "d/")
    assert(uv.fs_symlink("d/file", at "link"))
    assert(fs.write(at "d/file", "old"))
    assert(fs.write(at "link", "new", {atomic = true}))
    assert.equal("link", fs.stat(at "link", {follow = false}).type)
    assert.equal("new", fs.read(at "d/file"))
  end))

  it("atomic: a reader never sees a part, and nothing is left over", inside(function(at)
    assert(fs.write(at "f", ("0"):rep(1000000)))
    local writer = async.spawn(function()
      for i = 1, 20 do assert(fs.write(at "f", tostring(i % 10):rep(1000000), {atomic = true})) end
    end)
    while writer:status() ~= "done" do
      local text = assert(fs.read(at "f"))
      assert.is_true(#text == 1000000 and text == text:sub(1, 1):rep(1000000))
    end
    assert.same({"f"}, fs.list(at()))
  end))

  it("atomic: killed at any time, leaves the old or the new", inside(function(at)
    finally(program.remove_files)
    assert(fs.write(at "f", ("old"):rep(100000)))
    for i = 1, 5 do
      program.sh(("timeout -s KILL 0.0%d %s -e %s"):format(i * 2, program.path, program.quoted(([[
        while true do require "muster.fs".write(%q, ("new"):rep(100000), {atomic = true}) end]]):format(at "f"))))
      local text = fs.read(at "f")
      assert.is_true(text == ("old"):rep(100000) or text == ("new"):rep(100000))
    end
  end))

  it("cancelled at any time: nothing is left open, and atomic leaves the old or the new", inside(function(at)
    assert(fs.write(at "f", "old"))
    for _, opts in ipairs {{atomic = true}, {}} do
      for n = 0, 30 do
        local task = async.spawn(fs.write, at "f", ("new"):rep(100000), opts)
        turns(n)
        task:cancel()
        task:pawait()
        local text = fs.read(at "f")
        if opts.atomic then assert.is_true(text == "old" or text == ("new"):rep(100000)) end
      end
      if opts.atomic then assert.same({"f"}, fs.list(at())) end
    end
    for n = 0, 10 do
      local tasks = {async.spawn(fs.read, at "f"), async.spawn(fs.list, at()), async.spawn(fs.tmp_file),
        async.spawn(fs.tmp_dir), async.spawn(fs.stat, at "f"), async.spawn(fs.glob, at "*"),
        async.spawn(function() for _ in fs.lines(at "f") do end end), async.spawn(fs.mkdir, at "d/e", {parents = true})}
      turns(n)
      for _, task in ipairs(tasks) do task:cancel() end
      for _, task in ipairs(tasks) do task:pawait() end
    end
  end))

  it("in a cancelled task raise at once", inside(function(at)
    for _, name in ipairs {"read", "write", "append", "stat", "list", "mkdir", "rm", "rename", "glob", "open", "exists",
                           "watch", "tmp_dir"} do
      local task = async.spawn(function()
        pcall(async.sleep, 10)
        if name == "tmp_dir" then fs.tmp_dir() end
        fs[name](at "new", (name == "write" or name == "append" or name == "rename") and "x" or nil)
      end)
      turns()
      cancel(task)
    end
    assert.same({}, fs.list(at()))
  end))

  it("many at once, more than there are threads", inside(function(at)
    local list = {}
    for i = 1, 500 do list[i] = i end
    async.map(list, function(i) assert(fs.write(at(i), "text " .. i)) end, {limit = 100})
    for i, text in ipairs(async.map(list, function(i) return assert(fs.read(at(i))) end)) do
      assert.equal("text " .. i, text)
    end
  end))
end)

describe("fs: open files", function()
  it("modes", inside(function(at)
    local function text(mode, data)
      local file <close> = assert(fs.open(at "f", mode))
      if data then assert(file:write(data)) end
      file:seek "set"
      return file:read_all()
    end
    assert.equal("new", text("x+", "new"))
    assert.equal("Xew", text("r+", "X"))
    assert.equal("XewY", text("a+", "Y"))
    assert.equal("XewY", text "r")
    assert.equal("XewY", text "rb")
    assert.equal("Z", text("w+", "Z"))
    local file <close> = assert(fs.open(at "f"))
    failed("closed", "EBADF", file:write "x")
    local other <close> = assert(fs.open(at "f", "w"))
    failed("closed", "EBADF", other:read())
  end))

  it("read, write and seek share one position", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w+"))
    assert(file:write "one\ntwo\nthree\n")
    assert.equal(14, file:seek())
    assert.equal(4, file:seek("set", 4))
    assert.equal("two", file:read_until "\n")
    assert.equal(8, file:seek "cur")
    assert(file:write "THREE")
    assert.equal("\n", file:read_all())
    assert.equal(9, file:seek("end", -5))
    assert.equal("HREE\n", file:read())
    assert.is_nil(file:read())
    failed("io", "EINVAL", file:seek("set", -1))
    raises("seek: expected", file.seek, file, "middle")
    raises("seek: expected an integer", file.seek, file, "set", 1.5)
    assert.equal(100, file:seek("set", 100))
    assert(file:write "x")
    assert.equal(101, file:stat().size)
    assert(file:truncate(3))
    assert.equal(3, file:stat().size)
    assert(file:sync())
    assert(file:truncate())
    raises("truncate: option 'size' must be", file.truncate, file, -1)
    assert.equal("", fs.read(at "f"))
  end))

  it("lines, chunks, read_exactly, read_until", inside(function(at)
    assert(fs.write(at "f", "a\n\nb\r\n" .. BYTES:sub(12)))
    local file <close> = assert(fs.open(at "f"))
    local lines = {}
    for line in file:lines() do table.insert(lines, line) end
    assert.same({"a", "", "b\r", BYTES:sub(12)}, lines)
    file:seek "set"
    local parts = {}
    for part in file:chunks {size = 100} do table.insert(parts, part) end
    assert.equal(100, #parts[1])
    assert.equal("a\n\nb\r\n" .. BYTES:sub(12), table.concat(parts))
    file:seek "set"
    assert.equal("a\n\n", file:read_exactly(3))
    assert.equal("incomplete", select(2, file:read_exactly(1000)).kind)
  end))

  it("closed: twice, used after, by another task, while a thread is at work", inside(function(at)
    assert(fs.write(at "f", BYTES))
    local file = assert(fs.open(at "f", "r+"))
    assert.equal("\0", file:read(1))
    local reading = start(function()
      file:seek("set", 100)
      return file:read()
    end)
    file:close()
    file:close()
    local text, err = reading:await()
    assert.is_true(text == nil and err.kind == "closed")
    for _, method in ipairs {"read", "read_all", "stat", "sync", "truncate", "seek"} do
      failed("closed", nil, file[method](file))
    end
    failed("closed", nil, file:write "x")
    assert.is_true(file:is_closed())
    assert.matches("closed", tostring(file))
  end))

  it("a cancelled read loses nothing", inside(function(at)
    local lines = {}
    for i = 1, 100000 do lines[i] = "line " .. i end
    assert(fs.write(at "f", table.concat(lines, "\n") .. "\n"))
    local file <close> = assert(fs.open(at "f"))
    for i = 1, 100000 do
      if i % 1000 == 0 then
        local task = async.spawn(file.read_exactly, file, 600000)
        turns(i // 1000 % 5)
        task:cancel()
        local ok, text = task:pawait()
        if ok then file:seek("cur", -#text) end
      end
      assert.equal(lines[i], file:read_until "\n")
    end
  end))

  it("writes of many tasks do not mix", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w"))
    local list = {}
    for i = 1, 100 do list[i] = i end
    async.map(list, function(i) assert(file:write(("%03d"):format(i):rep(1000) .. "\n")) end)
    local seen = 0
    for line in fs.lines(at "f") do
      assert.equal(line:sub(1, 3):rep(1000), line)
      seen = seen + 1
    end
    assert.equal(100, seen)
  end))

  it("that nobody holds is collected, and closed", inside(function(at)
    for _ = 1, 100 do assert(fs.open(at "f", "w")) end
  end))

  it("a child process has one as its output", inside(function(at)
    local process = require "muster.process"
    local file <close> = assert(fs.open(at "f", "a"))
    assert(process.run({"echo", "from a child"}, {stdout = file}).ok)
    assert.equal("from a child\n", fs.read(at "f"))
    file:close()
    failed("closed", nil, process.run({"echo"}, {stdout = file}))
  end))
end)

describe("fs: lines and chunks", function()
  it("of a huge file, in constant memory", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w"))
    local line = ("x"):rep(99) .. "\n"
    for _ = 1, 64 do assert(file:write(line:rep(10000))) end
    collectgarbage()
    local before, most, n = collectgarbage "count", 0, 0
    for text in fs.lines(at "f") do
      n = n + 1
      if n % 1000 == 0 then most = math.max(most, collectgarbage "count") end
      assert(#text == 99)
    end
    assert.equal(640000, n)
    n = 0
    for chunk in fs.chunks(at "f", {size = 1000000}) do
      n = n + #chunk
      most = math.max(most, collectgarbage "count")
    end
    assert.equal(64000000, n)
    assert.is_true(most - before < 16 * 1024, "KB more: " .. most - before)
  end))

  it("a line beyond the limit raises", inside(function(at)
    assert(fs.write(at "f", "12345\n123456"))
    local lines = fs.lines(at "f", {max = 5})
    assert.equal("12345", lines())
    raises("more than 5 bytes", lines)
  end))

  it("leaving the loop closes the file", inside(function(at)
    assert(fs.write(at "f", "a\nb\n"))
    for _ = 1, 50 do
      for _ in fs.lines(at "f") do break end -- luacheck: ignore 512
      pcall(function() for _ in fs.chunks(at "f") do error "x" end end) -- luacheck: ignore 512
      for _ in fs.lines(at "f") do end
    end
    assert.is_true(spec.descriptors() < 50)
  end))
end)
