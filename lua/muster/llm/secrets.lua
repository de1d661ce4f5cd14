--- The secrets of a client. They are in functions only, so that no table shows them.
local providers = require "muster.llm.providers"
local redact = require "muster.redact"

local M = {}

local MOST = 16 -- keys remembered, of those that change

--- A key as a header can hold it, or nil.
local function checked(key)
  if key == nil or type(key) == "string" and key ~= "" and not key:find "%c" then return key end
  local got = type(key) ~= "string" and type(key) or key == "" and "an empty one" or "one with control characters"
  error("llm: the API key must be a string of one line, got " .. got, 0)
end

---@class muster.llm.secrets
---@field headers fun(): table those of a request
---@field redact fun(text: string): string
---@field clean fun(err: table): table the same error without secrets
---@field id string tells one key from another

---@param adapter table
---@param opts table of llm.client
---@param url string
---@return muster.llm.secrets
function M.of(adapter, opts, url)
  local key, extra, known = opts.api_key or providers.key(adapter), opts.headers, {}
  redact.add_headers(known, extra)
  redact.add_url(known, url)
  local fixed = #known
  if type(key) == "string" then checked(key) end
  local function current()
    local now = checked(type(key) == "string" and key or key and key())
    redact.add(known, now)
    if #known > fixed + MOST then table.remove(known, fixed + 1) end
    return now
  end
  local function headers()
    local made = adapter.headers(current())
    for name, value in pairs(extra or {}) do made[name] = value end
    return made
  end
  local function hide(text) return redact.text(text, known) end
  local function clean(err)
    if type(err) ~= "table" then return err end
    for name, value in pairs(err) do
      if type(value) == "string" then rawset(err, name, hide(value)) end
    end
    return err
  end
  return {headers = headers, redact = hide, clean = clean, id = type(key) == "string" and key or tostring(key or "")}
end

return M
