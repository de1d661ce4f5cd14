--- What everything that one can read from has in common: a buffer, and the ways to take from it. A class of this kind
-- has a method `more`, which waits until there is more in `self.input`: true, false at the end, or nil and an error.
local buffers = require "muster.stream.buffer"
local core = require "muster.core"
local failure = require "muster.failure"
local options = require "muster.options"

local M = {}

local MOST = 64 * 1024 * 1024 -- of a line, unless told otherwise

-- Setting this costs nothing to wait for, but a cancelled task raises there.
local passed = core.event()
passed:set()
local wait = passed.wait

--- Those of `chunks`.
M.chunk_options = {
  size = {function(v) return math.type(v) == "integer" and v >= 1 end, "an integer of at least 1"},
}

--- Raises if the running task is cancelled, as every call that may suspend does.
local function checkpoint() wait(passed) end
M.checkpoint = checkpoint

---@class muster.reader
---@field input muster.buffer
---@field name string what it is, for messages
---@field closed boolean?
local Reader = {}
M.Reader = Reader

local function too_large(self, what, most)
  return nil, failure.new("too_large", ("%s %s"):format(what, self.name), ("more than %d bytes"):format(most))
end

--- The stream has ended too early. What was there can be had from the error.
local function incomplete(self, what)
  local partial = self.input:take_all()
  return nil, failure.new("incomplete", ("%s %s"):format(what, self.name),
                          ("it ended after %d bytes"):format(#partial), {partial = partial})
end

--- Returns what is there as soon as there is anything, at most n bytes.
---@async
---@param n integer? 65536 unless given
---@return string? text nil at the end
---@return muster.error?
function Reader:read(n)
  n = n == nil and 65536 or failure.check_count("read", n)
  checkpoint()
  if self.closed then return failure.closed("read " .. self.name) end
  while self.input.size == 0 do
    local more, err = self:more()
    if not more then return nil, err end
  end
  return self.input:take_some(n)
end

--- Returns n bytes, and waits for as many. If the end comes earlier: nil and an error of kind "incomplete", in whose
--- field `partial` what came is; nil alone if nothing came.
---@async
---@param n integer
---@return string? text
---@return muster.error?
function Reader:read_exactly(n)
  failure.check_count("read_exactly", n)
  checkpoint()
  if self.closed then return failure.closed("read_exactly " .. self.name) end
  while self.input.size < n do
    local more, err = self:more()
    if more == nil then return nil, err end
    if not more then
      if self.input.size == 0 then return nil end
      return incomplete(self, "read_exactly")
    end
  end
  return self.input:take(n)
end

local function check_most(what, opts)
  return options.check(what, opts, {max = options.kinds.count}).max
end

--- Waits until the text searched for is there: how many bytes are before it; false at the end; nil, err.
local function seek_text(self, what, text, most)
  local search = buffers.search(text)
  while true do
    local at = self.input:find(search)
    if (at or self.input.size) > most then return too_large(self, what, most) end
    if at then return at end
    local more, err = self:more()
    if not more then return more, err end
  end
end

--- Returns what comes before a delimiter, and takes both. At the end of the stream: nil; if something was left, an
--- error of kind "incomplete", with `partial`. More than `max` bytes (64 MiB): an error of kind "too_large"; nothing
--- is taken.
---@async
---@param delimiter string
---@param opts {max: integer?}?
---@return string? text
---@return muster.error?
function Reader:read_until(delimiter, opts)
  if failure.check_string("read_until", delimiter) == "" then error("read_until: the delimiter is empty", 2) end
  local most = check_most("read_until", opts) or MOST
  checkpoint()
  if self.closed then return failure.closed("read_until " .. self.name) end
  local at, err = seek_text(self, "read_until", delimiter, most)
  if at then
    local text = self.input:take(at)
    self.input:take(#delimiter)
    return text
  end
  if at == nil or self.input.size == 0 then return nil, err end
  return incomplete(self, "read_until")
end

--- Returns all there is up to the end, "" if nothing. More than `max` bytes: nil and an error of kind "too_large".
---@async
---@param opts {max: integer?}?
---@return string? text
---@return muster.error?
function Reader:read_all(opts)
  local most = check_most("read_all", opts) or math.huge
  checkpoint()
  if self.closed then return failure.closed("read_all " .. self.name) end
  repeat
    if self.input.size > most then return too_large(self, "read_all", most) end
    local more, err = self:more()
    if more == nil then return nil, err end
  until not more
  return self.input:take_all()
end

local function next_line(self, most)
  checkpoint()
  if self.closed then return failure.closed("lines " .. self.name) end
  local at, err = seek_text(self, "lines", "\n", most)
  if at then
    local line = self.input:take(at)
    self.input:take(1)
    return line
  end
  if at == nil then return nil, err end
  if self.input.size > 0 then return self.input:take_all() end -- the last line need not end
end

--- Iterates over lines, without their "\n"; the last one need not have it. A failure raises, as in io.lines.
---@async
---@param opts {max: integer?}? max: bytes of a line, 64 MiB unless given
---@return fun(): string?
function Reader:lines(opts)
  local most = check_most("lines", opts) or MOST
  return function()
    local line, err = next_line(self, most)
    if err then error(err, 0) end
    return line
  end
end

--- Iterates over pieces as they come, at most `size` bytes each. A failure raises, as in io.lines.
---@async
---@param opts {size: integer?}? 65536 unless given
---@return fun(): string?
function Reader:chunks(opts)
  local size = options.check("chunks", opts, M.chunk_options).size
  return function()
    local text, err = self:read(size)
    if err then error(err, 0) end
    return text
  end
end

return M
