--- Finding and reading files through libuv's thread pool, one task a file.
--
-- The functions here suspend the task that calls them. They run shielded:
-- a cancelled task still closes its file first.

local async = require "muster"
local uv = require "luv"

local M = {}

-- A pipe or a device must not hold up a thread of the pool.
local flags = uv.constants.O_RDONLY | uv.constants.O_NONBLOCK

-- What uv.fs_<name>(...) gives, or nil and the reason, without the path in it.
local function call(name, ...)
  local arguments = table.pack(...)
  local problem, result = async.suspend(function(resume)
    arguments[arguments.n + 1] = resume
    uv["fs_" .. name](table.unpack(arguments, 1, arguments.n + 1))
  end)
  if problem then return nil, problem:match "^%u+: [^:]+" or problem end
  return result
end

-- Why the file behind `stat` is not to be read, if so.
local function objection(stat, max_bytes)
  if stat.type == "directory" then return "a directory in which no copyright file is found" end
  if stat.type ~= "file" then return "not a regular file (" .. stat.type .. ")" end
  if stat.size > max_bytes then
    return ("too large: %d bytes (the limit is %d)"):format(stat.size, max_bytes)
  end
end

-- `size` bytes from `handle`, or what there is of them.
local function read_all(handle, size)
  local parts, have = {}, 0
  while have < size do
    local part, problem = call("read", handle, size - have, have)
    if not part then return nil, problem end
    if part == "" then break end
    parts[#parts + 1], have = part, have + #part
  end
  return table.concat(parts)
end

local function read_open(handle, max_bytes)
  local stat, problem = call("fstat", handle)
  problem = problem or objection(stat, max_bytes)
  if problem then return nil, problem end
  return read_all(handle, stat.size)
end

local function read(path, max_bytes)
  local handle, problem = call("open", path, flags, 0)
  if not handle then return nil, problem end
  local text
  text, problem = read_open(handle, max_bytes)
  call("close", handle)
  return text, problem
end

--- The bytes of a regular file of at most `max_bytes`, or nil and the reason.
---@async
---@param path string
---@param max_bytes integer
---@return string? text
---@return string? problem
function M.read(path, max_bytes) return async.shield(read, path, max_bytes) end

-- The sorted names in `directory`; an empty list for what cannot be listed.
local function names_in(directory)
  local names, request = {}, call("scandir", directory)
  local name = request and uv.fs_scandir_next(request)
  while name do
    names[#names + 1], name = name, uv.fs_scandir_next(request)
  end
  table.sort(names)
  return names
end

-- Those of `paths` that exist, in their order; at most `limit` asked at once.
local function existing(paths, limit)
  local found = async.map(paths, function(path) return call("stat", path) ~= nil end,
    { limit = limit, ordered = true })
  local kept = {}
  for i, path in ipairs(paths) do
    if found[i] then kept[#kept + 1] = path end
  end
  return kept
end

--- What `path` stands for: itself, or, for a directory, its `copyright` file
--- and those of its subdirectories. A directory without any stands for itself,
--- so that it is reported.
---@async
---@param path string
---@param limit integer
---@return string[]
function M.expand(path, limit)
  local stat = call("stat", path)
  if not stat or stat.type ~= "directory" then return { path } end
  local base = path:gsub("/+$", "")
  local candidates = { base .. "/copyright" }
  for _, name in ipairs(names_in(path)) do
    candidates[#candidates + 1] = base .. "/" .. name .. "/copyright"
  end
  local found = existing(candidates, limit)
  return found[1] and found or { path }
end

return M
