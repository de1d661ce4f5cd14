local async = require "muster"
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

local function fill(db, n)
  local rows = {}
  for i = 1, n do rows[i] = {i, "name " .. i, i / 2} end
  assert(db:run_many("INSERT INTO t VALUES (?, ?, ?)", rows))
end

local function count(db) return assert(db:one "SELECT count(*) AS n FROM t").n end

local endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

-- Fails at the row whose id is 500.
local overflowing = "SELECT abs(CASE id WHEN 500 THEN -9223372036854775807 - 1 ELSE id END) AS v FROM t"

describe("store.open", function()
  it("makes the file, in WAL mode; what is written is there when it is opened again", files.inside(function(at)
    do
      local db <close> = assert(store.open(at "a.db"))
      assert(db:exec "CREATE TABLE t (x); INSERT INTO t VALUES (42)")
      assert.equal("wal", db:one("PRAGMA journal_mode").journal_mode)
    end
    local db <close> = assert(store.open(at "a.db", {create = false, synchronous = "normal"}))
    assert.equal(42, db:one("SELECT x FROM t").x)
    assert.equal(1, db:one("PRAGMA synchronous").synchronous)
    assert.equal("store: " .. at "a.db", tostring(db))
  end))

  it("has options, checked", files.inside(function(at)
    local db <close> = assert(store.open(at "b.db", {wal = false, synchronous = "off", busy_timeout = 0.5}))
    assert.equal("delete", db:one("PRAGMA journal_mode").journal_mode)
    spec.raises("unknown option 'wall'", store.open, at "c.db", {wall = true})
    spec.raises("'synchronous' must be \"off\"", store.open, at "c.db", {synchronous = "maybe"})
    spec.raises("'busy_timeout' must be a number of seconds", store.open, at "c.db", {busy_timeout = -1})
    spec.raises("store.open: expected a path", store.open, nil)
    spec.raises("not empty", store.open, "")
    spec.raises("without zero bytes", store.open, "a\0b")
  end))

  it("reads only, if told so", files.inside(function(at)
    store.open(at "a.db"):close()
    local db <close> = assert(store.open(at "a.db", {readonly = true}))
    assert.same({}, db:all "SELECT * FROM sqlite_master")
    local err = spec.failed("sqlite", "SQLITE_READONLY", db:exec "CREATE TABLE t (x)")
    assert.match("readonly database", err.message)
    spec.failed("sqlite", "SQLITE_CANTOPEN", store.open(at "none.db", {readonly = true}))
    spec.failed("sqlite", "SQLITE_CANTOPEN", store.open(at "none.db", {create = false}))
  end))
end)

describe("values", function()
  it("come back as they went: integers, floats, texts, blobs, NULL, booleans as 0 and 1", with_db(function(db)
    local values = {1, -1, math.maxinteger, math.mininteger, 0.5, -0.0, math.huge, "", "text", "a\0b", "\xff", "ü",
                    ("long"):rep(100000)}
    for _, value in ipairs(values) do
      local got = db:one("SELECT ? AS v", value).v
      assert.equal(value, got)
      assert.equal(math.type(value), math.type(got))
    end
    assert.equal(1, db:one("SELECT ? AS v", true).v)
    assert.equal(0, db:one("SELECT ? AS v", false).v)
    assert.is_nil(db:one("SELECT ? AS v", nil).v)
    assert.is_nil(db:one("SELECT ? AS v", store.null).v)
    assert.is_nil(db:one("SELECT ? AS v", 0 / 0).v) -- SQLite has no such number
  end))

  it("have their types in the file", with_db(function(db)
    local function type_of(value) return db:one("SELECT typeof(?) AS t", value).t end
    assert.equal("integer", type_of(1))
    assert.equal("real", type_of(1.0))
    assert.equal("text", type_of "1")
    assert.equal("blob", type_of(store.blob "1"))
    assert.equal("null", type_of(store.null))
    assert.equal("\0\1", db:one("SELECT ? AS v", store.blob "\0\1").v)
    assert.equal("", db:one("SELECT ? AS v", store.blob "").v)
    assert.equal("blob", db:one("SELECT typeof(?) AS t", store.blob "").t)
    spec.raises("store.blob: expected a string", store.blob, 1)
  end))

  it("of no such type are refused, by the parameter", with_db(function(db)
    spec.raises("%.lua:%d+: store.exec: parameter 2 must be a string, .* got function", db.exec, db, "SELECT ?, ?", 1,
                print)
    spec.raises("parameter 1 must be .* got table", db.one, db, "SELECT ?, ?", {}, 1)
    spec.raises("parameter 'a' must be .* got table", db.one, db, "SELECT :a", {a = {}})
    spec.raises("parameter 1 must be .* got thread", db.exec, db, "SELECT ?", coroutine.create(print))
    spec.raises("parameter 1 must be .* got table", db.exec, db, "SELECT ?, 1", {setmetatable({1}, {})})
  end))
end)

