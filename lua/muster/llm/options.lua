--- What may be told to a client and to its calls; misuse raises.
local cost = require "muster.llm.cost"
local hooks = require "muster.llm.hooks"
local kinds = require "muster.options".kinds
local retry = require "muster.retry"
local schema = require "muster.schema"

local M = {}

-- ---- kinds ----

local function is(kind, text) return {function(v) return type(v) == kind end, text or "a " .. kind} end

local is_callable = require "muster.options".is_callable

local function has(method) return function(v) return type(v) ~= "string" and v[method] ~= nil end end

local function is_hooks(v)
  if type(v) ~= "table" then return false end
  for name, hook in pairs(v) do
    if not hooks.names[name] or not is_callable(hook) then return false end
  end
  return true
end

local function is_amount(v) return type(v) == "number" and v >= 0 end

local function is_budget(v)
  if type(v) ~= "table" then return false end
  for name, value in pairs(v) do
    if name ~= "tokens" and name ~= "money" and name ~= "seconds" then return false end
    if not is_amount(value) then return false end
  end
  return true
end

local a_string, a_table = is "string", is "table"
local not_empty = {function(v) return type(v) == "string" and v ~= "" end, "a string, not empty"}
local object = {function(v) return (type(v) == "table" or type(v) == "userdata") and has "request" (v) end,
                "an object with a method 'request'"}

local parts_of_time = {connect = true, first_byte = true, idle = true, total = true}

local function is_timeout(v)
  if type(v) ~= "table" then return is_amount(v) end
  for name, value in pairs(v) do
    if not parts_of_time[name] or not is_amount(value) then return false end
  end
  return true
end

local function is_headers(v)
  if type(v) ~= "table" then return false end
  for name, value in pairs(v) do
    if type(name) ~= "string" or type(value) ~= "string" or value:find "%c" then return false end
  end
  return true
end

local function is_fields(v)
  if type(v) ~= "table" then return false end
  for name in pairs(v) do
    if type(name) ~= "string" then return false end
  end
  return true
end

local is_positive = {function(v) return math.type(v) == "integer" and v >= 1 end, "an integer of at least 1"}
local fields = {is_fields, "a table with names for keys"}

local function is_adapter(v)
  return type(v) == "table" and type(v.request) == "function" and type(v.response) == "function"
end

M.client = {
  provider = {function(v) return type(v) == "string" or is_adapter(v) end, "a name or an adapter"},
  base_url = {function(v) return type(v) == "string" and v:find "^%a[%w+.-]*://." ~= nil end,
              "a URL such as https://host/v1"},
  model = not_empty, limiter = a_table, retry = a_table,
  api_key = {function(v) return type(v) == "string" or is_callable(v) end, "a string or a function"},
  cache = {function(v) return type(v) == "table" and v.get and v.put end, "an object with methods 'get' and 'put'"},
  hooks = {is_hooks, "a table of functions: request, response, error, retry, reask"},
  prices = {cost.is_prices, "a table of {input=, output=, cached=} by models"},
  budget = {is_budget, "a table of tokens, money, seconds"},
  timeout = {is_timeout, "a number of seconds, or a table of connect, first_byte, idle, total"},
  headers = {is_headers, "a table of names and values, each a string of one line"},
  transport = object, concurrency = kinds.count, extra = fields, max_tokens = is_positive,
  temperature = is("number", "a number"),
}

local call = {
  model = not_empty, max_tokens = is_positive, temperature = is("number", "a number"), extra = fields,
}

local function extended(more)
  local made = {}
  for name, kind in pairs(call) do made[name] = kind end
  for name, kind in pairs(more) do made[name] = kind end
  return made
end

local chat = extended {
  messages = {function(v) return type(v) == "string" or type(v) == "table" end, "a list or a string"},
  system = a_string, tools = a_table, tool = a_string,
}

local extract = extended {
  mode = {function(v) return v == "tools" or v == "json_schema" or v == "json" end, '"tools", "json_schema" or "json"'},
  instructions = a_string, reasks = kinds.size, coerce = kinds.flag, source = a_string,
  grounding = {function(v) return v == true or type(v) == "table" end, "true or a list of fields"},
}

local many = {settle = kinds.flag}
for name, kind in pairs(extract) do
  if name ~= "reasks" then many[name] = kind end
end

