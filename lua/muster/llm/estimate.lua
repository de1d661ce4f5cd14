--- How many tokens a text will be: by its bytes, and by what the answers told of those before.
local M = {}

local PRIOR = {bytes = 4000, tokens = 1000} -- before anything is known: 4 bytes a token
local OUTPUT = 256
local MARGIN, FORGET = 1.25, 0.999 -- over the dearest text so far; how it is forgotten, from answer to answer

---@class muster.llm.estimator
---@field bytes number of prompts so far
---@field tokens number they were
---@field dearest number? tokens a byte of the prompt that had most
---@field outputs number tokens of answers
---@field answers integer
local Estimator = {}
Estimator.__index = Estimator

---@return muster.llm.estimator
function M.new()
  return setmetatable({bytes = PRIOR.bytes, tokens = PRIOR.tokens, outputs = 0, answers = 0}, Estimator)
end

--- Tokens that so many bytes of a prompt are.
---@return integer
function Estimator:input(bytes) return math.ceil(bytes * self.tokens / self.bytes) end

--- Tokens that so many bytes are at most: for budgets. A token a byte at first, then more than the dearest before.
---@return integer
function Estimator:most(bytes)
  local dearest = self.dearest or 1 / MARGIN
  return math.ceil(bytes * math.max(dearest, math.min(1, dearest * MARGIN)))
end

--- Tokens of an answer: as many as those before had.
---@return integer
function Estimator:output()
  if self.answers == 0 then return OUTPUT end
  return math.ceil(self.outputs / self.answers)
end

--- Learns from what an answer tells. What is long ago counts less.
function Estimator:learn(bytes, usage)
  if self.tokens > 1e6 then self.bytes, self.tokens = self.bytes / 2, self.tokens / 2 end
  if usage.input > 0 then
    self.bytes, self.tokens = self.bytes + bytes, self.tokens + usage.input
    self.dearest = math.max(usage.input / bytes, (self.dearest or 0) * FORGET)
  end
  if self.answers >= 1000 then self.outputs, self.answers = self.outputs / 2, self.answers // 2 end
  self.outputs, self.answers = self.outputs + usage.output, self.answers + 1
end

--- Usage where a service tells none.
---@return muster.llm.usage
function Estimator:guess(bytes, answer_bytes)
  local input, output = self:input(bytes), math.ceil(answer_bytes / 4)
  return {input = input, output = output, total = input + output, estimated = true}
end

return M
