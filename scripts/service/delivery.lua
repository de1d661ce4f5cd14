--- How an answer gets to the client, or does not.
local async = require "muster"

local M = {}

--- Cuts a text in slices of about so many bytes, and never inside a character.
---@return fun(text: string): fun(): string?
function M.slicer(bytes)
  return function(text)
    local from = 1
    return function()
      if from > #text then return nil end
      local to = math.min(#text, from + bytes - 1)
      while to < #text and (text:byte(to + 1) & 0xC0) == 0x80 do to = to + 1 end
      local slice = text:sub(from, to)
      from = to + 1
      return slice
    end
  end
end

local function half(text) return text:sub(1, #text // 2) end

--- Writes in pieces of so many bytes, wherever they end, each in a packet of its own if the network likes.
local function write_split(res, text, bytes)
  for from = 1, #text, bytes do
    if not res:write(text:sub(from, from + bytes - 1)) then return false end
    async.yield()
  end
  return true
end

local function write_all(res, pieces, stream)
  if stream.delay == 0 and not stream.split then return res:write(table.concat(pieces)) end
  for i, piece in ipairs(pieces) do
    if i > 1 and stream.delay > 0 then async.sleep(stream.delay) end
    if stream.split then
      if not write_split(res, piece, stream.split) then return end
    elseif not res:write(piece) then
      return
    end
  end
end

local function first_half(pieces, cut)
  local n = #pieces // 2
  local some = table.move(pieces, 1, n, 1, {})
  if cut then some[n + 1] = half(pieces[n + 1]) end
  return some
end

--- Nothing happens any more until the client goes, or the service stops.
local function stall(x)
  x.stopping:wait()
  x.res:abort()
end

--- Faults that need no answer. True if it was one.
function M.without_answer(x, transport)
  if transport == "reset" then x.res:abort "reset"
  elseif transport == "closed" then x.res:abort()
  elseif transport == "silent" then stall(x)
  else return false end
  return true
end

local function begin(x, headers)
  x.res.status, x.res.headers = 200, headers
  x.res:start()
end

--- A whole answer. Returns what the handler returns.
function M.whole(x, body, headers, transport)
  headers["content-type"] = "application/json"
  if transport == "short" then body = half(body) end
  if transport ~= "truncated" and transport ~= "stall" then return {headers = headers, body = body} end
  begin(x, headers)
  x.res:write(half(body))
  if transport == "stall" then stall(x) else x.res:abort() end
end

--- An answer in pieces.
---@param failure string what stands for an error in the middle
function M.stream(x, pieces, headers, transport, failure)
  local stream = x.settings.stream
  headers["cache-control"] = "no-cache"
  if transport then pieces = first_half(pieces, transport == "truncated") end
  if transport == "stream_error" then pieces[#pieces + 1] = failure end
  begin(x, headers)
  write_all(x.res, pieces, stream)
  if transport == "stall" then stall(x) elseif transport == "truncated" then x.res:abort() end
end

return M
