-- os.exit(code, true): the state closes while tasks are in the middle of things.
local program = require "spec.support.program"

--- Runs a script that ends with os.exit(7, true), or in it; asserts that it came to a proper end.
local function closes(script)
  local path = program.file(([[
    local async = require "muster"
    local function closing(fn) return setmetatable({}, {__close = fn}) end
    %s
    os.exit(7, true)
  ]]):format(script))
  local ok, how, code = os.execute(program.quoted(program.path) .. " " .. program.quoted(path) .. " >/dev/null 2>&1")
  assert.same({"exit", 7}, {how, code}, tostring(ok))
end

describe("os.exit with close", function()
  after_each(program.remove_files)

  it("comes while a value is in the hands of a receiver that has not run", function()
    closes [[
      local channel = async.channel()
      for i = 1, 6 do
        async.spawn(function()
          local _ <close> = closing(function() pcall(channel.try_send, channel, 2) end)
          if i == 1 then async.sleep(9) end
          channel:recv()
        end)
      end
      async.sleep(0)
      channel:send(1)
    ]]
  end)

  it("comes from a task whose own userdata is collected meanwhile", function()
    closes [[
      for _ = 1, 3 do
        async.spawn(function()
          local _ <close> = closing(function()
            collectgarbage()
            collectgarbage()
            assert(not pcall(async.sleep, 0))
            assert(async.current() == nil)
          end)
          async.sleep(9)
        end)
      end
      async.spawn(os.exit, 7, true)
      async.sleep(1)
    ]]
  end)

  it("runs finalizers that cancel groups and detach joins", function()
    closes [[
      local group = async.group {limit = 1}
      for _ = 1, 3 do group:spawn(async.sleep, 1) end
      local _, join = async.as_completed({function() async.sleep(9) end, function() async.sleep(9) end}, {limit = 1})
      async.sleep(0)
      kept = setmetatable({}, {__gc = function()
        group:cancel()
        join:detach()
      end})
    ]]
  end)

  it("comes from inside muster.test, which puts things back", function()
    closes [[require "muster.test".seeded(7, function() os.exit(7, true) end)()]]
  end)
end)
