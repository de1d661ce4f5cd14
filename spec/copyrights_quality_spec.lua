-- What copyrights.lua --quality measures, on files whose numbers are counted by hand.
package.path = "scripts/pipelines/?.lua;scripts/?.lua;scripts/?/init.lua;" .. package.path

local files = require "spec.support.files"
local flatten = require "copyrights.flatten"
local fs = require "muster.fs"
local normal = require "copyrights.normal"
local process = require "muster.process"
local program = require "spec.support.program"
local quality = require "copyrights.quality"

local TEXT <const> = [[
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: teapot
Source: https://example.org/teapot
Comment: Copyright 1900 Nobody who counts

Files: *
Copyright: 1998-2003, Jane Doe <jane@example.org>
 2004 Foo Corp,
  Bar Ltd.
 .
 Copyright (C) 2005 The Teapot Team. All rights reserved.
License: GPL-2+

Files: spout/*
Copyright: none
License: Expat or spout-licence

License: GPL-2+
 This is free software under the terms of the GNU General Public License;
 either version 2, or (at your option) any later version.
 .
 The text is in /usr/share/common-licenses/GPL-2.

License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy.
]]

local PROSE <const> = [[
Copyright (C) 1998-2003, Jane Doe <jane@example.org>
Copyright (C) 2004 Foo Corp,
  Bar Ltd.
Copyright (C) 2005 The Teapot Team. All rights reserved.

Copyright (C) none

This is free software under the terms of the GNU General Public License;
either version 2, or (at your option) any later version.

The text is in /usr/share/common-licenses/GPL-2.

Permission is hereby granted, free of charge, to any person obtaining a copy.
]]

describe("a file without its structure", function()
  it("is its statements and the texts of its licences", function()
    assert.equal(PROSE, (flatten.of(TEXT)))
  end)

  it("has declared its holders and licences", function()
    local _, declared = flatten.of(TEXT)
    assert.same({["jane doe"] = "with years", ["foo corp bar"] = "with years", ["teapot team"] = "with years"},
      declared.holders)
    assert.same({["gpl-2+"] = "standard names", expat = "standard names", ["spout-licence"] = "without text"},
      declared.licences)
  end)

  it("is read by the way for free form", function()
    local found = quality.found(PROSE)
    assert.same({["jane doe"] = true, ["foo corp bar"] = true, ["teapot team"] = true}, found.holders)
    assert.same({["gpl-2+"] = true, expat = true}, found.licences)
    assert.is_false(found.asked)
  end)

  it("is empty if there is nothing in it", function()
    local prose, declared = flatten.of "Format: x\n\nFiles: *\nCopyright:\nLicense:\n"
    assert.same({"", {}, {}}, {prose:gsub("%s", ""), declared.holders, declared.licences})
  end)
end)

describe("the holder of a statement", function()
  local cases = {
    ["1998-2003, 2005 Jane Doe <jane@x.org>"] = "jane doe", ["Copyright (c) 2001–02 by The Foo, Inc."] = "foo",
    ["© 2010-present Jane (jane@x.org)"] = "jane", ["2001 Jane, https://jane.example.org"] = "jane",
    ["Jane Doe"] = "jane doe", ["2003 Regents of Ceylon. All rights reserved."] = "regents of ceylon",
    ["Portions Copyright 2001 Zoë"] = "zoë", ["2001 jane (jane at x dot org)"] = "jane",
    ["none"] = false, ["2001"] = false, ["*No copyright*"] = false, ["public-domain"] = false,
  }
  for statement, expected in pairs(cases) do
    it("in " .. statement, function() assert.equal(expected or nil, flatten.holder(statement)) end)
  end
end)

describe("a licence", function()
  it("has one name", function()
    for name, expected in pairs {
      ["GPL-2+"] = "gpl-2+", ["GPL-2.0-or-later"] = "gpl-2+", ["GPLv2+"] = "gpl-2+", ["GPL-2 or later"] = "gpl-2+",
      ["GPL-2+ with OpenSSL exception"] = "gpl-2+", ["GPL-2+-with-autoconf-exception"] = "gpl-2+",
      ["GPL-3.0-only"] = "gpl-3", ["LGPL-2.1+"] = "lgpl-2.1+", ["MIT"] = "expat", ["Expat"] = "expat",
      ["Apache-2.0"] = "apache-2", ["Apache 2.0"] = "apache-2", ["BSD-3-clause-Google"] = "bsd-3-clause",
      ["BSD-3"] = "bsd-3-clause", ["GFDL-NIV-1.3+"] = "gfdl-1.3+", ["public-domain-md5"] = "public-domain",
      ["X11"] = "x11", ["custom"] = "custom",
    } do
      assert.same({expected}, normal.licence(name), name)
    end
    assert.same({"artistic", "gpl-1+"}, normal.licence "Perl")
  end)

  it("is of everybody or of the file", function()
    for _, name in ipairs {"gpl-2+", "apache-2", "expat", "bsd-3-clause", "cc-by-sa-4", "public-domain", "gfdl-1.3"} do
      assert.is_true(normal.is_standard(name), name)
    end
    for _, name in ipairs {"custom", "gpl-variant", "x11", "expat-like", "bsd", "permissive"} do
      assert.is_false(normal.is_standard(name), name)
    end
  end)
end)

describe("copyrights.lua --quality", function()
  -- Found besides what is declared: Ann, who is in the text of a licence. Missed: "unspecified", and the licence.
  local SECOND <const> = "Format: x\n\nFiles: *\nCopyright: 2001 Bob\n unspecified people\nLicense: custom\n"
    .. " You may do what you like. Copyright 2002 Ann\n"

  it("counts what is declared, found and right, each distinct file once", files.inside(function(at)
    for name, text in pairs {a = TEXT, b = TEXT, c = SECOND, d = "Copyright 2001 Free Form\n", e = ""} do
      assert(fs.mkdir(at(name)))
      assert(fs.write(at(name .. "/copyright"), text))
    end
    local result = assert(process.run {program.path, "--slow", "0", "scripts/pipelines/copyrights.lua", "--quality",
      "--quiet", at()})
    local out = result.stdout
    assert.matches("^2 distinct machine%-readable files of 5, [^\n]*; a model was asked about 1\n", out)
    assert.matches("\nholders +5 +5 +4 +80.0 %% +80.0 %%\n", out)
    assert.matches("\n  with years +4 +4 +100.0 %%\n", out)
    assert.matches("\n  without years +1 +0 +0.0 %%\n", out)
    assert.matches("\nlicences +4 +2 +2 +100.0 %% +50.0 %%\n", out)
    assert.matches("\n  standard names +2 +2 +100.0 %%\n", out)
    assert.matches("\n  names of their own +1 +0 +0.0 %%\n", out)
    assert.matches("\n  without text +1 +0 +0.0 %%\n", out)
    assert.matches("\n  gpl%-2%+ +1 +1 +1 +100.0 %% +100.0 %%\n", out)
    assert.matches("holders that were missed, and in how many files:\n +1  unspecified people\n", out)
    assert.matches("holders that are not declared:\n +1  ann\n", out)
    assert.matches("licences that were missed:\n +1  custom\n +1  spout%-licence\n", out)
    assert.equal(3, result.status) -- the empty one is parked
    assert.matches("1 of 5 files were parked:\n  [^\n]*/e/copyright: structured: empty", result.stderr)
  end))
end)