describe("parameters", function()
  it("are as many as the statement has", with_db(function(db)
    assert.same({a = 1, b = 2}, db:one("SELECT ? AS a, ? AS b", 1, 2))
    assert.same({}, db:one("SELECT ? AS a, ? AS b", nil, nil))
    spec.raises("store.one: the statement has 2 parameters, but got 1 value$", db.one, db, "SELECT ?, ?", 1)
    spec.raises("the statement has 1 parameter, but got 2 values", db.one, db, "SELECT ?", 1, nil)
    spec.raises("the statement has 1 parameter, but got 0 values", db.query, db, "SELECT ?")
    spec.raises("the statement has 0 parameters, but got 1 value", db.exec, db, "DELETE FROM t", 1)
  end))

  it("are named, or numbered, by one table; those that are not there are NULL", with_db(function(db)
    assert.same({a = 1, b = 2, c = 3}, db:one("SELECT :x AS a, @y AS b, $z AS c", {x = 1, y = 2, z = 3}))
    assert.same({b = 2}, db:one("SELECT ?1 AS a, ?2 AS b", {[2] = 2}))
    assert.same({a = 1, b = 2}, db:one("SELECT ? AS a, ? AS b", {1, 2}))
    assert.same({}, db:one("SELECT :x AS a", {}))
    spec.raises("store.one: the statement has no parameter 'y'", db.one, db, "SELECT :x", {y = 1})
    spec.raises("the statement has no parameter 2, but 1", db.one, db, "SELECT ?", {[2] = 1})
    spec.raises("the statement has no parameter 0", db.one, db, "SELECT ?", {[0] = 1})
    spec.raises("named by strings, or numbered, got a key that is a boolean", db.one, db, "SELECT ?", {[true] = 1})
    spec.raises("the name of a parameter has a zero byte", db.one, db, "SELECT :a", {["a\0"] = 1})
    spec.raises("no parameter 'nn", db.one, db, "SELECT :a", {[("n"):rep(1000)] = 1})
  end))
end)

