-- Runs busted inside muster, so that every spec is a script of our own host:
--   build/muster scripts/tools/busted.lua [busted's options] spec/task_spec.lua
-- spec/support/helper.lua, if it is there, is busted's helper. With MUSTER_COUNTS=FILE in the environment,
-- the numbers of passed, failed and pending tests are left in that file.

local HELPER = "spec/support/helper.lua"

local function leave_counts(handler)
  local path = os.getenv "MUSTER_COUNTS"
  if not path then return end
  local file = assert(io.open(path, "w"))
  local failed = handler.failuresCount + handler.errorsCount
  file:write(handler.successesCount, " ", failed, " ", handler.pendingsCount, "\n")
  file:close()
end

-- An output handler is a module to busted: ours is one of busted's own that also keeps the counts.
package.preload["busted.outputHandlers.counting"] = function()
  return function(options)
    local busted = require "busted"
    local handler = require "busted.outputHandlers.utfTerminal"(options)
    busted.subscribe({ "exit" }, function()
      leave_counts(handler)
      return nil, true
    end)
    return handler
  end
end

if io.open(HELPER) then table.insert(arg, 1, "--helper=" .. HELPER) end

require "busted.runner" { standalone = false, output = "counting" }
