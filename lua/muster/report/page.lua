--- The page of a report: its data, its style and its script in one text.
local digest = require "muster.digest"
local json = require "muster.json"

local M = {}

local style = require "muster.report.style"
local script = table.concat {
  '"use strict";\n(() => {\n', require "muster.report.script", require "muster.report.charts",
  require "muster.report.timeline", require "muster.report.items", "})();\n",
}

local TEMPLATE <const> = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${TITLE}</title>
<style>${STYLE}</style>
</head>
<body>
<main id="page">
<noscript><p>This report is drawn by the script in it, which this browser does not run.</p></noscript>
</main>
<script type="application/json" id="data">${DATA}</script>
<script>${SCRIPT}</script>
</body>
</html>
]]

local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}

local ALPHABET <const> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local at = (bits >> shift & 63) + 1
      out[#out + 1] = ALPHABET:sub(at, at)
    end
  end
  local missing = (3 - #bytes % 3) % 3
  return table.concat(out, "", 1, #out - missing) .. ("="):rep(missing)
end

--- What a policy calls an inline script or style by: the page can run nothing else.
local function hash_of(text)
  local bytes = digest.sha256(text):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  return "sha256-" .. base64(bytes)
end

--- JSON that may stand in a script element: nothing in it ends or opens an element, whatever the texts are.
---@param value any
---@return string
function M.data(value)
  local text = json.encode(value, {invalid_utf8 = "replace"})
  return (text:gsub("[<>&]", {["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026"})
    :gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029"))
end

local function valid(text)
  return json.decode(json.encode(text, {invalid_utf8 = "replace"}))
end

---@param title string
---@param facts table
---@return string html
function M.make(title, facts)
  local parts = {
    TITLE = valid(title):gsub("[&<>\"']", entities), STYLE = style, SCRIPT = script, DATA = M.data(facts),
    POLICY = ("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'"):format(
      hash_of(style), hash_of(script)),
  }
  return (TEMPLATE:gsub("%${([%u_]+)}", parts))
end

return M
