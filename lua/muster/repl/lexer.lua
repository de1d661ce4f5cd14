--- The words of Lua code: enough of its grammar to find names in it, also in code that is not complete.
local lpeg = require "lpeg"

local type = type

local M = {}

local P, R, S, C, Cc, Cp, Cmt = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Cmt

M.keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
               until while]]):gmatch "%a+" do
  M.keywords[word] = true
end

--- After "[==[" of this level: the position after its end, or after the text.
local function skip_long(text, position, equals)
  local _, last = text:find("]" .. equals .. "]", position, true)
  return last and last + 1 or #text + 1, last ~= nil
end

local function quoted(quote)
  local inside = (P "\\" * (P "z" * S " \t\r\n\v\f" ^ 0 + "\r\n" + 1) + (1 - S(quote .. "\\\r\n"))) ^ 0
  return P(quote) * inside * (P(quote) * Cc(true) + P "\\" ^ -1 * Cc(false))
end

local letter = R("az", "AZ") + "_"
local digit = R "09"
local long = "[" * Cmt(C(P "=" ^ 0) * "[", skip_long)
local comment = "--" * (long + (1 - P "\n") ^ 0 * (P "\n" * Cc(true) + Cc(false)))
local name = C(letter * (letter + digit) ^ 0)
local number = P "." ^ -1 * digit * (S "eEpP" * S "+-" + letter + digit + ".") ^ 0
local symbol = P "..." + ".." + "::" + "==" + "~=" + "<=" + ">=" + "<<" + ">>" + "//" + 1

local any_word = Cp()
  * (Cc "comment" * comment * Cp() + Cc "name" * name * Cp() + Cc "number" * number * Cc(true) * Cp()
  + Cc "string" * (quoted '"' + quoted "'" + long) * Cp() + Cc "symbol" * C(symbol) * Cp())
local space = S " \t\r\n\v\f" ^ 0

---@class muster.word
---@field kind "comment"|"name"|"keyword"|"number"|"string"|"symbol"
---@field text string? of a name, keyword or symbol
---@field whole boolean? of a comment or string: has it an end
---@field first integer
---@field after integer the position after it

local function read(code, position)
  local first, kind, what, after = (space * any_word):match(code, position)
  if not first then return nil end
  local word = {kind = M.keywords[what] and "keyword" or kind, first = first, after = after}
  if type(what) == "string" then word.text = what else word.whole = what end
  return word
end

--- Iterates over the words of `code`, of which there are few: each is a table.
---@param code string
---@return fun(): muster.word?
function M.words(code)
  local position = 1
  return function()
    local found = read(code, position)
    if found then position = found.after end
    return found
  end
end

return M
