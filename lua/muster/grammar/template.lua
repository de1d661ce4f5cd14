--- Reads a template: text with captures in braces, optional parts in brackets, alternatives in parentheses.
--
-- Nodes: {kind = "literal", text, fold}, {kind = "space"}, {kind = "capture", name, class}, {kind = "one_of", name,
-- choices, fold}, {kind = "optional", body}, {kind = "choice", branches}; bodies and branches are lists of nodes.
-- `column` is where a node stands in its template.

local M = {}

local spaces = "^[ \t\n\v\f\r]+"

-- ---- errors ----

local function place_of(text, at)
  local line, from = 1, 1
  for stop in text:sub(1, at - 1):gmatch "()\n" do line, from = line + 1, stop + 1 end
  return line, from
end

local function columns(text) return utf8.len(text, 1, -1, true) or #text end

--- Raises, showing the place.
local function refuse(reader, at, problem)
  local text = reader.text
  local line, from = place_of(text, at)
  local shown = text:match("^[^\n]*", from)
  local before = shown:sub(1, at - from)
  local place = "column " .. columns(before) + 1
  if text:find("\n", 1, true) then place = "line " .. line .. ", " .. place end
  error(("template: %s: %s\n  %s\n  %s^"):format(place, problem, shown, (" "):rep(columns(before))), 0)
end

-- How many changes lead from one name to the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local change = corner + (a:byte(i) == b:byte(j) and 0 or 1)
      corner, row[j] = row[j], math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

