--- Lines, and Server-Sent Events, out of chunks that end anywhere.
local M = {}

local byte, find, sub = string.byte, string.find, string.sub
local CR, LF = 13, 10

--- Returns a function that takes a chunk, or nil at the end, and calls on_line for each line that has ended. A line
--- ends in CR, LF or CRLF, or (if `lone_cr` is false) in LF or CRLF only. What is left at the end is one too if `last`.
local function line_splitter(lone_cr, last, on_line)
  local mark = lone_cr and "[\r\n]" or "\n"
  local rest, skip_lf = {}, false -- pieces of a line that has not ended; the last chunk ended in CR

  local function ended(line)
    if rest[1] then
      rest[#rest + 1] = line
      line, rest = table.concat(rest), {}
    end
    if not lone_cr and byte(line, -1) == CR then line = sub(line, 1, -2) end
    on_line(line)
  end

  return function(chunk)
    if not chunk then
      if last and rest[1] then ended "" end
      return
    end
    local from = 1
    if skip_lf and byte(chunk) == LF then from = 2 end
    if chunk ~= "" then skip_lf = false end
    while true do
      local at = find(chunk, mark, from)
      if not at then break end
      ended(sub(chunk, from, at - 1))
      from = at + 1
      if byte(chunk, at) == CR then
        if byte(chunk, from) == LF then from = from + 1
        elseif from > #chunk then skip_lf = true end
      end
    end
    if from <= #chunk then rest[#rest + 1] = sub(chunk, from) end
  end
end

--- A queue of what a parser has found, filled from `read`, a function that gives chunks: the next one, or nil.
local function pulled(read, make)
  local queue, first, last, over = {}, 1, 0, false
  local feed = make(function(item)
    last = last + 1
    queue[last] = item
  end)
  return function()
    while first > last do
      if over then return nil end
      first, last = 1, 0
      local chunk = read()
      over = not chunk
      feed(chunk)
    end
    local item = queue[first]
    queue[first] = nil
    first = first + 1
    return item
  end
end

--- The lines of what `read` gives, without their ends (LF or CRLF).
---@param read fun(): string?
---@return fun(): string?
function M.lines(read)
  return pulled(read, function(found) return line_splitter(false, true, found) end)
end

---@class http.event
---@field event string "message" unless it says otherwise
---@field data string lines joined by LF
---@field id string of this event or the last one that had one; "" if none had
---@field retry integer? milliseconds, as last told

local function event_parser(found)
  local data, n, kind, id, retry = {}, 0, nil, "", nil

  local fields = {
    data = function(value)
      n = n + 1
      data[n] = value
    end,
    event = function(value) kind = value end,
    id = function(value)
      if not find(value, "\0", 1, true) then id = value end
    end,
    retry = function(value)
      if find(value, "^%d+$") then retry = math.tointeger(tonumber(value)) or math.maxinteger end
    end,
  }

  local function dispatch()
    if n > 0 then
      found {event = kind and kind ~= "" and kind or "message", data = table.concat(data, "\n", 1, n), id = id,
             retry = retry}
    end
    n, kind = 0, nil
  end

  return function(line)
    if line == "" then return dispatch() end
    local colon = find(line, ":", 1, true)
    local set = fields[colon and sub(line, 1, colon - 1) or line]
    if not set then return end -- a comment, or what nobody knows
    local value = colon and sub(line, colon + 1) or ""
    set(byte(value) == 32 and sub(value, 2) or value)
  end
end

--- Leaves out a byte order mark, which may come in pieces.
local function without_mark(feed)
  local held = ""
  return function(chunk)
    if not held then return feed(chunk) end
    held = held .. (chunk or "")
    if chunk and #held < 3 and held == sub("\xEF\xBB\xBF", 1, #held) then return end
    local text = sub(held, 1, 3) == "\xEF\xBB\xBF" and sub(held, 4) or held
    held = nil
    feed(text)
    if not chunk then feed(nil) end
  end
end

--- The events of what `read` gives: Server-Sent Events, as HTML's standard tells. What ends without an empty line is no
--- event.
---@param read fun(): string?
---@return fun(): http.event?
function M.events(read)
  return pulled(read, function(found)
    return without_mark(line_splitter(true, false, event_parser(found)))
  end)
end

return M
