-- The page of muster.report in a real browser: what is there once its script has run, and how it answers.
local browser = require "spec.support.devtools"
local failure = require "muster.failure"
local fs = require "muster.fs"
local json = require "muster.json"
local limit = require "muster.limit"
local report = require "muster.report"

local chromium = browser.program()
local page

--- A report of a run of n items, every tenth of which has failed.
local function sample(n, opts)
  opts = opts or {}
  opts.title = opts.title or "a run"
  opts.client = {usage = function() return {requests = 0} end}
  opts.limiter = limit.limiter {concurrency = 2}
  local r = report.new(opts)
  opts.client.usage = function() return {requests = 1234, input = 5, output = 6, total = 11, cost = 0.5} end
  for i = 1, n do
    local start = r.began + i
    local item = {key = "file-" .. i, position = i, started = start, ended = start + 1 + i % 5,
      stages = {"read", start, start + 0.5, "ask", start + 0.5, start + 1}, result = {name = "Ada", n = i},
      text = "<b>Ada</b> was & is no. " .. i .. ".", spans = {name = {4, 6}}}
    if i % 10 == 0 then
      item.state, item.stage, item.result = i % 20 == 0 and "skipped" or "parked", "ask", nil
      item.error = failure.new(i % 20 == 0 and "timeout" or "schema", "ask", "<i>no</i> answer to " .. i)
    end
    r:add(item)
  end
  return r
end

--- What the browser makes of the page.
local function shown(r, hash)
  local directory <close> = assert(fs.tmp_dir())
  local path = directory.path .. "/run.html"
  assert(r:write(path))
  page:call("Page.navigate", {url = "file://" .. path .. (hash and "#" .. hash or "")})
  page:wait_for(("location.pathname === %s && document.documentElement?.dataset.ready"):format(json.encode(path)))
  local dom = page:eval "document.documentElement.outerHTML"
  return (dom:gsub("<script.-</script>", ""):gsub("<style.-</style>", ""):gsub("\u{A0}", " "):gsub("&nbsp;", " "))
end

