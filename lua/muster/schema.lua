--- Schemas of records: one schema validates values, tells a server and a model what they should be, and describes them.
local compile = require "muster.schema.compile"
local describe = require "muster.schema.describe"
local json = require "muster.schema.json"
local json_schema = require "muster.schema.json_schema"
local node = require "muster.schema.node"
local options = require "muster.options"
local quote = require "muster.schema.quote"
local union = require "muster.schema.union"

local M = {}

local as_schema, make, misuse, refuse = node.as_schema, node.make, node.misuse, node.refuse

--- Does it hold a lazy schema, which may not be looked at yet?
local function is_lazy(s)
  if s.kind == "lazy" then return true end
  for _, held in ipairs {s.inner or false, s.item or false, s.keys or false} do
    if held and is_lazy(held) then return true end
  end
  for _, list in ipairs {s.fields or {}, s.branches or {}, s.items or {}} do
    for _, held in pairs(list) do
      if is_lazy(held) then return true end
    end
  end
  return false
end

--- The schema; a default that it would refuse raises.
local function checked(s)
  if s.default == nil or is_lazy(s) then return s end
  local value, problems = compile.run(node.with(s, {default = json.null}), s.default) -- null: as if there were none
  if problems then refuse(s.kind, "option 'default': " .. tostring(problems)) end
  s.default = value
  return s
end

-- ---- scalars ----

function M.string(opts) return checked(make("string", {}, opts)) end
function M.number(opts) return checked(make("number", {}, opts)) end
function M.integer(opts) return checked(make("integer", {}, opts)) end
function M.boolean(opts) return checked(make("boolean", {}, opts)) end
function M.any(opts) return checked(make("any", {}, opts)) end

for _, name in ipairs {"string", "number", "integer", "boolean", "any"} do node.constructors[M[name]] = true end

local function is_scalar(v)
  if type(v) == "string" then return utf8.len(v) ~= nil end
  return type(v) == "boolean" or type(v) == "number" and v == v and math.abs(v) ~= math.huge
end

--- A list with at least one item, and nothing else, or it raises.
local function check_list(what, list)
  if type(list) ~= "table" or node.is(list) then misuse(what, "argument 1", "a list", list) end
  local n = #list
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > n then
      refuse(what, ("'%s' in its list: options are a table of their own"):format(tostring(key)))
    end
  end
  if n == 0 then misuse(what, "argument 1", "a list that is not empty", list) end
  return list
end

function M.enum(values, opts)
  local seen, list = {}, {}
  for i, value in ipairs(check_list("enum", values)) do
    if not is_scalar(value) then misuse("enum", "item " .. i, "a string, a finite number or a boolean", value) end
    if seen[value] then refuse("enum", quote.value(value) .. " is in it twice") end
    seen[value], list[i] = true, value
  end
  return checked(make("enum", {values = list}, opts))
end

function M.literal(value, opts)
  if not is_scalar(value) then misuse("literal", "argument 1", "a string, a finite number or a boolean", value) end
  return checked(make("literal", {value = value}, opts))
end

-- ---- schemas of schemas ----

--- A schema of the kind around another.
local function around(kind, field, s, opts)
  return checked(make(kind, {[field] = as_schema(kind, "argument 1", s)}, opts))
end

function M.optional(s, opts) return around("optional", "inner", s, opts) end
function M.nullable(s, opts) return around("nullable", "inner", s, opts) end
function M.list(s, opts) return around("list", "item", s, opts) end
function M.map(s, opts) return around("map", "item", s, opts) end

local function schemas(what, list)
  local made = {}
  for i, s in ipairs(check_list(what, list)) do made[i] = as_schema(what, "item " .. i, s) end
  return made
end

function M.tuple(items, opts) return checked(make("tuple", {items = schemas("tuple", items)}, opts)) end

