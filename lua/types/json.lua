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

---The value of a text. A number without fraction and exponent that fits 64 bits is an integer (-0 is 0), others are
---floats; one that is larger than a float can be is an error. Of equal keys the last wins. Half of a surrogate pair
---becomes U+FFFD. A byte order mark in front is skipped. Lists are marked, as by json.array.
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

---Writes a table once: from now on `encode` writes that text for it, wherever it is, and whatever becomes of it; but
---what is canonical or pretty is written anew. For what is a part of many texts, as a schema of requests. The text is
---in the metafield `__json`. Raises as encode does, and if the table has a metatable with more than `__keys`.
---@param t table
---@param options json.encode.options? canonical and pretty have no place here
---@return table t
function json.prepare(t, options) end

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

---The JSON in a text that has more than that, such as a model's answer: the longest list or object, those that are the
---first thing in a fence (three back quotes) before others; or a text that is JSON as a whole. A longer one that is
---broken, or cut by the end, is an error: no part of it is taken for the whole. The work is linear in the text.
---@param text string
---@return any value nil if there is none
---@return string|json.error rest what comes after it
function json.extract(text) end

---@class json.parser.options
---@field path (string|integer)[]? to the list whose elements are asked for; the text's own list if absent or empty
---@field keep boolean? false: elements that were given are dropped, so that a long list takes no memory; true if absent
---@field max_depth integer? 1000 if absent
---@field max_bytes integer? of the whole text
---@field null any what null becomes instead of json.null

---A parser of a text that comes in chunks, cut anywhere. Values are shared between what its methods return.
---@class json.parser
local parser = {}

---@param options json.parser.options?
---@return json.parser
function json.parser(options) end

---Goes on with a chunk. Elements that come before an error in the same chunk are given, and the error by the next call.
---@param chunk string
---@return any[]? closed the elements that this chunk closed, maybe none; nil if the text is not JSON
---@return json.error?
function parser:feed(chunk) end

---The value so far, nil if there is none. Of an open string there is what has come, cut between characters; a number,
---true, false and null are there when something has followed them; a key without a value is not. The tables are the
---parser's own, and grow: copy what is to stay as it is. The cost is that of an open string and the open tables, not of
---the whole text, but for elements that were not looked at before.
---@return any value
function parser:partial() end

---The whole value, if the text ends here. May be called again.
---@return any value nil if it is not JSON; the error says whether it is `truncated`, and what is there (`partial`)
---@return json.error?
function parser:finish() end

return json
