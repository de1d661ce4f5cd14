local async = require "muster"
local fs = require "muster.fs"
local pipeline = require "muster.pipeline"
local virtual = require("muster.test").virtual

--- What a pipeline puts into its sink, and its results.
local function collect(spec, opts)
  local records = {}
  spec.sink = spec.sink or function(record) records[#records + 1] = record end
  opts = opts or {}
  opts.quiet = true
  return records, pipeline(spec):run(opts)
end

local function double(x) return x * 2 end

describe("a pipeline", function()
  it("takes each item through the stages, in their order", function()
    local records, summary = collect {source = {1, 2, 3}, double, tostring, function(s) return s .. "!" end}
    assert.same({"2!", "4!", "6!"}, records)
    assert.same({3, 3, 3, 0}, {summary.items, summary.done, summary.records, summary.parked})
    assert.matches("^pipeline: 3 items, 3 records; ", tostring(summary))
  end)

  it("works on none and on one, and without stages and sink", function()
    assert.same({}, (collect {source = {}, double}))
    assert.same({2}, (collect {source = {1}, double}))
    assert.same({1, 2}, (collect {source = {1, 2}}))
    assert.equal(2, pipeline({source = {1, 2}}):run({quiet = true}).done)
  end)

  it("leaves out what a stage returns nothing for", function()
    local records, summary = collect {source = {1, 2, 3, 4}, function(x) return x % 2 == 0 and x or nil end, double}
    assert.same({4, 8}, records)
    assert.same({4, 2}, {summary.done, summary.records})
  end)

  it("lets false through", function()
    assert.same({false, true}, (collect {source = {1, 2}, function(x) return x == 2 end}))
  end)

  it("writes in the order of the source, however long the items take", virtual(function()
    local records = collect {source = {5, 1, 3, 2, 4}, limit = 3, function(x)
      async.sleep(x)
      return x
    end}
    assert.same({5, 1, 3, 2, 4}, records)
  end))

  it("writes in the order of completion if told so", virtual(function()
    local records = collect {source = {5, 1, 3}, order = "completion", function(x)
      async.sleep(x)
      return x
    end}
    assert.same({1, 3, 5}, records)
  end))

  it("works on as many at once as it may, and reads no further ahead", virtual(function()
    local now, most, read = 0, 0, 0
    local function source()
      read = read + 1
      return read <= 100 and read or nil
    end
    collect {source = source, limit = 4, buffer = 2, function(x)
      now = now + 1
      most = math.max(most, now)
      assert.is_true(read - x <= 6)
      async.sleep(x == 1 and 10 or 1)
      now = now - 1
      return x
    end}
    assert.equal(4, most)
  end))

  it("limits a stage by itself", virtual(function()
    local now, most = 0, 0
    collect {source = {1, 2, 3, 4, 5, 6}, limit = 6, double, {"ask", function(x)
      now = now + 1
      most = math.max(most, now)
      async.sleep(1)
      now = now - 1
      return x
    end, limit = 2}}
    assert.equal(2, most)
  end))

  it("is held back by a slow sink", virtual(function()
    local read = 0
    local written = 0
    collect {limit = 2, buffer = 1, source = function()
      read = read + 1
      return read <= 20 and read or nil
    end, sink = function()
      async.sleep(1)
      written = written + 1
      assert.is_true(read - written <= 5)
    end}
    assert.equal(20, written)
  end))

  it("writes each record of a list with many", function()
    local parts = {}
    local _, summary = collect {source = {"a b", "", "c"}, many = true, function(text)
      local words = {}
      for word in text:gmatch "%S+" do words[#words + 1] = word end
      return words
    end, sink = function(word, item) parts[#parts + 1] = item.position .. word end}
    assert.same({"1a", "1b", "3c"}, parts)
    assert.same({3, 3}, {summary.done, summary.records})
  end)

  it("gives the stages the item: its key, place and value", function()
    local seen = {}
    collect {source = {"x", "y"}, key = function(v) return "key of " .. v end, string.upper, function(v, item)
      seen[#seen + 1] = {v, item.key, item.position, item.value}
      return v
    end}
    assert.same({{"X", "key of x", 1, "x"}, {"Y", "key of y", 2, "y"}}, seen)
  end)
end)

describe("an item that fails", function()
  local function bad(x)
    if x == 2 then return nil, "no good" end
    if x == 3 then error("broken", 0) end
    return x
  end

  it("is set aside, and the others go on", function()
    local records, summary = collect {source = {1, 2, 3, 4}, {"check", bad}}
    assert.same({1, 4}, records)
    assert.same({4, 2, 2}, {summary.items, summary.done, summary.parked})
    assert.same({{"no good", "check", 2}, {"broken", "check", 3}}, {
      {summary.failures[1].error, summary.failures[1].stage, summary.failures[1].position},
      {summary.failures[2].error, summary.failures[2].stage, summary.failures[2].position}})
  end)

  it("is let go with skip", function()
    local records, summary = collect {source = {1, 2, 3, 4}, bad, on_error = "skip"}
    assert.same({1, 4}, records)
    assert.same({0, 2}, {summary.parked, summary.skipped})
  end)

  it("ends the run with stop: what came before it is written", function()
    local records, summary, err, so_far = collect {source = {1, 2, 3, 4, 5, 6, 7, 8, 9}, limit = 1, bad,
      on_error = "stop"}
    assert.is_nil(summary)
    assert.equal("no good", err)
    assert.equal(1, records[1])
    assert.is_true(so_far.items < 9)
  end)

  it("ends the run if it says that it is fatal", function()
    local fatal = {fatal = true, message = "no money"}
    local _, summary, err = collect {source = {1, 2}, function() return nil, fatal end}
    assert.is_nil(summary)
    assert.equal(fatal, err)
  end)

  it("is one that takes too long", virtual(function()
    local records, summary = collect {source = {1, 5, 1}, timeout = 2, function(x)
      async.sleep(x)
      return x
    end}
    assert.same({1, 1}, records)
    assert.equal("timeout", summary.failures[1].error.kind)
  end))
end)

describe("a run that cannot go on", function()
  it("because its source fails, says so, and closes it", function()
    local closed = false
    local n = 0
    local source = pipeline.source.iterator(function()
      n = n + 1
      if n == 3 then error("unreadable", 0) end
      return n
    end, nil, nil, setmetatable({}, {__close = function() closed = true end}))
    local ok, err = pcall(collect, {source = source})
    assert.is_false(ok)
    assert.equal("unreadable", err)
    assert.is_true(closed)
  end)

  it("because its sink fails, says so", function()
    local _, summary, err = collect {source = {1, 2, 3}, sink = function(x)
      if x == 2 then return nil, "full" end
    end}
    assert.is_nil(summary)
    assert.equal("full", err)
  end)

  it("because it is cancelled, leaves nothing behind", virtual(function()
    local finished
    local sink = pipeline.sink.call(function() end)
    local open = sink.open
    sink.open = function()
      local writer = open()
      writer.finish = function(_, ok) finished = {ok} end
      return writer
    end
    local task = async.spawn(function()
      pipeline({source = {1, 2, 3}, sink = sink, function() async.sleep(100) end}):run {quiet = true}
    end)
    async.sleep(1)
    task:cancel()
    assert.is_false((task:pawait()))
    assert.same({false}, finished)
  end))
end)

describe("a pipeline, misused,", function()
  it("says what was expected", function()
    for text, spec in pairs {
      ["pipeline: expected a table, got number"] = 5,
      ["pipeline: option 'source' must be a source, a list or an iterator, got nil"] = {},
      ["pipeline: option 'sink' must be a sink, a function or a path that ends in .jsonl, got x.txt"]
        = {source = {}, sink = "x.txt"},
      ["pipeline: stage 1 must be a function, or {name, function, limit=}, got number"] = {source = {}, 5},
      ["pipeline: stage ask: unknown option 'limits'"] = {source = {}, {"ask", print, limits = 3}},
      ["pipeline: unknown option 'sauce'"] = {source = {}, sauce = 1},
      ["pipeline: option 'on_error' must be \"park\", \"skip\" or \"stop\", got \"die\""]
        = {source = {}, on_error = "die"},
      ["pipeline: option 'limit' must be an integer of at least 1, got 0"] = {source = {}, limit = 0},
    } do
      local ok, err = pcall(pipeline, spec)
      assert.is_false(ok)
      assert.truthy(err:find(text, 1, true), err)
    end
    local p = pipeline {source = {}}
    assert.error_matches(function() p:run {quite = true} end, "pipeline:run: unknown option 'quite'")
  end)

  it("says that a key is none", function()
    local ok, err = pcall(collect, {source = {1}, key = function() return {} end})
    assert.is_false(ok)
    assert.matches("'key' must return a string or a number, got table", err)
  end)
end)

describe("pipeline.source", function()
  local directory
  before_each(function() directory = assert(fs.tmp_dir()) end)
  after_each(function() directory:close() end)

  local function file(text, name)
    local path = directory.path .. "/" .. (name or "file")
    assert(fs.write(path, text))
    return path
  end

  local source = pipeline.source

  it("jsonl: values of lines, empty ones left out", function()
    assert.same({{a = 1}, 2, "x", false}, (collect {source = source.jsonl(file '{"a":1}\n\n2\n"x"\n  \nfalse')}))
  end)

  it("jsonl: says in which line it is no JSON", function()
    local ok, err = pcall(collect, {source = source.jsonl(file '1\n\n{"a"\n')})
    assert.is_false(ok)
    assert.equal("source", err.kind)
    assert.matches("/file:3: ", err.message)
  end)

  it("lines, csv", function()
    assert.same({"a", "", "b"}, (collect {source = source.lines(file "a\n\nb\n")}))
    local records = collect {source = source.csv(file "name;age\nAda;36\n", {separator = ";"}),
      function(row) return row.name .. row.age end}
    assert.same({"Ada36"}, records)
  end)

  it("files: paths, whose keys change with them", function()
    local one, two = file("1", "a.txt"), file("22", "b.txt")
    file("3", "c.md")
    local keys = {}
    local records = collect {source = source.files(directory.path .. "/*.txt"), function(path, item)
      keys[#keys + 1] = item.key
      return path
    end}
    assert.same({one, two}, records)
    assert.truthy(keys[2]:find(two .. " 2 ", 1, true))
    assert.same({one, "/nowhere"}, (collect {source = source.files {one, "/nowhere"}}))
  end)

  it("that is not there fails when it is read", function()
    for _, kind in ipairs {"jsonl", "lines", "csv"} do
      local ok, err = pcall(collect, {source = source[kind](directory.path .. "/none")})
      assert.is_false(ok)
      assert.equal("not_found", err.kind)
    end
  end)

  it("says what was expected", function()
    assert.error_matches(function() source.list(1) end, "source.list: expected a list, got number")
    assert.error_matches(function() source.iterator {} end, "source.iterator: expected a function, got table")
    assert.error_matches(function() source.jsonl() end, "source.jsonl: expected a path, got nil")
    assert.error_matches(function() source.files(1) end, "source.files: expected a pattern or a list of paths")
    assert.error_matches(function() source.stdin "xml" end, 'source.stdin: expected "lines" or "jsonl", got xml')
    assert.error_matches(function() source.csv("x", {head = 1}) end, "unknown option 'head'")
  end)
end)

describe("pipeline.sink", function()
  local directory, path
  before_each(function()
    directory = assert(fs.tmp_dir())
    path = directory.path .. "/out"
  end)
  after_each(function() directory:close() end)

  local sink = pipeline.sink

  it("jsonl: a line a record", function()
    local _, summary = collect {source = {{a = 1}, "x"}, sink = path .. ".jsonl"}
    assert.equal(2, summary.records)
    assert.equal('{"a":1}\n"x"\n', fs.read(path .. ".jsonl"))
  end)

  it("csv: the columns asked for, with a head", function()
    collect {source = {{name = "A, B", age = 5, more = 1}, {name = "C", list = {1, 2}}},
      sink = sink.csv(path, {"name", "age", "list"})}
    assert.equal('name,age,list\n"A, B",5,\nC,,"[1,2]"\n', fs.read(path))
  end)

  it("replaces what an earlier run has written", function()
    collect {source = {1, 2, 3}, sink = sink.jsonl(path)}
    collect {source = {4}, sink = sink.jsonl(path)}
    assert.equal("4\n", fs.read(path))
  end)

  it("table: rows of a database, each in its own place", function()
    local store = require "muster.store"
    local db <close> = assert(store.open(":memory:"))
    local function run(add)
      collect {source = {"a", "b"}, key = function(v) return v end, many = true,
        sink = sink.table(db, "words", {"text", "list", 'odd "name'}),
        function(v) return {{text = v .. add, list = {1, 2}}, {text = v .. v .. add, ['odd "name'] = 2.5}} end}
    end
    run ""
    run "!"
    assert.same({{item = "a", part = 1, text = "a!", list = "[1,2]"}, {item = "a", part = 2, text = "aa!",
      ['odd "name'] = 2.5}, {item = "b", part = 1, text = "b!", list = "[1,2]"}, {item = "b", part = 2, text = "bb!",
      ['odd "name'] = 2.5}}, db:all "SELECT * FROM words ORDER BY item, part")
    local records = collect {source = pipeline.source.query(db, "SELECT text FROM words WHERE part = ?", 2),
      function(row) return row.text end}
    assert.same({"aa!", "bb!"}, records)
    local _, summary, err = collect {source = {1}, sink = sink.table(db, "words", {"text"})}
    assert.is_nil(summary)
    assert.equal("sink", err.kind)
    assert.error_matches(function() sink.table(db, "x", {}) end, "sink.table: expected a database, the name")
  end)

  it("table: a thousand rows and more", function()
    local db <close> = assert(require "muster.store".open(":memory:"))
    local list = {}
    for i = 1, 2500 do list[i] = {n = i} end
    collect {source = list, sink = sink.table(db, "numbers", {"n"})}
    assert.same({n = 2500, s = 2500 * 2501 // 2}, db:one "SELECT count(*) AS n, sum(n) AS s FROM numbers")
  end)

  it("events: to a client as they complete, with what failed and the counts", function()
    local http = require "muster.http"
    local function refuse(x)
      if x == "b" then return nil, "no \xFF" end
      return x
    end
    local server <close> = http.serve {handler = function(_, res)
      pipeline({source = {"a", "b", "c"}, {"check", refuse}, sink = sink.events(res), order = "completion"})
        :run {quiet = true}
    end}
    local seen = {}
    for event in http.get(server.url):events() do
      seen[#seen + 1] = ("%s %s %s"):format(event.event, event.id, event.data)
    end
    assert.same({
      'record 1 "a"', 'failed 2 {"error":"no \u{FFFD}","item":2,"stage":"check","state":"parked"}', 'record 3 "c"',
      'end 3 {"done":2,"items":3,"parked":1,"records":2,"skipped":0}',
    }, seen)
    server:stop(0)
  end)

  it("that cannot be written says so before any item is read", function()
    local read = false
    local _, summary, err = collect {source = function() read = true end, sink = sink.jsonl(path .. "/no/where")}
    assert.is_nil(summary)
    assert.equal("not_found", err.kind)
    assert.is_false(read)
  end)

  it("that was removed or replaced in mid-run is an error", function()
    for _, replace in ipairs {false, true} do
      local _, summary, err = collect {source = {1, 2, 3}, sink = sink.jsonl(path), limit = 1, buffer = 0, function(x)
        if x == 2 then
          fs.rm(path)
          if replace then fs.write(path, "other") end
        end
        return x
      end}
      assert.is_nil(summary)
      assert.equal("sink", err.kind)
      assert.matches("was removed or replaced", err.message)
      fs.rm(path, {missing_ok = true})
    end
  end)

  it("says which record is no JSON", function()
    local _, summary, err = collect {source = {1}, sink = sink.jsonl(path), function() return {print} end}
    assert.is_nil(summary)
    assert.equal("sink", err.kind)
  end)

  it("says what was expected", function()
    assert.error_matches(function() sink.jsonl(1) end, "sink.jsonl: expected a path, got 1")
    assert.error_matches(function() sink.csv("x", {}) end, "sink.csv: expected a list of columns")
    assert.error_matches(function() sink.call(1) end, "sink.call: expected a function, got number")
  end)
end)
