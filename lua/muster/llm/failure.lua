--- Errors of providers, in whatever shape they come, as errors of kind "api".
local after = require "muster.retry".after
local core = require "muster.core"
local wire = require "muster.llm.wire"

local M = {}

local given, typed = wire.given, wire.typed

-- ---- what the service said ----

local function first_of(list)
  return type(list) == "table" and type(list[1]) == "table" and list[1] or nil
end

--- FastAPI's: a text, or a list of {loc, msg}.
local function detail(value)
  if type(value) == "string" then return value end
  local first = first_of(value)
  return first and typed("string", first.msg)
end

local function from_table(inner, outer)
  return {
    message = typed("string", inner.message) or typed("string", inner.msg) or detail(inner.detail),
    type = typed("string", given(inner.type)), param = typed("string", given(inner.param)),
    code = given(inner.code), status = typed("string", inner.status), metadata = typed("table", inner.metadata),
    request_id = typed("string", outer.request_id),
  }
end

--- The problem that a body tells of, or nil. Known shapes: {error: {…}}, {error: "text"}, a flat body that says it is
--- an error, and the same in a list; with `failed`, any body with a message.
---@param body any decoded
---@param failed boolean? is it known from the status that this is an error?
---@return table? problem message, type, param, code
function M.problem(body, failed)
  if type(body) ~= "table" then return nil end
  local inner = given(body.error)
  if type(inner) == "table" then return from_table(inner, body) end
  if type(inner) == "string" then
    return {message = inner, type = typed("string", body.type), code = given(body.code)}
  end
  if body.object == "error" or body.type == "error" then return from_table(body, body) end
  if not inner and first_of(body) and body[1].error ~= nil then return M.problem(body[1], failed) end
  if failed and (body.message or body.msg or body.detail) then return from_table(body, body) end
end

-- ---- how long to wait ----

--- Seconds that the service wants us to wait, or nil. A date counts from the service's own clock if it tells it.
---@param headers table names to values, without regard to case
---@return number?
function M.retry_after(headers) return after(headers).retry_after end

-- ---- what it means ----

local statuses = { -- of those that say it in the body only
  overloaded_error = 529, rate_limit_error = 429, rate_limit_exceeded = 429, too_many_requests = 429,
  insufficient_quota = 429, authentication_error = 401, invalid_api_key = 401, permission_error = 403,
  billing_error = 402, not_found_error = 404, invalid_request_error = 400, request_too_large = 413, api_error = 500,
  server_error = 500, internal_server_error = 500, timeout_error = 504, unavailable_error = 503,
}

local fatal = { -- nothing will go any better until somebody does something
  insufficient_quota = true, credit_balance_exhausted = true, billing_hard_limit_reached = true,
  billing_not_active = true, billing_error = true, spend_limit_exceeded = true, account_deactivated = true,
  invalid_api_key = true, access_terminated = true,
}

local fatal_texts = {
  "credit balance", "spend%a* limit", "reached your [%a ]*usage limit", "billing hard limit", "insufficient balance",
  "requires more credits",
}

local fatal_statuses = {[401] = true, [402] = true, [403] = true}
local retryable_statuses = {[408] = true, [409] = true, [429] = true}

local function status_of(status, problem)
  if status and status >= 400 then return status end
  local code = math.tointeger(tonumber(problem.code))
  if code and code >= 400 and code < 600 then return code end
  return statuses[problem.type] or statuses[problem.code] or 500
end

--- Was it this request's text that was refused, and not whoever sent it?
local function is_moderation(problem)
  local text = (problem.message or ""):lower()
  return problem.metadata and problem.metadata.flagged_input ~= nil or text:find "moderation" or text:find "flagged"
end

local function is_fatal(status, problem)
  if fatal[problem.code] or fatal[problem.type] then return true end
  local text = (problem.message or ""):lower()
  for _, pattern in ipairs(fatal_texts) do
    if text:find(pattern) then return true end
  end
  if status == 403 and is_moderation(problem) then return false end
  return fatal_statuses[status] or false
end

