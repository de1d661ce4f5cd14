--- Requests, as a handler of an HTTP server sees them.
local failure = require "muster.failure"
local headers = require "muster.http.headers"

local M = {}

---@class muster.http.server.request
---@field method string
---@field target string as it came: path and query
---@field path string decoded
---@field query table<string, string> decoded; of a name that is repeated, the last
---@field query_string string? as it came
---@field headers http.headers
---@field version string "HTTP/1.1"
---@field remote {address: string, port: integer} the client's, or that of a proxy before us
---@field core userdata
local Request = {}

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function parse_query(text)
  local query = {}
  for pair in (text or ""):gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    query[decoded((name:gsub("+", " ")))] = decoded((value:gsub("+", " ")))
  end
  return query
end

--- What is wanted of a target that most handlers do not look at is made when it is.
local made = {
  path = function(self) return decoded(self.target:match "^[^?]*") end,
  query_string = function(self) return self.target:match "%?(.*)$" end,
  query = function(self) return parse_query(self.query_string) end,
  headers = function(self) return headers.of(self.core:headers()) end,
  version = function(self) return self.core:version() end,
  remote = function(self)
    local address, number = self.core:remote()
    return {address = address, port = number}
  end,
}

local meta = {__name = "muster.http.server.request"}

function meta.__index(self, name)
  local make = made[name]
  if not make then return Request[name] end
  local value = make(self)
  rawset(self, name, value)
  return value
end

function meta.__tostring(self) return ("%s %s"):format(self.method, self.target) end

local texts = {too_large = "it is too large", reset = "the client has gone away"}

--- Waits for more of the body.
---@async
---@return string? chunk nil at the end
---@return muster.error? error of kind "too_large" (the client is then answered by 413) or "reset"
function Request:read()
  local chunk, problem = self.core:read()
  if problem then return nil, failure.new(problem, "body of " .. tostring(self), texts[problem]) end
  return chunk
end

--- Iterates over the body as it comes. Raises what `read` returns as an error. A slow reader holds the client back.
---@async
---@return fun(): string?
function Request:chunks()
  return function()
    local chunk, err = self:read()
    if err then error(err, 0) end
    return chunk
  end
end

--- Waits for all of the body; the same again when called again.
---@async
---@return string? body
---@return muster.error? error of kind "too_large" or "reset"
function Request:body()
  local whole = rawget(self, "whole")
  if whole then return whole end
  local chunks = {}
  while true do
    local chunk, err = self:read()
    if err then return nil, err end
    if not chunk then break end
    chunks[#chunks + 1] = chunk
  end
  whole = table.concat(chunks)
  rawset(self, "whole", whole)
  return whole
end

--- The body, from JSON.
---@async
---@return any value
---@return muster.error? error also of kind "bad_json"
function Request:json()
  local body, err = self:body()
  if not body then return nil, err end
  local value, problem = require "muster.json".decode(body)
  if value == nil then return nil, failure.new("bad_json", "body of " .. tostring(self), problem.message) end
  return value
end

--- Begins: the running task works on the request. nil if the client is gone already.
---@return muster.http.server.request?
function M.begin(core)
  local method, target = core:begin()
  if not method then return nil end
  return setmetatable({core = core, method = method, target = target}, meta)
end

return M
