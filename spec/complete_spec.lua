-- Completion in a session: what may stand before the cursor.
local async = require "muster"
local program = require "spec.support.program"
local screens = require "spec.support.session"

local screen

-- The candidates for a line whose cursor is at its end, or before what follows "|".
local function complete(line)
  local before, after = line:match "^(.-)|(.*)$"
  local first, candidates = screen.session:complete((before or line) .. (after or ""), #(before or line))
  return candidates, first
end

local function assert_candidates(expected, line) assert.same(expected, (complete(line))) end

local function assert_none(line) assert_candidates({}, line) end

local function assert_has(name, line)
  local candidates = complete(line)
  for _, candidate in ipairs(candidates) do
    if candidate == name then return end
  end
  error(("no '%s' among '%s' for '%s'"):format(name, table.concat(candidates, " "), line), 2)
end

local function raising() error "called" end

before_each(function() screen = screens.open() end)
after_each(screens.forget)

describe("completion of names", function()
  it("knows globals, locals of the session and keywords", function()
    screen:run "local coverage = 1 covered = 2"
    assert_candidates({ "coverage", "covered" }, "cov")
    assert_candidates({ "coroutine" }, "cor")
    assert_candidates({ "while" }, "whi")
    assert_candidates({ "print" }, "for i = 1, 10 do pri")
    assert_candidates({ "print" }, "x = pri|nt(5)")
  end)

  it("says where they begin", function()
    assert.equal(1, select(2, complete "pri"))
    assert.equal(5, select(2, complete "x = pri"))
    assert.equal(8, select(2, complete "string.fo"))
    assert.equal(6, select(2, complete "x = 1"))
  end)

  it("is quiet where there is nothing to go by", function()
    for _, line in ipairs { "", "   ", "x = ", "1", "12", "0x", "1e", "x + 5", "'pri", '"pri', "[[pri", "[==[pri",
      "-- pri",
      "--[[pri", "'a\\", "pri ", "nothing_like_it", "...", "(", ")" } do
      assert_none(line)
    end
  end)

  it("is of the whole chunk", function()
    screen.lines = { "x = [[" }
    assert.is_false(pcall(screen.session.step, screen.session))
    assert.same({}, (select(2, screen.session:complete("pri", 3))))
    screen.lines = { "x = (" }
    assert.is_false(pcall(screen.session.step, screen.session))
    assert.same({ "print" }, (select(2, screen.session:complete("pri", 3))))
    assert_none(".he")
  end)
end)

describe("completion of fields", function()
  it("follows tables, and __index that are tables", function()
    _G.t = setmetatable({ own = 1, ["not a name"] = 2, ["end"] = 3, [4] = 5, inner = { deep = { deeper = 1 } } },
      { __index = setmetatable({ inherited = 1 }, { __index = { far = 1 } }) })
    assert_candidates({ "far", "inherited", "inner", "own" }, "t.")
    assert_candidates({ "inherited", "inner" }, "t.in")
    assert_candidates({ "deeper" }, "x = 1 + t.inner.deep.")
    assert_candidates({ "deeper" }, "t . inner . deep . d")
    assert_candidates({ "deeper" }, "t['inner'].deep.")
    assert_none "t.none."
    assert_none "none."
    assert_none "t.own."
    assert_none "t.far.x."
  end)

  it("follows literal keys, modules and strings", function()
    _G.t = { { name = 1 }, ["a b"] = { other = 2 } }
    assert_candidates({ "name" }, "t[1].")
    assert_candidates({ "other" }, "t['a b'].")
    assert_candidates({ "other" }, "t[ [[a b]] ].o")
    assert_candidates({ "sleep" }, "require 'muster'.sl")
    assert_candidates({ "sleep" }, "require('muster').sl")
    assert_candidates({ "rep", "reverse" }, "('x'):re")
    assert_none "require 'no_such_module'."
  end)

  it("calls nothing", function()
    _G.f = function() error "called" end
    for _, line in ipairs { "f().", "f 'x'.", "f{}.", "f''.", "(f()).", "t[f()].", "f 'x':re", "f():", "a:b.",
      "(a).", "t[x]." } do
      assert_none(line)
    end
  end)

  it("is quick with cycles, and with what is large", function()
    _G.t = {}
    for i = 1, 200000 do _G.t["k" .. i] = i end
    assert.truthy(#complete "t.k" <= 2000)
    _G.cycle = setmetatable({ name = 1 }, {})
    getmetatable(_G.cycle).__index = _G.cycle
    assert_candidates({ "name" }, "cycle.")
    assert_none "cycle.none."
  end)

  it("knows locals before globals", function()
    _G.t = { global = 1 }
    screen:run "local t = {own = 1}"
    assert_candidates({ "own" }, "t.")
    screen:run "local t"
    assert_none "t."
  end)
end)

describe("completion through __index that is a function", function()
  local function guarded_by(fn)
    _G.t = setmetatable({}, { __index = fn })
    return complete "t.field."
  end

  it("goes by what it returns", function()
    assert.same({ "found" }, guarded_by(function(_, key) return key == "field" and { found = 1 } end))
    assert.same({ "found" }, guarded_by(function()
      async.sleep(0)
      return { found = 1 }
    end))
    assert.same({ "found" }, guarded_by(setmetatable({}, { __index = function() return { found = 1 } end })))
  end)

  it("does without if it fails, never ends, or waits", function()
    assert.same({}, guarded_by(raising))
    assert.same({}, guarded_by(function() while true do end end))
    assert.same({}, guarded_by(function() while true do pcall(function() while true do end end) end end))
    assert.same({}, guarded_by(function() async.sleep(1e9) end))
    assert.same({}, guarded_by(function() while true do pcall(async.sleep, 1e9) end end))
    assert.same({}, guarded_by(function() coroutine.yield {} end))
    assert.same({}, guarded_by(function(t, key) return t[key] end))
  end)

  it("calls it for nothing else, and no other metamethod", function()
    _G.t = setmetatable({ own = 1 }, { __index = raising, __pairs = raising, __len = raising, __tostring = raising,
      __call = raising, __eq = raising, __metatable = raising })
    assert_candidates({ "own" }, "t.")
  end)

  it("is so for a guarded _G", function()
    finally(function() setmetatable(_G, nil) end)
    setmetatable(_G, { __index = raising, __newindex = raising })
    assert_candidates({ "print" }, "pri")
    assert_none "undefined."
  end)
end)

describe("completion of methods", function()
  it("offers what can be called", function()
    _G.t = setmetatable({ value = 1, method = print, object = setmetatable({}, { __call = raising }) },
      { __index = { inherited = print, other = {} } })
    assert_candidates({ "inherited", "method", "object" }, "t:")
    assert_candidates({ "method" }, "t:m")
  end)

  it("knows those of strings, files and tasks", function()
    _G.s, _G.task = "text", async.spawn(function() end)
    assert_candidates({ "rep", "reverse" }, "s:re")
    assert_has("lines", "io.stdout:")
    assert_candidates({ "await", "cancel", "daemon", "pawait", "status", "traceback" }, "task:")
    assert_none "task.x:"
  end)
end)

describe("completion of modules", function()
  after_each(program.remove_files)

  it("knows loaded, preloaded and embedded ones, and those on package.path", function()
    package.preload.spec_preloaded = print
    finally(function() package.preload.spec_preloaded = nil end)
    assert_has("spec_preloaded", "require 'spec_")
    assert_has("muster.show", 'require("muster.')
    assert_has("lpeg", "local l = require 'l")
    assert_candidates({ "spec.support.program" }, "require 'spec.support.pro")
    assert_none "require 'spec.support.nothing"
    assert.equal(10, select(2, complete "require 'mus"))
  end)

  it("takes any package.path", function()
    local path, cpath = package.path, package.cpath
    finally(function() package.path, package.cpath = path, cpath end)
    for _, broken in ipairs { "", ";;;", "?", "???", "/nowhere/?.lua", "./?", "\0?", ("x"):rep(1e5) .. "?" } do
      package.path, package.cpath = broken, broken
      assert_has("lpeg", "require 'lp")
    end
    package.path, package.cpath = nil, {}
    assert_has("lpeg", "require 'lp")
  end)
end)

describe("completion of commands", function()
  it("offers them at the beginning of a line", function()
    assert_candidates({ ".doc", ".help", ".load", ".tasks", ".time" }, ".")
    assert_candidates({ ".tasks", ".time" }, ".t")
    assert_none ".none"
    assert_none " .he"
  end)

  it("goes on with what they take", function()
    assert_candidates({ "rep", "reverse" }, ".doc string.re")
    assert.equal(13, select(2, complete ".doc string.re"))
    assert_candidates({ "print" }, ".time pri")
    assert_none ".help pri"
    assert_none ".none pri"
    assert_has("spec/support/", ".load spec/sup")
    assert_candidates({ "spec/complete_spec.lua" }, ".load spec/complete")
    assert_none ".load /nowhere/"
  end)
end)

describe("completion", function()
  it("never raises", function()
    math.randomseed(7)
    local parts = { "t", ".", ":", "[", "]", "(", ")", "'", '"', "[[", "]]", "--", "\\", "require", "1", "end", " ",
      "\0", "\xFF",
      "\n", "=", "..", "...", "::", "string", "é", "{", "}", "0x", ".doc ", ".load ", "local", "function", "muster" }
    _G.t = { t = { t = {} } }
    for _ = 1, 3000 do
      local line = {}
      for i = 1, math.random(0, 8) do line[i] = parts[math.random(#parts)] end
      line = table.concat(line)
      local cursor = math.random(0, #line)
      local first, candidates = screen.session:complete(line, cursor)
      assert.truthy(first >= 1 and first <= cursor + 1, line)
      local prefix = line:sub(first, cursor)
      for i, candidate in ipairs(candidates) do
        assert.equal(prefix, candidate:sub(1, #prefix))
        assert.truthy(i == 1 or candidates[i - 1] < candidate)
      end
    end
    assert.same({ 6, {} }, { screen.session:complete(nil, 5) })
    assert.same({ "print" }, (select(2, screen.session:complete("pri", 100))))
  end)

  it("is quick with long lines", function()
    assert_none(("x = {"):rep(20000) .. "nothing_like_it")
    assert_none(("t."):rep(20000))
    assert_none(("["):rep(20000))
  end)
end)
