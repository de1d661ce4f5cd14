--- The bench of stores: inserts and rows a second, and what a statement takes there and back, beside python's
--- sqlite3 on the same disk in the same run.
---   build/muster scripts/bench/store.lua, or require it: run gives the figures, print prints them
local async = require "muster"
local fs = require "muster.fs"
local process = require "muster.process"
local store = require "muster.store"

local M = {}

local N, SINGLE, ROUNDS, AIM = 100000, 20000, 3, 50000

local table_of = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, score REAL)"
local insert = "INSERT INTO t VALUES (?, ?, ?)"

local function timed(fn)
  local start = async.now()
  fn()
  return async.now() - start
end

local function make_rows()
  local rows = {}
  for i = 1, N do rows[i] = {i, "person " .. i, i / 2} end
  return rows
end

local function insert_one_by_one(db)
  local tx <close> = assert(db:transaction())
  for i = 1, SINGLE do assert(tx:exec(insert, N + i, "person " .. i, i / 2)) end
  assert(tx:commit())
end

local function read(db)
  local sum = 0
  for row in db:query "SELECT id, name, score FROM t" do sum = sum + row.id end
  assert(sum == (N + SINGLE) * (N + SINGLE + 1) // 2)
end

local function look_up(db)
  for i = 1, SINGLE do assert(db:one("SELECT name FROM t WHERE id = ?", i)) end
end

local function measure(path)
  local rows = make_rows()
  local db <close> = assert(store.open(path))
  assert(db:exec(table_of))
  collectgarbage()
  local cpu = os.clock()
  local many = timed(function() assert(db:run_many(insert, rows)) end)
  cpu = os.clock() - cpu
  local single, all = timed(function() insert_one_by_one(db) end), timed(function() read(db) end)
  local lookups = timed(function() look_up(db) end)
  return {many = N / many, many_cpu = cpu / N * 1e6, single = SINGLE / single, rows = (N + SINGLE) / all,
          round_trip = lookups / SINGLE * 1e6}
end

local python = [[
import sqlite3, sys, time
N, SINGLE, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, score REAL)")
insert = "INSERT INTO t VALUES (?, ?, ?)"
rows = [(i, "person %d" % i, i / 2) for i in range(1, N + 1)]
def timed(fn):
    start = time.perf_counter()
    fn()
    return time.perf_counter() - start
def many():
    db.execute("BEGIN")
    db.executemany(insert, rows)
    db.execute("COMMIT")
def single():
    db.execute("BEGIN")
    for i in range(1, SINGLE + 1): db.execute(insert, (N + i, "person %d" % i, i / 2))
    db.execute("COMMIT")
def read():
    db.row_factory = sqlite3.Row
    total = 0
    for row in db.execute("SELECT id, name, score FROM t"): total += row["id"]
def look_up():
    for i in range(1, SINGLE + 1): db.execute("SELECT name FROM t WHERE id = ?", (i,)).fetchone()
print("many", N / timed(many))
print("single", SINGLE / timed(single))
print("rows", (N + SINGLE) / timed(read))
print("round_trip", timed(look_up) / SINGLE * 1e6)
]]

--- Nil if there is no python.
local function measure_python(path)
  local result = process.run {"python3", "-c", python, N, SINGLE, path}
  if not result or not result.ok then return nil end
  local figures = {}
  for name, value in result.stdout:gmatch "(%S+) (%S+)\n" do figures[name] = tonumber(value) end
  return figures
end

local function keep_best(best, figures)
  for name, value in pairs(figures or {}) do
    local lower = name == "round_trip" or name == "many_cpu"
    best[name] = best[name] and (lower and math.min or math.max)(best[name], value) or value
  end
end

--- Of the best of three rounds, in which the two take turns. many: inserts a second of run_many; single: one by one,
--- in a transaction; rows: read, a second; round_trip: microseconds of a look-up; many_cpu: microseconds of CPU of
--- all threads an insert. `python`: the same, or empty.
---@return table<string, any>
function M.run()
  local directory <close> = assert(fs.tmp_dir())
  local figures, theirs = {}, {}
  for round = 1, ROUNDS do
    keep_best(figures, measure(("%s/%d.db"):format(directory.path, round)))
    keep_best(theirs, measure_python(("%s/python%d.db"):format(directory.path, round)))
  end
  figures.python = theirs
  return figures
end

local function row(title, value, aim, met)
  print((("%-52s %-28s %-24s %s"):format(title, value, aim or "", met or ""):gsub("%s+$", "")))
end

local function beside(format, value, other)
  return format:format(value) .. (other and (", python " .. format):format(other) or "")
end

--- Prints the figures beside their aims.
function M.print(figures)
  local theirs = figures.python
  row("store: inserts a second, run_many", beside("%.0f", figures.many, theirs.many), "at least " .. AIM,
      figures.many >= AIM and "yes" or "no")
  row("  CPU of all threads, an insert", ("%.2f us"):format(figures.many_cpu))
  row("  one by one in a transaction, a second", beside("%.0f", figures.single, theirs.single))
  row("rows read a second", beside("%.0f", figures.rows, theirs.rows))
  row("a look-up, there and back", beside("%.1f us", figures.round_trip, theirs.round_trip))
end

if arg and arg[0] and arg[0]:match "bench/store%.lua$" then M.print(M.run()) end

return M
