-- Places where Lua cannot yield: C functions that call back. Each context calls fn() once inside itself, hands out what
-- it returned, and raises what it raised.
local lpeg = require "lpeg"

local M = {}

--- Makes fn be called once: what it returned, later calls get again.
local function once(fn)
  local done, result = false, nil
  return function()
    if not done then
      done = true
      result = fn()
    end
    return result
  end
end

M["a comparator of table.sort"] = function(fn)
  local result
  fn = once(fn)
  local list = {3, 1, 2}
  table.sort(list, function(a, b)
    result = fn()
    return a < b
  end)
  assert(table.concat(list) == "123")
  return result
end

M["__lt called by table.sort"] = function(fn)
  local result
  fn = once(fn)
  local meta = {__lt = function(a, b)
    result = fn()
    return a.n < b.n
  end}
  local list = {setmetatable({n = 2}, meta), setmetatable({n = 1}, meta)}
  table.sort(list)
  assert(list[1].n == 1)
  return result
end

M["a function of string.gsub"] = function(fn)
  local result
  fn = once(fn)
  local text = string.gsub("a-b-c", "%w", function(c)
    result = fn()
    return c:upper()
  end)
  assert(text == "A-B-C")
  return result
end

M["__index of a table of string.gsub"] = function(fn)
  local result
  local text = string.gsub("a-b", "b", setmetatable({}, {__index = function(_, key)
    result = fn()
    return key:upper()
  end}))
  assert(text == "a-B")
  return result
end

local function shows(fn, show)
  local result
  local object = setmetatable({}, {__tostring = function()
    result = fn()
    return "shown"
  end})
  assert(show(object) == "shown")
  return result
end

M["__tostring called by tostring"] = function(fn) return shows(fn, tostring) end

M["__tostring called by string.format"] = function(fn)
  return shows(fn, function(object) return ("%s"):format(object) end)
end

--- load returns nil and what its reader raised.
M["a reader of load"] = function(fn)
  local pieces, result = {"return ", "42"}, nil
  local chunk, err = load(function()
    if #pieces == 1 then result = fn() end
    return table.remove(pieces, 1)
  end)
  if not chunk then error(err, 0) end
  assert(chunk() == 42)
  return result
end

M["__index called by table.concat"] = function(fn)
  local result
  local list = setmetatable({}, {__len = function() return 1 end, __index = function()
    result = fn()
    return "item"
  end})
  assert(table.concat(list) == "item")
  return result
end

M["__len called by table.unpack and table.insert"] = function(fn)
  local result
  local list = setmetatable({}, {__len = function()
    result = fn()
    return 0
  end})
  table.insert(list, "item")
  assert(rawget(list, 1) == "item")
  return result
end

M["__newindex called by table.move"] = function(fn)
  local result
  table.move({"item"}, 1, 1, 1, setmetatable({}, {__newindex = function(t, key, value)
    result = fn()
    rawset(t, key, value)
  end}))
  return result
end

M["__index called by ipairs"] = function(fn)
  local result, n
  for i, value in ipairs(setmetatable({}, {__index = function(_, i)
    if i > 1 then return nil end
    result = fn()
    return "item"
  end})) do
    assert(value == "item")
    n = i
  end
  assert(n == 1)
  return result
end

M["__index called by table.unpack"] = function(fn)
  local result
  local item = table.unpack(setmetatable({}, {__index = function()
    result = fn()
    return "item"
  end}), 1, 1)
  assert(item == "item")
  return result
end

M["a function of an LPeg capture"] = function(fn)
  local result
  local pattern = lpeg.C(1) / function(c)
    result = fn()
    return c .. c
  end
  assert(lpeg.match(lpeg.Ct(pattern ^ 1), "a")[1] == "aa")
  return result
end

M["a match-time capture of LPeg"] = function(fn)
  local result
  local pattern = lpeg.P "a" * lpeg.Cmt(lpeg.C(1), function(_, i, c)
    result = fn()
    return i, c
  end) * lpeg.C "c"
  local b, c = pattern:match "abc"
  assert(b == "b" and c == "c")
  return result
end

M["a fold capture of LPeg"] = function(fn)
  local result
  fn = once(fn)
  local sum = lpeg.Cf(lpeg.Cc(0) * lpeg.C(lpeg.R "09") ^ 1, function(a, b)
    result = fn()
    return a + b
  end)
  assert(sum:match "1234" == 10)
  return result
end

--- coroutine.close returns false and what a __close raised.
M["a __close run by coroutine.close"] = function(fn)
  local result
  local co = coroutine.create(function()
    local _ <close> = setmetatable({}, {__close = function() result = fn() end})
    coroutine.yield()
  end)
  assert(coroutine.resume(co))
  local ok, err = coroutine.close(co)
  assert(coroutine.status(co) == "dead")
  if not ok then error(err, 0) end
  return result
end

M["a hook"] = function(fn)
  local result
  local function target() end
  local function hook()
    debug.sethook()
    result = fn()
  end
  debug.sethook(hook, "c")
  target()
  debug.sethook()
  return result
end

--- An error in a handler is handled by the handler again, until Lua gives up: so what fn raises is caught there.
M["a handler of xpcall"] = function(fn)
  local outcome
  local ok, handled = xpcall(error, function(err)
    outcome = outcome or table.pack(pcall(fn))
    return err .. " handled"
  end, "raised", 0)
  assert(not ok and handled == "raised handled")
  if not outcome[1] then error(outcome[2], 0) end
  return outcome[2]
end

return M
