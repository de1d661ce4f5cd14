--- Licences, by the short names that Debian gives them ("GPL-2+", "Expat").
--
-- Two grammars: the short names of a DEP-5 `License:` line, and, for free
-- text, the phrases by which a licence is known. What free text yields is what
-- it mentions, which may be more than what applies.

local lpeg = require "lpeg"
local re = require "re"
local words = require "copyrights.words"

local P, Cc = lpeg.P, lpeg.Cc
local ci = words.ci

local M = {}

-- "GPL-2+ and MIT", "GPL-1+ or Artistic": names between "and", "or", commas.
local expression = re.compile([[
  names    <- {| sp? name (between name)* |}
  name     <- { word (sp !joiner word)* }
  word     <- [^ %tab%cr%nl,()]+
  between  <- (sp? [,()])+ sp? (joiner sp)* / sp (joiner sp)+
  joiner   <- ("and/or" / %and / %or !(sp ("later" / "any" / "newer"))) !%letter
  sp       <- %space+
]], { tab = "\t", cr = "\r", space = words.space, letter = words.letter,
  ["and"] = ci "and", ["or"] = ci "or" })

-- Phrases known by heart, with the name of the licence they belong to.
local phrases = {
  ["permission is hereby granted, free of charge, to any person obtaining"] = "Expat",
  ["permission to use, copy, modify, and distribute this software for any"] = "ISC",
  ["permission to use, copy, modify, and/or distribute this software for"] = "ISC",
  ["permission to use, copy, modify, and distribute this software and its"] = "HPND",
  ["permission to use, copy, modify, distribute, and sell this software and"] = "HPND",
  ["this software is provided 'as-is', without any express or implied"] = "Zlib",
  ["mit license"] = "MIT", ["mit/x11"] = "MIT", ["expat license"] = "Expat",
  ["bsd license"] = "BSD", ["bsd-style license"] = "BSD",
  ["boost software license"] = "BSL-1.0", ["sil open font license"] = "OFL-1.1",
  ["psf license agreement"] = "PSF", ["python software foundation license"] = "PSF",
  ["same terms as perl itself"] = "Perl", ["openssl license"] = "OpenSSL",
  ["public domain"] = "public-domain",
  ["free and unencumbered software"] = "Unlicense",
  ["do what the fuck you want to public license"] = "WTFPL",
  ["redistribution and use in source and binary forms"] = "BSD-text",
  ["permission to copy and/or distribute it, with or without modifications"] = "FSFULLR",
  ["permission to copy, distribute and modify it"] = "FSFUL",
  ["copying and distribution of this file, with or without modification, are permitted in any medium"] = "FSFAP",
  ["cc0 1.0 universal"] = "CC0-1.0",
}
-- Licences whose name is completed by a version.
local versioned = {
  ["gnu lesser general public licen"] = "LGPL", ["gnu library general public licen"] = "LGPL",
  ["lesser general public licen"] = "LGPL", ["library general public licen"] = "LGPL",
  ["affero general public licen"] = "AGPL", ["gnu affero general public licen"] = "AGPL",
  ["gnu general public licen"] = "GPL", ["general public licen"] = "GPL",
  ["gnu free documentation licen"] = "GFDL", ["gnu gpl"] = "GPL", ["gnu lgpl"] = "LGPL",
  ["apache licen"] = "Apache", ["mozilla public licen"] = "MPL", ["artistic licen"] = "Artistic",
  ["eclipse public licen"] = "EPL", ["zope public licen"] = "ZPL", ["academic free licen"] = "AFL",
  ["creative commons attribution"] = "CC-BY", ["creative commons attribution-sharealike"] = "CC-BY-SA",
  ["creative commons attribution-share alike"] = "CC-BY-SA",
  ["common development and distribution licen"] = "CDDL", ["latex project public licen"] = "LPPL",
}

