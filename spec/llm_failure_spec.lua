local failure = require "muster.llm.failure"
local wire = require "muster.llm.wire"

local function from(status, body, headers)
  return failure.from_response("service", status, headers or {}, type(body) == "table" and wire.encode(body) or body)
end

--- Asserts that the error has the fields expected; false stands for nil or false.
local function assert_fields(expected, err, what)
  for name, value in pairs(expected) do
    local text = what .. ": " .. name
    if value then assert.equal(value, err[name], text) else assert.falsy(err[name], text) end
  end
end

local shapes = { -- status, body, what comes of it
  {"OpenAI's", 400, {error = {message = "bad", type = "invalid_request_error", param = "model", code = "x"}},
    {message = "service: bad (400)", type = "invalid_request_error", param = "model", code = "x", retryable = false}},
  {"nulls in it", 400, '{"error":{"message":"bad","type":"t","param":null,"code":null}}',
    {message = "service: bad (400)", param = false, code = false}},
  {"flat", 400, {object = "error", message = "flat", type = "BadRequestError", code = 400},
    {message = "service: flat (400)", type = "BadRequestError", code = 400}},
  {"flat, without saying so", 422, {message = "flat"}, {message = "service: flat (422)"}},
  {"a text", 404, {error = "model 'x' not found"}, {message = "service: model 'x' not found (404)"}},
  {"a detail", 422, {detail = "no"}, {message = "service: no (422)"}},
  {"a list of details", 422, {detail = {{loc = {"body", "x"}, msg = "field required"}}},
    {message = "service: field required (422)"}},
  {"in a list", 400, {{error = {code = 400, message = "API key not valid", status = "INVALID_ARGUMENT"}}},
    {message = "service: API key not valid (400)", type = "INVALID_ARGUMENT"}},
  {"a proxy's page", 502, "<html><head><title>502 Bad Gateway</title></head><body>x</body></html>",
    {message = "service: 502 Bad Gateway (502)", retryable = true}},
  {"nothing", 500, "", {message = "service: status 500 without a word (500)", retryable = true}},
  {"loading", 503, {error = {code = 503, message = "Loading model", type = "unavailable_error"}},
    {message = "service: Loading model (503)", retryable = true, limited = false, fatal = false}},
  {"overloaded", 529, {type = "error", error = {type = "overloaded_error", message = "Overloaded"}, request_id = "r1"},
    {type = "overloaded_error", retryable = true, limited = false, request_id = "r1"}},
  {"too fast", 429, {error = {message = "slow down", type = "requests", code = "rate_limit_exceeded"}},
    {retryable = true, limited = true, fatal = false}},
  {"quota", 429, {error = {message = "You exceeded your current quota", type = "insufficient_quota",
                           code = "insufficient_quota"}}, {retryable = false, limited = false, fatal = true}},
  {"a message about quota that is a limit of rate", 429, {error = {code = 429, status = "RESOURCE_EXHAUSTED",
    message = "You exceeded your current quota"}}, {retryable = true, limited = true, fatal = false}},
  {"credit", 429, {error = {message = "x", code = "credit_balance_exhausted"}}, {fatal = true, retryable = false}},
  {"credit, as a bad request", 400, {type = "error", error = {type = "invalid_request_error",
    message = "Your credit balance is too low to access the API."}}, {fatal = true, retryable = false}},
  {"a limit of spending", 400, {type = "error", error = {type = "invalid_request_error",
    message = "You have reached your specified API usage limits. You will regain access on …"}}, {fatal = true}},
  {"a limit of use", 429, {error = "you have reached your usage limit"}, {fatal = true, limited = false}},
  {"no key", 401, {error = {message = "no", code = "invalid_api_key"}}, {fatal = true, retryable = false}},
  {"not allowed", 403, {error = {message = "region"}}, {fatal = true, retryable = false}},
  {"payment", 402, {error = {message = "Insufficient Balance"}}, {fatal = true}},
  {"this text is refused", 403, {error = {code = 403, message = "Your input was flagged",
    metadata = {flagged_input = "…"}}}, {kind = "content_filter", fatal = false, retryable = false}},
  {"filtered", 400, {error = {code = "content_filter", message = "x"}},
    {kind = "content_filter", fatal = false, retryable = false}},
  {"too long", 400, {error = {message = "This model's maximum context length is 8192 tokens"}},
    {code = "context_length_exceeded", retryable = false}},
  {"conflict", 409, {}, {retryable = true}}, {"timeout", 408, {}, {retryable = true}},
  {"not there", 404, {}, {retryable = false, fatal = false}},
}

