--- Names in one spelling, so that they can be compared.

local M = {}

--- "The Foo Group, Inc." and "Foo Group Inc" are one holder.
---@param name string
---@return string
function M.holder(name)
  local key = name:lower():gsub("[%s%p]+", " "):gsub("^ ", ""):gsub("^the ", ""):gsub(" $", "")
  return (key:gsub(" inc$", ""):gsub(" ltd$", ""))
end

-- What is the same by another name, once the rest is done.
local same = {
  mit = {"expat"}, ["mit-expat"] = {"expat"}, ["expat-mit"] = {"expat"}, ["mit-license"] = {"expat"},
  ["bsd-3"] = {"bsd-3-clause"}, bsd3 = {"bsd-3-clause"}, ["3-clause-bsd"] = {"bsd-3-clause"},
  ["new-bsd"] = {"bsd-3-clause"}, ["bsd-3clause"] = {"bsd-3-clause"}, ["bsd-3-clauses"] = {"bsd-3-clause"},
  ["bsd-2"] = {"bsd-2-clause"}, bsd2 = {"bsd-2-clause"}, ["2-clause-bsd"] = {"bsd-2-clause"},
  ["bsd-2clause"] = {"bsd-2-clause"}, ["bsd-4"] = {"bsd-4-clause"}, ["4-clause-bsd"] = {"bsd-4-clause"},
  pd = {"public-domain"}, ["asl-2"] = {"apache-2"}, boost = {"bsl-1"}, ["boost-1"] = {"bsl-1"},
  ofl = {"ofl-1.1"}, ["sil-ofl-1.1"] = {"ofl-1.1"}, ["sil-1.1"] = {"ofl-1.1"}, cc0 = {"cc0-1"},
  ["artistic-1"] = {"artistic"}, ["artistic-1-perl"] = {"artistic"}, perl = {"artistic", "gpl-1+"},
  ["zlib-libpng"] = {"zlib"}, ["python-2"] = {"psf"}, ["psf-2"] = {"psf"}, ["the-unlicense"] = {"unlicense"},
}

--- A licence by its short name: "GPL-2.0-or-later", "GPLv2+" and "GPL-2+ with OpenSSL exception" are "gpl-2+",
--- "BSD-3-clause-Google" is "bsd-3-clause". Perl's terms are two licences.
---@param name string
---@return string[]
function M.licence(name)
  local key = name:lower():gsub("[%s,;:]+$", ""):gsub("[%s/_]+", "-"):gsub("^gnu%-", "")
  key = key:gsub("[-~]with[-~].*$", ""):gsub("^(%l*)v(%d)", "%1-%2"):gsub("^(%l*gpl)(%d)", "%1-%2")
  key = key:gsub("%-only$", ""):gsub("%-or%-later$", "+"):gsub("%-or%-newer$", "+"):gsub("(%d)%.0(%+?)$", "%1%2")
  key = key:gsub("(%d)%.0%-", "%1-"):gsub("[-~][%l-]*exceptions?$", ""):gsub("^gfdl%-niv%-", "gfdl-")
  key = key:gsub("^.*public%-domain.*$", "public-domain"):gsub("^(bsd%-[2-4]%-clause)%-.*$", "%1")
  return same[key] or {key}
end

-- The families of licences that the format's own list of short names has.
local families = {"agpl", "apache", "artistic", "bsd%-[2-4]%-clause", "cc%-by", "cc0", "cddl", "cpl", "efl", "expat",
  "gfdl", "gpl", "isc", "lgpl", "lppl", "mpl", "public%-domain", "psf", "python", "qpl", "w3c", "zlib", "zpl"}

--- Is it a short name that everybody uses, or one that the file has given a licence for itself?
---@param key string as `licence` gives it
---@return boolean
function M.is_standard(key)
  for _, family in ipairs(families) do
    local rest = key:match("^" .. family .. "(.*)$")
    if rest and (rest:find "^%-?[%d.]*%+?$" or family == "cc%-by") then return true end
  end
  return false
end

return M
