-- How what a store does ends before its time: tasks that are cancelled, stores that are closed.
local async = require "muster"
local program = require "spec.support.program"
local store = require "muster.store"
local files = require "spec.support.files"
local spec = require "spec.support.io"

--- Makes the body of a spec, which is given a database in memory with a table t.
local function with_db(fn)
  return spec.checked(function()
    local db <close> = assert(store.open ":memory:")
    assert(db:exec "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, x)")
    fn(db)
  end)
end

local function count(db) return assert(db:one "SELECT count(*) AS n FROM t").n end

local forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) AS s FROM n"
local endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

describe("a task that is cancelled", function()
  it("raises at once; its statement stops, and the database goes on", with_db(function(db)
    for _, method in ipairs {"one", "exec", "all"} do
      spec.cancel(spec.start(db[method], db, forever))
    end
    local reading = spec.start(function() for _ in db:query(forever) do error "no" end end)
    spec.cancel(reading)
    assert.equal(0, count(db))
    local ok = async.move_on_after(0.01, db.one, db, forever)
    assert.is_false(ok)
    assert.equal(0, count(db))
  end))

  it("stops its statement only: queries of others go on", with_db(function(db)
    local step, query, _, _ <close> = db:query("SELECT i FROM (" .. endless .. ")")
    for i = 1, 70 do assert(step(query).i == i) end
    spec.cancel(spec.start(db.one, db, forever))
    for i = 71, 5000 do assert(step(query).i == i) end
  end))

  it("before its turn runs nothing", with_db(function(db)
    local first = spec.start(db.one, db, forever)
    local second = spec.start(db.exec, db, "INSERT INTO t (id) VALUES (1)")
    spec.cancel(second)
    spec.cancel(first)
    assert.equal(0, count(db))
  end))

  it("in a loop leaves it", with_db(function(db)
    local seen = 0
    local task = async.spawn(function()
      for _ in db:query("SELECT i FROM (" .. endless .. ")") do seen = seen + 1 end
    end)
    while seen < 3000 do async.yield() end
    task:cancel()
    local ok, err = task:pawait()
    assert(not ok and async.is_cancelled(err))
    assert(db:exec "DROP TABLE t")
  end))

  it("cannot begin anything", with_db(function(db)
    local task = async.spawn(function()
      pcall(async.sleep, 60)
      spec.raises("cancelled", db.one, db, "SELECT 1")
      spec.raises("cancelled", db.exec, db, "INSERT INTO t (id) VALUES (1)")
      async.yield()
    end)
    async.yield()
    task:cancel()
    task:pawait()
    assert.equal(0, count(db))
  end))
end)

describe("db:close", function()
  it("ends what others do with it; later calls fail", spec.checked(function()
    local db = assert(store.open ":memory:")
    local running = spec.start(db.one, db, forever)
    local queued = spec.start(db.exec, db, "CREATE TABLE t (x)")
    db:close()
    db:close()
    spec.failed("closed", nil, async.await(running))
    spec.failed("closed", nil, async.await(queued))
    for _, method in ipairs {"one", "all", "exec", "prepare"} do
      spec.failed("closed", nil, db[method](db, "SELECT 1"))
    end
    spec.failed("closed", nil, db:transaction())
    spec.failed("closed", nil, db:run_many("SELECT ?", {{1}}))
    local ok, err = pcall(db.query, db, "SELECT 1")
    assert(not ok and err.kind == "closed")
  end))

  it("ends a query that is being read", spec.checked(function()
    local db = assert(store.open ":memory:")
    local step, query = db:query(endless)
    db:close()
    for _ = 1, 64 do step(query) end
    local ok, err = pcall(step, query)
    assert(not ok and err.kind == "closed")
    assert.is_nil(step(query))
  end))

  it("is not stopped by a cancellation, nor needed: it is closed when it is collected", files.inside(function(at)
    local task = async.spawn(function()
      local db <close> = assert(store.open(at "a.db"))
      assert(db:exec "CREATE TABLE t (x)")
      async.sleep(60)
    end)
    while task:status() ~= "waiting" do async.yield() end
    spec.cancel(task)
    for _ = 1, 5 do
      local db = assert(store.open(at "a.db"))
      db:query "SELECT * FROM sqlite_master"
    end
    collectgarbage()
  end))

  it("may come from the first that is to open it, too", files.inside(function(at)
    local task = async.spawn(store.open, at "a.db")
    async.yield()
    task:cancel()
    task:pawait()
    local db <close> = assert(store.open(at "a.db"))
    assert.equal(1, db:one("SELECT 1 AS n").n)
  end))
end)

describe("a store", function()
  it("is named, with the statement, where tasks are told of that wait for it", function()
    local _, errors = program.run {"-e", [[
      local async = require "muster"
      local db = assert(require "muster.store".open ":memory:")
      local task = async.spawn(db.one, db, "]] .. forever .. [[")
      async.yield()
      async.dump()
      task:cancel()
    ]]}
    program.remove_files()
    assert.match("the store 'WITH RECURSIVE", errors, 1, true)
  end)

  it("has room for many databases at once", files.inside(function(at)
    local dbs = {}
    for i = 1, 20 do
      dbs[i] = async.spawn(function()
        local db <close> = assert(store.open(at(i .. ".db"), {synchronous = "off"}))
        assert(db:exec "CREATE TABLE t (x)")
        for n = 1, 20 do assert(db:exec("INSERT INTO t VALUES (?)", n)) end
        return db:one("SELECT sum(x) AS n FROM t").n
      end)
    end
    for _, sum in ipairs(async.gather(dbs)) do assert.equal(210, sum) end
  end))
end)
