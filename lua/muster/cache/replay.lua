--- Replaying: a transport that answers from a tape, in the recorded order and time.
local async = require "muster"
local failure = require "muster.failure"
local fs = require "muster.fs"
local json = require "muster.json"
local options = require "muster.options"
local response = require "muster.cache.response"
local tape = require "muster.cache.tape"

local M = {}

---@class muster.cassette.player
local Player = {}
Player.__index = Player
Player.__name = "cassette.player"

local function check_head(path, line)
  local head = json.decode(line or "")
  local version = type(head) == "table" and head.cassette
  if version == tape.VERSION then return true end
  local why = version and ("it is of version %s, not %d"):format(version, tape.VERSION) or "it is no recording"
  return nil, failure.new("cassette", "replay " .. path, why, {path = path})
end

-- A last line without its end is of a recorder that was stopped while it wrote.
local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines
end

local function load(self, path, text)
  local lines = lines_of(text)
  local ok, err = check_head(path, lines[1])
  if not ok then return nil, err end
  for i = 2, #lines do
    local line, problem = json.decode(lines[i])
    if type(line) ~= "table" or type(line.request) ~= "table" then
      return nil, failure.new("cassette", ("replay %s:%d"):format(path, i), problem and problem.message
        or "expected an answer", {path = path})
    end
    local key = tape.key(line.request)
    self.answers[key] = self.answers[key] or {next = 1}
    table.insert(self.answers[key], line)
    self.left = self.left + 1
  end
  return self
end

local speed = {function(v) return type(v) == "number" and v > 0 end, "a number above 0"}

--- Opens a tape to replay it. It takes the place of an HTTP client, and asks nobody.
---@async
---@param path string
---@param opts {speed: number?}? speed: 2 is twice as fast, math.huge does not wait; 1
---@return muster.cassette.player? player
---@return muster.error?
function M.open(path, opts)
  failure.check_path("cache.replay", path)
  opts = options.check("cache.replay", opts, {speed = speed})
  local text, err = fs.read(path)
  if not text then return nil, err end
  return load(setmetatable({path = path, speed = opts.speed or 1, answers = {}, left = 0}, Player), path, text)
end

local function missing(self, request, answers)
  local why = answers and ("all %d recorded answers were given"):format(#answers) or "no answer was recorded"
  local what = ("%s %s"):format(request.method, request.path)
  return nil, failure.new("cassette", what, ("%s (%s)"):format(why, self.path), {path = self.path})
end

local function replayed_error(fields)
  local err = failure.new(fields.kind, "", "", {retryable = fields.retryable, phase = fields.phase})
  err.message = fields.message
  return err
end

local function wait(self, seconds) async.sleep(math.max(seconds, 0) / self.speed) end

local function replayed(self, line, url)
  local i = 0
  local function pull()
    i = i + 1
    local chunk = line.chunks[i]
    if chunk then
      wait(self, chunk[1])
      return tape.bytes(chunk[2])
    end
    if type(line["end"]) == "table" then return nil, replayed_error(line["end"]) end
  end
  return response.new(line, url, pull, function() end)
end

--- As of an HTTP client: the first answer to this request that was not given yet, after the time it took.
---@async
function Player:request(opts)
  local ok, request = pcall(tape.request, "cache.replay", opts)
  if not ok then error(request, 2) end
  local answers = self.answers[tape.key(request)]
  local line = answers and answers[answers.next]
  if not line then return missing(self, request, answers) end
  answers.next, self.left = answers.next + 1, self.left - 1
  wait(self, line.wait)
  if line.error then return nil, replayed_error(line.error) end
  return replayed(self, line, opts.url)
end

--- Nothing more is answered.
function Player:close() self.answers = {} end

Player.__close = Player.close

return M
