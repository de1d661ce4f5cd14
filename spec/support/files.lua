-- For specs of files: a directory of its own for each, and what is in it.
local fs = require "muster.fs"
local spec = require "spec.support.io"

local M = {}

--- Makes the body of a spec, as spec.support.io's `checked`, which calls fn(at): at(name) is a path in a new directory.
---@param fn fun(at: fun(name: any?): string)
---@return function
function M.inside(fn)
  return spec.checked(function()
    local directory <close> = assert(fs.tmp_dir())
    fn(function(name) return name and directory.path .. "/" .. name or directory.path end)
  end)
end

--- Makes empty files of these names, or directories if they end in "/", with those above them.
---@param at fun(name: any?): string
---@param names string between them are spaces
function M.make(at, names)
  for name in names:gmatch "%S+" do
    local path = at(name)
    if name:sub(-1) == "/" then assert(fs.mkdir(path, {parents = true}))
    else
      assert(fs.mkdir(path:match "^(.*)/", {parents = true}))
      assert(fs.write(path, ""))
    end
  end
end

--- Puts a function of a module in the place of another while fn runs; it is given the real one first.
---@param module table
---@param name string
---@param other function
---@param fn function
function M.with(module, name, other, fn)
  local real = module[name]
  local _ <close> = setmetatable({}, {__close = function() module[name] = real end})
  module[name] = function(...) return other(real, ...) end
  fn()
end

return M
