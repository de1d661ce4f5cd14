--- Errors of I/O as values, from the codes of libuv; and checks of arguments, which raise.
local core = require "muster.core"

local M = {}

local kinds = {
  ENOENT = "not_found", ENOTDIR = "not_directory", EISDIR = "is_directory", ENOTEMPTY = "not_empty",
  EEXIST = "exists", EACCES = "permission", EPERM = "permission", EROFS = "permission", ELOOP = "loop",
  ENOSPC = "full", EDQUOT = "full", EFBIG = "too_large", ENAMETOOLONG = "too_large",
  EMFILE = "too_many", ENFILE = "too_many",
  ECONNREFUSED = "connect", EHOSTUNREACH = "connect", ENETUNREACH = "connect", EADDRNOTAVAIL = "connect",
  EADDRINUSE = "in_use", ETIMEDOUT = "timeout",
  ECONNRESET = "reset", ECONNABORTED = "reset", EPIPE = "reset",
  ECANCELED = "closed", EBADF = "closed", ENOTCONN = "closed", ESRCH = "not_found",
}

local texts = {
  ENOENT = "no such file or directory", ENOTDIR = "not a directory", EISDIR = "is a directory",
  ENOTEMPTY = "directory not empty", EEXIST = "file already exists", EPERM = "operation not permitted",
  EROFS = "read-only file system", ELOOP = "too many symbolic links", ENOSPC = "no space left on device",
  EDQUOT = "disk quota exceeded", EFBIG = "file too large", ENAMETOOLONG = "name too long", ESRCH = "no such process",
  EACCES = "permission denied", EMFILE = "too many open files", ENFILE = "too many open files in the system",
  ECONNREFUSED = "connection refused", EHOSTUNREACH = "no route to the host", ENETUNREACH = "network is unreachable",
  EADDRNOTAVAIL = "address is not available", EADDRINUSE = "address is in use", ETIMEDOUT = "timed out",
  ECONNRESET = "connection reset by the peer", ECONNABORTED = "connection aborted", EPIPE = "the peer reads no more",
  ECANCELED = "closed", EBADF = "not open", ENOTCONN = "not connected", EINVAL = "invalid argument",
  EAI_NONAME = "no such name", EAI_NODATA = "the name has no address", EAI_AGAIN = "no name server answers",
  EAI_FAIL = "the name server failed", EAI_ADDRFAMILY = "no address of that family", EAGAIN = "not ready",
  ENXIO = "no such device, or nobody at the other end", EIO = "input/output error", ENOTSOCK = "not a socket",
}

local retryable = {
  ECONNREFUSED = true, EHOSTUNREACH = true, ENETUNREACH = true, ETIMEDOUT = true, ECONNRESET = true,
  ECONNABORTED = true, EPIPE = true, EAI_AGAIN = true, EAGAIN = true, EINTR = true, EBUSY = true, ETXTBSY = true,
  EMFILE = true, ENFILE = true, EADDRINUSE = true,
}

local function kind_of(code)
  if code:find "^EAI_" then return "dns" end
  return kinds[code] or "io"
end

--- An error of a kind of ours, not one of the system's.
---@param kind string
---@param what string what was attempted, such as "read /etc/x"
---@param text string why it failed
---@param fields table?
---@return muster.error
function M.new(kind, what, text, fields)
  return core.error(kind, what .. ": " .. text, fields)
end

--- An error from what libuv said: a code, or "CODE: text", maybe with a path.
---@param what string what was attempted, such as "read /etc/x"
---@param problem string
---@param fields table?
---@return muster.error error with `code`
function M.from(what, problem, fields)
  local code = problem:match "^E[%u%d_]+" or "EIO"
  fields = fields or {}
  fields.code, fields.retryable = code, retryable[code] or false
  local text = texts[code] or problem:match "^[%u%d_]+: ([^:]+)" or code
  return core.error(kind_of(code), ("%s: %s"):format(what, text), fields)
end

--- The same as the two results of a call that fails.
---@return nil
---@return muster.error
function M.fail(what, problem, fields) return nil, M.from(what, problem, fields) end

---@return nil
---@return muster.error error of kind "closed"
function M.closed(what) return nil, M.new("closed", what, "it is closed") end

-- ---- arguments ----

local function expected(what, value, should, level)
  local got = type(value) == "table" and "table" or type(value) == "string" and ("%q"):format(value) or tostring(value)
  error(("%s: expected %s, got %s"):format(what, should, got), level or 4)
end

local function check_name(what, value, should)
  if type(value) ~= "string" then expected(what, value, should, 5) end
  if value == "" or value:find("\0", 1, true) then expected(what, value, "a name without zero bytes, not empty", 5) end
  return value
end

--- The value, a string in which a name for the system may be: not empty, and without zero bytes.
---@param what string the function, and which argument if that is not plain
---@return string
function M.check_path(what, value) return (check_name(what, value, "a path")) end

--- The same for a name or an address of a machine.
---@return string
function M.check_host(what, value) return (check_name(what, value, "a host, by name or address")) end

---@return string
function M.check_string(what, value)
  if type(value) ~= "string" then expected(what, value, "a string") end
  return value
end

---@return integer
function M.check_count(what, value)
  if math.type(value) ~= "integer" or value < 1 then expected(what, value, "an integer of at least 1") end
  return value
end

return M
