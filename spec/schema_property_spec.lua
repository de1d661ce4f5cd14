-- lua/muster/schema.lua: what holds of random schemas and random values. A failure tells its seed.

local dialect = require "spec.support.dialect"
local json = require "muster.json"
local schema = require "muster.schema"
local schemas = require "spec.support.schemas"

local SEEDS = 600

-- Runs `fn` with a generator of random numbers, for many seeds.
local function for_seeds(fn)
  for seed = 1, SEEDS do
    local fine, err = pcall(fn, schemas.random(seed))
    if not fine then error(("seed %d: %s"):format(seed, tostring(err)), 0) end
  end
end

-- What a JSON Pointer leads to: whether there is such a place, and the value above it.
local function place(value, pointer)
  local above
  for step in pointer:gmatch "/([^/]*)" do
    if type(value) ~= "table" then return false end
    above = value
    local key = step:gsub("~1", "/"):gsub("~0", "~")
    value = value[key]
    if value == nil and key:find "^%d+$" then value = above[math.tointeger(key) + 1] end
  end
  return value ~= nil, above
end

local function pointer_of(path)
  local parts = {}
  for i, key in ipairs(path) do
    parts[i] = "/" .. (type(key) == "number" and key - 1 or key:gsub("~", "~0"):gsub("/", "~1"))
  end
  return table.concat(parts)
end

describe("random schemas", function()
  it("accept their values, which survive JSON", function()
    for_seeds(function(random)
      local s, sample = schemas.object(random)
      for _ = 1, 5 do
        local made, problems = s:validate(sample())
        assert(made, tostring(problems))
        local again
        again, problems = s:validate(json.decode(json.encode(made)))
        assert(again, tostring(problems))
        assert.same(made, again)
        assert.same(made, s:validate(made))
        assert.same(made, s:validate(made, {coerce = true}))
      end
    end)
  end)

  it("take or refuse the values of others, and any other", function()
    local loop = {}
    loop[1], loop[2] = loop, {a = loop}
    local odd = {
      loop, {a = loop, b = print, name = 0 / 0}, {[1] = 1, a = 2}, {[{}] = {}}, {"\xff"}, {[1.5] = math.huge},
    }
    for_seeds(function(random)
      local s, value = schemas.object(random), odd[random(#odd * 4)] or select(2, schemas.object(random))()
      local coerce = random(2) == 1
      local made, problems = s:validate(value, {coerce = coerce})
      assert((made == nil) == (problems ~= nil))
      if made then
        assert.same(made, s:validate(json.decode(json.encode(made))))
      else
        assert(#problems > 0 and #problems <= 50 and utf8.len(tostring(problems)))
      end
    end)
  end)

  it("make of what they coerce values that need none", function()
    local texts = {integer = tostring, number = tostring, boolean = tostring}
    for_seeds(function(random)
      local s, sample = schemas.object(random)
      local value = sample()
      for name, v in pairs(value) do
        local kind = math.type(v) or type(v)
        value[name] = texts[kind] and texts[kind](v) or v
      end
      local made = s:validate(value, {coerce = true})
      if made then assert.same(made, s:validate(made)) end
    end)
  end)

  it("refuse what is wrong, at a place that exists", function()
    for_seeds(function(random)
      local s, sample = schemas.object(random)
      local spoilt, path = schemas.spoil(random, s, sample(), {})
      local made, problems = s:validate(spoilt)
      local where = pointer_of(path)
      assert(made == nil and problems, "accepted what is wrong at " .. where)
      local told = false
      for _, e in ipairs(problems) do
        local exists, above = place(spoilt, e.pointer)
        assert(exists or e.kind == "missing" and type(above) == "table", "no such place: " .. tostring(e))
        assert(utf8.len(tostring(e)), "not UTF-8")
        told = told or e.pointer:sub(1, #where) == where
      end
      assert(told, ("wrong at %s, but told: %s"):format(where, tostring(problems)))
    end)
  end)

  it("obey the strict dialect", function()
    for_seeds(function(random)
      local s = schemas.object(random, true)
      assert(dialect.check(assert(s:json_schema {strict = true})))
      assert(dialect.check(assert(s:json_schema {strict = true, constraints = false})))
    end)
  end)

  it("have texts", function()
    for_seeds(function(random)
      local s = schemas.object(random)
      assert(utf8.len(s:describe()) and utf8.len(s:luals()))
      assert(s:json_schema())
      local text = s:luals():gsub("%-%-%-[^\n]*", "")
      assert(not text:find "%S", "not only annotations")
    end)
  end)
end)

describe("the checker of the dialect", function()
  it("refuses what is not strict", function()
    local function open(s) return s:json_schema() end
    local good = {type = "object", properties = setmetatable({a = {type = "string"}}, {__keys = {"a"}}),
      required = {"a"},
      additionalProperties = false}
    assert.is_true(dialect.check(good))
    for _, bad in ipairs {
      open(schema.object {a = schema.string()}), open(schema.string()), {anyOf = {good}},
      {type = "object", properties = good.properties, required = {}, additionalProperties = false},
      {type = "object", properties = setmetatable({a = {type = "string", minLength = 1}}, {__keys = {"a"}}),
        required = {"a"}, additionalProperties = false},
    } do
      assert.is_false(pcall(dialect.check, bad))
    end
  end)
end)