local function nearest(name, known)
  local best, least
  for other in pairs(known) do
    local d = distance(name:lower(), other)
    if d <= math.max(1, #other // 2) and (not best or d < least or d == least and other < best) then
      best, least = other, d
    end
  end
  return best
end

-- ---- captures ----

local function check_name(reader, at, name)
  if not name:find "^[%a_][%w_]*$" then
    refuse(reader, at, ("a capture's name is letters, digits and '_', got '%s'"):format(name))
  end
end

local function class_of(reader, at, name)
  local class = reader.classes[name]
  if class then return class end
  local near = nearest(name, reader.classes)
  local hint = near and (" (did you mean '%s'?)"):format(near) or ""
  refuse(reader, at, ("unknown capture '%s'%s"):format(name, hint))
end

local function trim(text) return text:match "^%s*(.-)%s*$" end

local function choices_of(reader, at, list)
  local choices, seen = {}, {}
  for item in (list .. "|"):gmatch "([^|]*)|" do
    item = trim(item)
    if item == "" then refuse(reader, at, "an empty choice in 'one of'") end
    if not seen[item] then choices[#choices + 1] = item end
    seen[item] = true
  end
  -- The longest first, so that `a|ab` finds "ab"; otherwise in their order.
  local order = {}
  for i, item in ipairs(choices) do order[item] = i end
  table.sort(choices, function(a, b) return #a > #b or #a == #b and order[a] < order[b] end)
  return choices
end

local function capture(reader, inner, at)
  local name, start, kind = inner:match "^%s*([^:]-)%s*:%s*()(.-)%s*$"
  if not name then
    name, start, kind = nil, at + #inner:match "^%s*", trim(inner)
  else
    check_name(reader, at + #inner:match "^%s*", name)
    start = at + start - 1
  end
  if kind == "" then refuse(reader, start, "a capture needs its kind, such as {name:word}") end
  local list = kind:match "^one%s+of%s+(.*)$" or kind:match "^one%s+of()$"
  if list then
    local choices = choices_of(reader, start, type(list) == "string" and list or "")
    return {kind = "one_of", name = name, choices = choices, fold = reader.fold, column = at}
  end
  local class = class_of(reader, start, kind)
  if class.place and name then refuse(reader, start, ("'%s' is a place and has no text to capture"):format(kind)) end
  return {kind = "capture", name = name, class = class, column = at}
end

local function read_capture(reader)
  local from = reader.at
  local stop = reader.text:find("}", from, true)
  if not stop then refuse(reader, from, "'{' is not closed") end
  reader.at = stop + 1
  return capture(reader, reader.text:sub(from + 1, stop - 1), from + 1)
end

-- ---- sequences ----

local function add_literal(reader, list, text)
  local last = list[#list]
  if last and last.kind == "literal" then
    last.text = last.text .. text
  else
    list[#list + 1] = {kind = "literal", text = text, fold = reader.fold, column = reader.at}
  end
end

local function strip(list, front, back)
  if front and list[1] and list[1].kind == "space" then table.remove(list, 1) end
  if back and list[1] and list[#list].kind == "space" then table.remove(list) end
end

local read_branches

local function bracket(reader, close)
  local from = reader.at
  reader.at = from + 1
  reader.depth = reader.depth + 1
  if reader.depth > 32 then refuse(reader, from, "brackets are more than 32 deep") end
  local branches = read_branches(reader)
  reader.depth = reader.depth - 1
  local found = reader.text:sub(reader.at, reader.at)
  if found ~= close then
    if found == "" then refuse(reader, from, ("'%s' is not closed"):format(reader.text:sub(from, from))) end
    refuse(reader, reader.at, ("'%s' where '%s' should be"):format(found, close))
  end
  reader.at = reader.at + 1
  return branches, from
end

local function read_optional(reader)
  local branches, from = bracket(reader, "]")
  local body = branches[1]
  if #branches > 1 then body = {{kind = "choice", branches = branches, column = from}} end
  -- White space on both sides is layout; on one side it is meant, as in `[Dr. ]`.
  if #body > 2 and body[1].kind == "space" and body[#body].kind == "space" then strip(body, true, true) end
  if not body[1] or not body[2] and body[1].kind == "space" then refuse(reader, from, "nothing in '[ ]'") end
  return {kind = "optional", body = body, column = from}
end

local function read_choice(reader)
  local branches, from = bracket(reader, ")")
  if #branches == 1 then
    refuse(reader, from, "a group needs alternatives, as in (a | b); for a parenthesis in the text write \\(")
  end
  return {kind = "choice", branches = branches, column = from}
end

local function read_escape(reader, list)
  local char = reader.text:match("^" .. utf8.charpattern, reader.at + 1)
  if not char or char == "" then refuse(reader, reader.at, "nothing behind '\\'") end
  if char:find "^%w" then
    refuse(reader, reader.at, ("'\\%s' is no escape: '\\' stands before { } [ ] ( ) | and \\"):format(char))
  end
  add_literal(reader, list, char)
  reader.at = reader.at + 1 + #char
end

local openers = {["{"] = read_capture, ["["] = read_optional, ["("] = read_choice}

-- Reads up to a bar or a closing bracket.
local function read_sequence(reader)
  local list, text = {}, reader.text
  while reader.at <= #text do
    local char = text:sub(reader.at, reader.at)
    local first, last = text:find(spaces, reader.at)
    if first then
      list[#list + 1] = {kind = "space", column = first}
      reader.at = last + 1
    elseif openers[char] then
      list[#list + 1] = openers[char](reader)
    elseif char == "\\" then
      read_escape(reader, list)
    elseif char == "}" then
      refuse(reader, reader.at, "'}' without '{'; for a brace in the text write \\}")
    elseif char:find "[%])|]" then
      break
    else
      local literal = text:match("^[^%s{}%[%]()|\\]+", reader.at)
      add_literal(reader, list, literal)
      reader.at = reader.at + #literal
    end
  end
  return list
end

function read_branches(reader)
  local branches, bars = {}, {}
  repeat
    branches[#branches + 1] = read_sequence(reader)
    local bar = reader.text:sub(reader.at, reader.at) == "|"
    if bar then
      bars[#bars + 1] = reader.at
      reader.at = reader.at + 1
    end
  until not bar
  if #branches == 1 then return branches end
  for i, branch in ipairs(branches) do -- what stands around a bar is layout
    strip(branch, true, true)
    if not branch[1] then
      refuse(reader, bars[math.min(i, #bars)], "an empty alternative; what may be absent is [ ]")
    end
  end
  return branches
end

-- ---- names ----

local function check_names(reader, list, taken)
  for _, node in ipairs(list) do
    if node.kind == "optional" then check_names(reader, node.body, taken) end
    if node.kind == "choice" then
      local all = {}
      for _, branch in ipairs(node.branches) do
        local own = setmetatable({}, {__index = taken})
        check_names(reader, branch, own)
        for name in pairs(own) do all[name] = true end
      end
      for name in pairs(all) do taken[name] = true end
    end
    if node.name then
      if taken[node.name] then refuse(reader, node.column, ("'%s' is captured twice"):format(node.name)) end
      taken[node.name] = true
    end
  end
end

--- The nodes of a template. Raises, with the column.
---@param text string
---@param classes table<string, muster.grammar.class>
---@param fold boolean? letters of ASCII match in both cases
---@return table[] nodes
function M.read(text, classes, fold)
  local reader = {text = text, at = 1, depth = 0, classes = classes, fold = fold}
  local branches = read_branches(reader)
  if reader.at <= #text then
    local char = text:sub(reader.at, reader.at)
    refuse(reader, reader.at, ("'%s' closes nothing; in the text write \\%s"):format(char, char))
  end
  local nodes = #branches == 1 and branches[1] or {{kind = "choice", branches = branches, column = 1}}
  check_names(reader, nodes, {})
  return nodes
end

return M
