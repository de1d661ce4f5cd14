-- What the specs of schemas share.
local M = {}

--- The errors of a value that has to be refused, as text.
function M.errors(s, value, opts)
  local made, problems = s:validate(value, opts)
  assert(made == nil, "accepted")
  assert(problems, "expected errors")
  return tostring(problems)
end

--- Each value is accepted, and comes back as it was.
function M.accepts(s, ...)
  for _, value in ipairs {...} do
    local made, problems = s:validate(value)
    assert(not problems, tostring(problems))
    require("luassert").same(value, made)
  end
end

function M.refuses(s, ...)
  for _, value in ipairs {...} do
    assert(select(2, s:validate(value)), ("accepted %s"):format(tostring(value)))
  end
end

--- The call raises exactly this.
function M.misuse(text, fn, ...)
  local fine, err = pcall(fn, ...)
  assert(not fine, "expected misuse: " .. text)
  require("luassert").equal(text, err)
end

return M
