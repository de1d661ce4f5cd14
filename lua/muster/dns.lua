--- Names and addresses, by the system's resolver, which a thread of libuv's pool asks.
local core = require "muster.core"
local failure = require "muster.failure"
local options = require "muster.options"
local checkpoint = require "muster.stream.reader".checkpoint
local uv = require "luv"
local request = require "muster.request"

local M = {}

local families = {inet = true, inet6 = true}

local known = {
  family = {function(v) return families[v] end, '"inet" or "inet6"'},
  timeout = options.kinds.seconds,
}

--- What a function of luv with a callback gives, or nil, err. Cancelling gives up a question not yet asked.
local function ask(what, start, ...)
  local problem, result, second = request(start, nil, ...)
  if problem then return failure.fail(what, problem) end
  return result, second
end

--- Dotted decimal, for which nobody need be asked.
local function is_ipv4(host)
  local found
  for part in host:gmatch "%d+" do
    if #part > 3 or tonumber(part) > 255 or part:find "^0%d" then return false end
    found = true
  end
  return found and host:find "^%d+%.%d+%.%d+%.%d+$" ~= nil
end

local function lookup(what, host, family)
  if is_ipv4(host) and family ~= "inet6" then return {{host = host, family = "inet"}} end
  local list, err = ask(what, uv.getaddrinfo, host, nil, {socktype = "stream", family = family})
  if not list then return nil, err end
  local found = {}
  for i, entry in ipairs(list) do found[i] = {host = entry.addr, family = entry.family} end
  return found
end

--- Runs fn within a time limit, if there is one: what it returns, or nil and an error of kind "timeout".
local function limited(what, timeout, fn, ...)
  if not timeout then return fn(...) end
  local result, err = core.move_on_after(timeout, fn, ...)
  if result == false then return nil, failure.from(what, "ETIMEDOUT") end
  return result, err
end

--- The addresses of a host, in the order in which they should be tried. A numeric address stands for itself.
---@async
---@param host string
---@param opts {family: "inet"|"inet6"|nil, timeout: number?}?
---@return {host: string, family: "inet"|"inet6"}[]? list at least one
---@return muster.error? error of kind "dns"; retryable if no name server answered
function M.resolve(host, opts)
  failure.check_host("resolve", host)
  opts = options.check("resolve", opts, known)
  checkpoint()
  local what = "resolve " .. host
  return limited(what, opts.timeout, lookup, what, host, opts.family)
end

--- The same, as strings.
---@async
---@param host string
---@param opts {family: "inet"|"inet6"|nil, timeout: number?}?
---@return string[]?
---@return muster.error?
function M.addresses(host, opts)
  failure.check_host("addresses", host)
  opts = options.check("addresses", opts, known)
  local list, err = M.resolve(host, opts)
  if not list then return nil, err end
  for i, entry in ipairs(list) do list[i] = entry.host end
  return list
end

--- The name of an address; the address itself if it has none.
---@async
---@param address string numeric
---@return string? name
---@return muster.error?
function M.reverse(address)
  failure.check_host("reverse", address)
  local start = {ip = address, family = address:find ":" and "inet6" or "inet"}
  local ok, name, err = pcall(ask, "reverse " .. address, uv.getnameinfo, start)
  if ok and name then return name end -- err is the name of the port
  if ok then return nil, err end
  if core.is_cancelled(name) or not tostring(name):find "Invalid ip" then error(name, 0) end
  error(("reverse: expected a numeric address, got %q"):format(address), 2)
end

return M
