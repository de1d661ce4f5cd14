--- Fills a JSON schema from a text: what a model does, done by grammars.
--
-- An extractor is a table: matches(schema) tells whether it knows an object of this schema; extract(schema, text) gives
-- the fields it finds, or nil; extract_all(schema, text), if it is there, gives all such objects of a text.
local json = require "service.json"
local values = require "service.extractors.values"

local M = {}

M.builtin = {require "service.extractors.persons", (require "service.extractors.copyrights")}

local MOST_DEEP <const> = 12 -- of recursive schemas
local EMPTY <const> = {}

-- ---- schemas ----

local function follow(context, schema)
  for _ = 1, MOST_DEEP do
    local ref = type(schema) == "table" and schema["$ref"]
    if not ref then break end
    local target = context.root
    for name in ref:gsub("^#/?", ""):gmatch "[^/]+" do target = type(target) == "table" and target[name] or nil end
    schema = target
  end
  return type(schema) == "table" and schema or EMPTY
end

local function is_null(schema) return schema.type == "null" or schema.const == json.null end

--- The schema without null, and whether there was one.
local function without_null(context, schema)
  schema = follow(context, schema)
  if type(schema.type) == "table" then
    local copy, nullable = {}, false
    for name, value in pairs(schema) do copy[name] = value end
    copy.type = nil
    for _, kind in ipairs(schema.type) do
      if kind == "null" then nullable = true else copy.type = copy.type or kind end
    end
    return copy, nullable
  end
  return schema, schema.nullable == true or is_null(schema)
end

local function kind_of(schema)
  return schema.type or schema.properties and "object" or schema.items and "array" or nil
end

local function extractor_for(context, schema)
  if not schema.properties then return nil end
  for _, extractor in ipairs(context.extractors) do
    if extractor.matches(schema) then return extractor end
  end
end

-- ---- filling ----

local fill -- (context, schema, text, name, depth) -> value or nil, was anything found?

--- A value that has to be there though nothing was found.
local function stand_in(context, schema, text, name, depth)
  local bare, nullable = without_null(context, schema)
  if nullable then return json.null end
  for _, variant in ipairs(bare.anyOf or bare.oneOf or EMPTY) do
    if is_null(follow(context, variant)) then return json.null end
  end
  local value = fill(context, bare, text, name, depth + 1)
  if value ~= nil then return value end
  local substitute = values.substitute(bare, text)
  return substitute == nil and json.null or substitute
end

local function is_required(schema, name)
  if not schema.required then return true end
  for _, required in ipairs(schema.required) do
    if required == name then return true end
  end
  return false
end

local function sorted_names(properties)
  local names = {}
  for name in pairs(properties) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- An object of which some fields are known.
local function complete(context, schema, known, text, depth)
  local object, any = {}, next(known) ~= nil
  for _, name in ipairs(sorted_names(schema.properties or EMPTY)) do
    local property, value = schema.properties[name], known[name]
    if value == nil then
      local found
      value, found = fill(context, property, text, name, depth + 1)
      any = any or found
    end
    if value == nil and is_required(schema, name) then value = stand_in(context, property, text, name, depth) end
    object[name] = value
  end
  return object, any
end

local function fill_object(context, schema, text, _, depth)
  local extractor = extractor_for(context, schema)
  if not extractor then
    if not schema.properties then return {}, false end
    return complete(context, schema, EMPTY, text, depth)
  end
  local known = extractor.extract(schema, text)
  if known then return (complete(context, schema, known, text, depth)), true end
  return (complete(context, schema, EMPTY, "", depth)), false
end

