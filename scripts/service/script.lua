--- Answers on demand: what the next requests get.
local faults = require "service.faults"

local M = {}

local known = {
  fault = "string", latency = "number", headers = "table", body = "string", content_type = "string",
  status = "number", message = "string", type = "string", code = "string", param = "string",
  retry_after = "number or string", retry_after_ms = "number",
  value = "any", content = "string", arguments = "string", calls = "table", refusal = "string", finish = "string",
  usage = "table",
}

local function wrong(text, ...) error(("script: " .. text):format(...), 0) end

local function check_table(step)
  for name, value in pairs(step) do
    local kind = known[name]
    if not kind then wrong("unknown field '%s'", tostring(name)) end
    if kind ~= "any" and not kind:find(type(value), 1, true) then
      wrong("'%s' must be a %s, got %s", name, kind, tostring(value))
    end
  end
  if step.status and (math.type(step.status) ~= "integer" or step.status < 200 or step.status > 599) then
    wrong("'status' must be from 200 to 599, got %s", tostring(step.status))
  end
  if step.fault and not faults.kinds[step.fault] then wrong("unknown fault '%s'", step.fault) end
  return step
end

--- Makes a step of what a script says: "ok", the name of a fault, a status, or a table.
---@return table
function M.step(step)
  if step == "ok" then return {} end
  if math.type(step) == "integer" then step = {status = step} end
  if type(step) == "string" then step = {fault = step} end
  if type(step) ~= "table" then wrong("expected \"ok\", a fault, a status or a table, got %s", tostring(step)) end
  return check_table(step)
end

--- The error that a step is, if it is one.
---@return table? problem
function M.problem(step)
  local headers = {}
  for name, value in pairs(step.headers or {}) do headers[name] = value end
  if step.retry_after then headers["retry-after"] = tostring(step.retry_after) end
  if step.retry_after_ms then headers["retry-after-ms"] = tostring(step.retry_after_ms) end
  local fault = step.fault and faults.kinds[step.fault]
  local problem = fault and fault.problem and fault.problem()
  if not problem and step.status and step.status ~= 200 or step.body then
    problem = {status = step.status or 200, message = step.message or "An error that was asked for.",
               type = step.type, code = step.code, param = step.param, body = step.body,
               content_type = step.content_type}
  end
  if problem then problem.headers = headers end
  return problem
end

--- The answer that a step gives, if it does not leave it to us.
---@param id string of a tool call
---@return table? answer
function M.answer(step, call, id, encode)
  local text = step.arguments or step.value ~= nil and encode(step.value) or nil
  local answer
  if step.calls then
    answer = {calls = {}, finish = "tool_calls"}
    for i, one in ipairs(step.calls) do
      answer.calls[i] = {id = one.id or id .. i, name = one.name, arguments = one.arguments or encode(one.value)}
    end
  elseif step.refusal then
    answer = {refusal = step.refusal, finish = "refusal"}
  elseif step.content then
    answer = {content = step.content, finish = "stop"}
  elseif text and call.mode == "tools" then
    local tool = call.tool or call.tools[1]
    answer = {calls = {{id = id, name = tool.name, arguments = text}}, finish = "tool_calls"}
  elseif text then
    answer = {content = text, finish = "stop"}
  end
  return answer
end

return M
