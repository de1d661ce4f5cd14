-- muster.report: what is in the page, what is kept of long runs, and how a browser shows it.
local async = require "muster"
local failure = require "muster.failure"
local fs = require "muster.fs"
local histogram = require "muster.report.histogram"
local bins = require "muster.report.bins"
local json = require "muster.json"
local limit = require "muster.limit"
local report = require "muster.report"
local spans = require "muster.report.spans"
local inside = require "spec.support.files".inside
local virtual = require "muster.test".virtual

--- The data of a page. Nothing in the page may end the element that it is in.
local function data_of(html)
  local before, text, after = html:match '^(.-)<script type="application/json" id="data">(.-)</script>(.*)$'
  assert.equal(0, select(2, text:gsub("[<>&]", "")))
  assert.equal(0, select(2, text:gsub("\u{2028}", "")))
  assert.equal(1, select(2, before:gsub("</head>", "")))
  assert.equal(1, select(2, after:gsub("</script>", "")))
  assert.is_truthy(utf8.len(html))
  return assert(json.decode(text))
end

--- An item that took so long, after another.
local function took(r, seconds, item)
  r.clock_of_spec = (r.clock_of_spec or async.now()) + seconds
  item = item or {}
  item.started, item.ended = r.clock_of_spec - seconds, r.clock_of_spec
  r:add(item)
end

