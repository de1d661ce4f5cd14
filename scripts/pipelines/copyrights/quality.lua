--- How good is it? Machine-readable files, their structure taken away, are read as files in free form are, and what is
--- found is compared with what they declare.

local asking = require "copyrights.asking"
local digest = require "muster.digest"
local files = require "copyrights.files"
local flatten = require "copyrights.flatten"
local licences = require "copyrights.licences"
local normal = require "copyrights.normal"
local pipeline = require "muster.pipeline"
local record = require "copyrights.record"
local statements = require "copyrights.statements"
local utf = require "copyrights.utf"

local M = {}

local SHOWN <const> = 10

-- ---- what is found ----

local function set_of(list, normalise)
  local set = {}
  for _, value in ipairs(list) do
    for _, key in ipairs(normalise(value)) do set[key] = true end
  end
  return set
end

local function holder_keys(statement)
  return {statement.holder and normal.holder(statement.holder)}
end

--- What the way for free form finds in prose: the grammar, and a model for what it has not settled.
---@return {holders: table, licences: table, asked: boolean}?
---@return any error
function M.found(prose, client)
  local made = {format = "free", statements = statements.of(prose), licences = licences.mentioned(prose)}
  local missing = client and asking.missing(made)
  if missing then
    local answer, err = asking.ask(client, prose)
    if not answer then return nil, err end
    asking.merge(made, answer, missing)
  end
  return {holders = set_of(made.statements, holder_keys), licences = set_of(made.licences, normal.licence),
          asked = made.asked ~= nil}
end

-- ---- how much of it is right ----

local function tally() return {declared = 0, found = 0, right = 0, classes = {}, missed = {}, spurious = {}} end

---@class Score
---@field files integer
---@field asked integer
local Score = {}
Score.__index = Score

function M.score() return setmetatable({files = 0, asked = 0, holders = tally(), licences = tally()}, Score) end

local function class_of(counts, name)
  local class = counts.classes[name]
  if not class then
    class = {name = name, declared = 0, right = 0, found = 0}
    counts.classes[name] = class
  end
  return class
end

local function bump(set, key) set[key] = (set[key] or 0) + 1 end

-- by_class(key, kind): the class that a value counts for; nothing for one that was not declared, of holders.
local function compare(counts, declared, found, by_class)
  for key, kind in pairs(declared) do
    local class = class_of(counts, by_class(key, kind))
    counts.declared, class.declared = counts.declared + 1, class.declared + 1
    if found[key] then
      counts.right, class.right = counts.right + 1, class.right + 1
    else
      bump(counts.missed, key)
    end
  end
  for key in pairs(found) do
    counts.found = counts.found + 1
    local class = by_class(key, declared[key])
    if class then class_of(counts, class).found = class_of(counts, class).found + 1 end
    if not declared[key] then bump(counts.spurious, key) end
  end
end

local function kind_of(_, kind) return kind end
local function key_of(key) return key end

--- Adds a file.
---@param declared Declared
function Score:add(declared, found)
  self.files = self.files + 1
  if found.asked then self.asked = self.asked + 1 end
  compare(self.holders, declared.holders, found.holders, kind_of)
  compare(self.licences, declared.licences, found.licences, key_of)
  for key, kind in pairs(declared.licences) do
    local class = class_of(self.licences, kind)
    class.apart, class.declared = true, class.declared + 1
    if found.licences[key] then class.right = class.right + 1 end
  end
end

-- ---- in words ----

local function share(part, whole) return whole > 0 and ("%5.1f %%"):format(100 * part / whole) or "    - " end

local function in_order(list, less)
  table.sort(list, less)
  return list
end

-- The classes of licences by name, or those that tell whether there was a text.
local function classes_of(counts, apart)
  local list = {}
  for _, class in pairs(counts.classes) do
    if (class.apart or false) == apart and class.declared > 0 then list[#list + 1] = class end
  end
  return in_order(list, function(a, b)
    if a.declared ~= b.declared then return a.declared > b.declared end
    return a.name < b.name
  end)
end

local function most_of(set)
  local list = {}
  for key, n in pairs(set) do list[#list + 1] = {key = key, n = n} end
  return in_order(list, function(a, b)
    if a.n ~= b.n then return a.n > b.n end
    return a.key < b.key
  end)
end

local function add_most(lines, what, set)
  lines[#lines + 1] = what
  for i, one in ipairs(most_of(set)) do
    if i > SHOWN then break end
    lines[#lines + 1] = ("  %6d  %s"):format(one.n, one.key)
  end
end

local row = "%-24s %8s %8s %8s   %9s %9s"

local function add_counts(lines, name, counts, precise)
  lines[#lines + 1] = row:format(name, counts.declared, precise and counts.found or "", counts.right,
    precise and share(counts.right, counts.found) or "", share(counts.right, counts.declared))
end

--- What has come of it, as text.
---@param run muster.pipeline.summary
---@return string
function Score:text(run)
  local head = "%d distinct machine-readable files of %d, their structure taken away; a model was asked about %d\n"
  local lines = {head:format(self.files, run.items, self.asked)}
  lines[2] = row:format("", "declared", "found", "right", "precision", "recall")
  add_counts(lines, "holders", self.holders, true)
  for _, class in ipairs(classes_of(self.holders, false)) do add_counts(lines, "  " .. class.name, class) end
  add_counts(lines, "licences", self.licences, true)
  for _, class in ipairs(classes_of(self.licences, true)) do add_counts(lines, "  " .. class.name, class) end
  for i, class in ipairs(classes_of(self.licences, false)) do
    if i > 2 * SHOWN then break end
    add_counts(lines, "  " .. class.name, class, true)
  end
  add_most(lines, "\nholders that were missed, and in how many files:", self.holders.missed)
  add_most(lines, "holders that are not declared:", self.holders.spurious)
  add_most(lines, "licences that were missed:", self.licences.missed)
  add_most(lines, "licences that are not declared:", self.licences.spurious)
  return table.concat(lines, "\n") .. "\n"
end

-- ---- over files ----

local function read(settings)
  return function(path)
    local source, err = files.read(path, settings.max_bytes)
    return source and {path = path, source = source}, err
  end
end

-- Leaves out what is not machine-readable; and what has been seen: many packages are of one source.
local function structured()
  local seen = {}
  return function(draft)
    local made, err = record.of(draft.path, draft.source)
    if not made then return nil, err end
    local key = digest.sha256(draft.source)
    if made.format ~= "dep5" or seen[key] then return nil end
    seen[key] = true
    if made.encoding then draft.source = utf.of_latin1(draft.source) end
    return draft
  end
end

local function measure(client)
  return function(draft)
    local prose, declared = flatten.of(draft.source)
    local found, err = M.found(prose, client)
    return found and {declared = declared, found = found}, err
  end
end

--- Measures files: the score; nil and why not.
---@async
---@param settings table of the command line
---@param paths string[]
---@param client muster.llm.client?
---@return Score?
---@return any error or the summary of the run
function M.of(settings, paths, client)
  local score = M.score()
  local job = pipeline {
    name = "quality", source = pipeline.source.files(paths), limit = settings.limit, client = client,
    {"read", read(settings)}, {"structured", structured()}, {"measure", measure(client)},
    sink = function(one) score:add(one.declared, one.found) end,
  }
  local result, err = job:run {quiet = settings.quiet}
  if not result then return nil, err end
  return score, result
end

return M
