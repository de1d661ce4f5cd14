-- scripts/pipelines/copyrights.lua: its grammar, its reading of files, its command line.

package.path = "scripts/pipelines/?.lua;scripts/?.lua;scripts/?/init.lua;" .. package.path

local cjson = require "cjson"
local dep5 = require "copyrights.dep5"
local licences = require "copyrights.licences"
local record = require "copyrights.record"
local statements = require "copyrights.statements"

local muster = os.getenv "MUSTER" or "build/muster"
local samples = "spec/support/copyrights/"

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Runs the pipeline: its standard output, standard error and exit code.
local function run(...)
  local words = { muster, "scripts/pipelines/copyrights.lua", ... }
  for i, word in ipairs(words) do words[i] = quoted(word) end
  local errors = os.tmpname()
  local pipe = io.popen(table.concat(words, " ") .. " 2>" .. errors)
  local output = pipe:read "a"
  local _, _, code = pipe:close()
  local file <close> = io.open(errors)
  os.remove(errors)
  return output, file:read "a", code
end

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- "1998-2003,2007" for a list of years.
local function years_of(statement)
  local parts = {}
  for i, years in ipairs(statement.years) do
    parts[i] = years.from == years.to and tostring(years.from) or years.from .. "-" .. years.to
  end
  return table.concat(parts, ",")
end

-- "holder | years | e-mails" for each statement; the spans must hold the texts.
local function brief(source, found)
  local lines = {}
  for i, statement in ipairs(found) do
    assert.equal(statement.text, source:sub(statement.first, statement.last))
    lines[i] = ("%s | %s | %s"):format(statement.holder or "", years_of(statement),
      table.concat(statement.emails, " "))
  end
  return lines
end

local function assert_found(source, expected)
  assert.same(expected, brief(source, statements.of(source)))
end

local function assert_field(field, expected)
  local source = "Format: x\n\nFiles: *\nCopyright: " .. field .. "\nLicense: MIT\n"
  assert.same(expected, brief(source, (dep5.read(source))))
end