describe("a report", function()
  it("of nothing is a page", function()
    local data = data_of(report.new():html())
    assert.same({0, 0, 0}, {data.summary.items, data.latency.n, #data.items})
    assert.same({"Run", 0}, {data.title, data.sample.shown})
  end)

  it("tells of one item what there is to tell", virtual(function()
    local r = report.new {title = "one"}
    took(r, 2, {key = "a.txt", position = 7, value = "path/a.txt", result = {name = "Ada"}, text = "I am Ada.",
      spans = {name = {6, 8}}, stages = {"read", r.began, r.began + 0.5, "ask", r.began + 1, r.began + 2}})
    local data = data_of(r:html())
    local item = data.items[1]
    assert.same({"a.txt", 7, "done", 0, 2}, {item.key, item.position, item.status, item.start, item.stop})
    assert.same({1, 0, 0.5, 2, 1, 2}, item.marks)
    assert.same({{"I am "}, {"Ada", "name"}, {"."}}, item.text)
    assert.same({name = "Ada"}, json.decode(item.record))
    assert.same({"read", "ask"}, {data.stages[1].name, data.stages[2].name})
    assert.same({1, 0.5}, {data.stages[1].n, data.stages[1].sum})
    assert.same({2, 2, 2}, {data.latency.p50, data.latency.p99, data.latency.max})
  end))

  it("shows records with their keys in order", function()
    local r = report.new()
    r:add {result = {b = 1, c = {e = 2, d = 3}, a = 4}}
    r:add {result = setmetatable({b = 1, a = 2}, {__keys = {"b", "a"}})}
    local items = data_of(r:html()).items
    assert.equal('{"a":4,"b":1,"c":{"d":3,"e":2}}', (items[1].record:gsub("%s", "")))
    assert.equal('{"b":1,"a":2}', (items[2].record:gsub("%s", "")))
  end)

  it("counts by status, and errors by kind and stage", function()
    local r = report.new()
    local timeout = failure.new("timeout", "ask", "no answer")
    for i = 1, 3 do r:add {position = i, state = "parked", error = timeout, stage = "ask"} end
    r:add {state = "skipped", error = timeout, stage = "read"}
    r:add {error = "x.lua:1: boom"}
    r:add {error = {}}
    r:add {state = "done"}
    r:add {state = "repeated"}
    local data = data_of(r:html())
    assert.same({parked = 3, skipped = 1, failed = 2, done = 1, repeated = 1}, data.statuses)
    assert.same({kind = "timeout", stage = "ask", count = 3, message = "ask: no answer", position = 1}, data.errors[1])
    assert.same({"timeout", "read", 1}, {data.errors[2].kind, data.errors[2].stage, data.errors[2].count})
    assert.same({"error", 2, "x.lua:1: boom"}, {data.errors[3].kind, data.errors[3].count, data.errors[3].message})
    assert.same({3, 1}, {data.stages[1].failed, data.stages[2].failed})
  end)

  it("tells apart a bounded number of kinds, stages and statuses", function()
    local r = report.new()
    for i = 1, 1000 do r:add {status = "s" .. i, error = failure.new("k" .. i, "x", "y"), stage = "t" .. i} end
    local data = data_of(r:html())
    local n = 0
    for _ in pairs(data.statuses) do n = n + 1 end
    assert.same({101, 41, 21}, {#data.errors, #data.stages, n})
    assert.same({"(others)", 900}, {data.errors[101].kind, data.errors[101].count})
    assert.equal(960, data.stages[41].failed)
    assert.equal(980, data.statuses["(others)"])
  end)

  it("has no times of what earlier runs have done", function()
    local r = report.new()
    took(r, 1, {recalled = true})
    took(r, 2)
    local data = data_of(r:html {recalled = 1})
    assert.same({2, 1, 1}, {data.summary.items, data.summary.recalled, data.latency.n})
  end)

  it("says why the run did not come to its end", function()
    local data = data_of(report.new():html(nil, failure.new("full", "write x", "no space left")))
    assert.same({"full", "write x: no space left"}, data.problem)
  end)

  it("tells what the client has used since it began", function()
    local used = {input = 10, output = 1, cost = 0.5}
    local r = report.new {client = {usage = function() return {input = used.input, output = used.output,
      cost = used.cost, seconds = used.seconds, rate = used.rate, note = used.note} end}}
    used = {input = 30, output = 5, cost = 0.75, seconds = 0 / 0, rate = math.huge, note = print}
    assert.same({input = 20, output = 4, cost = 0.25}, data_of(r:html()).usage)
  end)

  it("tells how a limiter fared, also while no item ends", virtual(function()
    local limiter = limit.limiter {concurrency = 2}
    local r = report.new {limiter = limiter}
    async.map({1, 2, 3, 4}, function(i)
      r:run(i, function()
        local permit <close> = limiter:acquire() -- luacheck: ignore permit
        async.sleep(1)
      end)
    end, {limit = 4})
    local told = data_of(r:html()).limiter
    assert.same({4, 2, 2, 2}, {told.requests, told.delayed, told.waited, told.concurrency})
    assert.same({0, 0, 0, 2}, told.looks[1])
    assert.equal(2, told.looks[#told.looks][1])
  end))

  it("looks at a limiter by a timer that ends", function()
    local looks, changed = 0, async.event()
    local r = report.new {limiter = {stats = function()
      looks = looks + 1
      if looks == 3 then changed:set() end
      return {waiting = looks, concurrency = math.huge}
    end}}
    do
      local _ <close> = r:watch()
      async.timeout(30, changed.wait, changed) -- the timer keeps nothing alive
    end
    assert.equal(-1, data_of(r:html()).limiter.looks[1][4])
  end)

  it("goes on without a limiter that raises", function()
    local r = report.new {limiter = {stats = function() error "no" end}}
    r:add {}
    assert.is_nil(data_of(r:html()).limiter)
  end)

  it("refuses what it does not know", function()
    assert.error_matches(function() report.new {titel = "x"} end, "report.new: unknown option 'titel'")
    assert.error_matches(function() report.new {limiter = {}} end, "option 'limiter' must be a limiter")
    assert.error_matches(function() report.new():add(1) end, "report:add: expected a table, got number")
    assert.error_matches(function() report.new():run("x", 1) end, "report:run: expected a function, got number")
    assert.error_matches(function() report.new():write "" end, "report:write: expected a name")
  end)
end)

describe("report:run", function()
  it("passes results, errors and what is raised on, and tells of them", virtual(function()
    local r = report.new()
    assert.same({1, nil, 3}, {r:run("a", function(...) return ... end, 1, nil, 3)})
    local problem = failure.new("timeout", "x", "too slow")
    local value, err = r:run("b", function() return nil, problem end)
    assert.is_nil(value)
    assert.equal(problem, err)
    assert.error_matches(function() r:run("c", error, "boom") end, "boom")
    assert.equal(0, select("#", r:run("d", function() async.sleep(3) end)))
    local ok, cancelled = pcall(async.timeout, 1, r.run, r, "e", async.sleep, 9)
    assert.is_false(ok)
    assert.equal("timeout", cancelled.kind)
    local task = async.spawn(r.run, r, "f", async.sleep, 9)
    async.sleep(1)
    task:cancel()
    assert.is_true(async.is_cancelled(select(2, pcall(task.await, task))))
    local data = data_of(r:html())
    assert.same({done = 2, failed = 3, cancelled = 1}, data.statuses)
    assert.same({"timeout", "cancelled", 4, 5}, {data.items[5].kind, data.items[6].status, data.items[6].start,
      data.items[6].stop})
    assert.same({"1", "timeout", "error"}, {data.items[1].record, data.items[2].kind, data.items[3].kind})
    assert.same({0, 3, 3, 4}, {data.items[4].start, data.items[4].stop, data.items[5].start, data.items[5].stop})
  end))
end)

describe("hostile texts in a report", function()
  local texts = {
    "</script><script>alert(1)</script>", "<!-- <script>", "\u{2028}\u{2029}", "a\0b\27[31m", "\xFF\xFEbad\xC3",
    "${DATA} %1 %%", "&lt;b&gt;\"'", "\\u003c/script", "\u{202E}reversed",
  }

  it("stay texts", function()
    for _, hostile in ipairs(texts) do
      local r = report.new {title = hostile, stages = {hostile}}
      r:add {key = hostile, value = hostile, result = {[hostile] = hostile}, text = "<" .. hostile .. ">",
        spans = {[hostile] = {2, 1 + #hostile}}, status = hostile, stage = hostile,
        error = {kind = hostile, message = hostile}}
      local data = data_of(r:html())
      if not utf8.len(hostile) then hostile = "\u{FFFD}\u{FFFD}bad\u{FFFD}" end
      local item = data.items[1]
      assert.same({hostile, hostile, hostile, hostile}, {data.title, item.key, item.value, item.status})
      assert.same({{"<"}, {hostile, hostile}, {">"}}, item.text)
      assert.same({[hostile] = hostile}, json.decode(item.record))
      assert.same({hostile, hostile, 1}, {data.errors[1].kind, data.errors[1].stage, data.errors[1].count})
    end
  end)

  it("are shown as far as they can be", function()
    local r = report.new()
    local circle = {}
    circle[1] = circle
    for _, value in ipairs {circle, 0 / 0, math.huge, print, io.stdout, false, coroutine.create(print)} do
      r:add {value = value, result = {value}}
    end
    r:add {key = setmetatable({}, {__tostring = function() error "no" end}), error = setmetatable({}, {
      __tostring = function() return 1 end})}
    r:add {started = 0 / 0, ended = 1, stages = {"x", 0, 0}}
    r:add {started = -math.huge, ended = math.huge}
    r:add {spans = "x", text = 1, position = "first", stage = {}}
    assert.equal(11, #data_of(r:html()).items)
  end)

  it("do not make the page longer than it may be", function()
    local r = report.new {bytes = 200000}
    local long = ("<\1\xFF"):rep(10000)
    for i = 1, 3000 do
      r:add {key = long, value = long, result = {long}, text = long, position = i, spans = {[long] = {1, 9}},
        error = i % 2 == 0 and long or nil}
    end
    local html = r:html()
    assert.is_true(#html < 8e6, #html)
    data_of(html)
  end)
end)

describe("the sample of a report", function()
  local function sampled(n, opts, fails)
    local r = report.new(opts)
    for i = 1, n do r:add {position = i, error = fails and fails(i) and "x" or nil} end
    local data = data_of(r:html())
    local positions = {}
    for i, item in ipairs(data.items) do positions[i] = item.position end
    return positions, data
  end

  it("has all of few", function()
    local positions, data = sampled(1200)
    assert.same({1200, 1200}, {#positions, data.sample.of})
    for i, position in ipairs(positions) do assert.equal(i, position) end
  end)

  it("has the first ones, failures up to a bound, and of the others some of each part", function()
    local positions, data = sampled(100000, nil, function(i) return i > 50000 and i % 200 == 0 end)
    assert.same({shown = 1450, of = 100000, first = 200, failures = 250, failed = 250, others = 1000, rest = 99550},
      data.sample)
    for i = 1, 200 do assert.equal(i, positions[i]) end
    local parts = {}
    for i = 201, 1450 do
      if positions[i] % 200 ~= 0 or positions[i] <= 50000 then
        local part = positions[i] // 10001
        parts[part] = (parts[part] or 0) + 1
      end
    end
    for part = 0, 9 do assert.is_true(parts[part] > 60 and parts[part] < 140, part .. ": " .. parts[part]) end
    assert.equal(100000, data.summary.items)
    assert.equal(99750, data.statuses.done)
  end)

  it("has no more failures than it may", function()
    local _, data = sampled(10000, {first = 10, failures = 20, others = 30}, function(i) return i % 2 == 0 end)
    assert.same({shown = 60, of = 10000, first = 10, failures = 20, failed = 4995, others = 30, rest = 4995},
      data.sample)
    assert.equal(5000, data.errors[1].count)
  end)

  it("may be empty", function()
    local positions, data = sampled(50, {first = 0, failures = 0, others = 0}, function(i) return i == 9 end)
    assert.same({}, positions)
    assert.same({done = 49, failed = 1}, data.statuses)
  end)

  it("takes constant memory", function()
    local function memory(n)
      local r = report.new()
      local text = ("x"):rep(100)
      for i = 1, n do
        took(r, 0.001 * (i % 7 + 1), {position = i, value = i .. text, error = i % 10 == 0 and i .. text or nil})
      end
      collectgarbage()
      collectgarbage()
      local used = collectgarbage "count"
      assert.equal(n, data_of(r:html()).summary.items)
      return used
    end
    memory(5000)
    local few = memory(5000)
    assert.is_true(memory(60000) - few < 500)
  end)

  it("asks for the texts of those that are shown only, one at a time if that awaits", virtual(function()
    local asked = 0
    local r = report.new {first = 2, others = 3, text = function(item, record)
      asked = asked + 1
      async.sleep(1)
      if item.position == 2 then error "gone" end
      return "text " .. record, {record = {6, 6}}
    end}
    async.map({1, 2, 3, 4, 5}, function(i) r:add {position = i, result = i} end, {limit = 5})
    local data = data_of(r:html())
    assert.same({{"text "}, {"1", "record"}}, data.items[1].text)
    assert.matches("^no text: .*gone", data.items[2].problem)
    assert.equal(5, asked)
    for i = 6, 400 do r:add {position = i, result = i} end
    assert.is_true(asked < 60)
  end))
end)

describe("texts that are cut", function()
  it("show their first span", function()
    local r = report.new {bytes = 3000}
    local text = ("é"):rep(20000) .. "HERE" .. ("ü"):rep(20000)
    r:add {text = text, spans = {here = {40001, 40004}}}
    local item = data_of(r:html()).items[1]
    local parts, size, marked = {}, 0, nil
    for i, piece in ipairs(item.text) do
      parts[i], size = piece[1], size + #piece[1]
      if piece[2] then marked = piece[1] end
    end
    assert.is_nil(table.concat(parts):find "\u{FFFD}")
    assert.equal("HERE", marked)
    assert.equal(text:sub(item.offset + 1, item.offset + size), table.concat(parts))
    assert.is_true(size <= 4096)
    assert.equal(#text, item.lengths.text)
  end)
end)

describe("spans", function()
  it("are read from what grounding, grammars and people write", function()
    local expected = {{path = "name", first = 1, last = 3}, {path = "people[1].age", first = 5, last = 6}}
    assert.same(expected, spans.read({{path = "people[1].age", first = 5, last = 6, text = "36"},
      {path = "name", first = 1, last = 3}}, 9))
    assert.same(expected, spans.read({name = {1, 3}, people = {{age = {5, 6}}}}, 9))
    local strict = setmetatable({first = 1, last = 3}, {__index = function() error "asked" end})
    assert.same(expected, spans.read({name = strict, people = {{age = {first = 5, last = 6}}}}, 9))
    assert.same({{path = "a", first = 1, last = 9}, {path = "a.b", first = 2, last = 3}},
      spans.read({a = {first = 1, last = 9, spans = {b = {2, 3}}}}, 9))
  end)

  it("leave out what is none", function()
    for _, value in ipairs {false, 1, "x", {}, {x = 1}, {{0, 5}}, {{5, 4}}, {{1.5, 2}}, {{-3, -1}}} do
      assert.same({}, spans.read(value, 9))
    end
    local circle = {}
    circle.a = circle
    assert.same({}, spans.read(circle, 9))
    local many = {}
    for i = 1, 100 do many[i] = {i, i} end
    assert.equal(9, #spans.read(many, 9))
  end)

  it("cut a text into pieces, also where they overlap or go beyond it", function()
    local function pieces(text, offset, given) return spans.pieces(text, offset, spans.read(given, 99)) end
    assert.same({{"abc"}}, pieces("abc", 0, {}))
    assert.same({{"a", "x"}, {"b", "x", "y"}, {"c", "y"}}, pieces("abc", 0, {x = {1, 2}, y = {2, 3}}))
    assert.same({{"abc", "x", "y"}}, pieces("abc", 0, {x = {1, 3}, y = {1, 3}}))
    assert.same({{"ab"}, {"c", "x"}}, pieces("abc", 0, {x = {3, 99}, y = {50, 60}}))
    assert.same({{"ab", "x"}, {"c"}}, pieces("abc", 10, {x = {5, 12}}))
    assert.same({}, pieces("", 0, {x = {1, 2}}))
  end)
end)

describe("the histogram of a report", function()
  it("knows its quantiles to within a bucket", function()
    local h = histogram.new()
    assert.is_nil(h:quantile(0.5))
    for i = 1, 10000 do h:add(i / 1000) end
    for _, q in ipairs {0.01, 0.5, 0.95, 0.99} do
      assert.is_true(math.abs(h:quantile(q) / (q * 10) - 1) < 0.06, q)
    end
    assert.same({0.001, 10}, {h:quantile(0), h:quantile(1)})
  end)

  it("takes what is beyond its scale", function()
    local h = histogram.new()
    for _, seconds in ipairs {0, -1, 1e-12, 1e12} do h:add(seconds) end
    assert.same({4, 0, 1e12}, {h.n, h.least, h.most})
    assert.equal(0, h:quantile(0))
    assert.equal(3, h:facts(true).counts[1][2])
  end)
end)

describe("the bins of a report", function()
  local function sum(list)
    local total = 0
    for _, n in ipairs(list) do total = total + n end
    return total
  end

  it("hold a run of any length", function()
    local b = bins.new()
    for i = 1, 1000 do b:add(i * 3600, i * 3600 + 5400, i % 10 == 0) end
    local facts = b:facts()
    assert.same({1000, 100}, {sum(facts.ended), sum(facts.failed)})
    assert.is_true(#facts.ended > 100 and #facts.ended <= 240)
    assert.is_true(math.abs(sum(facts.busy) * facts.width / (1000 * 5400) - 1) < 0.01)
    assert.is_true(math.abs(facts.busy[#facts.busy // 2] - 1.5) < 0.2)
  end)

  it("take odd times", function()
    local b = bins.new()
    local odd = {{-5, -1}, {3, 1}, {0, 0}, {1, math.huge}, {0 / 0, 1}, {1, 0 / 0}, {-math.huge, 1}}
    for _, times in ipairs(odd) do b:add(times[1], times[2], false) end
    assert.equal(4, sum(b:facts().ended))
  end)
end)

describe("the file of a report", function()
  it("is written whole, or the old one stays", inside(function(at)
    local r = report.new {title = "first"}
    assert(r:write(at "run.html"))
    assert.equal("first", data_of(assert(fs.read(at "run.html"))).title)
    local written, err = r:write(at "none/run.html")
    assert.is_nil(written)
    assert.equal("not_found", err.kind)
    assert.same({"run.html"}, fs.list(at()))
  end))
end)
