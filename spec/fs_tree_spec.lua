-- lua/muster/fs.lua: trees, patterns, temporary files, watching (lua/muster/fs/*.lua).
-- luacheck: ignore 542 (loops that only read)
local async = require "muster"
local files = require "spec.support.files"
local fs = require "muster.fs"
local spec = require "spec.support.io"
local uv = require "luv"

local start, raises, failed, cancel, turns = spec.start, spec.raises, spec.failed, spec.cancel, spec.turns
local inside, make = files.inside, files.make

local function relative(at, paths)
  local list = {}
  for i, path in ipairs(paths) do list[i] = path:sub(#at() + 2) end
  return table.concat(list, " ")
end

describe("fs: trees", function()
  it("stat, exists, list", inside(function(at)
    make(at, "b a/ .c")
    assert(uv.fs_symlink("b", at "link"))
    assert(uv.fs_symlink("nowhere", at "broken"))
    assert.same({".c", "a", "b", "broken", "link"}, fs.list(at()))
    assert.equal("directory", fs.stat(at "a").type)
    assert.equal("file", fs.stat(at "link").type)
    assert.equal("link", fs.stat(at "link", {follow = false}).type)
    assert.is_true(math.abs(fs.stat(at "b").mtime - os.time()) < 60)
    assert.is_true(fs.exists(at "link"))
    assert.is_false(fs.exists(at "broken"))
    failed("not_found", "ENOENT", fs.stat(at "broken"))
  end))

  it("walk: sorted, deep, not through links, to a depth", inside(function(at)
    make(at, "b/y b/x/z a c/")
    assert(uv.fs_symlink("..", at "c/up"))
    local function walked(opts)
      local list = {}
      for path, type in fs.walk(at(), opts) do table.insert(list, path:sub(#at() + 2) .. ":" .. type:sub(1, 1)) end
      return table.concat(list, " ")
    end
    assert.equal("a:f b:d b/x:d b/x/z:f b/y:f c:d c/up:l", walked())
    assert.equal("a:f b:d c:d", walked {depth = 1})
    local list = {}
    for path in fs.walk(at()) do
      if path == at "b" then fs.rm(path, {recursive = true}) end
      table.insert(list, path)
      if #list > 1 then break end
    end
    raises("no such file", function() for path in fs.walk(at()) do fs.rm(path, {recursive = true}) end end)
    assert.equal("", walked())
  end))

  it("walk: as deep as paths may be, and wide", inside(function(at)
    local depth = 0
    local path = at()
    while #path < 3900 do
      path = path .. "/d"
      depth = depth + 1
    end
    assert(fs.mkdir(path, {parents = true}))
    for i = 1, 1000 do uv.fs_close(assert(uv.fs_open(at("f" .. i), "w", 384))) end
    local n = 0
    for _ in fs.walk(at()) do n = n + 1 end
    assert.equal(depth + 1000, n)
  end))

  it("glob", inside(function(at)
    make(at, "a.lua b.lua c.txt .hidden.lua d/e.lua d/f/g.lua d/.h/i.lua x[1].lua é.lua")
    local function glob(pattern) return relative(at, fs.glob(pattern, {root = at()})) end
    assert.equal("a.lua b.lua x[1].lua é.lua", glob "*.lua")
    assert.equal("a.lua b.lua é.lua", glob "?.lua")
    assert.equal("a.lua b.lua c.txt", glob "[a-c].{lua,txt}")
    assert.equal("b.lua c.txt é.lua", glob "[!a]*.{lua,txt}" :gsub(" x%S+", ""))
    assert.equal(".hidden.lua", glob ".*.lua")
    assert.equal("a.lua b.lua d/e.lua d/f/g.lua x[1].lua é.lua", glob "**/*.lua")
    assert.equal("d/e.lua d/f/g.lua", glob "d/**/*.lua")
    assert.equal("d/f", glob "d/[f]")
    assert.equal("d/f/g.lua", glob "d/*/*")
    assert.equal("d d/e.lua d/f d/f/g.lua", glob "{d,d/**}")
    assert.equal("a.lua c.txt", glob "{a.lua,c.txt,nothing}")
    assert.equal("a.lua b.lua", glob "{a,{b,zz}}.lua")
    assert.equal("x[1].lua", glob "x\\[1\\].lua")
    assert.equal("x[1].lua", glob "x[[]1].lua")
    assert.equal("d/e.lua", glob "d/e.lua")
    assert.equal("", glob "nothing/*.lua")
    assert.equal("", glob "a.lua/*")
    assert.equal("", glob "[")
    assert.same({at "a.lua"}, fs.glob(at "a*"))
    assert.same({"/"}, fs.glob "/")
    for _, pattern in ipairs {"%w", "a.lu.", "a+", "^a", "[", "[]", "{", "}", "{,", "\\", "[z-a]", "[%a]", "**x"} do
      assert.is_table(fs.glob(pattern, {root = at()}))
    end
    assert.equal("lua spec", table.concat(fs.glob "{lua,spec}", " "))
  end))

  it("glob: directories only", inside(function(at)
    make(at, "a b/c d/e/f .g/")
    assert(uv.fs_symlink("b", at "link"))
    assert(uv.fs_symlink("a", at "file"))
    local function glob(pattern) return relative(at, fs.glob(pattern, {root = at()})) end
    assert.equal("b/ d/ link/", glob "*/")
    assert.equal("b/ d/ d/e/ link/", glob "**/")
    assert.equal("b/ d/ d/e/ link/", glob "**//")
    assert.equal("b/", glob "{a,b,file}/")
    assert.equal("link/", glob "link/")
    assert.equal(".g/", glob ".*/")
    assert.equal("d d/e/", glob "{d,**/e/}")
  end))

  it("glob: many stars and directories take no time", inside(function(at)
    make(at, ("a"):rep(200) .. " " .. ("d/"):rep(40) .. "f")
    local function glob(pattern) return relative(at, fs.glob(pattern, {root = at()})) end
    assert.equal("", glob(("a*"):rep(100) .. "b"))
    assert.equal("", glob(("*?"):rep(100) .. "b"))
    assert.equal(("a"):rep(200), glob(("a*"):rep(100)))
    assert.equal(("d/"):rep(40) .. "f", glob(("**/"):rep(50) .. "f"))
    assert.equal(("d/"):rep(40) .. "f", glob(("**/d/"):rep(20) .. "**/f"))
    raises("glob: the alternatives of the pattern are too many", fs.glob, ("{a,b}"):rep(100))
  end))

  it("glob: sets and single characters of UTF-8, and bytes that are none", inside(function(at)
    for _, name in ipairs {"é", "ö", "z", "\xff", "\xc3", "\n", "-", "]", "a\nb"} do assert(fs.write(at(name), "")) end
    local function glob(pattern) return relative(at, fs.glob(pattern, {root = at()})) end
    assert.equal("é ö", glob "[é-ö]")
    assert.equal("\n - ] z \xc3 é ö \xff", glob "?")
    assert.equal("\n z \xc3 ö \xff", glob "[!é\\]-]")
    assert.equal("] z", glob "[]z]")
    assert.equal("-", glob "[-]")
    assert.equal("\xff", glob "\xff")
    assert.equal("a\nb", glob "a?b")
  end))

  it("mkdir: parents, slashes, permissions, many at once", inside(function(at)
    assert(fs.mkdir(at "a"))
    assert(fs.mkdir(at "b//c/d/", {parents = true}))
    assert(fs.mkdir(at "b//c/d/", {parents = true}))
    assert.equal("directory", fs.stat(at "b/c/d").type)
    assert(fs.mkdir(at "e", {mode = 448}))
    assert.equal(448, fs.stat(at "e").mode)
    async.map({1, 2, 3, 4, 5, 6, 7, 8}, function(i) assert(fs.mkdir(at("x/y/z/" .. i % 2), {parents = true})) end)
    assert.same({"0", "1"}, fs.list(at "x/y/z"))
  end))

  it("rm: files, links, trees, by two at once", inside(function(at)
    make(at, "keep/file d/e/f d/g h")
    assert(uv.fs_symlink("../keep", at "d/link"))
    assert(uv.fs_symlink("keep", at "link"))
    assert(fs.rm(at "h"))
    assert(fs.rm(at "link"))
    assert(fs.rm(at "d", {recursive = true}))
    assert.same({"keep"}, fs.list(at()))
    assert.same({"file"}, fs.list(at "keep"))
    for i = 1, 100 do make(at, "many/" .. i .. "/x") end
    for _, result in ipairs(async.gather_settled {
      function() return assert(fs.rm(at "many", {recursive = true, missing_ok = true})) end,
      function() return assert(fs.rm(at "many", {recursive = true, missing_ok = true})) end,
    }) do assert.is_true(result.ok, tostring(result.error)) end
    assert.is_false(fs.exists(at "many"))
    assert(fs.rm(at "keep/file", {recursive = true}))
    assert(fs.rm(at "keep"))
  end))

  it("rename replaces", inside(function(at)
    assert(fs.write(at "a", "1"))
    assert(fs.write(at "b", "2"))
    assert(fs.rename(at "a", at "b"))
    assert.equal("1", fs.read(at "b"))
    assert.same({"b"}, fs.list(at()))
  end))
