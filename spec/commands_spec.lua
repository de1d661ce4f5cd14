-- The dot-commands of a session.
local async = require "muster"
local program = require "spec.support.program"
local screens = require "spec.support.session"

describe("a dot-command", function()
  local screen

  before_each(function() screen = screens.open() end)
  after_each(function()
    screens.forget()
    program.remove_files()
  end)

  it("is a line that begins with a dot and a letter", function()
    assert.equal(".nope: no such command; .help lists them\n", screen:run ".nope")
    assert.equal(".helpme: no such command; .help lists them\n", screen:run ".helpme now")
    assert.equal("0.5\n", screen:run ".5")
    assert.match("^! stdin:1: ", screen:run " .help")
    assert.equal("1\n", screen:run "math\n.pi and\n1" and screen:run "(1\n)")
  end)

  it("wants its argument, or none", function()
    assert.equal(".doc: expected NAME\n.time: expected CODE\n.load: expected FILE\n", screen:run ".doc\n.time  \n.load")
    assert.equal(".help takes no argument\n.tasks takes no argument\n", screen:run ".help me\n.tasks 1")
  end)

  it(".help tells them all", function()
    local text = screen:run ".help"
    for _, line in ipairs { ".help ", ".tasks ", ".time CODE ", ".doc NAME ", ".load FILE " } do
      assert.truthy(("\n" .. text):find("\n" .. line, 1, true))
    end
  end)

  it(".tasks tells which tasks are alive", function()
    local task = async.spawn(async.sleep, 1e9)
    task.name = "sleeper"
    assert.match("sleeper", screen:run ".tasks")
    task:cancel()
  end)

  it(".time tells how long it took, and the values", function()
    assert.match('^1\n"x"\n%d+%.%d+ s, %d+%.%d+ s of CPU\n$', screen:run ".time 1, 'x'")
    assert.match("^%d+%.%d+ s, %d+%.%d+ s of CPU\n1\n$", screen:run ".time local a = 1\na")
    assert.match("^nil\n%d", screen:run ".time for i = 1, 2 do\nlocal x = i\nend return nil")
    assert.match("^! stdin:1: [^\n]*\n$", screen:run ".time )(")
    assert.match("^! stdin:1: x\n$", screen:run ".time error 'x'")
    assert.is_true(tonumber(screen:run ".time sleep(0.001)":match "^(%d+%.%d+) s, ") >= 0.001)
  end)

  it(".doc tells what is known", function()
    assert.match("^async.sleep%(seconds%)\n", screen:run ".doc sleep")
    assert.equal("nothing is known of 'nope'\n", screen:run ".doc nope  ")
  end)

  it(".load runs a file as if it were typed", function()
    local path = program.file "#!/usr/bin/muster\nlocal stays = 1\nglobal = stays + 1\nreturn stays, 'x'"
    assert.equal('1\n"x"\n1\n2\n', screen:run(".load " .. path .. "\nstays\nglobal"))
    assert.equal("cannot read '/nowhere/x'\n", screen:run ".load /nowhere/x")
    assert.equal("cannot read '/'\n", screen:run ".load /")
    path = program.file "x = (\n\n)"
    assert.equal("! " .. path .. ":3: unexpected symbol near ')'\n", screen:run(".load " .. path))
    path = program.file "\n\nerror 'broken'"
    assert.equal("! " .. path .. ":3: broken\n", screen:run(".load " .. path))
  end)

  it("is not known without a terminal", function()
    screen = screens.open { terminal = false }
    assert.match("^! stdin:1: ", screen:run ".help")
  end)
end)
