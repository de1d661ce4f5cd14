--- Files and directories. What may block is done in a thread of libuv's pool; each call suspends only its task.
local atomic = require "muster.fs.atomic"
local failure = require "muster.failure"
local files = require "muster.stream.file"
local glob = require "muster.fs.glob"
local options = require "muster.options"
local reader = require "muster.stream.reader"
local removal = require "muster.fs.remove"
local tmp = require "muster.fs.tmp"
local tree = require "muster.fs.tree"
local uv = require "luv"
local watch = require "muster.fs.watch"

local M = {}

local kinds = options.kinds
local check_path, fail, call = failure.check_path, tree.fail, files.call

local LARGEST = 64 * 1024 * 1024 -- bytes to read at once

local permissions = {
  function(v) return math.type(v) == "integer" and v >= 0 and v <= 4095 end, "permissions, such as tonumber('644', 8)",
}

-- ---- files ----

--- Opens a file.
---@async
---@param path string
---@param mode string? as of io.open, "r" unless given; "x", "x+": make it, and fail if it is there. All are binary
---@param opts {mode: integer?}? mode: permissions of a new file, which the umask restricts; 0666 unless given
---@return muster.file? file
---@return muster.error? error of kind "not_found", "permission", "exists", "is_directory"…
function M.open(path, mode, opts)
  check_path("open", path)
  mode = mode == nil and "r" or mode
  if type(mode) == "string" then mode = mode:gsub("b", "") end
  if not files.is_mode(mode) then
    error(('open: expected a mode, such as "r", "w", "a", "x" or "r+", got %s'):format(tostring(mode)), 2)
  end
  opts = options.check("open", opts, {mode = permissions})
  local file, problem = files.open(path, mode, opts.mode)
  if not file then return fail("open", path, problem) end
  return file
end

--- Reads a whole file.
---@async
---@param path string
---@param opts {max: integer?}? max: bytes; more are an error of kind "too_large"
---@return string? text
---@return muster.error?
function M.read(path, opts)
  check_path("read", path)
  opts = options.check("read", opts, {max = kinds.count})
  local file <close>, stat = files.open(path, "r")
  if not file then return fail("read", path, stat) end
  local size, most = file.positioned and stat.size or 0, opts.max or math.huge
  if size == 0 then return file:read_all(opts) end -- also what has no size, as in /proc
  file.piece = math.min(size, LARGEST, most < size and most + 1 or size) -- in /sys, a size is no more than a guess
  local more, err = file:more()
  if more == nil then return nil, err end
  if file.input.size == size and size <= most then return file.input:take_all() end
  file.piece = nil
  return file:read_all(opts)
end

local function write(name, mode, path, data, opts)
  local file <close>, problem = files.open(path, mode, opts.mode)
  if not file then return fail(name, path, problem) end
  local ok, err = file:write(data)
  if ok and opts.sync then return file:sync() end
  return ok, err
end

--- Writes a whole file; what was there is lost.
---@async
---@param path string
---@param data string
---@param opts {atomic: boolean?, sync: boolean?, mode: integer?}? atomic: others see the old file or the new one, also
--- after a crash, and never a part; sync: it is on the disk when this returns (always if atomic); mode: permissions
---@return true? ok
---@return muster.error?
function M.write(path, data, opts)
  check_path("write", path)
  failure.check_string("write", data)
  opts = options.check("write", opts, {atomic = kinds.flag, sync = kinds.flag, mode = permissions})
  reader.checkpoint()
  if opts.atomic then return atomic.write(path, data, opts.mode) end
  return write("write", "w", path, data, opts)
end

--- Writes at the end of a file, which is made if it is not there.
---@async
---@param path string
---@param data string
---@param opts {sync: boolean?, mode: integer?}?
---@return true? ok
---@return muster.error?
function M.append(path, data, opts)
  check_path("append", path)
  failure.check_string("append", data)
  opts = options.check("append", opts, {sync = kinds.flag, mode = permissions})
  return write("append", "a", path, data, opts)
end

