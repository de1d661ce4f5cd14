-- lua/muster/fs and lua/muster/stream/file.lua: what a cancellation, a race or a raise must not leave behind.
local async = require "muster"
local files = require "spec.support.files"
local fs = require "muster.fs"
local spec = require "spec.support.io"
local uv = require "luv"

local start, raises, failed, turns = spec.start, spec.raises, spec.failed, spec.turns
local inside, with = files.inside, files.with

describe("a cancelled call", function()
  it("whose answer comes before its turn is cancelled all the same", inside(function(at)
    local answer
    with(uv, "fs_lstat", function(real, path, callback)
      return real(path, function(...)
        local values = table.pack(...)
        answer = function() callback(table.unpack(values, 1, values.n)) end
      end)
    end, function()
      local task = start(fs.stat, at(), {follow = false})
      repeat async.yield() until answer
      task:cancel()
      answer()
      local ok, err = task:pawait()
      assert.is_false(ok)
      assert.is_true(async.is_cancelled(err), tostring(err))
    end)
  end))

  it("leaves no temporary file", inside(function(at)
    for n = 0, 60 do
      local tasks = {
        async.spawn(function() local _ <close> = fs.tmp_file {dir = at()} end),
        async.spawn(fs.write, at "f", "x", {atomic = true}),
      }
      turns(n)
      for _, task in ipairs(tasks) do task:cancel() end
      for _, task in ipairs(tasks) do task:pawait() end
    end
    fs.rm(at "f", {missing_ok = true})
    assert.same({}, fs.list(at()))
  end))

  it("of reading is over before the position changes", inside(function(at)
    assert(fs.write(at "f", ("0123456789"):rep(100000)))
    for n = 1, 50 do
      local file <close> = assert(fs.open(at "f"))
      local task = start(file.read, file)
      turns(n % 3)
      task:cancel()
      assert.equal(1, file:seek("set", 1))
      turns(n % 5)
      assert.equal("123", file:read_exactly(3))
      task:pawait()
    end
  end))
end)

describe("rm, recursive", function()
  it("does not follow a link that takes a directory's place meanwhile", inside(function(at)
    assert(fs.mkdir(at "tree/victim", {parents = true}))
    assert(fs.mkdir(at "outside"))
    assert(fs.write(at "outside/precious", "x"))
    with(uv, "fs_unlink", function(real, path, callback)
      if not path:find "victim$" then return real(path, callback) end
      return real(path, function(...)
        assert(os.rename(at "tree/victim", at "moved"))
        assert(uv.fs_symlink(at "outside", at "tree/victim"))
        callback(...)
      end)
    end, function() fs.rm(at "tree", {recursive = true}) end)
    assert.is_true(fs.exists(at "outside/precious"))
  end))

  it("removes what is too deep for a path", inside(function(at)
    local name = ("x"):rep(200)
    local path = at "deep"
    assert(fs.mkdir(path))
    for _ = 1, 30 do
      assert(uv.fs_rename(path, at "up"))
      assert(uv.fs_mkdir(path, 511))
      assert(uv.fs_rename(at "up", path .. "/" .. name))
    end
    assert(fs.rm(path, {recursive = true}))
    assert.is_false(fs.exists(path))
  end))
end)

--- Makes a directory with so many more, one in the other, each with a file in it.
local function make_deep(path, depth)
  assert(fs.mkdir(path))
  local fd = assert(uv.fs_open(path, "r", 0))
  for _ = 1, depth do
    local inside_it = "/proc/self/fd/" .. fd
    assert(uv.fs_mkdir(inside_it .. "/d", 511))
    uv.fs_close(assert(uv.fs_open(inside_it .. "/f", "w", 384)))
    local deeper = assert(uv.fs_open(inside_it .. "/d", "r", 0))
    uv.fs_close(fd)
    fd = deeper
  end
  uv.fs_close(fd)
end

describe("rm, recursive, of deep trees", function()
  it("needs few descriptors", inside(function(at)
    make_deep(at "deep", 1000)
    local most = 0
    local before = spec.descriptors()
    with(uv, "fs_open", function(real, ...)
      if math.random() < 0.02 then most = math.max(most, spec.descriptors() - before) end
      return real(...)
    end, function() assert(fs.rm(at "deep", {recursive = true})) end)
    assert.is_false(fs.exists(at "deep"))
    assert.is_true(most > 1 and most < 40, "descriptors: " .. most)
  end))

  it("cancelled at any time, leaves nothing open, and can be done again", inside(function(at)
    make_deep(at "deep", 60)
    for n = 1, 100, 3 do
      local task = start(fs.rm, at "deep", {recursive = true})
      turns(n)
      task:cancel()
      task:pawait()
    end
    assert(fs.rm(at "deep", {recursive = true, missing_ok = true}))
    assert.is_false(fs.exists(at "deep"))
  end))

  it("does not go up out of a directory that is moved away meanwhile", inside(function(at)
    make_deep(at "deep", 40)
    assert(fs.mkdir(at "outside"))
    assert(fs.write(at "outside/f", "precious"))
    local moved
    with(uv, "fs_rmdir", function(real, path, callback)
      if not moved then
        moved = true
        assert(os.rename(at("deep" .. ("/d"):rep(20)), at "outside/d"))
      end
      return real(path, callback)
    end, function()
      local err = failed("io", "EBUSY", fs.rm(at "deep", {recursive = true}))
      assert.matches("/deep/d/d", err.path)
    end)
    assert.equal("precious", fs.read(at "outside/f"))
  end))

  it("names the place that cannot be removed", inside(function(at)
    make_deep(at "deep", 3)
    with(uv, "fs_unlink", function(real, path, callback)
      if not path:find "/f$" then return real(path, callback) end
      return real("/proc/version", callback)
    end, function()
      local _, err = fs.rm(at "deep", {recursive = true})
      assert.equal(at "deep/d/d/f", err.path)
      assert.equal("EPERM", err.code)
    end)
  end))

  it("of a directory that nobody holds any more", inside(function(at)
    local directory = assert(fs.tmp_dir {dir = at()})
    make_deep(directory.path .. "/deep", 300)
    directory = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({}, fs.list(at()))
  end))
end)

describe("what is refused", function()
  it("truncate: a size that is none, and the file goes on", inside(function(at)
    local file <close> = assert(fs.open(at "f", "w"))
    raises("truncate: option 'size' must be an integer of at least 0, got inf", file.truncate, file, math.huge)
    assert(file:write "x")
  end))

  it("atomic: to put a file in the place of what is none", inside(function(at)
    local pipe = at "pipe"
    assert(os.execute("mkfifo " .. pipe))
    failed("not_file", nil, fs.write(pipe, "x", {atomic = true}))
    assert.equal("fifo", fs.stat(pipe).type)
    failed("is_directory", "EISDIR", fs.write(at(), "x", {atomic = true}))
  end))
end)
