--- Which request goes where.
local anthropic = require "service.dialects.anthropic"
local ollama = require "service.dialects.ollama"
local openai = require "service.dialects.openai"

local M = {}

local routes = {
  ["/v1/chat/completions"] = {method = "POST", dialect = openai, action = "chat"},
  ["/v1/messages"] = {method = "POST", dialect = anthropic, action = "chat"},
  ["/api/chat"] = {method = "POST", dialect = ollama, action = "chat"},
  ["/v1/models"] = {method = "GET", dialect = openai, action = "models"},
  ["/api/tags"] = {method = "GET", dialect = ollama, action = "tags"},
  ["/health"] = {method = "GET", dialect = openai, action = "health"},
}
routes["/chat/completions"] = routes["/v1/chat/completions"]

local function dialect_of(path)
  if path:find "^/api/" then return ollama end
  return path:find "^/v1/messages" and anthropic or openai
end

--- The dialect and the action of a request; or the dialect, nil and the problem.
---@return table dialect
---@return string? action
---@return table? problem
function M.find(method, path)
  local route = routes[path]
  if not route then
    local message = ("Invalid URL (%s %s)"):format(method, path)
    return dialect_of(path), nil, {status = 404, message = message}
  end
  if method == route.method then return route.dialect, route.action end
  local message = ("Not allowed to %s on %s. (HINT: Perhaps you meant to use a different HTTP method?)"):format(method,
    path)
  return route.dialect, nil, {status = 405, message = message, code = "method_not_supported",
                              headers = {Allow = route.method}}
end

return M
