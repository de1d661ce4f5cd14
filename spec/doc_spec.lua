-- .doc: what is known of a name.
local async = require "muster"
local doc = require "muster.repl.doc"
local host = require "muster.host"
local program = require "spec.support.program"
local screens = require "spec.support.session"

describe("the documentation of a name", function()
  local screen

  before_each(function() screen = screens.open() end)
  after_each(function()
    screens.forget()
    program.remove_files()
  end)

  local function text(name) return doc.text(screen.session, name) end

  it("is that of the library's stubs, whatever the function is called", function()
    local expected = "async.sleep(seconds)\n  suspends\n  seconds: number at least 0"
    assert.equal(expected, text "async.sleep")
    assert.equal(expected, text "sleep")
    screen:run "local naps = {short = async.sleep}"
    assert.equal(expected, text "naps.short")
  end)

  it("is there for every function of the library", function()
    for name, value in pairs(async) do
      if type(value) == "function" then
        assert.match("^async%." .. name .. "%(", text("async." .. name) or name)
      end
    end
  end)

  it("is that of objects by their class", function()
    _G.task, _G.channel = async.spawn(function() end), async.channel()
    assert.match("^task\n.*\n  task:cancel%(reason%)\n", text "task")
    assert.match("^task:cancel%(reason%)\n%u", text "task:cancel")
    assert.match("^channel:send%(value%)\n", text "channel:send")
    assert.match("^channel:send%(value%)\n", text "channel.send")
  end)

  it("is that of stubs, if there is nothing of that name", function()
    assert.match("^semaphore:acquire%(k%)\n", text "semaphore:acquire")
    assert.match("^muster.error\n", text "muster.error")
    for _, name in ipairs {"fs.read", "net.connect", "process.run", "reader:read_until"} do
      assert.equal(name .. "(", text(name):sub(1, #name + 1))
    end
    _G.async = nil
    assert.match("^async.sleep", text "async.sleep")
  end)

  it("lists the functions of the library", function()
    assert.match("^async\n.*\n  async.gather%(list, opts%)\n", text "async")
  end)

  it("is the signature of a standard function", function()
    assert.equal("string.format(formatstring, ...)", text "string.format")
    assert.equal("string.format(formatstring, ...)", text "('x').format")
    assert.equal("string.format(formatstring, ...)", text "('x'):format")
    local old = { setcstacklimit = 1, atan2 = 1, cosh = 1, sinh = 1, tanh = 1, pow = 1, frexp = 1, ldexp = 1,
      log10 = 1 }
    for _, module in ipairs { "_G", "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8" } do
      for name, value in pairs(package.loaded[module]) do
        local full = module == "_G" and name or module .. "." .. name
        if type(value) == "function" and not async[name] and not old[name] then
          assert.match("^" .. full:gsub("%.", "%%.") .. "%(", text(full) or full)
        end
      end
    end
  end)

  it("is the comment above a function written in Lua", function()
    local path = program.file "local M = {}\n-- not this\n\n--- Adds two.\n-- More.\n---@param a number\n"
    local file <close> = assert(io.open(path, "a"))
    file:write "---@return number sum\nfunction M.add(a, b) return a + b end\nfunction M.bare() end return M"
    file:close()
    _G.M = dofile(path)
    assert.equal("function M.add(a, b) return a + b end\nAdds two.\nMore.\n  a: number\n  returns number sum\n  "
      .. path .. ":8", text "M.add")
    assert.equal("function M.bare() end return M\n  " .. path .. ":9", text "M.bare")
    os.remove(path)
    assert.match("^function: [^\n]*:8$", text "M.add")
  end)

  it("is that of embedded files, and of strings", function()
    _G.show = require "muster.show".show
    assert.match("^function M.show%(value, options%)\nThe value as text", text "show")
    _G.f = load "-- Says it.\nlocal function f() end return f" ()
    assert.match("^local function f%(%) end return f\nSays it.\n", text "f")
    screen:run "function typed() end"
    assert.equal("function: stdin:1", text "typed")
  end)

  it("is nothing for what has none", function()
    _G.t = setmetatable({ x = 1 }, { __index = error })
    for _, name in ipairs { "nothing", "t", "t.x", "t.y", "t.x.y", "", " ", "(", "1", "'", "f()", "a:b:c", "..",
      "\0", "[[" } do
      assert.is_nil(text(name))
    end
  end)
end)

describe("the embedded sources", function()
  it("can be read, and stubs not required", function()
    assert.match("^%-%-%-@meta muster\n", host.source "types.muster")
    assert.match("function M.show", host.source "muster.show")
    assert.is_nil(host.source "nothing")
    assert.has_error(function() host.source() end)
    assert.is_false((pcall(require, "types.muster")))
    local names = {}
    for _, name in ipairs(host.modules()) do names[name] = true end
    assert.is_true(names["muster.show"] and names.muster and not names["types.muster"])
  end)

  it("are replaced by the files of MUSTER_PATH", function()
    local output, errors = program.run { env = "MUSTER_PATH=lua", "-e", [[
      print(require "muster.host".source "types.muster")
      local screen = {terminal = true, write = io.write, read = function() return nil end}
      local session = require "muster.repl".session(screen)
      print(require "muster.repl.doc".text(session, "async.now"))]] }
    assert.same({ "nil\tlua/types/muster.lua\nasync.now()\nMonotonic seconds.\n  returns number\n", "" }, { output,
      errors })
  end)
end)
