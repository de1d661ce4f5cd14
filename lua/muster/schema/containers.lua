--- The validators of objects, lists, tuples, maps and arbitrary values. Each returns a fresh copy.
local errors = require "muster.schema.errors"
local json = require "muster.schema.json"
local quote = require "muster.schema.quote"
local words = require "muster.schema.words"

local FAIL, fail, below = errors.FAIL, errors.fail, errors.below
local null = json.null
local utf8len, huge = utf8.len, math.huge

local M = {}

--- Enough errors, and something is left that was not looked at.
local function stop(ctx)
  ctx.more = true
  return FAIL
end

local function too_deep(ctx, v) return fail(ctx, "depth", ("at most %d levels of nesting"):format(ctx.max_depth), v) end

-- ---- objects ----

local makers = {}

--- A function that makes an empty table with room for n fields, which spares growing it.
local function maker(n)
  n = math.min(n, 100)
  makers[n] = makers[n] or load(("return function() return {%s} end"):format(("a=nil,"):rep(n)), "=muster.schema")()
  return makers[n]
end

local function is_object(v) return type(v) == "table" and v[1] == nil end

--- The keys beyond the fields: refused, or kept. Returns false if one was refused.
local function extra_keys(s, value, out, known, ctx, depth)
  local fine, seen = true, ctx.n
  for key in next, value do
    if type(key) ~= "string" then
      fail(ctx, "type", "an object whose keys are strings", value)
      return false
    end
  end
  for _, key in ipairs(quote.sorted_keys(value)) do
    if not known[key] then
      if ctx.n >= ctx.limit then return not stop(ctx) end
      local made = FAIL
      if s.additional == "keep" and not utf8len(key) then
        fail(ctx, "utf8", "a key of valid UTF-8", key)
      elseif s.additional == "keep" then
        made = M.copy_any(value[key], ctx, depth + 1)
      else
        local expected = s.order[1] and "only " .. quote.names(s.order, 200) or "no fields"
        errors.say(ctx, "unknown", "unknown field, expected " .. expected, expected, value[key])
      end
      if made == FAIL then fine, seen = false, below(ctx, seen, key) else out[key] = made end
    end
  end
  return fine
end

function M.object(s, compile)
  local names, checks, known, n = s.order, {}, {}, #s.order
  for i, name in ipairs(names) do
    checks[i], known[name] = compile(s.fields[name]), true
  end
  local make, extras = maker(n), s.additional and s.additional ~= "ignore"
  return function(value, ctx, depth)
    if not is_object(value) then return fail(ctx, "type", words.expected(s), value) end
    if depth > ctx.max_depth then return too_deep(ctx, value) end
    local out, seen, fine = make(), ctx.n, true
    for i = 1, n do
      if seen >= ctx.limit then return stop(ctx) end
      local name = names[i]
      local made = checks[i](value[name], ctx, depth + 1)
      if made == FAIL then
        fine, seen = false, below(ctx, seen, name)
      elseif made ~= null then
        out[name] = made
      end
    end
    if extras and not extra_keys(s, value, out, known, ctx, depth) then return FAIL end
    return fine and out or FAIL
  end
end

-- ---- maps ----

function M.map(s, compile)
  local check, check_key = compile(s.item), s.keys and compile(s.keys)
  local low, high = s.min_items or 0, s.max_items or huge
  local check_name = check_key or function(key, ctx)
    return utf8len(key) and key or fail(ctx, "utf8", "a key of valid UTF-8", key)
  end
  return function(value, ctx, depth)
    if not is_object(value) then return fail(ctx, "type", words.expected(s), value) end
    if depth > ctx.max_depth then return too_deep(ctx, value) end
    local out, fine, count = {}, true, 0
    for key in next, value do
      if type(key) ~= "string" then return fail(ctx, "type", "an object whose keys are strings", value) end
      count = count + 1
    end
    if count < low or count > high then return fail(ctx, "length", words.expected(s), value) end
    local seen = ctx.n
    for _, key in ipairs(quote.sorted_keys(value)) do
      if seen >= ctx.limit then return stop(ctx) end
      local name = check_name(key, ctx, depth)
      local made = name == FAIL and FAIL or check(value[key], ctx, depth + 1)
      if made == FAIL then
        fine, seen = false, below(ctx, seen, key)
      else
        out[name] = made
      end
    end
    if not fine then return FAIL end
    return count == 0 and json.object(out) or out
  end
end

-- ---- lists ----

--- How many items a list has; or nil if the table is none: has holes, or other keys.
local function list_length(value)
  local n, count = #value, 0
  for _ in next, value do count = count + 1 end
  if count ~= n then return nil end
  for i = 1, n do
    if value[i] == nil then return nil end
  end
  return n
end

