-- Top-level locals of a session outlive their chunk: spec/session_spec.lua runs whole sessions.
local locals = require "muster.repl.locals"
local screens = require "spec.support.session"

describe("top-level locals", function()
  local kept

  before_each(function() kept = locals.new() end)
  after_each(screens.forget)

  local function run(code) return assert(kept:load(code, "=stdin"))() end

  --- Runs all chunks but the last for their effect: what the last returns.
  local function results(chunks)
    for i = 1, #chunks - 1 do run(chunks[i]) end
    return table.pack(run(chunks[#chunks]))
  end

  local function assert_results(expected, chunks)
    expected.n = #expected
    assert.same(expected, results(chunks))
  end

  it("stay", function()
    assert_results({ 1, 2 }, { "local a, b = 1, 2", "return a, b" })
    assert_results({ 3 }, { "local a", "a = 3", "return a" })
    assert_results({ 4 }, { "local a = 3 a = a + 1", "return a" })
    assert_results({ 1, "text" }, { "local a <const>, b = 1, 'text'", "return a, b" })
  end)

  it("are not globals", function()
    run "local hidden = 1"
    assert.is_nil(_G.hidden)
    run "hidden = 2"
    assert.is_nil(_G.hidden)
  end)

  it("are variables, shared with the functions that know them", function()
    assert_results({ 1, 10, 10, 11 }, { "local n = 1 function get() return n end local function set(x) n = x end",
      "old = get() set(10) first = n", "second = get() n = 11", "return old, first, second, get()" })
  end)

  it("are new ones where they are declared again", function()
    assert_results({ 2, 1 }, { "local x = 1 function get() return x end", "local x = x + 1", "return x, get()" })
    assert_results({ 3 }, { "local x = 1 local x = 2 local x = 3", "return x" })
    assert_results({ 2 }, { "local x <const> = 1", "local x = 1", "x = 2", "return x" })
  end)

  it("may be functions that call themselves", function()
    assert_results({ 120 }, { "local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end", "return fact(5)" })
  end)

  it("are those of the top level only", function()
    run [=====[
      local outer = 0
      do local a = 1 do local b end end
      for i = 1, 2 do local c = i end
      for k, v in pairs {} do local d end
      while false do local e end
      repeat local f = true until f
      if outer then local g elseif outer then local h else local i end
      local function fn(p, q) local j = function() local k end return j end
      local t = {function() local l end, [(function() local m return 1 end)()] = 2}
      function glob.x.y:z() local n end
      goto continue
      ::continue::
      -- local in_a_comment
      --[==[ local in_a_long_comment ]] ]==]
      local s = "local in_a_string" .. 'local in_another' .. [[local in_a_long_one
        local on_its_second_line]] .. "an escaped \" local quote" .. 'a\
        local line' .. "a \z
        local zap"
      local last = s]=====]
    local names = kept:names()
    table.sort(names)
    assert.same({ "fn", "last", "outer", "s", "t" }, names)
  end)

  before_each(function() _G.glob = { x = { y = {} } } end)

  it("stay also if the chunk returns", function()
    assert_results({ 2 }, { "local a = 1 return a", "return a + 1" })
    assert_results({ 2 }, { "local a = 1; return", "return a + 1" })
    assert_results({ 2 }, { "local a = 1 do end return a;", "return a + 1" })
    assert_results({ 2 }, { "local a = function() return 1 end return (a)", "return a() + 1" })
    assert_results({ 1 }, { "local a = 1 local f = print return", "return a" })
    assert_results({ 5 }, { "local a = 1 return a -- comment", "return a + 4" })
  end)

  it("give a chunk that returns what it returns", function()
    assert.same({ 1, nil, 3, n = 3 }, results { "local a = 1 return a, nil, 3" })
    assert.same({ n = 0 }, results { "local a = 1" })
    assert.same({ n = 0 }, results { "local a = 1", "a = 2" })
    assert.same({ n = 1 }, results { "local a = 1 if a then return nil end" })
  end)

  it("end their chunk as Lua does: comments, labels, semicolons", function()
    assert_results({ 1 }, { "local a = 1 -- comment", "return a" })
    assert_results({ 1 }, { "local a = 1 --[[ comment ]]", "return a" })
    assert_results({ 1 }, { "local a = 1;;", "return a" })
    assert_results({ "--" }, { "local a = '--'", "return a" })
    assert_results({ "]]--" }, { "local a = [==[]]--]==]", "return a" })
    assert_results({ 1 }, { "local a = 1 ::again:: if a < 1 then goto again end", "return a" })
  end)

  it("are given up for a jump over them to the end", function()
    assert_results({}, { "goto done local a = 1 ::done::" })
    assert.same({ n = 1 }, results { "goto done local a = 1 ::done::", "return a" })
  end)

  it("keep their attributes", function()
    run "local a <const>, b <const>, c <close> = 1, {}, nil local d<const> =2"
    assert.same({ 1, "table", nil, n = 3 }, results { "return a, type(b), c" })
    for _, name in ipairs { "a", "b", "c", "d" } do
      local chunk, message = kept:load(name .. " = 5", "=stdin")
      assert.is_nil(chunk)
      assert.equal("stdin:1: attempt to assign to const variable '" .. name .. "'", message)
    end
    assert_results({ 1, 2 }, { "local x <const>, y = a, 1; y = 2", "return x, y" })
  end)

  it("are closed at the end of their chunk", function()
    assert_results({ "closed" }, { "local c <close> = setmetatable({}, {__close = function(c) c.state = 'closed' end})",
      "return c.state" })
    assert_results({ nil, "closed" }, { [[local c <close> = setmetatable({},
      {__close = function(c) c.state = 'closed' end})
      return c.state]], "return nil, c.state" })
  end)

  it("are not the names that follow them", function()
    _G.g = 1
    assert_results({ 2 }, { "local a g = 2", "return g" })
    assert.equal(2, _G.g)
    run "local b <const> g = 3 local c, d g = 4"
    assert.equal(4, _G.g)
    local names = kept:names()
    table.sort(names)
    assert.same({ "a", "b", "c", "d" }, names)
  end)

  it("may be called as anything that is a name", function()
    assert_results({ 1, 2, 3 }, { "local keep, keep_, local_ = 1, 2, 3", "return keep, keep_, local_" })
    assert_results({ 5 }, { "local keep = 4", "keep = keep + 1", "return keep" })
  end)

  it("but _ENV, which would lock one out", function()
    assert_results({ 1, print }, { "local _ENV <const> = {x = 1} y = x", "return 1, print" })
    assert_results({ 2 }, { "local a = 1 local _ENV = {} b = a", "return a + 1" })
  end)

  it("do not hide what fields and strings are called", function()
    assert_results({ 1, "x", 2 }, { "local x = 0 t = {x = 1, y = {x = 2}}", "return t.x, 'x', t.y.x" })
  end)

  it("are seen in functions within functions, as upvalues", function()
    assert_results({ 3 }, { "local a, b = 1, 2", "return (function() return (function() return a + b end)() end)()" })
    assert_results({ 7 }, { "local a = 1", "(function() a = 7 end)()", "return a" })
  end)

  it("are seen by coroutines", function()
    assert_results({ 1, 2 }, { "local n = 0 local co = coroutine.wrap(function() while true do n = n + 1 "
      .. "coroutine.yield(n) end end)", "first = co()", "return first, co()" })
  end)

  it("are lost if the chunk fails before its end", function()
    assert.is_false(pcall(run, "local a = 1 error 'x'"))
    assert.is_nil((run "return a"))
  end)

  local function numbers(first, last)
    local list = {}
    for i = first, last do list[#list + 1] = i end
    return list
  end

  it("may be many", function()
    for i = 1, 1000 do run(("local v%d = %d"):format(i, i)) end
    assert_results({ 1000 }, { "return v1 + v999" })
    local list = "w" .. table.concat(numbers(1, 200), ",w")
    run("local " .. list .. " = 1 w200 = 200")
    assert_results({ 1, 200 }, { "return w1, w200" })
    run("local " .. list .. " = " .. list .. " w200 = 201 return w1")
    assert.equal(201, (select(200, run("return " .. list))))
    assert.equal(252, select("#", run("return v" .. table.concat(numbers(1, 252), ",v"))))
    run "v252 = 5"
    assert.equal(5, run "return v252")
    local _, message = kept:load("_G.x = v" .. table.concat(numbers(1, 300), " _G.x = v"), "=stdin")
    assert.match("too many upvalues", message)
  end)

  it("leave errors on their lines, and chunks without them as they are", function()
    run "local a = 1"
    local _, message = pcall(run, "local b\n\nerror(a)\nlocal c")
    assert.equal(1, message)
    assert.match("stdin:3: ", select(2, pcall(run, "local b\n\nerror('x' .. a)\nlocal c")))
    assert.match("stdin:1: ", select(2, pcall(run, "a.b.c = 5")))
    assert.match("upvalue 'a'", select(2, pcall(run, "a.b.c = 5")))
    local chunk = kept:load("return 1", "=stdin")
    assert.equal("main", debug.getinfo(chunk, "S").what)
  end)

  it("are not reached by code that is not valid by itself", function()
    for _, code in ipairs { "end local x = 1 do", "return 1 end do", "local", "local x <", "local x <const", "local 1",
      "local function", "local function 1", "return return", "goto 1", "local x <foo> = 1", "::a:: ::a::", "]]",
      "'" } do
      local chunk, message = kept:load(code, "=stdin")
      assert.is_nil(chunk)
      assert.match("^stdin:1: ", message)
    end
    assert.same({}, kept:names())
  end)

  it("are told by name, with their values", function()
    run "local a, b = 1, nil"
    assert.same({ 1, true }, { kept:get "a" })
    assert.same({ nil, true }, { kept:get "b" })
    assert.same({ nil, false }, { kept:get "c" })
  end)
end)
