--- Grammars: a readable template finds records in text, with the places of all they consist of.
local compile = require "muster.grammar.compile"
local classes = require "muster.grammar.classes"
local lpeg = require "lpeg"
local nodes = require "muster.grammar.nodes"
local options = require "muster.options"
local search = require "muster.grammar.search"
local template = require "muster.grammar.template"

local M = {}

---@class muster.grammar.template
local Template = {}
Template.__index = Template

local function is_template(v) return getmetatable(v) == Template end
local function is_lpeg(v) return lpeg.type(v) == "pattern" end

local known = {
  define = {function(v) return type(v) == "table" end, "a table of captures by name"},
  ignore_case = options.kinds.flag,
  whole_words = options.kinds.flag,
  max_steps = options.kinds.count,
}

-- Compiled when it is first used: parts of others often never are.
local function new(list, opts)
  return setmetatable({nodes = list, whole_words = opts.whole_words ~= false, max_steps = opts.max_steps}, Template)
end

local function compiled(self)
  if not self.patterns then self.patterns = compile.whole(nodes.arrange_whole(self.nodes), self.whole_words) end
  return self.patterns
end

-- ---- custom captures ----

local function class_of(what, name, v)
  if is_lpeg(v) then return compile.class_of_pattern(name, v) end
  if type(v) == "function" then return compile.class_of_function(name, v) end
  if is_template(v) then return {name = name, nodes = nodes.arrange_whole(v.nodes)} end
  error(("%s: option 'define': '%s' must be a pattern of LPeg, a function or a template, got %s")
    :format(what, tostring(name), type(v)), 4)
end

local function with_classes(what, define)
  local all = {}
  for name, class in pairs(classes) do all[name] = class end
  for name, v in pairs(define or {}) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      error(("%s: option 'define': a capture's name is letters, digits and '_', got '%s'")
        :format(what, tostring(name)), 3)
    end
    all[name] = class_of(what, name, v)
  end
  return all
end

-- ---- making ----

function M.template(text, opts)
  if type(text) ~= "string" then error(("template: expected a string, got %s"):format(type(text)), 2) end
  opts = options.check("template", opts, known)
  local list = template.read(text, with_classes("template", opts.define), opts.ignore_case)
  return new(list, opts)
end

local function check_name(what, name)
  if name ~= nil and (type(name) ~= "string" or not name:find "^[%a_][%w_]*$") then
    error(("%s: a capture's name is letters, digits and '_', got '%s'"):format(what, tostring(name)), 3)
  end
end

function M.pattern(pattern, name)
  if not is_lpeg(pattern) and type(pattern) ~= "function" then
    error(("pattern: expected a pattern of LPeg or a function, got %s"):format(type(pattern)), 2)
  end
  check_name("pattern", name)
  return new({{kind = "capture", name = name, class = class_of("pattern", name or "pattern", pattern)}}, {})
end

local function piece(what, i, v)
  if is_template(v) then return v end
  if type(v) == "string" then return M.template(v) end
  if is_lpeg(v) or type(v) == "function" then return M.pattern(v) end
  error(("%s: argument %d: expected a template, a string, a pattern of LPeg or a function, got %s")
    :format(what, i, type(v)), 3)
end

local function pieces(what, ...)
  local list, opts = table.pack(...), {}
  if list.n == 0 then error(("%s: expected at least one piece"):format(what), 3) end
  for i = 1, list.n do
    local part = piece(what, i, list[i])
    list[i] = part
    if not part.whole_words then opts.whole_words = false end
    if part.max_steps then opts.max_steps = math.min(opts.max_steps or math.huge, part.max_steps) end
  end
  return list, opts
end

function M.sequence(...)
  local list, opts = pieces("sequence", ...)
  local body = {}
  for i = 1, list.n do body[i] = {kind = "sequence", body = list[i].nodes} end
  return new(body, opts)
end

function M.choice(...)
  local list, opts = pieces("choice", ...)
  local branches = {}
  for i = 1, list.n do branches[i] = list[i].nodes end
  return new({{kind = "choice", branches = branches}}, opts)
end

function M.optional(part)
  local list, opts = pieces("optional", part)
  return new({{kind = "optional", body = list[1].nodes}}, opts)
end

function M.capture(name, part)
  check_name("capture", name or 0)
  local list, opts = pieces("capture", part)
  local one = list[1].nodes[1]
  if #list[1].nodes == 1 and one.kind == "capture" and not one.name and not one.class.place then
    return new({{kind = "capture", name = name, class = one.class}}, opts)
  end
  return new({{kind = "capture", name = name, class = class_of("capture", name, list[1])}}, opts)
end

Template.__concat = function(a, b) return M.sequence(a, b) end
Template.__add = function(a, b) return M.choice(a, b) end

-- ---- using ----

local function check(what, text, init)
  if type(text) ~= "string" then error(("%s: argument 1: expected a string, got %s"):format(what, type(text)), 3) end
  if init == nil then return 1 end
  if math.type(init) ~= "integer" then
    error(("%s: argument 2: expected an integer, got %s"):format(what, tostring(init)), 3)
  end
  if init < 0 then init = #text + init + 1 end
  return math.max(init, 1)
end

function Template:match(text, init)
  init = check("match", text, init)
  return search.match(compiled(self), text, init, self.max_steps)
end

function Template:find(text, init)
  init = check("find", text, init)
  return search.find(compiled(self), text, init, self.max_steps)
end

function Template:matches(text, init)
  init = check("matches", text, init)
  return search.all(compiled(self), text, init, self.max_steps)
end

return M
