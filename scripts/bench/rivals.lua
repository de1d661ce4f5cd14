--- The HTTP clients of other languages that the bench compares with, each at its best: with kept connections, and no
--- work but the requests. All are optional.
local uv = require "luv"
local process = require "process"

local here = arg[0]:match "^(.*)/" or "."

--- name: if it is not here. program: where it is looked for. aim: how many times its throughput ours is to be.
---@class rival
---@field name string
---@field program string
---@field args string[]
---@field env table<string, string>?
---@field aim number?

---@type rival[]
local rivals = {
  {name = "aiohttp", program = "/usr/bin/python3", args = {here .. "/rivals/aiohttp_get.py"}, aim = 5},
  {name = "undici", program = "node", args = {here .. "/rivals/undici_get.js", "pool"},
   env = {NODE_PATH = "/usr/share/nodejs"}, aim = 1},
  {name = "Node's fetch", program = "node", args = {here .. "/rivals/undici_get.js", "fetch"}},
  -- Debian has its modules below 5.3 and 5.1 only, and runs them well on 5.4.
  {name = "lua-http", program = "lua5.4", args = {here .. "/rivals/luahttp_get.lua"},
   env = {LUA_PATH_5_4 = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua;;"}, aim = 1},
}

local function environment(more)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if not (more and more[name]) then list[#list + 1] = name .. "=" .. value end
  end
  for name, value in pairs(more or {}) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function with(args, more)
  local all = table.move(args, 1, #args, 1, {})
  return table.move(more, 1, #more, #all + 1, all)
end

local M = table.move(rivals, 1, #rivals, 1, {})

--- Asks it which it is. Returns that, and a function that takes the arguments of a run and returns program, arguments
--- and environment; nil if it is not here.
---@async
---@param rival rival
---@return string? title, function? run
function M.open(rival)
  local env = environment(rival.env)
  local ok, title = pcall(process.run, "/bin/sh", with({"-c", 'exec 2>/dev/null; exec "$@"', "sh", rival.program},
                                                         rival.args), env)
  if not ok then return nil end
  return title:match "^[^\n]*", function(...)
    return "/usr/bin/env", with({rival.program}, with(rival.args, {...})), env
  end
end

return M
