--- HTTP: requests and clients. `local http = require "muster.http"`.
local core = require "muster.http.core"
local failures = require "muster.failure"
local headers = require "muster.http.headers"
local json = require "muster.json"
local options = require "muster.http.options"
local sse = require "muster.http.sse"
local yield = require "muster.core".yield

local M = {}

core.methods.make_headers = headers.of

-- ---- clients ----

---@class http.client
local client = {}
client.__index = client
client.__name = "http.client"

--- What a client keeps of its options: `core`, its connections; `settings`, as the core has them, and `fields`, of
--- which they are made; `headers`, a map from lower-case names to lines, and `upload_lines`, those lines for a body,
--- once there was one; `base_url`, `query`.
local function new_client(what, opts)
  options.check_client(what, opts)
  local self = setmetatable({base_url = opts.base_url, query = opts.query}, client)
  self.fields = options.settings(what, nil, opts)
  local limits = opts.limits or {}
  self.core = core.client(limits.per_host, limits.total, limits.idle or options.KEEP)
  self.headers = options.headers(what, options.usual_headers(self.core:encodings()), opts)
  self.fields.headers = options.header_lines(self.headers)
  self.settings = core.settings(self.fields)
  return self
end

--- What is wrong with the arguments of a function is raised where the script calls it.
local function checked(check, ...)
  local ok, a, b, c, d = pcall(check, ...)
  if ok then return a, b, c, d end
  error(a, type(a) == "string" and 3 or 0)
end

local function default_lines(map, body, kind)
  if body ~= nil then
    map.expect = map.expect or "Expect:\0"
    if not map["content-type"] then map["content-type"] = "Content-Type:" .. (kind and " " .. kind or "") .. "\0" end
  end
  return options.header_lines(map)
end

--- Sends the pieces of a body. The response may come before the last. length: how long the body is to be, if its
--- request says so; what is longer would be read as another request.
local function upload(response, pieces, length)
  local size = 0
  for piece in pieces do
    if type(piece) ~= "string" then error("http: the iterator of a body must give strings, got " .. type(piece), 0) end
    size = size + #piece
    if length and size > length then error(("http: the body is longer than its %d bytes"):format(length), 0) end
    if piece == "" then yield() end -- others, such as a timeout, have their turn
    if not response:send(piece) then return end
  end
  if length and size < length then error(("http: the body ended after %d of %d bytes"):format(size, length), 0) end
  response:finish()
end

local function send_streamed(self, settings, method, url, lines, pieces, length)
  local response, err = self.core:open(settings, method, url, lines, length)
  if not response then return nil, err end
  local ok, problem = pcall(upload, response, pieces, length)
  if not ok then
    response:close()
    error(problem, 0)
  end
  return response:wait()
end

local function prepare(what, self, opts)
  local settings = self.settings
  if options.has_settings(opts) then settings = core.settings(options.settings(what, self.fields, opts)) end
  local body, kind = options.body(what, opts)
  local length, lines = options.length(what, opts, body), nil
  if body ~= nil and not (kind or opts.headers or opts.auth) then
    self.upload_lines = self.upload_lines or default_lines(options.headers(what, self.headers, opts), body)
    lines = self.upload_lines
  elseif body ~= nil or opts.headers or opts.auth then
    lines = default_lines(options.headers(what, self.headers, opts), body, kind)
  end
  return settings, body, lines, length
end

local function resolved(what, self, url, opts)
  options.check_request(what, opts)
  local full = options.resolve(self.base_url, url)
  if not full then return nil end
  if self.query then full = options.add_query(what, full, self.query) end
  if opts.query then full = options.add_query(what, full, opts.query) end
  return full
end

local function request(what, self, method, url, opts)
  local full = checked(resolved, what, self, url, opts)
  local settings, body, lines, length = checked(prepare, what, self, opts)
  if not full then return nil, core.failure("bad_url", "url", url, "it is relative, and there is no base_url") end
  if body ~= nil and type(body) ~= "string" then
    return send_streamed(self, settings, method, full, lines, body, length)
  end
  return self.core:fetch(settings, method, full, lines, body)
end

local NONE = {}

