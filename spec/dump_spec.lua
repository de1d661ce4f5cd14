-- async.dump() and the text of the tree of who awaits whom.

local async = require "muster"
local http = require "muster.http"
local net = require "muster.net"
local program = require "spec.support.program"
local diagnosis = require "muster.diagnosis"
local virtual = require "muster.test".virtual

local FILE = "spec/dump_spec%.lua"

--- Calls fn(add), where add(name, work, ...) spawns a task and lets it begin; they are cancelled in the end.
local function with_tasks(fn)
  local tasks = {}
  local _ <close> = setmetatable({}, {__close = function()
    for _, task in ipairs(tasks) do task:cancel() end
  end})
  fn(function(name, work, ...)
    local task = async.spawn(work, ...)
    task.name = name
    table.insert(tasks, task)
    async.yield()
    async.yield()
    return task
  end)
end

--- The lines of the tree from that of the task with this name to the end of its branch, places as <LINE>, and fractions
--- of a second left out.
local function branch_of(name)
  local lines, found = {}, false
  for line in diagnosis.tasks():gmatch "[^\n]+" do
    if found and not line:find "^[├└│ ]" then break end
    found = found or line:find(("task '%s'"):format(name), 1, true) == 1
    line = line:gsub(FILE .. ":%d+", "LINE"):gsub("  %[(.*)%]$", "  <%1>")
    line = line:gsub("has waited 0%.%d s for", "waits for")
    if found then table.insert(lines, line) end
  end
  return table.concat(lines, "\n")
end

it("a dump leaves numbers in URLs as they are", function()
  local server <close> = assert(net.listen("127.0.0.1", 0))
  with_tasks(function(add)
    local url = ("http://127.0.0.1:%d/12345"):format(server.port)
    add("asks", http.get, url)
    assert.truthy(branch_of("asks"):find("'" .. url .. "'", 1, true), branch_of "asks")
  end)
end)

local function forever()
  async.suspend(function() end)
end

