--- The dialect of JSON schemas that strict mode takes: what is refused, as the real service refuses it.
local schemas = require "service.schemas"

local M = {}

local refused = {patternProperties = true, unevaluatedProperties = true, propertyNames = true, allOf = true,
                 ["not"] = true, dependentRequired = true, ["if"] = true, ["then"] = true, ["else"] = true,
                 oneOf = true}

local check -- (schema, is it the outermost?) -> problem, where; or nil

--- A problem of something inside, whose place is told from outside.
local function inside(problem, place, name, inner)
  if not problem then return nil end
  local key = name and ("'%s', '%s'"):format(place, name) or ("'%s'"):format(place)
  return problem, inner == "" and key or key .. ", " .. inner
end

local function check_each(parts, place)
  for name, part in pairs(parts or {}) do
    local problem, inner = check(part)
    if problem then return inside(problem, place, name, inner) end
  end
end

local function check_object(schema)
  if schema.additionalProperties ~= false then
    return "'additionalProperties' is required to be supplied and to be false.", ""
  end
  local required = {}
  for _, name in ipairs(schema.required or {}) do required[name] = true end
  for name in pairs(schema.properties or {}) do
    if not required[name] then
      return ("'required' is required to be supplied and to be an array including every key in properties. "
        .. "Missing '%s'."):format(name), ""
    end
  end
  return check_each(schema.properties, "properties")
end

local function check_keywords(schema, outermost)
  for keyword in pairs(schema) do
    if refused[keyword] then return ("'%s' is not permitted."):format(keyword), "" end
    if schema["$ref"] and keyword ~= "$ref" and not outermost then
      return ("$ref cannot have keywords {'%s'}."):format(keyword), ""
    end
  end
end

local function is_object(schema)
  if type(schema.type) ~= "table" then return schema.type == "object" or schema.properties ~= nil end
  for _, kind in ipairs(schema.type) do
    if kind == "object" then return true end
  end
  return false
end

local function check_parts(schema)
  for _, place in ipairs {"anyOf", "$defs", "definitions"} do
    if schema[place] then
      local problem, where = check_each(schema[place], place)
      if problem then return problem, where end
    end
  end
  if not schema.items then return nil end
  local problem, inner = check(schema.items)
  return inside(problem, "items", nil, inner)
end

function check(schema, outermost)
  if type(schema) == "boolean" then return "schema must have a 'type' key.", "" end
  local problem, where = check_keywords(schema, outermost)
  if not problem and is_object(schema) then problem, where = check_object(schema) end
  if problem then return problem, where end
  return check_parts(schema)
end

--- What is wrong with a schema, or nil.
---@param schema table
---@return string? problem
function M.check(schema)
  local malformed = schemas.check(schema)
  if malformed or type(schema) ~= "table" then return malformed or "schema must be an object." end
  if not schema["$ref"] and schema.type ~= "object" then
    return ("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%s\"'."):format(tostring(schema.type))
  end
  local problem, where = check(schema, true)
  return problem and ("In context=(%s), %s"):format(where, problem)
end

return M
