-- The file of the lines of earlier sessions.
local history = require "muster.history"
local program = require "spec.support.program"
local screen = require "spec.support.screen"
local uv = require "luv"

describe("the history", function()
  local directory, path

  before_each(function()
    directory = screen.directory()
    path = directory .. "/new/history"
  end)

  after_each(screen.close_all)

  local function permissions(name) return ("%o"):format(uv.fs_stat(name).mode & tonumber("777", 8)) end

  it("is empty without a file, or a path", function()
    assert.same({}, history.load(path))
    assert.same({}, history.load(nil))
    assert.same({}, history.load(directory))
  end)

  it("makes its directory and its file, for the user alone", function()
    assert.is_truthy(history.append(path, "a"))
    assert.same({"a"}, history.load(path))
    assert.same({"700", "600"}, {permissions(directory .. "/new"), permissions(path)})
  end)

  it("keeps entries of any text, in their order", function()
    local entries = {"x = 1", "two\nlines", "back\\slash \\n", "\\", "tab\t", "é", "\r", "\\\n"}
    for _, entry in ipairs(entries) do history.append(path, entry) end
    assert.same(entries, history.load(path))
  end)

  it("leaves out what is empty, or was said twice in a row", function()
    for _, entry in ipairs {"a", "a", "", "b", "a"} do history.append(path, entry) end
    assert.same({"a", "b", "a"}, history.load(path))
  end)

  it("keeps the last of its entries, and leaves no other file", function()
    local lines = {}
    for i = 1, history.LIMIT + 10 do lines[i] = tostring(i) end
    history.append(path, "first")
    local file <close> = assert(io.open(path, "w"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    assert.equal("11", history.load(path)[1])
    history.append(path, "last")
    local entries = history.load(path)
    assert.same({history.LIMIT, "12", "last"}, {#entries, entries[1], entries[#entries]})
    assert.equal("history\n", (program.sh("ls " .. directory .. "/new")))
  end)

  it("tells, and raises nothing, if it cannot be written", function()
    local ok, err = history.append("/proc/new/history", "a")
    assert.is_nil(ok)
    assert.matches("^E", err)
  end)

  it("is in the user's state directory", function()
    local function path_with(env)
      return (program.run {"-e", "print(require 'muster.history'.path())", env = env})
    end
    assert.equal("/s/muster/history\n", path_with "HOME=/h XDG_STATE_HOME=/s")
    assert.equal("/h/.local/state/muster/history\n", path_with "HOME=/h XDG_STATE_HOME=relative")
    assert.equal("/h/.local/state/muster/history\n", path_with "HOME=/h XDG_STATE_HOME=")
    assert.equal("nil\n", path_with "HOME= XDG_STATE_HOME=")
  end)
end)
