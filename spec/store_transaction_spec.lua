local async = require "muster"
local store = require "muster.store"
local files = require "spec.support.files"
local spec = require "spec.support.io"

--- Makes the body of a spec, which is given a database in a file with a table t of one column x, and the file's path.
local function with_db(fn)
  return files.inside(function(at)
    local db <close> = assert(store.open(at "a.db", {synchronous = "off"}))
    assert(db:exec "CREATE TABLE t (x UNIQUE)")
    fn(db, at "a.db")
  end)
end

local function add(db, ...)
  for _, x in ipairs {...} do assert(db:exec("INSERT INTO t VALUES (?)", x)) end
end

local function all(db)
  local list = {}
  for row in db:query "SELECT x FROM t ORDER BY x" do list[#list + 1] = row.x end
  return table.concat(list, " ")
end

describe("a transaction", function()
  it("stands if it is committed, and else is rolled back when its scope is left", with_db(function(db)
    do
      local tx <close> = assert(db:transaction())
      add(tx, 1)
      add(db, 2) -- in the same task: part of it
      assert.equal("1 2", all(tx))
      assert.is_true(tx:commit())
    end
    do
      local tx <close> = assert(db:transaction())
      add(tx, 3)
    end
    pcall(function()
      local tx <close> = assert(db:transaction())
      add(tx, 4)
      error "out"
    end)
    assert.equal("1 2", all(db))
  end))

  it("is over after its end", with_db(function(db)
    local tx <close> = assert(db:transaction())
    tx:rollback()
    tx:rollback()
    spec.raises("store.exec: the transaction is over %(rolled back%)", tx.exec, tx, "SELECT 1")
    spec.raises("store.commit: the transaction is over", tx.commit, tx)
    local other <close> = assert(db:transaction())
    other:commit()
    spec.raises("store.commit: the transaction is over %(committed%)", other.commit, other)
    spec.raises("store.transaction: the transaction is over", other.transaction, other)
    spec.raises("unknown option 'node'", db.transaction, db, {node = 1})
    spec.raises("option 'mode' must be", db.transaction, db, {mode = "now"})
    for _, mode in ipairs {"deferred", "immediate", "exclusive"} do
      local third <close> = assert(db:transaction {mode = mode})
      add(third, mode)
      third:commit()
    end
    assert.equal("deferred exclusive immediate", all(db))
  end))

  it("may be a function, and stands if that returns", with_db(function(db)
    assert.same({1, nil, 3, n = 3}, table.pack(db:transaction(function(tx)
      add(tx, 1)
      return 1, nil, 3
    end)))
    spec.raises("out", db.transaction, db, function(tx)
      add(tx, 2)
      error "out"
    end)
    local result, err = db:transaction(function(tx)
      add(tx, 3)
      return tx:exec "INSERT INTO t VALUES (1)"
    end)
    assert(result == nil and err.code == "SQLITE_CONSTRAINT_UNIQUE")
    assert.equal("done", db:transaction(function(tx)
      add(tx, 4)
      tx:rollback()
      return "done"
    end))
    assert.equal(0, select("#", db:transaction(function() add(db, 5) end)))
    assert.equal("1 5", all(db))
  end))

  it("has transactions inside, of which each is undone by itself", with_db(function(db)
    local tx <close> = assert(db:transaction())
    add(tx, 1)
    do
      local inner <close> = assert(db:transaction())
      add(inner, 2)
      do
        local innermost <close> = assert(inner:transaction())
        add(innermost, 3)
      end
      assert.equal("1 2", all(db))
      spec.raises("a transaction inside this one is open", tx.commit, tx)
      assert(inner:commit())
    end
    do
      local inner <close> = assert(tx:transaction())
      add(inner, 4)
    end
    assert(tx:commit())
    assert.equal("1 2", all(db))
  end))

  it("makes other tasks wait, first come first served", with_db(function(db)
    local order = {}
    local tx <close> = assert(db:transaction())
    add(tx, 1)
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = spec.start(function()
        local mine <close> = i % 2 == 0 and assert(db:transaction()) or nil
        add(db, 10 + i)
        order[#order + 1] = i
        async.yield()
        if mine then assert(mine:commit()) end
      end)
    end
    for _ = 1, 10 do async.yield() end
    assert.equal("1", all(tx))
    assert.same({}, order)
    assert(tx:commit())
    async.gather(tasks)
    assert.same({1, 2, 3, 4}, order)
    assert.equal("1 11 12 13 14", all(db))
  end))

  it("is joined by other tasks that are given it; inside, they take turns", with_db(function(db)
    local tx <close> = assert(db:transaction())
    async.gather {
      function() add(tx, 1) end,
      function()
        local inner <close> = assert(tx:transaction())
        add(inner, 2)
        async.sleep(0)
      end,
      function()
        local inner <close> = assert(tx:transaction())
        add(inner, 3)
        async.sleep(0)
        assert(inner:commit())
      end,
      function() add(tx, 4) end,
    }
    assert(tx:commit())
    assert.equal("1 3 4", all(db))
  end))

  it("lets those go who were cancelled while they waited", with_db(function(db)
    local tx <close> = assert(db:transaction())
    local waits = spec.start(db.exec, db, "INSERT INTO t VALUES (2)")
    local begins = spec.start(function() assert(db:transaction()):commit() end)
    local last = spec.start(db.exec, db, "INSERT INTO t VALUES (3)")
    spec.cancel(waits)
    spec.cancel(begins)
    tx:rollback()
    assert(async.await(last))
    assert.equal("3", all(db))
  end))

  it("is rolled back when its task is cancelled, in the middle of a statement too", with_db(function(db)
    local task = async.spawn(function()
      local tx <close> = assert(db:transaction())
      add(tx, 1)
      tx:one "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    end)
    spec.turns(20)
    local other = spec.start(db.exec, db, "INSERT INTO t VALUES (2)")
    task:cancel()
    local ok, err = task:pawait()
    assert(not ok and async.is_cancelled(err))
    assert(async.await(other))
    assert.equal("2", all(db))
  end))

  it("is rolled back when its task is cancelled while it begins", with_db(function(db, path)
    local holder <close> = assert(store.open(path))
    local held <close> = assert(holder:transaction())
    local task = spec.start(function()
      local tx <close> = assert(db:transaction())
      add(tx, 1)
    end)
    spec.cancel(task)
    held:rollback()
    add(db, 2)
    assert.equal("2", all(db))
  end))

  it("is committed, once that has begun, also if the task is cancelled", with_db(function(db)
    local begun, committed
    local task = async.spawn(function()
      local tx <close> = assert(db:transaction())
      add(tx, 1)
      begun = true
      committed = tx:commit()
    end)
    while not begun do async.yield() end
    task:cancel()
    task:pawait()
    assert.is_true(committed)
    assert.equal("1", all(db))
  end))

  it("that SQLite has rolled back takes no more statements", with_db(function(db)
    add(db, 1)
    local tx <close> = assert(db:transaction())
    add(tx, 2)
    local err = spec.failed("sqlite", "SQLITE_CONSTRAINT_UNIQUE", tx:exec "INSERT OR ROLLBACK INTO t VALUES (1)")
    assert.is_true(err.rolled_back)
    local _, later = tx:exec "INSERT INTO t VALUES (3)"
    assert.equal("store.exec: the transaction was rolled back: " .. err.message, later.message)
    assert.is_nil((tx:commit()))
    tx:rollback()
    add(db, 4)
    assert.equal("1 4", all(db))
  end))

  it("goes on after a statement that failed", with_db(function(db)
    local tx <close> = assert(db:transaction())
    add(tx, 1)
    assert.is_nil((tx:exec "INSERT INTO t VALUES (1)"))
    add(tx, 2)
    assert(tx:commit())
    assert.equal("1 2", all(db))
  end))

  it("is no more when the database is closed", with_db(function(_, path)
    local db = assert(store.open(path))
    local tx <close> = assert(db:transaction())
    add(tx, 1)
    db:close()
    spec.failed("closed", nil, tx:exec "SELECT 1")
    spec.failed("closed", nil, tx:commit())
    local again <close> = assert(store.open(path))
    assert.equal("", all(again))
  end))

  it("keeps readers of other connections at what was committed", with_db(function(db, path)
    local reader <close> = assert(store.open(path, {readonly = true}))
    local tx <close> = assert(db:transaction())
    add(tx, 1)
    assert.equal("", all(reader))
    assert(tx:commit())
    assert.equal("1", all(reader))
    local reading <close> = assert(reader:transaction())
    assert.equal("1", all(reading))
    add(db, 2)
    assert.equal("1", all(reading))
    assert(reading:commit())
    assert.equal("1 2", all(reader))
  end))

  it("of tasks that wait for each other is a deadlock that is told", function()
    local program = require "spec.support.program"
    local code = [[
      local async = require "muster"
      local db = assert(require "muster.store".open ":memory:")
      local tx <close> = assert(db:transaction())
      async.await(async(function() return db:exec "SELECT 1" end)())
    ]]
    local _, errors, status = program.run {"-e", code}
    program.remove_files()
    assert.equal(13, status)
    assert.match("deadlock", errors)
  end)
end)
