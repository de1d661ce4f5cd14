-- What responses say of trying again.
local http_headers = require "muster.http.headers"
local retry = require "muster.retry"

local function seconds(headers, time) return retry.after(headers, time).retry_after end

describe("retry.after", function()
  it("reads seconds and milliseconds, which come first", function()
    assert.equal(7, seconds {["retry-after"] = "7"})
    assert.equal(0.25, seconds {["Retry-After"] = " 0.25 "})
    assert.equal(0, seconds {["retry-after"] = "0"})
    assert.equal(1.5, seconds {["retry-after-ms"] = "1500", ["retry-after"] = "7"})
    assert.equal(7, seconds {["retry-after-ms"] = "soon", ["retry-after"] = "7"})
    assert.equal(3, seconds(http_headers.of {"RETRY-AFTER", "3"}))
    assert.equal(5, seconds {["retry-after"] = 5})
  end)

  it("reads dates in three forms, by the clock of the other side if it tells", function()
    for _, text in ipairs {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"} do
      assert.equal(60, seconds({["retry-after"] = text}, 784111777 - 60), text)
      assert.equal(0, seconds({["retry-after"] = text}, 784111777 + 60), text)
    end
    assert.equal(5, seconds({["retry-after"] = "Sun, 06 Nov 1994 08:49:37 GMT",
                             date = "Sun, 06 Nov 1994 08:49:32 GMT"}, 0))
    assert.equal(0, seconds {["retry-after"] = "Sun, 06 Nov 1994 08:49:37 GMT"})
  end)

  it("reads nothing else", function()
    for _, text in ipairs {"", "-1", "soon", "inf", "nan", "0x10", "1e999", "1e3", "5 s", "Sun, 06 Nov"} do
      assert.is_nil(seconds {["retry-after"] = text}, text)
    end
    assert.same({}, retry.after {})
    assert.has_error(function() retry.after() end)
  end)

  it("reads x-should-retry", function()
    assert.is_true(retry.after({["x-should-retry"] = "true"}).should_retry)
    assert.is_false(retry.after({["X-Should-Retry"] = " False"}).should_retry)
    assert.is_nil(retry.after({["x-should-retry"] = "maybe"}).should_retry)
  end)
end)

describe("retry.classify", function()
  it("tells what to try again", function()
    for _, status in ipairs {408, 409, 429, 500, 502, 503, 504, 529, 599} do
      assert.same({true, status == 429}, {retry.classify(status, {})}, status)
    end
    for _, status in ipairs {200, 301, 400, 401, 403, 404, 413, 422} do
      assert.same({false, false}, {retry.classify(status)}, status)
    end
    assert.same({true, false}, {retry.classify(nil)})
    assert.same({true, true, 2}, {retry.classify(429, {["retry-after"] = "2"})})
    assert.has_error(function() retry.classify "429" end)
  end)

  it("lets x-should-retry overrule", function()
    assert.same({false, true}, {retry.classify(429, {["x-should-retry"] = "false"})})
    assert.same({true, false}, {retry.classify(400, {["x-should-retry"] = "true"})})
  end)
end)
