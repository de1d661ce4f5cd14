-- The examples in the stubs of muster.grammar and muster.chunk: each is run.
local function examples(name)
  local file <close> = assert(io.open("lua/types/" .. name .. ".lua"))
  local list = {}
  for block in file:read "a":gmatch "%-%-%-```lua\n(.-)%-%-%-```" do
    list[#list + 1] = block:gsub("%-%-%-", "")
  end
  return list
end

describe("the examples in the documentation", function()
  for name, least in pairs {grammar = 5, chunk = 2} do
    it("of muster." .. name .. " are right", function()
      local list = examples(name)
      assert.is_true(#list >= least)
      for i, example in ipairs(list) do
        local source = ("local %s = require 'muster.%s'\n%s"):format(name, name, example)
        assert(load(source, "=example " .. i .. " of " .. name))()
      end
    end)
  end
end)
