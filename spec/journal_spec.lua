local async = require "muster"
local fs = require "muster.fs"
local journal = require "muster.journal"
local process = require "muster.process"
local program = require "spec.support.program"
local store = require "muster.store"
local files = require "spec.support.files"
local spec = require "spec.support.io"

--- Makes the body of a spec, which is given a path for a journal, and a function that opens it with the options.
local function with_path(fn)
  return files.inside(function(at)
    fn(at "a.journal", function(opts)
      opts = opts or {}
      opts.group_commit = opts.group_commit or 0
      return assert(journal.open(at "a.journal", opts))
    end, at)
  end)
end

local function finish(j, ...)
  for _, key in ipairs {...} do
    assert(assert(j:claim(key)).todo)
    assert(j:done(key, key:upper()))
  end
end

local function all_results(j)
  local list = {}
  for key, result in j:results() do list[#list + 1] = key .. "=" .. tostring(result) end
  return table.concat(list, " ")
end

local function failed(kind, result, err)
  assert(result == nil, "no failure, but " .. tostring(result))
  assert(err.kind == kind, ("kind %s instead of %s: %s"):format(err.kind, kind, err))
  return err
end

describe("an item", function()
  it("goes from claim to response to result, and is known by all of them again", with_path(function(_, open)
    do
      local j <close> = open()
      assert.same({key = "a", state = "leased", todo = true, attempts = 1}, j:claim("a", {source = "x"}))
      assert.is_true(j:responded("a", "raw \0 text"))
      assert.is_true(j:done("a", {name = "Alice", tags = {1, 2}}))
      assert.same({key = "a", state = "done", todo = false, own = true, attempts = 1,
                   result = {name = "Alice", tags = {1, 2}}}, j:claim "a")
    end
    local j <close> = open()
    assert.same({name = "Alice", tags = {1, 2}}, j:claim("a").result)
    for item in j:items() do
      assert.same({key = "a", state = "done", attempts = 1, info = {source = "x"}, raw = "raw \0 text",
                   result = {name = "Alice", tags = {1, 2}}}, item)
    end
  end))

  it("may fail, or be parked, until it is retried", with_path(function(_, open)
    local j <close> = open()
    for _, key in ipairs {"a", "b", "c"} do j:claim(key) end
    assert(j:responded("a", "bad"))
    assert(j:failed("a", {kind = "invalid", message = "no JSON", retryable = false, deep = {}}))
    assert(j:parked("b", "later"))
    assert(j:done("c", 1))
    local item = j:claim "a"
    assert.same({kind = "invalid", message = "no JSON"}, item.error)
    assert.is_false(item.todo)
    assert.equal("failed", item.state)
    assert.same({message = "later"}, j:claim("b").error)
    assert.equal(2, j:retry_failed())
    assert.equal(0, j:retry_failed())
    item = j:claim "a"
    assert.same({key = "a", state = "leased", todo = true, attempts = 2}, item)
    local n = 0
    for _ in j:items "pending" do n = n + 1 end
    assert.equal(1, n)
    spec.raises("journal:items: there is no state doing", j.items, j, "doing")
  end))

  it("that was leased when its process ended is to be done again; a saved response is kept", with_path(function(_, open)
    do
      local j <close> = open()
      j:claim "leased"
      j:claim "responded"
      assert(j:responded("responded", "raw"))
    end
    local j <close> = open()
    assert.same({key = "leased", state = "leased", todo = true, attempts = 2}, j:claim "leased")
    assert.same({key = "responded", state = "responded", todo = true, attempts = 2, raw = "raw"}, j:claim "responded")
    assert(j:done("responded", 1))
    assert(j:done("leased", 2))
  end))

  it("is claimed once at a time; given back, it is free", with_path(function(_, open)
    local j <close> = open()
    assert.is_true(j:claim("a").todo)
    assert.equal("taken", j:claim("a").state)
    local both = async.gather {function() return j:claim "b" end, function() return j:claim "b" end}
    assert.is_true(both[1].todo)
    assert.is_false(both[2].todo)
    assert(j:release "a")
    assert.is_true(j:claim("a").todo)
  end))

  it("must be claimed, and have a key", with_path(function(_, open)
    local j <close> = open()
    spec.raises("journal:done: the item \"a\" is not claimed here", j.done, j, "a", 1)
    spec.raises("journal:responded: the response must be a string, got nil", j.responded, j, "a")
    spec.raises("journal:claim: the key must be a string, not empty, got nil", j.claim, j)
    spec.raises("the key must be a string, not empty, got string", j.claim, j, "")
    j:claim "a"
    spec.raises("journal:done: json.encode: a function cannot", j.done, j, "a", print)
    spec.raises("journal:claim: json.encode", j.claim, j, "b", print)
    assert(j:done "a")
    spec.raises("not claimed here", j.done, j, "a", 1)
    assert.is_true(j:claim("\0\xff").todo)
    assert(j:done("\0\xff", "bytes"))
    assert.equal("bytes", j:claim("\0\xff").result)
  end))

  it("whose claim is cancelled is free", with_path(function(_, open)
    local j <close> = open {group_commit = 0.01}
    spec.cancel(spec.start(j.claim, j, "a"))
    assert.is_true(j:claim("b").todo)
    assert.is_true(j:claim("a").todo)
  end))

  it("whose end is cancelled may have ended", with_path(function(_, open)
    local j <close> = open {group_commit = 0.01}
    j:claim "a"
    spec.cancel(spec.start(j.done, j, "a", 1))
    j:claim "b"
    assert.equal("a=1", all_results(j))
  end))
end)

describe("a journal", function()
  it("gives results in the order of the first claims", with_path(function(_, open)
    local j <close> = open()
    local keys = {}
    for i = 1, 200 do keys[i] = ("k%d"):format(i * 7919 % 1000) end
    async.map(keys, function(key)
      assert(j:claim(key))
      for _ = 1, #key do async.yield() end
      assert(j:done(key, 0))
    end, {limit = 50})
    local i = 0
    for key in j:results() do
      i = i + 1
      assert.equal(keys[i], key)
    end
    assert.equal(200, i)
    for key in j:results() do
      if key == keys[1] then break end
    end
  end))

  it("counts its items by state, also for others", with_path(function(path, open)
    local j <close> = open()
    finish(j, "a", "b")
    j:claim "c"
    j:claim "d"
    assert(j:responded("d", "raw"))
    j:claim "e"
    assert(j:parked("e", "x"))
    local expected = {pending = 0, leased = 1, responded = 1, done = 2, failed = 0, parked = 1, total = 5}
    assert.same(expected, j:status())
    assert.same(expected, journal.status(path))
    failed("sqlite", journal.status(path .. "no"))
  end))

  it("writes what many tasks say in few transactions, soon", with_path(function(path, open)
    local j <close> = open {group_commit = 0.005}
    local reader <close> = assert(store.open(path, {readonly = true}))
    local versions, seen = 0, nil
    local watch = async.spawn(function()
      while true do
        local now = reader:one("PRAGMA data_version").data_version
        if now ~= seen then versions, seen = versions + 1, now end
        async.sleep(0)
      end
    end)
    local keys = {}
    for i = 1, 500 do keys[i] = "k" .. i end
    async.map(keys, function(key)
      assert(j:claim(key))
      assert(j:responded(key, "raw"))
      assert(j:done(key, 1))
    end, {limit = 500})
    spec.cancel(watch)
    assert(versions < 50, versions .. " transactions")
    assert.equal(500, j:status().done)
  end))

  it("has said nothing before it is written", with_path(function(path, open)
    local j <close> = open()
    for i = 1, 20 do
      local key = "k" .. i
      assert(j:claim(key))
      assert.equal(1, journal.status(path).leased)
      assert(j:done(key, 1))
      assert.equal(i, journal.status(path).done)
    end
  end))

  it("is closed once, after what is being written", with_path(function(_, open)
    local j = open {group_commit = 0.01}
    j:claim "a"
    local last = spec.start(j.done, j, "a", 1)
    j:close()
    j:close()
    assert.is_true(async.await(last))
    failed("closed", j:claim "b")
    failed("closed", j:done("b", 1))
    failed("closed", j:status())
    local again <close> = open()
    assert.equal("a=1", all_results(again))
  end))

  it("checks its options", with_path(function(path)
    spec.raises("journal.open: unknown option 'fingerprints'", journal.open, path, {fingerprints = 1})
    spec.raises("option 'fingerprint' must be a string or a table", journal.open, path, {fingerprint = 1})
    spec.raises("option 'lease' must be a number of seconds, above 0", journal.open, path, {lease = 0})
    spec.raises("option 'group_commit' must be", journal.open, path, {group_commit = math.huge})
    spec.raises("journal.open: expected a path", journal.open)
    assert.is_nil((fs.stat(path)))
  end))
end)

describe("the fingerprint", function()
  it("that differs is refused, with what has changed", with_path(function(path, open)
    open({fingerprint = {script = "s", schema = {a = 1}, options = {limit = 2}}}):close()
    open({fingerprint = {script = "s", schema = {a = 1}, options = {limit = 2}}}):close()
    open():close()
    local now = {script = "t", schema = {a = 2}, options = {limit = 2}}
    local err = failed("changed", journal.open(path, {fingerprint = now}))
    assert.same({"schema", "script"}, err.changed)
    assert.match("schema, script have changed since it was begun", err.message)
    err = failed("changed", journal.open(path, {fingerprint = {script = "s", schema = {a = 1}}}))
    assert.same({"options"}, err.changed)
    failed("changed", journal.open(path, {fingerprint = "s"}))
  end))

  it("may be overruled: mixed goes on, fresh begins again", with_path(function(path, open)
    do
      local j <close> = open {fingerprint = "1"}
      finish(j, "a")
    end
    do
      local j <close> = open {fingerprint = "2", mixed = true}
      assert.is_false(j:claim("a").todo)
    end
    failed("changed", journal.open(path, {fingerprint = "1"}))
    do
      local j <close> = open {fingerprint = "3", fresh = true}
      assert.is_true(j:claim("a").todo)
      assert.equal(1, j:status().total)
    end
    open({fingerprint = "3"}):close()
  end))
end)

describe("a second process", function()
  --- A process that runs code with a journal `j`, and says when it is open; it ends with its input.
  local function other(path, code, opts)
    local child = assert(process.spawn {program.path, "--slow", "0", "-e", ([[
      local j = assert(require "muster.journal".open(%q, %s))
      %s
      io.write "open\n"
      io.flush()
      io.read()
    ]]):format(path, opts or "{}", code or "")})
    assert.equal("open", child.stdout:read_until "\n")
    return child
  end

  it("is refused, and told who is at work; when that is killed, it is free", with_path(function(path, open)
    local child <close> = other(path, 'j:claim "a"')
    local err = failed("locked", journal.open(path))
    assert.equal(child.pid, err.pid)
    assert.match(("process %d on %s is at work on it"):format(child.pid, err.host), err.message, 1, true)
    failed("locked", journal.open(path, {share = true}))
    failed("locked", journal.open(path, {fresh = true}))
    assert.equal(1, journal.status(path).leased)
    child:kill()
    child:wait()
    local j <close> = open()
    assert.is_true(j:claim("a").todo)
    failed("locked", journal.open(path)) -- nor this one, again
  end))

  it("shares it by lease, if both are told to", with_path(function(path, open)
    local child <close> = other(path, 'j:claim "a" j:claim "b" assert(j:done("b", 1))', "{share = true}")
    local j <close> = open {share = true}
    assert.match("another process is at work on it", failed("locked", journal.open(path)).message)
    assert.equal("taken", j:claim("a").state)
    assert.equal("done", j:claim("b").state)
    finish(j, "c")
    assert.equal("b=1 c=C", all_results(j))
    child.stdin:close()
    child:wait()
    assert.equal("taken", j:claim("a").state) -- until its lease is over
    local db <close> = assert(store.open(path))
    assert(db:exec "UPDATE items SET expires = 0")
    assert.is_true(j:claim("a").todo)
    finish(j, "d")
  end))

  it("that has lost a lease cannot end the item", with_path(function(path, open)
    local j <close> = open {share = true}
    local k <close> = open {share = true}
    for _, key in ipairs {"a", "b"} do assert.is_true(j:claim(key).todo) end
    assert.equal("taken", k:claim("a").state)
    local db <close> = assert(store.open(path))
    assert(db:exec "UPDATE items SET expires = 0 WHERE key = 'a'")
    assert.is_true(k:claim("a").todo)
    local ends = async.gather {
      function() return table.pack(j:done("a", "old")) end,
      function() return j:done("b", 1) end,
    }
    failed("lost", table.unpack(ends[1], 1, 2))
    assert.is_true(ends[2])
    assert(k:done("a", "new"))
    assert.equal("a=new b=1", all_results(j))
  end))

  it("keeps its leases as long as it works", with_path(function(path, open)
    local j <close> = open {share = true, lease = 0.03}
    assert(j:claim "a")
    local function expires()
      local db <close> = assert(store.open(path, {readonly = true}))
      return db:one("SELECT expires FROM items").expires
    end
    local first = expires()
    while expires() == first do async.sleep(0.005) end
    assert(j:done("a", 1))
  end))
end)

describe("a file", function()
  it("that is no journal is left alone", with_path(function(path)
    assert(fs.write(path, ("text\n"):rep(100)))
    local err = failed("corrupt", journal.open(path))
    assert.match("is damaged", err.message)
    failed("corrupt", journal.open(path, {fresh = true}))
    assert.equal(500, #fs.read(path))
    assert(fs.rm(path))
    do
      local db <close> = assert(store.open(path))
      assert(db:exec "CREATE TABLE precious (x)")
    end
    err = failed("corrupt", journal.open(path))
    assert.match("it is a database, but not a journal", err.message)
    failed("corrupt", journal.open(path, {fresh = true}))
    err = failed("sqlite", journal.open(path .. "/below"))
    assert.equal(("journal %s/below: store.open: unable to open database file"):format(path), err.message)
  end))

  it("that is damaged is told of; fresh begins again", with_path(function(path, open)
    do
      local j <close> = open()
      local keys = {}
      for i = 1, 500 do keys[i] = "key " .. i end
      async.map(keys, function(key) finish(j, key) end, {limit = 500})
    end
    local text = assert(fs.read(path))
    assert(fs.write(path, text:sub(1, 4096) .. ("\xff"):rep(#text - 4096)))
    local err = failed("corrupt", journal.open(path))
    assert.match("bring back a copy, or remove it", err.message)
    local j <close> = open {fresh = true}
    assert.equal(0, j:status().total)
  end))

  it("of a later version is refused", with_path(function(path, open)
    open():close()
    do
      local db <close> = assert(store.open(path))
      assert(db:exec "PRAGMA user_version = 99")
    end
    assert.match("it is of version 99, not 1", failed("corrupt", journal.open(path)).message)
  end))

  it("on a full disk: what was acknowledged stays", with_path(function(_, _, at)
    if require "luv".getuid() ~= 0 then return end -- only root may mount
    assert(fs.mkdir(at "small"))
    local mounted = process.run {"mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", at "small"}
    if mounted.status ~= 0 then return end
    local _ <close> = setmetatable({}, {__close = function() process.run {"umount", at "small"} end})
    local j = assert(journal.open(at "small/j", {group_commit = 0}))
    local n = 0
    while true do
      local item, err = j:claim("k" .. n)
      local ok = item
      if ok then ok, err = j:responded("k" .. n, ("x"):rep(2000)) end
      if ok then ok, err = j:done("k" .. n, 1) end
      if not ok then
        assert.equal("SQLITE_FULL", err.code)
        break
      end
      n = n + 1
    end
    assert(n > 0)
    j:close()
    local again <close> = assert(journal.open(at "small/j"))
    assert.equal(n, again:status().done)
  end))
end)
