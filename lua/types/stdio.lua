---@meta muster.stdio
-- Type stubs for LuaLS: what `require "muster.stdio"` returns.

---The standard streams of this process. They are opened when they are first asked for.
---@class muster.stdio.module
---@field stdin muster.stream|muster.file
---@field stdout muster.stream|muster.file write keeps the order with print and io.write
---@field stderr muster.stream|muster.file
local stdio = {}

return stdio
