---@meta muster.chunk
-- Type stubs for LuaLS: what `require "muster.chunk"` returns.

---Chunks of a text, none of which is cut within a character of UTF-8 or between CR and LF. No byte is lost: without
---overlap the chunks together are the text. What is not UTF-8 counts as one character a byte. A chunk is cut as late as
---its size allows, behind the best border there is: a paragraph (an empty line), a sentence, a word, a character; white
---space behind a border belongs to the chunk before it. Points of abbreviations, initials and ordinals (`Dr.`, `z.B.`,
---`3. Mai`) end no sentence, nor does a mark before a small letter. A size that is less than a character, or than a
---character and the overlap, is exceeded by that.
---
---```lua
---local text = "One. Two is longer.\n\nThree."
---local list = chunk.list(chunk.paragraphs(text, {size = 10}))
---assert(#list == 4 and list[1].text == "One. " and list[3].text == "longer.\n\n")
---for _, c in ipairs(list) do assert(text:sub(c.first, c.last) == c.text) end
---```
---@class muster.chunk
local chunk = {}

---@class muster.chunk.chunk
---@field text string
---@field first integer its first byte in the source
---@field last integer
---@field cp_first integer the same in codepoints
---@field cp_last integer
---@field index integer from 1
---@field overlap integer how many of its first bytes were in the chunk before
local one = {}

---@class muster.chunk.options
---@field size integer? at most. Absent: each paragraph, or sentence, is a chunk, however long; of bytes 4096, of tokens
---1000
---@field overlap integer? how much of a chunk's end the next one repeats, at most; it begins with a word if it can
---@field estimate (fun(text: string): number)? how long a text is, in units of `size`; not for bytes. Absent: bytes,
---and of tokens a fourth of them

---@param text string
---@param options muster.chunk.options?
---@return fun(): muster.chunk.chunk?
function chunk.paragraphs(text, options) end

---The same with sentences as the best border.
---@param text string
---@param options muster.chunk.options?
---@return fun(): muster.chunk.chunk?
function chunk.sentences(text, options) end

---Chunks of as many bytes, cut between characters wherever that is.
---@param text string
---@param options muster.chunk.options?
---@return fun(): muster.chunk.chunk?
function chunk.bytes(text, options) end

---Chunks of as many estimated tokens, cut as by `paragraphs`. The overlap is taken as a share of the chunk.
---@param text string
---@param options muster.chunk.options?
---@return fun(): muster.chunk.chunk?
function chunk.tokens(text, options) end

---@class muster.chunk.stream.options: muster.chunk.options
---@field by "paragraphs"|"sentences"|"bytes"|"tokens"|nil "paragraphs" if absent

---The chunks of a text that comes in pieces, cut anywhere: the same chunks as those of the whole text. What is kept is
---about one chunk. What the source raises is raised.
---@async
---@param source (fun(): string?)|muster.reader
---@param options muster.chunk.stream.options?
---@return fun(): muster.chunk.chunk?
function chunk.stream(source, options) end

---All of them.
---@param chunks fun(): muster.chunk.chunk?
---@return muster.chunk.chunk[]
function chunk.list(chunks) end

---Where a byte of the chunk is in the source.
---@param offset integer from 1
---@return integer byte
---@return integer codepoint
function one:locate(offset) end

---Where a span in the chunk, such as a match's, is in the source.
---
---```lua
---local c = chunk.list(chunk.paragraphs "äöü.\n\nMy age: 5")[2]
---assert(c:locate(1) == 10)
---local span = c:to_source {first = 9, last = 9}
---assert(span.first == 18 and span.cp_first == 15)
---```
---@param span {first: integer, last: integer}
---@return {first: integer, last: integer, cp_first: integer, cp_last: integer}
function one:to_source(span) end

return chunk
