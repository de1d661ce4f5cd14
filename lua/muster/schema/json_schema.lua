--- A schema as JSON Schema: draft 2020-12, or the strict dialect of OpenAI's structured outputs.
-- What a dialect has no keyword for goes into the description, where a model reads it.
local core = require "muster.core"
local formats = require "muster.schema.formats"
local json = require "muster.schema.json"
local node = require "muster.schema.node"
local pattern = require "muster.schema.pattern"
local quote = require "muster.schema.quote"
local strict = require "muster.schema.strict"
local union = require "muster.schema.union"

local M = {}

local emit -- (schema, state, path) -> a table of JSON Schema

-- ---- parts ----

--- Adds a keyword, or its words to the notes if the dialect has none.
local function put(made, st, notes, keyword, value, words)
  if value == nil then return end
  if st.keywords[keyword] then made[keyword] = value else table.insert(notes, words) end
end

local function plural(n, what) return n == 1 and "1 " .. what or ("%d %ss"):format(n, what) end

local function put_count(made, st, notes, keyword, n, what, words)
  if n then put(made, st, notes, keyword, n, words .. " " .. plural(n, what)) end
end

local function put_pattern(s, made, st, notes)
  local regex = s.regex
  if not regex and type(s.pattern) == "string" then regex = pattern.translate(s.pattern) end
  if regex then
    put(made, st, notes, "pattern", regex, ("matching the regular expression %s"):format(regex))
  elseif type(s.pattern) == "string" then
    table.insert(notes, ("matching the Lua pattern %s"):format(s.pattern))
  end
end

local kinds = {}

function kinds.string(s, st, notes)
  local made = {type = "string"}
  put_count(made, st, notes, "minLength", s.min_length, "character", "at least")
  put_count(made, st, notes, "maxLength", s.max_length, "character", "at most")
  put_pattern(s, made, st, notes)
  if s.format then
    local known = st.keywords.format and (not st.strict or strict.formats[s.format])
    if known then made.format = s.format else table.insert(notes, formats.known[s.format][2]) end
  end
  return made
end

function kinds.number(s, st, notes)
  local made = {type = s.kind}
  local function show(n) return n and quote.number(n) or "" end
  put(made, st, notes, "minimum", s.min, "at least " .. show(s.min))
  put(made, st, notes, "maximum", s.max, "at most " .. show(s.max))
  put(made, st, notes, "exclusiveMinimum", s.exclusive_min, "above " .. show(s.exclusive_min))
  put(made, st, notes, "exclusiveMaximum", s.exclusive_max, "below " .. show(s.exclusive_max))
  put(made, st, notes, "multipleOf", s.multiple_of, "a multiple of " .. show(s.multiple_of))
  return made
end

kinds.integer = kinds.number

function kinds.boolean() return {type = "boolean"} end

function kinds.any(_, st, _, path)
  st.problem(path, "any value at all has no type")
  return json.object {}
end

local function type_of(value)
  local kind = math.type(value) or type(value)
  return kind == "float" and "number" or kind
end

