-- lua/muster/schema/scalars.lua: strings, numbers, enums; and coercion. lua/muster/schema/formats.lua: the formats.

local lpeg = require "lpeg"
local schema = require "muster.schema"
local support = require "spec.support.schema"

local null = schema.null
local accepts, errors, refuses = support.accepts, support.errors, support.refuses

local Person = schema.object({
  name = schema.string {min_length = 1}, age = schema.integer {min = 0, max = 150},
    job = schema.optional(schema.string()),
}, {name = "Person"})

describe("scalars", function()
  it("are of their type", function()
    accepts(schema.string(), "", "a", "é")
    refuses(schema.string(), 1, true, null, {}, "\xff", "\xed\xa0\x80")
    accepts(schema.boolean(), true, false)
    refuses(schema.boolean(), 0, "true", null)
    accepts(schema.number(), 0, -1.5, 1e300, math.mininteger)
    refuses(schema.number(), 0 / 0, math.huge, -math.huge, "1", null)
    accepts(schema.integer(), 0, math.maxinteger, math.mininteger)
    refuses(schema.integer(), 1.5, 1e300, 0 / 0, math.huge, "1", null)
  end)

  it("of integers take integral floats, and give integers", function()
    assert.equal("integer", math.type(schema.integer():validate(3.0)))
    assert.equal("float", math.type(schema.number():validate(3.0)))
  end)

  it("keep their limits", function()
    accepts(schema.integer {min = 1, max = 3}, 1, 2, 3)
    refuses(schema.integer {min = 1, max = 3}, 0, 4)
    accepts(schema.number {exclusive_min = 0, exclusive_max = 1}, 0.5, 1e-300)
    refuses(schema.number {exclusive_min = 0, exclusive_max = 1}, 0, 1)
    accepts(schema.integer {multiple_of = 3}, 0, -3, 9)
    refuses(schema.integer {multiple_of = 3}, 1)
    accepts(schema.number {multiple_of = 0.1}, 0.3, 0.7, 1)
    refuses(schema.number {multiple_of = 0.1}, 0.35)
    assert.equal("expected a number of at least 1 below 10, that is a multiple of 0.5, got 0",
      errors(schema.number {min = 1, exclusive_max = 10, multiple_of = 0.5}, 0))
  end)

  it("count characters, not bytes", function()
    accepts(schema.string {length = 2}, "éé", "ab")
    refuses(schema.string {length = 2}, "é", "abc")
    accepts(schema.string {min_length = 1, max_length = 2}, "a", "😀😀")
  end)

  it("match Lua patterns and those of LPeg", function()
    accepts(schema.string {pattern = "^%u%l+$"}, "Bob")
    refuses(schema.string {pattern = "^%u%l+$"}, "bob", "Bob ")
    local number = lpeg.R "09" ^ 1 * -1
    accepts(schema.string {pattern = number}, "12")
    refuses(schema.string {pattern = number}, "12a", "")
    assert.equal('expected a string matching the Lua pattern "^%d$", got "x"',
      errors(schema.string {pattern = "^%d$"}, "x"))
    assert.equal('expected a string of the right form, got "x"', errors(schema.string {pattern = number}, "x"))
    assert.equal('expected a string matching /^[0-9]+$/, got "x"', errors(schema.string {pattern = number,
      regex = "^[0-9]+$"}, "x"))
  end)

  it("are refused where LPeg gives up", function()
    local nested = lpeg.P {"(" * lpeg.V(1) ^ -1 * ")"} * -1
    accepts(schema.string {pattern = nested}, "(())")
    refuses(schema.string {pattern = nested}, ("("):rep(100000))
  end)

  it("of enums and literals are one of the values", function()
    local s = schema.enum {"a", "b", 3, true}
    accepts(s, "a", 3, true)
    assert.equal(3, s:validate(3.0))
    refuses(s, "c", 4, false, null, {}, 0 / 0)
    assert.equal('expected one of "a", "b", 3, true, got "c"', errors(s, "c"))
    assert.equal('expected "x", got "y"', errors(schema.literal "x", "y"))
    assert.equal(false, schema.literal(false):validate(false))
    local many = {}
    for i = 1, 100 do many[i] = i end
    assert.truthy(errors(schema.enum(many), 0):find "20, … %(100 in all%), got 0$")
  end)
end)