-- Any phrase of `list`, in any case, giving its name; the longest where one begins like another.
local function any_of(list)
  local sorted, pattern = {}, P(false)
  for phrase in pairs(list) do sorted[#sorted + 1] = phrase end
  table.sort(sorted, function(a, b) return #a > #b end)
  for _, phrase in ipairs(sorted) do pattern = pattern + ci(phrase) * Cc(list[phrase]) end
  return pattern
end

-- What may begin a mention: a capital, the "p" of "public domain", the "s" of
-- "same terms", the "/" of a path, the "3" of "3-clause BSD".
local skim = words.skim_to(lpeg.R("AZ", "04") + lpeg.S "ps/")

local mentions = re.compile([[
  -- A text is mentions, and other words between them.
  text     <- {| %skim (mention / other)* |}
  other    <- (%letter+ / .) %skim
  mention  <- {| {:at: {} :} (path / {:name: %named :} !other_use terms? refers? / short / counted / {:name: %phrase :}
            / {:clause: %clause :}) |}

  -- "/usr/share/common-licenses/GPL-2" tells where the text is.
  path     <- common {:name: [A-Z0-9]+ [a-z]* :} ("-" {:version: number :})?
              {:path: '' -> 'path' :}

  -- "The full text of it can be found in /usr/share/..." tells no more.
  refers   <- &((!border !common .)^-140 common) {:path: '' -> 'path' :}
  common   <- "/usr/share/common-licenses/"

  -- "... as published by the FSF; either version 2 of the License, or (at your
  -- option) any later version": the version is near the name, or is not said.
  terms    <- [a-z]* (","? %white? {:version: number :} / (!border !version .)^-100 version) later?
  border   <- %named / %details / %exception / "." %white / blank
  version  <- (%version %white? / %white "v" [. ]*) {:version: number :} !(%white? "clause")
  later    <- {:later: "+" :} / (!blank !version !%later .)^-70 {:later: %later :}
  number   <- [0-9] ("." [0-9])? ![0-9]
  other_use<- [a-z]* %white ("instead" / "for " %details)
  blank    <- %nl [ ]* %nl

  -- "GPLv2+", "LGPL-3", "GPL version 2 or later"; "3-clause BSD", "BSD 2-Clause".
  short    <- {:name: [AL]? "GPL" :} ("-" / "v" / %white "v" / %white? %version %white)
              {:version: number :} later?
  counted  <- {:name: [0-4] -> 'BSD-%0-clause' :} "-clause BSD"
            / "BSD" [- ] {:name: [0-4] -> 'BSD-%0-clause' :} "-" [Cc] "lause"
]], {
  skim = skim, letter = words.letter, white = words.white,
  named = any_of(versioned), phrase = any_of(phrases),
  details = ci "more details", exception = ci "exception",
  version = ci "version", later = ci "any later" + ci "or later" + ci "or newer",
  clause = (ci "neither the name" + ci "promote products") * Cc "3" + ci "all advertising materials" * Cc "4" +
    ci "except as contained in this notice" * Cc "X11",
})

-- "2.0" is "2" for the GNU licences, which Debian names so.
local function short_version(name, version)
  return name:find "GPL" and version:gsub("%.0$", "") or version
end

-- The short name of one mention.
local function name_of(mention)
  local name, version = mention.name, mention.version
  if not version or name == "Artistic" and version:find "^1" then return name end
  return name .. "-" .. short_version(name, version) .. (mention.later and "+" or "")
end

local NEAR <const> = 2000 -- bytes, within which all of such a text is

-- BSD texts differ by their clauses, and X11's from Expat's, which come after the words they share.
local function settle_clauses(found)
  local text, expat
  for _, mention in ipairs(found) do
    if text and mention.at - text.at > NEAR then text = nil end
    if expat and mention.at - expat.at > NEAR then expat = nil end
    if mention.name == "BSD-text" then
      text, mention.name = mention, "BSD-2-clause"
    elseif mention.name == "Expat" then
      expat = mention
    elseif mention.clause == "X11" then
      if expat then expat.name = "X11" end
    elseif mention.clause and text and mention.clause > text.name:match "%d" then
      text.name = "BSD-" .. mention.clause .. "-clause"
    end
  end
end

-- How much a mention tells: terms with a version, a text with one, a bare name.
local function weight(mention)
  local exact = mention.version or mention.name:find "%-" or mention.name == "Expat"
  return exact and (mention.path and 2 or 3) or 1
end

local function family(mention)
  return mention.name == "MIT" and "Expat" or mention.name:match "^%a+"
end

-- The best weight seen for each family of licences.
local function best_weights(found)
  local best = {}
  for _, mention in ipairs(found) do
    local of = mention.name and family(mention)
    if of then best[of] = math.max(best[of] or 0, weight(mention)) end
  end
  return best
end

--- The licences that free text mentions, the vague mentions left out where a
--- more exact one of the same family is there.
---@param source string
---@return string[]
function M.mentioned(source)
  local names, seen, found = {}, {}, mentions:match(source)
  settle_clauses(found)
  local best = best_weights(found)
  for _, mention in ipairs(found) do
    if mention.name and weight(mention) == best[family(mention)] then
      M.add(names, seen, name_of(mention))
    end
  end
  return names
end

--- Adds `name` to the list `names` unless `seen` has it.
---@param names string[]
---@param seen table<string, boolean>
---@param name string
function M.add(names, seen, name)
  if not seen[name] then seen[name], names[#names + 1] = true, name end
end

-- The first line of a License field, and the next while one ends unfinished.
local function synopsis(value)
  local text = ""
  for line in value:gmatch "[^\r\n]+" do
    text = text .. " " .. line
    if not line:find ",%s*$" and not line:find "%s[ao][nr]d?%s*$" then break end
  end
  return text
end

--- The short names that a DEP-5 License field begins with; for prose in their
--- place, what it mentions.
---@param value string
---@return string[]
function M.named(value)
  local line = value:find "^[^\r\n]" and synopsis(value) or ""
  local names = expression:match(line) or {}
  for _, name in ipairs(names) do
    if #name > 60 or select(2, name:gsub("%s+", "")) > 5 then return M.mentioned(line) end
  end
  return names[1] and names or M.mentioned(value)
end

return M
