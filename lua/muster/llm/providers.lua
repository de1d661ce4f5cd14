--- The providers by their names, and what the environment says of them.
local anthropic = require "muster.llm.anthropic"
local ollama = require "muster.llm.ollama"
local openai = require "muster.llm.openai"

local M = {}

--- The same as another adapter, but for some fields.
local function variant(of, fields) return setmetatable(fields, {__index = of}) end

local known = {
  openai = openai, anthropic = anthropic, ollama = ollama,
  llamacpp = variant(openai, {name = "llamacpp", base_url = "http://127.0.0.1:8080/v1", url_variables = {},
                              quirks = {schema_above = true}, modes = {"json_schema", "tools", "json"}}),
}

local function names()
  local list = {}
  for name in pairs(known) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

--- The adapter of a name, or the one that was given itself.
function M.find(provider)
  if type(provider) == "table" then return provider end
  return known[provider] or error(("llm.client: unknown provider '%s', known are: %s"):format(provider, names()), 0)
end

local function from_environment(variables)
  for _, name in ipairs(variables or {}) do
    local value = os.getenv(name)
    if value and value ~= "" then return value end
  end
end

--- The key that the environment has for a provider.
---@return string?
function M.key(adapter) return from_environment(adapter.key_variables) end

---@return string
function M.base_url(adapter)
  return from_environment(adapter.url_variables) or adapter.base_url
    or error("llm.client: the provider has no base_url, and none was given", 0)
end

--- Where requests go.
function M.url(adapter, base)
  if adapter.url then return adapter.url(base) end
  return (base:gsub("/+$", "")) .. adapter.path
end

--- A URL without user and password.
function M.public(url) return (url:gsub("^(%a[%w+.-]*://)[^/@]*@", "%1")) end

return M
