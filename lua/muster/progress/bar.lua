--- One line of progress: plain, or with a bar in it, cut to a width.
local M = {}

local EIGHTHS = {[0] = "", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}
local LEAST, MOST = 10, 30 -- columns of a bar
local AROUND = #"|| 50% " -- columns of what stands about it

local function length(text) return utf8.len(text) or #text end

--- A bar of `width` columns.
---@param share number 0 to 1
---@return string
function M.blocks(share, width)
  local eighths = math.floor(share * width * 8)
  local full, rest = eighths // 8, eighths % 8
  return ("█"):rep(full) .. EIGHTHS[rest] .. (" "):rep(width - full - (rest > 0 and 1 or 0))
end

--- Cut to so many characters.
local function cut(text, width)
  if length(text) <= width then return text end
  local at = utf8.len(text) and utf8.offset(text, width) or width
  return text:sub(1, math.max(at - 1, 0)) .. "…"
end

local function label(meter) return meter.label and meter.label:gsub("%c", " ") .. ": " or "" end

--- All there is to say.
---@param meter muster.progress.meter
---@param finished boolean?
function M.line(meter, finished)
  return label(meter) .. table.concat(meter:parts(finished), ", ")
end

--- The same with a bar, at most `width` columns: what matters least is left out first.
---@param meter muster.progress.meter
---@param width integer
function M.draw(meter, width)
  local parts, share = meter:parts(), meter:share()
  local head = label(meter)
  local free = width - 1 - length(head) - (share and AROUND + LEAST or 0)
  local text = table.concat(parts, " · ")
  while length(text) > free and parts[2] do
    parts[#parts] = nil
    text = table.concat(parts, " · ")
  end
  local room = math.min(free - length(text) + LEAST, MOST)
  if not share or room < LEAST then return cut(head .. text, width - 1) end
  return ("%s▕%s▏%3d%% %s"):format(head, M.blocks(share, room), share * 100 // 1, text)
end

return M
