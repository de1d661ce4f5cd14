--- Is it a JSON schema at all? What is asked of one, before anything is looked for by it.
local M = {}

local check -- (schema, depth) -> where and what, or nil

local MOST_DEEP <const> = 64

local function is_text(value) return type(value) == "string" end
local function is_list(value) return type(value) == "table" and #value > 0 end

local function is_words(value)
  if type(value) ~= "table" then return false end
  for _, word in ipairs(value) do
    if type(word) ~= "string" then return false end
  end
  return true
end

local function is_kind(value) return type(value) == "string" or is_list(value) and is_words(value) end

local shapes = {type = is_kind, required = is_words, enum = is_list, ["$ref"] = is_text, format = is_text}

local function check_each(parts, depth)
  if type(parts) ~= "table" then return " is not a set of schemas" end
  for key, part in pairs(parts) do
    local problem = check(part, depth)
    if problem then return "." .. key .. problem end
  end
end

local within = {properties = check_each, anyOf = check_each, oneOf = check_each, allOf = check_each,
                ["$defs"] = check_each, definitions = check_each, items = function(...) return check(...) end}

function check(schema, depth)
  if type(schema) == "boolean" then return nil end
  if type(schema) ~= "table" then return " is not a schema" end
  if depth > MOST_DEEP then return " is too deep" end
  for keyword, value in pairs(schema) do
    local is, inner = shapes[keyword], within[keyword]
    if is and not is(value) then return "." .. keyword .. " is not valid" end
    local problem = inner and inner(value, depth + 1)
    if problem then return "." .. keyword .. problem end
  end
end

--- What is wrong with a schema, or nil.
---@return string? problem
function M.check(schema)
  local problem = check(schema, 0)
  return problem and "schema" .. problem
end

return M
