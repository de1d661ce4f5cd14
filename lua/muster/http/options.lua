--- The options of requests and clients: checked, and made into what the C core wants.
local json = require "muster.json"

local type, pairs = type, pairs -- each request needs them

local M = {}

-- ---- checking ----

local function fail(what, name, expected, value)
  local got = type(value) == "string" and ("'%s'"):format(value) or tostring(value)
  error(("%s: option '%s' must be %s, got %s"):format(what, name, expected, got), 0)
end

local function is_seconds(v) return type(v) == "number" and v >= 0 end
local function is_count(v) return math.type(v) == "integer" and v >= 0 or v == math.huge end
local function is_text(v) return type(v) == "string" end
local function is_word(v) return is_text(v) and not v:find("\0", 1, true) end -- which C can take
local function is_table(v) return type(v) == "table" end

local is_callable = require "muster.options".is_callable

local kinds = {
  text = {is_word, "a string"},
  table = {is_table, "a table"},
  flag = {function(v) return type(v) == "boolean" end, "a boolean"},
  json = {function(v) return v ~= nil end, "a value"},
  query = {function(v) return is_text(v) or is_table(v) end, "a string or a table"},
  body = {function(v) return is_text(v) or is_callable(v) end, "a string or an iterator"},
  size = {is_count, "an integer of at least 0"},
  follow = {function(v) return type(v) == "boolean" or is_count(v) end, "a boolean or how many redirects at most"},
  timeout = {function(v) return is_table(v) or is_seconds(v) end, "a number of seconds or a table of them"},
  proxy = {function(v) return is_word(v) or v == false end, "a URL, or false for none"},
  cert = {function(v) return is_word(v) or is_table(v) end, "a path, or a table of cert, key and password"},
  auth = {function(v) return is_text(v) or is_table(v) end, "a token, or a table of user and password"},
}

--- What a request may say. Those of `inherited` a client may say for all of its requests.
local inherited = {
  headers = kinds.table, query = kinds.query, timeout = kinds.timeout, follow = kinds.follow, proxy = kinds.proxy,
  verify = kinds.flag, ca = kinds.text, cert = kinds.cert, auth = kinds.auth, http2 = kinds.flag,
  max_body = kinds.size,
}
local of_request = {method = kinds.text, url = kinds.text, body = kinds.body, json = kinds.json, form = kinds.table}
local of_client = {base_url = kinds.text, limits = kinds.table}

for name, kind in pairs(inherited) do of_request[name], of_client[name] = kind, kind end

local function check(what, options, known)
  if type(options) ~= "table" then error(("%s: options must be a table, got %s"):format(what, type(options)), 0) end
  for name, value in pairs(options) do
    local kind = known[name]
    if not kind then error(("%s: unknown option '%s'"):format(what, tostring(name)), 0) end
    if not kind[1](value) then fail(what, name, kind[2], value) end
  end
end

--- The same for a table that is an option: each of its fields is of one kind.
local function check_fields(what, option, fields, names, is, expected)
  for name, value in pairs(fields) do
    if not names[name] then error(("%s: unknown option '%s.%s'"):format(what, option, tostring(name)), 0) end
    if not is(value) then fail(what, option .. "." .. name, expected, value) end
  end
end

local usual_methods = {GET = true, POST = true, PUT = true, DELETE = true, HEAD = true}

function M.check_request(what, options)
  check(what, options, of_request)
  local bodies = (options.body ~= nil and 1 or 0) + (options.json ~= nil and 1 or 0) + (options.form and 1 or 0)
  if bodies > 1 then error(what .. ": only one of the options 'body', 'json' and 'form' may be given", 0) end
  local method = options.method
  if not method or usual_methods[method] then return end
  if not method:find "^[!#$%%&'*+%-.^_`|~%w]+$" then fail(what, "method", "a token", method) end
end

