-- What responses say of limits.
local headers = require "muster.limit.headers"
local http_headers = require "muster.http.headers"

describe("duration", function()
  it("reads what Go writes", function()
    local cases = {["17ms"] = 0.017, ["1s"] = 1, ["6m0s"] = 360, ["1h2m3.5s"] = 3723.5, ["0s"] = 0, ["1m17ms"] = 60.017,
                   ["250µs"] = 250e-6, ["12ns"] = 12e-9, ["1.5h"] = 5400, [".5s"] = 0.5, [" 2s "] = 2, ["20"] = 20,
                   ["59.7"] = 59.7}
    for text, seconds in pairs(cases) do assert.near(seconds, headers.duration(text), 1e-9, text) end
  end)

  it("reads nothing else", function()
    for _, text in ipairs {"", "-1", "-1s", "s", "5x", "1s2", "1s 2", "1d", "m1", "1..2s", "inf", "nan", "0x10",
                           "1e3s"} do
      assert.is_nil(headers.duration(text), text)
    end
    assert.is_nil(headers.duration(nil))
    assert.is_nil(headers.duration(5))
  end)
end)

describe("rate limit headers", function()
  it("are read as OpenAI writes them", function()
    local said = headers.parse(http_headers.of {
      "X-RateLimit-Limit-Requests", "6000", "x-ratelimit-remaining-requests", "5999",
      "x-ratelimit-reset-requests", "17ms", "x-ratelimit-limit-tokens", "150000",
      "x-ratelimit-remaining-tokens", "149000", "x-ratelimit-reset-tokens", "6m0s",
    })
    assert.same({requests = {limit = 6000, remaining = 5999, reset = 0.017},
                 tokens = {limit = 150000, remaining = 149000, reset = 360}}, said)
  end)

  it("are read as Anthropic writes them; of the kinds of tokens the one of which least is left", function()
    local now = 1767225600 -- 2026-01-01T00:00:00Z
    local said = headers.parse({
      ["anthropic-ratelimit-requests-limit"] = "50", ["Anthropic-Ratelimit-Requests-Remaining"] = "49",
      ["anthropic-ratelimit-requests-reset"] = "2026-01-01T00:00:01.5Z",
      ["anthropic-ratelimit-input-tokens-limit"] = "40000", ["anthropic-ratelimit-input-tokens-remaining"] = "39000",
      ["anthropic-ratelimit-output-tokens-limit"] = "8000", ["anthropic-ratelimit-output-tokens-remaining"] = "7000",
    }, now)
    assert.same({requests = {limit = 50, remaining = 49, reset = 1.5}, tokens = {limit = 8000, remaining = 7000}}, said)
  end)

  it("prefer tokens to their kinds", function()
    local said = headers.parse {["anthropic-ratelimit-tokens-limit"] = "100",
                                ["anthropic-ratelimit-output-tokens-limit"] = "5"}
    assert.same({limit = 100}, said.tokens)
  end)

  it("are four numbers, too", function()
    local list = {"X-RateLimit-Limit-Requests", "60", "x-ratelimit-remaining-requests", "59",
                  "x-ratelimit-limit-tokens", "600", "x-ratelimit-remaining-tokens", "-1"}
    local function four(h)
      local a, b, c, d = headers.numbers(h)
      return ("%s %s %s %s"):format(a, b, c, d)
    end
    assert.equal("60 59 600 nil", four(http_headers.of(list)))
    list = {table.unpack(list)}
    list[2], list[6] = "many", "0"
    assert.equal("nil 59 nil nil", four(http_headers.of(list)))
    assert.equal("nil nil nil 7", four {["x-ratelimit-remaining-tokens"] = "7"})
    assert.equal("nil nil nil nil", four(http_headers.of {}))
    assert.equal("nil nil nil nil", four(http_headers.of {"Date", "x", "X-Request-Id", "7", "Rate", "1"}))
  end)

  it("are the same four numbers as are parsed", function()
    local families = {{}, {}}
    for _, what in ipairs {"requests", "tokens", "input-tokens", "output-tokens"} do
      for _, field in ipairs {"limit", "remaining"} do
        table.insert(families[1], ("x-ratelimit-%s-%s"):format(field, what))
        table.insert(families[2], ("Anthropic-RateLimit-%s-%s"):format(what, field))
      end
    end
    local values = {"0", "1", "50", "-1", "no"}
    for _ = 1, 2000 do
      local list, names = {"Date", "x"}, families[math.random(2)]
      for _ = 1, math.random(0, 6) do
        table.insert(list, names[math.random(#names)])
        table.insert(list, values[math.random(#values)])
      end
      local h = http_headers.of(list)
      local said = headers.parse(h)
      local requests, tokens = said.requests or {}, said.tokens or {}
      local limit, remaining, token_limit, left = headers.numbers(h)
      assert.same({requests.limit, requests.remaining, tokens.limit, tokens.remaining},
                  {limit, remaining, token_limit, left}, tostring(h))
    end
  end)

  it("are found among thousands of other names, long ones too, in any case", function()
    for i = 1, 3000 do
      assert.is_nil(headers.numbers(http_headers.of {"X-" .. i, "1", ("x"):rep(100) .. i, "2"}))
      if i % 500 == 0 then
        assert.equal(i, (headers.numbers(http_headers.of {"X-RateLimit-Limit-Requests", tostring(i)})))
      end
    end
    assert.equal(7, (headers.numbers {[1] = "x", [{}] = "y", ["x-RATELIMIT-limit-requests"] = "7"}))
  end)

  it("count a reset in the past as now", function()
    assert.same({reset = 0}, headers.parse({["anthropic-ratelimit-requests-reset"] = "1999-01-01T00:00:00Z"}).requests)
  end)

  it("leave out what is absent, negative, zero as a limit, or no number", function()
    assert.same({}, headers.parse {})
    assert.same({}, headers.parse(http_headers.of {}))
    local said = headers.parse {
      ["x-ratelimit-limit-requests"] = "-1", ["x-ratelimit-remaining-requests"] = "-1",
      ["x-ratelimit-reset-requests"] = "-1", ["x-ratelimit-limit-tokens"] = "0",
      ["x-ratelimit-remaining-tokens"] = "many", ["x-ratelimit-reset-tokens"] = "soon",
    }
    assert.same({}, said)
    assert.same({remaining = 0}, headers.parse({["x-ratelimit-remaining-requests"] = "0"}).requests)
    assert.same({}, headers.parse {["x-ratelimit-limit-requests"] = "1e999", ["x-ratelimit-remaining-requests"] = true})
  end)
end)