describe("the tree of tasks", function()
  it("begins with how many there are", function()
    with_tasks(function(add)
      local before = diagnosis.tasks():match "^([%d,]+) tasks?: 1 running"
      assert.is_string(before)
      add("one more", forever)
      assert.matches(("^%d tasks: 1 running, "):format(before + 1), diagnosis.tasks())
    end)
  end)

  it("has a line for each: name, wait, where it is and where it was spawned", virtual(function()
    async.sleep(1)
    with_tasks(function(add)
      add("here", forever)
      assert.equal("task 'here': waits for a callback  <LINE, spawned at LINE>", branch_of "here")
      async.sleep(90)
      assert.equal("task 'here': has waited 90.0 s for a callback  <LINE, spawned at LINE>", branch_of "here")
      async.sleep(600)
      assert.matches("has waited 12 min for", branch_of "here")
      async.sleep(1e5)
      assert.matches("has waited 28.0 h for", branch_of "here")
    end)
  end))

  it("tells how long a sleep and a timeout have to go", virtual(function()
    async.sleep(1)
    with_tasks(function(add)
      add("sleeper", function() async.sleep(2.5) end)
      add("hurried", function() async.timeout(20, function() async.move_on_after(30, forever) end) end)
      async.sleep(1)
      assert.equal("task 'sleeper': sleeps (1.5 s left)  <LINE, spawned at LINE>", branch_of "sleeper")
      assert.equal("task 'hurried': has waited 1.0 s for a callback; times out in 19.0 s  <LINE, spawned at LINE>",
        branch_of "hurried")
    end)
  end))

  it("tells of daemons, of cancelled tasks, and of those ready to run", function()
    with_tasks(function(add)
      add("d", forever):daemon()
      local over = async.event()
      add("c", function() async.shield(over.wait, over) end):cancel()
      assert.matches("^task 'd' %(daemon%): waits", branch_of "d")
      assert.matches("^task 'c' %(cancelled%): waits", branch_of "c")
      local ready = async.spawn(print)
      ready.name = "r"
      assert.matches("^task 'r': is ready to run  <spawned at LINE>$", branch_of "r")
      ready:cancel()
      over:set()
    end)
    assert.matches(": runs  %[" .. FILE .. ":%d+", diagnosis.tasks())
  end)

  it("hangs a task below who awaits it", function()
    with_tasks(function(add)
      local last = add("last", forever)
      local middle = add("middle", function() last:await() end)
      add("first", function() middle:await() end)
      assert.equal([[
task 'first': waits for task 'middle'  <LINE, spawned at LINE>
└─ task 'middle': waits for task 'last'  <LINE, spawned at LINE>
   └─ task 'last': waits for a callback  <LINE, spawned at LINE>]], branch_of "first")
      assert.equal("", branch_of "last")
    end)
  end)

  it("hangs those of a gather, and of a group, below it", function()
    with_tasks(function(add)
      local function go(name) return add(name, forever) end
      local list = {go "a", go "b"}
      add("gatherer", function() async.gather(list) end)
      assert.equal([[
task 'gatherer': waits for 2 tasks (0 ended)  <LINE, spawned at LINE>
├─ task 'a': waits for a callback  <LINE, spawned at LINE>
└─ task 'b': waits for a callback  <LINE, spawned at LINE>]], branch_of "gatherer")
      add("grouper", function()
        local group <close> = async.group()
        group:spawn(forever).name = "member"
        forever()
      end)
      async.yield()
      assert.equal([[
task 'grouper': waits for a callback  <LINE, spawned at LINE>
└─ task 'member': waits for a callback  <LINE, spawned at LINE>]], branch_of "grouper")
    end)
  end)

  it("shows a task that several await once, and names it again", function()
    with_tasks(function(add)
      local shared = add("shared", forever)
      for _, name in ipairs {"x", "y"} do add(name, function() shared:await() end) end
      assert.matches("^task 'x': [^\n]*\n└─ task 'shared': waits", branch_of "x")
      assert.matches("^task 'y': [^\n]*\n└─ task 'shared': see above$", branch_of "y")
    end)
  end)

  it("shows circles, and does not follow them", function()
    with_tasks(function(add)
      local tasks = {}
      tasks.a = async(function() tasks.b:await() end)()
      tasks.b = async(function() tasks.a:await() end)()
      add("a", tasks.a)
      tasks.b.name = "b"
      assert.equal([[
task 'a': waits for task 'b'  <LINE, spawned at LINE>
└─ task 'b': waits for task 'a'  <LINE>
   └─ task 'a': see above]], branch_of "a")
    end)
  end)

  it("folds many that look the same", function()
    with_tasks(function(add)
      add("big", function()
        local list = {}
        for i = 1, 10000 do list[i] = forever end
        async.gather(list)
      end)
      async.yield()
      local lines = {}
      for line in branch_of("big"):gmatch "[^\n]+" do table.insert(lines, line) end
      assert.equal(6, #lines)
      assert.matches("^task 'big': waits for 10,000 tasks %(0 ended%)", lines[1])
      assert.equal("└─ … and 9,996 more like it", lines[6])
    end)
  end)

  it("folds branches that look the same, and shows those that do not", function()
    with_tasks(function(add)
      local function awaits() async.await(forever) end
      add("top", function() async.gather {awaits, awaits, awaits, awaits, forever, awaits, awaits} end)
      async.yield()
      async.yield()
      local text = branch_of "top"
      assert.equal(1, select(2, text:gsub("and 2 more like it", "")))
      assert.equal(4, select(2, text:gsub("└─ task %d+: waits for a callback  <LINE>", "")))
      assert.equal(1, select(2, text:gsub("├─ task %d+: waits for a callback", "")))
    end)
  end)

  it("goes on at the margin where a chain of awaits is long", function()
    with_tasks(function(add)
      local task = add("end of chain", forever)
      for i = 1, 300 do
        local next_task = task
        task = add("link " .. i, function() next_task:await() end)
      end
      local text, widest = diagnosis.tasks(), 0
      for line in text:gmatch "[^\n]+" do widest = math.max(widest, #line) end
      assert.is_true(widest < 250)
      assert.matches("task 'end of chain': [^\n]* for a callback", text)
      assert.matches("\n +└─ … see below\ntask 'link 279': ", text)
      assert.matches("\n… and %d+ more like it\n", text)
    end)
  end)

  it("may be had from a debug hook", function()
    local text
    local function hook()
      debug.sethook()
      text = diagnosis.tasks()
    end
    debug.sethook(hook, "", 1)
    local line = debug.getinfo(hook, "S").linedefined + 2
    assert.matches((": runs  %%[%s:%d[],]"):format(FILE, line), text)
  end)

  it("has the line in the coroutine that runs, or in which a task waits", function()
    local text = coroutine.wrap(function()
      local own = diagnosis.tasks()
      return own
    end)()
    local line = debug.getinfo(1, "l").currentline - 3
    assert.matches((": runs  %%[%s:%d[],]"):format(FILE, line), text)
    with_tasks(function(add)
      local task = add("nested", function() coroutine.wrap(function() forever() end)() end)
      assert.is_truthy(task:traceback())
      line = debug.getinfo(forever, "S").linedefined + 1
      assert.matches(("'nested': [^\n]*%%[%s:%d,"):format(FILE, line), diagnosis.tasks())
    end)
  end)
end)

describe("async.dump", function()
  after_each(program.remove_files)

  it("prints the tree on stderr, and goes on", function()
    local script = program.file [[
      local async = require "muster"
      async.spawn(async.sleep, 100).name = "sleeper"
      async.yield()
      print(select("#", async.dump()))
      os.exit(0, true)
    ]]
    local output, errors = program.run {"--virtual-time", script}
    assert.equal("0\n", output)
    assert.equal([[
muster: 2 tasks: 1 running, 1 waiting
main task: runs  [x.lua:4]
task 'sleeper': sleeps (100 s left)  [spawned at x.lua:2]
]], (errors:gsub(script:gsub("%p", "%%%0"), "x.lua")))
  end)

  it("tells of tasks that end meanwhile, in a finalizer, or does not", function()
    local script = program.file [[
      local async = require "muster"
      local events = {}
      for i = 1, 500 do
        events[i] = async.event()
        async.spawn(events[i].wait, events[i])
      end
      async.yield()
      collectgarbage "generational"
      for _, event in ipairs(events) do setmetatable({}, {__gc = function() event:set() end}) end
      for _ = 1, 20 do require "muster.diagnosis".tasks() end
      for _, event in ipairs(events) do event:set() end
      print "done"
    ]]
    local output, errors, status = program.run {script}
    assert.equal("done\n", output)
    assert.equal("", errors)
    assert.equal(0, status)
  end)
end)
