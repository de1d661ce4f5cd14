--- What a model is told when its answer was wrong.
local core = require "muster.core"

local M = {}

local MOST_ANSWER, MOST_PROBLEMS, MOST_LINE = 16000, 20, 400 -- bytes; lines; bytes of a line

-- ---- problems: lists of tables with path and message, as schemas give them ----

local Problems = {__name = "muster.llm.problems"}
Problems.__index = Problems

local function line_of(problem)
  local path = problem.path
  return path and path ~= "" and path .. ": " .. problem.message or problem.message
end

function Problems:__tostring()
  local lines = {}
  for i, problem in ipairs(self) do lines[i] = line_of(problem) end
  return table.concat(lines, "\n")
end

--- Makes a list of problems read well.
---@param list table[]
---@return table list
function M.problems(list) return setmetatable(list, Problems) end

--- A list of one problem.
---@param kind string
---@param message string
---@return table
function M.problem(kind, message) return M.problems {{path = "", kind = kind, message = message}} end

--- The error of an extraction whose answer stayed wrong. It keeps what came.
---@param problems table
---@param value any what was read, wrong as it is
---@param raw string? the answer
---@return muster.llm.error
function M.failure(problems, value, raw)
  local more = #problems > 1 and (" (and %d more)"):format(#problems - 1) or ""
  return core.error("invalid", "llm: the answer is not valid: " .. line_of(problems[1]) .. more,
    {errors = problems, value = value, raw = raw})
end

-- ---- messages ----

local function shortened(text, most)
  if #text <= most then return text end
  return text:sub(1, utf8.offset(text, 0, most) - 1) .. "…"
end

--- The problems, a line for each, not too many of them.
local function report(problems)
  local lines = {}
  for i, problem in ipairs(problems) do
    if i > MOST_PROBLEMS then
      lines[i] = ("- … and %d more"):format(#problems - MOST_PROBLEMS)
      break
    end
    lines[i] = "- " .. shortened(line_of(problem), MOST_LINE)
  end
  return table.concat(lines, "\n")
end

local function has_positions(problems)
  for _, problem in ipairs(problems) do
    if problem.path and problem.path:find("[", 1, true) then return true end
  end
  return false
end

--- The messages of the next try: the original ones, the last answer, and what is wrong with it. They do not grow from
--- try to try, and both additions are bounded.
---@param messages table[] the original ones
---@param answer string? the last answer
---@param problems table
---@param how string how to answer: "Call the tool X again" and the like
---@return table[]
function M.messages(messages, answer, problems, how)
  local list = table.move(messages, 1, #messages, 1, {})
  list[#list + 1] = {role = "assistant", content = answer and answer:find "%S" and shortened(answer, MOST_ANSWER)
    or "(no answer)"}
  local note = has_positions(problems) and " (positions count from 1)" or ""
  list[#list + 1] = {role = "user", content = ("That answer is wrong%s:\n%s\n%s, with the whole answer, corrected.")
    :format(note, report(problems), how)}
  return list
end

return M
