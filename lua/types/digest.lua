---@meta muster.digest
-- Type stubs for LuaLS: what `require "muster.digest"` returns.

---Fingerprints of texts.
---@class muster.digest.module
local digest = {}

---SHA-256.
---@param text string
---@param ... string more texts, which follow it
---@return string hex 64 digits, of all of them together
function digest.sha256(text, ...) end

return digest