describe("formats", function()
  local cases = {
    date = {{"2024-02-29", "2000-02-29", "2023-12-31"}, {"2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01",
      "2024-04-31",
      "2024-1-1", "24-01-01", "2024-01-01T00:00:00Z", "2024-01-00", ""}},
    time = {{"00:00:00Z", "23:59:60Z", "09:30:00.123+02:00", "22:59:60-01:00", "00:59:60+01:00"},
      {"24:00:00Z", "09:30", "09:30:00", "12:00:60Z", "09:60:00Z", "09:30:00+24:00", "09:30:00.Z", "09:30:00+0200"}},
    ["date-time"] = {{"2024-02-29T09:30:00Z", "2024-02-29t09:30:00.5z"},
      {"2024-02-30T09:30:00Z", "2024-02-29 09:30:00Z", "2024-02-29T09:30:00", "2024-02-29", "T"}},
    duration = {{"P1D", "PT1H30M", "P1Y2M3DT4H5M6S", "P2W"}, {"P", "PT", "P1DT", "1D", "P1M1Y", "P1S", "PT1D", "P1",
      "P1W1D"}},
    email = {{"a@b.org", "first.last+tag@sub.example.org"}, {"a", "a@b", "@b.org", "a@", "a b@c.org", "a..b@c.org",
      ".a@b.org",
      "a@b..org", "a@-b.org", "a@b@c.org"}},
    hostname = {{"localhost", "a-b.example.org", "1.2"}, {"", "-a", "a-", "a..b", "a_b", ("a"):rep(64),
      ("a."):rep(127) .. "a"}},
    ipv4 = {{"0.0.0.0", "255.255.255.255"}, {"256.0.0.0", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", "a.b.c.d",
      "1.2.3.4 "}},
    ipv6 = {{"::", "::1", "1:2:3:4:5:6:7:8", "2001:db8::8a2e:370:7334", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1::"},
      {"", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:2:3:4:5:6:7::8:9",
        "1.2.3.4",
        "1.2.3.4::", "::1.2.3"}},
    uri = {{"https://example.org/a?b=c#d", "mailto:a@b.org", "file:///etc/passwd", "urn:isbn:0451450523",
      "http://[::1]:80/%20"},
      {"example.org", "//example.org", "http:", "http://", "https://a b", "https://a/%zz", "1http://a",
        "https://é.org"}},
    uuid = {{"123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"},
      {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400",
        "g23e4567-e89b-12d3-a456-426614174000"}},
  }

  for name, case in pairs(cases) do
    it("really test " .. name, function()
      local s = schema.string {format = name}
      accepts(s, table.unpack(case[1]))
      refuses(s, table.unpack(case[2]))
    end)
  end

  it("are done at once with texts that are long", function()
    local long = 1 << 17
    for name in pairs(cases) do
      local s = schema.string {format = name}
      for _, text in ipairs {"1", "a.", ":", "1:", "@", "P1", "%", "http://a", "00:00:00.0", "2024-02-29T1", "a@b."} do
        local errors_of_long = select(2, s:validate(text .. text:sub(-1):rep(long)))
        assert(errors_of_long or name == "uri")
        assert(select(2, s:validate(text:rep(long) .. " ")))
      end
    end
  end)

  it("are told by an example", function()
    assert.equal('expected a date such as 2024-02-29, got "soon"', errors(schema.string {format = "date"}, "soon"))
  end)
end)

describe("coercion", function()
  local function coerced(s, value) return (s:validate(value, {coerce = true})) end

  it("comes only when asked for", function()
    refuses(schema.integer(), "42")
    refuses(schema.boolean(), "true")
    refuses(schema.string(), 42)
    refuses(schema.enum {"a"}, "A")
  end)

  it("reads numbers and booleans, and writes strings", function()
    assert.equal(42, coerced(schema.integer(), " 42 "))
    assert.equal(42, coerced(schema.integer(), "+42.0"))
    assert.equal("integer", math.type(coerced(schema.integer(), "42.0")))
    assert.equal(-1.5e3, coerced(schema.number(), "-1.5e3"))
    for _, text in ipairs {"", "0x10", "1,000", "nan", "inf", "1e999", "4 2", "1e", "forty"} do
      assert.is_nil(coerced(schema.number(), text))
    end
    assert.is_nil(coerced(schema.integer(), "1.5"))
    assert.is_true(coerced(schema.boolean(), "True"))
    assert.is_false(coerced(schema.boolean(), " no "))
    assert.is_false(coerced(schema.boolean(), 0))
    assert.is_nil(coerced(schema.boolean(), 2))
    assert.equal("42", coerced(schema.string(), 42))
    assert.equal("true", coerced(schema.string(), true))
    assert.is_nil(coerced(schema.string(), {}))
    assert.equal("Red", coerced(schema.enum {"Red", "red hot"}, " RED"))
    assert.is_nil(coerced(schema.enum {"Red", "RED"}, "red"))
    assert.equal(3, coerced(schema.enum {3, 4}, "3"))
  end)

  it("comes before the limits", function()
    assert.is_nil(coerced(schema.integer {max = 10}, "42"))
    assert.equal("age: expected an integer from 0 to 150, got \"200\"", errors(Person, {name = "A", age = "200"},
      {coerce = true}))
  end)

  it("does not stay", function()
    assert.truthy(Person:validate({name = "A", age = "1"}, {coerce = true}))
    refuses(Person, {name = "A", age = "1"})
  end)
end)
