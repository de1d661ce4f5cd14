--- extract: a record that is right, or an error that keeps what came.
local answer = require "muster.llm.answer"
local core = require "muster.core"
local engine = require "muster.llm.engine"
local hooks = require "muster.llm.hooks"
local job = require "muster.llm.job"
local modes = require "muster.llm.modes"
local plans = require "muster.llm.plan"
local reask = require "muster.llm.reask"
local scan = require "muster.llm.scan"

local M = {}

local REASKS = 2
local NO_CALLS = 2      -- so many answers without the tool call, and the next mode is tried
local LEAST_CAP = 1024  -- tokens

---@class muster.llm.extraction the state of one
---@field plan muster.llm.plan
---@field job muster.llm.job
---@field opts table
---@field ladder muster.llm.ladder
---@field original table[] the messages of the user
---@field messages table[] those of the next try
---@field cap integer? max_tokens of the next try
---@field raised boolean was the cap raised?
---@field no_calls integer answers without the tool call

-- ---- asking ----

--- Asks, in the best mode that the service can do.
local function ask(self)
  while true do
    local mode = self.ladder:mode()
    local call = self.plan:call(mode, self.messages, self.opts)
    call.max_tokens = self.cap
    self.job.mode = mode
    local result, err = engine.send(self.job, call)
    if result then return result end
    if not self.ladder:down_after(err) then return nil, err end
  end
end

-- ---- answers that are none ----

--- Errors of an answer that is no record, and that asking again makes no better.
function M.declined(result)
  if result.refusal then
    return core.error("refusal", "llm: the model refused: " .. result.refusal, {refusal = result.refusal})
  elseif result.finish_reason == "content_filter" then
    return core.error("content_filter", "llm: the answer was withheld by a filter", {raw = result.content})
  elseif result.prompt_cut then
    return core.error("truncated", "llm: the service has cut the prompt to its context, and read not all of it",
      {where = "prompt"})
  end
end

--- The error of an answer that was cut at its limit: with what is whole of it.
---@return muster.llm.error
function M.truncated(plan, opts, text, cap)
  local whole = text and scan.salvage(text)
  local value = whole and plan:unwrap((answer.parse(whole)))
  local items, rejects = plan:sound_items(value, opts)
  local at = cap and (" at %d tokens"):format(cap) or ""
  return core.error("truncated", ("llm: the answer was cut%s%s"):format(at, items
    and ("; %d items of it are whole"):format(#items) or ""),
    {where = "answer", value = items or value, rejects = rejects, raw = text, max_tokens = cap})
end

-- ---- reading ----

--- The first of the values that is right.
local function check(self, reading)
  local problems, value = reading.problems, nil
  for _, candidate in ipairs(reading.several or reading.values) do
    local inner = self.plan:unwrap(candidate)
    local record, wrong, spans = plans.check(self.plan.schema, inner, self.opts, plans.ground(self.source))
    if record ~= nil then
      if not value then value = {record = record, spans = spans} else return nil, reading.problems, inner end
    else
      problems = reading.problems or problems or wrong
      self.last = inner
    end
  end
  if value then return value end
  return nil, problems or reask.problem("type", "expected a record, got null"), self.last
end

--- The same, and that the name was wrong, if it was.
local function named(reading, problems, plan)
  if not reading.wrong_name then return problems end
  local list = table.move(problems, 1, #problems, 1, {})
  local message = ("the tool is called %s, not %q"):format(plan.name, reading.wrong_name)
  list[#list + 1] = {path = "", kind = "tool", message = message}
  return reask.problems(list)
end

-- ---- the loop ----

--- Raises the limit of the answer, once. False if that was done.
local function raise_cap(self, result)
  if self.raised then return false end
  local written = result.usage and result.usage.output or 0
  self.raised, self.cap = true, 2 * math.max(self.cap or 0, written, LEAST_CAP)
  return true
end

local function failure(self, problems, value, raw)
  local err = reask.failure(problems, value, raw)
  err.items, err.rejects = self.plan:sound_items(value, self.opts)
  return err
end

--- Prepares the next try. False if there have been enough.
local function ask_again(self, reading, problems)
  local work = self.job
  if reading.no_call then
    self.no_calls = self.no_calls + 1
    if self.no_calls >= NO_CALLS and self.ladder:down() then
      self.messages = self.original
      return true
    end
  end
  if work.reasks >= (self.opts.reasks or REASKS) then return false end
  work.reasks, work.client.totals.reasks = work.reasks + 1, work.client.totals.reasks + 1
  hooks.fire(work.client, "reask", problems, {reask = work.reasks, model = work.model, mode = work.mode,
                                              answer = reading.text})
  self.messages = reask.messages(self.original, reading.text, problems, self.plan:how(work.mode))
  return true
end

--- One try. -> done, record, err
local function try(self)
  local result, err = ask(self)
  if not result then return true, nil, err end
  err = M.declined(result)
  if err then return true, nil, err end
  local reading = answer.read(result, self.job.mode, self.plan.name, self.plan.key)
  local value, problems, wrong = check(self, reading)
  if value then
    self.job.spans = value.spans
    return true, value.record
  end
  if result.finish_reason == "length" then
    if raise_cap(self, result) then return false end
    return true, nil, M.truncated(self.plan, self.opts, reading.text, self.cap)
  end
  problems = named(reading, problems, self.plan)
  if ask_again(self, reading, problems) then return false end
  return true, nil, failure(self, problems, wrong, reading.text)
end

--- A record that is right, or nil and an error that keeps what came.
---@async
---@param opts table complete
---@return any record
---@return muster.llm.meta|muster.llm.error
function M.extract(client, node, messages, opts)
  local work = job.new(client, opts.model)
  local self = {
    plan = plans.of(node), job = work, opts = opts, ladder = modes.of(work, opts.mode), original = messages,
    messages = messages, cap = opts.max_tokens, no_calls = 0, source = plans.source(opts, messages),
  }
  while true do
    local done, record, err = try(self)
    if done then
      client.totals.items = client.totals.items + 1
      if err then return work:fail(err) end
      return record, work:meta()
    end
  end
end

return M
