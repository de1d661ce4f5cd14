-- The report of a pipeline's run: pipeline{…}:run{report = path}.
local async = require "muster"
local failure = require "muster.failure"
local fs = require "muster.fs"
local inside = require "spec.support.files".inside
local json = require "muster.json"
local pipeline = require "muster.pipeline"
local virtual = require "muster.test".virtual

describe("a pipeline's report", function()
  local function data_at(path)
    local html = assert(fs.read(path))
    return assert(json.decode((html:match '<script type="application/json" id="data">(.-)</script>')))
  end

  it("has the times of items and stages, errors, and records in their texts", inside(function(at)
    virtual(function()
      local p = pipeline {
        name = "people", source = {"Ada 36", "Bob x", "Cyd 7"}, limit = 3,
        {"read", function(text, item)
          async.sleep(1)
          item.text = text
          return text
        end},
        {"rules", function(text, item)
          async.sleep(2)
          local first, name, second, age = text:match "^()(%a+) ()(%d+)$"
          if not first then return nil, failure.new("grammar", "rules", "no age") end
          item.spans = {name = {first, first + #name - 1}, age = {second, second + #age - 1}}
          return {name = name, age = tonumber(age)}
        end, limit = 1},
      }
      local summary = assert(p:run {quiet = true, report = at "run.html"})
      assert.same({3, 1}, {summary.items, summary.parked})
    end)()
    local data = data_at(at "run.html")
    assert.same({"people", 3, 2, 7}, {data.title, data.summary.items, data.summary.records, data.summary.seconds})
    assert.same({"read", "rules"}, {data.stages[1].name, data.stages[2].name})
    assert.same({1, 0, 1, 2, 1, 3}, data.items[1].marks)
    assert.same({1, 0, 1, 2, 3, 5}, data.items[2].marks) -- it waited for the stage
    assert.same({{"Ada", "name"}, {" "}, {"36", "age"}}, data.items[1].text)
    assert.same({"parked", "grammar", "rules"}, {data.items[2].status, data.items[2].kind, data.items[2].stage})
    assert.same({done = 2, parked = 1}, data.statuses)
  end))

  it("knows how long a stage took that raised or was out of time", inside(function(at)
    virtual(function()
      pipeline {source = {1, 2}, timeout = 5, {"work", function(x)
        async.sleep(x == 1 and 2 or 9)
        error "boom"
      end}}:run {quiet = true, report = at "run.html"}
    end)()
    local items = data_at(at "run.html").items
    assert.same({{1, 0, 2}, {1, 0, 5}}, {items[1].marks, items[2].marks})
    assert.same({"error", "timeout"}, {items[1].kind, items[2].kind})
  end))

  it("takes texts from a function", inside(function(at)
    local function text(item, record) return item.value .. record, {x = {2, 2}} end
    pipeline {source = {"a", "b"}, string.upper, text = text}:run {quiet = true, report = at "run.html"}
    assert.same({{"b"}, {"B", "x"}}, data_at(at "run.html").items[2].text)
  end))

  it("is written for a run that stops, and for one that is cut short", inside(function(at)
    local function stops() return nil, failure.new("quota", "ask", "none left", {fatal = true}) end
    local _, err = pipeline {source = {1, 2, 3}, limit = 1, stops}:run {quiet = true, report = at "a.html"}
    assert.equal("quota", err.kind)
    local data = data_at(at "a.html")
    assert.same({"quota", "ask: none left"}, data.problem)
    assert.is_true(data.statuses.stopped >= 1)
    local p = pipeline {source = {1, 2}, limit = 1, order = "completion", function(x)
      return x == 1 and x or async.sleep(99)
    end}
    virtual(function()
      assert.is_false((pcall(async.timeout, 5, p.run, p, {quiet = true, report = at "b.html"})))
    end)()
    assert.equal(1, data_at(at "b.html").summary.items)
  end))

  it("is refused before the run if there is no place for it", inside(function(at)
    local calls = 0
    local p = pipeline {source = {1}, function(x)
      calls = calls + 1
      return x
    end}
    local summary, err = p:run {quiet = true, report = at "none/run.html"}
    assert.is_nil(summary)
    assert.equal("not_found", err.kind)
    assert.equal(0, calls)
    assert.error_matches(function() p:run {report = true} end, "option 'report' must be a string")
  end))

  it("is none if none is wanted: items carry no times", function()
    pipeline {source = {1}, function(x) return x end, sink = function(_, item)
      assert.is_nil(item.started)
      assert.is_nil(item.stages)
    end}:run {quiet = true}
  end)
end)
