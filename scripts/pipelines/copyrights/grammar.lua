--- Copyright statements in a text: who, since when, and where it says so.
--
-- The grammar is in LPeg's `re` notation. Read it from the top: a text, a
-- notice, the marks that open one, its years, its holder. `%word` is one of
-- the small patterns of words.lua. A match gives a list of claims, each
-- {first=, after=, years=, name=, emails=, role=}; statements.lua tidies them.

local re = require "re"
local words = require "copyrights.words"

local M = {}

local rules = [[
  -- A text is lists and notices, and other words between them.
  text     <- {| %skim (list / notice / other)* |}
  other    <- (%letter+ / .) %skim

  -- "Copyright:" at the end of its line, then a holder on each line.
  list     <- heading (nl &eol)? (nl item)+
  heading  <- {| {:role: '' -> 'heading' :}
              (%copyright of_whom? aside? / %circle) (glue years)? sp? ":" &eol |}
  of_whom  <- sp [Hh] "older" ("(s)" / "s")?
  aside    <- sp "(" [^()%nl]+ ")"
  item     <- bullet? (notice / plain also*) rest
  bullet   <- [-*o] sp
  rest     <- [^%nl]*

  -- The Copyright field of a DEP-5 paragraph: a holder on each line, or a
  -- notice somewhere in it. Here even a bare name is one.
  field    <- {| line (%nl %leader line)* |}
  line     <- heading / bullet? unsure? item / bullet? unsure? {| as_item first by? alone after |} rest
            / (!notice ([^%nl (]+ / [ (]))* notice rest / rest
  unsure   <- !sign ("unspecified" / "?" / "(" [^()%nl]* ")") sp
  alone    <- !%nobody &%capital !%starter loose trailing ending / contacts

  -- A notice: one claim, and more holders with the same years or on more lines.
  notice   <- {| first claim after |} (also / follow)*
  claim    <- full join dated
            / full glue !%template (by? !%nobody holder / nl !another firm) trailing
            / %copyright of_whom? join dated
            / !%shouted %copyright naming (by / !%prose) known trailing
            / %copyright glue known [ ,]+ years
            / %paren_c join (dated / by known trailing / known [ ,]+ years)
  also     <- %after_contact more {| first {:role: '' -> 'also' :} named after |}
  more     <- sp? [,;] (sp / nl)? ("and" sp)? / sp ("and" / "&") (sp / nl)
  follow   <- rights? nl {| first since named after |}
  plain    <- {| as_item first (since who / by? !%nobody named) after |}
  as_item  <- {:role: '' -> 'item' :}
  first    <- {:first: {} :}
  after    <- {:after: {} :}

  -- Marks: "Copyright (C)", "(C) Copyright", "©". The word alone, or "(c)"
  -- alone, claims nothing until a year or a name agrees.
  full     <- %copyright join (%copyright join)? sign (join %copyright)?
            / %paren_c join %copyright / %circle (join %copyright)?
  sign     <- %circle / %paren_c
  naming   <- of_whom? sp? ":" sp? / sp / nl &("by" sp)
  by       <- (("held" / "owned" / "hold" / "both") sp)? "by" (sp / nl) the? / the
  the      <- "the" sp

  -- Who and when, in either order.
  dated    <- (since / "<" years ">" glue by?) who?
  since    <- years glue ((%dash / sign) sp)? by?
  who      <- !%template holder / nl !another by? firm
  trailing <- ([ ,]+ "("? years ")"?)?

  -- Years: "1998", "1999-2003, 2005", "1998-99, 01", "2010-present", "2003+".
  years    <- {:years: {| span (comma span / comma short)* |} :}
  span     <- {| month? {:from: year :} (isodate / to)? |}
  short    <- {| {:from: { [0-9] [0-9] } !%letter :} to? |}
  year     <- { ("19" / "20") [0-9] [0-9] } ![0-9]
  to       <- sp? %dash (sp / nl)? month? {:to: year / { [0-9] [0-9]? } !%letter :}
            / (sp? %dash (sp / nl)? (%present / "20" [0-9] [xX]) / sp ("and" / "or") sp "later"
              / "," sp? %present / [-+] !%letter !(sp? %dash)) {:to: '' -> 'present' :}
  isodate  <- [-/] [0-9] [0-9] [-/] [0-9] [0-9] ![0-9]
  comma    <- sp? [,;&/] (sp / nl)? and? / sp and? / nl &year
  and      <- ("and" / "&") (sp / nl)
  month    <- (day sp)? %month [., ]* (day ","? sp)?
  day      <- [0-9] [0-9]?

  -- A holder: a name (of at most 60 words), then perhaps e-mail addresses.
  holder   <- loose (sp? contacts)? / contacts
  known    <- proper (sp? contacts)?
  named    <- loose sp? contacts / proper ending
  firm     <- proper (sp? contacts / ending)
  ending   <- [.,;]* &(sp? ("(" / "-" / rights / eol))
  loose    <- {:name: {~ !stop !number token (gap !stop token)^-60 ~} :}
  proper   <- {:name: {~ !%prose !stop cap (gap !stop (cap / %small / paren))^-60 ~} :}
  cap      <- &(["']? [0-9]* %capital) token
  token    <- '"' [^"@%nl]+ '"' / paren / !bare %plain+
  paren    <- "(" &%capital [^()@%nl]+ ")"
  number   <- [0-9] [0-9-]* sp
  gap      <- (!(%after_stop sp %starter) sp / wrap) -> ' '
  wrap     <- %after_joiner nl !another !%starter &(%capital / %small) / nl &("and" sp %capital)

  -- Where a name ends, and what a line that continues one does not begin with.
  stop     <- sign / %copyright / month? year !%letter / rights / %verb / in / %dash sp / "/" sp
  in       <- ("in" / "for" / "at") sp (("the" / "der") sp)? !%capital / %after_comma number %capital
  another  <- eol / sign / %copyright / year / rights / [-A-Za-z]+ ":" / bullet
  rights   <- [.,; ]* %rights "."?

  -- E-mail addresses, bracketed or bare, also "jane at x.org"; web addresses
  -- in brackets are passed over.
  contacts <- {:emails: {| contact (between contact)* |} :}
  contact  <- [<("[] sp? address (between address)* sp? [])">] / bare
  address  <- "mailto:"? (email / web)
  between  <- sp? [,;/]? sp? (("or" / "and") sp)?
  email    <- {~ local (dot local)* at label (dot label)* ~}
  bare     <- { local "@" label ("." label)+ }
  local    <- [a-zA-Z0-9._+-]+
  at       <- (sp? ("@" / "(at)" / "[at]" / "{at}") sp? / sp ("at" / "AT") sp) -> '@'
  dot      <- (sp? ("(dot)" / "[dot]" / "{dot}") sp? / sp ("dot" / "DOT") sp) -> '.' / "."
  label    <- [a-zA-Z0-9-]+
  web      <- ("http" / "ftp" / "www.") [^ %nl>)]+

  -- All years and addresses of a text, whatever is around them.
  details  <- {| ({| years |} / {| contacts |} / [A-Za-z0-9]+ / .)* |}

  -- Space, the turn of a line (with the comment leader), its end.
  sp       <- %space+
  nl       <- [ %cr%tab]* %nl %leader
  eol      <- [ %cr%tab]* (%nl / !.)
  glue     <- [ %tab,:;.*]*
  join     <- glue (nl !eol)?
]]

---@class Claim
---@field first integer   where it begins in the text
---@field after integer   the position after its end
---@field years? table[]  {from=, to=} as written
---@field name? string
---@field emails? string[]
---@field role? "heading"|"item"|"also"

-- One compiled grammar for each way in.
local function grammar(start) return re.compile("top <- " .. start .. "\n" .. rules, words) end

M.text = grammar "text"     ---@type userdata  matches any text: its claims
M.field = grammar "field"   ---@type userdata  matches a DEP-5 field: its claims
M.details = grammar "details" ---@type userdata  matches any text: its years and e-mail addresses

return M
