--- What a person is told of live tasks: the tree of who awaits whom, and who waits in a deadlock.
-- The facts are those of runtime/sched/inspect.h. Nothing here awaits, and no script is called. Of a task only its
-- `node` is kept, as there may be very many: {id=, task=, kind=, parents=}, where those of a kind look the same.
local core = require "muster.core"

local M = {}

-- So many of a kind are shown, and if there are more of them, only FIRST. Deeper branches go on at the margin.
local ALL, FIRST, DEEPEST = 5, 4, 20

-- ---- words ----

local function grouped(n)
  local text = tostring(n):reverse():gsub("%d%d%d", "%0,"):reverse()
  return (text:gsub("^,", ""))
end

local function duration(seconds)
  if seconds < 100 then return ("%.1f s"):format(seconds) end
  if seconds < 600 then return ("%.0f s"):format(seconds) end
  if seconds < 100 * 60 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

local function in_words(list, last)
  if #list < 2 then return list[1] end
  return table.concat(list, ", ", 1, #list - 1) .. last .. list[#list]
end

local function name_of(facts)
  if not facts then return "a task that has ended" end
  if facts.main or facts.name == "main" then return "main task" end
  return facts.name and ("task '%s'"):format(facts.name) or facts.task.name
end

local function name_of_id(nodes, id)
  local node = nodes.by_id[id]
  return name_of(node and core.facts(node.task))
end

--- "task 3, main task and 2 more"
local function holders_of(nodes, wait)
  local names, known, others = {}, {}, wait.others or 0
  for _, id in ipairs(wait.holders or {}) do
    if not known[id] and #names < FIRST then table.insert(names, name_of_id(nodes, id))
    elseif not known[id] then others = others + 1 end
    known[id] = true
  end
  if #names > 0 and others > 0 then table.insert(names, others .. " more") end
  return in_words(names, " and ")
end

--- Numbers in groups of three digits, but not those in quotes, which are parts of names and URLs.
local function with_groups(text)
  return (text:gsub("([^']*)('?[^']*'?)", function(plain, quoted) return plain:gsub("%d+", grouped) .. quoted end))
end

local function one_wait(nodes, wait)
  local text = wait.on and name_of_id(nodes, wait.on) or with_groups(wait.what)
  local detail = wait.detail and with_groups(wait.detail) or wait.left and duration(wait.left) .. " left"
  local holders = holders_of(nodes, wait)
  if detail then text = ("%s (%s)"):format(text, detail) end
  if holders then text = ("%s, held by %s"):format(text, holders) end
  if wait.loaders then text = ("%s, which %s loads"):format(text, name_of_id(nodes, wait.loaders[1])) end
  return text
end

local function waits_in_words(nodes, waits)
  local texts = {}
  for i, wait in ipairs(waits) do texts[i] = one_wait(nodes, wait) end
  local seconds, text = waits[1] and waits[1].seconds or 0, in_words(texts, " or ") or "nothing"
  if text:find "^sleep" then return (text:gsub("^sleep", "sleeps", 1)) end
  if seconds < 0.05 then return "waits for " .. text end
  return ("has waited %s for %s"):format(duration(seconds), text)
end

local states = {running = "runs", ready = "is ready to run"}

local function state_of(nodes, facts)
  local text = states[facts.status] or waits_in_words(nodes, facts.waits)
  if not facts.timeout then return text end
  return ("%s; times out in %s"):format(text, duration(facts.timeout))
end

--- "task 'x' (daemon): waits for a lock, held by task 3"
local function head(nodes, facts)
  local marks = {}
  if facts.daemon then table.insert(marks, "daemon") end
  if facts.cancelled then table.insert(marks, "cancelled") end
  local mark = marks[1] and (" (%s)"):format(table.concat(marks, ", ")) or ""
  return ("%s%s: %s"):format(name_of(facts), mark, state_of(nodes, facts))
end

--- "[x.lua:7, spawned at x.lua:12]"
local function places(facts)
  local list = {facts.line}
  if facts.spawned and facts.spawned ~= "the host" then table.insert(list, "spawned at " .. facts.spawned) end
  return list[1] and ("  [%s]"):format(table.concat(list, ", ")) or ""
end

-- ---- facts ----

--- A number for each text: tasks of the same kind wait for the same at the same line, and come from the same line.
local function new_kinds()
  local n = 0
  return setmetatable({}, {__index = function(kinds, text)
    n = n + 1
    kinds[text] = n
    return n
  end})
end

local function kind_of(facts)
  local parts = {facts.status, facts.line or "", facts.spawned or "", tostring(facts.daemon), tostring(facts.main)}
  for _, wait in ipairs(facts.waits or {}) do
    table.insert(parts, wait.what)
    table.insert(parts, table.concat(wait.holders or {}, " "))
  end
  return table.concat(parts, "\n")
end

--- The nodes of all live tasks, in the order in which they started; by_id; how many there are in each status.
local function survey()
  local nodes, kinds, ids = {by_id = {}, counts = {}}, new_kinds(), {}
  for _, task in ipairs(core.tasks()) do
    local facts = core.facts(task)
    if facts then
      local node = {id = facts.id, task = task, kind = kinds[kind_of(facts)], parents = facts.awaited_by}
      table.insert(ids, facts.id)
      nodes.by_id[facts.id] = node
      nodes.counts[facts.status] = (nodes.counts[facts.status] or 0) + 1
    end
  end
  table.sort(ids)
  for i, id in ipairs(ids) do nodes[i] = nodes.by_id[id] end
  return nodes
end

local function count(n, what) return ("%s %s%s"):format(grouped(n), what, n == 1 and "" or "s") end

local function counted(nodes)
  local parts = {}
  for _, status in ipairs {"running", "ready", "waiting"} do
    if nodes.counts[status] then table.insert(parts, grouped(nodes.counts[status]) .. " " .. status) end
  end
  return count(#nodes, "task") .. (parts[1] and ": " .. table.concat(parts, ", ") or "")
end

-- ---- the tree ----

local function find_children(nodes)
  for _, node in ipairs(nodes) do
    for _, id in ipairs(node.parents or {}) do
      local parent = nodes.by_id[id]
      if parent then
        parent.children = parent.children or {}
        table.insert(parent.children, node)
      end
    end
  end
end

--- Places a node and what hangs on it. A node that has its place, in a circle or below two others, is only named; what
--- would be too deep is added to `later`.
local function place(node, order, later)
  local open = {{node = node, depth = 0}}
  while open[1] do
    local branch = table.remove(open)
    branch.again = branch.node.placed
    branch.node.placed = true
    table.insert(order, branch)
    if branch.parent then table.insert(branch.parent, branch) end
    local children = not branch.again and branch.node.children or {}
    branch.goes_on = branch.depth == DEEPEST and children[1] ~= nil
    for i = #children, 1, -1 do
      if branch.goes_on then table.insert(later, children[i])
      else table.insert(open, {node = children[i], depth = branch.depth + 1, parent = branch}) end
    end
  end
  return order[1]
end

--- Branches with the same shape get the same number.
local function number_shapes(order, kinds)
  for i = #order, 1, -1 do
    local branch = order[i]
    local parts = {branch.again and "again " .. branch.node.id or branch.node.kind}
    for _, child in ipairs(branch) do table.insert(parts, child.shape) end
    branch.shape = kinds[table.concat(parts, " ")]
  end
end

--- Adds the trees of a node, and of what is too deep in it, to the roots.
local function grow(node, kinds, roots)
  if not node.children then
    node.placed = true
    table.insert(roots, {node = node, shape = kinds[tostring(node.kind)]})
    return
  end
  local later = {node}
  while later[1] do
    local order, root = {}, table.remove(later)
    if not root.placed then
      table.insert(roots, place(root, order, later))
      number_shapes(order, kinds)
    end
  end
end

--- First those whom nobody awaits; then, for circles, those that have no place.
local function grow_all(nodes)
  local roots, kinds = {}, new_kinds()
  for _, node in ipairs(nodes) do
    local awaited = false
    for _, id in ipairs(node.parents or {}) do awaited = awaited or nodes.by_id[id] ~= nil end
    if not awaited then grow(node, kinds, roots) end
  end
  for _, node in ipairs(nodes) do
    if not node.placed then grow(node, kinds, roots) end
  end
  return roots
end

--- Branches, where there are many of a shape: the first of them, and a number of others.
local function fold(branches)
  local total, shown, rows = {}, {}, {}
  for _, branch in ipairs(branches) do total[branch.shape] = (total[branch.shape] or 0) + 1 end
  for _, branch in ipairs(branches) do
    local n = (shown[branch.shape] or 0) + 1
    shown[branch.shape] = n
    if total[branch.shape] <= ALL or n <= FIRST then table.insert(rows, branch)
    elseif n == FIRST + 1 then table.insert(rows, {others = total[branch.shape] - FIRST}) end
  end
  return rows
end

local function more(n) return ("… and %s more like it"):format(grouped(n)) end

local function row_text(nodes, row)
  if row.others then return more(row.others) end
  local facts = core.facts(row.node.task)
  if row.again then return name_of(facts) .. ": see above" end
  return facts and head(nodes, facts) .. places(facts) or name_of(nil)
end

local function draw(nodes, branches, margin, lines)
  local rows = fold(branches)
  for i, row in ipairs(rows) do
    local last, root = i == #rows, margin == nil
    table.insert(lines, (root and "" or margin .. (last and "└─ " or "├─ ")) .. row_text(nodes, row))
    if row.goes_on then table.insert(lines, (margin or "") .. (last and "   " or "│  ") .. "└─ … see below") end
    if row.node then draw(nodes, row, root and "" or margin .. (last and "   " or "│  "), lines) end
  end
end

--- The tree of who awaits whom: whole lines.
---@return string
function M.tasks()
  local nodes = survey()
  find_children(nodes)
  local lines = {counted(nodes)}
  draw(nodes, grow_all(nodes), nil, lines)
  return table.concat(lines, "\n") .. "\n"
end

--- Prints the tree to where reports go, which is stderr.
function M.dump() core.say("muster: " .. M.tasks()) end

-- ---- deadlocks ----

local function block(nodes, facts, others)
  local frames = (facts.task:traceback() or ""):gsub("^stack traceback:", ""):gsub("\n\t", "\n    ")
  local rest = others > 0 and "\n" .. more(others) or ""
  return ("%s%s%s\n"):format(head(nodes, facts), frames, rest)
end

--- One task that a task waits for.
local function next_in_circle(nodes, node)
  local facts = node and core.facts(node.task)
  local wait = facts and facts.waits and facts.waits[1]
  local ids = wait and (wait.on and {wait.on} or wait.holders or wait.loaders)
  return ids and nodes.by_id[ids[1]]
end

--- A sentence on the first circle that there is.
local function find_circle(nodes)
  local seen = {}
  for _, start in ipairs(nodes) do
    local node, path = start, {}
    while node and not seen[node] do
      seen[node] = start
      table.insert(path, node)
      node = next_in_circle(nodes, node)
    end
    if node and seen[node] == start then
      local names = {}
      for _, member in ipairs(path) do
        if names[1] or member == node then table.insert(names, name_of(core.facts(member.task))) end
      end
      if not names[2] then return names[1] .. " waits for what it holds itself" end
      return ("They wait for one another: %s -> %s"):format(table.concat(names, " -> "), names[1])
    end
  end
end

--- Who waits for what, where, and who holds that: whole lines.
---@return string
function M.deadlock()
  local nodes, of_kind, first, blocks = survey(), {}, {}, {}
  for _, node in ipairs(nodes) do
    if not of_kind[node.kind] then table.insert(first, node) end
    of_kind[node.kind] = (of_kind[node.kind] or 0) + 1
  end
  for _, node in ipairs(first) do
    local facts = core.facts(node.task)
    if facts then table.insert(blocks, block(nodes, facts, of_kind[node.kind] - 1)) end
  end
  local circle = find_circle(nodes)
  if circle then table.insert(blocks, circle .. "\n") end
  local n = #nodes
  return ("muster: deadlock: nothing can run, no timer and no I/O is pending; %s wait%s:\n%s"):format(
    count(n, "task"), n == 1 and "s" or "", table.concat(blocks))
end

--- Prints that to where reports go.
function M.report_deadlock() core.say(M.deadlock()) end

return M
