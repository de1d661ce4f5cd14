--- Taking secrets out of what is shown or kept: errors, hooks, tapes.
local M = {}

local LEAST = 8      -- bytes: what is shorter ("ollama", "none") is a word, and no secret
local LEAST_PART = 6 -- bytes of a secret that was cut off

local byte, find, sub = string.byte, string.find, string.sub

local names = {authorization = true, ["proxy-authorization"] = true, cookie = true}

local function is_secret_name(name)
  name = name:lower()
  return names[name] or find(name, "key", 1, true) or find(name, "token", 1, true) or find(name, "secret", 1, true)
end

--- Adds a secret to a list, unless it is none or there.
---@param list string[]
---@param secret any
function M.add(list, secret)
  if type(secret) ~= "string" or #secret < LEAST then return end
  for _, known in ipairs(list) do
    if known == secret then return end
  end
  list[#list + 1] = secret
end

--- Adds those that headers hold: of "Bearer abc" the second word.
---@param list string[]
---@param headers table?
function M.add_headers(list, headers)
  for name, value in pairs(type(headers) == "table" and headers or {}) do
    if type(name) == "string" and type(value) == "string" and is_secret_name(name) then
      M.add(list, value:match "^%a+%s+(%S+)$" or value)
    end
  end
end

--- Adds the password of a URL.
---@param list string[]
---@param url string
function M.add_url(list, url) M.add(list, url:match "^%a[%w+.-]*://[^/@:]*:([^/@]*)@") end

local function replaced(text, secret)
  local pieces, from = {}, 1
  while true do
    local first, last = find(text, secret, from, true)
    if not first then break end
    pieces[#pieces + 1] = sub(text, from, first - 1)
    from = last + 1
  end
  pieces[#pieces + 1] = sub(text, from)
  return table.concat(pieces, "***")
end

local CUT = "…"

--- How many bytes of a secret are at a place of a text.
local function shared(text, at, secret)
  local n = LEAST_PART
  while n < #secret and byte(text, at + n) == byte(secret, n + 1) do n = n + 1 end
  return n
end

--- Takes out the start of a secret where a text was cut.
local function without_parts(text, secret)
  local head, from = sub(secret, 1, LEAST_PART), 1
  while find(text, CUT, from, true) do
    local at = find(text, head, from, true)
    if not at then break end
    local n = shared(text, at, secret)
    if sub(text, at + n, at + n + #CUT - 1) == CUT then text = sub(text, 1, at - 1) .. "***" .. sub(text, at + n) end
    from = at + 1
  end
  return text
end

--- The text with `***` in the place of each secret.
---@param text string
---@param secrets string[]
---@return string
function M.text(text, secrets)
  for _, secret in ipairs(secrets) do
    if find(text, secret, 1, true) then text = replaced(text, secret) end
    text = without_parts(text, secret)
  end
  return text
end

return M
