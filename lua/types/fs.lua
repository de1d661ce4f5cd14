---@meta muster.fs
-- Type stubs for LuaLS: what `require "muster.fs"` returns.

---@class muster.fs.module
local fs = {}

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

---Opens a file.
---@async
---@param path string
---@param mode string? as of io.open, "r" unless given; "x", "x+": make it, and fail if it is there. All are binary
---@param opts {mode: integer?}? mode: permissions of a new file, which the umask restricts; 0666 unless given
---@return muster.file? file
---@return muster.error? error of kind "not_found", "permission", "exists", "is_directory"…
function fs.open(path, mode, opts) end

---Reads a whole file.
---@async
---@param path string
---@param opts {max: integer?}? max: bytes; more are an error of kind "too_large"
---@return string? text
---@return muster.error?
function fs.read(path, opts) end

---Writes a whole file; what was there is lost.
---@async
---@param path string
---@param data string
---@param opts {atomic: boolean?, sync: boolean?, mode: integer?}? atomic: others see the old file or the new one, also
---after a crash, and never a part; sync: it is on the disk when this returns (always if atomic); mode: permissions
---@return true? ok
---@return muster.error?
function fs.write(path, data, opts) end

---Writes at the end of a file, which is made if it is not there.
---@async
---@param path string
---@param data string
---@param opts {sync: boolean?, mode: integer?}?
---@return true? ok
---@return muster.error?
function fs.append(path, data, opts) end

---Iterates over the lines of a file, without their "\n", in constant memory. A failure raises, as in io.lines.
---@async
---@param path string
---@param opts {max: integer?}? max: bytes of a line, 64 MiB unless given
---@return fun(): string?
function fs.lines(path, opts) end

---Iterates over pieces of a file, at most `size` bytes each (65536 unless given). A failure raises.
---@async
---@param path string
---@param opts {size: integer?}?
---@return fun(): string?
function fs.chunks(path, opts) end

---The facts about a file.
---@async
---@param path string
---@param opts {follow: boolean?}? follow=false: of a link itself
---@return muster.fs.stat?
---@return muster.error?
function fs.stat(path, opts) end

---Is there anything? False also if it cannot be known; then the error says why.
---@async
---@param path string
---@return boolean
---@return muster.error?
function fs.exists(path) end

---The sorted names in a directory.
---@async
---@param path string
---@return string[]?
---@return muster.error?
function fs.list(path) end

---Iterates over all that is below a directory: `for path, type in fs.walk(dir) do`. It is sorted, a directory before
---what is in it. Links are not followed. A directory that cannot be read raises, unless on_error takes it.
---@async
---@param path string
---@param opts {depth: integer?, on_error: fun(err: muster.error)?}? depth: how many levels
---@return fun(): string?, string? path and type, as of stat
function fs.walk(path, opts) end

---The sorted paths that match a pattern: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, `**` for any number of directories. A
---name that begins with "." must be asked for. A "/" at the end asks for directories, whose paths then end in it, too.
---What cannot be read has no matches.
---@async
---@param pattern string
---@param opts {root: string?}? root: where a relative pattern begins; paths begin with it
---@return string[]
function fs.glob(pattern, opts) end

---Makes a directory.
---@async
---@param path string
---@param opts {parents: boolean?, mode: integer?}? parents: those above it too, and it may be there already
---@return true?
---@return muster.error?
function fs.mkdir(path, opts) end

---Removes a file, or a directory that is empty.
---@async
---@param path string
---@param opts {recursive: boolean?, missing_ok: boolean?}? recursive: a directory with all that is in it
---@return true?
---@return muster.error?
function fs.rm(path, opts) end

---Renames a file or a directory; a file that has the new name is replaced.
---@async
---@param from string
---@param to string
---@return true?
---@return muster.error?
function fs.rename(from, to) end

---Makes a file of its own, open for reading and writing; its name is the field `path`. It is removed when it is
---closed, as a `<close>` variable is, or collected.
---@async
---@param opts {dir: string?, prefix: string?, suffix: string?}? dir: where; that of the system unless given
---@return muster.file?
---@return muster.error?
function fs.tmp_file(opts) end

---Makes a directory of its own; its name is the field `path`. It is removed, with all that is in it, when it is
---closed, as a `<close>` variable is, or collected.
---@async
---@param opts {dir: string?, prefix: string?, suffix: string?}?
---@return muster.tmp_dir?
---@return muster.error?
function fs.tmp_dir(opts) end

---Watches a file, or a directory and the files in it (not those below): `for change in fs.watch(path) do`, or
---`local w <close> = fs.watch(path)` and `w:next()`. What cannot be watched raises, so that a loop says so.
---@async
---@param path string
---@return muster.watcher watcher
function fs.watch(path) end

---@class muster.tmp_file: muster.file

---@class muster.tmp_dir
---@field path string
local tmp_dir = {}

---Removes it with all that is in it, also in a task that is being cancelled. Closing again is fine.
---@async
function tmp_dir:close() end

---@class muster.fs.change
---@field name string? the file in the directory, or the file itself
---@field kind "changed"|"renamed"|"overflow" renamed: also made or removed; overflow: more changes than could be kept

---@class muster.watcher
---@field path string
local watcher = {}

---Waits for the next change. Equal ones that nobody has asked for yet are one.
---@async
---@return muster.fs.change? change
---@return muster.error? error of kind "closed" once it is closed
function watcher:next() end

---Stops watching, and wakes who waits. Closing again is fine.
function watcher:close() end

return fs
