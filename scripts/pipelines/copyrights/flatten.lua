--- A machine-readable (DEP-5) file as the prose that a file in free form has, and what it has declared.
--
-- Of the fields only Copyright and License are kept, without their names: a line of
-- the first is a statement, marked as one if it is not; of the second the text is
-- kept, and its short name goes. What is declared is read by plain patterns, line by
-- line, and not by the grammar that is to be measured.

local dep5 = require "copyrights.dep5"
local licences = require "copyrights.licences"
local normal = require "copyrights.normal"

local M = {}

local function lines_of(value)
  local lines = {}
  for line in (value .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("^[ \t]", ""):gsub("%s+$", "")
    lines[#lines + 1] = line:find "^%s*%.$" and "" or line
  end
  return lines
end

local function goes_on(line) return line:find ",$" or line:find "%f[%w]and$" or line:find "&$" end

-- Lines of a Copyright field, those joined that are one statement.
local function statements_of(value)
  local list, open = {}, false
  for _, line in ipairs(lines_of(value)) do
    line = line:gsub("^%s+", "")
    if line ~= "" then
      if open then list[#list] = list[#list] .. "\n  " .. line else list[#list + 1] = line end
      open = goes_on(line)
    end
  end
  return list
end

local function is_marked(statement)
  return statement:find "[Cc][Oo][Pp][Yy][Rr][Ii][Gg][Hh][Tt]" or statement:find "%([Cc]%)"
    or statement:find "\194\169"
end

-- ---- what it declares ----

local nobody = {[""] = true, none = true, ["public domain"] = true, ["no copyright"] = true, unknown = true,
  ["n a"] = true, na = true, no = true, ["not applicable"] = true, nobody = true}

local years <const> = "%f[%w]%d%d%d%d%f[%W]"

-- Marks, web and e-mail addresses, rights, years.
local no_part_of_a_name = {
  "[Cc][Oo][Pp][Yy][Rr][Ii][Gg][Hh][Tt]%a*", "%([Cc]%)", "\194\169", "https?://[^%s>)]+", "www%.[^%s>)]+",
  "[<(%[][^<>()%[%]]*@[^<>()%[%]]*[>)%]]", "%([^()]* at [^()]* dot [^()]*%)", "<[^<>]*>", "%S+@%S+",
  "[Aa]ll [Rr]ights [Rr]eserved", years .. "%s*%-%s*%f[%d]%d%d?%f[%W]",
  years .. "%s*\226\128[\147\148]%s*%f[%d]%d%d?%f[%W]", years,
}
local leading = {"[Pp]resent", "[Pp]ortions", "[Bb]y"}

--- The holder that a statement of a Copyright field names, in one spelling; nil if nobody.
---@param statement string
---@return string?
function M.holder(statement)
  local name = statement:gsub("%s+", " ")
  for _, one in ipairs(no_part_of_a_name) do name = name:gsub(one, " ") end
  for _, word in ipairs(leading) do name = name:gsub("^[%s%p]*" .. word .. "%f[%W]", " ") end
  name = normal.holder(name)
  return not nobody[name] and name or nil
end

local function collect_holders(declared, value)
  for _, statement in ipairs(statements_of(value)) do
    local holder = M.holder(statement)
    if holder then declared.holders[holder] = statement:find(years) and "with years" or "without years" end
  end
end

local function collect_licences(declared, value, has_text)
  for _, name in ipairs(licences.named(value)) do
    for _, key in ipairs(normal.licence(name)) do
      local kind = normal.is_standard(key) and "standard names" or "names of their own"
      if not has_text then kind = declared.licences[key] or "without text" end
      declared.licences[key] = kind
    end
  end
end

-- ---- the prose ----

local function add_statements(prose, value)
  for _, statement in ipairs(statements_of(value)) do
    prose[#prose + 1] = (is_marked(statement) and "" or "Copyright (C) ") .. statement
  end
  prose[#prose + 1] = ""
end

-- The text of a License field, if it has one.
local function add_text(prose, value)
  local lines, has_text = lines_of(value), false
  for i = 2, #lines do
    prose[#prose + 1], has_text = lines[i], has_text or lines[i] ~= ""
  end
  if has_text then prose[#prose + 1] = "" end
  return has_text
end

---@class Declared
---@field holders table<string, string>    holders in one spelling: "with years", "without years"
---@field licences table<string, string>   the same: "standard names", "names of their own", "without text"

--- The prose, and what the file has declared.
---@param source string
---@return string prose
---@return Declared
function M.of(source)
  local prose, declared = {}, {holders = {}, licences = {}}
  for _, field in ipairs(dep5.fields(source)) do
    if field.name == "copyright" then
      add_statements(prose, field.value)
      collect_holders(declared, field.value)
    elseif field.name == "license" then
      collect_licences(declared, field.value, add_text(prose, field.value))
    end
  end
  return table.concat(prose, "\n"), declared
end

return M
