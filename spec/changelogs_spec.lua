-- scripts/pipelines/changelogs.lua: its grammar, its records, its command line, its streams.

package.path = "scripts/pipelines/?.lua;" .. package.path

local async = require "muster"
local files = require "changelogs.files"
local fs = require "muster.fs"
local grammar = require "changelogs.grammar"
local http = require "muster.http"
local job = require "changelogs.job"
local json = require "muster.json"
local pipeline = require "muster.pipeline"
local process = require "muster.process"
local program = require "spec.support.program"
local record = require "changelogs.record"
local samples = require "spec.support.changelogs"
local web = require "changelogs.web"

local script = "scripts/pipelines/changelogs.lua"
local page = "scripts/pipelines/changelogs/page.html"

local function records_of(text)
  local list = {}
  for entry in grammar.each(text) do list[#list + 1] = record.of(entry) end
  return list
end

local function versions_of(text)
  local list = {}
  for i, one in ipairs(records_of(text)) do list[i] = one.package .. " " .. one.version end
  return list
end

local function only(fields)
  local list = records_of(samples.entry(fields))
  assert.equal(1, #list)
  return list[1]
end

describe("changelogs: entries", function()
  it("are read with all they say", function()
    assert.same({
      package = "hello", version = "2.10-3~deb12u1+b1", date = "2022-12-26T15:30:00+01:00", maintainer = "Jane Doe",
      email = "jane@example.org", distribution = "unstable", urgency = "high", closes = {1001, 1002},
      cves = {"CVE-2022-12345"}, changes = {"Fix CVE-2022-12345. (Closes: #1001, #1002)", "Tidy up."},
    }, only {version = "2.10-3~deb12u1+b1", meta = "urgency=HIGH, binary-only=yes",
      changes = "  * Fix CVE-2022-12345.\n    (Closes: #1001, #1002)\n  * Tidy up."})
  end)

  it("are all there, and what is between them is passed over", function()
    local text = "\xEF\xBB\xBFnotes\n\n" .. samples.entry {version = "3"} .. "Local variables:\nmode: x\n\n" ..
      samples.entry {version = "2"} .. "Mon Jan  1 1996  Jane\n\n\t* in an old form\n\n" ..
      samples.entry {version = "1"} .. "# Older entries have been removed from this changelog.\n"
    assert.same({"hello 3", "hello 2", "hello 1"}, versions_of(text))
  end)

  it("may lack their last line, or have an empty one", function()
    local text = "hello (2) unstable; urgency=low\n\n  * Two.\n\n" ..
      "hello (1) unstable; urgency=low\n\n  * One.\n\n --\n" .. "hello (0) unstable; urgency=low"
    local list = records_of(text)
    assert.same({"Two."}, list[1].changes)
    assert.same({"One."}, list[2].changes)
    assert.same({}, list[3].changes)
    for i = 1, 3 do assert.is_nil(list[i].maintainer or list[i].date or list[i].date_text) end
  end)

  it("may end without a line feed, and with carriage returns", function()
    local text = samples.entry {}
    assert.equal("2022-12-26T15:30:00+01:00", records_of(text:gsub("\n+$", ""))[1].date)
    local one = records_of((text:gsub("\n", "\r\n")))[1]
    assert.same({"2022-12-26T15:30:00+01:00", "Jane Doe", "Initial release.", "medium"},
      {one.date, one.maintainer, one.changes[1], one.urgency})
  end)

  it("are none in a text that has none", function()
    for _, text in ipairs {"", "\n", "hello", "hello (1.0)\n", "hello (1 0) unstable; urgency=low\n", "(1) x;\n",
      " hello (1) unstable; urgency=low\n", "Hello (1) unstable; urgency=low\n", "\0\xFF\n\xFE"} do
      assert.same({}, versions_of(text))
    end
  end)

  it("are found in a text that is made to be hard, in one pass", function()
    for _, line in ipairs {"a (", "hello (1) unstable", " -- a <b", "\n", " --", "CVE-2022-", "closes: #1, "} do
      local text = samples.entry {version = "2", changes = line:rep(2e6 // #line)} .. line:rep(2e6 // #line) .. "\n" ..
        samples.entry {version = "1"}
      assert.same({"hello 2", "hello 1"}, versions_of(text))
    end
  end)
end)

describe("changelogs: records", function()
  local bugs = {
    ["Closes: #123"] = {123}, ["closes: 123"] = {123}, ["(CLOSES:#123)"] = {123},
    ["Closes: Bug#123, bug 124"] = {123, 124},
    ["Closes:\n    #123,\n    #124"] = {123, 124}, ["Closes: #5, #5; Closes: #5"] = {5}, ["Close #123"] = {},
    ["Closes: bug #1"] = {}, -- which Debian does not take for one, either
    ["see #123"] = {}, ["Closes: nothing"] = {}, ["Closes: #1, and #2"] = {1}, ["Closes: #99999999999999999999"] = {},
    ["c closes: #7 c"] = {7}, ["Closes: #1 Closes: #2"] = {1, 2},
  }
  for text, expected in pairs(bugs) do
    it("have the bugs of " .. text:gsub("\n *", " "), function()
      assert.same(expected, only({changes = "  * " .. text}).closes)
    end)
  end

  local cves = {
    ["CVE-2021-1234"] = {"CVE-2021-1234"}, ["cve-2021-1234567"] = {"CVE-2021-1234567"},
    ["CVE-2021-1, CVE-21-1234, CVE-XXXX-1234, CVE-2021-XXXX"] = {},
    ["CVE-2020-1111 CVE-2020-2222/CVE-2020-3333, CVE-2020-1111"] = {"CVE-2020-1111", "CVE-2020-2222", "CVE-2020-3333"},
    ["0001-CVE-2020-1111_CVE-2020-2222.patch"] = {"CVE-2020-1111", "CVE-2020-2222"},
  }
  for text, expected in pairs(cves) do
    it("have the CVEs of " .. text, function() assert.same(expected, only({changes = "  * " .. text}).cves) end)
  end

  local dates = {
    ["Mon, 26 Dec 2022 15:30:00 +0100"] = "2022-12-26T15:30:00+01:00",
    ["Fri,  30 May 1997 4:48:42 -0600"] = "1997-05-30T04:48:42-06:00",
    ["Mon, 23 February 2004 13:10:00 +0900"] = "2004-02-23T13:10:00+09:00",
    ["Sun, 8 Jan 2002 17:27:17 GMT"] = "2002-01-08T17:27:17+00:00",
    ["29 feb 2000 00:00:00 +0000"] = "2000-02-29T00:00:00+00:00",
  }
  for text, expected in pairs(dates) do
    it("have the date " .. text, function()
      local one = only {date = text}
      assert.same({expected}, {one.date, one.date_text})
    end)
  end

  it("keep what is written where a date should be, if it is none", function()
    for _, text in ipairs {"Thu, 29 Feb 1900 00:00:00 +0000", "31 Apr 2000 00:00:00 +0000", "0 May 2000 00:00:00 +0000",
      "1 Foo 2000 00:00:00 +0000", "1 May 2000 25:00:00 +0000", "1 May 2000 00:61:00 +0000", "1 May 2000 00:00:00 EST",
      "1 May 2000 00:00:00 +0099", "yesterday", "1 May 2000"} do
      local one = only {date = text}
      assert.same({nil, text}, {one.date, one.date_text})
    end
  end)

  it("name who made it, however that is written", function()
    local function who(text)
      local one = only {who = text, date = ""}
      return {one.maintainer or false, one.email or false}
    end
    assert.same({"Jane Doe", "jane@example.org"}, who "Jane Doe <jane@example.org>")
    assert.same({"Jane (the one) Doe", false}, who "Jane (the one) Doe <>")
    assert.same({false, "jane@example.org"}, who "<jane@example.org>")
    assert.same({"Jane", false}, who "Jane")
  end)

  it("are UTF-8, what is not is taken for Latin-1", function()
    local one = only {changes = "  * Gr\xFC\xDFe, Grüße, \xF0\x9F\xFF", who = "J\xF6rg <j@example.org>"}
    assert.same({"Grüße, Grüße, ð\u{9F}ÿ", "Jörg"}, {one.changes[1], one.maintainer})
    assert.equal(one.changes[1], json.decode(json.encode(one)).changes[1])
  end)

  it("have the changes one by one, and who made them", function()
    local changes = "  [ Jane ]\n  * One,\n    - a part of it,\n    + another\n\n  * Two * goes\n    on\n" ..
      "  [ Joe ]\n  Three\n  * Four\n    * part of four"
    assert.same({"[ Jane ]", "One,\n- a part of it,\n+ another", "Two * goes on", "[ Joe ]", "Three",
      "Four\n* part of four"}, only({changes = changes}).changes)
    assert.same({}, only({changes = ""}).changes)
  end)

  it("are JSON with their fields in one order, and empty lists", function()
    assert.matches('^{"package":"hello","version":"1.0%-1","date":"2022.*"closes":%[%],"cves":%[%],"changes":%["',
      json.encode(only {}))
  end)
end)

describe("changelogs: files", function()
  it("are Debian's, or the only one there is", function()
    local dir <close> = samples.tree()
    local found, names = files.find(dir.path .. "/"), {}
    for i, path in ipairs(found) do names[i] = path:sub(#dir.path + 2) end
    assert.same({"alpha/changelog.Debian.gz", "alpha-dev/changelog.Debian.gz", "beta/changelog.gz",
      "broken/changelog.Debian.gz", "others/changelog.gz"}, names)
    assert.same({found[1]}, files.find(found[1]))
    assert.same({found[1]}, files.find(dir.path .. "/alpha"))
    local none, err = files.find(dir.path .. "/none")
    assert.same({{}, "not_found"}, {none, err.kind})
  end)

  it("are read, or it is said why not", function()
    local dir <close> = samples.tree()
    local function problem(name, text)
      local path = text and samples.write(dir.path, name, text) or dir.path .. "/" .. name
      local got, err = files.read(path)
      assert.is_nil(got)
      return tostring(err)
    end
    assert.equal("plain", files.read(samples.write(dir.path, "x/changelog", "plain")))
    assert.equal("packed", files.read(samples.write(dir.path, "x/-changelog.gz", "packed")))
    assert.matches("unexpected end of file", problem "broken/changelog.Debian.gz")
    assert.matches("not_found", select(2, files.read(dir.path .. "/none.gz")).kind)
    assert.matches("^gzip: .*/x/other.gz: ", problem("x/other.gz", "\x1F\x8Bno"))
    assert.matches("not a file, but a directory", problem "alpha")
  end)
end)

--- Runs the pipeline over a tree: the records' names, the summary.
local function run(root, opts)
  local names = {}
  local paths = files.find(root)
  local to = pipeline.sink.call(function(one) names[#names + 1] = one.package .. " " .. one.version end)
  local counts = assert(job.of(paths, to, opts):run {quiet = true})
  return names, counts
end

describe("changelogs: a run", function()
  it("has each release once, in the order of the files, whichever was read first", function()
    local dir <close> = samples.tree()
    for limit = 1, 5 do
      local names, counts = run(dir.path, {order = "input", limit = limit})
      assert.same({"alpha 2.0-1", "alpha 1.0-1", "beta 7"}, names)
      assert.same({5, 3, 2}, {counts.items, counts.done, counts.parked})
    end
  end)

  it("has each release once as they complete", function()
    local dir <close> = samples.tree()
    local names = run(dir.path, {order = "completion", limit = 5})
    table.sort(names)
    assert.same({"alpha 1.0-1", "alpha 2.0-1", "beta 7"}, names)
  end)

  it("has a release once that a file has twice", function()
    local dir <close> = assert(fs.tmp_dir())
    samples.write(dir.path, "x/changelog.Debian", samples.entry {}:rep(3))
    for _, order in ipairs {"input", "completion"} do
      assert.same({"hello 1.0-1"}, (run(dir.path, {order = order, limit = 1})))
    end
  end)
end)

describe("changelogs: the command", function()
  it("writes records, and says what there was", function()
    local dir <close> = samples.tree()
    local out = dir.path .. "/out.jsonl"
    local output, errors, code = program.run {script, "--out", out, dir.path}
    assert.same({"", 0}, {output, code})
    local names = {}
    for line in io.lines(out) do
      local one = json.decode(line)
      names[#names + 1] = one.package .. " " .. one.version
    end
    assert.same({"alpha 2.0-1", "alpha 1.0-1", "beta 7"}, names)
    assert.matches("5 items, 2 parked, 3 records", errors)
    assert.matches("parked: gzip: .-/broken/changelog.Debian.gz: unexpected end of file", errors)
    assert.matches("parked: .-/others/changelog.gz: no entry of a Debian changelog in it", errors)
    assert.matches("3 releases of 2 packages by 3 people, 2 bugs closed, 2 CVEs named", errors)
    assert.matches("most releases:\n +1  Ann Ott\n", errors)
    assert.matches("CVEs by year:\n  2024 +2  ▇▇", errors)
  end)

  it("writes to standard output, and stops quietly if nobody reads on", function()
    local dir <close> = samples.tree()
    local output, errors, code = program.run {script, "--quiet", dir.path}
    assert.same({3, "", 0}, {select(2, output:gsub("\n", "")), errors, code})
    samples.write(dir.path, "long/changelog.Debian", samples.entry({}):rep(3000):gsub("1%.0",
      (function() local n = 0 return function() n = n + 1 return tostring(n) end end)()))
    output, errors = program.sh(program.command {script, "--quiet", dir.path} .. " | head -n 1")
    assert.matches('^{"package":"alpha"[^\n]*\n$', output)
    assert.equal("", errors)
  end)

  it("says what is wrong with what it is told", function()
    local dir <close> = assert(fs.tmp_dir())
    local cases = {
      {{"--port", "x"}, 2, "%-%-port: expected a port from 0 to 65535, got 'x'"},
      {{"--out", "x.csv"}, 2, "%-%-out: expected the name of a file, with .jsonl at its end"},
      {{"--serve", "--out", "x.jsonl"}, 2, "%-%-serve and %-%-out: one of them"}, {{"--what"}, 2, "unknown option"},
      {{dir.path}, 1, "no changelog found in "}, {{dir.path .. "/none"}, 1, "no such file"},
      {{"--serve", dir.path}, 1, "no changelog found in "},
      {{"--out", dir.path .. "/no/x.jsonl", script}, 1, "no such file"},
    }
    for _, case in ipairs(cases) do
      local output, errors, code = program.run {script, table.unpack(case[1])}
      assert.same({"", case[2]}, {output, code})
      assert.matches("changelogs.lua: .*" .. case[3], errors)
    end
    samples.write(dir.path, "x/changelog", "nothing of ours\n")
    local _, problems, status = program.run {script, dir.path}
    assert.equal(1, status)
    assert.matches("1 parked.*changelogs.lua: none of the files could be read\n$", problems)
    local output, _, code = program.run {script, "--help"}
    assert.same({"usage:", 0}, {output:sub(1, 6), code})
  end)

  it("says so if its port is taken", function()
    local dir <close> = samples.tree()
    local server <close> = http.serve {handler = function() end}
    local result = process.run {program.path, "--slow", "0", script, "--serve", "--port", server.port, dir.path}
    assert.same({1, ""}, {result.status, result.stdout})
    assert.matches("address is in use", result.stderr)
  end)

  for _, name in ipairs {"INT", "TERM"} do
    it("serves until SIG" .. name .. ", also while somebody reads", function()
      local dir <close> = samples.tree()
      local child <close> = process.spawn {program.path, "--slow", "0", script, "--serve", "--port", "0", dir.path}
      local url = child.stdout:read_until "\n":match "http://[%d.:]+/"
      local client <close> = http.client()
      local events = client:get(url .. "events"):events()
      assert.equal("start", events().event)
      child:signal(name)
      local result = child:wait()
      assert.same({0, ""}, {result.status, child.stderr:read_all()})
      pcall(events)
    end)
  end
end)

describe("changelogs: the streams", function()
  local dir, server, client

  --- A spec with a server over a small tree, and a client of its own.
  local function served(fn)
    return function()
      dir, client = samples.tree(), http.client()
      server = assert(web.serve({dir.path, port = 0, limit = 4}, page))
      finally(function()
        client:close()
        server:stop(0)
        dir:close()
      end)
      fn()
    end
  end

  local function read_events()
    local seen, names = {}, {}
    for event in client:get(server.url .. "/events"):events() do
      seen[event.event] = seen[event.event] or {}
      table.insert(seen[event.event], json.decode(event.data))
      names[#names + 1] = event.event
    end
    return seen, names
  end

  it("tell of all that is there, and of what failed, and end", served(function()
    local seen, names = read_events()
    assert.same({"start", "end"}, {names[1], names[#names]})
    assert.same({{files = 5}}, seen.start)
    assert.same({{items = 5, records = 3, done = 3, parked = 2, skipped = 0}}, seen["end"])
    assert.equal(3, #seen.record)
    assert.equal(2, #seen.failed)
    table.sort(seen.failed, function(a, b) return a.error < b.error end)
    assert.matches("no entry of a Debian changelog", seen.failed[1].error)
    assert.matches("unexpected end of file", seen.failed[2].error)
  end))

  it("are one for each that asks", served(function()
    local counts = async.map({1, 2, 3, 4}, function() return #read_events().record end)
    assert.same({3, 3, 3, 3}, {table.unpack(counts)})
  end))

  it("come as lines, too", served(function()
    local names = {}
    for line in client:get(server.url .. "/records.jsonl"):lines() do names[#names + 1] = json.decode(line).version end
    table.sort(names)
    assert.same({"1.0-1", "2.0-1", "7"}, names)
  end))

  --- Files with far more text than fits into the buffers between a run and who reads.
  local function make_long()
    local changes = "  * " .. ("x"):rep(10000)
    for file = 1, 100 do
      local entries = {}
      for i = 1, 40 do entries[i] = samples.entry {package = "x" .. file, version = tostring(i), changes = changes} end
      samples.write(dir.path, ("x%d/changelog.Debian"):format(file), table.concat(entries))
    end
    return 100 * 40
  end

  --- Waits until a function returns the same for a while.
  local function settled(fn)
    local last, same = fn(), 0
    while same < 10 do
      async.sleep(0.02)
      local now = fn()
      last, same = now, now == last and same + 1 or 0
    end
    return last
  end

  it("wait for who reads slowly, and end the run of one that goes away", served(function()
    local total, made, of = make_long(), 0, record.of
    finally(function()
      record.of = of
      client:close()
      server:stop(0)
      dir:close()
    end)
    function record.of(entry)
      made = made + 1
      return of(entry)
    end
    for _, path in ipairs {"/events", "/records.jsonl"} do
      made = 0
      local response = client:get(server.url .. path)
      assert.is_string(response:read())
      assert.is_true(settled(function() return made end) < total // 2)
      assert.equal(1, server:active())
      response:close()
      async.timeout(20, function()
        while server:active() > 0 do async.sleep(0.01) end
      end)
      assert.is_true(made < total // 2)
    end
  end))

  it("say so if nothing is left to be read", served(function()
    dir:close()
    local seen = read_events()
    assert.same({{{files = 0}}, {{items = 0, records = 0, done = 0, parked = 0, skipped = 0}}},
      {seen.start, seen["end"]})
  end))

  it("have a page, which asks nobody else for anything, and no other", served(function()
    local response = client:get(server.url)
    assert.matches("^<!doctype html>", response:text())
    assert.matches("default%-src 'none'", response.headers["content-security-policy"])
    assert.equal(404, client:get(server.url .. "/etc/passwd").status)
    assert.equal(404, client:get(server.url .. "/../changelogs.lua").status)
    assert.equal(405, client:post(server.url .. "/events", {body = "x"}).status)
    local none, err = web.serve({dir.path, port = 0, limit = 1}, dir.path .. "/no.html")
    assert.same({nil, "not_found"}, {none, err.kind})
  end))
end)
