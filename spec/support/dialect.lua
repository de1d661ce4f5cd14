-- Is a table of JSON Schema one of the strict dialect of structured outputs? Written from its documentation, and apart
-- from what makes such tables.
local M = {}

local keywords = {
  type = true, properties = true, required = true, additionalProperties = true, items = true, anyOf = true, enum = true,
  const = true, description = true, title = true, pattern = true, format = true, minimum = true, maximum = true,
  exclusiveMinimum = true, exclusiveMaximum = true, multipleOf = true, minItems = true, maxItems = true,
  ["$ref"] = true, ["$defs"] = true,
}

local types = {string = true, number = true, integer = true, boolean = true, object = true, array = true, null = true}

local formats = {
  ["date-time"] = true, time = true, date = true, duration = true, email = true, hostname = true, ipv4 = true,
  ipv6 = true, uuid = true,
}

local function check(fine, path, text)
  if not fine then error(("%s: %s"):format(path, text), 0) end
end

local function check_types(t, path)
  local list = type(t) == "table" and t or {t}
  check(#list > 0, path, "no type")
  for _, name in ipairs(list) do check(types[name], path, "unknown type " .. tostring(name)) end
end

local visit

local function check_object(s, path, root)
  check(s.additionalProperties == false, path, "additionalProperties is not false")
  check(type(s.properties) == "table" and type(s.required) == "table", path, "no properties, or no required")
  local required, count = {}, 0
  for _, name in ipairs(s.required) do
    check(not required[name], path, "required twice: " .. name)
    required[name] = true
    check(s.properties[name], path, "required, but no property: " .. name)
  end
  for name, property in pairs(s.properties) do
    check(required[name], path, "not required: " .. name)
    visit(property, path .. "." .. name, root)
    count = count + 1
  end
  local keys = (getmetatable(s.properties) or {}).__keys
  check(count == 0 or keys and #keys == count, path, "the order of the properties is not told")
end

function visit(s, path, root)
  check(type(s) == "table", path, "not a schema")
  for keyword in pairs(s) do check(keywords[keyword], path, "unknown keyword " .. tostring(keyword)) end
  if s["$ref"] then
    check(next(s, next(s)) == nil, path, "a $ref with siblings")
    local name = s["$ref"]:match "^#/%$defs/(.+)$"
    check(name and root["$defs"] and root["$defs"][name], path, "a $ref to nothing")
    return
  end
  check(s.type or s.anyOf, path, "neither type nor anyOf")
  if s.type then check_types(s.type, path) end
  if s.type == "object" then check_object(s, path, root) end
  check(s.type == "object" or not s.properties, path, "properties, but not of an object")
  if s.type == "array" then visit(s.items, path .. "[]", root) end
  check(not s.format or formats[s.format], path, "unknown format")
  check(not s.enum or #s.enum > 0, path, "an empty enum")
  check(not s.anyOf or #s.anyOf > 0, path, "an empty anyOf")
  for i, branch in ipairs(s.anyOf or {}) do visit(branch, ("%s|%d"):format(path, i), root) end
end

--- Raises if not.
function M.check(s)
  check(s.type == "object" and not s.anyOf and not s["$ref"], "root", "not an object")
  visit(s, "root", s)
  for name, definition in pairs(s["$defs"] or {}) do visit(definition, "$defs." .. name, s) end
  return true
end

return M
