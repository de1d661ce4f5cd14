-- scripts/pipelines/copyrights.lua as a pipeline: what is asked, what is parked, what an interrupted run leaves.
package.path = "scripts/pipelines/?.lua;scripts/?.lua;scripts/?/init.lua;" .. package.path

local files = require "spec.support.files"
local fs = require "muster.fs"
local json = require "muster.json"
local journal = require "muster.journal"
local net = require "muster.net"
local process = require "muster.process"
local program = require "spec.support.program"
local service = require "service"
local support = require "spec.support.service"

--- Runs the script, while this process may answer it: its output, its errors, its exit code.
local function run(...)
  local command = {program.path, "--slow", "0", "scripts/pipelines/copyrights.lua", ...}
  local result = assert(process.run(command, {env = {OPENAI_API_KEY = "none"}}))
  return result.stdout, result.stderr, result.status
end

local function records_of(output)
  local list = {}
  for line in output:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

--- The names of the files of records, without their directories.
local function names_of(output)
  local names = {}
  for i, record in ipairs(records_of(output)) do names[i] = record.file:match "([^/]+)/copyright$" end
  return names
end

local GPL <const> = "\nIt is under the GNU General Public License, version 2.\n"

--- Writes a tree of packages, as /usr/share/doc is: name = text.
local function plant(at, packages)
  for name, text in pairs(packages) do
    assert(fs.mkdir(at(name)))
    assert(fs.write(at(name .. "/copyright"), text))
  end
end

--- A service that tells what it was asked.
local function listening(opts)
  opts = opts or {}
  opts.log = true
  return assert(service.start(opts))
end

local function texts_of(s)
  local texts = {}
  for i, request in ipairs(s:requests()) do texts[i] = request.text end
  table.sort(texts)
  return texts
end

local settled = {
  b_free = "Copyright 2001 Jane" .. GPL,
  c_dep5 = "Format: x\n\nFiles: *\nCopyright: none\n",
}

