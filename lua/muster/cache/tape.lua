--- What a tape says: the format that `record` writes and `replay` reads.
--
-- A file of JSON lines: first {"cassette": 1}, then one for each answer, when it has ended:
--   {"request": {"method", "path", "query", "body"}, "wait": seconds until the head, "status", "version",
--    "headers": [name, value…], "chunks": [[seconds, text]…], "end": "whole" | "closed" | {error}}
-- or "error" instead of all that follows "wait". Neither the headers of a request, which hold the keys, nor its host
-- are on it.
local json = require "muster.json"

local M = {}

M.VERSION = 1

local SECRET = {key = true, api_key = true, apikey = true, token = true, access_token = true, sig = true}

local function is_secret(name) return type(name) == "string" and SECRET[(name:lower():gsub("-", "_"))] end

local function path_of(url)
  local path = url:gsub("^%a[%w+.-]*://[^/]*", "")
  return (path:gsub("([?&])([^=&]+)=[^&]*", function(mark, name)
    if is_secret(name) then return mark .. name .. "=" end
  end))
end

local function query_of(query)
  if type(query) ~= "table" then return query and path_of("?" .. query) end
  local shown = {}
  for name, value in pairs(query) do shown[name] = is_secret(name) and "" or value end
  return shown
end

local function body_of(what, opts)
  if opts.json ~= nil then return opts.json end
  local body = opts.body or opts.form
  if type(body) == "function" then error(what .. ": a streamed body cannot be recorded", 0) end
  local value = type(body) == "string" and json.decode(body)
  if type(value) == "table" then return value end
  return body
end

--- What tells one request from another.
function M.request(what, opts)
  if type(opts) ~= "table" or type(opts.url) ~= "string" then
    error(what .. ": expected a table with a url", 0)
  end
  local body = body_of(what, opts)
  local method = opts.method or (body ~= nil and "POST" or "GET")
  return {method = method:upper(), path = path_of(opts.url), query = query_of(opts.query), body = body}
end

--- The same for the same request.
function M.key(request) return json.encode(request, {canonical = true}) end

--- Bytes for JSON: text as it is; otherwise, marked, as the characters of the same numbers.
function M.text(bytes)
  if utf8.len(bytes) then return bytes end
  return {bytes = (bytes:gsub("[\x80-\xff]", function(c) return utf8.char(c:byte()) end))}
end

function M.bytes(text)
  if type(text) ~= "table" then return text end
  return (text.bytes:gsub("[\xc2\xc3][\x80-\xbf]", function(c) return string.char(utf8.codepoint(c)) end))
end

return M