describe("db:exec", function()
  it("says what it changed", with_db(function(db)
    assert.same({changes = 1, last_id = 7}, db:exec("INSERT INTO t VALUES (7, 'a', NULL)"))
    assert.same({changes = 1, last_id = 8}, db:exec("INSERT INTO t (name) VALUES (?)", "b"))
    assert.equal(2, db:exec("UPDATE t SET x = 1").changes)
    assert.equal(0, db:exec("UPDATE t SET x = 1 WHERE id = 99").changes)
    assert.equal(0, db:exec("CREATE TABLE u (y)").changes)
    assert.equal(0, db:exec("SELECT * FROM t").changes)
    assert.equal(2, db:exec("DELETE FROM t").changes)
  end))

  it("takes several statements, or none, if there are no parameters", with_db(function(db)
    assert.equal(3, db:exec("INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2), (3); -- done\n ").changes)
    assert.equal(0, db:exec(" -- nothing\n").changes)
    assert.equal(0, db:exec("").changes)
    spec.raises("parameters are for one statement, but here are several", db.exec, db, "SELECT 1; SELECT ?", 1)
    spec.failed("sqlite", "SQLITE_ERROR", db:exec "INSERT INTO t (id) VALUES (4); nonsense; DELETE FROM t")
    assert.equal(4, count(db))
  end))

  it("tells of the constraint that is broken, and by whom", with_db(function(db)
    db:exec "INSERT INTO t VALUES (1, 'a', 1)"
    db:exec "CREATE TABLE u (y INTEGER NOT NULL CHECK (y > 0), t REFERENCES t)"
    local err = spec.failed("sqlite", "SQLITE_CONSTRAINT_UNIQUE", db:exec("INSERT INTO t (name) VALUES (?)", "a"))
    assert.equal("store.exec: UNIQUE constraint failed: t.name", tostring(err))
    assert.equal("t", err.table)
    assert.same({"name"}, err.columns)
    assert.equal("INSERT INTO t (name) VALUES (?)", err.sql)
    assert.is_nil(err.rolled_back)
    err = spec.failed("sqlite", "SQLITE_CONSTRAINT_NOTNULL", db:exec "INSERT INTO u VALUES (NULL, 1)")
    assert.equal("u", err.table)
    assert.same({"y"}, err.columns)
    spec.failed("sqlite", "SQLITE_CONSTRAINT_CHECK", db:exec "INSERT INTO u VALUES (0, 1)")
    spec.failed("sqlite", "SQLITE_CONSTRAINT_PRIMARYKEY", db:exec "INSERT INTO t (id) VALUES (1)")
    db:exec "PRAGMA foreign_keys = ON"
    spec.failed("sqlite", "SQLITE_CONSTRAINT_FOREIGNKEY", db:exec "INSERT INTO u VALUES (1, 99)")
    assert.equal(0, db:one("SELECT count(*) AS n FROM u").n)
  end))

  it("returns what is wrong with the SQL", with_db(function(db)
    local err = spec.failed("sqlite", "SQLITE_ERROR", db:exec "SELEC 1")
    assert.equal('store.exec: near "SELEC": syntax error', err.message)
    assert.match("no such table: nowhere", select(2, db:one "SELECT * FROM nowhere").message)
    spec.raises("store.exec: the SQL must be a string, got nil", db.exec, db, nil)
    spec.raises("store.exec: the SQL has a zero byte", db.exec, db, "SELECT 1\0")
  end))
end)

describe("db:query", function()
  it("gives the rows by the names of columns, many or none", with_db(function(db)
    fill(db, 5000)
    local n = 0
    for row in db:query("SELECT id, name FROM t WHERE id > ? ORDER BY id", 0) do
      n = n + 1
      assert(row.id == n and row.name == "name " .. n)
    end
    assert.equal(5000, n)
    for _ in db:query "SELECT * FROM t WHERE id < 0" do error "no rows" end
    local one
    for row in db:query "SELECT 1 AS a, 2 AS a, NULL AS b" do one = row end
    assert.same({a = 2}, one)
  end))

  it("leaves nothing behind when the loop is left", with_db(function(db)
    fill(db, 3000)
    for _ = 1, 100 do
      for row in db:query "SELECT * FROM t" do
        if row.id == 1 then break end
      end
    end
    pcall(function()
      for _ in db:query "SELECT * FROM t" do error "out" end
    end)
    assert(db:exec "DROP TABLE t") -- refused while a statement reads
  end))

  it("raises what breaks it off", with_db(function(db)
    local ok, err = pcall(function() for _ in db:query "SELECT x FROM nowhere" do error "no" end end)
    assert.is_false(ok)
    assert.equal("sqlite", err.kind)
    assert.equal("store.query: no such table: nowhere", err.message)
    fill(db, 1000)
    local seen = 0
    ok, err = pcall(function()
      for _ in db:query(overflowing .. " ORDER BY id") do
        seen = seen + 1
      end
    end)
    assert.is_false(ok)
    assert.match("integer overflow", err.message)
    assert.equal(499, seen)
    spec.raises("a query is one statement, but here are several", db.query, db, "SELECT 1; SELECT 2")
    spec.raises("here is no statement", db.query, db, "-- no")
  end))

  it("keeps memory bounded", with_db(function(db)
    local peak, n = 0, 0
    collectgarbage()
    local before = collectgarbage "count"
    for row in db:query("SELECT i, ? AS text FROM (" .. endless .. " LIMIT 100000)", ("x"):rep(100)) do
      n = n + row.i // row.i
      if n % 10000 == 0 then
        collectgarbage()
        peak = math.max(peak, collectgarbage "count" - before)
      end
    end
    assert.equal(100000, n)
    assert(peak < 1000, peak .. " KB")
  end))

  it("may be one of several that are read in turns, and in which others write", with_db(function(db)
    fill(db, 300)
    local next_a, a, _, close_a <close> = db:query "SELECT id FROM t ORDER BY id"
    local next_b, b, _, close_b <close> = db:query "SELECT id FROM t ORDER BY id"
    for i = 1, 300 do
      assert(next_a(a).id == i and next_b(b).id == i)
      if i == 150 then assert(db:exec("UPDATE t SET x = 0")) end
    end
    assert.is_nil(next_a(a))
    assert.is_nil(next_a(a))
    assert(close_a == a and close_b == b)
  end))

  it("refuses a second reader", with_db(function(db)
    local step, query, _, closing <close> = db:query("SELECT i FROM (" .. endless .. ")")
    for _ = 1, 64 do step(query) end
    local first = spec.start(step, query)
    spec.raises("another task is reading these rows", step, query)
    assert.equal(65, async.await(first).i)
    closing:close()
    assert.is_nil(step(query))
  end))

  it("that is collected gives its statement back", with_db(function(db)
    fill(db, 1000)
    for _ = 1, 10 do db:query "SELECT * FROM t" end
    collectgarbage()
    collectgarbage()
    assert(db:exec "DROP TABLE t")
  end))
end)