--- The iterator of an open file, which is closed at the end of the loop. A failure raises, as in io.lines.
local function iterate(path, method, opts)
  local file, problem = files.open(path, "r")
  if not file then error(failure.from("open " .. path, problem, {path = path}), 0) end
  local step = file[method](file, opts)
  return function()
    local value = step()
    if value == nil then file:close() end
    return value
  end, nil, nil, file
end

--- Iterates over the lines of a file, without their "\n", in constant memory. A failure raises, as in io.lines.
---@async
---@param path string
---@param opts {max: integer?}? max: bytes of a line, 64 MiB unless given
---@return fun(): string?
function M.lines(path, opts)
  check_path("lines", path)
  options.check("lines", opts, {max = kinds.count})
  return iterate(path, "lines", opts)
end

--- Iterates over pieces of a file, at most `size` bytes each (65536 unless given). A failure raises.
---@async
---@param path string
---@param opts {size: integer?}?
---@return fun(): string?
function M.chunks(path, opts)
  check_path("chunks", path)
  options.check("chunks", opts, reader.chunk_options)
  return iterate(path, "chunks", opts)
end

-- ---- facts ----

---@class muster.fs.stat
---@field type "file"|"directory"|"link"|"fifo"|"socket"|"char"|"block"|"unknown"
---@field size integer
---@field mode integer permissions
---@field uid integer
---@field gid integer
---@field mtime number seconds since 1970, when its content changed
---@field atime number
---@field ctime number
---@field ino integer
---@field dev integer
---@field nlink integer

--- The facts about a file.
---@async
---@param path string
---@param opts {follow: boolean?}? follow=false: of a link itself
---@return muster.fs.stat?
---@return muster.error?
function M.stat(path, opts)
  check_path("stat", path)
  opts = options.check("stat", opts, {follow = kinds.flag})
  local stat, problem = call(nil, opts.follow == false and "lstat" or "stat", path)
  if not stat then return fail("stat", path, problem) end
  return files.facts(stat)
end

--- Is there anything? False also if it cannot be known; then the error says why.
---@async
---@param path string
---@return boolean
---@return muster.error?
function M.exists(path)
  check_path("exists", path)
  local stat, problem = call(nil, "stat", path)
  if stat then return true end
  if problem:find "^ENOENT" or problem:find "^ENOTDIR" then return false end
  return false, failure.from("stat " .. path, problem, {path = path})
end

-- ---- directories ----

--- The sorted names in a directory.
---@async
---@param path string
---@return string[]?
---@return muster.error?
function M.list(path)
  check_path("list", path)
  local entries, problem = tree.entries(path)
  if not entries then return fail("list", path, problem) end
  for i, entry in ipairs(entries) do entries[i] = entry.name end
  return entries
end

local function is_function(v) return type(v) == "function" end

--- Iterates over all that is below a directory: `for path, type in fs.walk(dir) do`. It is sorted, a directory before
--- what is in it. Links are not followed. A directory that cannot be read raises, unless on_error takes it.
---@async
---@param path string
---@param opts {depth: integer?, on_error: fun(err: muster.error)?}? depth: how many levels
---@return fun(): string?, string? path and type, as of stat
function M.walk(path, opts)
  check_path("walk", path)
  opts = options.check("walk", opts, {depth = kinds.count, on_error = {is_function, "a function"}})
  return tree.walk(path, opts.depth or math.huge, function(where, problem)
    local err = failure.from("walk " .. where, problem, {path = where})
    if not opts.on_error then error(err, 0) end
    opts.on_error(err)
  end)
end

--- The sorted paths that match a pattern: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, `**` for any number of directories. A
--- name that begins with "." must be asked for. A "/" at the end asks for directories, whose paths then end in it, too.
--- What cannot be read has no matches.
---@async
---@param pattern string
---@param opts {root: string?}? root: where a relative pattern begins; paths begin with it
---@return string[]
function M.glob(pattern, opts)
  check_path("glob", pattern)
  opts = options.check("glob", opts, {root = {function(v) return type(v) == "string" and v ~= "" end, "a path"}})
  reader.checkpoint()
  local function list(directory) return tree.entries(directory == "" and "." or directory) or {} end
  local function type_of(path)
    local stat = call(nil, "stat", path) or call(nil, "lstat", path)
    return stat and (stat.type or "unknown")
  end
  local found = glob.search(pattern, opts.root or "", list, type_of)
  if not found then error("glob: the alternatives of the pattern are too many", 2) end
  return found
