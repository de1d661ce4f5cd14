--- An answer that is streaming: it holds a connection, a permit and a reservation until it ends or is closed.
local core = require "muster.core"

local M = {}

local TAIL = 1 -- seconds that a server has to end the body, once it has told that the answer is over

---@class muster.llm.live
---@field live true
---@field ex muster.llm.exchange
---@field response http.response? nil if the answer came as a whole
---@field result muster.llm.result? once it is over
---@field err table? what broke it off
---@field closed boolean?
---@field opening boolean? nothing has come yet
local Live = {}
Live.__index = Live

-- ---- what comes ----

--- The next event or line; nil at the end, nil and an error if the connection broke.
local function next_item(self)
  local ok, item = pcall(self.items)
  if ok then return item end
  if core.is_cancelled(item) or type(item) ~= "table" or item.phase == nil then error(item, 0) end
  return nil, item
end

local function take(self, item)
  local stream = self.stream
  if stream.line then return stream:line(item) end
  return stream:event(item)
end

local function bytes_of(delta)
  local n = #(delta.content or "") + #(delta.refusal or "") + #(delta.reasoning or "")
  for _, call in ipairs(delta.calls or {}) do n = n + #call.arguments end
  return n
end

--- Lets the body end, so that its connection can be used again.
local function drain(self)
  core.move_on_after(TAIL, next_item, self)
end

local function finish(self)
  if self.stream.done then drain(self) end
  self.result, self.err = self.stream:finish()
  self:close()
  return nil, self.err
end

--- The next delta; nil at the end; nil and an error if it was broken off.
local function pull(self)
  while not self.stream.done do
    local item, err = next_item(self)
    if not item and not err then break end
    local delta
    if item then delta, err = take(self, item) end
    if err then
      self.err = err
      self:close()
      return nil, err
    end
    if delta then
      self.bytes = self.bytes + bytes_of(delta)
      return delta
    end
  end
  return finish(self)
end

--- The next delta, or nil, and an error if that was not the end.
---@async
---@return muster.llm.delta?
---@return table? err
function Live:next()
  local ahead = self.ahead
  if ahead then
    self.ahead = nil
    return ahead
  end
  if self.result or self.err then return nil, self.err end
  if self.closed then return nil, core.error("closed", "llm: the stream was closed", {retryable = false}) end
  local budget = self.ex.client.budget
  local left = budget and budget:time_left() or math.huge
  if left == math.huge then return pull(self) end
  local delta, err = core.move_on_after(math.max(0, left), pull, self)
  if delta ~= false then return delta, err end
  self.err = budget:late()
  self:close()
  return nil, self.err
end

-- ---- its end ----

local function give_back(self, err)
  local permit = self.ex.kept
  if not permit then return end
  self.ex.kept = nil
  getmetatable(permit).__close(permit, err)
end

local function judge(permit, err)
  if err and err.limited then permit:limited(err.retry_after) elseif err then permit:failed() end
end

--- The permit, the reservation and what is paid. What came of an answer that has no end is paid for all the same; what
--- broke off before anything came is tried again, and not paid.
local function settle(self, err)
  local _ <close> = setmetatable({}, {__close = function()
    give_back(self, err)
    if not self.opening and self.ex.reservation then self.ex.reservation:settle(0, 0) end
  end})
  if self.opening and self.err then return end
  if self.err then judge(self.ex.permit, self.err) end
  self.ex.on_end(self.result, self.result and self.result.usage, self.bytes)
end

--- Gives everything back.
function Live:close(err)
  if self.closed then return end
  self.closed = true
  if self.response then self.response:close() end
  settle(self, err)
end

Live.__close = Live.close

-- ---- its beginning ----

local function items_of(response, framing)
  if framing == "lines" then return response:lines() end
  return response:events()
end

--- A stream with its first delta there, so that what goes wrong before it can be tried again.
---@return muster.llm.live?
---@return table? err
function M.open(ex, response)
  local adapter = ex.client.adapter
  local self = setmetatable({live = true, ex = ex, response = response, stream = adapter.stream(ex.call), bytes = 0,
                             items = items_of(response, adapter.framing), opening = true}, Live)
  local guard <close> = setmetatable({}, {__close = function(guard)
    if not guard.kept then response:close() end
  end})
  local delta, err = pull(self)
  if err then return nil, err end
  guard.kept, self.ahead, self.opening = true, delta, nil
  return self
end

--- An answer that came as a whole, as if it had been streamed.
---@return muster.llm.live
function M.whole(ex, result)
  local delta = {content = result.content, refusal = result.refusal}
  for i, call in ipairs(result.tool_calls) do
    delta.calls = delta.calls or {}
    delta.calls[i] = {name = call.name, arguments = call.arguments, index = i}
  end
  return setmetatable({live = true, ex = ex, result = result, ahead = next(delta) and delta or nil,
                       bytes = bytes_of(delta), closed = true}, Live)
end

return M