local function is_filter(status, problem)
  return problem.code == "content_filter" or problem.code == "content_policy_violation"
    or status == 403 and is_moderation(problem)
end

local function wants_retry(status, headers)
  local said = headers["x-should-retry"]
  if said == "true" then return true end
  if said == "false" then return false end
  return retryable_statuses[status] or status >= 500 and status ~= 501
end

local MOST_TEXT = 300

--- The start of a body that is no JSON, such as a proxy's page.
local function excerpt(text)
  text = text:match "<title>%s*(.-)%s*</title>" or text:gsub("<[^>]*>", " ")
  text = wire.clean(text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
  if #text <= MOST_TEXT then return text end
  return text:sub(1, utf8.offset(text, 0, MOST_TEXT) - 1) .. "…"
end

local function text_of(status, problem)
  local text = problem.message and excerpt(problem.message) or problem.type
  return text and text ~= "" and text or "status " .. status .. " without a word"
end

local function kind_and_code(status, problem)
  if is_filter(status, problem) then return "content_filter", problem.code end
  local text = (problem.message or ""):lower()
  local long = problem.code == "context_length_exceeded" or status == 413 or text:find "context length"
    or text:find "context size" or text:find "prompt is too long" or text:find "context window"
  return "api", long and status < 500 and "context_length_exceeded" or problem.code
end

--- An error of kind "api", or "content_filter" if what was sent is refused for what it says.
---@param provider string its name
---@param status integer? of the response; nil or 200 if the error came inside of it
---@param headers table
---@param problem table as `M.problem` gives it
---@return muster.llm.error
function M.new(provider, status, headers, problem)
  status = status_of(status, problem)
  local kind, code = kind_and_code(status, problem)
  local stop = kind == "api" and is_fatal(status, problem)
  local limited = not stop and status == 429
  return core.error(kind, ("%s: %s (%d)"):format(provider, text_of(status, problem), status), {
    provider = provider, status = status, code = code, type = problem.type or problem.status, param = problem.param,
    fatal = stop, limited = limited, retry_after = not stop and M.retry_after(headers) or nil,
    retryable = not stop and kind == "api" and wants_retry(status, headers) or false,
    request_id = problem.request_id or headers["x-request-id"] or headers["request-id"],
  })
end

--- The error of a response whose status says that it is one.
---@param text string the body
---@return muster.llm.error
function M.from_response(provider, status, headers, text)
  local body = wire.decode(text)
  return M.new(provider, status, headers, M.problem(body, true) or {message = excerpt(text)})
end

--- What a service that speaks another language than expected has said; it may do better next time.
---@return muster.llm.error
function M.nonsense(provider, what, text)
  local said = text and text ~= "" and ": " .. excerpt(text) or ""
  return core.error("api", ("%s: %s%s"):format(provider, what, said),
    {provider = provider, type = "nonsense", retryable = true, fatal = false, limited = false})
end

--- The stream ended before the answer did.
---@return muster.llm.error
function M.cut(provider)
  return core.error("reset", provider .. ": the stream ended before the answer did",
    {provider = provider, retryable = true, fatal = false, limited = false})
end

-- ---- what the service cannot do ----

local subjects = {
  tools = {"tool", "function"},
  json_schema = {"response_format", "json_schema", "output_config", "schema", "format", "grammar", "structured output"},
  json = {"response_format", "json_object", "format"},
}

local rejections = {[400] = true, [404] = true, [405] = true, [422] = true, [500] = true, [501] = true}

--- Does the error say that the service does not know a mode of asking for records?
---@param err table
---@param mode "tools"|"json_schema"|"json"
---@return boolean
function M.unsupported(err, mode)
  if err.kind ~= "api" or not rejections[err.status] or err.code == "context_length_exceeded" then return false end
  local text = ((err.param or "") .. " " .. err.message):lower()
  local subject = false
  for _, word in ipairs(subjects[mode]) do
    if text:find(word, 1, true) then subject = true end
  end
  if not subject then return false end
  if err.status < 500 then return true end
  return text:find("support", 1, true) ~= nil or text:find("implement", 1, true) ~= nil
end

return M
