--- What validation costs: small records, one after the other. run() prints, and returns, records a second.
local schema = require "muster.schema"
local uv = require "luv"

local M = {}

local ROUNDS, RECORDS, SECOND = 5, 200000, 1e6

local function cpu()
  local r = uv.getrusage()
  return r.utime.sec * SECOND + r.utime.usec + r.stime.sec * SECOND + r.stime.usec
end

local Person = schema.object {
  name = schema.string {min_length = 1},
  age = schema.integer {min = 0, max = 150},
  job = schema.optional(schema.string()),
}

local function records()
  local list = {}
  for i = 1, 1000 do list[i] = {name = "Person " .. i, age = i % 120, job = i % 3 ~= 0 and "cook" or nil} end
  return list
end

--- Records a second, by CPU time: the best of some rounds.
function M.run()
  local list, best = records(), 0
  for _ = 1, ROUNDS do
    local began = cpu()
    for i = 1, RECORDS do assert(Person:validate(list[i % 1000 + 1])) end
    best = math.max(best, RECORDS / (cpu() - began) * SECOND)
  end
  print(("%-52s %-28s %-24s %s"):format("small records validated a second", ("%.0f"):format(best), "at least 200,000",
    best >= 200000 and "yes" or "no"))
  return best
end

return M