local function refuse_list(s, value, ctx)
  if type(value) == "table" and value[1] ~= nil then
    local extra = quote.sorted_keys(value)[1]
    local why = extra and " and the key " .. quote.string(extra) or " and holes"
    return errors.say(ctx, "type", ("expected %s, got a table with items%s"):format(words.expected(s), why),
      words.expected(s), value)
  end
  return fail(ctx, "type", words.expected(s), value)
end

--- Equal values have equal identities: tables are written out, all else is its own.
local function identity(v)
  if type(v) ~= "table" then return math.type(v) == "float" and math.tointeger(v) or v end
  local parts = {}
  if v[1] ~= nil then
    for i, item in ipairs(v) do parts[i] = tostring(identity(item)) .. "\0" .. type(item) end
  else
    for _, key in ipairs(quote.sorted_keys(v)) do
      table.insert(parts, ("%d:%s=%s\0%s"):format(#key, key, tostring(identity(v[key])), type(v[key])))
    end
  end
  for i, part in ipairs(parts) do parts[i] = #part .. ":" .. part end
  return table.concat(parts)
end

local function all_unique(out, n, ctx)
  local scalars, tables, fine, seen = {}, {}, true, ctx.n
  for i = 1, n do
    if seen >= ctx.limit then return not stop(ctx) end
    local key, first = identity(out[i]), type(out[i]) == "table" and tables or scalars
    if first[key] then
      local message = ("is the same as item %d, expected no item twice"):format(first[key])
      errors.say(ctx, "unique", message, "no item twice", out[i])
      fine, seen = false, below(ctx, seen, i)
    end
    first[key] = first[key] or i
  end
  return fine
end

function M.list(s, compile)
  local check, low, high, unique = compile(s.item), s.min_items or 0, s.max_items or huge, s.unique
  return function(value, ctx, depth)
    local n = type(value) == "table" and list_length(value)
    if not n then return refuse_list(s, value, ctx) end
    if depth > ctx.max_depth then return too_deep(ctx, value) end
    local fine = n >= low and n <= high
    if not fine then fail(ctx, "length", words.expected(s), value) end
    local out, seen = {}, ctx.n
    for i = 1, n do
      if seen >= ctx.limit then return stop(ctx) end
      local made = check(value[i], ctx, depth + 1)
      if made == FAIL then fine, seen = false, below(ctx, seen, i) else out[i] = made end
    end
    if not fine or unique and not all_unique(out, n, ctx) then return FAIL end
    return n == 0 and json.array(out) or out
  end
end

function M.tuple(s, compile)
  local checks, n = {}, #s.items
  for i, item in ipairs(s.items) do checks[i] = compile(item) end
  return function(value, ctx, depth)
    local length = type(value) == "table" and list_length(value)
    if not length then return refuse_list(s, value, ctx) end
    if depth > ctx.max_depth then return too_deep(ctx, value) end
    if length ~= n then return fail(ctx, "length", words.expected(s), value) end
    local out, seen, fine = {}, ctx.n, true
    for i = 1, n do
      if seen >= ctx.limit then return stop(ctx) end
      local made = checks[i](value[i], ctx, depth + 1)
      if made == FAIL then fine, seen = false, below(ctx, seen, i) else out[i] = made end
    end
    if not fine then return FAIL end
    return n == 0 and json.array(out) or out
  end
end

-- ---- any ----

local copy

local RUNNING = {} -- in a memo: being copied further up, so the value holds itself

local function copy_table(v, ctx, depth, memo)
  if memo[v] == RUNNING then return errors.say(ctx, "cycle", "the value holds itself", "a value of JSON", v) end
  if memo[v] then return memo[v] end
  if depth > ctx.max_depth then return too_deep(ctx, v) end
  memo[v] = RUNNING
  local out, n, seen = {}, list_length(v), ctx.n
  for key, item in next, v do
    if not (n and n > 0) and (type(key) ~= "string" or not utf8len(key)) then
      return fail(ctx, "type", "a list without holes, or an object whose keys are strings", v)
    end
    local made = copy(item, ctx, depth + 1, memo)
    if made == FAIL then
      below(ctx, seen, key)
      return FAIL
    end
    out[key] = made
  end
  memo[v] = json.marked_like(out, v)
  return out
end

function copy(v, ctx, depth, memo)
  local kind = type(v)
  if kind == "table" then return copy_table(v, ctx, depth, memo) end
  if kind == "boolean" or v == nil or v == null or math.type(v) == "integer" then return v end
  if kind == "string" then return utf8len(v) and v or fail(ctx, "utf8", "a string of valid UTF-8", v) end
  if kind == "number" and v == v and v > -huge and v < huge then return v end
  return fail(ctx, "type", "a value of JSON", v)
end

--- A copy of any value of JSON.
function M.copy_any(v, ctx, depth)
  if type(v) ~= "table" then return copy(v, ctx, depth) end
  return copy(v, ctx, depth, {})
end

function M.any() return M.copy_any end

return M