local function extract_by_sentences(extractor, schema, text)
  local list = {}
  for sentence in (text:gsub("([.!?])%s+", "%1\n") .. "\n"):gmatch "([^\n]+)\n" do
    list[#list + 1] = extractor.extract(schema, sentence)
  end
  return list
end

local function fill_list_of_objects(context, items, extractor, text, depth)
  local list = json.array {}
  local found = extractor.extract_all and extractor.extract_all(items, text)
    or extract_by_sentences(extractor, items, text)
  for i, known in ipairs(found) do list[i] = complete(context, items, known, "", depth + 1) end
  return list, #list > 0
end

--- "tags: a, b" gives two; without the name numbers only are found.
local function fill_list_of_values(items, text, name)
  local list, labelled = json.array {}, values.labelled(name, text)
  if items.enum or items.type == "string" then
    for part in (labelled or ""):gmatch "[^,;]+" do list[#list + 1] = part:match "^%s*(.-)%s*$" end
  elseif items.type == "integer" or items.type == "number" then
    for digits in (labelled or text):gmatch "%-?%d+%.?%d*" do list[#list + 1] = values.find(items, nil, digits) end
  end
  return list, #list > 0
end

local function fill_list(context, schema, text, name, depth)
  local items = without_null(context, schema.items or EMPTY)
  local extractor = extractor_for(context, items)
  if extractor then return fill_list_of_objects(context, items, extractor, text, depth) end
  if kind_of(items) ~= "object" then return fill_list_of_values(items, text, name) end
  local item, found = fill(context, items, text, name, depth + 1)
  return json.array(found and {item} or {}), found
end

--- The first of which something is found, or the first.
local function fill_variant(context, variants, text, name, depth)
  local first, nullable
  for _, variant in ipairs(variants) do
    local schema = follow(context, variant)
    if is_null(schema) then
      nullable = true
    else
      local value, found = fill(context, schema, text, name, depth + 1)
      if found then return value, true end
      if first == nil then first = value end
    end
  end
  if nullable then return json.null, false end
  return first, false
end

local function fill_all_of(context, schema, text, name, depth)
  local merged = {type = "object", properties = {}}
  for _, part in ipairs(schema.allOf) do
    part = follow(context, part)
    if not part.properties then return fill(context, part, text, name, depth + 1) end
    for property, its in pairs(part.properties) do merged.properties[property] = its end
  end
  return fill_object(context, merged, text, name, depth)
end

local by_kind = {object = fill_object, array = fill_list}

function fill(context, schema, text, name, depth)
  if depth > MOST_DEEP then return json.null, false end
  local bare, nullable = without_null(context, schema)
  if bare.const ~= nil then return bare.const, false end
  local variants = bare.anyOf or bare.oneOf
  if variants then return fill_variant(context, variants, text, name, depth) end
  if bare.allOf then return fill_all_of(context, bare, text, name, depth) end
  local value, found
  if bare.enum then
    value = values.one_of(bare.enum, name, text)
    found = value ~= nil
  elseif by_kind[kind_of(bare)] then
    value, found = by_kind[kind_of(bare)](context, bare, text, name, depth)
  else
    value = values.find(bare, name, text)
    found = value ~= nil
  end
  if nullable and not found then return json.null, false end
  return value, found
end

--- What the texts say for the schema. Of several the last counts in which something is found: after the request to
--- answer better the text itself is an earlier one.
---@param schema table a JSON schema
---@param texts string[]
---@param extractors table[]? asked before the built-in ones
---@return any value
---@return boolean found
function M.fill(schema, texts, extractors)
  local context = {root = schema, extractors = extractors or M.builtin}
  local first
  for i = #texts, 1, -1 do
    local value, found = fill(context, schema, texts[i], nil, 0)
    if found then return value, true end
    if first == nil then first = value end
  end
  if first == nil then first = stand_in(context, schema, texts[#texts] or "", nil, 0) end
  return first, false
end

--- The user's extractors, and after them ours.
function M.with_builtin(extractors)
  local all = table.move(extractors or {}, 1, #(extractors or {}), 1, {})
  return table.move(M.builtin, 1, #M.builtin, #all + 1, all)
end

return M