function kinds.enum(s)
  local types, seen = {}, {}
  for _, value in ipairs(s.values) do
    local kind = type_of(value)
    if not seen[kind] then table.insert(types, kind) end
    seen[kind] = true
  end
  local values = table.move(s.values, 1, #s.values, 1, {})
  return {type = #types == 1 and types[1] or json.array(types), enum = json.array(values)}
end

function kinds.literal(s) return {type = type_of(s.value), const = s.value} end

function kinds.list(s, st, notes, path)
  local made = {type = "array", items = emit(s.item, st, path .. "[]")}
  put_count(made, st, notes, "minItems", s.min_items, "item", "at least")
  put_count(made, st, notes, "maxItems", s.max_items, "item", "at most")
  put(made, st, notes, "uniqueItems", s.unique or nil, "no item twice")
  return made
end

function kinds.tuple(s, st, _, path)
  st.problem(path, "a tuple has no place in it (use an object with a field for each item)")
  local items = {}
  for i, item in ipairs(s.items) do items[i] = emit(item, st, ("%s[%d]"):format(path, i)) end
  return {type = "array", prefixItems = json.array(items), items = false, minItems = #items, maxItems = #items}
end

function kinds.map(s, st, notes, path)
  st.problem(path, "a map has no fixed fields (use a list of objects with a key and a value)")
  local made = {type = "object", additionalProperties = emit(s.item, st, path .. "[*]")}
  put_count(made, st, notes, "minProperties", s.min_items, "entry", "at least")
  put_count(made, st, notes, "maxProperties", s.max_items, "entry", "at most")
  if s.keys then made.propertyNames = emit(s.keys, st, path .. "[key]") end
  return made
end

-- ---- null ----

--- The same, or null.
local function nullable(made)
  local kind = made.type
  if type(kind) == "string" and kind ~= "object" and kind ~= "array" and not made.enum and made.const == nil then
    made.type = json.array {kind, "null"}
    return made
  end
  if made.anyOf and not made.type then
    for _, branch in ipairs(made.anyOf) do
      if branch.type == "null" then return made end
    end
    table.insert(made.anyOf, {type = "null"})
    return made
  end
  if next(made) == nil or type(kind) == "table" and not made.enum then return made end -- takes null already
  local outer = {anyOf = json.array {made, {type = "null"}}, description = made.description}
  made.description = nil
  return outer
end

function kinds.nullable(s, st, _, path) return nullable(emit(s.inner, st, path)) end

function kinds.optional(s, st, _, path)
  local made = emit(s.inner, st, path)
  return st.strict and nullable(made) or made
end

-- ---- objects, unions, references ----

--- Has a value always to be there?
local function is_required(s)
  while s.kind == "optional" or s.kind == "nullable" do
    if s.kind == "optional" or s.default ~= nil then return false end
    s = s.inner
  end
  return s.default == nil and s.kind ~= "any"
end

--- The fields in order; the one that tells the branches of a union apart comes first.
local function order_of(s, first)
  if not first or not s.fields[first] then return s.order end
  local order = {first}
  for _, name in ipairs(s.order) do
    if name ~= first then table.insert(order, name) end
  end
  return order
end

function kinds.object(s, st, _, path, first)
  local properties, required, order = {}, {}, order_of(s, first)
  for _, name in ipairs(order) do
    properties[name] = emit(s.fields[name], st, path .. "." .. name)
    if st.strict or is_required(s.fields[name]) then table.insert(required, name) end
  end
  if order[1] then setmetatable(properties, {__keys = order}) else json.object(properties) end
  local made = {type = "object", properties = properties, title = s.name}
  if required[1] or st.strict then made.required = json.array(required) end
  if st.strict or s.additional == "forbid" then made.additionalProperties = false end
  if not st.strict and s.additional == "keep" then made.additionalProperties = true end
  return made
end

function kinds.union(s, st, _, path)
  local branches, first = {}, union.discriminator(s)
  for _, branch in ipairs(s.branches) do
    local made = emit(branch, st, path, first)
    if made.anyOf and next(made, next(made)) == nil then
      for _, inner in ipairs(made.anyOf) do table.insert(branches, inner) end
    else
      table.insert(branches, made)
    end
  end
  return {anyOf = json.array(branches)}
end

--- The name under which a schema is in $defs.
local function definition_of(target, st)
  if st.names[target] then return st.names[target] end
  local base = target.name or "Def"
  local name, n = base, 1
  while st.defs[name] ~= nil do
    n = n + 1
    name = ("%s_%d"):format(base, n)
  end
  st.names[target], st.defs[name] = name, false
  st.defs[name] = emit(target, st, name)
  return name
end

function kinds.lazy(s, st)
  return {["$ref"] = "#/$defs/" .. definition_of(node.resolve(s), st)}
end

-- ---- the whole ----

local function describe(s, made, st, notes)
  local text = s.description or made.description
  if st.strict and s.default ~= nil then
    table.insert(notes, "null for " .. quote.value(s.default))
  end
  if notes[1] then
    local note = table.concat(notes, "; ")
    text = text and ("%s (%s)"):format(text, note) or note:gsub("^%l", string.upper)
  end
  local title = s.title or made.title
  if made["$ref"] and st.strict and (text or title) then made = {anyOf = json.array {made}} end
  made.description, made.title = text, title
  return made
end

function emit(s, st, path, first)
  local notes = {}
  local made = kinds[s.kind](s, st, notes, path, first)
  made = describe(s, made, st, notes)
  if s.default ~= nil then
    if st.strict then return nullable(made) end
    made.default = node.copy(s.default)
  end
  return made
end

local function new_state(options)
  local st = {strict = options.strict or false, defs = {}, names = {}, problems = {}}
  st.keywords = strict.keywords(st.strict, options.constraints ~= false)
  function st.problem(path, text)
    if st.strict then table.insert(st.problems, (path == "" and "" or path:gsub("^%.", "") .. ": ") .. text) end
  end
  return st
end

--- The JSON Schema of a schema; for the strict dialect, nil and an error if it cannot be said there.
---@return table?
---@return muster.error?
function M.make(s, options)
  local st, root = new_state(options), node.resolve(s)
  if st.strict and (root.kind ~= "object" or root.default ~= nil) then
    st.problem("", "the root has to be an object (see schema.wrapped)")
  end
  local made = emit(root, st, "")
  if next(st.defs) ~= nil then made["$defs"] = st.defs end
  if st.strict and not st.problems[1] then strict.check_limits(made, st.problem) end
  if not st.problems[1] then return made end
  local text = ("%s is no strict schema: %s"):format(s.name or "this", table.concat(st.problems, "; "))
  return nil, core.error("schema", text, {problems = st.problems})
end

return M