describe("the pipeline of copyrights.lua", function()
  it("asks about files in free form without a statement or a licence, and only those", files.inside(function(at)
    plant(at, settled)
    plant(at, {a_none = "Nothing at all.\n", d_statement = GPL, e_licence = "Copyright 2001 Jane\n"})
    local s <close> = listening()
    local output, errors, code = run("--base-url", s.url, at())
    assert.equal(0, code)
    assert.same({GPL, "Copyright 2001 Jane\n", "Nothing at all.\n"}, texts_of(s))
    local asked = {}
    for i, record in ipairs(records_of(output)) do asked[i] = table.concat(record.asked or {}, " ") end
    assert.same({"statements licences", "", "", "statements", "licences"}, asked)
    assert.matches("5 files, 0 parked", errors)
    assert.matches("asked about 3 of 4 files in free form", errors)
  end))

  it("takes what was missing from the answer; years, addresses and places from its quotes", files.inside(function(at)
    local text = "It was made by\n  Jane Doe <jane@x.org>, 1999-2003\n" .. GPL
    plant(at, {a = text})
    local s <close> = listening()
    s:script {{value = {statements = {{holder = "Jane Doe", quote = "by Jane Doe <jane@x.org>, 1999-2003"}},
                        licences = {{licence = "MIT", quote = "under"}}}}}
    local output = run("--base-url", s.url, "--quiet", at())
    local record = json.decode(output)
    assert.same({{holder = "Jane Doe", emails = {"jane@x.org"}, years = {{from = 1999, to = 2003}},
                  first = 13, last = 49, text = "by\n  Jane Doe <jane@x.org>, 1999-2003"}}, record.statements)
    assert.equal(record.statements[1].text, text:sub(13, 49))
    assert.same({"GPL-2"}, record.licences) -- what the grammar has found stays
  end))

  it("counts the bytes of Latin-1 in answers about it", files.inside(function(at)
    plant(at, {a = "\233\233 made by Ren\233" .. GPL})
    local s <close> = listening()
    s:script {{value = {statements = {{holder = "René", quote = "by René"}}, licences = {}}}}
    local record = json.decode((run("--base-url", s.url, "--quiet", at())))
    assert.same({"latin1", 9, 15, "by René"}, {record.encoding, record.statements[1].first, record.statements[1].last,
      record.statements[1].text})
  end))

  it("parks a file about which the model makes up quotes", files.inside(function(at)
    plant(at, {a = GPL, b = settled.b_free})
    local s <close> = listening()
    local wrong = {value = {statements = {{holder = "Jane", quote = "Copyright Jane"}}, licences = {}}}
    s:script {wrong, wrong, wrong}
    local output, errors, code = run("--base-url", s.url, "--quiet", at())
    assert.same({3, {"b"}}, {code, names_of(output)})
    assert.matches("1 of 2 files were parked:\n  [^\n]*/a/copyright: ask: [^\n]*not in it", errors)
  end))

  it("takes what comes after faults of the service", files.inside(function(at)
    plant(at, {a = "Author: Jane Doe\n" .. GPL})
    local s <close> = listening()
    s:script {"500", "invalid_json"}
    local output, _, code = run("--base-url", s.url, "--quiet", at())
    assert.same({0, "Jane Doe"}, {code, json.decode(output).statements[1].holder})
  end))

  it("asks a service of its own unless told of another, and nobody if told so", files.inside(function(at)
    plant(at, {a = "Upstream Author(s): Jane Doe <jane@x.org>\n" .. GPL})
    plant(at, {b = "Copyright 2009 Jane\nThis is version 3 of the Zippy license.\n"})
    local asked = records_of((run("--quiet", at())))
    assert.same({"Jane Doe", {"Zippy"}}, {asked[1].statements[1].holder, asked[2].licences})
    local unasked = records_of((run("--quiet", "--llm", "off", at())))
    assert.same({{}, {}}, {unasked[1].statements, unasked[2].licences})
  end))

  it("parks what it could not ask about when the service is down, and does the rest", files.inside(function(at)
    plant(at, settled)
    plant(at, {a_none = "Nothing at all.\n"})
    local gone = assert(net.listen("127.0.0.1", 0))
    local port = gone.port
    gone:close()
    local output, errors, code = run("--base-url", ("http://127.0.0.1:%d/v1"):format(port), at())
    assert.same({3, {"b_free", "c_dep5"}}, {code, names_of(output)})
    assert.matches("3 files, 1 parked", errors)
    assert.matches("copyrights.lua: 1 of 3 files were parked:\n  [^\n]*/a_none/copyright: ask: [^\n]*connect", errors)
  end))

  it("stops when the service refuses its key", files.inside(function(at)
    plant(at, {a = GPL, b = settled.b_free})
    local s <close> = assert(service.start {keys = {"another"}})
    local output, errors, code = run("--base-url", s.url, "--quiet", "--out", at("out.jsonl"), at())
    assert.same({1, ""}, {code, output})
    assert.matches("^copyrights.lua: [^\n]*key", errors)
    assert.is_nil(fs.stat(at("out.jsonl")))
  end))

  it("parks files that cannot be read, and does the others in their order", files.inside(function(at)
    plant(at, {a = "", b = settled.b_free, c = "Copyright 2001 Jane\0", d = ("x"):rep(1000)})
    plant(at, {e = "Copyright \169 Ren\233" .. GPL})
    assert(fs.mkdir(at "f/copyright", {parents = true}))
    assert(process.run({"mkfifo", at "pipe"}))
    local output, errors, code = run("--max-bytes", "999", "--limit", "1", "/nonexistent", at "pipe", "/dev/null", at())
    assert.same({3, {"b", "e"}}, {code, names_of(output)})
    assert.matches("9 files, 7 parked", errors)
    for _, reason in ipairs {"  /nonexistent: read: ENOENT: no such file or directory\n",
      "/pipe: read: not a regular file %(fifo%)\n", "  /dev/null: read: not a regular file %(char%)\n",
      "/a/copyright: parse: empty\n", "/c/copyright: parse: binary %(it holds NUL bytes%)\n",
      "  %.%.%. and 2 more\n"} do
      assert.matches(reason, errors)
    end
    errors = select(2, run("--max-bytes", "999", at "d", at "f"))
    assert.matches("/d/copyright: read: too large: 1000 bytes %(the limit is 999%)", errors)
    assert.matches("/f/copyright: read: a directory", errors)
  end))

  it("writes a page on the run, in which the statements are marked in their files", files.inside(function(at)
    plant(at, {a = "", b = settled.b_free})
    local _, errors, code = run("--quiet", "--report", at "run.html", at())
    assert.equal(3, code)
    assert.not_matches("traceback", errors)
    local page = fs.read(at "run.html")
    for _, what in ipairs {"/a/copyright", "/b/copyright", "Copyright 2001 Jane", "statements%[1%]", "empty"} do
      assert.matches(what, page)
    end
    _, errors, code = run("--quiet", "--report", at "none/run.html", at())
    assert.equal(1, code)
    assert.matches("^copyrights.lua: [^\n]*none", errors)
  end))

  it("writes in the order of the files, though answers come late", files.inside(function(at)
    plant(at, settled)
    plant(at, {a_none = "Nothing at all.\n"})
    local s <close> = assert(service.start {latency = 0.05})
    local ordered = run("--base-url", s.url, "--quiet", at())
    assert.same({"a_none", "b_free", "c_dep5"}, names_of(ordered))
    local completed = run("--base-url", s.url, "--quiet", "--method", "completed", at())
    assert.equal("a_none", names_of(completed)[3])
  end))
end)