end

--- Makes a directory.
---@async
---@param path string
---@param opts {parents: boolean?, mode: integer?}? parents: those above it too, and it may be there already
---@return true?
---@return muster.error?
function M.mkdir(path, opts)
  check_path("mkdir", path)
  opts = options.check("mkdir", opts, {parents = kinds.flag, mode = permissions})
  reader.checkpoint()
  local mode, problem = opts.mode or 511 -- 0777
  if opts.parents then problem = tree.make(path, mode) else problem = select(2, call(nil, "mkdir", path, mode)) end
  if problem then return fail("mkdir", path, problem) end
  return true
end

--- Removes a file, or a directory that is empty.
---@async
---@param path string
---@param opts {recursive: boolean?, missing_ok: boolean?}? recursive: a directory with all that is in it
---@return true?
---@return muster.error?
function M.rm(path, opts)
  check_path("rm", path)
  opts = options.check("rm", opts, {recursive = kinds.flag, missing_ok = kinds.flag})
  local stat, problem = call(nil, "lstat", path)
  if not stat then
    if opts.missing_ok and problem:find "^ENOENT" then return true end
    return fail("rm", path, problem)
  end
  if opts.recursive then
    local where
    problem, where = removal.remove(path)
    if problem then return fail("rm", where, problem) end
    return true
  end
  local ok
  ok, problem = call(nil, stat.type == "directory" and "rmdir" or "unlink", path)
  if not ok then return fail("rm", path, problem) end
  return true
end

--- Renames a file or a directory; a file that has the new name is replaced.
---@async
---@param from string
---@param to string
---@return true?
---@return muster.error?
function M.rename(from, to)
  check_path("rename", from)
  check_path("rename", to)
  local ok, problem = call(nil, "rename", from, to)
  if not ok then return failure.fail(("rename %s to %s"):format(from, to), problem, {path = from, to = to}) end
  return true
end

-- ---- for a while ----

local function is_name(v) return type(v) == "string" and not v:find "[/%z]" end
local tmp_options = {
  dir = {function(v) return type(v) == "string" and v ~= "" end, "a path"},
  prefix = {is_name, "a part of a name"}, suffix = {is_name, "a part of a name"},
}

local function temporary(what, make, opts)
  opts = options.check(what, opts, tmp_options)
  local thing, path, problem = make(opts.dir or uv.os_tmpdir(), opts.prefix or "muster-", opts.suffix or "")
  if not thing then return fail(what, path, problem) end
  return thing
end

--- Makes a file of its own, open for reading and writing; its name is the field `path`. It is removed when it is
--- closed, as a `<close>` variable is, or collected.
---@async
---@param opts {dir: string?, prefix: string?, suffix: string?}? dir: where; that of the system unless given
---@return muster.file?
---@return muster.error?
function M.tmp_file(opts) return temporary("tmp_file", tmp.file, opts) end

--- Makes a directory of its own; its name is the field `path`. It is removed, with all that is in it, when it is
--- closed, as a `<close>` variable is, or collected.
---@async
---@param opts {dir: string?, prefix: string?, suffix: string?}?
---@return muster.tmp_dir?
---@return muster.error?
function M.tmp_dir(opts) return temporary("tmp_dir", tmp.directory, opts) end

--- Watches a file, or a directory and the files in it (not those below): `for change in fs.watch(path) do`, or
--- `local w <close> = fs.watch(path)` and `w:next()`. What cannot be watched raises, so that a loop says so.
---@async
---@param path string
---@return muster.watcher watcher
function M.watch(path)
  check_path("watch", path)
  reader.checkpoint()
  local watcher, err = watch.new(path)
  if not watcher then error(err, 0) end
  return watcher, nil, nil, watcher
end

return M
