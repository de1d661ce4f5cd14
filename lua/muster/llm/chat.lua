--- chat and stream: messages in, an answer out.
local engine = require "muster.llm.engine"
local job = require "muster.llm.job"

local M = {}

--- The call of what a user asks.
local function call_of(opts)
  return {
    messages = opts.messages, system = opts.system, tools = opts.tools, tool = opts.tool, max_tokens = opts.max_tokens,
    temperature = opts.temperature, extra = opts.extra,
  }
end

--- Asks, and returns the answer as it is: a refusal and a cut one too.
---@async
---@param opts table complete
---@return muster.llm.result?
---@return muster.llm.meta|muster.llm.error
function M.chat(client, opts)
  local work = job.new(client, opts.model)
  local result, err = engine.send(work, call_of(opts))
  if not result then return work:fail(err) end
  return result, work:meta()
end

-- ---- streams ----

---@class muster.llm.stream an iterator over deltas
local Stream = {}
Stream.__index = Stream

local function open(self)
  if self.closed then return nil end
  local err
  self.live, err = engine.open(self.job, self.call)
  if self.live then return self.live end
  local _
  _, self.err = self.job:fail(err)
  error(self.err, 0)
end

--- The next delta, or nil at the end. Raises what breaks the answer off.
function Stream:__call()
  if self.err then error(self.err, 0) end
  local live = self.live or open(self)
  if not live then return nil end
  local delta, err = live:next()
  if delta then return delta end
  if err then
    local _
    _, self.err = self.job:fail(err)
    error(self.err, 0)
  end
end

--- The whole answer, once the loop has come to its end; else nil, and the error that broke it off.
---@return muster.llm.result?
---@return muster.llm.meta|muster.llm.error|nil
function Stream:result()
  local result = self.live and self.live.result
  if result then return result, self.job:meta() end
  return nil, self.err
end

--- Gives connection and permit back. Leaving a loop does this.
function Stream:close(err)
  self.closed = true
  if self.live then self.live:close(err) end
end

Stream.__close = Stream.close

--- An iterator over what is added to the answer. It asks when it is called first.
---@return muster.llm.stream
function M.stream(client, opts)
  local self = setmetatable({job = job.new(client, opts.model), call = call_of(opts)}, Stream)
  return self, nil, nil, self
end

return M