local estimate = {output_tokens = kinds.size, latency = kinds.seconds}
for name, kind in pairs(extract) do estimate[name] = kind end

-- ---- checks ----

-- Errors have no position here: `checked` gives them that of the script.

local function fail(text, ...) error(text:format(...), 0) end

--- A value for an error: keys and passwords are not shown.
local function shown(name, value)
  if name == "api_key" then return type(value) end
  return (tostring(value):gsub("[^/@]*@", "***@"))
end

local function check(what, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then fail("%s: options must be a table, got %s", what, type(opts)) end
  for name, value in pairs(opts) do
    local kind = known[name]
    if not kind then fail("%s: unknown option '%s'", what, tostring(name)) end
    if not kind[1](value) then
      fail("%s: option '%s' must be %s, got %s", what, name, kind[2], shown(name, value))
    end
  end
  return opts
end

local roles = {system = true, developer = true, user = true, assistant = true, tool = true}

--- Messages as a list: a text is one of the user.
local function messages_of(what, value)
  if type(value) == "string" then return {{role = "user", content = value}} end
  if type(value) ~= "table" or not value[1] then
    local got = type(value) == "table" and "an empty table" or type(value)
    fail("%s: expected a text or a list of messages, got %s", what, got)
  end
  for i, message in ipairs(value) do
    if type(message) ~= "table" or not roles[message.role] then
      fail("%s: message %d must be a table with a role (system, user, assistant, tool) and content", what, i)
    end
  end
  return value
end

--- A copy of the options, with those of the client where there are none.
local function completed(what, client, opts)
  local made = {}
  for name, value in pairs(opts) do made[name] = value end
  made.model = made.model or client.model
  if not made.model then fail("%s: no model, neither here nor of the client", what) end
  if made.max_tokens == nil then made.max_tokens = client.max_tokens end
  if made.temperature == nil then made.temperature = client.temperature end
  if client.extra or made.extra then
    local extra = {}
    for name, value in pairs(client.extra or {}) do extra[name] = value end
    for name, value in pairs(made.extra or {}) do extra[name] = value end
    made.extra = extra
  end
  return made
end

--- A budget that cannot count what a model costs would not be one.
local function check_price(what, client, model)
  if client.budget and client.budget.money < math.huge and not cost.price(client.prices, model) then
    fail("%s: there is a budget of money, but no price of the model '%s'", what, model)
  end
end

--- Of chat and stream; a text, or a list of messages, instead of options is those.
---@return table opts
function M.chat(what, client, opts)
  if type(opts) == "string" or type(opts) == "table" and opts[1] then opts = {messages = opts} end
  opts = completed(what, client, check(what, opts, chat))
  check_price(what, client, opts.model)
  opts.messages = messages_of(what, opts.messages)
  return opts
end

--- Of extract, extract_many and partial.
---@return table opts
---@return table[] messages
function M.extract(what, client, node, input, opts)
  if not schema.is(node) then fail("%s: argument 1 must be a schema, got %s", what, type(node)) end
  opts = completed(what, client, check(what, opts, what == "extract" and extract or many))
  check_price(what, client, opts.model)
  return opts, messages_of(what, input)
end

--- Of an estimate, which knows two more.
---@return table opts
function M.estimate(what, client, node, texts, opts)
  if type(texts) ~= "string" and type(texts) ~= "table" and not is_callable(texts) then
    fail("%s: expected texts: a list, an iterator or one, got %s", what, type(texts))
  end
  if not schema.is(node) then fail("%s: argument 1 must be a schema, got %s", what, type(node)) end
  return completed(what, client, check(what, opts, estimate))
end

--- Of a client.
---@return table opts
function M.of_client(opts)
  if type(opts) ~= "table" then fail("llm.client: options must be a table, got %s", type(opts)) end
  check("llm.client", opts, M.client)
  retry.check("llm.client: retry", opts.retry)
  if opts.budget and opts.budget.money and not opts.prices then fail "llm.client: a budget of money needs prices" end
  return opts
end

--- Calls one of these; what it raises has the position of the caller of its caller.
function M.checked(fn, ...)
  local ok, a, b = pcall(fn, ...)
  if ok then return a, b end
  if type(a) ~= "string" then error(a, 0) end
  error((a:gsub("^%S*muster/%S+%.lua:%d+: ", "")), 3)
end

return M
