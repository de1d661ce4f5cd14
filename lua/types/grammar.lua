---@meta muster.grammar
-- Type stubs for LuaLS: what `require "muster.grammar"` returns.

---Templates find records in text. In a template
---- `{name:kind}` captures, `{kind}` matches the same and captures nothing;
---- white space matches any run of white space, also with line breaks; at the template's ends it is layout;
---- `[ ... ]` may be absent, `( a | b )` is one or the other; both are tried in turn until all of the template fits.
---  White space around a bar, and on both inner sides of a bracket, is layout; before an optional part it belongs
---  to that part, and behind one that comes first, so that `a [b] c` matches "a c";
---- `\` stands before one of `{ } [ ] ( ) | \` that is meant as it is.
---
---Kinds:
---- `word`: letters, digits and `_`, with apostrophes and hyphens within. A byte from 0x80 is a part of a letter unless
---  it begins known punctuation or white space: all scripts, combining marks and emoji are letters;
---- `words`: as few words as are needed for what follows; all if nothing has to follow. There is white space between
---  them, with one line break at most, and no punctuation;
---- `text`: as few characters as are needed for what follows, within a paragraph; all of it if nothing has to follow;
---- `line`: to the line's end, without white space at both ends; not empty. `rest`: to the text's end;
---- `int`: an integer (more than 64 bits are none); `number`: an integer or a float, such as -1.5e3;
---- `date`: 2026-01-31, 2026/01/31, 31.1.2026, 31 January 2026, Jan. 31st, 2026; the value: "2026-01-31";
---- `email`, `url` (without punctuation at its end), `quoted` (in any pair of quotes, the value is what is within);
---- `one of a|b c`: one of the phrases, the longest first; the value is the phrase as the template has it;
---- `start`, `end`, `border` match no text: the text's ends, a place not within a word.
---
---A lazy capture (`words`, `text`) ends at the first place where what follows in the template fits, up to the next lazy
---capture; no other end is tried. A match does not begin or end within a word or a number, unless
---`whole_words = false`.
---
---The work is linear in the text. With custom captures that are not, it is stopped: `max_steps` bounds it, by
---64 steps a byte and 100,000 more if it is absent, and to go beyond raises. What a pattern of LPeg does before it
---fails is not seen, and not counted: it should not look far.
---
---```lua
---local person = grammar.template "My name is {name:words} and I am {age:int} years old"
---local m, first, last = person:find "Well. My name is Ann  Lee\nand I am 42 years old."
---assert(m.fields.name == "Ann  Lee" and m.fields.age == 42)
---assert(first == 7 and last == 47)
---assert(m.spans.age.first == 36 and m.spans.age.cp_first == 36)
---```
---@class muster.grammar
local grammar = {}

---Where something stands, in bytes, and in codepoints (those are counted when they are first asked for). In what is not
---UTF-8, each byte is one codepoint unless it is one of 0x80 to 0xBF. What is empty ends before it begins.
---@class muster.grammar.span
---@field first integer
---@field last integer
---@field cp_first integer
---@field cp_last integer
---@field spans table<string, muster.grammar.span>? of a nested template

---A match keeps its text alive, for offsets in codepoints; its fields alone do not.
---@class muster.grammar.match: muster.grammar.span
---@field fields table<string, any> what was captured, nothing else
---@field spans table<string, muster.grammar.span> where, by the same names

---@class muster.grammar.options
---@field define table<string, userdata|function|muster.grammar.template>? more kinds. A pattern of LPeg: its first
---capture is the value, or the text if it has none. A function of the text and a position: returns the position behind
---its match, and maybe a value; or nil. A template: its fields are the value
---@field ignore_case boolean? letters from a to z in both cases
---@field whole_words boolean? true if absent
---@field max_steps integer?

---@class muster.grammar.template
---@operator concat(muster.grammar.piece): muster.grammar.template
---@operator add(muster.grammar.piece): muster.grammar.template
local template = {}

---@alias muster.grammar.piece muster.grammar.template|string|userdata|function

---A template. A mistake in it raises, and shows the column:
---
---```lua
---local ok, err = pcall(grammar.template, "My name is {name:wrd}")
---assert(err:find("template: column 18: unknown capture 'wrd' (did you mean 'word'?)", 1, true))
---
---local lpeg = require "lpeg"
---local isbn = lpeg.P "978-" * lpeg.R "09" ^ 10
---local book = grammar.template("[the] book {title:quoted} \\(ISBN {isbn:isbn}\\)", {define = {isbn = isbn}})
---assert(book:find('read the book "Emma" (ISBN 978-0141439587)').fields.isbn == "978-0141439587")
---```
---@param text string
---@param options muster.grammar.options?
---@return muster.grammar.template
function grammar.template(text, options) end

---A piece of a pattern of LPeg, or of a function as in the option `define`; with a name it is captured.
---@param pattern userdata|function
---@param name string?
---@return muster.grammar.template
function grammar.pattern(pattern, name) end

---Pieces one behind the other; also `a .. b`. White space at the inner ends counts.
---
---```lua
---local day = grammar.template "on {day:date}"
---local either = grammar.template "paid " .. (day + "in {days:int} days")
---assert(either:find("it was paid in 14 days").fields.days == 14)
---```
---@param ... muster.grammar.piece
---@return muster.grammar.template
function grammar.sequence(...) end

---One of the pieces, tried in turn; also `a + b`.
---@param ... muster.grammar.piece
---@return muster.grammar.template
function grammar.choice(...) end

---@param piece muster.grammar.piece
---@return muster.grammar.template
function grammar.optional(piece) end

---The piece as a field. Its own fields, if it is a template that has any, become a table.
---
---```lua
---local name = grammar.template "{first:word} {last:word}"
---local t = grammar.sequence("from ", grammar.capture("sender", name))
---local m = t:find "a letter from Ann Lee"
---assert(m.fields.sender.last == "Lee" and m.spans.sender.spans.last.first == 19)
---```
---@param name string
---@param piece muster.grammar.piece
---@return muster.grammar.template
function grammar.capture(name, piece) end

---The match that begins at `init`, wherever it ends (`{end}` asks for the text's end).
---@param text string
---@param init integer? 1 unless given; negative: from the end
---@return muster.grammar.match? match nil if there is none
---@return integer? first
---@return integer? last
function template:match(text, init) end

---The first match from `init` on.
---@param text string
---@param init integer?
---@return muster.grammar.match? match nil if there is none
---@return integer? first
---@return integer? last
function template:find(text, init) end

---Iterates over the matches, each behind the one before.
---
---```lua
---local total = 0
---for m in grammar.template("EUR {amount:number}"):matches "EUR 3, EUR 4.5" do total = total + m.fields.amount end
---assert(total == 7.5)
---```
---@param text string
---@param init integer?
---@return fun(): muster.grammar.match?, integer?, integer?
function template:matches(text, init) end

return grammar
