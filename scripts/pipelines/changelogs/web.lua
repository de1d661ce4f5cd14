--- The page, and the streams that it reads: each request for records is a run of the pipeline of its own, which lasts
--- as long as somebody reads: a slow reader holds it back, one that goes away ends it.
local files = require "changelogs.files"
local fs = require "muster.fs"
local http = require "muster.http"
local job = require "changelogs.job"
local json = require "muster.json"
local pipeline = require "muster.pipeline"

local M = {}

-- A page that is paused reads nothing, maybe for long.
local IDLE <const> = 3600

local page_headers = {
  ["Content-Type"] = "text/html; charset=utf-8", ["Cache-Control"] = "no-cache", ["X-Content-Type-Options"] = "nosniff",
  ["Content-Security-Policy"] =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
}

local function all_files(paths)
  local found = {}
  for _, path in ipairs(paths) do
    local some = files.find(path)
    table.move(some, 1, #some, #found + 1, found)
  end
  return found
end

--- What ends a run before its end: nothing to be told if it is the reader who has gone.
local function problem_of(err)
  if type(err) == "table" and err.kind == "reset" then return nil end
  return tostring(err)
end

local function events(settings, res)
  local found = all_files(settings)
  if not res:event {event = "start", data = json.encode {files = #found}} then return end
  local run = job.of(found, pipeline.sink.events(res), {limit = settings.limit, order = "completion"})
  local ok, err = run:run {quiet = true}
  local problem = not ok and problem_of(err)
  if problem then res:event {event = "problem", data = json.encode({problem}, {invalid_utf8 = "replace"})} end
end

local function lines(settings, res)
  res.headers["Content-Type"] = "application/x-ndjson"
  local to = pipeline.sink.call(function(record) return res:write(json.encode(record) .. "\n") end)
  local ok, err = job.of(all_files(settings), to, {limit = settings.limit, order = "completion"}):run {quiet = true}
  if not ok and problem_of(err) then res:abort() end
end

local function routes(settings, page)
  return {
    ["/"] = function() return {headers = page_headers, body = page} end,
    ["/events"] = function(res) return events(settings, res) end,
    ["/records.jsonl"] = function(res) return lines(settings, res) end,
    ["/favicon.ico"] = function() return {status = 204} end,
  }
end

--- Serves until it is closed.
---@async
---@param settings table the paths, and `port`, `limit`
---@param page string the path of the page
---@return muster.http.server? server
---@return muster.error?
function M.serve(settings, page)
  local text, err = fs.read(page)
  if not text then return nil, err end
  local answers = routes(settings, text)
  return http.serve {port = settings.port, idle_timeout = IDLE, handler = function(req, res)
    local answer = answers[req.path]
    if not answer then return {status = 404, body = "nothing is here: / has the page\n"} end
    if req.method ~= "GET" and req.method ~= "HEAD" then
      return {status = 405, headers = {Allow = "GET"}, body = "only GET\n"}
    end
    return answer(res)
  end}
end

return M
