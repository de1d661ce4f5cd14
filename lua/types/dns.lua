---@meta muster.dns
-- Type stubs for LuaLS: what `require "muster.dns"` returns.

---@class muster.dns.module
local dns = {}

---The addresses of a host, in the order in which they should be tried. A numeric address stands for itself.
---@async
---@param host string
---@param opts {family: "inet"|"inet6"|nil, timeout: number?}?
---@return {host: string, family: "inet"|"inet6"}[]? list at least one
---@return muster.error? error of kind "dns"; retryable if no name server answered
function dns.resolve(host, opts) end

---The same, as strings.
---@async
---@param host string
---@param opts {family: "inet"|"inet6"|nil, timeout: number?}?
---@return string[]?
---@return muster.error?
function dns.addresses(host, opts) end

---The name of an address; the address itself if it has none.
---@async
---@param address string numeric
---@return string? name
---@return muster.error?
function dns.reverse(address) end

return dns