function M.check_client(what, options)
  check(what, options, of_client)
  local limits = options.limits or {}
  local counts = {per_host = limits.per_host, total = limits.total}
  check_fields(what, "limits", limits, {per_host = true, total = true, idle = true}, function() return true end, "")
  check_fields(what, "limits", counts, counts, function(v) return is_count(v) and v >= 1 end,
    "an integer of at least 1")
  check_fields(what, "limits", {idle = limits.idle}, {idle = true}, function(v) return is_seconds(v) and v >= 1 end,
    "a number of seconds, at least 1")
end

-- ---- settings: what the core does by itself ----

local timeouts = {connect = true, first_byte = true, idle = true, total = true}

local function set_timeouts(what, settings, timeout)
  if type(timeout) == "number" then timeout = {total = timeout} end
  check_fields(what, "timeout", timeout, timeouts, is_seconds, "a number of seconds")
  for name, value in pairs(timeout) do settings[name] = value end
end

local function set_certificate(what, settings, cert)
  if type(cert) == "string" then cert = {cert = cert} end
  check_fields(what, "cert", cert, {cert = true, key = true, password = true}, is_word, "a string")
  settings.cert, settings.key, settings.password = cert.cert, cert.key, cert.password
end

local function is_directory(path)
  local file <close> = io.open(path)
  return file ~= nil and select(3, file:read(0)) == 21 -- EISDIR
end

local setters = {
  timeout = set_timeouts,
  cert = set_certificate,
  follow = function(_, settings, v) settings.follow = v == true and M.REDIRECTS or v or 0 end,
  proxy = function(_, settings, v) settings.proxy = v or "" end,
  verify = function(_, settings, v) settings.insecure = not v end,
  http2 = function(_, settings, v) settings.http1 = not v end,
  max_body = function(_, settings, v) settings.max_body = v end,
  ca = function(_, settings, v)
    settings.ca, settings.ca_directory = v, nil
    if is_directory(v) then settings.ca, settings.ca_directory = nil, v end
  end,
}

M.REDIRECTS = 10
M.KEEP = 60 -- seconds for which a connection that nobody uses is kept

--- Does a request with these options need settings of its own?
function M.has_settings(options)
  for name in pairs(options) do
    if setters[name] then return true end
  end
  return false
end

--- The fields of the core's settings: those of `base`, changed by the options.
---@param what string
---@param base table?
---@param options table
---@return table
function M.settings(what, base, options)
  local settings = {connect = 5, idle = 60, follow = M.REDIRECTS}
  for name, value in pairs(base or {}) do settings[name] = value end
  for name, set in pairs(setters) do
    if options[name] ~= nil then set(what, settings, options[name]) end
  end
  return settings
end

-- ---- headers ----

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local function group(a, b, c)
    local n = a:byte() << 16 | (b ~= "" and b:byte() or 0) << 8 | (c ~= "" and c:byte() or 0)
    local digits = {}
    for i = 0, 3 do
      local at = (n >> (18 - 6 * i) & 63) + 1
      digits[i + 1] = BASE64:sub(at, at)
    end
    if b == "" then digits[3] = "=" end
    if c == "" then digits[4] = "=" end
    return table.concat(digits)
  end
  return (text:gsub("(.)(.?)(.?)", group))
end

local function authorization(what, auth)
  if type(auth) == "string" then return "Bearer " .. auth end
  check_fields(what, "auth", auth, {user = true, password = true}, is_text, "a string")
  return "Basic " .. base64((auth.user or "") .. ":" .. (auth.password or ""))
end

local function header_line(what, name, value)
  if type(name) ~= "string" or not name:find "^[!#$%%&'*+%-.^_`|~%w]+$" then
    error(("%s: a header's name must be a token, got '%s'"):format(what, tostring(name)), 0)
  end
  local kind = type(value)
  if kind == "number" then value = tostring(value) end
  if type(value) ~= "string" or value:find "[\r\n%z]" then
    error(("%s: header '%s' must be a string of one line"):format(what, name), 0)
  end
  return value == "" and name .. ";\0" or name .. ": " .. value .. "\0"
end

