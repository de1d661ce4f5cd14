--- Where progress is shown: bars in the last rows of a terminal, which what is printed scrolls above; or plain lines.
local bar = require "muster.progress.bar"
local terminal = require "muster.progress.terminal"
local uv = require "luv"

local M = {}

local PER_SECOND, EVERY = 10, 5 -- looks at a bar; seconds between two plain lines

---@class muster.progress.shown
local Shown = {}
Shown.__index = Shown

local function write(file, text)
  file:write(text)
  file:flush()
end

local function descriptor(file)
  if file == io.stderr then return 2 end
  return file == io.stdout and 1 or nil
end

-- A timer's error would end the process. Progress that cannot be shown (the terminal is gone, a limiter's stats raise)
-- is shown no more; the work goes on.
local function tick(self)
  local ok = pcall(self.draw, self)
  if not ok then self.timer:stop() end
end

local function draw_line(self)
  write(self.output, bar.line(self.meter) .. "\n")
end

local function draw_bar(self) self.terminal:draw() end

local function start_timer(self, seconds)
  self.timer = uv.new_timer()
  local ms = math.max(math.floor(seconds * 1000), 1)
  self.timer:start(ms, ms, function() tick(self) end)
  self.timer:unref()
end

--- Shows a meter until `finish`.
---@param meter muster.progress.meter
---@param opts table of progress.start
function M.show(meter, opts)
  local output = opts.output or io.stderr
  local self = setmetatable({meter = meter, output = output}, Shown)
  if opts.bar ~= false then self.terminal = terminal.of(descriptor(output), output) end
  if self.terminal then
    self.draw = draw_bar
    self.terminal:add(meter)
    start_timer(self, 1 / PER_SECOND)
  else
    self.draw = draw_line
    start_timer(self, opts.every or EVERY)
  end
  return self
end

--- The last state, as a line.
function Shown:finish()
  self.timer:stop()
  self.timer:close()
  if self.terminal then self.terminal:remove(self.meter) end
  write(self.output, bar.line(self.meter, true) .. "\n")
end

return M