describe("copyrights.lua with a journal", function()
  it("does nothing twice, and tells where it stands", files.inside(function(at)
    plant(at, settled)
    plant(at, {a_none = "Author: Jane Doe\n"})
    local s <close> = listening()
    local words = {"--base-url", s.url, "--journal", at "journal", at()}
    local first = run(table.unpack(words))
    local second, errors, code = run(table.unpack(words))
    assert.same({first, 0, 1}, {second, code, #s:requests()})
    assert.equal("Jane Doe", records_of(first)[1].statements[1].holder)
    assert.matches("3 files, 3 of them by earlier runs, 0 parked", errors)
    assert(fs.mkdir(at "z"))
    assert(fs.write(at "z/copyright", "x"))
    assert.equal(at "journal" .. ": 3 of 4 files are done, 0 parked, 0 under way or interrupted\n",
      (run("--status", table.unpack(words))))
  end))

  it("says so if there is no journal whose state could be told", files.inside(function(at)
    local output, errors, code = run("--status", "--journal", at "journal", at())
    assert.same({1, ""}, {code, output})
    assert.matches("^copyrights.lua: there is no journal [^\n]*journal\n$", errors)
    assert.is_nil(fs.stat(at "journal"))
  end))

  it("goes on where it was killed, and asks once more what had not been answered", files.inside(function(at)
    plant(at, settled)
    plant(at, {a_none = "Author: Jane Doe\n", d_none = "Author: John Doe\n"})
    local s <close> = listening()
    s:script {"silent", "ok"}
    local words = {"--quiet", "--base-url", s.url, "--journal", at "journal", "--out", at "out.jsonl", at()}
    do
      local command = {program.path, "scripts/pipelines/copyrights.lua", table.unpack(words)}
      local child <close> = assert(process.spawn(command))
      support.until_true(function()
        local counts = fs.stat(at "journal") and journal.status(at "journal")
        return counts and counts.done == 3
      end)
      child:kill()
      child:wait()
    end
    assert.is_nil(fs.stat(at "out.jsonl"))
    local _, errors, code = run(table.unpack(words))
    assert.same({0, ""}, {code, errors})
    assert.equal(3, #s:requests())
    local whole = run("--quiet", "--base-url", s.url, at())
    assert.equal(whole, fs.read(at "out.jsonl"))
    assert.same({"a_none", "b_free", "c_dep5", "d_none"}, names_of(whole))
  end))

  it("tries what was parked again if told so", files.inside(function(at)
    plant(at, {a = "Author: Jane Doe\n" .. GPL, b = settled.b_free})
    local s <close> = listening()
    s:script {{status = 400}}
    local words = {"--quiet", "--base-url", s.url, "--journal", at "journal", at()}
    local _, errors, code = run(table.unpack(words))
    assert.equal(3, code)
    assert.matches("/a/copyright: ask: ", errors)
    assert.matches("\nthe same command with %-%-retry%-failed tries them again\n", errors)
    local output
    output, errors, code = run(table.unpack(words))
    assert.same({3, {"b"}}, {code, names_of(output)})
    assert.matches("/a/copyright: [^\n]*earlier run", errors)
    assert.equal(1, #s:requests())
    output, errors, code = run("--retry-failed", table.unpack(words))
    assert.same({0, "", {"a", "b"}}, {code, errors, names_of(output)})
  end))

  it("notices that its options have changed", files.inside(function(at)
    plant(at, settled)
    local words = {"--quiet", "--journal", at "journal", at()}
    run(table.unpack(words))
    local output, errors, code = run("--llm", "off", table.unpack(words))
    assert.same({1, ""}, {code, output})
    assert.matches("^copyrights.lua: [^\n]*service has changed[^\n]*: %-%-fresh or %-%-mixed\n", errors)
    for _, way in ipairs {"--mixed", "--fresh"} do
      output, errors, code = run(way, "--llm", "off", table.unpack(words))
      assert.same({0, "", {"b_free", "c_dep5"}}, {code, errors, names_of(output)})
    end
  end))

  it("is killed and resumed by the demonstration", files.inside(function(at)
    local s <close> = assert(service.start {latency = 0.03})
    for i = 1, 12 do plant(at, {["p" .. i] = "Author: Jane Doe\n"}) end
    local result = assert(process.run {program.path, "--slow", "0", "scripts/pipelines/copyrights_killed.lua",
      at "demo", "--limit", "1", "--base-url", s.url, at()})
    assert.same({0, ""}, {result.status, result.stderr})
    assert.matches("^killed by SIGKILL with %d of 12 files done", result.stdout)
    assert.matches("\nthe resumed run's output equals an uninterrupted one: 12 records\n$", result.stdout)
  end))
end)