describe("copyright statements", function()
  local cases = {
    ["Copyright (C) 1999-2003, 2005 Jane Doe <jane@x.org>"] = "Jane Doe | 1999-2003,2005 | jane@x.org",
    ["(c) 2001 Foo Inc."] = "Foo Inc. | 2001 | ",
    ["Copyright © 2001 Jane"] = "Jane | 2001 | ",
    ["Copyright: 2008 X"] = "X | 2008 | ",
    ["Copyright 2003 by X"] = "X | 2003 | ",
    ["COPYRIGHT (C) 2006 THE REGENTS"] = "THE REGENTS | 2006 | ",
    ["copyright 1998, Foo, Bar & Co., Oslo."] = "Foo, Bar & Co., Oslo | 1998 | ",
    ["(C) Copyright Jane Doe 2012"] = "Jane Doe | 2012 | ",
    ["Copyright Jane Doe, 2012-2014."] = "Jane Doe | 2012-2014 | ",
    ["Copyright (c) 2001 gregor herrmann"] = "gregor herrmann | 2001 | ",
    ["Copyright (C) 2000 Jane Q. Doe. All rights reserved."] = "Jane Q. Doe | 2000 | ",
    ["Copyright 2000 the Foo team.  This is free."] = "Foo team | 2000 | ",
    ["is copyright Henry Spencer and is under"] = "Henry Spencer | | ",
    ["copyrighted by the Regents of Ceylon."] = "Regents of Ceylon | | ",
    ["Copyright held by Jane Doe"] = "Jane Doe | | ",
    ["Copyright 2003 Software in the Public Interest"] = "Software in the Public Interest | 2003 | ",
    ["Copyright (c) May 3, 1999 Jane"] = "Jane | 1999 | ",
    ["Copyright 2001 a@x.org"] = " | 2001 | a@x.org",
    ["Copyright 2001 Jane <http://x.org> in src"] = "Jane | 2001 | ",
    ["# Copyright (C) 2001 Jane\n#  and John Doe"] = "Jane and John Doe | 2001 | ",
    ["/* Copyright (C)\n * 2001,\n * 2002 Jane */"] = "Jane | 2001,2002 | ",
    ["Copyright 1990 by\nFoo Corporation"] = "Foo Corporation | 1990 | ",
  }
  for text, expected in pairs(cases) do
    it("reads " .. text:gsub("\n", "\\n"), function()
      assert_found("x\n" .. text .. "\n", { (expected:gsub("| |", "|  |")) })
    end)
  end

  it("reads years in every notation", function()
    local notations = {
      ["1998"] = "1998", ["1998-2003"] = "1998-2003", ["1998 - 2003"] = "1998-2003",
      ["1998–2003"] = "1998-2003", ["1998 to 2003"] = "1998-2003", ["1998-99"] = "1998-1999",
      ["1998-02"] = "1998-2002", ["2004-6"] = "2004-2006", ["1998, 99, 01"] = "1998,1999,2001",
      ["2005, 2006"] = "2005,2006", ["2005 and 2006"] = "2005,2006", ["2005,2007-2009"] = "2005,2007-2009",
      ["2010-present"] = "2010-present", ["2010-"] = "2010-present", ["2010+"] = "2010-present",
      ["2010 and later"] = "2010-present", ["2012-01-15"] = "2012", ["<2005>"] = "2005",
    }
    for written, expected in pairs(notations) do
      assert_found("Copyright " .. written .. " Jane\n", { "Jane | " .. expected .. " | " })
    end
  end)

  it("reads e-mail addresses in every notation", function()
    local notations = { "<jane@x.org>", "(jane@x.org)", "jane@x.org", '"jane@x.org"', "<jane at x.org>",
      "<jane at x dot org>", "<jane (at) x (dot) org>", "<mailto:jane@x.org>" }
    for _, written in ipairs(notations) do
      assert_found("Copyright 2001 Jane " .. written .. "\n", { "Jane | 2001 | jane@x.org" })
    end
    assert_found("(c) 2001 J <a@x.org>, <b@x.org>\n", { "J | 2001 | a@x.org b@x.org" })
  end)

  it("gives later holders the years of the first", function()
    assert_found("Copyright 1998 A <a@x.org>, B <b@x.org> and\n C <c@x.org>\n  2004 D <d@x.org>\n",
      { "A | 1998 | a@x.org", "B | 1998 | b@x.org", "C | 1998 | c@x.org", "D | 2004 | d@x.org" })
  end)

  it("reads the list under a heading", function()
    assert_found("Copyright:\n\n  2001 Jane\n  John Doe\n\nLicense: GPL\n", { "Jane | 2001 | ", "John Doe |  | " })
    assert_found("© 2002-2014:\n Jane Doe\n 2003 John\n", { "Jane Doe | 2002-2014 | ", "John | 2003 | " })
  end)

  it("is not fooled by prose and forms", function()
    for _, text in ipairs {
      "The above copyright notice", "the Copyright Holder", "copyright holder(s)", "copyright law",
      "Copyright and License", "THE COPYRIGHT OWNER", "WIPO Copyright Treaty of 1996", "Grant of Copyright License",
      "Universal Copyright Convention (as revised)",
      "Copyright (C) <year> <name of author>", "Copyright [yyyy] [name]", "Copyright (C) 19yy name",
      "(c) there is clear notice", "Section 4(c), as of 2001", "Copyright: none", "noncopyright 2001 X",
      "Copyright:\n\n  Permission is hereby granted to all.\n",
    } do
      assert_found("x " .. text .. "\n", {})
    end
  end)

  it("takes time in proportion to the text", function()
    for _, piece in ipairs { "© ", "copyright ", "(c) Aaa, ", "Copyright:\n", ",", " and", "2001, ", 'A "', "(B " } do
      local function cost(bytes)
        local least = math.huge
        for _ = 1, 3 do
          local started = os.clock()
          statements.of("Copyright 2001 A" .. piece:rep(bytes // #piece))
          least = math.min(least, os.clock() - started)
        end
        return least
      end
      local ratio = cost(320000) / cost(40000) -- 8 if it is linear, 64 if it is quadratic
      assert.is_true(ratio < 30, piece .. ratio)
    end
  end)
end)

describe("a DEP-5 Copyright field", function()
  it("has a holder on each line", function()
    assert_field("2001 Jane\n 2002, John <j@x.org>\n Foo Team\n .\n gregor <g@x.org>",
      { "Jane | 2001 | ", "John | 2002 | j@x.org", "Foo Team |  | ", "gregor |  | g@x.org" })
  end)
  it("may go on after a comma, and may hold whole notices", function()
    assert_field("1998,\n  1999 Foo,\n  Bar Ltd.\n Portions Copyright (C) 2001 Baz\n (c) 2002 Qux",
      { "Foo, Bar Ltd. | 1998,1999 | ", "Baz | 2001 | ", "Qux | 2002 | " })
  end)
  it("may say that there is no holder", function()
    for _, text in ipairs { "none", "n/a", "No copyright", "unknown", "*No copyright*" } do assert_field(text, {}) end
  end)
  it("does not reach into the next field", function()
    assert_field("2001", {})
    assert_field("2001 Jane,", { "Jane | 2001 | " })
  end)
end)

describe("licences", function()
  it("are the short names of a License field", function()
    local cases = {
      ["GPL-2+ and MIT"] = { "GPL-2+", "MIT" },
      ["MPL-1.1 or GPL-2+, and LGPL-2.1+"] = { "MPL-1.1", "GPL-2+", "LGPL-2.1+" },
      ["GPL-2+ with OpenSSL exception"] = { "GPL-2+ with OpenSSL exception" },
      ["GPL-2 or later"] = { "GPL-2 or later" },
      ["A or\n B"] = { "A", "B" },
      ["\n the Apache License, Version 2.0"] = { "Apache-2.0" },
      ["This program is free software under the GNU GPL version 3"] = { "GPL-3" },
      [""] = {},
    }
    for text, expected in pairs(cases) do assert.same(expected, licences.named(text)) end
  end)

  it("are mentioned in free text", function()
    local cases = {
      ["GNU General Public License as published by the FSF; either\nversion 2 of the License, or (at your "
        .. "option) any later version. See /usr/share/common-licenses/GPL-2."] = { "GPL-2+" },
      ["GNU Lesser General Public License, version 2.1 only"] = { "LGPL-2.1" },
      ["the text is in `/usr/share/common-licenses/GPL-3'."] = { "GPL-3" },
      ["under the GNU GPL"] = { "GPL" }, ["GPLv2+ and LGPLv3"] = { "GPL-2+", "LGPL-3" },
      ["use the GNU Library General Public License instead of this License"] = {},
      ["the Apache License, Version 2.0"] = { "Apache-2.0" }, ["Artistic License 2.0"] = { "Artistic-2.0" },
      ["Mozilla Public\n # License Version 1.1"] = { "MPL-1.1" }, ["in the public domain"] = { "public-domain" },
      ["MIT License\nPermission is hereby granted, free of charge, to any person obtaining"] = { "Expat" },
      ["Redistribution and use in source and binary forms, with or without"] = { "BSD-2-clause" },
      ["Redistribution and use in source and binary forms\nNeither the name of X"] = { "BSD-3-clause" },
      ["Redistribution and use in source and binary forms\nX may not be used to endorse or promote products"] =
        { "BSD-3-clause" },
      ["Permission is hereby granted, free of charge, to any person obtaining a copy\nExcept as contained in this "
        .. "notice"] = { "X11" },
      ["Permission is hereby granted, free of charge, to any person obtaining a copy\n" .. ("x "):rep(1500)
        .. "Except as contained in this notice"] = { "Expat" },
      ["GNU General Public License, version 2 or later. The full text of the GNU General\nPublic License "
        .. "version 2 can be found in /usr/share/common-licenses/GPL-2"] = { "GPL-2+" },
      ["The text of the GNU General Public License can be found in\n/usr/share/common-licenses/GPL-3"] = { "GPL-3" },
      ["Copying and distribution of this file, with or without modification, are permitted in any medium"] =
        { "FSFAP" },
      ["gives unlimited permission to copy and/or distribute it,\n with or without modifications"] = { "FSFULLR" },
      ["Creative Commons Attribution-ShareAlike 4.0 International"] = { "CC-BY-SA-4.0" },
      ["CC0 1.0 Universal"] = { "CC0-1.0" },
      ["under the 3-clause BSD license"] = { "BSD-3-clause" }, ["nothing at all"] = {},
    }
    for text, expected in pairs(cases) do assert.same(expected, licences.mentioned(text)) end
  end)
end)

describe("a record", function()
  it("is what is expected of each sample, with spans that hold the texts", function()
    for line in io.lines(samples .. "expected.jsonl") do
      local expected = cjson.decode(line)
      local source = contents(expected.file)
      local made = record.of(expected.file, source)
      assert.same(expected, cjson.decode(record.encode(made)))
      assert.equal(line, record.encode(made))
      if not made.encoding then brief(source, made.statements) end
    end
  end)

  it("of a Latin-1 file is in UTF-8, with spans in its own bytes", function()
    local source = "Copyright \169 1997 Ren\233 Dupr\233\n"
    local made = record.of("x", source)
    assert.equal("latin1", made.encoding)
    assert.equal("René Dupré", made.statements[1].holder)
    assert.equal(source:sub(1, -2), source:sub(made.statements[1].first, made.statements[1].last))
    assert.truthy(utf8.len(record.encode(made)))
  end)

  it("has [] for empty lists, and escapes what JSON must escape", function()
    assert.equal('{"file":"a/\\"b\\"","format":"free","bytes":1,"statements":[],"licences":[]}',
      record.encode(record.of('a/"b"', "x")))
    assert.match('^{"file":"\195\191","format"', record.encode(record.of("\255", "x")))
  end)

  it("is none of an empty or a binary file", function()
    assert.same({ n = 2, nil, "empty" }, table.pack(record.of("x", "")))
    assert.match("binary", select(2, record.of("x", "Copyright 2001 Jane\0")))
  end)
end)

describe("reading files", function()
  local files = require "copyrights.files"

  it("gives the bytes, or nil and the reason", function()
    assert.equal(contents(samples .. "dep5.copyright"), files.read(samples .. "dep5.copyright", 1000))
    for path, reason in pairs { ["/nonexistent"] = "^ENOENT", [samples] = "directory",
      ["/dev/null"] = "not a regular file", [samples .. "dep5.copyright"] = "too large" } do
      local text, problem = files.read(path, 10)
      assert.is_nil(text)
      assert.match(reason, problem)
    end
  end)

  it("finds the copyright files of a directory", function()
    local root = os.tmpname()
    os.remove(root)
    os.execute(("mkdir -p %s/b %s/a %s/none"):format(root, root, root))
    for _, place in ipairs { "/b", "/a", "" } do write(root .. place .. "/copyright", "x") end
    assert.same({ root .. "/copyright", root .. "/a/copyright", root .. "/b/copyright" },
      files.expand(root .. "/", 2))
    assert.same({ root .. "/none" }, files.expand(root .. "/none", 2))
    assert.same({ "/nonexistent" }, files.expand("/nonexistent", 2))
    os.execute("rm -r " .. root)
  end)
end)

describe("the command line of copyrights.lua", function()
  local expected = contents(samples .. "expected.jsonl")
  local inputs = {}
  for line in expected:gmatch "[^\n]+" do inputs[#inputs + 1] = cjson.decode(line).file end

  local function run_on_samples(...)
    local words = table.pack("--llm", "off", ...)
    table.move(inputs, 1, #inputs, words.n + 1, words)
    return run(table.unpack(words))
  end

  it("writes the expected records in input order, and a summary", function()
    local output, errors, code = run_on_samples("--limit", "2")
    assert.equal(expected, output)
    assert.equal(0, code)
    assert.match("5 files, 0 parked", errors)
    assert.match("27 copyright statements by %d+ holders", errors)
    assert.match("\n%s+3  Jane Doe\n", errors)
  end)

  it("writes the same records as they are completed, in any order", function()
    local output, errors = run_on_samples("--method=completed", "--quiet")
    assert.equal("", errors)
    for line in expected:gmatch "[^\n]+" do assert.truthy(output:find(line, 1, true)) end
    assert.equal(#expected, #output)
  end)

  it("writes --out in one step, and leaves nothing behind when it cannot", function()
    local target = os.tmpname()
    local output, _, code = run_on_samples("--out", target)
    assert.same({ "", 0, expected }, { output, code, contents(target) })
    assert.is_nil(io.open(target .. ".tmp"))
    os.remove(target)
    os.execute("mkdir " .. target)
    local _, errors, failed = run_on_samples("--out", target, "--quiet")
    assert.equal(1, failed)
    assert.match("^copyrights.lua: cannot write [^\n]+\n$", errors)
    assert.is_nil(io.open(target .. ".tmp"))
    os.execute("rmdir " .. target)
  end)

  it("ends quietly when nobody reads on", function()
    local errors = os.tmpname()
    local inputs_many = (samples .. "free.copyright "):rep(500)
    os.execute(("%s scripts/pipelines/copyrights.lua --llm off --quiet %s 2>%s | head -n 1 >/dev/null")
      :format(muster, inputs_many, errors))
    assert.equal("", contents(errors))
    os.remove(errors)
  end)

  it("answers a bad option in one line, with exit code 2", function()
    local cases = {
      [{ "--limit", "0" }] = "%-%-limit: expected a whole number from 1, got '0'",
      [{ "--limit=x" }] = "%-%-limit: expected a whole number from 1, got 'x'",
      [{ "--limit" }] = "%-%-limit: expected a whole number from 1, got nothing",
      [{ "--method", "fast" }] = "%-%-method: expected 'ordered' or 'completed', got 'fast'",
      [{ "--max-bytes", "-1" }] = "%-%-max%-bytes: expected a whole number",
      [{ "--out=" }] = "%-%-out: expected a file name",
      [{ "--quiet=1" }] = "%-%-quiet takes no value",
      [{ "--fresh" }] = "%-%-fresh is of a %-%-journal",
      [{ "--retry-failed" }] = "%-%-retry%-failed is of a %-%-journal",
      [{ "--status" }] = "%-%-status is of a %-%-journal",
      [{ "--journal", "x", "--fresh", "--mixed" }] = "%-%-fresh and %-%-mixed: one of them",
      [{ "--llm", "maybe" }] = "%-%-llm: expected 'on' or 'off', got 'maybe'",
      [{ "--provider", "x" }] = "%-%-provider: expected openai, anthropic, ollama or llamacpp, got 'x'",
      [{ "--speed" }] = "%-%-speed: unknown option",
    }
    for words, message in pairs(cases) do
      local output, errors, code = run(table.unpack(words))
      assert.same({ "", 2 }, { output, code })
      assert.match("^copyrights.lua: " .. message .. "[^\n]*\n$", errors)
    end
  end)

  it("explains itself with --help", function()
    local output, errors, code = run("--help")
    assert.match("^usage: copyrights.lua", output)
    assert.same({ "", 0 }, { errors, code })
  end)
end)
