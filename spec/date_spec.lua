-- Times as protocols write them.
local date = require "muster.date"

describe("dates", function()
  it("are read in the three forms of HTTP", function()
    for _, text in ipairs {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994", " Sun, 6 Nov 1994 08:49:37 UTC "} do
      assert.equal(784111777, date.http(text, 1e9 // 1 | 0), text)
    end
  end)

  it("have their two digits of a year in the past, or at most 50 years ahead", function()
    local now = date.utc(2026, 1, 1, 0, 0, 0)
    assert.equal(date.utc(2076, 11, 6, 0, 0, 0), date.http("Sunday, 06-Nov-76 00:00:00 GMT", now))
    assert.equal(date.utc(1977, 11, 6, 0, 0, 0), date.http("Sunday, 06-Nov-77 00:00:00 GMT", now))
  end)

  it("are those of the system", function()
    for _, time in ipairs {0, 951782400, 951868800, 1767225599, 4107542400} do -- also of leap years
      local t = os.date("!*t", time)
      assert.equal(time, date.utc(t.year, t.month, t.day, t.hour, t.min, t.sec))
      assert.equal(time, date.http(os.date("!%a, %d %b %Y %H:%M:%S GMT", time)))
      assert.equal(time, date.rfc3339(os.date("!%Y-%m-%dT%H:%M:%SZ", time)))
    end
  end)

  it("have fractions and zones in RFC 3339", function()
    local time = date.utc(2026, 1, 2, 3, 4, 5)
    assert.equal(time + 0.5, date.rfc3339 "2026-01-02T03:04:05.5Z")
    assert.equal(time, date.rfc3339 "2026-01-02t04:34:05+01:30")
    assert.equal(time, date.rfc3339 "2026-01-01 22:04:05-0500")
    assert.equal(time, date.rfc3339 "2026-01-02T03:04:05z")
  end)

  it("are nil where they are none", function()
    for _, text in ipairs {"", "soon", "2026-13-01T00:00:00Z", "2026-01-01T00:61:00Z", "2026-01-01T00:00:00",
                           "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "120"} do
      assert.is_nil(date.http(text), text)
      assert.is_nil(date.rfc3339(text), text)
    end
    assert.is_nil(date.http(nil))
    assert.is_nil(date.rfc3339(5))
  end)
end)
