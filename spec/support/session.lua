-- Sessions whose lines come from a list, and whose screen is a string.
local repl = require "muster.repl"

local pcall, table, tostring = pcall, table, tostring -- a spec may do away with the globals

local M = {}

---@class spec.screen
---@field io muster.repl.io
---@field session muster.session
---@field prompts string[]
local Screen = {}
Screen.__index = Screen

--- What was written since the last call.
function Screen:text()
  local text = table.concat(self.written)
  self.written = {}
  return text
end

--- Runs the lines of a text, one step after another, as long as there are any; errors are written as "! message".
---@param text string
---@return string written
function Screen:run(text)
  self.lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do table.insert(self.lines, line) end
  while self.lines[1] do
    local ok, err = pcall(self.session.step, self.session)
    if not ok then table.insert(self.written, "! " .. tostring(err) .. "\n") end
  end
  return self:text()
end

--- A session that has a terminal unless `fields` say otherwise. Its globals are those of the program: see `forget`.
---@param fields table? other fields of its io object
---@return spec.screen
function M.open(fields)
  local self = setmetatable({lines = {}, written = {}, prompts = {}}, Screen)
  self.io = {terminal = true, width = function() return 80 end, height = function() return 24 end,
    read = function(prompt)
      table.insert(self.prompts, prompt)
      return table.remove(self.lines, 1)
    end,
    write = function(text) table.insert(self.written, text) end}
  for key, value in pairs(fields or {}) do self.io[key] = value end
  self.session = repl.session(self.io)
  return self
end

--- Removes the globals that were not there when this was loaded.
local known = {}
for name in pairs(_G) do known[name] = true end

function M.forget()
  for name in pairs(_G) do
    if not known[name] then _G[name] = nil end
  end
end

return M
