--- Recording: a transport that notes what another one answers.
local async = require "muster"
local failure = require "muster.failure"
local json = require "muster.json"
local options = require "muster.options"
local redact = require "muster.redact"
local response = require "muster.cache.response"
local tape = require "muster.cache.tape"

local M = {}

---@class muster.cassette.recorder
local Recorder = {}
Recorder.__index = Recorder
Recorder.__name = "cassette.recorder"

local function error_fields(err)
  if type(err) ~= "table" then return {kind = "error", message = tostring(err)} end
  return {kind = err.kind, message = err.message, retryable = err.retryable, phase = err.phase}
end

local function write(self, line)
  if not self.file then return end
  local ok, problem = self.file:write(json.encode(line), "\n")
  if ok then ok, problem = self.file:flush() end
  if not ok then self.problem = self.problem or failure.new("file", "record " .. self.path, problem) end
end

--- The response of a transport, each chunk of which is noted as it is read.
local function recorded(self, line, original, secrets)
  line.chunks = json.array {}
  local function finish(how)
    line["end"] = how
    write(self, line)
  end
  local function pull()
    local before = async.now()
    local chunk, err = original:read()
    if chunk == nil then
      finish(err and error_fields(err) or "whole")
    else
      table.insert(line.chunks, {async.now() - before, tape.text(redact.text(chunk, secrets))})
    end
    return chunk, err
  end
  return response.new(line, original.url, pull, function()
    original:close()
    finish "closed"
  end)
end

local function header_list(original, secrets)
  local list = json.array {}
  for name, value in pairs(original.headers) do
    if name:lower() ~= "set-cookie" then
      list[#list + 1], list[#list + 2] = name, redact.text(value, secrets)
    end
  end
  return list
end

--- As of an HTTP client. What it answers is noted once it has been read to its end, or was closed.
---@async
function Recorder:request(opts)
  local ok, request = pcall(tape.request, "cache.record", opts)
  if not ok then error(request, 2) end
  local before = async.now()
  local original, err = self.transport:request(opts)
  local line = {request = request, wait = async.now() - before}
  if not original then
    line.error = error_fields(err)
    write(self, line)
    return nil, err
  end
  local secrets = {}
  redact.add_headers(secrets, opts.headers)
  redact.add_url(secrets, opts.url)
  line.status, line.version, line.headers = original.status, original.http_version, header_list(original, secrets)
  return recorded(self, line, original, secrets)
end

--- Ends the recording; what is still being answered is not noted.
---@return true?
---@return muster.error? problem why the tape is not whole
function Recorder:close()
  if self.file then self.file:close() end
  self.file = nil
  if self.problem then return nil, self.problem end
  return true
end

Recorder.__close = Recorder.close

local transport = {options.has "request", "an HTTP client, or what has its method request"}

--- Begins a tape. It takes the place of an HTTP client, and asks one.
---@param path string a file that is there is replaced
---@param opts {transport: table?}? transport: what has `request`, such as a client of muster.http; a new one
---@return muster.cassette.recorder? recorder
---@return muster.error?
function M.open(path, opts)
  failure.check_path("cache.record", path)
  opts = options.check("cache.record", opts, {transport = transport})
  local file, problem, code = io.open(path, "wb")
  if not file then return nil, failure.new("file", "record", problem, {path = path, code = code}) end
  local client = opts.transport or require "muster.http".client()
  local self = setmetatable({path = path, file = file, transport = client}, Recorder)
  write(self, {cassette = tape.VERSION})
  return self
end

return M