describe("llm.failure", function()
  for _, case in ipairs(shapes) do
    it("understands: " .. case[1], function()
      local err = from(case[2], case[3])
      assert.equal(case[4].kind or "api", err.kind)
      assert.equal(case[2], err.status)
      assert_fields(case[4], err, case[1])
    end)
  end

  it("believes x-should-retry more than the status", function()
    assert.is_true(from(400, {}, {["x-should-retry"] = "true"}).retryable)
    assert.is_false(from(500, {}, {["x-should-retry"] = "false"}).retryable)
  end)

  it("does not retry what is fatal, whatever x-should-retry says", function()
    assert.is_false(from(401, {}, {["x-should-retry"] = "true"}).retryable)
  end)

  it("knows a status from the body, where there is no other", function()
    local cases = {
      {{error = {code = 429, message = "x"}}, 429}, {{error = {type = "overloaded_error"}}, 529},
      {{error = {type = "rate_limit_error"}}, 429}, {{error = {code = "500"}}, 500}, {{error = "x"}, 500},
      {{error = {type = "authentication_error"}}, 401}, {{error = {code = 17}}, 500},
    }
    for _, case in ipairs(cases) do
      assert.equal(case[2], failure.new("service", 200, {}, failure.problem(case[1])).status)
    end
  end)

  it("sees no problem in an answer", function()
    for _, body in ipairs {{}, {choices = {}}, {error = wire.null, choices = {}}, {message = {content = "x"}}} do
      assert.is_nil(failure.problem(body))
    end
  end)

  it("cuts what is long at a character", function()
    local err = from(400, {error = ("é"):rep(1000)})
    assert.is_true(#err.message < 400)
    assert.truthy(utf8.len(err.message))
  end)
end)

describe("llm.failure.retry_after", function()
  it("reads milliseconds first, then seconds, then dates", function()
    local now = "Sun, 06 Nov 1994 08:49:37 GMT"
    local cases = {
      {{}, nil}, {{["retry-after"] = "2"}, 2}, {{["retry-after"] = "0.25"}, 0.25},
      {{["retry-after"] = "7", ["retry-after-ms"] = "1500"}, 1.5}, {{["retry-after"] = "soon"}, nil},
      {{["retry-after"] = "-1"}, nil}, {{["retry-after"] = "inf"}, nil},
      {{["retry-after"] = "Sun, 06 Nov 1994 08:50:07 GMT", date = now}, 30},
      {{["retry-after"] = "Mon, 07 Nov 1994 08:49:37 GMT", date = now}, 86400},
      {{["retry-after"] = "Sun, 06 Nov 1994 08:00:00 GMT", date = now}, 0},
      {{["retry-after"] = "Thu, 29 Feb 2024 00:00:10 GMT", date = "Wed, 28 Feb 2024 23:59:50 GMT"}, 20},
      {{["retry-after"] = "Fri, 01 Mar 2024 00:00:00 GMT", date = "Wed, 28 Feb 2024 00:00:00 GMT"}, 2 * 86400},
      {{["retry-after"] = "Wed, 01 Jan 2025 00:00:00 GMT", date = "Tue, 31 Dec 2024 23:59:59 GMT"}, 1},
    }
    for _, case in ipairs(cases) do assert.equal(case[2], failure.retry_after(case[1])) end
  end)

  it("counts a date from our clock, if the service does not tell its own", function()
    local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 1000)
    local seconds = failure.retry_after {["retry-after"] = date}
    assert.is_true(seconds > 900 and seconds <= 1000)
  end)
end)

describe("llm.failure.unsupported", function()
  local cases = {
    {400, "registry.ollama.ai/library/x does not support tools", "tools", true},
    {400, "Unsupported value: 'tool_choice'", "tools", true},
    {404, "No endpoints found that support tool use", "tools", true},
    {400, "'response_format.type' must be 'json_schema' or 'text'", "json", true},
    {400, "json: cannot unmarshal object into Go struct field ChatRequest.format of type string", "json_schema", true},
    {500, "tools are not supported by this template", "tools", true},
    {500, "the tool shed is on fire", "tools", false},
    {400, "temperature is too high", "tools", false},
    {429, "tools: too many", "tools", false},
    {404, "the model does not exist", "json_schema", false},
  }
  for i, case in ipairs(cases) do
    it("tells what a server cannot do from what went wrong, " .. i, function()
      assert.equal(case[4], failure.unsupported(from(case[1], {error = case[2]}), case[3]))
    end)
  end
end)
