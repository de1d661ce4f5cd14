--- Nodes of templates, put in the order in which they are matched; and with which bytes they can begin.
local bytes = require "muster.grammar.bytes"
local lpeg = require "lpeg"

local M = {}

local P, S = lpeg.P, lpeg.S

local function push_space(list)
  local last = list[#list]
  if not last or last.kind ~= "space" then list[#list + 1] = {kind = "space"} end
end

-- A copy of the list without sequences in it, and with one space where several meet.
local function flatten(nodes, list)
  for _, node in ipairs(nodes) do
    if node.kind == "sequence" then
      flatten(node.body, list)
    elseif node.kind == "space" then
      push_space(list)
    else
      list[#list + 1] = node
    end
  end
  return list
end

local function is(node, kind) return node ~= nil and node.kind == kind end

local function with(node, field, value)
  local copy = {}
  for key, v in pairs(node) do copy[key] = v end
  copy[field] = value
  return copy
end

-- The space before an optional part belongs to it, unless it ends with one: if it is absent, one space is left, not
-- two. At the beginning it is the space behind that does.
local function move_spaces(list)
  local moved, head, i = {}, true, 1
  while list[i] do
    local node, after = list[i], list[i + 1]
    if is(node, "optional") and head and is(after, "space") then
      moved[#moved + 1] = with(node, "body", flatten({{kind = "sequence", body = node.body}, after}, {}))
      i = i + 1
    elseif is(node, "space") and is(after, "optional") and i > 1 and not is(after.body[#after.body], "space") then
      moved[#moved + 1] = with(after, "body", flatten({node, {kind = "sequence", body = after.body}}, {}))
      head, i = false, i + 1
    else
      moved[#moved + 1] = node
      head = head and is(node, "optional")
    end
    i = i + 1
  end
  return moved
end

local function takes_line(node) return is(node, "capture") and node.class.of_line end

--- The nodes in the order and the shape in which they are matched.
---@param nodes table[]
---@return table[]
function M.arrange(nodes)
  local list = move_spaces(flatten(nodes, {}))
  for i, node in ipairs(list) do
    if node.kind == "optional" then list[i] = with(node, "body", M.arrange(node.body)) end
    if node.kind == "choice" then
      local branches = {}
      for j, branch in ipairs(node.branches) do branches[j] = M.arrange(branch) end
      list[i] = with(node, "branches", branches)
    end
    -- Before `line` white space stays on that line, or an empty value would be the next line.
    if node.kind == "space" and takes_line(list[i + 1]) then list[i] = {kind = "space", inline = true} end
  end
  return list
end

--- The same for a whole template: white space at its beginning and its end is layout.
function M.arrange_whole(nodes)
  local list = flatten(nodes, {})
  if is(list[1], "space") then table.remove(list, 1) end
  if is(list[#list], "space") then table.remove(list) end
  return M.arrange(list)
end

-- ---- beginnings ----

local function first_byte(text, fold)
  local c = text:sub(1, 1)
  return fold and S(c:lower() .. c:upper()) or P(c)
end

local of_node

-- Which bytes it can begin with (nil: any), and whether it can match nothing.
local function of_list(list)
  local set = P(false)
  for _, node in ipairs(list) do
    local one, empty = of_node(node)
    set = set and one and set + one
    if not empty then return set, false end
  end
  return set, true
end

local function of_branches(branches)
  local set, empty = P(false), false
  for _, branch in ipairs(branches) do
    local one, nothing = of_list(branch)
    set = set and one and set + one
    empty = empty or nothing
  end
  return set, empty
end

local function of_choices(node)
  local set = P(false)
  for _, choice in ipairs(node.choices) do set = set + first_byte(choice, node.fold) end
  return set
end

function of_node(node)
  local kind = node.kind
  if kind == "literal" then return first_byte(node.text, node.fold), false end
  if kind == "space" then return bytes.space_start, false end
  if kind == "one_of" then return of_choices(node), false end
  if kind == "optional" then return of_list(node.body), true end
  if kind == "choice" then return of_branches(node.branches) end
  if node.class.nodes then return of_list(node.class.nodes) end
  if node.class.place then return P(false), true end
  return node.class.first, false
end

--- The bytes with which a match can begin, as a set of LPeg; nil if that is any byte, or none is needed.
---@param list table[] arranged
---@return userdata?
function M.beginnings(list)
  local set, empty = of_list(list)
  return not empty and set or nil
end

-- ---- what is within ----

local within_list

local function bytes_of(text, fold) return fold and S(text:lower() .. text:upper()) or S(text) end

local function within_node(node)
  local kind = node.kind
  if kind == "literal" then return bytes_of(node.text, node.fold) end
  if kind == "space" then return bytes.space_start + lpeg.R "\x80\xBF" end
  if kind == "one_of" then
    return bytes_of(table.concat(node.choices), node.fold) + bytes.space_start + lpeg.R "\x80\xBF"
  end
  if kind == "optional" then return within_list(node.body) end
  if kind == "choice" then return within_list(node.branches, within_list) end
  if node.class.nodes then return within_list(node.class.nodes) end
  return node.class.place and P(false) or node.class.within
end

-- All bytes that matches of them consist of; nil if that is not known.
function within_list(list, of)
  local set = P(false)
  for _, node in ipairs(list) do
    local one = (of or within_node)(node)
    set = set and one and set + one
  end
  return set
end

--- The longest of the literals that have to be in every match, as they stand, if it is known how far before it a match
--- can begin: all bytes between are in a set.
---@param list table[] arranged
---@return string? literal
---@return userdata? set
function M.required(list)
  local set, best, best_set = P(false), nil, nil
  for _, node in ipairs(list) do
    if node.kind == "literal" and not node.fold and (not best or #node.text > #best) then
      best, best_set = node.text, set
    end
    local one = within_node(node)
    if not one then break end
    set = set + one
  end
  return best, best_set
end

return M
