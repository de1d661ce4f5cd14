--- The validators of unions, and of lazy schemas, which are how a schema holds itself.
local errors = require "muster.schema.errors"
local node = require "muster.schema.node"
local words = require "muster.schema.words"

local FAIL, fail = errors.FAIL, errors.fail

local M = {}

-- ---- discriminated unions ----

--- The values that a field may have, if they are few and known; or nil.
local function tags_of(branch, field)
  if branch.kind ~= "object" then return nil end
  local s = branch.fields[field]
  if not s or s.default ~= nil then return nil end
  if s.kind == "literal" then return {s.value} end
  return s.kind == "enum" and s.values or nil
end

--- value of the field -> branch, if that tells the branches apart.
local function branches_by(branches, field)
  local by = {}
  for _, branch in ipairs(branches) do
    local tags = tags_of(branch, field)
    if not tags then return nil end
    for _, tag in ipairs(tags) do
      if by[tag] then return nil end
      by[tag] = branch
    end
  end
  return by
end

--- The field that tells the branches apart, and which branch each of its values means; or nil.
---@return string? field
---@return table? by
function M.discriminator(s)
  local branches = {}
  for i, branch in ipairs(s.branches) do branches[i] = node.resolve(branch) end
  if s.discriminator then return s.discriminator, branches_by(branches, s.discriminator) end
  if #branches < 2 or branches[1].kind ~= "object" then return nil end
  for _, field in ipairs(branches[1].order) do
    local by = branches_by(branches, field)
    if by then return field, by end
  end
end

local function compile_tagged(s, compile, field, by)
  local checks, tags = {}, {}
  for _, branch in ipairs(s.branches) do -- in the order of the branches
    for _, tag in ipairs(tags_of(node.resolve(branch), field)) do
      checks[tag] = compile(by[tag])
      table.insert(tags, tag)
    end
  end
  local expected = words.values(tags)
  return function(v, ctx, depth)
    if type(v) ~= "table" or v[1] ~= nil then return fail(ctx, "type", words.expected(s), v) end
    local tag = v[field]
    local check = tag ~= nil and checks[tag]
    if check then return check(v, ctx, depth) end
    local seen = ctx.n
    fail(ctx, "enum", expected, tag)
    errors.below(ctx, seen, field)
    return FAIL
  end
end

-- ---- other unions ----

--- How far from right: an error of the value itself, not of something in it, counts most.
local function badness(list)
  local score = 0
  for _, e in ipairs(list) do score = score + (e[1] == nil and 1000 or 1) end
  return score
end

--- The errors after the first `seen`, taken out.
local function take(ctx, seen)
  local list = table.move(ctx, seen + 1, ctx.n, 1, {})
  for i = seen + 1, ctx.n do ctx[i] = nil end
  ctx.n = seen
  return list
end

local ENOUGH = 1000 -- values that are counted

--- How many values of `v` are in the copy too, which may have left out fields that its schema does not name.
local function kept(made, v, count)
  if type(made) ~= "table" or type(v) ~= "table" then return count + 1 end
  for key, value in next, made do
    if count >= ENOUGH then break end
    if v[key] ~= nil then count = kept(value, v[key], count) end
  end
  return count + 1
end

--- Of two copies the one that keeps more of the value; the first if both keep the same.
local function fuller(first, second, v)
  if first == nil or type(v) ~= "table" then return first or second end
  return kept(second, v, 0) > kept(first, v, 0) and second or first
end

--- The branches in turn. Returns what the first that fits makes, or for a table, that which keeps most of it; or FAIL,
--- and the errors of the nearest.
local function try(checks, v, ctx, depth)
  local seen, more, best, least, found = ctx.n, ctx.more, nil, math.huge, nil
  for i = 1, #checks do
    local made = checks[i](v, ctx, depth)
    if ctx.crash then return FAIL end
    if made ~= FAIL then
      if type(v) ~= "table" then return made end
      found = fuller(found, made, v)
    else
      local list = take(ctx, seen)
      local score = badness(list)
      if score < least then best, least = list, score end
      ctx.more = more
    end
  end
  if found ~= nil then return found end
  return FAIL, best, least
end

--- Exact fits come before those by coercion.
local function try_all(checks, v, ctx, depth)
  if not ctx.coerce then return try(checks, v, ctx, depth) end
  ctx.coerce = false
  local made, best, least = try(checks, v, ctx, depth)
  ctx.coerce = true
  if made ~= FAIL or ctx.crash then return made, best, least end
  return try(checks, v, ctx, depth)
end

function M.union(s, compile)
  local field, by = M.discriminator(s)
  if field and not by then
    node.refuse("union", ("the field '%s' does not tell the branches apart: in each, it has to be a literal or "
      .. "an enum, with values of its own"):format(field))
  end
  if by then return compile_tagged(s, compile, field, by) end
  local checks = {}
  for i, branch in ipairs(s.branches) do checks[i] = compile(branch) end
  return function(v, ctx, depth)
    local made, best, least = try_all(checks, v, ctx, depth)
    if made ~= FAIL or ctx.crash then return made end
    if least >= 1000 then return fail(ctx, "union", words.expected(s), v) end
    for _, e in ipairs(best) do errors.add(ctx, e) end
    return FAIL
  end
end

-- ---- lazy ----

local RUNNING = {} -- being validated further up, so the value holds itself

--- What the schema knows of tables it has seen in this validation: `made` and, for those refused, their errors.
-- It bounds the work: a table is validated once, however many ways lead to it.
local function memo_of(ctx, key)
  local memo = ctx.memo
  if not memo then
    memo = {}
    ctx.memo = memo
  end
  memo[key] = memo[key] or {made = {}, refused = {}}
  return memo[key]
end

local function copy_steps(e)
  local made = {}
  for name, value in pairs(e) do made[name] = value end
  return made
end

local function snapshot(ctx, seen)
  local list = {}
  for i = seen + 1, ctx.n do table.insert(list, copy_steps(ctx[i])) end
  return list
end

local function again(ctx, memo, v)
  if memo.made[v] ~= FAIL then return memo.made[v] end
  for _, e in ipairs(memo.refused[v]) do errors.add(ctx, copy_steps(e)) end
  return FAIL
end

function M.lazy(s, compile)
  local check
  local exact, coerced = {}, {} -- keys of memos
  return function(v, ctx, depth)
    check = check or compile(node.resolve(s))
    if type(v) ~= "table" then return check(v, ctx, depth) end
    local memo = memo_of(ctx, ctx.coerce and coerced or exact)
    local known = memo.made[v]
    if known == RUNNING then return errors.say(ctx, "cycle", "the value holds itself", words.expected(s), v) end
    if known then return again(ctx, memo, v) end
    local seen = ctx.n
    memo.made[v] = RUNNING
    local made = check(v, ctx, depth)
    memo.made[v] = made
    if made == FAIL then memo.refused[v] = snapshot(ctx, seen) end
    return made
  end
end

return M
