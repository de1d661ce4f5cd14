--- Sets of bytes and characters that templates are made of. A byte from 0x80 is a part of a letter, unless it begins
--- punctuation, a symbol or white space that is known here; so letters of all scripts, combining marks and emoji are
--- letters, and what is no UTF-8 at all is too. Nothing here can fail on bad UTF-8.
local lpeg = require "lpeg"

local B, P, R, S = lpeg.B, lpeg.P, lpeg.R, lpeg.S

local M = {}

local any = R "\x80\xff"

-- U+0080 to U+00BF but for ª µ º, and × ÷
local marks2 = P "\xC2" * R("\x80\xA9", "\xAB\xB4", "\xB6\xB9", "\xBB\xBF") + P "\xC3" * S "\x97\xB7"

-- General punctuation without the joiners, currencies, arrows and mathematics, of Chinese and Japanese, full width
local marks3 = P "\xE2\x80" * R("\x80\x8B", "\x8E\xBF") + P "\xE2\x81" * R "\x80\xAF"
  + P "\xE2\x82" * R "\xA0\xBF" + P "\xE2\x83" * R "\x80\x8F" + P "\xE2" * R "\x86\x8B" * any
  + P "\xE3\x80" * R("\x80\x84", "\x88\xBF") + P "\xEF\xBB\xBF"
  + P "\xEF\xBC" * R("\x81\x8F", "\x9A\xA0", "\xBB\xBF") + P "\xEF\xBD" * R("\x80\x80", "\x9B\xA5")

M.digit = R "09"
M.ascii = R("az", "AZ", "09") + P "_"
local high = any - marks2 - marks3

--- One byte of a word: a letter, a digit or an underscore.
M.letter = M.ascii + high
--- As many as there are.
M.letters = (M.ascii ^ 1 + high) ^ 1
--- Matches nothing, behind a byte of a word.
M.behind = B(M.ascii) + (B(any) - B(marks2) - B(marks3))
--- What joins two parts of one word: an apostrophe or a hyphen.
M.joint = S "'-" + P "\u{2019}" + P "\u{2010}" + P "\u{2011}"
local function behind_joint(joint)
  return B(M.ascii * joint) + (B(any * joint) - B(marks2 * joint) - B(marks3 * joint))
end
--- Matches nothing, behind a joint that stands behind a letter.
M.behind_joint = behind_joint(S "'-") + behind_joint(P "\u{2019}" + P "\u{2010}" + P "\u{2011}")
--- Any byte with which a word can begin.
M.word_start = M.ascii + any

local wide3 = P "\xE2\x80" * R "\x80\x8A" + P "\xE2\x80\xAF" + P "\xE2\x81\x9F" + P "\xE3\x80\x80"
local breaks3 = P "\xE2\x80" * S "\xA8\xA9"
local wide, breaks = P "\xC2\xA0" + wide3, P "\xC2\x85" + breaks3

M.space_byte = S " \t\n\v\f\r"
M.space_start = M.space_byte + S "\xC2\xE2\xE3"
M.space = M.space_byte + wide + breaks
M.spaces = (M.space_byte ^ 1 + wide + breaks) ^ 1
--- Matches nothing, behind white space.
M.behind_space = B(M.space_byte) + B(P "\xC2" * S "\xA0\x85") + B(wide3 + breaks3)
M.behind_blank = B(S " \t\v\f") + B "\xC2\xA0" + B(wide3)
--- Matches nothing, in the midst of a character.
M.inside = B(any) * #R "\x80\xBF"
--- White space within a line.
M.blank = S " \t\v\f" + wide
--- One end of a line.
M.newline = P "\r\n" + S "\n\r"
--- An empty line: here a paragraph ends.
M.gap = M.newline * S " \t" ^ 0 * M.newline

-- A place in the midst of a number, such as behind the point of 3.14.
local in_number = B(M.digit) * P "." * #M.digit + B(M.digit * P ".") * #M.digit

--- Matches nothing, at a place that is neither within a word nor within a number.
M.border = -(M.behind * #M.letter) - in_number

return M
