--- Responses as those of muster.http, whose body comes from a function.
local failure = require "muster.failure"
local headers = require "muster.http.headers"
local json = require "muster.json"
local sse = require "muster.http.sse"

local M = {}

---@class muster.cassette.response
local Response = {}
Response.__index = Response
Response.__name = "cassette.response"

--- pull() -> the next chunk; nil at the end; nil and an error. closed() is told that nobody pulls any more.
function M.new(line, url, pull, closed)
  local list = table.move(line.headers, 1, #line.headers, 1, {}) -- that of the tape stays a list
  return setmetatable({status = line.status, ok = line.status >= 200 and line.status <= 299, url = url,
    headers = headers.of(list), http_version = line.version, pull = pull, closed = closed,
    timing = {dns = 0, connect = 0, tls = 0, first_byte = line.wait, total = line.wait}}, Response)
end

--- What has come of the body; nil at its end.
function Response:read()
  if self.over then return nil, self.problem end
  local chunk, err = self.pull()
  if chunk == nil then
    self.over, self.problem = true, err
  end
  return chunk, err
end

function Response:text()
  if self.whole then return self.whole end
  local chunks = {}
  for chunk in function() return self:read() end do chunks[#chunks + 1] = chunk end
  if self.problem then return nil, self.problem end
  self.whole = table.concat(chunks)
  return self.whole
end

function Response:json()
  local text, err = self:text()
  if not text then return nil, err end
  return json.decode(text)
end

local function next_chunk(self)
  local chunk, err = self:read()
  if chunk == nil and err then error(err, 0) end
  return chunk
end

local function reader(self) return function() return next_chunk(self) end end

function Response:chunks() return next_chunk, self, nil, self end
function Response:lines() return sse.lines(reader(self)), nil, nil, self end
function Response:events() return sse.events(reader(self)), nil, nil, self end

function Response:close()
  if self.over then return end
  self.over = true
  self.problem = failure.new("closed", "read", "the response is closed")
  self.closed()
end

Response.__close = Response.close

return M
