--- What a run depends on: if it has changed, what earlier runs have done may be of another kind.
local digest = require "muster.digest"
local json = require "muster.json"
local schema = require "muster.schema"

local M = {}

--- The file of the script that runs; nil at the REPL, in a host, of -e.
local function script_text()
  local path = type(arg) == "table" and arg[0]
  local file <close> = path and io.open(path, "rb")
  return file and file:read "a"
end

local function text_of(value)
  if schema.is(value) then return value:describe() end
  return type(value) == "string" and value or json.encode(value, {canonical = true})
end

--- Digests by their names: the script, the stages' names, and what the script itself gave as `fingerprint`: texts,
--- schemas, tables of options.
---@param pipeline muster.pipeline
---@return table<string, string>
function M.of(pipeline)
  local names = {}
  for i, stage in ipairs(pipeline.stages) do names[i] = stage.name end
  local made = {stages = digest.sha256(table.concat(names, "\n"))}
  local text = script_text()
  if text then made.script = digest.sha256(text) end
  for name, value in pairs(pipeline.fingerprint) do made[tostring(name)] = digest.sha256(text_of(value)) end
  return made
end

return M