end)

describe("fs: for a while", function()
  it("files", inside(function(at)
    local path
    do
      local file <close> = assert(fs.tmp_file {dir = at(), prefix = "p-", suffix = ".txt"})
      path = file.path
      assert.matches("/p%-%x+%.txt$", path)
      assert.equal(384, fs.stat(path).mode) -- 0600
      assert(file:write "text")
      file:seek "set"
      assert.equal("text", file:read_all())
    end
    assert.is_false(fs.exists(path))
    local file = assert(fs.tmp_file {dir = at()})
    file:close()
    file:close()
    assert(fs.tmp_file {dir = at()})
    collectgarbage()
    collectgarbage()
    assert.same({}, fs.list(at()))
  end))

  it("directories, with what is in them", inside(function(at)
    local path
    do
      local directory <close> = assert(fs.tmp_dir {dir = at()})
      path = directory.path
      assert.equal(448, fs.stat(path).mode) -- 0700
      assert(fs.mkdir(path .. "/a/b", {parents = true}))
      assert(fs.write(path .. "/a/c", "x"))
    end
    assert.is_false(fs.exists(path))
    path = assert(fs.tmp_dir {dir = at()}).path
    assert(fs.mkdir(path .. "/a"))
    assert(fs.write(path .. "/a/c", "x"))
    collectgarbage()
    collectgarbage()
    assert.same({}, fs.list(at()))
  end))

  it("are removed when their task is cancelled", inside(function(at)
    local ready = async.event()
    local task = async.spawn(function()
      local directory <close> = assert(fs.tmp_dir {dir = at()})
      local file <close> = assert(fs.tmp_file {dir = at()})
      assert(fs.write(directory.path .. "/f", "x"))
      assert(file:write "y")
      ready:set()
      async.sleep(1000)
    end)
    ready:wait()
    assert.equal(2, #fs.list(at()))
    turns()
    cancel(task)
    assert.same({}, fs.list(at()))
  end))
end)

describe("fs: watch", function()
  it("tells of files made, changed, renamed, removed", inside(function(at)
    local watcher <close> = assert(fs.watch(at()))
    local function see(name)
      repeat
        local change = assert(watcher:next())
        assert.is_true(change.kind == "changed" or change.kind == "renamed")
      until change.name == name
    end
    assert(fs.write(at "a", "x"))
    see "a"
    assert(fs.rename(at "a", at "b"))
    see "b"
    assert(fs.rm(at "b"))
    see "b"
  end))

  it("a loop over changes, left, is closed", inside(function(at)
    local task = start(function()
      for change in fs.watch(at()) do return change.name end -- luacheck: ignore 512
    end)
    assert(fs.write(at "f", ""))
    assert.equal("f", task:await())
  end))

  it("equal changes that nobody asked for are one", inside(function(at)
    assert(fs.write(at "f", ""))
    local watcher <close> = assert(fs.watch(at "f"))
    for _ = 1, 50 do assert(fs.append(at "f", "x")) end
    turns(5)
    assert.equal("changed", watcher:next().kind)
    assert.is_true(#watcher.news.list <= 1)
  end))

  it("next: cancelled, closed meanwhile, by two tasks, after closing", inside(function(at)
    local watcher = assert(fs.watch(at()))
    cancel(start(watcher.next, watcher))
    local task = start(watcher.next, watcher)
    raises("another task watches", watcher.next, watcher)
    watcher:close()
    watcher:close()
    failed("closed", nil, task:await())
    failed("closed", nil, watcher:next())
    assert.is_nil(watcher())
  end))

  it("that nobody holds is collected", inside(function(at)
    for _ = 1, 20 do assert(fs.watch(at())) end
    collectgarbage()
    collectgarbage()
  end))
end)
