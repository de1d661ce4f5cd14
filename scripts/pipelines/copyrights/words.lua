--- The small patterns and word lists that the grammars are made of.
-- Whatever depends on spelling is here, so that the grammars show only shape.

local lpeg = require "lpeg"
local P, R, S, B = lpeg.P, lpeg.R, lpeg.S, lpeg.B

local M = {}

M.cr, M.tab = "\r", "\t"
M.space = S " \t"
M.letter = R("az", "AZ", "09", "\128\255") + P "_"
M.capital = R("AZ", "\192\255")   -- also the first byte of a letter beyond ASCII
M.plain = P(1) - S " \t\r\n<>\"()[]{}|\\;:*="

-- What a comment puts in front of a line, and white space of any length over
-- the turn of lines.
M.leader = M.space ^ 0 * (P "dnl" + S "*#%;|!>/\\" ^ 1) ^ -1 * M.space ^ 0
M.white = (M.space + S "\r\n" * M.leader) ^ 1

--- A pattern for `text` in any case; a space in it stands for any white space.
---@param text string
function M.ci(text)
  local pattern = P(true)
  for char in text:gmatch "." do
    local lower, upper = char:lower(), char:upper()
    pattern = pattern * (char == " " and M.white or lower == upper and P(char) or S(lower .. upper))
  end
  return pattern
end

--- A pattern that passes, as fast as can be, over whole words and over what is
--- between them, up to a word or sign that begins with one of `heads`.
---@param heads userdata  a set of characters
function M.skim_to(heads)
  local filler = (P(1) - M.letter - heads) ^ 0
  return filler * ((M.letter - heads) * M.letter ^ 0 * filler) ^ 0
end

-- One of the words of `list`, whole, each as `spell` makes it (longest first).
local function word_of(list, spell)
  local words, any = {}, P(false)
  for word in list:gmatch "%S+" do words[#words + 1] = word end
  table.sort(words, function(a, b) return #a > #b end)
  for _, word in ipairs(words) do any = any + spell(word) end
  return any * -M.letter
end

-- Marks. "\169" alone is the sign in Latin-1; in UTF-8 it is only found inside
-- a letter, where no mark is looked for.
M.skim = M.skim_to(S "cC\194\226\169(&@")
M.copyright = M.ci "copyright" * (M.ci "ed" + M.ci "s") ^ -1 * -M.letter
M.shouted = P "COPYRIGHT"
M.circle = P "\194\169" + P "\226\146\184" + P "\226\147\146" + P "\169" + P "&copy;" + P "@copyright{}"
M.paren_c = P "(" * M.space ^ 0 * S "cC" * M.space ^ 0 * P ")"

-- Years.
M.dash = P "--" + P "-" + P "\226\128" * S "\146\147\148" + P "\150" +
  word_of("to through until till", P)
M.month = word_of("jan feb mar apr may jun jul aug sep sept oct nov dec january february march " ..
  "april june july august september october november december", M.ci)
M.present = word_of("present now today current date ongoing onward onwards", M.ci)

-- What may come before a place in the text.
M.after_joiner = B "," + B " and" + B " &" + B " of" + B " the" + B " by" + B " for" +
  B " Free" + B " Free Software"   -- whose Foundation is often on the next line
M.after_comma = B ", "
M.after_stop = B "."
M.after_contact = B ">" + B ")"

-- What follows "copyright" in the prose of licences.
M.prose = word_of("GPL LGPL BSD GFDL", P) + word_of([[
  notice notices holder holders owner owners law laws license licenses licence licences act acts
  and or statement statements information disclaimer protection claim claims assignment status
  file files office treaty treaties convention directive interest interests terms abandoned years date details
  transfer policy format summary exceptions issues rights for to in of on with from under is are
  was has have as that this these which if permission without restrictions proprietary attribution
  clearance infringement issue material works work line header headers]], M.ci)
-- What people write where there is no holder.
M.nobody = word_of("none unknown nobody n/a na not no unspecified see various same public their its",
  M.ci)
-- What a form to be filled in has in the place of a year or a name.
M.template = S "<[{" + P "${" +
  word_of("year years yyyy date name owner xxxx 19yy 20yy 20xx 19xx fullname", M.ci)
M.rights = M.ci "all rights reserved" + M.ci "all rights" + M.ci "some rights"

-- The small words inside a name.
M.small = word_of([[
  of the and de la las los le van von der den di da del della dos du zu zum y et al al. e und bin
  ibn for in at its it's team author authors contributor contributors developer developers
  maintainer maintainers other others project projects community group affiliates and/or members
  many users system software translation translators by & / + family]], P)
-- The words that end one.
M.verb = P "http" * P "s" ^ -1 * "://" + P "ftp://" + P "www." + word_of([[
  is are was were has have had may can shall will under which that whose licensed licenced license
  distributed released published provided available see used written unless except where when with
  without this these all as on from both other unspecified covered contributed granted permission
  subject redistributed made
  BUT NOT WHETHER OR OUT ARISING INCLUDING SHALL WARRANTY WARRANTIES LIABLE WITHOUT]], P)
-- The words that begin the sentence after it.
M.starter = word_of([[
  This The These That They He She We It You Your An As By For From In On If To Its His Her Both Most
  Any Some Same Other Portions Parts Files Code Author Authors Permission All Licensed Licenced
  License Distributed Released Redistribution Redistributions See Use Used Everyone Verbatim
  Available Free Derived Based Modified Written Made Original Not Note Under Published Contributed
  Subject Dual Neither Please Also Copying Alternatively Unlimited Provided Covered Can May]], P)

return M
