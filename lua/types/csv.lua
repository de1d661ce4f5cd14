---@meta muster.csv
-- Type stubs for LuaLS: what `require "muster.csv"` returns.

---Comma-separated values, as RFC 4180 has them.
---@class muster.csv.module
local csv = {}

---Iterates over rows: lists of strings, which have them by the names of the first row, too. Empty lines are left out.
---What is not CSV raises an error of kind "csv", with its `line`; a row of more than 64 MiB one of kind "too_large".
---@param read string|fun(): string? the text; or a function that gives its next piece, nil at the end, and may await
---@param options {header: boolean?, separator: string?}? header=false: the first row is one as the others
---@return fun(): table?
function csv.rows(read, options) end

---A row as a line, with its end. Nil is an empty field.
---@param row table a list; `n`, if it is there, says how long it is
---@param options {separator: string?}?
---@return string
function csv.line(row, options) end

return csv