describe("db:one and db:all", function()
  it("give the first row, and all of them", with_db(function(db)
    fill(db, 1000)
    assert.same({id = 3}, db:one("SELECT id FROM t WHERE id > 2 ORDER BY id"))
    assert.equal(0, select("#", db:one("SELECT id FROM t WHERE id < 0")) - 1)
    assert.is_nil((db:one "SELECT id FROM t WHERE id < 0"))
    local rows = db:all "SELECT id FROM t ORDER BY id"
    assert.equal(1000, #rows)
    assert.same({id = 1000}, rows[1000])
    assert.same({}, db:all "SELECT id FROM t WHERE id < 0")
    local err = spec.failed("sqlite", "SQLITE_ERROR", db:all(overflowing))
    assert.match("overflow", err.message)
    spec.failed("sqlite", "SQLITE_ERROR", db:one "SELECT * FROM nowhere")
    spec.failed("sqlite", "SQLITE_ERROR", db:all "SELECT * FROM nowhere")
  end))

  it("do what changes something, too", with_db(function(db)
    assert.equal(1, db:one("INSERT INTO t (name) VALUES ('a') RETURNING id").id)
    assert.same({{id = 2}, {id = 3}}, db:all("INSERT INTO t (name) VALUES ('b'), ('c') RETURNING id"))
    assert.equal(3, count(db))
  end))
end)

describe("run_many", function()
  it("runs a statement for each row of a list, or of an iterator", with_db(function(db)
    assert.same({changes = 2, last_id = 2}, db:run_many("INSERT INTO t VALUES (?, ?, ?)", {{1, "a", 1}, {2, "b"}}))
    assert.same({changes = 0, last_id = 2}, db:run_many("INSERT INTO t VALUES (?, ?, ?)", {}))
    assert.equal(1, db:run_many("INSERT INTO t VALUES (:id, :name, 0)", {{id = 3, name = "c"}}).changes)
    local i = 3
    assert.equal(2500, db:run_many("INSERT INTO t (id) VALUES (?)", function()
      i = i + 1
      return i <= 2503 and {i} or nil
    end).changes)
    assert.equal(2503, count(db))
  end))

  it("does all or nothing, and says which row failed", with_db(function(db)
    local rows = {}
    for n = 1, 2500 do rows[n] = {n == 2200 and 5 or n} end
    local insert = "INSERT INTO t (id) VALUES (?)"
    local err = spec.failed("sqlite", "SQLITE_CONSTRAINT_PRIMARYKEY", db:run_many(insert, rows))
    assert.equal(2200, err.row)
    assert.equal(0, count(db))
    err = spec.failed("sqlite", "SQLITE_CONSTRAINT_PRIMARYKEY", db:run_many(insert, {{1}, {1}}))
    assert.equal(2, err.row)
    assert.equal(0, count(db))
    local tx <close> = assert(db:transaction())
    assert(tx:exec "INSERT INTO t (id) VALUES (9)")
    assert.is_nil((tx:run_many(insert, {{1}, {1}})))
    assert(tx:commit())
    assert.equal(1, count(db))
  end))

  it("takes rows that are large, a few at a time", with_db(function(db)
    local rows, large = {}, ("x"):rep(1000000)
    for i = 1, 12 do rows[i] = {i, large .. i} end
    assert.equal(12, db:run_many("INSERT INTO t (id, name) VALUES (?, ?)", rows).changes)
    rows[11][1], rows[12][1] = 13, 13
    for i = 1, 10 do rows[i][1] = 20 + i end
    assert.equal(12, count(db))
    for i = 1, 12 do rows[i][2] = large .. "!" .. i end
    local err = spec.failed("sqlite", "SQLITE_CONSTRAINT_PRIMARYKEY",
                            db:run_many("INSERT INTO t (id, name) VALUES (?, ?)", rows))
    assert.equal(12, err.row)
    assert.equal(12, count(db))
    assert.equal(1000002, db:one("SELECT length(name) AS n FROM t WHERE id = 12").n)
  end))

  it("gives the rows that come of it", with_db(function(db)
    local insert = "INSERT INTO t (id) VALUES (?) ON CONFLICT DO NOTHING RETURNING id, id * 2 AS twice"
    assert.same({{id = 1, twice = 2}, {id = 2, twice = 4}}, db:run_many(insert, {{1}, {2}, {1}}).rows)
    local rows = {}
    for i = 1, 2500 do rows[i] = {i} end
    local done = db:run_many(insert, rows)
    assert.equal(2498, #done.rows)
    assert.same({id = 2500, twice = 5000}, done.rows[2498])
    assert.is_nil(db:run_many(insert, rows).rows)
  end))

  it("takes tables", with_db(function(db)
    spec.raises("store.run_many: rows must be a list or an iterator, got nil", db.run_many, db, "SELECT 1")
    spec.raises("store.run_many: row 2 must be a table, got number", db.run_many, db, "SELECT ?", {{1}, 2})
    spec.raises("store.run_many: the statement has no parameter 'x'", db.run_many, db, "SELECT ?", {{x = 1}})
    spec.raises("here are several statements", db.run_many, db, "SELECT 1; SELECT 2", {{}})
    spec.raises("parameter 1 must be", db.run_many, db, "SELECT ?", {{print}})
    assert.equal(0, count(db))
  end))
end)

describe("a prepared statement", function()
  it("runs many times", with_db(function(db)
    local insert <close> = assert(db:prepare "INSERT INTO t (id, name) VALUES (?, ?)")
    assert.equal(2, insert.parameters)
    assert.same({}, insert.columns)
    for i = 1, 10 do assert(insert:run(i, "n" .. i)) end
    assert.equal(3, insert:run_many({{11}, {12}, {13}}).changes)
    local all = assert(db:prepare "SELECT id, name AS who FROM t WHERE id <= ? ORDER BY id")
    assert.same({"id", "who"}, all.columns)
    assert.same({id = 1, who = "n1"}, all:one(3))
    assert.equal(3, #all:all(3))
    local n = 0
    for row in all:query(5) do n = n + row.id end
    assert.equal(15, n)
    all:close()
    spec.raises("statement:one: the statement is closed", all.one, all, 1)
    spec.failed("sqlite", "SQLITE_ERROR", db:prepare "SELEC")
    spec.raises("several statements", db.prepare, db, "SELECT 1; SELECT 2")
    spec.raises("no statement", db.prepare, db, "")
  end))

  it("is compiled again when tables change; many others do not matter", with_db(function(db)
    local all = assert(db:prepare "SELECT * FROM t")
    assert(db:exec "INSERT INTO t (id) VALUES (1)")
    assert.same({id = 1}, all:one())
    assert(db:exec "ALTER TABLE t ADD COLUMN y DEFAULT 5")
    assert.same({id = 1, y = 5}, all:one())
    for i = 1, 200 do assert.equal(i, db:one("SELECT " .. i .. " AS n").n) end
    assert.same({id = 1, y = 5}, all:one())
  end))
end)
