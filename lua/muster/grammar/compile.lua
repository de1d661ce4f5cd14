--- From nodes to patterns of LPeg. Each node is compiled together with what follows it, so that alternatives and
-- optional parts are tried in turn until the whole template fits; where several ways join, what follows is a rule of
-- its own. There is no repetition in templates but within classes, and these never give back what they took: so the
-- tries at one place are bounded by the template, not by the text.
--
-- A match gives a list: for each capture its description, where it begins and where it ends (the byte behind it), and
-- for some the value; at last where the match ends.
local bytes = require "muster.grammar.bytes"
local lpeg = require "lpeg"
local nodes = require "muster.grammar.nodes"
local scan = require "muster.grammar.scan"

local Carg, Cc, Cmt, Cp, Ct = lpeg.Carg, lpeg.Cc, lpeg.Cmt, lpeg.Cp, lpeg.Ct
local P, S, V = lpeg.P, lpeg.S, lpeg.V

local M = {}

-- ---- what follows ----

-- The place before list[i]; `up` is the place behind the list, in the list that holds it.
local function place(list, up, close) return {list = list, i = 1, up = up, close = close} end

local function behind(at)
  at.next = at.next or {list = at.list, i = at.i + 1, up = at.up, close = at.close}
  return at.next
end

local function node_before(at)
  if at.join then return node_before(at.join) end
  if at.i > 1 then return at.list[at.i - 1] end
  local up = at.up and (at.up.join or at.up)
  return up and node_before {list = up.list, i = up.i - 1, up = up.up}
end

-- Compiling is done for matching (look is nil), or for looking where a lazy capture ends: `look.lazy` is its class;
-- `look.consumed` tells that something was matched behind it. What is looked for ends before the next lazy capture.
local compile

local function rule_for(out, at, look)
  local key = not look and "match" or look.consumed and "behind" or "at"
  local known = out.joins[at] or {}
  out.joins[at] = known
  if not known[key] then
    local name = "rule " .. out.n
    known[key], out.n = name, out.n + 1
    out.rules[name] = compile(out, at, look)
  end
  return V(known[key])
end

local function new_out(whole_words)
  return {rules = {}, joins = {}, n = 1, ending = whole_words and bytes.border or P(true), whole_words = whole_words}
end

-- The pattern, with the rules it refers to.
local function closed(out, pattern)
  if next(out.rules) == nil then return pattern end
  local rules = {"start", start = pattern}
  for name, rule in pairs(out.rules) do rules[name] = rule end
  return P(rules)
end

local function finish(out, look)
  if not look then return out.ending * Cp() end
  return look.consumed and out.ending or look.lazy.over
end

local function consumed(look) return look and (look.consumed and look or {lazy = look.lazy, consumed = true}) end

-- ---- literals and spaces ----

local function literal(text, fold)
  if not fold then return P(text) end
  local p = P(true)
  for c in text:gmatch "." do p = p * (c:find "%a" and S(c:lower() .. c:upper()) or P(c)) end
  return p
end

local function phrase(text, fold)
  local p
  for part in text:gmatch "%S+" do
    local one = literal(part, fold)
    p = p and p * bytes.spaces * one or one
  end
  return p
end

local function space(node, look)
  local run = node.inline and bytes.blank ^ 1 or bytes.spaces
  -- What is looked for at every byte must not begin in the midst of white space, or long white space took long.
  if look and not look.consumed then run = -bytes.behind_space * run end
  return run
end

-- ---- captures ----

local function whole(desc, pattern, shape)
  if not desc then return shape and pattern / 0 or pattern end
  if shape == "inside" then return Cc(desc) * pattern end
  if not shape then return Cc(desc) * Cp() * pattern * Cp() end
  -- The value comes behind both places.
  return Cc(desc) * Cp() * (pattern * Cp() / function(value, stop) return stop, value end)
end

local function describe(node, more)
  if not node.name then return nil end
  local desc = more or {}
  desc.name = node.name
  return desc
end

-- Where a lazy capture ends, from where its first part does.
local function lazy_end(out, at, lazy)
  local follow = place({}, behind(at))
  local inner = new_out(out.whole_words)
  local found = -(-closed(inner, compile(inner, follow, {lazy = lazy})))
  local step = lazy.step - found
  local literal_next = at.list[at.i + 1]
  if lazy.skip and literal_next and (literal_next.kind == "literal" or literal_next.kind == "space") then
    step = lazy.skip(nodes.beginnings {literal_next}) + step
  end
  local way = step ^ 0 * (found * Cc(true) + Cc(false)) * Cp()
  return scan.remembered(function(text, from, run)
    local ends, stop = lpeg.match(way, text, from, run)
    if not ends then return nil, nil, stop end
    return stop, scan.trimmed(text, from, stop)
  end)
end

local function pattern_of(at, class)
  local before = class.bare and node_before(at)
  return before and before.kind == "literal" and class.bare or class.pattern
end

