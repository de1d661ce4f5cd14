-- Random schemas, and values of them: right ones, and ones that are wrong at a known place.
local schema = require "muster.schema"

local M = {}

--- A generator of random numbers of our own, so that a seed says everything: random(n) is from 1 to n.
function M.random(seed)
  local state = seed * 2 + 1
  return function(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
end

local function pick(random, list) return list[random(#list)] end

local texts = {"", "a", "é", "Bob", "42", "true", "\u{1f600} x", 'quote " \\ \n', "2024-02-29", "\0", "null"}
local names = {"a", "b", "name", "odd key", "é", "a.b", "1", "kind_of"}

-- ---- schemas: for each kind, a schema and a function that makes a value ----

local make

local kinds = {}

function kinds.string(random)
  if random(3) == 1 then
    return schema.string {format = "date"}, function() return pick(random, {"2024-02-29", "1999-12-31"}) end
  elseif random(2) == 1 then
    return schema.string {pattern = "^%l+$", max_length = 5}, function() return pick(random, {"a", "abc", "zzzzz"}) end
  end
  return schema.string(), function() return pick(random, texts) end
end

function kinds.integer(random)
  local min = random(20) - 10
  local max = min + random(50)
  return schema.integer {min = min, max = max}, function() return min + random(max - min + 1) - 1 end
end

function kinds.number(random)
  return schema.number {exclusive_min = -100}, function() return random(4000) / 4 - 99.5 end
end

function kinds.boolean(random) return schema.boolean(), function() return random(2) == 1 end end

function kinds.enum(random)
  local values = {"x", "y", 7, false}
  return schema.enum(values), function() return pick(random, values) end
end

function kinds.literal(random)
  local value = pick(random, {"lit", 3, true})
  return schema.literal(value), function() return value end
end

function kinds.list(random, depth, strict)
  local item, sample = make(random, depth + 1, strict)
  local low = random(2) - 1
  return schema.list(item, {min_items = low, max_items = 4}), function()
    local list = {}
    for i = 1, low + random(5 - low) - 1 do list[i] = sample() end
    return list
  end
end

function kinds.nullable(random, depth, strict)
  local inner, sample = make(random, depth + 1, strict)
  return schema.nullable(inner), function()
    if random(3) == 1 then return schema.null end
    return sample()
  end
end

function kinds.object(random, depth, strict)
  local fields, samples = {}, {}
  for _ = 1, random(4) do
    local name = pick(random, names)
    local s, sample = make(random, depth + 1, strict)
    if random(3) == 1 then
      s = schema.optional(s)
      local full = sample
      sample = function() if random(2) == 1 then return full() end end
    end
    fields[name], samples[name] = s, sample
  end
  local additional = pick(random, {"ignore", "forbid"})
  local s = schema.object(fields, {additional = additional})
  return s, function()
    local value = {}
    for _, name in ipairs(s.order) do value[name] = samples[name]() end
    return value
  end
end

function kinds.union(random, depth, strict)
  local a, sample_a = make(random, depth + 1, strict)
  local b, sample_b = make(random, depth + 1, strict)
  return schema.union {a, b}, function() return pick(random, {sample_a, sample_b})() end
end

function kinds.map(random, depth, strict)
  local item, sample = make(random, depth + 1, strict)
  return schema.map(item), function()
    local value = {}
    for _ = 1, random(3) - 1 do value[pick(random, names)] = sample() end
    return value
  end
end

function kinds.tuple(random, depth, strict)
  local a, sample_a = make(random, depth + 1, strict)
  local b, sample_b = make(random, depth + 1, strict)
  return schema.tuple {a, b}, function() return {sample_a(), sample_b()} end
end

function kinds.any(random)
  local values = {1, "x", schema.null, {1, {2}}, {a = {b = false}}, {}}
  return schema.any(), function() return pick(random, values) end
end

local scalars = {"string", "integer", "number", "boolean", "enum", "literal"}
local held = {"list", "nullable", "object", "object", "union", "map", "tuple", "any"}
local strict_held = {"list", "nullable", "object", "object", "union"}

function make(random, depth, strict)
  local kind = pick(random, scalars)
  if depth < 4 and random(2) == 1 then kind = pick(random, strict and strict_held or held) end
  return kinds[kind](random, depth, strict)
end

--- A schema of an object, and a function that makes values of it. `strict`: only of what the strict dialect can say.
function M.object(random, strict)
  return kinds.object(random, 1, strict)
end

-- ---- what is wrong ----

local wrong = {
  string = {1, true, {}, "\xff"}, integer = {"x", 1.5, 1000, -1000, {}}, number = {"x", -100, 0 / 0, {}},
  boolean = {"x", 2, {}}, enum = {"z", 8, true, {}}, literal = {"other", 4, false, {}},
  list = {"x", {[2] = 1}, {a = 1}, 1},
  object = {"x", {1}, 1}, map = {"x", {1}, 1}, tuple = {"x", {}, {1, 2, 3}}, any = {print, {print}},
}

--- Spoils `value` somewhere. Returns what to put in its place, and the path of the wrong place; or nil if it has none.
function M.spoil(random, s, value, path)
  if s.kind == "optional" or s.kind == "nullable" then
    if value == nil or value == schema.null then return nil end
    return M.spoil(random, s.inner, value, path)
  end
  if s.kind == "union" then return print, path end
  if type(value) == "table" and next(value) ~= nil and random(4) > 1 then
    local keys = {}
    for key in pairs(value) do table.insert(keys, key) end
    table.sort(keys)
    local key = pick(random, keys)
    local inner = s.kind == "object" and s.fields[key] or s.kind == "tuple" and s.items[key] or s.item
    if inner then
      local below = table.move(path, 1, #path, 1, {})
      table.insert(below, key)
      local spoilt, place = M.spoil(random, inner, value[key], below)
      if place then
        local copy = {}
        for k, v in pairs(value) do copy[k] = v end
        copy[key] = spoilt
        return copy, place
      end
    end
  end
  return pick(random, wrong[s.kind]), path
end

return M
