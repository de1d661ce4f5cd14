---@meta muster.json
-- Type stubs for LuaLS: what `require "muster.json"` returns.

---@class muster.json
---@field null lightuserdata what null is, the same as cjson.null
local json = {}

---@class json.error: muster.error
---@field kind "json"
---@field offset integer position of the byte that is wrong
---@field line integer
---@field column integer in bytes
---@field truncated boolean was the text right until it ended?
---@field partial any what there was before

---@class json.decode.options
---@field max_depth integer? of lists and objects, 1000 if absent, 100,000 at most
---@field null any what null becomes instead of json.null

---The value of a text. An integer without fraction and exponent that fits 64 bits is an integer, other numbers are
---floats; one that is larger than a float can be is an error. Of equal keys the last wins. Half of a surrogate pair
---becomes U+FFFD. A byte order mark in front is skipped.
---@param text string
---@param options json.decode.options?
---@return any value nil if it is not JSON
---@return json.error?
function json.decode(text, options) end

---@class json.encode.options
---@field canonical boolean? keys are sorted by their bytes, whatever `__keys` says
---@field pretty boolean? with line breaks and two spaces a level
---@field max_depth integer? 1000 if absent
---@field invalid_utf8 "error"|"replace"? "replace" writes U+FFFD for each byte; an error if absent

---The text of a value. Integers are written exactly, floats with the digits that bring them back, and a point or an
---exponent. A table is a list if it is marked as one, or has positions; an empty one without a mark is an object. The
---metafield `__keys`, a list of keys, says which come first; others follow, sorted. Tables are read raw.
---Raises, naming the place, on what JSON has not: functions, NaN, infinity, holes, keys that are no strings, cycles,
---text that is not UTF-8.
---@param value any
---@param options json.encode.options?
---@return string
function json.encode(value, options) end

---Marks a table as a list, also if it is empty; a new one for nil. Decoded lists are marked.
---@param t table?
---@return table t
function json.array(t) end

---Marks a table as an object, also if it is empty; a new one for nil.
---@param t table?
---@return table t
function json.object(t) end

---@param t any
---@return boolean
function json.is_array(t) end

return json