local function texts(dom, pattern)
  local list = {}
  for text in dom:gmatch(pattern) do list[#list + 1] = text end
  return list
end

local function items_of(dom) return texts(dom, '<details data%-item="(%d+)"') end

local function has(dom, text) assert.is_truthy(dom:find(text, 1, true), text .. " is not in\n" .. dom:sub(1, 20000)) end

describe("the page of a report", function()
  it("loads nothing from elsewhere, and may run nothing but its script", function()
    local html = report.new():html()
    assert.is_nil(html:gsub("http://www%.w3%.org/2000/svg", ""):find "https?:")
    assert.is_nil(html:find "@import")
    assert.is_nil(html:find "[%s]on%a+=")
    assert.is_nil(html:find " style=")
    assert.matches("default%-src 'none'; style%-src 'sha256%-[%w+/]+='; script%-src 'sha256%-[%w+/]+='", html)
  end)
end)

describe("the page of a report in a browser", function()
  if not chromium then
    pending("needs chromium (scripts/tools/setup.sh --dev installs it)")
    return
  end

  setup(function() page = browser.start(chromium) end)
  teardown(function() page:close() end)

  it("shows numbers, charts and items", function()
    local dom = shown(sample(40))
    has(dom, "<h1>a run</h1>")
    has(dom, "<b>40</b><span>items</span>")
    has(dom, "<b>36</b><span>done</span>")
    has(dom, '<div class="tile bad"><b>2</b><span>parked</span>')
    for _, title in ipairs {"Over time", "Timeline", "How long an item took", "Stages", "Errors", "The limiter",
      "Calls, tokens and cost", "Items"} do has(dom, '<section class="card" aria-label="' .. title .. '">') end
    has(dom, "<td>requests</td><td class=\"n\">1,234</td>")
    has(dom, "Timeline: 40 items in ")
    assert.is_true(#texts(dom, '<rect [^>]*class="bar"') == 5) -- five different durations
    for _, kind in ipairs {"f0", "f1", "item"} do has(dom, ('Z" class="%s"></path>'):format(kind)) end
    assert.is_truthy(dom:find 'class="edge"' or dom:find 'class="failed"')
    assert.equal(40, #items_of(dom))
    has(dom, 'role="status">40 items</span>')
    assert.is_nil(dom:find 'id="sample"')
    assert.is_nil(dom:find("NaN", 1, true))
    assert.is_nil(dom:find("undefined", 1, true))
  end)

  it("is whole without items, and with one", function()
    local dom = shown(report.new {title = "nothing"})
    has(dom, "There were no items.")
    has(dom, "<b>0</b><span>items</span>")
    dom = shown(sample(1))
    has(dom, "<b>1</b><span>item</span>")
    has(dom, "1 item in 1 lane")
    assert.is_nil(dom:find("NaN", 1, true))
    local bare = report.new()
    bare:add {}
    has(shown(bare), "<span class=\"what\">item 1</span>")
  end)

  it("shows the view that its address tells", function()
    local dom = shown(sample(60), "status=skipped,parked&kind=timeout&q=ANSWER%20to%204&open=40")
    assert.same({"40"}, items_of(dom))
    has(dom, "1 of 60 items")
    has(dom, 'data-status="skipped" aria-pressed="true">skipped 3')
    has(dom, 'data-status="done" aria-pressed="false">done 54')
    has(dom, "error: timeout ×")
    has(dom, '<details data-item="40" open="">')
    has(dom, "timeout in ask: </b>ask: &lt;i&gt;no&lt;/i&gt; <mark class=\"found\">answer to 4</mark>0")
    has(dom, '&lt;b&gt;<mark class="m0" title="name" data-field="name">Ada</mark>&lt;/b&gt; was &amp; is no. 40.')
  end)

  it("finds words in texts, records and errors", function()
    local r = sample(30)
    r:add {key = "other", position = 31, text = "needle in the text"}
    r:add {key = "other", position = 32, result = {found = "a NEEDLE"}}
    assert.same({"31", "32"}, items_of(shown(r, "q=needle")))
    assert.same({}, items_of(shown(r, "q=nowhere")))
  end)

  it("shows hostile texts as texts", function()
    local hostile = "</script><img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"
    local r = sample(1, {title = hostile, stages = {hostile}})
    r:add {key = hostile, position = 2, value = hostile .. 2, result = {[hostile] = hostile}, text = hostile,
      spans = {[hostile] = {1, 9}}, status = hostile, stage = hostile, error = failure.new("x<img>", "y", hostile)}
    local dom = shown(r, "open=2&status=" .. "%3C/script%3E")
    assert.is_nil(dom:find("<img", 1, true))
    assert.is_nil(dom:find("<title>stolen", 1, true))
    dom = shown(r, "open=2")
    assert.is_nil(dom:find("<img", 1, true))
    has(dom, "&lt;img src=x onerror=")
    has(dom, '<mark class="m0"')
  end)

  it("says that it is a sample, and of how many", function()
    local dom = shown(sample(100000))
    has(dom, "A sample of 1,700 of 100,000 items. ")
    has(dom, "the first 200, 500 of 9,980 later failures, 1,000 of the other 89,820: by chance, where not all.")
    has(dom, "<b>100,000</b><span>items</span>")
    assert.equal(100, #items_of(dom))
    has(dom, 'role="status">1,700 items</span>')
  end)

  it("says why a run did not come to its end", function()
    local r = sample(3)
    local html = r.html
    function r:html(summary) return html(self, summary, failure.new("full", "write x", "no <space> left")) end
    has(shown(r), "The run did not come to its end. </b>full: write x: no &lt;space&gt; left")
  end)

  it("has its style", function()
    shown(sample(1))
    assert.equal("10px", page:eval "getComputedStyle(document.querySelector('.card')).borderRadius")
  end)

  it("fits any screen, light and dark", function()
    for _, dark in ipairs {false, true} do
      for _, width in ipairs {320, 400, 1280} do
        page:screen(width, 800, dark)
        shown(sample(200), "open=10")
        assert.is_true(page:eval "document.documentElement.scrollWidth <= innerWidth", width)
        assert.equal(dark, page:eval "getComputedStyle(document.body).color.match(/\\d+/)[0] > 128")
      end
    end
  end)

  it("answers to keys", function()
    shown(sample(60))
    local function count() return page:eval "Number(document.querySelector('#items').dataset.count)" end
    page:press("/", "t", "o", " ", "4", "0")
    assert.same({"search", 1}, {page:eval "document.activeElement.id", count()})
    page:press "Escape"
    assert.equal(60, count())
    page:press("ArrowDown", "j", "ArrowDown", "k")
    assert.equal("2", page:eval "document.activeElement.parentNode.dataset.item")
    page:press "Enter"
    page:wait_for "location.hash === '#open=2'"
    assert.is_true(page:eval "document.querySelector('details[open] pre.record').textContent.includes('Ada')")
    local path = "document.querySelector('#timeline path').getAttribute('d')"
    page:eval "document.querySelector('#timeline').focus()"
    local all = page:eval(path)
    page:press "+"
    assert.not_equal(all, page:eval(path))
    page:press "0"
    assert.equal(all, page:eval(path))
  end)

  it("answers to clicks", function()
    shown(sample(60))
    local function count() return page:eval "Number(document.querySelector('#items').dataset.count)" end
    page:click "[data-status=skipped]"
    assert.same({3, "skipped"}, {count(), page:eval "document.activeElement.dataset.status"})
    page:click "[data-status=skipped]"
    assert.equal(60, count())
    page:click "#errors button"
    assert.same({3, "#kind=schema&stage=ask"}, {count(), page:eval "location.hash"})
    page:eval "location.hash = '#open=7'"
    page:wait_for "document.querySelector('details[open]')?.dataset.item === '7'"
    assert.equal(60, count())
  end)
end)