local function check_url(what, url)
  if type(url) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(what, type(url)), 3)
  end
end

--- Makes a request of what a table says: method, url, headers, body or json or form, query, and how.
---@async
---@param opts http.request
---@return http.response? response
---@return http.error? err
function client:request(opts)
  if type(opts) ~= "table" then error("http.request: options must be a table, got " .. type(opts), 2) end
  if type(opts.url) ~= "string" then
    error("http.request: option 'url' must be a string, got " .. type(opts.url), 2)
  end
  local method = opts.method
  if not method then
    method = (opts.body ~= nil or opts.json ~= nil or opts.form) and "POST" or "GET"
  end
  return request("http.request", self, type(method) == "string" and method:upper() or method, opts.url, opts)
end

local function add_shorthand(name)
  local method, what = name:upper(), "http." .. name
  client[name] = function(self, url, opts)
    check_url(what, url)
    if opts == nil and not self.base_url and not self.query then
      return self.core:fetch(self.settings, method, url)
    end
    if opts ~= nil and type(opts) == "table" and (opts.method ~= nil or opts.url ~= nil) then
      error(("%s: unknown option '%s'"):format(what, opts.method ~= nil and "method" or "url"), 2)
    end
    return request(what, self, method, url, opts == nil and NONE or opts)
  end
end

local shorthands = {"get", "post", "put", "delete", "head"}
for _, name in ipairs(shorthands) do add_shorthand(name) end

--- Closes its connections; requests that are under way fail.
function client:close() self.core:close() end
client.__close = client.close

-- ---- the module: a client that everybody shares ----

local shared

local function default()
  shared = shared or new_client("http", NONE)
  return shared
end

--- A client with options for all of its requests, and connections of its own.
---@param opts http.client.options?
---@return http.client
function M.client(opts) return (checked(new_client, "http.client", opts == nil and {} or opts)) end

function M.request(opts) return default():request(opts) end

--- Serves HTTP: `require "muster.http.server".serve`, which loads its library when first used.
---@param opts muster.http.server.options
---@return muster.http.server? server
---@return muster.error?
function M.serve(opts) return require "muster.http.server".serve(opts) end

for _, name in ipairs(shorthands) do
  local method = client[name]
  M[name] = function(url, opts) return method(shared or default(), url, opts) end
end

-- ---- responses ----

--- The body, parsed as JSON.
function core.methods:json()
  local text, err = self:text()
  if not text then return nil, err end
  local value, problem = json.decode(text)
  if value ~= nil then return value end
  return nil, core.failure("protocol", "json", self.url, "the body is not JSON: " .. problem.message)
end

local read = core.methods.read

--- What a loop calls: the next chunk, or nil at the end; raises what breaks the response off.
local function next_chunk(response)
  local chunk, err = read(response)
  if chunk == nil and err then error(err, 0) end
  return chunk
end

--- for chunk in response:chunks() do … end. Leaving the loop closes the response.
function core.methods:chunks() return next_chunk, self, nil, self end

local function reader(response) return function() return next_chunk(response) end end

--- for line in response:lines() do … end. Lines end in LF or CRLF, which is left out.
function core.methods:lines() return sse.lines(reader(self)), nil, nil, self end

--- for event in response:events() do … end. Server-Sent Events: tables with event, data, id and retry.
function core.methods:events() return sse.events(reader(self)), nil, nil, self end

--- Writes the body to a file: its size, or nil and an error.
local function copy(response, file)
  local size = 0
  while true do
    local chunk, err = read(response)
    if not chunk then return not err and size or nil, err end
    local ok
    ok, err = file:write(chunk)
    if not ok then return nil, err end
    size = size + #chunk
  end
end

--- Saves the body at a path: the file is there as a whole, or as it was.
function core.methods:save(path)
  failures.check_path("save", path)
  local broken -- why the body is not whole
  local size, err = require "muster.fs.atomic".fill(path, path, nil, function(file)
    local size, problem = copy(self, file)
    if not size and not problem.path then broken = problem end
    return size, problem
  end)
  if size or broken then return size, broken end
  local failure = core.failure("file", "save", self.url, err.message)
  failure.code, failure.path = err.code, path
  return nil, failure
end

return M
