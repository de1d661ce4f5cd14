--- Responses of an HTTP server: what a handler returns, or writes piece by piece.
local failure = require "muster.failure"
local json = require "muster.json"

local M = {}

-- ---- headers ----

-- The server says these itself, as the body is.
local own = {["content-length"] = true, ["transfer-encoding"] = true, date = true}

local function add(list, name, value)
  if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
    error(("response: %q is not the name of a header"):format(tostring(name)), 0)
  end
  value = tostring(value)
  if value == "" or value:find "%c" then
    error(("response: header '%s' must be text of one line, not empty, got %q"):format(name, value), 0)
  end
  local key = name:lower()
  if own[key] or key == "connection" and value:lower() == "keep-alive" then return end
  list[#list + 1] = name
  list[#list + 1] = value
end

--- {name = value or list of values} -> list, with the content type if it is not among them
local function header_list(headers, content_type)
  local list, typed = {}, false
  if headers and type(headers) ~= "table" then
    error(("response: headers must be a table, got %s"):format(type(headers)), 0)
  end
  for name, value in pairs(headers or {}) do
    if type(name) == "string" and name:lower() == "content-type" then typed = true end
    if type(value) ~= "table" then value = {value} end
    for _, one in ipairs(value) do add(list, name, one) end
  end
  if content_type and not typed then add(list, "Content-Type", content_type) end
  return list
end

local function check_status(status)
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error(("response: expected a status from 200 to 599, got %s"):format(tostring(status)), 0)
  end
  return status
end

-- ---- in pieces ----

---@class muster.http.server.response
---@field status integer 200 unless set before the first piece
---@field headers table<string, any> to be set before the first piece
---@field core userdata
---@field begun boolean
---@field aborted boolean?
local Response = {status = 200, begun = false}

local meta = {__name = "muster.http.server.response"}

--- The headers are made when they are looked at, which most handlers do not.
function meta.__index(self, name)
  if name ~= "headers" then return Response[name] end
  self.headers = {}
  return self.headers
end

--- Sends the head now, not with the first piece.
---@param content_type string? if the headers have none
function Response:start(content_type)
  if self.begun then return end
  if self.core:state() then error("write: the request has been answered already", 3) end
  self.core:stream(check_status(self.status), header_list(self.headers, content_type or "text/plain; charset=utf-8"))
  self.begun = true
end

--- Writes a piece of the response. Waits while the client does not read what was written.
---@async
---@param chunk string
---@return true? ok
---@return muster.error? error of kind "reset": the client has gone away
function Response:write(chunk)
  if type(chunk) ~= "string" then error(("write: expected a string, got %s"):format(type(chunk)), 2) end
  self:start()
  if self.core:write(chunk) then return true end
  return nil, failure.new("reset", "write", "the client has gone away")
end

--- Cuts the connection in the middle of the response, or before it, as a server that crashes does: what was written is
--- sent, the end is not. What the handler does afterwards goes nowhere.
---@param how "reset"? the client sees a reset, and may lose what it has not read yet
function Response:abort(how)
  if how ~= nil and how ~= "reset" then
    error(("abort: expected nothing or \"reset\", got %s"):format(tostring(how)), 2)
  end
  self.core:cut(how == "reset")
  self.aborted = true
end

local fields = {data = true, event = true, id = true, retry = true, comment = true}

local function one_line(name, value)
  value = tostring(value)
  if value:find "[\r\n%z]" then error(("event: '%s' must be one line, got %q"):format(name, value), 4) end
  return ("%s: %s\n"):format(name, value)
end

local function has(headers, wanted)
  for name in pairs(headers) do
    if type(name) == "string" and name:lower() == wanted then return true end
  end
  return false
end

local function event_text(event)
  local text = {}
  for name in pairs(event) do
    if not fields[name] then error(("event: unknown field '%s'"):format(tostring(name)), 3) end
  end
  if event.comment then text[1] = one_line("", event.comment) end
  for _, name in ipairs {"event", "id", "retry"} do
    if event[name] then text[#text + 1] = one_line(name, event[name]) end
  end
  if event.data ~= nil then
    local data = type(event.data) == "table" and json.encode(event.data) or tostring(event.data)
    for line in (data:gsub("\r\n?", "\n") .. "\n"):gmatch "([^\n]*)\n" do text[#text + 1] = "data: " .. line .. "\n" end
  end
  return table.concat(text) .. "\n"
end

--- Sends a Server-Sent Event: its data (a table becomes JSON), or a table of the fields.
---@async
---@param event string|{data: any, event: string?, id: string?, retry: integer?, comment: string?}
---@return true? ok
---@return muster.error? error of kind "reset"
function Response:event(event)
  if type(event) == "string" then event = {data = event} end
  if type(event) ~= "table" then error(("event: expected a table or a string, got %s"):format(type(event)), 2) end
  local text = event_text(event)
  if not self.begun and not has(self.headers, "cache-control") then self.headers["Cache-Control"] = "no-cache" end
  self:start "text/event-stream"
  return self:write(text)
end

---@return muster.http.server.response
function M.new(core) return setmetatable({core = core}, meta) end

-- ---- whole ----

local known = {status = true, headers = true, body = true, json = true}
local TEXT, JSON = "text/plain; charset=utf-8", "application/json"
local text_headers, json_headers, no_headers = {"Content-Type", TEXT}, {"Content-Type", JSON}, {}

local function send_pieces(res, answer)
  local _, _, too_large = res.core:state()
  if too_large then return end
  res.status, res.headers = answer.status or 200, answer.headers or {}
  for chunk in answer.body do
    if type(chunk) ~= "string" then
      error(("response: the iterator of the body must give strings, got %s"):format(type(chunk)), 0)
    end
    if not res:write(chunk) then return end
  end
  res:start()
end

local is_callable = require "muster.options".is_callable

local function encoded(value)
  local ok, text = pcall(json.encode, value)
  if not ok then error("response: 'json' cannot be encoded: " .. text, 0) end
  return text
end

local function send_table(res, answer)
  for name in pairs(answer) do
    if not known[name] then error(("response: unknown field '%s'"):format(tostring(name)), 0) end
  end
  if is_callable(answer.body) then return send_pieces(res, answer) end
  local body, content_type = answer.body, TEXT
  if answer.json ~= nil then body, content_type = encoded(answer.json), JSON end
  if body == nil then body, content_type = "", nil end
  if type(body) ~= "string" then
    error(("response: body must be a string or an iterator, got %s"):format(type(body)), 0)
  end
  local list = json_headers
  if answer.headers or content_type ~= JSON then list = header_list(answer.headers, content_type) end
  res.core:respond(check_status(answer.status or 200), list, body)
end

--- Sends what the handler has returned, unless it has written pieces.
function M.send(res, answer)
  if res.aborted then return end
  if res.begun then
    if answer ~= nil then error("response: the handler has written pieces, and returned a response", 0) end
  elseif type(answer) == "string" then
    res.core:respond(200, text_headers, answer)
  elseif answer == nil then
    res.core:respond(204, no_headers, "")
  elseif type(answer) == "table" then
    send_table(res, answer)
  else
    error(("response: a handler returns a string, a table or nothing, not a %s"):format(type(answer)), 0)
  end
  if res.begun then res.core:finish() end
end

--- Answers a request whose handler did not, if it can still be.
function M.fail(core, status, text)
  if core:state() then return end
  core:respond(status, text_headers, text .. "\n", true)
end

return M
