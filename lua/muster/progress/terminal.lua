--- The last rows of a terminal, kept for bars. The rows above them become the terminal's scrolling region, so that
--- whatever anybody prints (scripts, C code, child processes, half lines, too) scrolls there and tears nothing: each
--- bar is one write that ends with the cursor where it was. Escape sequences: ECMA-48 and DEC's VT100.
local bar = require "muster.progress.bar"
local uv = require "luv"

local M = {}

---@class muster.progress.terminal
---@field meters muster.progress.meter[] from top to bottom
local Terminal = {}
Terminal.__index = Terminal

local SAVE, RESTORE, WHOLE = "\0277", "\0278", "\027[r"
local ROOM = 5 -- rows that are left for what is printed, at least

local terminals = setmetatable({}, {__mode = "v"}) -- by descriptor: all bars of a terminal share it

--- Columns and rows; nil if the descriptor is no terminal that can do this.
local function size(fd)
  if not fd or uv.guess_handle(fd) ~= "tty" or os.getenv "TERM" == "dumb" then return nil end
  local tty = uv.new_tty(fd, false)
  if not tty then return nil end
  local width, height = tty:get_winsize()
  tty:close()
  if width and width > 0 and height > ROOM then return width, height end
end

--- The terminal behind a descriptor, or nil.
---@param fd integer?
---@param output file*
function M.of(fd, output)
  local self = terminals[fd]
  if self and self.meters[1] then return self end
  local width, height = size(fd)
  if not width then return nil end
  self = setmetatable({fd = fd, output = output, width = width, height = height, meters = {}}, Terminal)
  terminals[fd] = self
  return self
end

function Terminal:write(...)
  self.output:write(...)
  self.output:flush()
end

--- Makes the region above the bars scroll. The cursor stays where it is, in it.
local function reserve(self, before)
  local rows = #self.meters
  self:write(("\027D"):rep(rows - before), ("\027[%dA"):format(rows - before), SAVE,
    ("\027[1;%dr"):format(self.height - rows), RESTORE)
end

--- A bar more, at the bottom.
function Terminal:add(meter)
  if #self.meters + ROOM >= self.height then return end -- no room: this one is seen at its end only
  self.meters[#self.meters + 1] = meter
  reserve(self, #self.meters - 1)
  self:draw()
end

local function row_texts(self)
  local texts = {}
  for i, meter in ipairs(self.meters) do
    local row = self.height - #self.meters + i
    texts[i] = ("\027[%d;1H\027[2K%s"):format(row, bar.draw(meter, self.width))
  end
  return table.concat(texts)
end

local function follow_size(self)
  local width, height = size(self.fd)
  if not width or (width == self.width and height == self.height) then return end
  self.width, self.height = width, height
  self:write(SAVE, ("\027[1;%dr"):format(height - #self.meters), RESTORE)
end

-- The rows of the bars, emptied.
local function cleared(self) return ("\027[%d;1H\027[J"):format(self.height - #self.meters + 1) end

--- Draws all bars, in one write.
function Terminal:draw()
  follow_size(self)
  self:write(SAVE .. row_texts(self) .. RESTORE)
end

--- A bar less: its row, empty, is the region's again.
function Terminal:remove(meter)
  for i, other in ipairs(self.meters) do
    if other == meter then
      local clear = cleared(self)
      table.remove(self.meters, i)
      local region = self.meters[1] and ("\027[1;%dr"):format(self.height - #self.meters) or WHOLE
      self:write(SAVE .. clear .. region .. row_texts(self) .. RESTORE)
      return
    end
  end
end

--- A program that ends without having closed its bars leaves the terminal as it found it.
function Terminal:__gc()
  if self.meters[1] then self:write(SAVE .. cleared(self) .. WHOLE .. RESTORE) end
end

return M
