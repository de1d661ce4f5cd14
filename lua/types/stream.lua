---@meta muster.stream
-- Type stubs for LuaLS: streams of bytes and open files, as the modules of I/O give them.

---@class muster.reader
local reader = {}

---Returns what is there as soon as there is anything, at most n bytes.
---@async
---@param n integer? 65536 unless given
---@return string? text nil at the end
---@return muster.error?
function reader:read(n) end

---Returns n bytes, and waits for as many. If the end comes earlier: nil and an error of kind "incomplete", in whose
---field `partial` what came is; nil alone if nothing came.
---@async
---@param n integer
---@return string? text
---@return muster.error?
function reader:read_exactly(n) end

---Returns what comes before a delimiter, and takes both. At the end of the stream: nil; if something was left, an
---error of kind "incomplete", with `partial`. More than `max` bytes (64 MiB): an error of kind "too_large"; nothing
---is taken.
---@async
---@param delimiter string
---@param opts {max: integer?}?
---@return string? text
---@return muster.error?
function reader:read_until(delimiter, opts) end

---Returns all there is up to the end, "" if nothing. More than `max` bytes: nil and an error of kind "too_large".
---@async
---@param opts {max: integer?}?
---@return string? text
---@return muster.error?
function reader:read_all(opts) end

---Iterates over lines, without their "\n"; the last one need not have it. A failure raises, as in io.lines.
---@async
---@param opts {max: integer?}? max: bytes of a line, 64 MiB unless given
---@return fun(): string?
function reader:lines(opts) end

---Iterates over pieces as they come, at most `size` bytes each. A failure raises, as in io.lines.
---@async
---@param opts {size: integer?}? 65536 unless given
---@return fun(): string?
function reader:chunks(opts) end

---@class muster.stream: muster.reader
local stream = {}

---Sends data, and waits until the system has taken all of it. Tasks that write to the same stream take turns. If the
---task is cancelled meanwhile, what is left goes out all the same unless the stream is closed.
---@async
---@param data string
---@return true? ok
---@return muster.error? error of kind "reset" if the peer reads no more
function stream:write(data) end

---Says to the peer that nothing more will be written, once all has been. Reading goes on. A pipe to a
---process, which has one direction only, is closed.
---@async
---@return true? ok
---@return muster.error?
function stream:shutdown() end

---Closes it at once. A task that reads or writes meanwhile gets an error of kind "closed". Closing again is fine.
function stream:close() end

---Where the other end is: {host=, port=}, or {path=} of a UNIX socket ("" if it has none).
---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
function stream:peer() end

---Where this end is.
---@return {host: string?, port: integer?, path: string?}?
---@return muster.error?
function stream:address() end

---@return boolean
function stream:is_closed() end

---@class muster.file: muster.reader
---@field fd integer
---@field path string
local file = {}

---Writes all of it.
---@async
---@param data string
---@return true? ok
---@return muster.error? error of kind "full", "closed"…
function file:write(data) end

---Goes to a position, as file:seek of Lua does.
---@async
---@param whence "set"|"cur"|"end"|nil "cur" unless given
---@param offset integer? 0 unless given
---@return integer? position bytes from the beginning
---@return muster.error? error
function file:seek(whence, offset) end

---The facts about it, as muster.fs.stat.
---@async
---@return table?
---@return muster.error?
function file:stat() end

---Waits until it is on the disk.
---@async
---@return true?
---@return muster.error?
function file:sync() end

---Cuts it, or extends it with zero bytes.
---@async
---@param size integer? 0 unless given
---@return true?
---@return muster.error?
function file:truncate(size) end

---Closes it; if a thread is still at work on it, then when that has ended. Closing again is fine.
function file:close() end

---@return boolean
function file:is_closed() end
