-- The page of scripts/pipelines/changelogs.lua in a real browser.

package.path = "scripts/pipelines/?.lua;" .. package.path

local async = require "muster"
local browser = require "spec.support.devtools"
local fs = require "muster.fs"
local samples = require "spec.support.changelogs"
local web = require "changelogs.web"

local path = "scripts/pipelines/changelogs/page.html"
local chromium = browser.program()

describe("changelogs: the page", function()
  it("is one file, which needs no other", function()
    local html = assert(fs.read(path))
    for _, pattern in ipairs {"<link", "<script [^>]*src", "<img", "@import", "url%(", "import%("} do
      assert.is_nil(html:find(pattern))
    end
  end)

  if not chromium then
    pending("needs chromium (scripts/tools/setup.sh --dev installs it)")
    return
  end

  local dir, server, page
  setup(function() page = browser.start(chromium) end)
  teardown(function() page:close() end)

  --- A spec with the page of a small tree. `prepare` may add files to it first.
  local function shown(fn, prepare)
    return function()
      dir = samples.tree()
      if prepare then prepare() end
      server = assert(web.serve({dir.path, port = 0, limit = 4}, path))
      finally(function()
        page:open "about:blank"
        server:stop(0)
        dir:close()
      end)
      fn()
    end
  end

  local function open(hash)
    page:open(server.url .. "/" .. (hash or ""))
    page:wait_for "document.documentElement.hasAttribute('data-done')"
  end

  local function text(selector) return page:eval(("document.querySelector(%q).innerText"):format(selector)) end

  --- The names of the rows, once there are as many as expected.
  local function rows(count)
    page:wait_for(("document.querySelectorAll('#list > li').length === %d"):format(count))
    return page:eval "[...document.querySelectorAll('.name')].map(name => name.innerText)"
  end

  it("shows what there is, newest first, and what could not be read", shown(function()
    open()
    assert.same({"alpha 2.0-1", "alpha 1.0-1", "beta 7"}, rows(3))
    assert.same({"3", "2", "3", "2", "2"}, {text "#releases", text "#packages", text "#people", text "#bugs",
      text "#cves"})
    assert.matches("^All 5 files read in ", text "#status")
    assert.equal("2 files could not be read", text "#failed summary")
    assert.equal(3, page:eval "document.querySelectorAll('#chart .hit').length") -- 2022, 2023, 2024
  end))

  it("filters by what the address says", shown(function()
    local hashes = {["#cve=cve-2023-1111"] = {"alpha 2.0-1"}, ["#package=beta"] = {"beta 7"}, ["#year=2023"] =
      {"alpha 1.0-1"}, ["#q=ANN%20alpha"] = {"alpha 2.0-1"}, ["#q=%231002"] = {"alpha 2.0-1"}, ["#bug=1001"] =
      {"alpha 2.0-1"}, ["#maintainer=Ben+Ott&cves=1"] = {}, ["#q=nobody"] = {}}
    for hash, expected in pairs(hashes) do
      open(hash)
      assert.same(expected, rows(#expected))
      page:open "about:blank" -- or it would stay the same page
    end
  end))

  it("filters by hand: typing, ticking, clicking a year, taking it back", shown(function()
    open()
    rows(3)
    page:press("/", "b", "e", "t")
    assert.same({"beta 7"}, rows(1))
    assert.equal("#q=bet", page:eval "location.hash")
    assert.equal("1 of 3", text "#releases")
    page:eval "document.getElementById('q').select()"
    page:press("z", "z")
    rows(0)
    assert.equal("No release is like that.", text "#empty")
    page:eval "history.replaceState(null, '', '#'); from_address()"
    rows(3)
    page:click "#with-cves"
    assert.same({"alpha 2.0-1"}, rows(1))
    page:click "#with-cves"
    rows(3)
    page:click "[data-year='2023']"
    assert.same({"alpha 1.0-1"}, rows(1))
    page:click "#chosen button"
    rows(3)
    page:eval "history.back()"
    rows(1)
  end))

  it("is used by the keyboard alone", shown(function()
    open()
    rows(3)
    page:eval "document.querySelector('#chart .hit[tabindex=\"0\"]').focus()"
    page:press("ArrowLeft", "Enter")
    assert.same({"alpha 1.0-1"}, rows(1))
    page:wait_for "document.activeElement.dataset.year === '2023'"
    page:press "Enter"
    rows(3)
    page:eval "document.querySelector('#list summary').focus()"
    page:press "Enter"
    page:wait_for "document.querySelector('#list .more')"
    assert.matches("Fix CVE%-2023%-1111", text "#list .more")
    page:eval "document.querySelectorAll('#list .more .link')[2].focus()"
    page:press "Enter"
    rows(1)
    assert.equal("#cve=CVE-2023-1111", page:eval "location.hash")
  end))

  it("shows what is in the changelogs as text, whatever it is", shown(function()
    open()
    rows(4)
    page:eval "document.querySelectorAll('#list summary').forEach(summary => summary.click())"
    page:wait_for "document.querySelectorAll('#list .more').length === 4"
    assert.is_false(page:eval "document.title === 'broken' || document.querySelector('#list img, #list b') !== null")
    assert.matches("<img src=x onerror", text "#list")
  end, function()
    samples.write(dir.path, "evil/changelog.Debian", samples.entry {package = "evil", version = "<b>1</b>",
      who = "<img>", changes = "  * <img src=x onerror=\"document.title='broken'\">"})
  end))

  local function add_many()
    local changes = "  * " .. ("x"):rep(10000)
    for file = 1, 100 do
      local entries = {}
      for i = 1, 40 do entries[i] = samples.entry {package = "x" .. file, version = tostring(i), changes = changes} end
      samples.write(dir.path, ("x%d/changelog.Debian"):format(file), table.concat(entries))
    end
  end

  local function wait_for_runs(count)
    async.timeout(20, function()
      while server:active() ~= count do async.sleep(0.01) end
    end)
  end

  it("pauses, goes on, stops, starts again", shown(function()
    page:open(server.url .. "/")
    page:wait_for "all.length > 0"
    page:press "p"
    page:wait_for "document.documentElement.dataset.state === 'paused'"
    local before = page:eval "new Promise(done => setTimeout(() => done(all.length), 100))"
    assert.equal(before, page:eval "new Promise(done => setTimeout(() => done(all.length), 100))")
    assert.is_true(before < 4003)
    assert.equal(1, server:active())
    page:click "#pause"
    page:wait_for(("all.length > %d"):format(before))
    page:eval "pause(); stop()"
    wait_for_runs(0)
    assert.equal("Stopped.", text "#status")
    page:click "#stop"
    page:wait_for "document.documentElement.dataset.state === 'ended'"
    assert.equal("4,003", text "#releases")
    assert.equal("Show 60 more of 3,943", text "#next")
  end, add_many))

  it("ends its run with its window", shown(function()
    page:open(server.url .. "/")
    page:wait_for "all.length > 0"
    page:eval "pause()"
    page:open "about:blank"
    wait_for_runs(0)
  end, add_many))

  it("says so if the stream breaks", shown(function()
    page:open(server.url .. "/")
    page:wait_for "all.length > 0"
    page:eval "pause()"
    server:close()
    page:eval "pause()"
    page:wait_for "document.documentElement.dataset.state === 'failed'"
    assert.matches("^The stream broke: ", text "#status")
  end, add_many))

  it("has no more width than a narrow screen", shown(function()
    for _, dark in ipairs {false, true} do
      page:screen(320, 640, dark)
      open()
      rows(3)
      page:eval "document.querySelectorAll('#list summary').forEach(summary => summary.click())"
      page:wait_for "document.querySelectorAll('#list .more').length === 3"
      assert.is_true(page:eval "document.documentElement.scrollWidth <= innerWidth")
      local red, green, blue = page:eval "getComputedStyle(document.body).backgroundColor":match "(%d+), (%d+), (%d+)"
      assert.equal(dark, red + green + blue < 300)
      page:open "about:blank"
    end
  end))
end)
