--- The dialect of JSON schemas that strict mode takes: what is refused, as the real service refuses it.
local schemas = require "service.schemas"

local M = {}

local refused = {"patternProperties", "unevaluatedProperties", "propertyNames", "allOf", "not", "dependentRequired",
                 "if", "then", "else", "oneOf"}

local check -- (schema, path) -> problem?

local function context(path) return ("In context=(%s), "):format(path) end

local function check_object(schema, path)
  if schema.additionalProperties ~= false then
    return context(path) .. "'additionalProperties' is required to be supplied and to be false."
  end
  local required = {}
  for _, name in ipairs(schema.required or {}) do required[name] = true end
  for name, property in pairs(schema.properties or {}) do
    if not required[name] then
      return context(path) .. ("'required' is required to be supplied and to be an array including every key in "
        .. "properties. Missing '%s'."):format(name)
    end
    local problem = check(property, ("%s'properties', '%s'"):format(path == "" and "" or path .. ", ", name))
    if problem then return problem end
  end
end

local function check_parts(schema, path)
  for _, keyword in ipairs {"anyOf", "$defs", "definitions"} do
    for key, part in pairs(schema[keyword] or {}) do
      local problem = check(part, ("%s'%s', '%s'"):format(path == "" and "" or path .. ", ", keyword, key))
      if problem then return problem end
    end
  end
  if schema.items then return check(schema.items, (path == "" and "" or path .. ", ") .. "'items'") end
end

local function is_object(schema)
  if type(schema.type) ~= "table" then return schema.type == "object" or schema.properties ~= nil end
  for _, kind in ipairs(schema.type) do
    if kind == "object" then return true end
  end
  return false
end

function check(schema, path)
  if type(schema) == "boolean" then return context(path) .. "schema must have a 'type' key." end
  if schema["$ref"] then
    for keyword in pairs(schema) do
      if keyword ~= "$ref" and path ~= "" then
        return context(path) .. ("$ref cannot have keywords {'%s'}."):format(keyword)
      end
    end
  end
  for _, keyword in ipairs(refused) do
    if schema[keyword] ~= nil then return context(path) .. ("'%s' is not permitted."):format(keyword) end
  end
  return is_object(schema) and check_object(schema, path) or check_parts(schema, path)
end

--- What is wrong with a schema, or nil.
---@param schema table
---@return string? problem
function M.check(schema)
  local problem = schemas.check(schema)
  if problem or type(schema) ~= "table" then return problem or "schema must be an object." end
  if not schema["$ref"] and schema.type ~= "object" then
    return ("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%s\"'."):format(tostring(schema.type))
  end
  return check(schema, "")
end

return M