function M.union(branches, opts)
  local s = make("union", {branches = schemas("union", branches)}, opts)
  if s.discriminator and not is_lazy(s) then
    local _, by = union.discriminator(s)
    if not by then
      refuse("union", ("option 'discriminator': each branch has to be an object in which '%s' is a literal or an enum, "
        .. "with values of its own"):format(s.discriminator))
    end
  end
  return checked(s)
end

function M.lazy(get, opts)
  if type(get) ~= "function" then misuse("lazy", "argument 1", "a function that returns a schema", get) end
  return make("lazy", {get = get}, opts)
end
M.ref = M.lazy

-- ---- objects ----

local function add_field(fields, name, s)
  if type(name) ~= "string" or not utf8.len(name) then misuse("object", "the name of a field", "a string", name) end
  if fields[name] then refuse("object", ("the field '%s' is in it twice"):format(name)) end
  fields[name] = as_schema("object", ("field '%s'"):format(name), s)
end

--- {{"name", schema}, ...}: the fields, and their names in order.
local function ordered_fields(list)
  local fields, order = {}, {}
  for i, pair in ipairs(check_list("object", list)) do
    if type(pair) ~= "table" or node.is(pair) or #pair ~= 2 then
      misuse("object", "item " .. i, "a pair of a name and a schema", pair)
    end
    add_field(fields, pair[1], pair[2])
    order[i] = pair[1]
  end
  return fields, order
end

--- The names in `first`, then the others, sorted.
local function complete_order(fields, first)
  local order, seen = {}, {}
  for _, name in ipairs(first) do
    if not fields[name] then refuse("object", ("option 'order': there is no field '%s'"):format(tostring(name))) end
    if seen[name] then refuse("object", ("option 'order': '%s' is in it twice"):format(name)) end
    table.insert(order, name)
    seen[name] = true
  end
  for _, name in ipairs(quote.sorted_keys(fields)) do
    if not seen[name] then table.insert(order, name) end
  end
  return order
end

function M.object(fields, opts)
  if type(fields) ~= "table" or node.is(fields) then
    misuse("object", "argument 1", "a table of schemas by name, or a list of pairs", fields)
  end
  local made, order = {}, nil
  if fields[1] ~= nil then
    made, order = ordered_fields(fields)
  else
    for name, s in pairs(fields) do add_field(made, name, s) end
  end
  local s = make("object", {fields = made}, opts)
  s.order = complete_order(made, s.order or order or {})
  return checked(s)
end

--- A schema whose root is an object, as servers want it. One of a list goes into {items = list}, any other into
--- {value = …}.
---@return muster.schema.node wrapped the schema itself if it is of an object
---@return string? key where in the object the value is; nil if the schema itself is of an object
function M.wrapped(s)
  s = as_schema("wrapped", "argument 1", s)
  local root = node.resolve(s)
  if root.kind == "object" and s.default == nil then return s, nil end
  local key = root.kind == "list" and "items" or "value"
  return M.object({[key] = s}, {name = s.name or root.name, description = s.description}), key
end

---@return boolean
M.is = node.is

--- What null is in a list.
M.null = json.null

-- ---- methods ----

local Schema = node.Schema

local flag, count = options.kinds.flag, options.kinds.count
local validate_options = {coerce = flag, max_errors = count, max_depth = count}
local json_schema_options = {strict = flag, constraints = flag}

function Schema:validate(value, opts)
  if opts ~= nil then options.check("schema:validate", opts, validate_options) end
  return compile.run(self, value, opts)
end

function Schema:json_schema(opts)
  return json_schema.make(self, options.check("schema:json_schema", opts, json_schema_options))
end

function Schema:describe() return describe.text(self) end

function Schema:luals() return describe.luals(self) end

function Schema:named(name)
  if type(name) ~= "string" or #name > 64 or not name:find "^[%w_-]+$" then
    misuse("named", "argument 1", "a string of 1 to 64 letters, digits, '_' and '-'", name)
  end
  return node.with(self, {name = name})
end

function Schema:__tostring() return ("schema %s"):format(self.name or self.kind) end

return M
