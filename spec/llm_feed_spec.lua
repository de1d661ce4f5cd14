local feed = require "muster.llm.feed"

local function run(text, key, n)
  local f, items = feed.new(key), {}
  for i = 1, #text, n do
    for _, item in ipairs(f:take(text:sub(i, i + n - 1))) do items[#items + 1] = item end
  end
  return items, f
end

describe("llm.feed", function()
  it("gives items as they close, wherever chunks end, whatever is around", function()
    local texts = {
      '{"items":[{"a":1},{"a":2}]}', '[{"a":1},{"a":2}]', 'Sure:\n```json\n{"items":[{"a":1},{"a":2}]}\n```',
      '<think>{"items":[9]}</think>{"items":[{"a":1},{"a":2}]} bye', '{"other":[7],"items":[{"a":1},{"a":2}]}',
    }
    for _, text in ipairs(texts) do
      for n = 1, #text do assert.same({{a = 1}, {a = 2}}, (run(text, "items", n)), text) end
    end
  end)

  it("takes long thoughts and words in time that grows with their length", function()
    local function seconds(n)
      local f, from = feed.new "items", os.clock()
      f:take "<think>"
      for _ = 1, n do f:take "thinking [ about { it " end
      f:take "</th"
      f:take "ink> so:"
      for _ = 1, n do f:take "words about it, " end
      assert.same({7}, f:take '{"items":[7]}')
      return os.clock() - from
    end
    seconds(1000)
    local one, eight = 1e9, 1e9
    for _ = 1, 3 do one, eight = math.min(one, seconds(5000)), math.min(eight, seconds(40000)) end
    assert.is_true(eight < 24 * one, ("%.4f %.4f"):format(one, eight))
  end)

  it("gives what there was before the text broke", function()
    local items, f = run('{"items":[1,2,}', "items", 3)
    assert.same({1, 2}, items)
    assert.same({}, f:take "3")
    assert.truthy(f.err)
  end)

  it("gives the whole so far, cut at a character", function()
    local _, f = run('ok {"a":"Zo\xC3', nil, 1)
    assert.same({a = "Zo"}, f:partial())
    assert.is_nil(feed.new():partial())
    _, f = run("no json", nil, 1)
    assert.is_nil(f:partial())
  end)
end)