local function capture(out, at, node, look)
  local class, follow = node.class, behind(at)
  if class.nodes then
    local inner = place(class.nodes, follow)
    if look or not node.name then return compile(out, inner, look) end
    inner.close = {close = true}
    return Cc(describe(node, {open = true})) * Cp() * compile(out, inner)
  end
  local pattern = pattern_of(at, class)
  if not class.lazy then
    local desc = not look and describe(node, {convert = class.convert, shape = class.shape})
    local rest = compile(out, follow, class.place and look or consumed(look))
    return whole(desc, pattern, class.shape) * rest
  end
  if look then return -(-pattern) end
  local stop = lazy_end(out, at, class.lazy)
  local desc = describe(node, {convert = class.convert})
  local taken = desc and Cc(desc) * Cp() * pattern * stop or pattern * (stop / 0)
  return taken * compile(out, follow)
end

-- ---- alternatives ----

local function join(at) return {join = at, list = at.list, i = at.i, up = at.up} end

local function one_of(out, at, node, look)
  local rest, sum = rule_for(out, behind(at), consumed(look)), P(false)
  for _, choice in ipairs(node.choices) do
    local desc = not look and describe(node, {shape = "constant", constant = choice})
    sum = sum + whole(desc, phrase(choice, node.fold)) * rest
  end
  return sum
end

local function choice(out, at, node, look)
  local follow, sum = join(behind(at)), P(false)
  for _, branch in ipairs(node.branches) do sum = sum + compile(out, place(branch, follow), look) end
  return sum
end

local function optional(out, at, node, look)
  local follow = join(behind(at))
  return compile(out, place(node.body, follow), look) + compile(out, follow, look)
end

local kinds = {capture = capture, one_of = one_of, choice = choice, optional = optional}

--- The pattern of all that comes from a place on.
function compile(out, at, look)
  if at.join then return rule_for(out, at.join, look) end
  local node = at.list[at.i]
  if node then
    local special = kinds[node.kind]
    if special then return special(out, at, node, look) end
    local pattern = node.kind == "space" and space(node, look) or literal(node.text, node.fold)
    return pattern * compile(out, behind(at), consumed(look))
  end
  if not at.up then return finish(out, look) end
  if at.close and not look then return Cc(at.close) * Cp() * Cp() * compile(out, at.up) end
  return compile(out, at.up, look)
end

-- ---- custom classes ----

--- A class of a pattern of LPeg. Its first capture is the value; without any it is the text.
function M.class_of_pattern(name, pattern)
  local function counted(_, at, run, from, list)
    scan.charge(run, at - from + 1)
    return at, list
  end
  return {name = name, pattern = Cmt(Carg(1) * Cp() * Ct(pattern), counted), shape = "list"}
end

--- A class of a function of the text and a position, which returns the position behind the match and maybe a value; or
--- nil if there is none.
function M.class_of_function(name, fn)
  local function call(text, at, run)
    local stop, value = fn(text, at)
    if not stop then return false end
    if math.type(stop) ~= "integer" or stop < at or stop > #text + 1 then
      error(("template: capture '%s': expected the position behind the match, from %d to %d, got %s")
        :format(name, at, #text + 1, tostring(stop)), 0)
    end
    scan.charge(run, stop - at + 1)
    return stop, {value}
  end
  return {name = name, pattern = Cmt(Carg(1), call), shape = "list"}
end

-- ---- whole templates ----

-- Within a word nothing begins, if whole words are asked for.
local function searching(anchored, set, whole_words)
  local advance = whole_words and bytes.ascii ^ 1 + 1 or P(1)
  local skip = set and (P(1) - set) ^ 0 or P(true)
  return P {"search", search = skip * (anchored + advance * V "search")}
end

-- A search that goes no further than the bytes of `within`. Without a match it gives where it ended.
local function searching_near(anchored, set, whole_words, within)
  local advance = whole_words and (within - (P(1) - bytes.ascii)) ^ 1 + within or within
  local skip = set and (within - set) ^ 0 or P(true)
  return P {"search", search = skip * (anchored + advance * V "search" + Cp())}
end

-- A literal that is in every match says where to look: only so far before it as the bytes allow.
local function nearby(list, anchored, set, whole_words)
  local literal_text, within = nodes.required(list)
  if not literal_text then return nil end
  return {
    literal = literal_text, search = searching_near(anchored, set, whole_words, within),
    tail = (within ^ 0 * (P(1) - within) ^ 1) ^ 0 * Cp(),
  }
end

--- Patterns of a template: `match` at a place, `try` the same where a search may stop, `search` anywhere (gives the
--- beginning, then the list); `lead`: the literal in front; `near`: how to search around a literal further on.
---@param list table[] arranged nodes
---@param whole_words boolean
function M.whole(list, whole_words)
  local out = new_out(whole_words)
  local match = closed(out, Ct(compile(out, place(list))))
  local front = whole_words and bytes.border or P(true)
  if list[1] and list[1].kind == "space" then front = front * -bytes.behind_space end
  local lead = list[1] and list[1].kind == "literal" and not list[1].fold and list[1].text or nil
  local try = front * match
  if lead then return {match = match, try = try, lead = lead} end
  local set = nodes.beginnings(list)
  return {
    match = match, search = searching(Cp() * try, set, whole_words),
    near = nearby(list, Cp() * try, set, whole_words),
  }
end

return M