--- Adds to `into`, a map from lower-case names to lines, the headers of a table: name = value, or a list of values.
local function add_headers(what, into, headers)
  for name, value in pairs(headers) do
    local line
    if type(value) == "table" then
      local lines = {}
      for i, one in ipairs(value) do lines[i] = header_line(what, name, one) end
      line = table.concat(lines)
    elseif value == false then
      line = header_line(what, name, "-"):match "^[^:]+" .. ":\0" -- not this one
    else
      line = header_line(what, name, value)
    end
    into[name:lower()] = line
  end
end

--- What every request says, unless a client or a request says otherwise.
---@param encodings string of bodies, that can be taken
function M.usual_headers(encodings)
  return {["accept-encoding"] = "Accept-Encoding: " .. encodings .. "\0", ["user-agent"] = "User-Agent: muster\0"}
end

--- The headers as a map, of the options of a client or a request on top of `base`.
function M.headers(what, base, options)
  local map = {}
  for name, line in pairs(base or {}) do map[name] = line end
  if options.auth then map.authorization = header_line(what, "Authorization", authorization(what, options.auth)) end
  if options.headers then add_headers(what, map, options.headers) end
  return map
end

--- As the core wants them: lines, each ended by a zero. nil if there are none.
function M.header_lines(map)
  if next(map) == nil then return nil end
  local lines = {}
  for _, line in pairs(map) do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines)
end

-- ---- URLs and bodies ----

local function escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function add_pair(what, option, pairs_of, name, value)
  local kind = type(value)
  if kind == "table" then
    for _, one in ipairs(value) do add_pair(what, option, pairs_of, name, one) end
  elseif kind == "string" or kind == "number" or kind == "boolean" then
    pairs_of[#pairs_of + 1] = escape(name) .. "=" .. escape(value)
  else
    fail(what, option .. "." .. tostring(name), "a string, a number, a boolean or a list of them", value)
  end
end

--- name=value pairs, by name; of a list of {name, value} in its order.
local function encode(what, option, fields)
  local pairs_of = {}
  if type(fields[1]) == "table" then
    for i, field in ipairs(fields) do
      if not is_table(field) then fail(what, ("%s[%d]"):format(option, i), "a list of name and value", field) end
      add_pair(what, option, pairs_of, field[1], field[2])
    end
    return table.concat(pairs_of, "&")
  end
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do add_pair(what, option, pairs_of, name, fields[name]) end
  return table.concat(pairs_of, "&")
end

--- The URL with a query added.
function M.add_query(what, url, query)
  local text = type(query) == "string" and query or encode(what, "query", query)
  if text == "" then return url end
  local rest, fragment = url:match "^([^#]*)(.*)$"
  local mark = not rest:find("?", 1, true) and "?" or rest:find "[?&]$" and "" or "&"
  return rest .. mark .. text .. fragment
end

--- The URL below that of a client. Absolute ones stay what they are.
---@param base string?
---@param url string
---@return string? nil if it is relative and there is no base
function M.resolve(base, url)
  if url:find "^%a[%w+.-]*://" then return url end
  if not base then return nil end
  if url == "" then return base end
  if url:find "^[?#]" then return base .. url end
  return (base:gsub("/+$", "")) .. "/" .. (url:gsub("^/+", ""))
end

--- How long the body is to be, as a header says, or nil. That of a string must be right.
function M.length(what, options, body)
  if not options.headers then return nil end
  for name, value in pairs(options.headers) do
    if is_text(name) and name:lower() == "content-length" and value then
      local length = math.tointeger(tonumber(value))
      local size = is_text(body) and #body or body == nil and 0 or length
      if not length or length < 0 or length ~= size then
        error(("%s: header '%s' is not the length of the body"):format(what, name), 0)
      end
      return length
    end
  end
end

--- The body of a request: a string or an iterator, or nil, and its type.
function M.body(what, options)
  if options.json ~= nil then
    local ok, text = pcall(json.encode, options.json)
    if not ok then error(("%s: option 'json' cannot be encoded: %s"):format(what, text), 0) end
    return text, "application/json"
  end
  if options.form then return encode(what, "form", options.form), "application/x-www-form-urlencoded" end
  return options.body, nil
end

return M
