-- lua/muster/stream/buffer.lua: against a plain string, under random operations.
local buffers = require "muster.stream.buffer"

local function filled(...)
  local buffer = buffers.new()
  for _, text in ipairs {...} do buffer:push(text) end
  return buffer
end

local function find(buffer, text)
  return buffer:find(buffers.search(text))
end

describe("buffer", function()
  it("that is empty gives nothing", function()
    local buffer = buffers.new()
    buffer:push ""
    assert.equal(0, buffer.size)
    assert.is_nil(buffer:take_some(10))
    assert.equal("", buffer:take(0))
    assert.equal("", buffer:take_all())
    assert.is_nil(find(buffer, "x"))
  end)

  it("keeps bytes of all kinds", function()
    local all = {}
    for i = 0, 255 do all[i] = string.char(i) end
    local text = table.concat(all, "", 0)
    local buffer = filled(text, text)
    assert.equal(text .. text, buffer:take_all())
    assert.equal(0, buffer.size)
  end)

  it("finds a text across the borders of many small strings", function()
    local buffer = filled("a\r", "\n", "\r", "\n", "b")
    assert.equal(1, find(buffer, "\r\n\r\n"))
    assert.equal("a\r", buffer:take(2))
    assert.equal(0, find(buffer, "\n\r\nb"))
    assert.is_nil(find(buffer, "\n\r\nc"))
  end)

  it("does not find a text of which a part was taken", function()
    local buffer = filled("ab", "cab")
    buffer:take(1)
    assert.equal(2, find(buffer, "ab"))
    assert.is_nil(find(filled("b"), "ab"))
  end)

  it("goes on with a search when more has come", function()
    local buffer, search = filled("xxxEN"), buffers.search "END"
    assert.is_nil(buffer:find(search))
    buffer:push "E"
    assert.is_nil(buffer:find(search))
    buffer:push "ND"
    assert.equal(5, buffer:find(search))
  end)

  it("agrees with a plain string", function()
    local random = function(n) return math.random(0, n) end
    for _ = 1, 100 do
      local buffer, model = buffers.new(), ""
      for _ = 1, 60 do
        local what = random(3)
        if what <= 1 then
          local text = ("x"):rep(random(8)):gsub("x", function() return ("abc"):sub(random(2) + 1):sub(1, 1) end)
          buffer:push(text)
          model = model .. text
        elseif what == 2 then
          local n = random(#model)
          assert.equal(model:sub(1, n), buffer:take(n))
          model = model:sub(n + 1)
        else
          local some = buffer:take_some(random(5) + 1)
          assert.is_true((some ~= nil) == (model ~= ""))
          assert.equal(model:sub(1, #(some or "")), some or "")
          model = model:sub(#(some or "") + 1)
        end
        assert.equal(#model, buffer.size)
        for _, text in ipairs {"a", "ab", "aba", "cc", "abcab"} do
          local at = model:find(text, 1, true)
          assert.same({at and at - 1}, {find(buffer, text)})
        end
      end
    end
  end)
end)
