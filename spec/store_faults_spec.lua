-- What may go wrong with the file of a store: other processes, permissions, full disks, other contents.
local async = require "muster"
local fs = require "muster.fs"
local process = require "muster.process"
local program = require "spec.support.program"
local store = require "muster.store"
local files = require "spec.support.files"
local spec = require "spec.support.io"

--- What runs code in a process of its own; `$path` in it is one.
local function command(code, path)
  return {program.path, "--slow", "0", "-e", (code:gsub("%$path", ("%q"):format(path)))}
end

local function run_child(code, path) return assert(process.run(command(code, path), {timeout = 30})) end

--- A process that holds the lock of a database, until its standard input ends.
local function holder(path)
  local child = assert(process.spawn(command([[
    local db = assert(require "muster.store".open($path))
    local tx = assert(db:transaction())
    io.write "held\n"
    io.flush()
    io.read()
    os.exit(0, false)
  ]], path)))
  assert.equal("held", child.stdout:read_until "\n")
  return child
end

local function make(path)
  local db <close> = assert(store.open(path))
  assert(db:exec "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
end

describe("a database that another process has locked", function()
  it("is waited for as long as `busy_timeout`, then an error that is worth a retry", files.inside(function(at)
    make(at "a.db")
    local child <close> = holder(at "a.db")
    local db <close> = assert(store.open(at "a.db", {busy_timeout = 0.02}))
    assert.equal(1, db:one("SELECT x FROM t").x)
    local err = spec.failed("busy", "SQLITE_BUSY", db:exec "INSERT INTO t VALUES (2)")
    assert.is_true(err.retryable)
    assert.equal("store.exec: database is locked", err.message)
    spec.failed("busy", "SQLITE_BUSY", db:transaction())
    local patient <close> = assert(store.open(at "a.db", {busy_timeout = math.huge}))
    local waiting = spec.start(patient.exec, patient, "INSERT INTO t VALUES (3)")
    spec.cancel(spec.start(patient.exec, patient, "INSERT INTO t VALUES (4)"))
    child.stdin:close()
    assert(async.await(waiting))
    assert.equal(4, db:one("SELECT sum(x) AS n FROM t").n)
    child:wait()
  end))

  it("does not hold up a cancellation, nor the close", files.inside(function(at)
    make(at "a.db")
    local child <close> = holder(at "a.db")
    local db <close> = assert(store.open(at "a.db", {busy_timeout = 3600}))
    local waiting = spec.start(db.exec, db, "INSERT INTO t VALUES (2)")
    spec.turns(10)
    spec.cancel(waiting)
    waiting = spec.start(db.exec, db, "INSERT INTO t VALUES (3)")
    spec.turns(10)
    db:close()
    spec.failed("closed", nil, async.await(waiting))
    child.stdin:close()
    child:wait()
  end))

  it("is opened by many at once", files.inside(function(at)
    local tasks = {}
    for i = 1, 8 do
      tasks[i] = function()
        return run_child([[
          local db <close> = assert(require "muster.store".open($path, {busy_timeout = 30}))
          assert(db:exec "CREATE TABLE IF NOT EXISTS t (x)")
          for i = 1, 20 do assert(db:exec("INSERT INTO t VALUES (?)", i)) end
        ]], at "a.db")
      end
    end
    for _, child in ipairs(async.gather(tasks, {limit = 4})) do assert.equal(0, child.status, child.stderr) end
    local db <close> = assert(store.open(at "a.db"))
    assert.equal(160, db:one("SELECT count(*) AS n FROM t").n)
  end))
end)

describe("a file", function()
  it("that is not a database is left alone", files.inside(function(at)
    assert(fs.write(at "text", ("This is no database.\n"):rep(100)))
    local err = spec.failed("sqlite", "SQLITE_NOTADB", store.open(at "text"))
    assert.equal("store.open: file is not a database", err.message)
    assert.equal(at "text", err.path)
    assert.equal(2100, #assert(fs.read(at "text")))
  end))

  it("that cannot be is told of", files.inside(function(at)
    spec.failed("sqlite", "SQLITE_CANTOPEN", store.open(at "no/such/directory.db"))
    assert(fs.mkdir(at "directory"))
    local result, err = store.open(at "directory")
    assert(result == nil and err.kind == "sqlite")
  end))

  it("that is damaged is an error where the damage is", files.inside(function(at)
    do
      local db <close> = assert(store.open(at "a.db", {wal = false}))
      assert(db:exec "CREATE TABLE t (x)")
      local rows = {}
      for i = 1, 1000 do rows[i] = {("x"):rep(100) .. i} end
      assert(db:run_many("INSERT INTO t VALUES (?)", rows))
    end
    local text = assert(fs.read(at "a.db"))
    assert(fs.write(at "a.db", text:sub(1, 4096) .. ("\xff"):rep(#text - 4096)))
    local db <close> = assert(store.open(at "a.db", {wal = false}))
    spec.failed("sqlite", "SQLITE_CORRUPT", db:all "SELECT * FROM t")
    local ok, err = pcall(function() for _ in db:query "SELECT * FROM t" do error "no" end end)
    assert(not ok and err.code == "SQLITE_CORRUPT")
  end))

  it("that can only be read is opened only to read", files.inside(function(at)
    make(at "a.db")
    -- Root may write anywhere: a process of nobody's tries.
    local uv = require "luv"
    assert(uv.fs_chmod(at(), tonumber("755", 8)))
    assert(uv.fs_chmod(at "a.db", tonumber("444", 8)))
    if uv.getuid() ~= 0 then return spec.failed("sqlite", "SQLITE_READONLY", store.open(at "a.db")) end
    local as_nobody = command([[
      local store = require "muster.store"
      for _, opts in ipairs {{}, {wal = false}, {create = false}} do
        local db, err = store.open($path, opts)
        assert(db == nil and err.code:find "^SQLITE_READONLY", err)
        io.write(err.message, "\n")
      end
      local _, err = store.open($path .. ".new")
      assert(err.code == "SQLITE_CANTOPEN")
    ]], at "a.db")
    table.move({"setpriv", "--reuid=65534", "--clear-groups"}, 1, 3, 1, table.move(as_nobody, 1, #as_nobody, 4))
    local child = assert(process.run(as_nobody, {timeout = 30}))
    assert.equal(0, child.status, child.stderr)
    assert.match("the file can only be read", child.stdout)
  end))
end)

describe("a full disk", function()
  it("is an error; what was committed stays", files.inside(function(at)
    if require "luv".getuid() ~= 0 then return end -- only root may mount
    assert(fs.mkdir(at "small"))
    local mounted = process.run {"mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", at "small"}
    if mounted.code ~= 0 then return end
    local _ <close> = setmetatable({}, {__close = function() process.run {"umount", at "small"} end})
    local db <close> = assert(store.open(at "small/a.db"))
    assert(db:exec "CREATE TABLE t (x)")
    local n = 0
    while true do
      local ok, err = db:exec("INSERT INTO t VALUES (?)", ("x"):rep(4000))
      if err then spec.failed("sqlite", "SQLITE_FULL", ok, err) end
      if err then break end
      n = n + 1
    end
    assert(n > 0)
    local tx <close> = assert(db:transaction())
    local ok, full = tx:exec("INSERT INTO t VALUES (?)", ("x"):rep(400000))
    if ok then ok, full = tx:commit() end
    assert(ok == nil and full.code == "SQLITE_FULL")
    tx:rollback()
    assert.equal(n, db:one("SELECT count(*) AS n FROM t").n)
    db:close()
  end))
end)

describe("a program", function()
  it("may end with a database that is open, busy or not", files.inside(function(at)
    for _, ending in ipairs {"", "os.exit(0)", "os.exit(0, true)", "os.exit(0, false)"} do
      local child = run_child([[
        local async = require "muster"
        local db = assert(require "muster.store".open($path))
        assert(db:exec "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)")
        local tx = assert(db:transaction())
        assert(tx:exec "INSERT INTO t VALUES (2)")
        local other = assert(require "muster.store".open($path))
        async.spawn(function()
          other:one "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
        end):daemon()
        for _ = 1, 5 do async.yield() end
        print "end"
        io.flush()
      ]] .. ending, at "a.db")
      assert.equal(0, child.status, child.stderr)
      assert.equal("end\n", child.stdout)
      assert.equal("", child.stderr)
    end
    local db <close> = assert(store.open(at "a.db"))
    assert.same({n = 4, most = 1}, db:one "SELECT count(*) AS n, max(x) AS most FROM t")
  end))

  it("that uses no store does not load its library", function()
    local child = run_child([[for line in io.lines "/proc/self/maps" do assert(not line:find "sqlite") end]], "")
    assert.equal(0, child.status, child.stderr)
  end)

  it("that is killed has lost nothing that was committed", files.inside(function(at)
    local child = assert(process.spawn(command([[
      local db = assert(require "muster.store".open($path))
      assert(db:exec "CREATE TABLE t (x)")
      for i = 1, math.huge do
        assert(db:exec("INSERT INTO t VALUES (?)", i))
        io.write(i, "\n")
        io.flush()
      end
    ]], at "a.db")))
    local last
    for _ = 1, 200 do last = tonumber(child.stdout:read_until "\n") end
    child:kill()
    for line in child.stdout:lines() do last = tonumber(line) or last end
    child:wait()
    local db <close> = assert(store.open(at "a.db"))
    assert(db:one("SELECT max(x) AS n FROM t").n >= last)
    assert.equal("ok", db:one("PRAGMA integrity_check").integrity_check)
  end))
end)
