--- Is it a JSON schema at all? What is asked of one, before anything is looked for by it.
local M = {}

local check -- (schema, at, depth) -> problem?

local MOST_DEEP <const> = 64

local function is_words(value)
  if type(value) ~= "table" then return false end
  for _, word in ipairs(value) do
    if type(word) ~= "string" then return false end
  end
  return true
end

local function is_kind(value) return type(value) == "string" or is_words(value) and #value > 0 end
local function is_text(value) return type(value) == "string" end
local function is_list(value) return type(value) == "table" and #value > 0 end

local shapes = {type = is_kind, required = is_words, enum = is_list, ["$ref"] = is_text, format = is_text}

local function check_each(parts, at, depth)
  if type(parts) ~= "table" then return at .. " is not a set of schemas" end
  for key, part in pairs(parts) do
    local problem = check(part, ("%s.%s"):format(at, key), depth)
    if problem then return problem end
  end
end

function check(schema, at, depth)
  if type(schema) == "boolean" then return nil end
  if type(schema) ~= "table" then return at .. " is not a schema" end
  if depth > MOST_DEEP then return at .. " is too deep" end
  for keyword, is in pairs(shapes) do
    if schema[keyword] ~= nil and not is(schema[keyword]) then return ("%s.%s is not valid"):format(at, keyword) end
  end
  for _, keyword in ipairs {"properties", "anyOf", "oneOf", "allOf", "$defs", "definitions"} do
    local problem = schema[keyword] ~= nil and check_each(schema[keyword], at .. "." .. keyword, depth + 1)
    if problem then return problem end
  end
  return schema.items ~= nil and check(schema.items, at .. ".items", depth + 1) or nil
end

--- What is wrong with a schema, or nil.
---@return string? problem
function M.check(schema) return check(schema, "schema", 0) end

return M
