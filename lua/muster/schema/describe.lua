--- A schema as text, for prompts and for people: a line for each field, indented.
local node = require "muster.schema.node"
local quote = require "muster.schema.quote"
local words = require "muster.schema.words"

local M = {}

--- Without what only says whether it may be absent; and whether it may.
local function unwrap(s)
  local optional, default, description = false, s.default, s.description
  while s.kind == "optional" or s.kind == "nullable" or s.kind == "lazy" do
    optional = optional or s.kind ~= "lazy"
    s = s.kind == "lazy" and node.resolve(s) or s.inner
    if default == nil then default = s.default end
    description = description or s.description
  end
  return s, optional, default, description
end

local nested = {object = true, list = true, map = true, tuple = true, union = true}

local function is_plain(s)
  return not nested[unwrap(s).kind]
end

local function summary(s)
  if s.kind == "object" then return s.name and "object " .. s.name or "object" end
  if s.kind == "union" then return "one of" end
  if s.kind == "map" then return "object with any keys" end
  local text = words.expected(s):gsub("^an? ", "")
  if s.kind == "list" and s.unique then text = text .. ", none twice" end
  return text
end

local below -- (schema, indent, lines, seen): the lines of what is in it

local function line(label, s, indent, lines, seen)
  local inner, optional, default, description = unwrap(s)
  local text = indent .. label .. ": " .. summary(inner)
  local item = (inner.kind == "list" or inner.kind == "map") and inner.item
  if item and is_plain(item) then
    local what, may_be_null = unwrap(item)
    text = text .. (inner.kind == "list" and ", each " or ", each value ") .. summary(what)
      .. (may_be_null and " or null" or "")
  end
  if inner.additional == "forbid" then text = text .. ", no other fields" end
  if default ~= nil then
    text = text .. ", default " .. quote.value(default)
  elseif optional then
    text = text .. ", optional"
  end
  if seen[inner] then text = text .. ", as above" end
  table.insert(lines, description and text .. " — " .. description:gsub("%s+", " ") or text)
  if not seen[inner] and nested[inner.kind] then below(inner, indent .. "  ", lines, seen) end
end

function below(s, indent, lines, seen)
  if s.kind == "object" then
    seen[s] = true
    for _, name in ipairs(s.order) do line(name, s.fields[name], indent, lines, seen) end
  elseif s.kind == "union" then
    for _, branch in ipairs(s.branches) do line("-", branch, indent, lines, seen) end
  elseif s.kind == "tuple" then
    for i, item in ipairs(s.items) do line(tostring(i), item, indent, lines, seen) end
  elseif not is_plain(s.item) then
    line(s.kind == "list" and "each" or "each value", s.item, indent, lines, seen)
  end
end

---@param s muster.schema.node
---@return string
function M.text(s)
  local lines = {}
  local inner = unwrap(s)
  line(inner.name or inner.title or "value", s, "", lines, {})
  return (table.concat(lines, "\n"):gsub("(\n *)%-: ", "%1- "))
end

-- ---- annotations of LuaLS ----

local type_of

local function class_name(name) return (name:gsub("%W", "_")) end

local function literal(v) return type(v) == "string" and ("%q"):format(v) or tostring(v) end

local function join(values, show)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = show(value) end
  return table.concat(parts, "|")
end

local plain = {string = "string", number = "number", integer = "integer", boolean = "boolean", any = "any"}

local function inline(s, out)
  local parts = {}
  for i, name in ipairs(s.order) do
    local text, optional = type_of(s.fields[name], out)
    parts[i] = ("%s%s: %s"):format(name:find "^[%a_][%w_]*$" and name or "[" .. literal(name) .. "]",
      optional and "?" or "", text)
  end
  return parts[1] and "{ " .. table.concat(parts, ", ") .. " }" or "table"
end

local function class(s, name, out)
  local lines = {"---@class " .. name}
  local at = #out + 1
  out[at] = "" -- its place: before those that it names
  for _, field in ipairs(s.order) do
    local text, optional = type_of(s.fields[field], out)
    local key = field:find "^[%a_][%w_]*$" and field or "[" .. literal(field) .. "]"
    local description = select(4, unwrap(s.fields[field]))
    table.insert(lines, ("---@field %s%s %s%s"):format(key, optional and "?" or "", text,
      description and " " .. description:gsub("%s+", " ") or ""))
  end
  out[at] = table.concat(lines, "\n")
end

local function object_type(s, out)
  if out.seen[s] then return out.seen[s] end
  if not s.name then
    out.seen[s] = "table" -- while it is written, and it holds itself
    local text = inline(s, out)
    out.seen[s] = nil
    return text
  end
  out.seen[s] = class_name(s.name)
  class(s, out.seen[s], out)
  return out.seen[s]
end

local function bracketed(text) return text:find "[|?]" and "(" .. text .. ")" or text end

--- The type, and whether nil is one of its values.
function type_of(s, out)
  local inner, optional = unwrap(s)
  optional = optional and s.default == nil
  local kind, text = inner.kind, plain[inner.kind]
  if kind == "enum" then
    text = join(inner.values, literal)
  elseif kind == "literal" then
    text = literal(inner.value)
  elseif kind == "list" then
    text = bracketed((type_of(inner.item, out))) .. "[]"
  elseif kind == "map" then
    text = ("table<string, %s>"):format((type_of(inner.item, out)))
  elseif kind == "object" then
    text = object_type(inner, out)
  elseif kind == "union" then
    text = join(inner.branches, function(branch) return (type_of(branch, out)) end)
  elseif kind == "tuple" then
    local parts = {}
    for i, item in ipairs(inner.items) do parts[i] = type_of(item, out) end
    text = "[" .. table.concat(parts, ", ") .. "]"
  end
  return text, optional
end

--- The annotations of LuaLS for the record: its class, or an alias.
---@param s muster.schema.node
---@return string
function M.luals(s)
  local out, inner = {seen = {}}, unwrap(s)
  local name = class_name(inner.name or "Record")
  if inner.kind == "object" then
    out.seen[inner] = name
    class(inner, name, out)
  else
    local text, optional = type_of(s, out)
    table.insert(out, ("---@alias %s %s%s"):format(name, text, optional and "|nil" or ""))
  end
  return table.concat(out, "\n\n")
end

return M
