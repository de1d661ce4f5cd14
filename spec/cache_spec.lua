local async = require "muster"
local cache = require "muster.cache"
local fs = require "muster.fs"

describe("cache", function()
  local directory, store

  before_each(function()
    directory = assert(fs.tmp_dir())
    store = assert(cache.open(directory.path .. "/a/b"))
  end)

  after_each(function() directory:close() end)

  local function files()
    local found = {}
    for path, kind in fs.walk(directory.path) do
      if kind == "file" then found[#found + 1] = path end
    end
    return found
  end

  it("gives back what it was given", function()
    local values = {1, "text", true, false, {a = {1, 2.5, "x"}}, {}, 2 ^ 53 + 1, math.maxinteger, "\0\n\u{1F600}"}
    for i, value in ipairs(values) do
      assert.is_true(store:put("key " .. i, value))
      assert.same(value, store:get("key " .. i))
    end
    assert.equal(#values, #files())
  end)

  it("has nothing at first", function()
    assert.same({n = 0}, table.pack(store:get "nothing"))
    assert.same({hits = 0, misses = 1}, store:stats())
  end)

  it("is there in the next run, and for others", function()
    store:put("k", "v")
    assert.equal("v", cache.open(directory.path .. "/a/b"):get "k")
  end)

  it("takes keys of any bytes and any length", function()
    local keys = {"", "/", "../..", "\0", "\xff", ("x"):rep(100000), "k", "K"}
    for i, key in ipairs(keys) do store:put(key, i) end
    for i, key in ipairs(keys) do assert.equal(i, store:get(key)) end
  end)

  it("replaces, and removes", function()
    store:put("k", 1)
    store:put("k", 2)
    assert.equal(2, store:get "k")
    assert.is_true(store:remove "k")
    assert.is_nil(store:get "k")
    assert.is_true(store:remove "k")
    assert.same({}, files())
  end)

  it("takes a damaged file for none", function()
    store:put("k", {a = 1})
    local path = files()[1]
    local text = fs.read(path)
    for _, damaged in ipairs {"", text:sub(1, -2), "[]", "null", '{"name":"other","at":1,"value":1}', "\0"} do
      fs.write(path, damaged)
      assert.is_nil(store:get "k")
      assert.equal("v", store:fetch("k", function() return "v" end))
      assert.equal("v", store:get "k")
    end
  end)

  it("takes what is too old for none", function()
    store:put("k", 1)
    local path = files()[1]
    fs.write(path, (fs.read(path):gsub('"at":%d+', '"at":' .. os.time() - 100)))
    assert.equal(1, cache.open(store.directory, {ttl = 200}):get "k")
    assert.is_nil(cache.open(store.directory, {ttl = 50}):get "k")
  end)

  it("says so when the system does not let it", function()
    local file = directory.path .. "/file"
    fs.write(file, "")
    local opened, err = cache.open(file .. "/x")
    assert.is_nil(opened)
    assert.equal("not_directory", err.kind)
    fs.rm(store.directory, {recursive = true})
    fs.write(store.directory, "")
    local ok, problem = store:put("k", 1)
    assert.is_nil(ok)
    assert.equal("not_directory", problem.kind)
    local value, kept, why = store:fetch("k", function() return 5 end)
    assert.same({5, false, "not_directory"}, {value, kept, why.kind})
  end)

  describe("fetch", function()
    it("makes an answer once", function()
      local made = 0
      local function make(a, b)
        made = made + 1
        return a + b
      end
      assert.same({n = 2, 5, false}, {n = 2, store:fetch("k", make, 2, 3)})
      assert.same({n = 2, 5, true}, {n = 2, store:fetch("k", make, 2, 3)})
      assert.equal(1, made)
    end)

    it("shares it among those who ask at the same time", function()
      local made, go = 0, async.event()
      local function ask()
        return store:fetch("k", function()
          made = made + 1
          go:wait()
          return "answer"
        end)
      end
      local tasks = {}
      for i = 1, 20 do tasks[i] = async.spawn(ask) end
      local other = async.spawn(function() return store:fetch("other", function() return "other" end) end)
      assert.equal("other", other:await())
      go:set()
      for _, task in ipairs(tasks) do assert.equal("answer", (task:await())) end
      assert.equal(1, made)
    end)

    it("lets the next one make it when the first fails, raises, or is cancelled", function()
      for _, fail in ipairs {
        function() return nil, "no" end,
        function() error "no" end,
        function() async.event():wait() end,
      } do
        local begun = async.event()
        local first = async.spawn(function()
          return store:fetch("k", function()
            begun:set()
            async.yield()
            return fail()
          end)
        end)
        begun:wait()
        local second = async.spawn(function() return store:fetch("k", function() return 7 end) end)
        async.yield()
        first:cancel()
        first:pawait()
        assert.equal(7, (second:await()))
        store:remove "k"
      end
    end)

    it("passes on nil and why, and keeps neither", function()
      assert.same({n = 2, nil, "why"}, table.pack(store:fetch("k", function() return nil, "why" end)))
      assert.same({}, files())
    end)

    it("keeps nothing that JSON cannot say", function()
      assert.error_matches(function() store:fetch("k", function() return print end) end, "function")
      assert.equal(1, (store:fetch("k", function() return 1 end)))
    end)
  end)

  it("names requests by what they say, not by their order", function()
    assert.equal(cache.key {a = 1, b = {c = 2, d = 3}}, cache.key {b = {d = 3, c = 2}, a = 1})
    assert.not_equal(cache.key {a = 1}, cache.key {a = "1"})
    assert.not_equal(cache.key {1, 2}, cache.key {2, 1})
    assert.matches("^%x+$", cache.key "x")
  end)

  it("says what was expected", function()
    assert.error_matches(function() cache.open() end, "cache.open: expected a path, got nil")
    assert.error_matches(function() cache.open("x", {tll = 1}) end, "cache.open: unknown option 'tll'")
    assert.error_matches(function() store:get(5) end, "cache:get: the key must be a string, got number")
    assert.error_matches(function() store:put({}, 1) end, "cache:put: the key must be a string, got table")
    assert.error_matches(function() store:put("k", nil) end, "cache:put: expected a value, got nil")
    assert.error_matches(function() store:fetch("k") end, "cache:fetch: expected a function, got nil")
  end)
end)
